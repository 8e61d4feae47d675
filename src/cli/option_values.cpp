#include "cli/option_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <tuple>

#include "cli/verb_table.h"
#include "compiler/quantise.h"
#include "support/quantity.h"

namespace switchyard::cli {

Failure usage(std::string code, std::string message, std::string hint) {
  return fail(FailureKind::usage, std::move(code), std::move(message), std::move(hint));
}

Failure not_yet(const std::string& what) {
  return usage("cli/not-yet", fmt::format("{} is part of the plan but not of this version", what), "`switchyard help` lists what there is");
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates, const std::string& otherwise) {
  const std::string nearest = nearest_name(word, candidates);
  return nearest.empty() ? otherwise : fmt::format("did you mean '{}'?", nearest);
}

namespace {

template <class Number>
bool parse_whole(const std::string& text, Number& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

class ValueReader {
 public:
  template <class Enum, std::size_t n>
  void choice(const char* option, const std::string& text, const std::array<std::pair<const char*, Enum>, n>& names, Enum& to) {
    if (text.empty()) return;
    std::vector<std::string> all;
    for (const auto& [name, value] : names) {
      if (text == name) {
        to = value;
        return;
      }
      all.emplace_back(name);
    }
    bad(option, text, fmt::format("{}", fmt::join(all, ", ")), all);
  }
  template <class Number>
  void whole(const char* option, const std::string& text, Number least, Number most, Number& to) {
    if (text.empty()) return;
    Number value{};
    if (!parse_whole(text, value) || value < least || value > most) {
      bad(option, text, fmt::format("a whole number from {} to {}", least, most), {});
      return;
    }
    to = value;
  }
  void real(const char* option, const std::string& text, std::optional<double>& to) {
    if (text.empty()) return;
    const auto quantity = parse_quantity(text);
    if (!quantity || quantity->dimension != Dimension::ratio || quantity->value < 0) {
      bad(option, text, "a number that is not negative", {});
      return;
    }
    to = quantity->value;
  }
  void bad(const char* option, const std::string& text, const std::string& wanted, const std::vector<std::string>& candidates) {
    failure_.kind = FailureKind::usage;
    failure_.diagnostics.push_back({"cli/bad-value",
                                    fmt::format("'{}' is no value for {}, which takes {}", text, option, wanted),
                                    {},
                                    {},
                                    candidates.empty() ? "" : did_you_mean(text, candidates, ""),
                                    {}});
  }
  void add(Failure failure) {
    failure_.kind = FailureKind::usage;
    for (Diagnostic& d : failure.diagnostics) failure_.diagnostics.push_back(std::move(d));
  }
  [[nodiscard]] const Failure& failure() const { return failure_; }

 private:
  Failure failure_;
};

/// Pairs NAME=VALUE of --set.
void read_set(const std::vector<std::string>& texts, ValueReader& reader, std::map<std::string, std::int64_t>& to) {
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    std::int64_t value = 0;
    if (equals == std::string::npos || equals == 0 || !parse_whole(text.substr(equals + 1), value) || value < 1) {
      reader.bad("--set", text, "NAME=VALUE with a positive whole number, such as m=2048", {});
      continue;
    }
    to[text.substr(0, equals)] = value;
  }
}

/// NAME=2x3 of --shape. A name may have a '=' in it, sizes have none.
void read_shapes(const std::vector<std::string>& texts, ValueReader& reader, std::map<std::string, std::vector<std::int64_t>>& to) {
  for (const std::string& text : texts) {
    const std::size_t equals = text.rfind('=');
    std::vector<std::int64_t> shape;
    bool good = equals != std::string::npos && equals > 0;
    for (std::size_t begin = equals + 1; good && begin <= text.size();) {
      const std::size_t end = std::min(text.find('x', begin), text.size());
      good = parse_whole(text.substr(begin, end - begin), shape.emplace_back()) && shape.back() > 0;
      begin = end + 1;
    }
    if (!good) {
      reader.bad("--shape", text, "INPUT=SIZES with positive whole numbers, such as x=1x3x224x224", {});
      continue;
    }
    to[text.substr(0, equals)] = std::move(shape);
  }
}

void read_memory(const std::string& text, ValueReader& reader, std::int64_t& to) {
  if (text.empty()) return;
  const auto size = parse_quantity(text);
  constexpr double kLeast = 1 << 24, kMost = 0x1p62;
  if (size && size->dimension == Dimension::bytes && size->value >= kLeast && size->value <= kMost)
    to = static_cast<std::int64_t>(size->value);
  else
    reader.bad("--max-memory", text, "a size of at least 16 MiB, such as 8 GiB", {});
}

void read_overrides(const std::vector<std::string>& texts, ValueReader& reader, std::vector<chip::Override>& to) {
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || text.empty() || text[0] != '/') {
      reader.bad("--override", text, "POINTER=QUANTITY, such as /memories/ddr/bandwidth=400GB/s", {});
      continue;
    }
    to.push_back({text.substr(0, equals), text.substr(equals + 1)});
  }
}

