#include "report/conform.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <filesystem>
#include <set>

#include "compiler/compiler.h"
#include "compiler/formats.h"
#include "compiler/hosted.h"
#include "model/known_operators.h"
#include "model/model.h"
#include "program/verify.h"
#include "report/distribution.h"
#include "report/run.h"
#include "simulation/execute.h"
#include "support/check.h"

namespace switchyard::report {

namespace fs = std::filesystem;
using numerics::Format;
using numerics::Tensor;

namespace {

constexpr double kRtol = 1e-3, kAtol = 1e-7;  // ONNX's own runner

bool is_data_set(const fs::directory_entry& entry) {
  return entry.is_directory() && entry.path().filename().string().starts_with("test_data_set_");
}

/// The first sentence of a failure: what a line of a report has room for.
std::string first_line(const Failure& failure) {
  if (!failure.diagnostics.empty()) {
    const Diagnostic& d = failure.diagnostics.front();
    const std::size_t more = failure.diagnostics.size() - 1;
    return fmt::format("{}{}{}", d.message, d.code.empty() ? "" : fmt::format(" [{}]", d.code),
                       more > 0 ? fmt::format(" (and {} more)", more) : "");
  }
  if (failure.infeasible.empty()) return "no reason given";
  const std::string text = format_infeasible(failure.infeasible.front());
  return text.substr(0, text.find('\n'));
}

/// The case does not pass: no mistake of the user's, so without a code.
Failure differs(std::string why) { return fail(FailureKind::malformed, "", std::move(why)); }

/// The values of a data set, those of sequences and optionals one tensor after the other, and how many belong together.
struct Values {
  std::vector<Tensor> tensors;
  std::vector<std::int64_t> lengths;
};

Result<Values> read_numbered(const std::string& folder, const char* stem, const std::vector<model::OnnxSignature::Kind>& kinds) {
  Values values;
  for (std::size_t k = 0;; ++k) {
    const fs::path path = fs::path(folder) / fmt::format("{}_{}.pb", stem, k);
    std::error_code ignored;
    if (!fs::exists(path, ignored)) return values;
    SY_TRY(model::OnnxValue value, model::read_onnx_value(path.string(), k < kinds.size() ? kinds[k] : model::OnnxSignature::Kind::tensor));
    for (Tensor& tensor : value.tensors) values.tensors.push_back(std::move(tensor));
    values.lengths.push_back(value.length);
  }
}

/// Equal numbers of one sign, or both NaN.
bool same_bits(double a, double b) { return (a == b && std::signbit(a) == std::signbit(b)) || (std::isnan(a) && std::isnan(b)); }

bool same_bits(const Tensor& a, const Tensor& b) {
  const std::int64_t count = a.count();
  for (std::int64_t i = 0; i < count; ++i) {
    if (!same_bits(a.at(i), b.at(i))) return false;
  }
  return true;
}

/// ONNX's where every value of the declared type is computed and stored as such; else by the narrowest format on the way and the depth.
Tolerance tolerance_of(const graph::Graph& model, const compiler::Compiled& compiled, Format declared, const Tensor& expected,
                       const ConformOptions& options, bool& derived) {
  Tolerance t{kRtol, kAtol};
  derived = false;
  if (!numerics::format_info(declared).floating) {
    t = {0, 0};
  } else {
    Format narrowest = declared;
    for (const graph::Tensor& tensor : model.tensors) {
      const Format stored = options.precision.value_or(compiler::stored_format(*compiled.program.chip, tensor.format));
      if (!numerics::format_info(tensor.format).floating || numerics::represents(stored, tensor.format)) continue;
      if (numerics::unit_roundoff(stored) > numerics::unit_roundoff(narrowest)) narrowest = stored;
    }
    const bool narrower = narrowest != declared;
    if (numerics::format_bytes(declared) < 4 || narrower) {
      derived = true;
      t = default_tolerance(narrowest, declared, graph_depth(compiled.graph), largest_magnitude(expected));
    }
  }
  return {options.rtol.value_or(t.rtol), options.atol.value_or(t.atol)};
}

/// Where an input has values beyond what the chip stores its format in, the host computes what is in that format.
graph::Graph placed(const graph::Graph& model, const std::vector<Tensor>& inputs, const chip::Chip& chip, std::optional<Format> precision) {
  for (const Tensor& input : inputs) {
    const bool floating = numerics::format_info(input.format).floating;
    const Format stored = floating && precision ? *precision : compiler::stored_format(chip, input.format);
    if (!numerics::represents(stored, input.format) && largest_magnitude(input) > numerics::format_info(stored).max_finite)
      return compiler::give_to_host(model, input.format);
  }
  return model;
}

/// The same texts in rows of another width.
Tensor in_rows(const Tensor& texts, const numerics::Shape& shape) {
  numerics::Shape outer(texts.shape.begin(), texts.shape.end() - 1);
  return numerics::rows_of(numerics::texts_of(texts), std::move(outer), shape.back());
}

/// A case on its way through import, compiler, verifier and engine.
struct Executed {
  model::LoadedModel model;
  graph::Graph graph;  ///< with what the host does
  compiler::Compiled compiled;
  std::vector<Tensor> outputs;
};

/// `draw`: which invocation, for random operators.
Result<Executed> execute_case(const ConformCase& test, const Values& given, const std::shared_ptr<const chip::Chip>& chip,
                              const ConformOptions& options, std::uint64_t draw) {
  Executed run;
  model::LoadOptions how;
  how.seed = options.seed;
  how.draw = draw;
  how.inputs = given.tensors;
  how.input_lengths = given.lengths;
  SY_TRY(run.model, model::load_model(test.model, how));
  compiler::CompileOptions compile;
  compile.precision = options.precision.value_or(graph::prevailing_format(run.model.graph));
  compile.keep_formats = !options.precision;
  compile.seed = options.seed;
  compile.effort = options.effort;
  run.graph = placed(run.model.graph, given.tensors, *chip, options.precision);
  SY_TRY(run.compiled, compiler::compile(run.graph, chip, compile));
  if (const Status verified = program::verify(run.compiled.program); !verified) {
    return differs("the compiled program is rejected by the verifier: " + first_line(verified.failure()));
  }
  if (given.tensors.size() != run.model.graph.inputs.size())
    return differs(fmt::format("{} inputs are given, the model has {}", given.tensors.size(), run.model.graph.inputs.size()));
  SY_TRY(const simulation::Execution execution, simulation::execute(run.compiled.program, given.tensors, {}));
  run.outputs = declared_outputs(run.compiled.program, execution.outputs);
  return run;
}

/// Random numbers equal no expected ones. The case is executed until enough were drawn, and these are judged by the law of its operator.
Result<Verdict> judge_draws(const ConformCase& test, const Values& given, const std::shared_ptr<const chip::Chip>& chip,
                            const ConformOptions& options, const std::vector<Tensor>& first, const std::vector<std::string>& operators) {
  constexpr std::int64_t kEnough = 4096, kFewest = 32, kMost = 512;
  const auto uses = [&](std::string_view name) { return std::find(operators.begin(), operators.end(), name) != operators.end(); };
  const bool dropout = uses("Dropout");
  // Bernoulli's body as the standard writes it: 1 where a uniform number is greater than the input. That has the probability 1 - x, though
  // the operator's text says x; the case asks for what its model says.
  const bool body = uses("RandomUniformLike") && uses("Greater"), bernoulli = uses("Bernoulli") || body;
  if ((!dropout && !bernoulli) || given.tensors.empty() || first.empty() || first[0].shape != given.tensors[0].shape)
    return fail(FailureKind::unsupported, "", "random numbers for which no law of distribution is known");
  const std::int64_t elements = std::max<std::int64_t>(1, first[0].count());
  const std::int64_t draws = std::clamp((kEnough + elements - 1) / elements, kFewest, kMost);
  std::vector<Tensor> drawn{first[0]}, masks;
  if (first.size() > 1) masks.push_back(first[1]);
  for (std::int64_t d = 1; d < draws; ++d) {
    SY_TRY(Executed run, execute_case(test, given, chip, options, static_cast<std::uint64_t>(d)));
    if (first.size() > 1) masks.push_back(std::move(run.outputs[1]));
    drawn.push_back(std::move(run.outputs[0]));
  }
  if (!dropout) {
    Tensor probabilities = given.tensors[0];
    for (std::int64_t i = 0; body && i < probabilities.count(); ++i) probabilities.set(i, 1 - probabilities.at(i));
    return judge_bernoulli(probabilities, drawn);
  }
  double ratio = 0.5;
  for (std::size_t i = 1; i < given.tensors.size(); ++i)
    if (numerics::format_info(given.tensors[i].format).floating) ratio = given.tensors[i].at(0);
  const double rtol = std::max(kRtol, 2 * numerics::unit_roundoff(options.precision.value_or(Format::fp32)));
  return judge_dropout(given.tensors[0], ratio, options.rtol.value_or(rtol), drawn, masks);
}

Status run_data_set(const ConformCase& test, const std::string& folder, const std::shared_ptr<const chip::Chip>& chip,
                    const ConformOptions& options, CaseResult& result) {
  SY_TRY(const model::OnnxSignature signature, model::onnx_signature_of(test.model));
  SY_TRY(const Values given, read_numbered(folder, "input", signature.inputs));
  SY_TRY(const Values promised, read_numbered(folder, "output", signature.outputs));
  std::vector<Tensor> expected = promised.tensors;
  SY_TRY(const Executed run, execute_case(test, given, chip, options, 0));
  const graph::Graph& model = run.model.graph;
  if (run.model.output_lengths != promised.lengths) {
    return differs(fmt::format("the outputs have [{}] tensors instead of [{}] (-1: is one, -2: is an optional without)",
                               fmt::join(run.model.output_lengths, ", "), fmt::join(promised.lengths, ", ")));
  }
  std::set<std::string> formats(result.formats.begin(), result.formats.end());
  for (const auto* list : {&model.inputs, &model.outputs}) {
    for (const graph::TensorId id : *list) formats.emplace(numerics::format_name(model.tensor(id).format));
  }
  result.formats.assign(formats.begin(), formats.end());
  for (const graph::Op& op : run.graph.ops) {
    if (!op.host)
      ++result.chip_ops;
    else if (std::find(result.host_operators.begin(), result.host_operators.end(), op.kind) == result.host_operators.end())
      result.host_operators.push_back(op.kind);
  }
  const std::vector<Tensor>& outputs = run.outputs;
  if (outputs.size() != expected.size())
    return differs(fmt::format("{} outputs are expected, the model has {}", expected.size(), outputs.size()));

  const bool random = graph::is_random(model);
  std::vector<Tensor> wanted;
  std::vector<Tolerance> tolerances;
  std::vector<std::string> names;
  bool any_derived = false;
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    const graph::Tensor& tensor = model.tensor(model.outputs[k]);
    if (signature.texts.size() == outputs.size() && signature.texts[k] && expected[k].shape.back() <= outputs[k].shape.back())
      expected[k] = in_rows(expected[k], outputs[k].shape);
    if (expected[k].shape != outputs[k].shape)
      return differs(fmt::format("output {} has shape [{}] instead of [{}]", tensor.name, fmt::join(outputs[k].shape, ", "),
                                 fmt::join(expected[k].shape, ", ")));
    if (expected[k].format != tensor.format)
      return differs(fmt::format("output {} is {} instead of {}", tensor.name, numerics::format_name(tensor.format),
                                 numerics::format_name(expected[k].format)));
    bool derived = false;
    tolerances.push_back(tolerance_of(model, run.compiled, tensor.format, expected[k], options, derived));
    any_derived = any_derived || derived;
    wanted.push_back(expected[k].format == outputs[k].format ? expected[k] : numerics::convert_tensor(expected[k], outputs[k].format));
    names.push_back(tensor.name);
    result.bit_exact = result.bit_exact && !random && same_bits(outputs[k], wanted[k]);
  }
  if (random) {
    SY_TRY(const Verdict verdict, judge_draws(test, given, chip, options, outputs, result.operators));
    result.distribution = verdict.text;
    return verdict.passed ? Status(Done{}) : differs("the distribution is wrong: " + verdict.text);
  }
  const CheckReport check = compare_outputs(outputs, wanted, tolerances, names, {});
  if (any_derived) result.tolerance = check.rule;
  if (!check.passed) {
    const Divergence& d = *check.first;
    return differs(fmt::format("{}[{}] is {:.9g}, expected {:.9g} (tolerance {:.3g})", d.tensor, fmt::join(d.index, ", "), d.got,
                               d.expected, d.tolerance));
  }
  return Done{};
}

}  // namespace

