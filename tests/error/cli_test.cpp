// The binary as a user meets it: exit codes, what goes to which stream, and the text of what it refuses.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

namespace {

struct Outcome {
  int code = -1;
  std::string out, err;
};

std::string text_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

class Cli : public ::testing::Test {
 protected:
  Cli() : folder_(std::filesystem::temp_directory_path() / ("switchyard_cli_" + std::to_string(getpid()))) {
    std::filesystem::create_directories(folder_);
    write("junk.txt", "junk\n");
  }
  ~Cli() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  Cli(const Cli&) = delete;
  Cli& operator=(const Cli&) = delete;

  void write(const std::string& name, const std::string& text) const { std::ofstream(folder_ / name, std::ios::binary) << text; }

  /// Runs `switchyard ARGUMENTS` in a folder of its own, with the source tree's chips.
  [[nodiscard]] Outcome run(const std::string& arguments) const {
    const std::string command = "cd '" + folder_.string() +
                                "' && SWITCHYARD_CHIPS='" SWITCHYARD_SOURCE_DIR "/chips' '" SWITCHYARD_BINARY "' " + arguments +
                                " >.out 2>.err </dev/null";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text_of(folder_ / ".out"), text_of(folder_ / ".err")};
  }

  std::filesystem::path folder_;
};

/// A language model of one layer, as its configuration says.
void make_little_model_in(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder / "little");
  std::ofstream(folder / "little/config.json")
      << R"({"model_type": "llama", "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1,
      "intermediate_size": 32, "vocab_size": 8, "max_position_embeddings": 64, "rms_norm_eps": 1e-5})";
}

