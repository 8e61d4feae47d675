#include "cli/options.h"

#include <gtest/gtest.h>

namespace switchyard::cli {
namespace {

std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words{"switchyard"};
  for (std::size_t begin = 0; begin < line.size();) {
    const std::size_t space = std::min(line.find(' ', begin), line.size());
    if (space > begin) words.push_back(line.substr(begin, space - begin));
    begin = space + 1;
  }
  return words;
}

Options parsed(const std::string& line) {
  const Result<Options> options = parse_command_line(words_of(line));
  EXPECT_TRUE(options.ok()) << line << ": " << (options.ok() ? "" : format_failure(options.failure()));
  return options.ok() ? options.value() : Options{};
}

std::string refused(const std::string& line) {
  const Result<Options> options = parse_command_line(words_of(line));
  EXPECT_FALSE(options.ok()) << line;
  if (options.ok()) return {};
  EXPECT_EQ(options.failure().kind, FailureKind::usage) << line;
  return format_failure(options.failure());
}

TEST(Options, ReadsEverythingRunTakes) {
  const Options o = parsed(
      "run model.onnx --chip tx81 --inputs in --expect out --rtol 0.5 --atol 1e-3 --outputs o --values on --check full --precision fp16 "
      "--batch 4 --seed 7 --threads 3 --override /a/b=400GB/s --override /c=1ns --cold --effort 3 --format json -o r.json --quiet "
      "--chip-path p "
      "--chip-path q");
  EXPECT_EQ(o.verb, Verb::run);
  EXPECT_EQ(o.arguments, (std::vector<std::string>{"model.onnx"}));
  EXPECT_EQ(o.chips, (std::vector<std::string>{"tx81"}));
  EXPECT_EQ(o.inputs, "in");
  EXPECT_EQ(o.expect, "out");
  EXPECT_EQ(o.outputs, "o");
  EXPECT_EQ(o.rtol, 0.5);
  EXPECT_EQ(o.atol, 1e-3);
  EXPECT_EQ(o.values, Values::on);
  EXPECT_EQ(o.check, Check::full);
  EXPECT_TRUE(o.check_given);
  EXPECT_EQ(o.precision, "fp16");
  EXPECT_EQ(o.batch, 4);
  EXPECT_EQ(o.seed, 7u);
  EXPECT_EQ(o.threads, 3);
  ASSERT_EQ(o.overrides.size(), 2u);
  EXPECT_EQ(o.overrides[0].pointer, "/a/b");
  EXPECT_EQ(o.overrides[0].quantity, "400GB/s");
  EXPECT_TRUE(o.cold);
  EXPECT_EQ(o.effort, 3);
  EXPECT_EQ(o.format, OutputFormat::json);
  EXPECT_EQ(o.output, "r.json");
  EXPECT_TRUE(o.quiet);
  EXPECT_EQ(o.chip_paths, (std::vector<std::string>{"p", "q"}));
  EXPECT_EQ(o.argv.front(), "switchyard");
}

TEST(Options, ReadsWhatToDoWithoutAndWhatToShow) {
  const Options o = parsed(
      "run gemm --chip c --disable fuse,pin --disable overlap --disable fuse --map m.svg --time-passes --dump-after kernels,emit "
      "--dump-after plan");
  EXPECT_TRUE(o.disabled.fuse && o.disabled.pin && o.disabled.overlap);
  EXPECT_FALSE(o.disabled.share || o.disabled.place);
  EXPECT_EQ(o.disabled_names, (std::vector<std::string>{"fuse", "pin", "overlap"}));
  EXPECT_EQ(o.map, "m.svg");
  EXPECT_TRUE(o.time_passes);
  EXPECT_EQ(o.dump_after, (std::vector<std::string>{"kernels", "emit", "plan"}));
  EXPECT_TRUE(parsed("compile gemm --chip c -o p.syp --disable share").disabled.share);
  EXPECT_TRUE(parsed("compare gemm --chips a,b --disable place").disabled.place);
  EXPECT_EQ(parsed("simulate p.syp --map m.svg").map, "m.svg");
  const Options e = parsed("explain gemm --chip c --context gemm --disable fuse --map m.svg --cold --format json");
  EXPECT_EQ(e.verb, Verb::explain);
  EXPECT_EQ(e.context, "gemm");
  EXPECT_EQ(e.map, "m.svg");
  EXPECT_TRUE(e.cold);
  const Options plain = parsed("run gemm --chip c");
  EXPECT_TRUE(plain.disabled_names.empty() && plain.map.empty() && plain.dump_after.empty() && !plain.time_passes);
}

TEST(Options, HasTheContractsDefaults) {
  const Options o = parsed("run gemm --chip=tx81");
  EXPECT_EQ(o.values, Values::automatic);
  EXPECT_EQ(o.check, Check::sampled);
  EXPECT_FALSE(o.check_given);
  EXPECT_EQ(o.batch, 0);
  EXPECT_EQ(o.seed, 0u);
  EXPECT_EQ(o.format, OutputFormat::table);
  EXPECT_EQ(parsed("run gemm --chip c --no-values").values, Values::off);
}

TEST(Options, TakesOptionsBeforeAndAfterArguments) {
  EXPECT_EQ(parsed("run --chip tx81 gemm").arguments, (std::vector<std::string>{"gemm"}));
  EXPECT_EQ(parsed("run --set m=1 --set n=2 gemm --chip tx81").arguments, (std::vector<std::string>{"gemm"}));
  EXPECT_EQ(parsed("run --chip tx81 -- --odd-name").arguments, (std::vector<std::string>{"--odd-name"}));
  EXPECT_EQ(parsed("simulate p.syp --seed 3").seed, 3u);
  EXPECT_EQ(parsed("compare gemm --chips a,b,c").chips, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(parsed("chips check a.yaml b.yaml").arguments.size(), 3u);
}

TEST(Options, ReadsParametersOfBuiltInModels) {
  const Options o = parsed("run gemm --chip c --set m=2048 --set n=16");
  EXPECT_EQ(o.set, (std::map<std::string, std::int64_t>{{"m", 2048}, {"n", 16}}));
}

TEST(Options, ReadsListsWhereTheyMeanSomething) {
  const Options o = parsed("compare gemm --chips a,b --precision fp16,bf16,fp16 --batch 1,2,4,2");
  EXPECT_EQ(o.precisions, (std::vector<std::string>{"fp16", "bf16"}));
  EXPECT_EQ(o.batches, (std::vector<std::int64_t>{1, 2, 4}));
  EXPECT_EQ(o.batch, 1);
  EXPECT_EQ(o.precision, "fp16");
  EXPECT_EQ(parsed("run gemm --chip c --batch 1,2").batches.size(), 2u);
  EXPECT_EQ(parsed("run gemm --chip c").batches.size(), 0u);
  EXPECT_NE(refused("compile gemm --chip c -o p.syp --batch 1,2").find("compile takes one batch, not a list [cli/bad-value]"),
            std::string::npos);
  EXPECT_NE(refused("explain gemm --chip c --precision fp16,bf16").find("explain takes one precision, not a list"), std::string::npos);
  EXPECT_NE(refused("compare gemm --chips a --batch ,").find("',' is no value for --batch"), std::string::npos);
  EXPECT_NE(refused("compare gemm --chips a --batch 1,x").find("'x' is no value for --batch"), std::string::npos);
}

TEST(Options, KnowsTheFormatsOfEachVerb) {
  EXPECT_EQ(parsed("run gemm --chip c --format jsonl").format, OutputFormat::jsonl);
  EXPECT_EQ(parsed("diff a b --format md").format, OutputFormat::md);
  EXPECT_EQ(parsed("chips list --format csv").format, OutputFormat::csv);
  EXPECT_NE(refused("explain gemm --chip c --format csv").find("'csv' is no value for --format, which takes table, json"),
            std::string::npos);
  EXPECT_NE(refused("diff a b --format jsno").find("did you mean 'json'?"), std::string::npos);
  EXPECT_NE(refused("compile gemm --chip c -o p.syp --format json").find("compile has no option '--format'"), std::string::npos);
}

TEST(Options, DumpsTensorsOfWhatIsExecuted) {
  EXPECT_EQ(parsed("run gemm --chip c --dump-tensor a --dump-tensor b,c").dump_tensors, (std::vector<std::string>{"a", "b,c"}));
  EXPECT_NE(refused("run gemm --chip c --no-values --dump-tensor a").find("--dump-tensor needs values, which are off"), std::string::npos);
}

TEST(Options, KnowsVersionAndHelp) {
  EXPECT_EQ(parsed("--version").verb, Verb::version);
  EXPECT_EQ(parsed("--help").verb, Verb::help);
  EXPECT_EQ(parsed("help run").arguments, (std::vector<std::string>{"run"}));
  // Help needs no complete command line.
  EXPECT_TRUE(parsed("run --help").help);
  EXPECT_TRUE(parsed("compile -h").help);
}

TEST(Options, RefusesEmptyValues) {
  for (const char* option : {"--inputs", "--expect", "--seed", "-o", "--chip-path", "--override", "--set"}) {
    const auto options = parse_command_line({"switchyard", "run", "gemm", "--chip", "c", option, ""});
    ASSERT_FALSE(options.ok()) << option;
    EXPECT_NE(format_failure(options.failure()).find("was given an empty value [cli/bad-value]"), std::string::npos) << option;
  }
}

TEST(Options, RefusesWithACodeAndAHint) {
  struct Case {
    const char* line;
    const char* message;
  };
  constexpr Case kCases[] = {
      {"", "nothing to do [cli/no-verb]"},
      {"rum", "'rum' is not a verb [cli/unknown-verb]\n  hint: did you mean 'run'?"},
      {"frobnicate", "[cli/unknown-verb]\n  hint: `switchyard help` lists the verbs"},
      {"run gemm --chip c --quantise int9",
       "'int9' is no value for --quantise, which takes int8, int4, fp8_e4m3, fp8_e5m2, mxfp8, mxfp6, mxfp4, nvfp4 (int8, int4 and fp8 with "
       ":tensor, :channel or :groupN; mx and nvfp4 with :both) [cli/bad-value]"},
      {"run DIR --chip c --weights int4 --quantise int8",
       "--quantise changes nothing beside --weights, which says in what format the matrices stay [cli/no-effect]\n  hint: give one of "
       "them"},
      {"run gemm --chip c --calibrate mse", "--calibrate changes nothing without --quantise [cli/no-effect]\n  hint: leave it out"},
      {"run gemm --chip c --precison fp16", "run has no option '--precison' [cli/unknown-option]\n  hint: did you mean '--precision'?"},
      {"run gemm --chip c --zzz=1", "run has no option '--zzz' [cli/unknown-option]"},
      {"run gemm --chip c -x", "run has no option '-x' [cli/unknown-option]"},
      {"compile gemm --chip c -o x --check full", "compile has no option '--check' [cli/unknown-option]"},
      {"run gemm", "run needs --chip [cli/missing-argument]"},
      {"run --chip c", "run needs a model [cli/missing-argument]\n  hint: usage: switchyard run MODEL --chip CHIP"},
      {"compare gemm", "compare needs --chips [cli/missing-argument]"},
      {"compile gemm --chip c", "compile needs -o"},
      {"compile gemm --chip c -o g.safetensors", "cannot take the name of its constants"},
      {"simulate", "simulate needs a program file [cli/missing-argument]"},
      {"chips", "chips needs to be told what to do [cli/missing-argument]"},
      {"run gemm more --chip c", "'more' is one argument too many for run [cli/too-many-arguments]"},
      {"run gemm --chip", "[cli/bad-value]"},
      {"run gemm --chip c --values maybe", "'maybe' is no value for --values, which takes auto, on, off [cli/bad-value]"},
      {"run gemm --chip c --check smapled", "hint: did you mean 'sampled'?"},
      {"run gemm --chip c --batch 0", "'0' is no value for --batch, which takes a whole number from 1 to"},
      {"run gemm --chip c --batch 99999999999999999999", "no value for --batch"},
      {"run gemm --chip c --batch 4x", "no value for --batch"},
      {"run gemm --chip c --effort 4", "'4' is no value for --effort, which takes a whole number from 0 to 3"},
      {"run gemm --chip c --seed -1", "[cli/"},
      {"run gemm --chip c --rtol nan", "'nan' is no value for --rtol"},
      {"run gemm --chip c --rtol 1GB", "'1GB' is no value for --rtol"},
      {"run gemm --chip c --set m", "'m' is no value for --set"},
      {"run gemm --chip c --set m=0", "'m=0' is no value for --set"},
      {"run gemm --chip c --override a=b", "'a=b' is no value for --override"},
      {"run gemm --chip c --format xml", "'xml' is no value for --format, which takes table, json"},
      {"run gemm --chip c --values off --expect d", "--expect needs values"},
      {"run gemm --chip c --disable fuze",
       "error: 'fuze' is no value for --disable, which takes fuse, share, overlap, place, pin [cli/bad-value]\n  hint: did you mean "
       "'fuse'?"},
      {"run gemm --chip c --disable fuse,palce", "'palce' is no value for --disable"},
      {"compile gemm --chip c -o p --dump-after emmit", "error: 'emmit' is no value for --dump-after, which takes canonicalise, formats, "},
      {"compile gemm --chip c -o p --dump-after emmit", "hint: did you mean 'emit'?"},
      {"compare gemm --chips a,b --mapping m", "compare has no option '--mapping' [cli/unknown-option]"},
      {"simulate p.syp --disable fuse", "simulate has no option '--disable' [cli/unknown-option]"},
      {"compare gemm --chips a,b --map m.svg", "compare has no option '--map' [cli/unknown-option]"},
      {"compile gemm --chip c -o p --map m.svg", "compile has no option '--map' [cli/unknown-option]"},
      {"run gemm --chip c --context gemm",
       "'gemm' is no value for --context-length, which takes a whole number from 1 to 1048576 [cli/bad-value]"},
      {"explain gemm", "explain needs --chip [cli/missing-argument]\n  hint: usage: switchyard explain MODEL --chip CHIP"},
      {"explain --chip c", "explain needs a model [cli/missing-argument]"},
      {"explain gemm --chip c --values on", "explain has no option '--values' [cli/unknown-option]"},
  };
  for (const Case& c : kCases) {
    const std::string text = refused(c.line);
    EXPECT_NE(text.find(c.message), std::string::npos) << c.line << "\n" << text;
  }
}

TEST(Options, TellsAllBadValuesAtOnce) {
  const std::string text = refused("run gemm --chip c --batch 0 --effort 9 --values perhaps");
  for (const char* wanted : {"--batch", "--effort", "--values"}) EXPECT_NE(text.find(wanted), std::string::npos) << text;
}

TEST(Options, SaysWhatHasNotArrived) {
  for (const char* line : {"study s", "sweep s", "serve s", "train t", "view v", "run gemm --chip c --report r.html",
                           "run gemm --chip c --fail-if x", "explain gemm --chip c --report r.html"}) {
    EXPECT_NE(refused(line).find("[cli/not-yet]"), std::string::npos) << line;
  }
}

TEST(Options, HelpStartsWithExamplesAndNamesEveryOption) {
  for (const Verb verb : {Verb::help, Verb::run, Verb::compile, Verb::simulate, Verb::compare, Verb::explain, Verb::diff, Verb::conform,
                          Verb::validate, Verb::chips, Verb::models}) {
    EXPECT_EQ(help_text(verb).rfind("examples:\n  switchyard ", 0), 0u);
  }
  const std::string run = help_text(Verb::run);
  for (const char* option :
       {"--chip ",      "--chip-path", "--override",     "--set",     "--batch",       "--precision", "--effort",   "--inputs",
        "--expect",     "--rtol",      "--atol",         "--outputs", "--values",      "--no-values", "--check",    "--cold",
        "--seed",       "--threads",   "--format",       "-o",        "--quiet",       "--map",       "--disable",  "--time-passes",
        "--dump-after", "--mapping",   "--dump-mapping", "--layers",  "--dump-tensor", "--trace",     "--quantise", "--calibrate"}) {
    EXPECT_NE(run.find(option), std::string::npos) << option << "\n" << run;
  }
}

}  // namespace
}  // namespace switchyard::cli