/// Lists separated by commas.
void read_lists(const std::vector<std::string>& lists, std::vector<std::string>& to, char separator = ',') {
  for (const std::string& list : lists) {
    for (std::size_t begin = 0; begin <= list.size();) {
      const std::size_t comma = std::min(list.find(separator, begin), list.size());
      if (comma > begin) to.push_back(list.substr(begin, comma - begin));
      begin = comma + 1;
    }
  }
}

struct Part {
  const char* name;
  bool compiler::Disabled::*flag;
};
constexpr std::array<Part, 5> kParts{{{"fuse", &compiler::Disabled::fuse},
                                      {"share", &compiler::Disabled::share},
                                      {"overlap", &compiler::Disabled::overlap},
                                      {"place", &compiler::Disabled::place},
                                      {"pin", &compiler::Disabled::pin}}};

/// Names out of a table, as given, each once; calls found(position in the table) for each.
template <class Names, class Found>
void read_names(const char* option, const std::vector<std::string>& lists, const Names& names, ValueReader& reader,
                std::vector<std::string>& to, const Found& found) {
  std::vector<std::string> words;
  read_lists(lists, words);
  for (const std::string& word : words) {
    const auto known = std::find(names.begin(), names.end(), word);
    if (known == names.end()) {
      reader.bad(option, word, fmt::format("{}", fmt::join(names, ", ")), names);
    } else if (std::find(to.begin(), to.end(), word) == to.end()) {
      to.push_back(word);
      found(static_cast<std::size_t>(known - names.begin()));
    }
  }
}

/// Lists of precisions and batch sizes, each once. Verbs that do one thing take one of each.
void read_axes(const Raw& raw, const VerbInfo& verb, ValueReader& reader, Options& to) {
  std::vector<std::string> batches;
  read_lists({raw.batch}, batches);
  read_lists({raw.precision}, to.precisions);
  for (const std::string& text : batches) {
    const std::size_t before = reader.failure().diagnostics.size();
    reader.whole<std::int64_t>("--batch", text, 1, 1'000'000'000, to.batch);
    if (reader.failure().diagnostics.size() > before) continue;
    if (std::find(to.batches.begin(), to.batches.end(), to.batch) == to.batches.end()) to.batches.push_back(to.batch);
  }
  std::vector<std::string> once;
  for (const std::string& p : to.precisions) {
    if (std::find(once.begin(), once.end(), p) == once.end()) once.push_back(p);
  }
  to.precisions = once;
  for (const auto& [option, text, count] :
       {std::tuple{"--batch", &raw.batch, batches.size()}, {"--precision", &raw.precision, once.size()}}) {
    if (!text->empty() && count == 0) reader.bad(option, *text, "a value, or several separated by commas", {});
    if (count > 1 && !verb.takes_lists) {
      reader.add(usage("cli/bad-value", fmt::format("{} takes one {}, not a list", verb.name, std::string(option).substr(2)),
                       "`switchyard compare` takes lists"));
    }
  }
  if (!to.batches.empty()) to.batch = to.batches.front();
  if (!to.precisions.empty()) to.precision = to.precisions.front();
}

}  // namespace