TEST_F(Cli, RefusesWithTheContractsCodes) {
  struct Case {
    const char* arguments;
    int code;
    const char* message;
  };
  constexpr Case kCases[] = {
      {"", 2, "error: nothing to do [cli/no-verb]\n"},
      {"rum", 2, "error: 'rum' is not a verb [cli/unknown-verb]\n  hint: did you mean 'run'?\n"},

      {"explain gemm --chip tx81 --context gem", 2,
       "error: 'gem' is no context of gemm on tx81, nor an operator [cli/bad-value]\n  hint: did you mean 'gemm'?\n"},
      {"run gemm --chip tx81 --disable fusion", 2,
       "error: 'fusion' is no value for --disable, which takes fuse, share, overlap, place, pin [cli/bad-value]\n"},
      {"compile gemm --chip tx81 -o g.syp --dump-after layout", 2, "[cli/bad-value]\n  hint: did you mean 'layouts'?\n"},
      {"run gemm --chip tx81 --no-values --map nowhere/m.svg", 2, "nowhere/m.svg: error: cannot write 'nowhere/m.svg'"},
      {"run gemm --chip tx81 --no-values --trace nowhere/t.pftrace", 2, "nowhere/t.pftrace: error: cannot write 'nowhere/t.pftrace'"},
      {"run gemm --chip tx81 --weights int4", 2, "error: --weights changes nothing for gemm [cli/no-effect]\n"},
      {"run gemm --chip tx81 --preciion fp16", 2,
       "error: run has no option '--preciion' [cli/unknown-option]\n  hint: did you mean '--precision'?\n"},
      {"run gemm --chip tx18", 2, "error: there is no chip named 'tx18' [chip/unknown-chip]\n  hint: did you mean 'tx81'?\n"},
      {"run resnet5 --chip tx81", 2, "error: there is no model 'resnet5' [model/unknown]\n  hint: did you mean resnet50?"},
      {"run gemm --chip tx81 --precision bf17", 2, "error: 'bf17' is not a number format [cli/bad-value]\n  hint: did you mean 'bf16'?\n"},
      {"run gemm --chip tx81 --format cvs", 2,
       "error: 'cvs' is no value for --format, which takes table, json, jsonl, csv, md [cli/bad-value]\n  hint: did you mean 'csv'?\n"},
      {"run gemm --chip tx81 --dump-tensor CC", 2,
       "error: the program has no tensor 'CC' [cli/unknown-tensor]\n  hint: did you mean 'C'?\n"},
      {"diff gone.json junk.txt", 3,
       "[file/unreadable]\njunk.txt:1:1: error: not a report: it does not begin as a JSON object does [report/schema]\n"},
      {"diff junk.txt", 2, "error: diff needs two report files [cli/missing-argument]\n"},
      {"run gemm --chip tx81,rpu-4x4", 2, "hint: for several chips: `switchyard compare MODEL --chips tx81,rpu-4x4`\n"},
      {"compare gemm --chips tx81 --precision bf16,bf17", 2, "error: 'bf17' is not a number format [cli/bad-value]\n"},
      {"compare gemm --chips tx81,nope --override /memories/dr/bytes=1GB", 2, "[chip/pointer]\n"},
      {"compare gemm --chips tx81 --precision int8,fp64", 4, "error: a whole model in int8 needs quantisation"},
      {"run gemm --chip tx81 --no-values -o nowhere/r.json", 2,
       "nowhere/r.json: error: cannot write 'nowhere/r.json': No such file or directory [file/unwritable]\n"},
      {"run gemm --chip tx81 --no-values -o .", 2, ".: error: cannot write '.': Is a directory [file/unwritable]\n"},
      {"run gemm --chip tx81 --no-values --values on", 2, "error: --no-values contradicts --values on [cli/bad-value]\n"},
      {"run gemm --chip tx81 --no-values --check full", 2, "error: --check needs values, which are off [cli/bad-value]\n"},
      {"run gemm --chip tx81 --no-values --inputs .", 2, "error: --inputs needs values, which are off [cli/bad-value]\n"},
      {"run gemm --chip tx81 --rtol 1", 2, "error: --rtol is for --expect, which is not given [cli/bad-value]\n"},
      {"run resnet18 --chip tx81 --batch 1,2 --map m.svg", 2,
       "error: --map is of one run, and a list of --batch or --precision makes several [cli/bad-value]\n"},
      {"simulate junk.txt --chip tx81", 2,
       "error: simulate has no option '--chip' [cli/unknown-option]\n  hint: a program brings its chip; --override changes it\n"},
      {"--versoin", 2, "error: '--versoin' is not a verb [cli/unknown-verb]\n  hint: did you mean '--version'?\n"},
      {"run gemm --chip tx81 --override /memories/ddr=4", 2, "--override: error: '/memories/ddr' must be a map [chip/shape]\n"},
      {"run gemm --chip tx81 --override /memories/ddr/bandwidth=4GB", 2,
       "--override: error: '/memories/ddr/bandwidth' expects a bandwidth (e.g. 128 GB/s), got '4GB' [chip/unit]\n"},
      {"chips list --override /a/b=1", 2, "error: chips list takes no --override"},
      {"run gemm", 2, "error: run needs --chip [cli/missing-argument]\n"},
      {"help chip/unknown-kye", 2,
       "error: 'chip/unknown-kye' is neither a verb nor the code of a diagnostic [cli/unknown-subject]\n"
       "  hint: did you mean 'chip/unknown-key'?\n"},
      {"help comapre", 2, "[cli/unknown-subject]\n  hint: did you mean 'compare'?\n"},
      {"help serve", 2, "error: the verb 'serve' is part of the plan but not of this version [cli/not-yet]\n"},
      {"chips shwo tx81", 2, "error: 'shwo' is nothing that chips does [cli/unknown-verb]\n  hint: did you mean 'show'?\n"},
      {"chips show", 2, "[cli/missing-argument]\n"},
      {"chips list tx81", 2, "[cli/too-many-arguments]\n"},
      {"run gemm --chip tx81 --override /memories/ddr/bandwith=4GB/s", 2, "[chip/pointer]\n  hint: did you mean 'bandwidth'?\n"},
      {"run gone.onnx --chip tx81", 3, "[model/not-found]\n"},
      {"run gemm --chip ./gone.yaml", 3, "[chip/unknown-chip]\n"},
      {"run junk.txt --chip tx81", 3, "error: "},
      {"conform . --chip tx81", 3, "error: no ONNX test cases are in '.' [conform/no-cases]\n"},
      {"conform --chip tx81", 2, "error: conform needs a folder of test cases [cli/missing-argument]\n"},
      {"simulate gone.syp", 3, "[file/unreadable]\n"},
      {"simulate junk.txt", 3, "junk.txt:1:1: error: a program begins with 'switchyard program 1' [program/not-a-program]\n"},
      {"simulate .", 3, "[file/unreadable]\n"},
      {"chips check junk.txt", 3, "[chip/shape]\n"},
      {"chips check gone.yaml", 3, "[chip/unknown-chip]\n"},
      {"run gemm --chip tx81 --inputs .", 3,
       ".: error: input 0 ('A') has no file: neither input_0.pb nor .npy is there [inputs/missing]\n"},
      {"run gemm --chip tx81 --expect .", 3, "[expect/missing]\n"},
      {"run gemm --chip tx81 --inputs nowhere --expect junk.txt", 3,
       "nowhere: error: there is no such folder [inputs/missing]\njunk.txt: error: there is no such folder [expect/missing]\n"},
      {"run gemm --chip tx81 --outputs junk.txt", 2, "junk.txt: error: 'junk.txt' is no folder [file/unwritable]\n"},
      {"run gemm --chip tx81 --outputs junk.txt/below", 2, "junk.txt/below: error: 'junk.txt' is no folder [file/unwritable]\n"},
      {"run gemm --chip tx81 --outputs /proc/x", 2, "[file/unwritable]\n"},
      {"run gemm --chip tx81 --precision tf32", 4,
       "error: this version does not compute a whole model in tf32 [compile/unsupported-format]\n"},
      {"run gemm --chip tx81 --precision int8", 4, "[compile/unsupported-format]\n  hint: `run MODEL --quantise int8` finds scales; or "},
      {"conform . --chip tx81 --precision fp17", 2, "error: 'fp17' is not a number format [cli/bad-value]\n"},
      {"run gemm --chip tx81 --precision fp64", 4, "[compile/unsupported-format]\n"},
  };
  for (const Case& c : kCases) {
    const Outcome outcome = run(c.arguments);
    EXPECT_EQ(outcome.code, c.code) << c.arguments << "\n" << outcome.err;
    EXPECT_NE(outcome.err.find(c.message), std::string::npos) << c.arguments << "\n" << outcome.err;
  }
}

