#include "cli/verb_table.h"

#include <algorithm>
#include <array>

#include "cli/verbs.h"

namespace switchyard::cli {
namespace {

constexpr const char* kRunFormats = "table|json|jsonl|csv|md";
constexpr const char* kListFormats = "table|json|csv|md";

constexpr std::array<VerbInfo, 11> kVerbs{{
    {.verb = Verb::run,
     .name = "run",
     .usage = "run MODEL --chip CHIP [options]",
     .summary = "compile a model for a chip, execute it there, time it, report",
     .examples = "  switchyard run resnet50 --chip tx81\n"
                 "  switchyard run gemm --set m=2048 --set n=2048 --set k=2048 --chip h100-sxm --precision fp16\n"
                 "  switchyard run model.onnx --chip tx81 --inputs test_data_set_0 --expect test_data_set_0\n"
                 "  switchyard run resnet50 --chip tx81 --override /memories/ddr/bandwidth=400GB/s --no-values\n"
                 "  switchyard run resnet50 --chip tx81 --disable fuse --no-values --map resnet50.svg\n"
                 "  switchyard run resnet50 --chip tx81 --no-values --layers --trace resnet50.pftrace\n"
                 "  switchyard run resnet50 --chip tx81 --format json -o run.json\n",
     .argument = "a model",
     .formats = kRunFormats,
     .loads_model = true,
     .runs = true,
     .has_chip = true,
     .checks_operators = true,
     .takes_lists = true,
     .perform = run_verb},
    {.verb = Verb::compile,
     .name = "compile",
     .usage = "compile MODEL --chip CHIP -o P.syp [options]",
     .summary = "compile a model for a chip into a program file",
     .examples = "  switchyard compile resnet50 --chip tx81 -o resnet50.syp\n"
                 "  switchyard compile model.onnx --chip h100-sxm --precision bf16 --batch 8 -o model.syp\n",
     .argument = "a model",
     .loads_model = true,
     .has_chip = true,
     .perform = compile_verb},
    {.verb = Verb::simulate,
     .name = "simulate",
     .usage = "simulate P.syp [options]",
     .summary = "execute and time a program file; the model is not needed",
     .examples = "  switchyard simulate resnet50.syp\n"
                 "  switchyard simulate resnet50.syp --seed 7 --outputs out --format json\n",
     .argument = "a program file",
     .formats = kRunFormats,
     .runs = true,
     .perform = simulate_verb},
    {.verb = Verb::compare,
     .name = "compare",
     .usage = "compare MODEL --chips A,B,C [--precision P,Q] [--batch 1,2,4] [options]",
     .summary = "the same model on several chips, in several precisions and batch sizes, side by side",
     .examples = "  switchyard compare resnet50 --chips tx81,h100-sxm\n"
                 "  switchyard compare gemm --chips tx81,h100-sxm --precision fp16 --format json\n"
                 "  switchyard compare resnet50 --chips tx81,h100-sxm --precision fp16,bf16 --batch 1,2,4,8 --no-values\n"
                 "  switchyard compare resnet50 --chips tx81 --batch 1,8 --no-values --format csv -o resnet50.csv\n",
     .argument = "a model",
     .formats = kRunFormats,
     .loads_model = true,
     .runs = true,
     .has_chips = true,
     .checks_operators = true,
     .takes_lists = true,
     .perform = compare_verb},
    {.verb = Verb::explain,
     .name = "explain",
     .usage = "explain MODEL --chip CHIP [--context NAME] [options]",
     .summary = "why this mapping, why this time",
     .examples = "  switchyard explain resnet50 --chip tx81\n"
                 "  switchyard explain resnet50 --chip tx81 --context layer4.0.conv2\n"
                 "  switchyard explain resnet50 --chip tx81 --disable overlap,pin\n"
                 "  switchyard explain gemm --chip tx81 --map gemm.svg --format json -o gemm.json\n",
     .argument = "a model",
     .formats = "table|json",
     .loads_model = true,
     .has_chip = true,
     .perform = explain_verb},
    {.verb = Verb::diff,
     .name = "diff",
     .usage = "diff A.json B.json [options]",
     .summary = "what is different between two reports, and which cause moved",
     .examples = "  switchyard diff before.json after.json\n"
                 "  switchyard diff before.json after.json --format md -o change.md\n"
                 "  switchyard diff compare-old.json compare-new.json --format json\n",
     .least = 2,
     .most = 2,
     .argument = "two report files",
     .formats = kListFormats,
     .perform = diff_verb},
    {.verb = Verb::conform,
     .name = "conform",
     .usage = "conform DIR --chip CHIP [options]",
     .summary = "ONNX test cases on a chip: which pass, where, and why others do not",
     .examples = "  switchyard conform onnx-tests/node --chip tx81\n"
                 "  switchyard conform onnx-tests/node/test_conv_with_strides_padding --chip h100-sxm\n"
                 "  switchyard conform onnx-tests --chip tx81 --format json -o conform.json\n",
     .argument = "a folder of test cases",
     .formats = "table|json",
     .has_chip = true,
     .perform = conform_verb},
    {.verb = Verb::validate,
     .name = "validate",
     .usage = "validate FILE.csv... [options]",
     .summary = "predict every row of measurement files, and say how far off",
     .examples = "  switchyard validate measurements.csv\n"
                 "  switchyard validate a.csv b.csv --rows rows.csv --report errors.svg\n"
                 "  switchyard validate measurements.csv --format json -o errors.json\n",
     .least = 1,
     .most = 1000,
     .argument = "a file of measurements",
     .formats = "table|json",
     .perform = validate_verb},
    {.verb = Verb::chips,
     .name = "chips",
     .usage = "chips list | show NAME | check FILE...",
     .summary = "the machine library",
     .examples = "  switchyard chips list\n"
                 "  switchyard chips show tx81\n"
                 "  switchyard chips check my-chip.yaml\n",
     .least = 1,
     .most = 1000,
     .argument = "to be told what to do",
     .formats = kListFormats,
     .perform = chips_verb},
    {.verb = Verb::models,
     .name = "models",
     .usage = "models list | show MODEL | export MODEL",
     .summary = "the built-in models",
     .examples = "  switchyard models list\n"
                 "  switchyard models show resnet50\n"
                 "  switchyard models show model.onnx\n"
                 "  switchyard models export gpt2 -o gpt2.onnx\n",
     .least = 1,
     .most = 2,
     .argument = "to be told what to do",
     .formats = kListFormats,
     .loads_model = true,
     .perform = models_verb},
    {.verb = Verb::help,
     .name = "help",
     .usage = "help [VERB | CODE]",
     .summary = "this text, a verb's, or what a diagnostic means",
     .examples = "  switchyard help run\n"
                 "  switchyard run --help\n"
                 "  switchyard help chip/unknown-key\n"
                 "  switchyard help chip\n",
     .least = 0,
     .most = 1,
     .perform = help_verb},
}};

}  // namespace

std::span<const VerbInfo> all_verbs() { return kVerbs; }

const VerbInfo& verb_info(Verb verb) {
  return *std::find_if(kVerbs.begin(), kVerbs.end(), [&](const VerbInfo& v) { return v.verb == verb; });
}

const VerbInfo* find_verb(std::string_view name) {
  const auto found = std::find_if(kVerbs.begin(), kVerbs.end(), [&](const VerbInfo& v) { return name == v.name; });
  return found == kVerbs.end() ? nullptr : &*found;
}

bool has_format(const VerbInfo& verb, std::string_view format) {
  for (std::string_view rest = verb.formats; !rest.empty();) {
    const std::size_t end = std::min(rest.find('|'), rest.size());
    if (rest.substr(0, end) == format) return true;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return false;
}

}  // namespace switchyard::cli