Result<Options> read_values(const Raw& raw, Options options) {
  ValueReader reader;
  static constexpr std::array<std::pair<const char*, Values>, 3> kValues{
      {{"auto", Values::automatic}, {"on", Values::on}, {"off", Values::off}}};
  static constexpr std::array<std::pair<const char*, Check>, 3> kChecks{
      {{"sampled", Check::sampled}, {"full", Check::full}, {"none", Check::none}}};
  static constexpr std::array<std::pair<const char*, OutputFormat>, 5> kFormats{{{"table", OutputFormat::table},
                                                                                 {"json", OutputFormat::json},
                                                                                 {"jsonl", OutputFormat::jsonl},
                                                                                 {"csv", OutputFormat::csv},
                                                                                 {"md", OutputFormat::md}}};
  const VerbInfo& verb = verb_info(options.verb);
  reader.choice("--values", raw.values, kValues, options.values);
  if (raw.no_values && options.values != Values::off && !raw.values.empty())
    reader.add(usage("cli/bad-value", fmt::format("--no-values contradicts --values {}", raw.values), "give one of them"));
  if (raw.no_values) options.values = Values::off;
  reader.choice("--check", raw.check, kChecks, options.check);
  options.check_given = !raw.check.empty();
  if (!raw.format.empty() && !has_format(verb, raw.format)) {
    std::vector<std::string> formats;
    read_lists({verb.formats}, formats, '|');
    reader.bad("--format", raw.format, fmt::format("{}", fmt::join(formats, ", ")), formats);
  } else {
    reader.choice("--format", raw.format, kFormats, options.format);
  }
  read_axes(raw, verb, reader, options);
  options.quantise = raw.quantise;
  options.calibrate = raw.calibrate;
  if (!raw.quantise.empty() && !compiler::parse_scheme(raw.quantise)) reader.bad("--quantise", raw.quantise, compiler::scheme_names(), {});
  if (!raw.calibrate.empty() && !compiler::parse_calibration(raw.calibrate))
    reader.bad("--calibrate", raw.calibrate, "minmax, percentile or mse", {"minmax", "percentile", "mse"});
  if (!raw.calibrate.empty() && raw.quantise.empty())
    reader.add(usage("cli/no-effect", "--calibrate changes nothing without --quantise", "leave it out"));
  if (!raw.quantise.empty() && !raw.weights.empty())
    reader.add(usage("cli/no-effect", "--quantise changes nothing beside --weights, which says in what format the matrices stay",
                     "give one of them"));
  reader.whole<std::uint64_t>("--seed", raw.seed, 0, ~std::uint64_t{0}, options.seed);
  reader.whole<int>("--threads", raw.threads, 1, 4096, options.threads);
  static constexpr std::array<std::pair<const char*, bool>, 2> kPhases{{{"prefill", false}, {"decode", true}}};
  reader.choice("--phase", raw.phase, kPhases, options.decode);
  reader.whole<std::int64_t>("--prompt", raw.prompt, 1, 1 << 20, options.prompt);
  reader.whole<std::int64_t>("--context-length", raw.context_length, 1, 1 << 20, options.context_length);
  if (!raw.phase.empty()) options.step_options.emplace_back("--phase");
  if (!raw.prompt.empty()) options.step_options.emplace_back("--prompt");
  if (!raw.context_length.empty()) options.step_options.emplace_back("--context-length");
  static constexpr std::array<std::pair<const char*, std::optional<numerics::Format>>, 3> kWeights{
      {{"int8", numerics::Format::int8}, {"int4", numerics::Format::int4}, {"fp8", numerics::Format::fp8_e4m3}}};
  reader.choice("--weights", raw.weights, kWeights, options.weights);
  reader.whole<std::int64_t>("--tensor-parallel", raw.tensor_parallel, 1, 1024, options.tensor_parallel);
  if (!raw.weights.empty()) options.step_options.emplace_back("--weights");
  if (!raw.tensor_parallel.empty()) options.step_options.emplace_back("--tensor-parallel");
  reader.whole<std::int64_t>("--every", raw.every, 1, 1'000'000'000, options.every);
  reader.whole<int>("--effort", raw.effort, 0, 3, options.effort);
  reader.real("--rtol", raw.rtol, options.rtol);
  reader.real("--atol", raw.atol, options.atol);
  read_set(raw.set, reader, options.set);
  read_shapes(raw.shapes, reader, options.shapes);
  reader.whole<std::int64_t>("--timeout", raw.timeout, 1, 1'000'000, options.timeout_s);
  read_memory(raw.max_memory, reader, options.max_memory);
  read_overrides(raw.overrides, reader, options.overrides);
  std::vector<std::string> parts;
  for (const Part& part : kParts) parts.emplace_back(part.name);
  read_names("--disable", raw.disabled, parts, reader, options.disabled_names,
             [&](std::size_t i) { options.disabled.*kParts[i].flag = true; });
  const std::vector<std::string> passes(compiler::kPasses.begin(), compiler::kPasses.end());
  read_names("--dump-after", raw.dump_after, passes, reader, options.dump_after, [](std::size_t) {});
  options.context = raw.context;
  options.dump_tensors = raw.dump_tensors;
  options.map = raw.map;
  options.trace = raw.trace;
  options.time_passes = raw.time_passes;
  options.layers = raw.layers;
  if (!raw.chip.empty()) options.chips = {raw.chip};
  read_lists(raw.chips, options.chips);
  options.chip_paths = raw.chip_paths;
  options.inputs = raw.inputs;
  options.expect = raw.expect;
  options.outputs = raw.outputs;
  options.output = raw.output;
  options.mapping = raw.mapping;
  options.report = raw.report;
  options.rows = raw.rows;
  options.operators = raw.operators;
  options.dump_mapping = raw.dump_mapping;
  options.cold = raw.cold;
  options.quiet = raw.quiet;
  options.help = raw.help;
  options.arguments = raw.arguments;
  if (!reader.failure().diagnostics.empty()) return reader.failure();
  return options;
}

}  // namespace switchyard::cli