TEST_F(Cli, KeepsStandardOutputForTheResult) {
  for (const char* failing : {"rum", "run gemm --chip tx18 --format json", "simulate gone.syp --format json"}) {
    EXPECT_EQ(run(failing).out, "") << failing;
  }
  const Outcome json = run("run gemm --set m=64 --set n=64 --set k=64 --chip tx81 --format json");
  EXPECT_EQ(json.code, 0) << json.err;
  EXPECT_EQ(json.out.rfind("{\n  \"schema\": \"switchyard/run/1\"", 0), 0u) << json.out.substr(0, 80);
  EXPECT_EQ(json.out.find('\x1b'), std::string::npos);
  const Outcome to_file = run("run gemm --set m=64 --set n=64 --set k=64 --chip tx81 --format json -o r.json");
  EXPECT_EQ(to_file.out, "");
  EXPECT_EQ(text_of(folder_ / "r.json").rfind("{\n  \"schema\"", 0), 0u);
  EXPECT_EQ(run("compile gemm --set m=64 --set n=64 --set k=64 --chip tx81 -o g.syp --quiet").err, "");
}

TEST_F(Cli, HelpsWithoutComplaint) {
  for (const char* arguments :
       {"--help", "help", "help run", "run --help", "compile -h", "simulate --help", "compare --help", "chips --help", "models --help"}) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, 0) << arguments;
    EXPECT_EQ(outcome.out.rfind("examples:\n", 0), 0u) << arguments;
    EXPECT_EQ(outcome.err, "") << arguments;
  }
  EXPECT_EQ(run("--version").out, "switchyard 0.1.0\n");
}

TEST_F(Cli, WritesTheValuesOfTensors) {
  const std::string gemm = "gemm --set m=64 --set n=48 --set k=32 --chip tx81 --quiet";
  const Outcome dumped = run("run " + gemm + " --outputs out --dump-tensor A --dump-tensor C --format json");
  ASSERT_EQ(dumped.code, 0) << dumped.err;
  // What was dumped is what was computed: A times B is C when A comes back as the input.
  ASSERT_TRUE(std::filesystem::exists(folder_ / "out/A.npy") && std::filesystem::exists(folder_ / "out/C.npy"));
  std::filesystem::create_directories(folder_ / "again");
  std::filesystem::create_directories(folder_ / "expected");
  std::filesystem::copy_file(folder_ / "out/A.npy", folder_ / "again/input_0.npy");
  std::filesystem::copy_file(folder_ / "out/C.npy", folder_ / "expected/output_0.npy");
  EXPECT_EQ(run("run " + gemm + " --inputs again --expect expected --rtol 0 --atol 0").code, 0);
  EXPECT_EQ(run("run " + gemm + " --seed 1 --expect expected --rtol 0 --atol 0").code, 1);
  EXPECT_EQ(text_of(folder_ / "out/C.npy").rfind("\x93NUMPY\x01", 0), 0u);
  // A program file knows its tensors as well, and says where it wrote them.
  ASSERT_EQ(run("compile " + gemm + " -o g.syp").code, 0);
  const Outcome simulated = run("simulate g.syp --dump-tensor B");
  EXPECT_EQ(simulated.code, 0) << simulated.err;
  EXPECT_NE(simulated.err.find("B[32, 48] bf16 -> B.npy\n"), std::string::npos) << simulated.err;
  EXPECT_TRUE(std::filesystem::exists(folder_ / "B.npy"));
}

