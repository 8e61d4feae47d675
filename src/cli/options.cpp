// The one file that knows CLI11. It splits the command line into options and arguments; values are read here by our own rules, so that a
// bad one gets a diagnostic like every other mistake.
#include "cli/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <optional>

#include "cli/option_values.h"
#include "cli/verb_table.h"

namespace switchyard::cli {
namespace {

/// Promised by the contract for later.
constexpr std::array<const char*, 5> kLaterVerbs{"study", "sweep", "serve", "train", "view"};
constexpr std::array<const char*, 4> kLaterOptions{"--report", "--fail-if", "--timing-from-values", "--explain"};

/// Every option of every verb, in the order in which help lists them, by groups.
void add_options(CLI::App& app, Raw& raw, Verb verb) {
  const VerbInfo& does = verb_info(verb);
  const char* group = "";
  const auto value = [&](const char* name, auto& to, const char* type, const char* text) {
    app.add_option(name, to, text)->type_name(type)->expected(1)->take_last()->group(group);
  };
  const auto list = [&](const char* name, std::vector<std::string>& to, const char* type, const char* text) {
    app.add_option(name, to, text)->type_name(type)->expected(1)->take_all()->allow_extra_args(false)->group(group);
  };
  const auto flag = [&](const char* name, bool& to, const char* text) { app.add_flag(name, to, text)->group(group); };
  const bool compiles = does.has_chip || does.has_chips, predicts = verb == Verb::validate;
  const bool runs_one = verb == Verb::run || verb == Verb::simulate;

  group = "what";
  if (does.has_chip) value("--chip", raw.chip, "CHIP", "the chip: a name (`switchyard chips list`) or a description file");
  if (does.has_chips) list("--chips", raw.chips, "A,B,...", "the chips, separated by commas");
  if (compiles || predicts || verb == Verb::chips) list("--chip-path", raw.chip_paths, "DIR", "search chips here first; may be repeated");
  if (compiles || predicts || verb == Verb::simulate || verb == Verb::chips)
    list("--override", raw.overrides, "POINTER=QUANTITY", "change a number of the chip: /memories/ddr/bandwidth=400GB/s; may be repeated");
  if (does.loads_model) {
    list("--set", raw.set, "NAME=VALUE", "a built-in model's parameter (m=2048), a named dimension of a file's inputs; may be repeated");
    list("--shape", raw.shapes, "INPUT=1x3x224x224", "sizes for an input's open dimensions; may be repeated");
  }
  if (does.loads_model)
    value("--batch", raw.batch, does.takes_lists ? "N,..." : "N", "batch size (default: the model's own; 1 for built-in models)");
  if (does.loads_model) {
    value("--phase", raw.phase, "prefill|decode", "of a language model given by its config.json (default prefill)");
    value("--prompt", raw.prompt, "N", "tokens of a prefill (default 2048, or what the model has)");
    value(verb == Verb::explain ? "--context-length" : "--context-length,--context", raw.context_length, "N",
          "positions that a decode step sees (default 2048, or what the model has)");
    value("--weights", raw.weights, "int8|int4|fp8", "a language model's matrices stay in this format until they are multiplied by");
    value("--tensor-parallel", raw.tensor_parallel, "N", "so many devices of one server share a language model's layers; times are of one");
  }
  if (compiles)
    value("--precision", raw.precision, does.takes_lists ? "FORMAT,..." : "FORMAT",
          verb == Verb::conform ? "all floating tensors in fp32, fp16, bf16 (default: each in its own, where the chip has that)"
                                : "fp32, fp16, bf16, ... (default: an imported model's own; bf16 for built-in models)");
  if (verb == Verb::run) {
    value("--quantise", raw.quantise, "SCHEME",
          "weights and activations of products in int8, fp8_e4m3, int4, mxfp4, ...: docs/quantise.md");
    value("--calibrate", raw.calibrate, "minmax|percentile|mse", "how scales follow from values (default minmax)");
  }
  if (does.runs || verb == Verb::explain) flag("--cold", raw.cold, "start with all on-chip memories empty");
  if (does.loads_model || does.runs) value("--seed", raw.seed, "N", "of weights, inputs and sampled points (default 0)");
  if (predicts) value("--every", raw.every, "N", "take only every N-th row (default 1)");

  group = "compiling";
  if (compiles) value("--effort", raw.effort, "0-3", "how hard to search for a good mapping (default 1)");
  if (compiles && verb != Verb::conform)
    list("--disable", raw.disabled, "fuse|share|overlap|place|pin", "do without, to see what it is worth; may be repeated, or a list");
  if (does.has_chip && verb != Verb::conform) {
    value("--mapping", raw.mapping, "FILE", "map contexts as this file says; the others as usual (docs/formats/mapping.md)");
    value("--dump-mapping", raw.dump_mapping, "FILE", "write all mappings in that format");
    flag("--time-passes", raw.time_passes, "how long each pass of the compiler took, on standard error");
    list("--dump-after", raw.dump_after, "PASS", "what this pass of the compiler made, on standard error; may be repeated, or a list");
  }

  group = "values";
  if (verb == Verb::conform) {
    value("--rtol", raw.rtol, "X",
          "relative tolerance (default: 1e-3, as ONNX's own runner; by format where the chip computes in a narrower one)");
    value("--atol", raw.atol, "X", "absolute tolerance (default: 1e-7, likewise)");
  }
  if (does.runs) {
    value("--inputs", raw.inputs, "DIR", "input_0.pb or input_0.npy, ... for the graph's inputs in order (default: seeded values)");
    value("--expect", raw.expect, "DIR", "compare outputs with output_0.pb or output_0.npy, ...");
    value("--rtol", raw.rtol, "X", "relative tolerance for --expect (default: by format and depth)");
    value("--atol", raw.atol, "X", "absolute tolerance for --expect");
    value("--outputs", raw.outputs, "DIR",
          verb == Verb::simulate ? "write output_0.pb, ... here" : "write output_0.pb, ... here; of several runs each into a folder in it");
  }
  if (runs_one)
    list("--dump-tensor", raw.dump_tensors, "NAME", "write its values as NAME.npy, here or in the folder of --outputs; may be repeated");
  if (does.runs) {
    value("--values", raw.values, "auto|on|off", "execute with real numbers (auto: up to 100 GMAC and 4 GB of tensors)");
    flag("--no-values", raw.no_values, "the same as --values off: times only");
  }
  if (does.checks_operators)
    value("--check", raw.check, "sampled|full|none", "recompute operators' outputs with the reference evaluator (default sampled)");

  group = "a closer look";
  if (verb == Verb::explain) value("--context", raw.context, "NAME", "the whole story of one context (or operator)");
  if (runs_one) flag("--layers", raw.layers, "the table of all layers: MACs, bytes, intensity, time, bound, cause");
  if (runs_one || verb == Verb::explain) {
    value("--map", raw.map, "FILE.svg", "draw the chip, context by context: who sits where, what the links carry");
    value("--trace", raw.trace, "FILE.pftrace", "all that happens, event by event, for ui.perfetto.dev");
  }
  if (verb == Verb::conform)
    value("--operators", raw.operators, "FILE.md", "write a table of the operators, with the cases that pass, here");
  if (predicts) {
    value("--rows", raw.rows, "FILE.csv", "write every row with its prediction here");
    value("--report", raw.report, "FILE.svg", "draw predicted over measured times, and the errors, of each group");
  }

  group = "output";
  if (does.formats[0] != '\0') value("--format", raw.format, does.formats, "how to print the result (default table)");
  if (verb != Verb::help) value("-o,--output", raw.output, "FILE", "write the result here instead of on standard output");
  if (does.runs || compiles || predicts) value("--threads", raw.threads, "N", "host threads (default: all); results do not depend on it");
  if (does.loads_model || does.runs) {
    value("--timeout", raw.timeout, "SECONDS", "stop after this time, and deliver what there is");
    value("--max-memory", raw.max_memory, "SIZE", "give up rather than use more of the host's memory: 8 GiB, 500 MB");
  }
  flag("--quiet", raw.quiet, "no progress on standard error");
  flag("-h,--help", raw.help, "this text");
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

/// The word as an option of the future, which the verb has not.
std::optional<std::string> later_option(const std::string& word, const CLI::App& app) {
  const std::string name = word.substr(0, word.find('='));
  if (std::find(kLaterOptions.begin(), kLaterOptions.end(), name) == kLaterOptions.end()) return std::nullopt;
  const std::vector<std::string> known = option_names(app);
  return std::find(known.begin(), known.end(), name) == known.end() ? std::optional(name) : std::nullopt;
}

/// Options that contradict each other, or that would be of no effect.
Status check_together(const Options& options, const std::string& how) {
  struct Given {
    const char* option;
    bool given;
  };
  const Given need_values[] = {{"--expect", !options.expect.empty()},
                               {"--outputs", !options.outputs.empty()},
                               {"--inputs", !options.inputs.empty()},
                               {"--dump-tensor", !options.dump_tensors.empty()},
                               {"--check", options.check_given && options.check != Check::none}};
  for (const auto& [option, given] : need_values) {
    if (given && options.values == Values::off) return usage("cli/bad-value", fmt::format("{} needs values, which are off", option), how);
  }
  const Given need_expect[] = {{"--rtol", options.rtol.has_value()}, {"--atol", options.atol.has_value()}};
  for (const auto& [option, given] : need_expect) {
    if (given && options.expect.empty()) return usage("cli/bad-value", fmt::format("{} is for --expect, which is not given", option), how);
  }
  const Given need_one_run[] = {{"--map", !options.map.empty()},
                                {"--trace", !options.trace.empty()},
                                {"--layers", options.layers},
                                {"--dump-tensor", !options.dump_tensors.empty()},
                                {"--dump-mapping", !options.dump_mapping.empty()}};
  for (const auto& [option, given] : need_one_run) {
    if (given && (options.batches.size() > 1 || options.precisions.size() > 1))
      return usage("cli/bad-value", fmt::format("{} is of one run, and a list of --batch or --precision makes several", option), how);
  }
  return Done{};
}

/// Arguments and options that a verb cannot do without.
Status check_complete(const Options& options) {
  const VerbInfo& info = verb_info(options.verb);
  const std::string how = fmt::format("usage: switchyard {}", info.usage);
  if (options.arguments.size() < info.least) {
    return usage("cli/missing-argument", fmt::format("{} needs {}", info.name, info.argument), how);
  }
  if (options.arguments.size() > info.most) {
    return usage("cli/too-many-arguments", fmt::format("'{}' is one argument too many for {}", options.arguments[info.most], info.name),
                 how);
  }
  if (info.has_chip && options.chips.empty()) return usage("cli/missing-argument", fmt::format("{} needs --chip", info.name), how);
  if (info.has_chips && options.chips.empty()) return usage("cli/missing-argument", fmt::format("{} needs --chips", info.name), how);
  SY_TRY([[maybe_unused]] const Done agree, check_together(options, how));
  if (options.verb == Verb::compile && options.output.empty()) {
    return usage("cli/missing-argument", "compile needs -o: constants are written beside the program", how);
  }
  if (options.verb == Verb::compile && options.output.ends_with(".safetensors")) {
    return usage("cli/bad-value", "the program cannot take the name of its constants, FILE.safetensors", "name it FILE.syp");
  }
  return Done{};
}

}  // namespace

bool is_later_verb(std::string_view word) { return std::find(kLaterVerbs.begin(), kLaterVerbs.end(), word) != kLaterVerbs.end(); }

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
  const VerbInfo* found = find_verb(word);
  if (found == nullptr) {
    if (is_later_verb(word)) return not_yet(fmt::format("the verb '{}'", word));
    std::vector<std::string> names;
    for (const VerbInfo& v : all_verbs()) names.emplace_back(v.name);
    for (const char* option : {"--help", "--version"}) names.emplace_back(option);
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
    if (const auto later = later_option(*w, app)) return not_yet(fmt::format("the option {}", *later));
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
                   options.verb == Verb::simulate && name == "--chip"
                       ? "a program brings its chip; --override changes it"
                       : did_you_mean(name, option_names(app), fmt::format("`switchyard {} --help` lists its options", found->name)));
    } else {
      raw.arguments.push_back(extra);
    }
  }
  SY_TRY(options, read_values(raw, std::move(options)));
  if (options.help) return options;
  SY_TRY([[maybe_unused]] const Done complete, check_complete(options));
  return options;
}

