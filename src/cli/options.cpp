// The one file that knows CLI11. It splits the command line into options and arguments; values are read here by our own rules, so that a
// bad one gets a diagnostic like every other mistake.
#include "cli/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string_view>

#include "support/quantity.h"

namespace switchyard::cli {
namespace {

struct VerbInfo {
  Verb verb;
  const char* name;
  const char* usage;
  const char* summary;
  const char* examples;
  std::size_t least, most;  ///< arguments
};

constexpr std::array<VerbInfo, 9> kVerbs{{
    {Verb::run, "run", "run MODEL --chip CHIP [options]", "compile a model for a chip, execute it there, time it, report",
     "  switchyard run resnet50 --chip tx81\n"
     "  switchyard run gemm --set m=2048 --set n=2048 --set k=2048 --chip h100-sxm --precision fp16\n"
     "  switchyard run model.onnx --chip tx81 --inputs test_data_set_0 --expect test_data_set_0\n"
     "  switchyard run resnet50 --chip tx81 --override /memories/ddr/bandwidth=400GB/s --no-values\n"
     "  switchyard run resnet50 --chip tx81 --disable fuse --no-values --map resnet50.svg\n"
     "  switchyard run resnet50 --chip tx81 --format json -o run.json\n",
     1, 1},
    {Verb::compile, "compile", "compile MODEL --chip CHIP -o P.syp [options]", "compile a model for a chip into a program file",
     "  switchyard compile resnet50 --chip tx81 -o resnet50.syp\n"
     "  switchyard compile model.onnx --chip h100-sxm --precision bf16 --batch 8 -o model.syp\n",
     1, 1},
    {Verb::simulate, "simulate", "simulate P.syp [options]", "execute and time a program file; the model is not needed",
     "  switchyard simulate resnet50.syp\n"
     "  switchyard simulate resnet50.syp --seed 7 --outputs out --format json\n",
     1, 1},
    {Verb::compare, "compare", "compare MODEL --chips A,B,C [options]", "the same model on several chips, side by side",
     "  switchyard compare resnet50 --chips tx81,h100-sxm\n"
     "  switchyard compare gemm --chips tx81,h100-sxm --precision fp16 --format json\n",
     1, 1},
    {Verb::explain, "explain", "explain MODEL --chip CHIP [--context NAME] [options]", "why this mapping, why this time",
     "  switchyard explain resnet50 --chip tx81\n"
     "  switchyard explain resnet50 --chip tx81 --context layer4.0.conv2\n"
     "  switchyard explain resnet50 --chip tx81 --disable overlap,pin\n"
     "  switchyard explain gemm --chip tx81 --map gemm.svg --format json -o gemm.json\n",
     1, 1},
    {Verb::validate, "validate", "validate FILE.csv... [options]", "predict every row of measurement files, and say how far off",
     "  switchyard validate measurements.csv\n"
     "  switchyard validate a.csv b.csv --rows rows.csv --report errors.svg\n"
     "  switchyard validate measurements.csv --format json -o errors.json\n",
     1, 1000},
    {Verb::chips, "chips", "chips list | show NAME | check FILE...", "the machine library",
     "  switchyard chips list\n"
     "  switchyard chips show tx81\n"
     "  switchyard chips check my-chip.yaml\n",
     1, 1000},
    {Verb::models, "models", "models list | show MODEL", "the built-in models",
     "  switchyard models list\n"
     "  switchyard models show resnet50\n"
     "  switchyard models show model.onnx\n",
     1, 2},
    {Verb::help, "help", "help [VERB]", "this text, or a verb's",
     "  switchyard help run\n"
     "  switchyard run --help\n",
     0, 1},
}};

const VerbInfo& verb_info(Verb verb) {
  return *std::find_if(kVerbs.begin(), kVerbs.end(), [&](const VerbInfo& v) { return v.verb == verb; });
}

/// Promised by the contract for later.
constexpr std::array<const char*, 7> kLaterVerbs{"diff", "conform", "study", "sweep", "serve", "train", "view"};
struct LaterOption {
  const char* name;
  bool takes_value;
};
constexpr std::array<LaterOption, 13> kLaterOptions{{{"--shape", true},
                                                     {"--dump-tensor", true},
                                                     {"--max-memory", true},
                                                     {"--timeout", true},
                                                     {"--trace", true},
                                                     {"--phase", true},
                                                     {"--prompt", true},
                                                     {"--context-length", true},
                                                     {"--weights", true},
                                                     {"--report", true},
                                                     {"--fail-if", true},
                                                     {"--timing-from-values", false},
                                                     {"--explain", false}}};

Failure usage(std::string code, std::string message, std::string hint = {}) {
  return fail(FailureKind::usage, std::move(code), std::move(message), std::move(hint));
}

Failure not_yet(const std::string& what) {
  return usage("cli/not-yet", fmt::format("{} is part of the plan but not of this version", what), "`switchyard help` lists what there is");
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates, const std::string& otherwise) {
  const std::string nearest = nearest_name(word, candidates);
  return nearest.empty() ? otherwise : fmt::format("did you mean '{}'?", nearest);
}

template <class Number>
bool parse_whole(const std::string& text, Number& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

/// Option values as CLI11 hands them over: texts, not yet read.
struct Raw {
  std::string values, check, precision, batch, seed, threads, effort, format, rtol, atol, output, inputs, expect, outputs, chip, context,
      map, mapping, dump_mapping, report, rows, every;
  std::vector<std::string> chips, chip_paths, set, overrides, disabled, dump_after, arguments;
  bool no_values = false, cold = false, quiet = false, help = false, time_passes = false;
};

struct Does {
  bool loads_model, runs, has_chip, has_chips, checks_operators;  // runs: executes and times
};

Does what_it_does(Verb verb) {
  switch (verb) {
    case Verb::run: return {true, true, true, false, true};
    case Verb::compile: return {true, false, true, false, false};
    case Verb::simulate: return {false, true, false, false, false};
    case Verb::compare: return {true, true, false, true, true};
    case Verb::explain: return {true, false, true, false, false};
    case Verb::models: return {true, false, false, false, false};
    case Verb::chips: return {};
    default: return {};
  }
}

/// Every option of every verb, in the order in which help lists them.
void add_options(CLI::App& app, Raw& raw, Verb verb) {
  const Does does = what_it_does(verb);
  const auto value = [&](const char* name, auto& to, const char* type, const char* text) {
    app.add_option(name, to, text)->type_name(type)->expected(1)->take_last();
  };
  const auto list = [&](const char* name, std::vector<std::string>& to, const char* type, const char* text) {
    app.add_option(name, to, text)->type_name(type)->expected(1)->take_all()->allow_extra_args(false);
  };
  const bool compiles = does.has_chip || does.has_chips;
  if (does.has_chip) value("--chip", raw.chip, "CHIP", "the chip: a name (`switchyard chips list`) or a description file");
  if (does.has_chips) list("--chips", raw.chips, "A,B,...", "the chips, separated by commas");
  const bool predicts = verb == Verb::validate;
  if (compiles || predicts || verb == Verb::chips) list("--chip-path", raw.chip_paths, "DIR", "search chips here first; may be repeated");
  if (compiles || predicts)
    list("--override", raw.overrides, "POINTER=QUANTITY", "change a number of the chip: /memories/ddr/bandwidth=400GB/s; may be repeated");
  if (does.loads_model) list("--set", raw.set, "NAME=VALUE", "a parameter of a built-in model: m=2048; may be repeated");
  if (does.loads_model) value("--batch", raw.batch, "N", "batch size (default: the model's own; 1 for built-in models)");
  if (compiles)
    value("--precision", raw.precision, "FORMAT", "fp32, fp16, bf16, ... (default: an imported model's own; bf16 for built-in models)");
  if (compiles) value("--effort", raw.effort, "0-3", "how hard to search for a good mapping (default 1)");
  if (compiles)
    list("--disable", raw.disabled, "fuse|share|overlap|place|pin", "do without, to see what it is worth; may be repeated, or a list");
  if (verb == Verb::explain) value("--context", raw.context, "NAME", "the whole story of one context (or operator)");
  if (does.runs) {
    value("--inputs", raw.inputs, "DIR", "input_0.pb or input_0.npy, ... for the graph's inputs in order (default: seeded values)");
    value("--expect", raw.expect, "DIR", "compare outputs with output_0.pb or output_0.npy, ...");
    value("--rtol", raw.rtol, "X", "relative tolerance for --expect (default: by format and depth)");
    value("--atol", raw.atol, "X", "absolute tolerance for --expect");
    value("--outputs", raw.outputs, "DIR", "write output_0.pb, ... here");
    value("--values", raw.values, "auto|on|off", "execute with real numbers (auto: up to 100 GMAC and 4 GB of tensors)");
    app.add_flag("--no-values", raw.no_values, "the same as --values off: times only");
  }
  if (does.checks_operators)
    value("--check", raw.check, "sampled|full|none", "recompute operators' outputs with the reference evaluator (default sampled)");
  if (does.runs || verb == Verb::explain) app.add_flag("--cold", raw.cold, "start with all on-chip memories empty");
  if (does.loads_model || does.runs) value("--seed", raw.seed, "N", "of weights, inputs and sampled points (default 0)");
  if (predicts) {
    value("--rows", raw.rows, "FILE.csv", "write every row with its prediction here");
    value("--report", raw.report, "FILE.svg", "draw predicted over measured times, and the errors, of each group");
    value("--every", raw.every, "N", "take only every N-th row (default 1)");
  }
  if (does.runs || predicts) value("--threads", raw.threads, "N", "host threads (default: all); results do not depend on it");
  if (verb == Verb::run || verb == Verb::simulate || verb == Verb::explain)
    value("--map", raw.map, "FILE.svg", "draw the chip, context by context: who sits where, what the links carry");
  if (does.has_chip) {
    app.add_flag("--time-passes", raw.time_passes, "how long each pass of the compiler took, on standard error");
    value("--mapping", raw.mapping, "FILE", "map contexts as this file says; the others as usual (docs/formats/mapping.md)");
    value("--dump-mapping", raw.dump_mapping, "FILE", "write all mappings in that format");
    list("--dump-after", raw.dump_after, "PASS", "what this pass of the compiler made, on standard error; may be repeated, or a list");
  }
  if (verb != Verb::compile && verb != Verb::help) value("--format", raw.format, "table|json", "how to print the result (default table)");
  if (verb != Verb::help) value("-o,--output", raw.output, "FILE", "write the result here instead of on standard output");
  app.add_flag("--quiet", raw.quiet, "no progress on standard error");
  app.add_flag("-h,--help", raw.help, "this text");
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

/// The word as an option of the future, taken out of the line with its value, or of none.
std::optional<std::string> later_option(const std::string& word) {
  const std::string name = word.substr(0, word.find('='));
  const auto found = std::find_if(kLaterOptions.begin(), kLaterOptions.end(), [&](const LaterOption& o) { return name == o.name; });
  if (found == kLaterOptions.end()) return std::nullopt;
  return name;
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
void read_lists(const std::vector<std::string>& lists, std::vector<std::string>& to) {
  for (const std::string& list : lists) {
    for (std::size_t begin = 0; begin <= list.size();) {
      const std::size_t comma = std::min(list.find(',', begin), list.size());
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

Result<Options> read_values(const Raw& raw, Options options) {
  ValueReader reader;
  static constexpr std::array<std::pair<const char*, Values>, 3> kValues{
      {{"auto", Values::automatic}, {"on", Values::on}, {"off", Values::off}}};
  static constexpr std::array<std::pair<const char*, Check>, 3> kChecks{
      {{"sampled", Check::sampled}, {"full", Check::full}, {"none", Check::none}}};
  static constexpr std::array<std::pair<const char*, OutputFormat>, 2> kFormats{
      {{"table", OutputFormat::table}, {"json", OutputFormat::json}}};
  reader.choice("--values", raw.values, kValues, options.values);
  if (raw.no_values) options.values = Values::off;
  reader.choice("--check", raw.check, kChecks, options.check);
  options.check_given = !raw.check.empty();
  if (raw.format == "csv" || raw.format == "md" || raw.format == "jsonl") {
    reader.add(not_yet("--format " + raw.format));
  } else {
    reader.choice("--format", raw.format, kFormats, options.format);
  }
  if (raw.batch.find(',') != std::string::npos) {
    reader.add(not_yet("a list of batch sizes"));
  } else {
    reader.whole<std::int64_t>("--batch", raw.batch, 1, 1'000'000'000, options.batch);
  }
  reader.whole<std::uint64_t>("--seed", raw.seed, 0, ~std::uint64_t{0}, options.seed);
  reader.whole<int>("--threads", raw.threads, 1, 4096, options.threads);
  reader.whole<std::int64_t>("--every", raw.every, 1, 1'000'000'000, options.every);
  reader.whole<int>("--effort", raw.effort, 0, 3, options.effort);
  reader.real("--rtol", raw.rtol, options.rtol);
  reader.real("--atol", raw.atol, options.atol);
  read_set(raw.set, reader, options.set);
  read_overrides(raw.overrides, reader, options.overrides);
  std::vector<std::string> parts;
  for (const Part& part : kParts) parts.emplace_back(part.name);
  read_names("--disable", raw.disabled, parts, reader, options.disabled_names,
             [&](std::size_t i) { options.disabled.*kParts[i].flag = true; });
  const std::vector<std::string> passes(compiler::kPasses.begin(), compiler::kPasses.end());
  read_names("--dump-after", raw.dump_after, passes, reader, options.dump_after, [](std::size_t) {});
  options.context = raw.context;
  options.map = raw.map;
  options.time_passes = raw.time_passes;
  if (!raw.chip.empty()) options.chips = {raw.chip};
  read_lists(raw.chips, options.chips);
  options.chip_paths = raw.chip_paths;
  options.precision = raw.precision;
  options.inputs = raw.inputs;
  options.expect = raw.expect;
  options.outputs = raw.outputs;
  options.output = raw.output;
  options.mapping = raw.mapping;
  options.report = raw.report;
  options.rows = raw.rows;
  options.dump_mapping = raw.dump_mapping;
  options.cold = raw.cold;
  options.quiet = raw.quiet;
  options.help = raw.help;
  options.arguments = raw.arguments;
  if (!reader.failure().diagnostics.empty()) return reader.failure();
  return options;
}

/// Arguments and options that a verb cannot do without.
Status check_complete(const Options& options) {
  const VerbInfo& info = verb_info(options.verb);
  const Does does = what_it_does(options.verb);
  const std::string how = fmt::format("usage: switchyard {}", info.usage);
  if (options.arguments.size() < info.least) {
    return usage("cli/missing-argument",
                 fmt::format("{} needs {}", info.name,
                             options.verb == Verb::simulate    ? "a program file"
                             : options.verb == Verb::validate  ? "a file of measurements"
                             : does.has_chip || does.has_chips ? "a model"
                                                               : "to be told what to do"),
                 how);
  }
  if (options.arguments.size() > info.most) {
    return usage("cli/too-many-arguments", fmt::format("'{}' is one argument too many for {}", options.arguments[info.most], info.name),
                 how);
  }
  if (does.has_chip && options.chips.empty()) return usage("cli/missing-argument", fmt::format("{} needs --chip", info.name), how);
  if (does.has_chips && options.chips.empty()) return usage("cli/missing-argument", fmt::format("{} needs --chips", info.name), how);
  if (options.values == Values::off && !(options.expect.empty() && options.outputs.empty())) {
    return usage("cli/bad-value", fmt::format("{} needs values, which are off", options.expect.empty() ? "--outputs" : "--expect"), how);
  }
  if (options.verb == Verb::compile && options.output.empty()) {
    return usage("cli/missing-argument", "compile needs -o: constants are written beside the program", how);
  }
  if (options.verb == Verb::compile && options.output.ends_with(".safetensors")) {
    return usage("cli/bad-value", "the program cannot take the name of its constants, FILE.safetensors", "name it FILE.syp");
  }
  return Done{};
}

}  // namespace

Result<Options> parse_command_line(const std::vector<std::string>& argv) {
  Options options;
  options.argv = argv;
  if (argv.size() < 2)
    return usage("cli/no-verb", "nothing to do", "`switchyard help` lists the verbs; try `switchyard run resnet50 --chip tx81`");
  const std::string& word = argv[1];
  if (word == "--version") {
    options.verb = Verb::version;
    return options;
  }
  if (word == "--help" || word == "-h") return options;
  const auto found = std::find_if(kVerbs.begin(), kVerbs.end(), [&](const VerbInfo& v) { return word == v.name; });
  if (found == kVerbs.end()) {
    if (std::find(kLaterVerbs.begin(), kLaterVerbs.end(), word) != kLaterVerbs.end()) return not_yet(fmt::format("the verb '{}'", word));
    std::vector<std::string> names;
    for (const VerbInfo& v : kVerbs) names.emplace_back(v.name);
    return usage("cli/unknown-verb", fmt::format("'{}' is not a verb", word),
                 did_you_mean(word, names, "`switchyard help` lists the verbs"));
  }
  options.verb = found->verb;

  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  Raw raw;
  add_options(app, raw, options.verb);
  std::vector<std::string> words(argv.begin() + 2, argv.end());
  const auto end_of_options = std::find(words.begin(), words.end(), "--");
  for (auto w = words.begin(); w != end_of_options; ++w) {
    if (options.verb == Verb::validate && w->starts_with("--report")) continue;
    if (const auto later = later_option(*w)) return not_yet(fmt::format("the option {}", *later));
  }
  std::reverse(words.begin(), words.end());  // what CLI11 expects of a vector
  try {
    app.parse(words);
  } catch (const CLI::ParseError& error) {
    std::string what = error.what();
    return usage("cli/bad-value", what.substr(0, what.find('\n')), fmt::format("`switchyard {} --help` lists its options", found->name));
  }
  for (const CLI::Option* option : app.get_options()) {
    const std::vector<std::string>& given = option->results();
    if (option->get_expected_max() > 0 && std::find(given.begin(), given.end(), "") != given.end()) {
      return usage("cli/bad-value", fmt::format("--{} was given an empty value", option->get_lnames().front()),
                   "an empty shell variable, perhaps");
    }
  }
  bool arguments_only = false;
  for (const std::string& extra : app.remaining()) {
    if (!arguments_only && extra == "--") {
      arguments_only = true;
    } else if (!arguments_only && extra.size() > 1 && extra[0] == '-') {
      const std::string name = extra.substr(0, extra.find('='));
      return usage("cli/unknown-option", fmt::format("{} has no option '{}'", found->name, name),
                   did_you_mean(name, option_names(app), fmt::format("`switchyard {} --help` lists its options", found->name)));
    } else {
      raw.arguments.push_back(extra);
    }
  }
  SY_TRY(options, read_values(raw, std::move(options)));
  if (options.help) return options;
  if (options.verb == Verb::models && !options.arguments.empty() && options.arguments[0] == "export") return not_yet("`models export`");
  SY_TRY([[maybe_unused]] const Done complete, check_complete(options));
  return options;
}

std::string help_text(Verb verb) {
  std::string text;
  if (verb == Verb::help || verb == Verb::version) {
    text = "examples:\n";
    for (const VerbInfo& v : kVerbs) {
      const std::string_view examples = v.examples;
      text += examples.substr(0, examples.find('\n') + 1);
    }
    text +=
        "\nSwitchyard compiles a model for a chip, executes the compiled program with real numbers, times it,\n"
        "and says what holds it back.\n\nverbs:\n";
    for (const VerbInfo& v : kVerbs) text += fmt::format("  {:9} {}\n", v.name, v.summary);
    text +=
        "\n`switchyard VERB --help` shows a verb's options; `switchyard --version` the version.\n"
        "exit codes: 0 done, 1 a check failed, 2 usage, 3 malformed or missing input, 4 cannot be done, 5 our bug, 130 interrupted\n";
    return text;
  }
  const VerbInfo& info = verb_info(verb);
  text = fmt::format("examples:\n{}\nusage: switchyard {}\n  {}\n\noptions:\n", info.examples, info.usage, info.summary);
  CLI::App app;
  app.set_help_flag();
  Raw raw;
  add_options(app, raw, verb);
  for (const CLI::Option* option : app.get_options()) {
    const std::string name = option->get_name(false, true);
    const std::string left = option->get_expected_max() == 0 ? name : fmt::format("{} {}", name, option->get_type_name());
    text += left.size() > 26 ? fmt::format("  {}\n  {:26} {}\n", left, "", option->get_description())
                             : fmt::format("  {:26} {}\n", left, option->get_description());
  }
  return text;
}

}  // namespace switchyard::cli