TEST_F(Cli, SaysWhichTensorsAreNeverStored) {
  const Outcome fused = run("run resnet18 --chip tx81 --quiet --dump-tensor layer4.2.conv1.out --dump-tensor fc.weigth");
  EXPECT_EQ(fused.code, 2);
  EXPECT_NE(fused.err.find("[cli/unknown-tensor]\n"), std::string::npos) << fused.err;
  EXPECT_NE(fused.err.find("error: the program has no tensor 'fc.weigth' [cli/unknown-tensor]\n  hint: did you mean 'fc.weight'?\n"),
            std::string::npos)
      << fused.err;
}

TEST_F(Cli, OverridesTheChipOfAProgram) {
  const std::string gemm = "gemm --set m=512 --set n=512 --set k=512 --chip tx81 --quiet";
  ASSERT_EQ(run("compile " + gemm + " -o g.syp").code, 0);
  ASSERT_EQ(run("simulate g.syp --no-values --quiet --format json -o plain.json").code, 0);
  const Outcome slow = run("simulate g.syp --no-values --quiet --format json -o slow.json --override /memories/ddr/bandwidth=20GB/s");
  ASSERT_EQ(slow.code, 0) << slow.err;
  const Outcome diff = run("diff plain.json slow.json");
  EXPECT_EQ(diff.code, 0) << diff.err;
  EXPECT_NE(diff.out.find("times as slow as A; mainly memory moved"), std::string::npos) << diff.out;
  EXPECT_NE(diff.out.find("overridden: none in A, /memories/ddr/bandwidth=20GB/s in B"), std::string::npos) << diff.out;
  EXPECT_NE(text_of(folder_ / "slow.json").find("\"lower_bound_us\": 0.000000"), std::string::npos) << "bounds of another chip";
  const Outcome wrong = run("simulate g.syp --override /memories/dr/bandwidth=20GB/s");
  EXPECT_EQ(wrong.code, 2);
  EXPECT_NE(
      wrong.err.find("--override: error: '/memories/dr/bandwidth' names nothing in the chip [chip/pointer]\n  hint: did you mean 'ddr'?"),
      std::string::npos)
      << wrong.err;
}

TEST_F(Cli, ComparesOverPrecisionsAndBatchSizes) {
  const std::string gemm = "gemm --set m=64 --set n=64 --set k=64 --quiet --no-values";
  const Outcome csv = run("compare " + gemm + " --chips tx81,h100-sxm --precision bf16,fp16,fp32 --format csv");
  EXPECT_EQ(csv.code, 0) << csv.err;
  EXPECT_EQ(std::count(csv.out.begin(), csv.out.end(), '\n'), 7) << csv.out;
  EXPECT_EQ(csv.out.rfind("model,chip,precision,batch,latency_us,", 0), 0u);
  const Outcome lines = run("compare resnet18 --quiet --no-values --chips tx81 --batch 1,2 --format jsonl");
  EXPECT_EQ(lines.code, 0) << lines.err;
  EXPECT_EQ(std::count(lines.out.begin(), lines.out.end(), '\n'), 2);
  EXPECT_EQ(lines.out.rfind("{\"schema\": \"switchyard/run/1\", ", 0), 0u);
  // What one precision cannot do does not stop the others.
  const Outcome some = run("compare " + gemm + " --chips tx81 --precision int8,bf16 --format csv");
  EXPECT_EQ(some.code, 0) << some.err;
  EXPECT_NE(some.out.find("\ngemm,tx81,int8,1,,"), std::string::npos) << some.out;
  EXPECT_NE(some.out.find("\ngemm,tx81,bf16,1,"), std::string::npos) << some.out;
  // A list for one chip is a comparison, too.
  const Outcome run_list = run("run resnet18 --quiet --no-values --chip tx81 --batch 1,2 --format jsonl");
  const auto without_times = [](std::string text) {
    for (std::size_t at = 0; (at = text.find("\"timings_s\"", at)) != std::string::npos;) text.erase(at, text.find('}', at) - at);
    for (std::size_t at = 0; (at = text.find("\"argv\"", at)) != std::string::npos;) text.erase(at, text.find(']', at) - at);
    return text;
  };
  EXPECT_EQ(without_times(run_list.out), without_times(lines.out));
}