std::string help_text(Verb verb) {
  std::string text;
  if (verb == Verb::help || verb == Verb::version) {
    text = "examples:\n";
    for (const VerbInfo& v : all_verbs()) {
      const std::string_view examples = v.examples;
      text += examples.substr(0, examples.find('\n') + 1);
    }
    text +=
        "\nSwitchyard compiles a model for a chip, executes the compiled program with real numbers, times it,\n"
        "and says what holds it back.\n\nverbs:\n";
    for (const VerbInfo& v : all_verbs()) text += fmt::format("  {:9} {}\n", v.name, v.summary);
    text +=
        "\n`switchyard VERB --help` shows a verb's options; `switchyard help CODE` explains a diagnostic;\n"
        "`switchyard --version` the version.\n"
        "exit codes: 0 done, 1 a check failed, 2 usage, 3 malformed or missing input, 4 cannot be done, 5 our bug, 130 interrupted\n";
    return text;
  }
  const VerbInfo& info = verb_info(verb);
  text = fmt::format("examples:\n{}\nusage: switchyard {}\n  {}\n", info.examples, info.usage, info.summary);
  std::string group;
  CLI::App app;
  app.set_help_flag();
  Raw raw;
  add_options(app, raw, verb);
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group() != group) text += fmt::format("\n{}:\n", group = option->get_group());
    const std::string name = option->get_name(false, true);
    const std::string left = option->get_expected_max() == 0 ? name : fmt::format("{} {}", name, option->get_type_name());
    text += left.size() > 26 ? fmt::format("  {}\n  {:26} {}\n", left, "", option->get_description())
                             : fmt::format("  {:26} {}\n", left, option->get_description());
  }
  return text;
}

}  // namespace switchyard::cli