Result<std::vector<ConformCase>> find_cases(const std::string& directory) {
  std::vector<ConformCase> cases;
  std::error_code error;
  const fs::path root(directory);
  const auto add = [&](const fs::path& folder) {
    ConformCase found;
    found.name = folder.lexically_relative(root).string();
    if (found.name == ".") found.name = fs::absolute(folder, error).lexically_normal().filename().string();
    found.model = (folder / "model.onnx").string();
    for (const auto& entry : fs::directory_iterator(folder, error)) {
      if (is_data_set(entry)) found.data_sets.push_back(entry.path().string());
    }
    std::sort(found.data_sets.begin(), found.data_sets.end());
    if (!found.data_sets.empty()) cases.push_back(std::move(found));
  };
  if (fs::exists(root / "model.onnx", error)) add(root);
  fs::recursive_directory_iterator at(root, error);
  for (; !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
    if (at->is_directory(error) && fs::exists(at->path() / "model.onnx", error)) add(at->path());
  }
  if (cases.empty()) {
    return fail(FailureKind::malformed, "conform/no-cases", fmt::format("no ONNX test cases are in '{}'", directory),
                "a case is a folder with model.onnx and test_data_set_0/{input,output}_0.pb");
  }
  std::sort(cases.begin(), cases.end(), [](const ConformCase& a, const ConformCase& b) { return a.name < b.name; });
  return cases;
}

CaseResult run_case(const ConformCase& test, const std::shared_ptr<const chip::Chip>& chip, const ConformOptions& options) {
  CaseResult result;
  result.name = test.name;
  const auto begin = std::chrono::steady_clock::now();
  try {
    result.bit_exact = true;
    result.outcome = ConformOutcome::passed;
    if (auto operators = model::onnx_operators_of(test.model)) result.operators = std::move(operators).value();
    for (const std::string& folder : test.data_sets) {
      const Status status = run_data_set(test, folder, chip, options, result);
      if (status) continue;
      result.outcome = status.failure().kind == FailureKind::unsupported ? ConformOutcome::unsupported : ConformOutcome::failed;
      result.why = first_line(status.failure());
      break;
    }
  } catch (const std::exception& bug) {  // one case must not end the others
    result.outcome = ConformOutcome::failed;
    result.why = fmt::format("a bug in switchyard: {}", bug.what());
  }
  result.bit_exact = result.bit_exact && result.outcome == ConformOutcome::passed;
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return result;
}

}  // namespace switchyard::report