TEST_F(Cli, ExplainsDiagnostics) {
  const std::string expected =
      "chip/pointer (chip descriptions)\n"
      "  an override whose JSON pointer names nothing\n"
      "  do: take the one suggested; `switchyard chips show` lists the fields\n"
      "  `switchyard help chip/` lists its like\n";
  for (const char* arguments : {"help chip/pointer", "help '[chip/pointer]'"}) {
    const Outcome one = run(arguments);
    EXPECT_EQ(one.code, 0) << one.err;
    EXPECT_EQ(one.out, expected) << arguments;
  }
  EXPECT_NE(run("help inputs/shape").out.find("  the file's tensor has another shape"), std::string::npos);
  // Links lead from the page; what help names can be found from the sources' folder.
  EXPECT_NE(run("help check/failed").out.find("docs/checking.md says"), std::string::npos);
  const Outcome kind = run("help mapping");
  EXPECT_EQ(kind.code, 0);
  EXPECT_EQ(kind.out.rfind("mapping/shape ", 0), 0u) << kind.out;
  EXPECT_EQ(kind.out, run("help mapping/").out);
  EXPECT_EQ(run("help compile").out.rfind("examples:", 0), 0u) << "a verb comes before a kind of its name";
}

TEST_F(Cli, FailsAComparisonWithWrongExpectations) {
  const std::string gemm = "gemm --set m=64 --set n=64 --set k=64 --chip tx81 --quiet";
  ASSERT_EQ(run("run " + gemm + " --outputs good").code, 0);
  EXPECT_EQ(run("run " + gemm + " --expect good").code, 0);
  ASSERT_EQ(run("run " + gemm + " --seed 1 --outputs other").code, 0);
  const Outcome wrong = run("run " + gemm + " --expect other");
  EXPECT_EQ(wrong.code, 1);
  EXPECT_NE(wrong.err.find("first diverging operator: gemm"), std::string::npos) << wrong.err;
  EXPECT_NE(wrong.err.find("[check/failed]"), std::string::npos);
  // A shape that is not the model's.
  EXPECT_EQ(run("run gemm --set m=32 --set n=64 --set k=64 --chip tx81 --expect good").code, 3);
}

TEST_F(Cli, RunsAProgramWithoutItsModel) {
  const std::string gemm = "gemm --set m=100 --set n=72 --set k=56 --chip tx81 --seed 3 --quiet";
  ASSERT_EQ(run("run " + gemm + " --format json -o run.json").code, 0);
  ASSERT_EQ(run("compile " + gemm + " -o g.syp").code, 0);
  std::filesystem::create_directories(folder_ / "elsewhere");
  std::filesystem::rename(folder_ / "g.syp", folder_ / "elsewhere/g.syp");
  EXPECT_EQ(run("simulate elsewhere/g.syp").code, 3);  // its constants are not beside it
  std::filesystem::rename(folder_ / "g.safetensors", folder_ / "elsewhere/g.safetensors");
  const Outcome simulated = run("simulate elsewhere/g.syp --seed 3 --format json");
  ASSERT_EQ(simulated.code, 0) << simulated.err;
  const std::string original = text_of(folder_ / "run.json");
  for (const char* key :
       {"\"latency_us\": ", "\"attribution_us\": ", "\"outputs\": ", "\"model\": ", "\"chip\": ", "\"lower_bound_us\": "}) {
    const auto line = [&](const std::string& text) {
      return text.substr(text.find(key), text.find("\n  \"", text.find(key)) - text.find(key));
    };
    EXPECT_EQ(line(original), line(simulated.out));
  }
}

TEST_F(Cli, RefusesInputsOfAnotherShapeOrFormat) {
  const std::string gemm = " --set m=64 --set n=64 --set k=64 --chip tx81 --quiet";
  std::filesystem::create_directories(folder_ / "wrong");
  const auto npy = [&](const std::string& type, const std::string& shape, std::size_t bytes) {
    std::string header = "{'descr': '" + type + "', 'fortran_order': False, 'shape': (" + shape + "), }";
    header.resize(117, ' ');
    header += '\n';
    write("wrong/input_0.npy", std::string("\x93NUMPY\x01\x00", 8) + std::string("\x76\x00", 2) + header + std::string(bytes, '\0'));
  };
  npy("<f4", "32, 64", 32 * 64 * 4);
  Outcome outcome = run("run gemm" + gemm + " --inputs wrong");
  EXPECT_EQ(outcome.code, 3);
  EXPECT_EQ(outcome.err, "wrong/input_0.npy: error: input 0 ('A') has shape [32, 64], the model wants [64, 64] [inputs/shape]\n");
  npy("<i4", "64, 64", 64 * 64 * 4);
  outcome = run("run gemm" + gemm + " --inputs wrong");
  EXPECT_EQ(outcome.code, 3);
  EXPECT_EQ(outcome.err, "wrong/input_0.npy: error: input 0 ('A') holds int32, the model wants fp32 [inputs/format]\n");
  npy("<f4", "64, 64", 64 * 64 * 4 - 4);
  outcome = run("run gemm" + gemm + " --inputs wrong");
  EXPECT_EQ(outcome.code, 3);
  EXPECT_NE(outcome.err.find("[tensor/malformed]"), std::string::npos) << outcome.err;
}

TEST_F(Cli, SaysWhatDoesNotFit) {
  // Weights of 8.6 GB on a chip with 8 GB, and tiles with 128 bytes of scratchpad.
  const Outcome large =
      run("run gemm --set m=64 --set n=65536 --set k=65536 --chip tx81 --no-values --quiet --override "
          "/memories/ddr/bytes=8GB");
  EXPECT_EQ(large.code, 4);
  EXPECT_EQ(large.err,
            "error: the model's tensors do not fit 'ddr' of tx81 [compile/does-not-fit]\n"
            "error: ddr does not suffice: 8606711808 bytes needed, 8000000000 bytes there\n"
            "  weights and constants: 8589934592 bytes\n"
            "  inputs, outputs and intermediate tensors, with reuse: 16777216 bytes\n"
            "  hint: a narrower --precision\n"
            "  hint: a smaller --batch\n"
            "  hint: a chip with more off-chip memory\n");
  EXPECT_EQ(large.out, "");
  const Outcome small = run("run gemm --set m=64 --set n=64 --set k=64 --chip tx81 --quiet --override /memories/spm/bytes=131200B");
  EXPECT_EQ(small.code, 4);
  EXPECT_EQ(small.err,
            "error: no tile of 'gemm' fits spm of one tile [compile/does-not-fit]\n"
            "error: spm of one tile does not suffice: 1024 bytes needed, 128 bytes there\n"
            "  2 tiles of A: 256 bytes\n"
            "  2 tiles of B: 256 bytes\n"
            "  1 tile of C: 256 bytes\n"
            "  accumulator acc: 256 bytes\n"
            "  hint: a larger spm\n"
            "  hint: a narrower --precision\n"
            "  hint: a smaller model dimension\n");
}

TEST_F(Cli, SaysWhenTheResultCannotBeWritten) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "this system has no /dev/full";
  const std::string command = "SWITCHYARD_CHIPS='" SWITCHYARD_SOURCE_DIR "/chips' '" SWITCHYARD_BINARY "' chips list >/dev/full 2>'" +
                              (folder_ / ".err").string() + "'";
  const int status = std::system(command.c_str());
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 2);
  EXPECT_EQ(text_of(folder_ / ".err"), "error: standard output cannot be written: No space left on device [cli/output]\n");
}

#if !defined(__SANITIZE_ADDRESS__)  // it reserves more address space than any limit
TEST_F(Cli, SaysWhenTheHostHasTooLittleMemory) {
  const std::string command = "ulimit -v 600000; SWITCHYARD_CHIPS='" SWITCHYARD_SOURCE_DIR "/chips' '" SWITCHYARD_BINARY
                              "' run gemm --set m=64 --set n=16384 --set k=16384 --chip tx81 --quiet 2>'" +
                              (folder_ / ".err").string() + "' >/dev/null";
  const int status = std::system(command.c_str());
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 4);
  EXPECT_EQ(text_of(folder_ / ".err"),
            "error: the host has too little memory for this [cli/out-of-memory]\n  hint: --no-values needs far less\n");
}
#endif

/// The binary, interrupted when `ready` has come to hold or after a minute.
Outcome interrupted(const std::filesystem::path& folder, const std::vector<std::string>& words, const std::function<bool()>& ready) {
  const std::string out = (folder / "out").string(), err = (folder / "err").string();
  const pid_t child = fork();
  if (child == 0) {
    if (freopen(err.c_str(), "w", stderr) == nullptr || freopen(out.c_str(), "w", stdout) == nullptr) _exit(99);
    std::vector<char*> argv{const_cast<char*>("switchyard")};
    for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    execv(SWITCHYARD_BINARY, argv.data());
    _exit(98);
  }
  for (int i = 0; i < 3000 && !ready(); ++i) usleep(100'000);  // a busy machine under a sanitizer is slow
  kill(child, SIGINT);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text_of(out), text_of(err)};
}

TEST_F(Cli, ExitsWith130WhenInterrupted) {
  int waited = 0;  // half a second: it imports and compiles
  const Outcome early = interrupted(folder_, {"run", "resnet50", "--batch", "16", "--chip", SWITCHYARD_SOURCE_DIR "/chips/tx81.yaml"},
                                    [&] { return ++waited > 5; });
  EXPECT_EQ(early.code, 130);
  EXPECT_NE(early.err.find("interrupted: "), std::string::npos) << early.err;
}

TEST_F(Cli, DeliversTheTimesWhenInterruptedWhileExecuting) {
  // The picture is drawn when the times are known; what follows is tens of seconds of execution.
  const std::filesystem::path map = folder_ / "m.svg";
  const Outcome late = interrupted(folder_,
                                   {"run", "gemm", "--set", "m=4096", "--set", "n=4096", "--set", "k=4096", "--values", "on", "--threads",
                                    "1", "--format", "json", "--map", map.string(), "--chip", SWITCHYARD_SOURCE_DIR "/chips/tx81.yaml"},
                                   [&] {
                                     std::error_code ignored;
                                     if (!std::filesystem::exists(map, ignored)) return false;
                                     usleep(300'000);
                                     return true;
                                   });
  EXPECT_EQ(late.code, 130);
  EXPECT_NE(late.err.find("interrupted: the result is partial\n"), std::string::npos) << late.err;
  EXPECT_NE(late.out.find("\"partial\": \"interrupted while executing"), std::string::npos) << late.out.substr(0, 400);
  EXPECT_NE(late.out.find("\"check\": {\"executed\": false}"), std::string::npos);
  EXPECT_TRUE(late.out.ends_with("}\n"));
}

TEST_F(Cli, DeliversTheRunsThatAreDoneWhenAComparisonIsInterrupted) {
  // Hard searches take seconds, and say so when they end.
  const Outcome outcome = interrupted(folder_,
                                      {"compare", "resnet18", "--chips", "tx81,rpu-4x4", "--effort", "2", "--no-values", "--format", "csv",
                                       "--chip-path", SWITCHYARD_SOURCE_DIR "/chips"},
                                      [&] {
                                        const std::string err = text_of(folder_ / "err");
                                        const std::size_t said = err.rfind("compile for tx81: ");
                                        if (said == std::string::npos || err.find("so far", said) != std::string::npos) return false;
                                        if (err.find('\n', said) == std::string::npos) return false;
                                        usleep(400'000);
                                        return true;
                                      });
  EXPECT_EQ(outcome.code, 130);
  EXPECT_NE(outcome.err.find("interrupted: 1 of 2 runs are done\n"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.out.find("\nresnet18,tx81,bf16,1,"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("stopped before this was run [cli/interrupted]\n"), std::string::npos) << outcome.out;
}

TEST_F(Cli, EndsAtItsLimits) {
  const Outcome late = run("run unet --set size=1024 --chip tx81 --values on --timeout 1 --quiet");
  EXPECT_EQ(late.code, 130);
  EXPECT_NE(late.err.find("\nthe time limit of 1 s is over\n"), std::string::npos) << late.err;
#if !defined(__SANITIZE_ADDRESS__)
  const Outcome large = run("run gemm --set m=8192 --set n=8192 --set k=64 --chip tx81 --values on --max-memory '100 MB' --quiet");
  EXPECT_EQ(large.code, 4);
  EXPECT_EQ(large.err, "error: the host has too little memory for this [cli/out-of-memory]\n  hint: --no-values needs far less\n");
  const Outcome given = run("run '" SWITCHYARD_SOURCE_DIR "/models/llama-3-8b' --chip h100-sxm --no-values --max-memory '30 MB' --quiet");
  EXPECT_EQ(given.err,
            "error: the host has too little memory for this [cli/out-of-memory]\n  hint: a smaller model, or smaller sizes of it\n");
#endif
  EXPECT_EQ(run("run gemm --chip tx81 --max-memory 7").err,
            "error: '7' is no value for --max-memory, which takes a size of at least 16 MiB, such as 8 GiB [cli/bad-value]\n");
}

TEST_F(Cli, NamesOptionsThatChangeNothing) {
  EXPECT_EQ(run("run gemm --chip tx81 --phase decode --quiet").err,
            "error: --phase changes nothing for gemm [cli/no-effect]\n"
            "  hint: only language models given by a folder with their config.json have it\n");
  EXPECT_EQ(run("run gemm --chip tx81 --prompt 16 --quiet").code, 2);
  std::filesystem::create_directories(folder_ / "lm");
  std::filesystem::copy_file(SWITCHYARD_SOURCE_DIR "/models/llama-3-8b/config.json", folder_ / "lm/config.json");
  const std::string show = "models show lm --quiet ";
  EXPECT_EQ(run(show + "--context-length 64").err,
            "error: --context-length changes nothing for a prefill [cli/no-effect]\n  hint: --prompt says how many tokens it has\n");
  EXPECT_EQ(run(show + "--phase decode --prompt 64").err,
            "error: --prompt changes nothing for a decode step [cli/no-effect]\n"
            "  hint: --context-length says how many positions it sees\n");
  EXPECT_EQ(run(show + "--set n=1").err,
            "error: --set changes nothing for lm [cli/no-effect]\n"
            "  hint: its sizes are those of config.json; --prompt, --context-length and --batch set the others\n");
  EXPECT_EQ(run(show + "--shape x=1").err,
            "error: --shape changes nothing for lm [cli/no-effect]\n  hint: --prompt, --context-length and --batch set its sizes\n");
  EXPECT_EQ(run(show + "--phase decode --context-length 64").code, 0);
}

TEST_F(Cli, RunsLittleLanguageModelsWhereItCan) {
  make_little_model_in(folder_);
  EXPECT_EQ(run("run '" SWITCHYARD_SOURCE_DIR "/models/gpt2' --chip tx81 --prompt 2048 --quiet").err,
            "error: 'gpt2' has 1024 positions, fewer than the 2048 of this step [llm/step]\n  hint: --prompt with at most 1024\n");
  const std::string little = "run little --prompt 4 --weights int8 --quiet ";
  EXPECT_EQ(run(little + "--chip tx81").code, 0);
  EXPECT_EQ(run(little + "--chip v100-pcie-32g --precision fp16").code, 0) << "its matrix unit knows no int8: lanes widen it";
  EXPECT_EQ(run("run little --prompt 4 --weights int4 --quiet --chip onnxim-tpuv4 --precision bf16").code, 0);
  const Outcome none = run(little + "--chip p4 --precision bf16");
  EXPECT_EQ(none.code, 4);
  EXPECT_EQ(none.err, "error: no unit of p4 multiplies bf16 [compile/unsupported-format]\n  hint: --precision fp32\n");
  EXPECT_EQ(run(little + "--chip p4 --precision fp32").code, 0);
  const std::string models = "run '" SWITCHYARD_SOURCE_DIR "/models/";
  const Outcome vast = run(models + "deepseek-v3' --chip h100-sxm --phase decode --no-values --quiet");
  EXPECT_EQ(vast.code, 4);
  EXPECT_NE(vast.err.find("hint: --weights int4 --tensor-parallel 8: 42.87 GB\n"), std::string::npos) << vast.err;
  const Outcome many = run(models + "llama-3-8b' --chip h100-sxm --tensor-parallel 16 --no-values --quiet");
  EXPECT_EQ(
      many.err,
      "error: --tensor-parallel 16 needs more devices than the 8 of 'dgx-h100' [llm/server]\n  hint: --tensor-parallel 8 is the most\n");
  const Outcome shared = run(little + "--chip h100-sxm --tensor-parallel 2 --precision bf16 --format json");
  EXPECT_EQ(shared.code, 0) << shared.err;
  EXPECT_NE(shared.out.find("one device alone is faster"), std::string::npos) << shared.out;
}

TEST_F(Cli, ExportsBuiltInModels) {
  EXPECT_EQ(run("models export gemm").err, "error: models export needs a file to write [cli/missing-argument]\n  hint: -o FILE.onnx\n");
  make_little_model_in(folder_);
  const std::string little = "models export little --prompt 4 -o l.onnx --quiet ";
  EXPECT_EQ(run(little).code, 0);
  const Outcome narrow = run(little + "--weights int8");
  EXPECT_EQ(narrow.code, 4);
  EXPECT_NE(narrow.err.find("the factors of its product are stored in fp32 and int8 [onnx/cannot-export]\n"), std::string::npos)
      << narrow.err;
  const Outcome share = run(little + "--tensor-parallel 2");
  EXPECT_EQ(share.code, 4);
  EXPECT_EQ(share.err,
            "error: one device's share of a model has no ONNX form: devices exchange what each has [onnx/cannot-export]\n"
            "  hint: leave out --tensor-parallel\n");
  const Outcome written = run("models export gemm --set m=3 --set n=4 --set k=5 -o g.onnx --quiet");
  EXPECT_EQ(written.code, 0) << written.err;
  EXPECT_EQ(run("run g.onnx --chip tx81 --quiet").code, 0);
}

}  // namespace
