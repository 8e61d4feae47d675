// The binary as a user meets it: exit codes, what goes to which stream, and the text of what it refuses.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

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

TEST_F(Cli, RefusesWithTheContractsCodes) {
  struct Case {
    const char* arguments;
    int code;
    const char* message;
  };
  constexpr Case kCases[] = {
      {"", 2, "error: nothing to do [cli/no-verb]\n"},
      {"rum", 2, "error: 'rum' is not a verb [cli/unknown-verb]\n  hint: did you mean 'run'?\n"},
      {"diff a.json b.json", 2, "error: the verb 'diff' is part of the plan but not of this version [cli/not-yet]\n"},
      {"explain gemm --chip tx81 --context gem", 2,
       "error: 'gem' is no context of gemm on tx81, nor an operator [cli/bad-value]\n  hint: did you mean 'gemm'?\n"},
      {"run gemm --chip tx81 --disable fusion", 2,
       "error: 'fusion' is no value for --disable, which takes fuse, share, overlap, place, pin [cli/bad-value]\n"},
      {"compile gemm --chip tx81 -o g.syp --dump-after layout", 2, "[cli/bad-value]\n  hint: did you mean 'layouts'?\n"},
      {"run gemm --chip tx81 --no-values --map nowhere/m.svg", 2, "nowhere/m.svg: error: cannot write 'nowhere/m.svg'"},
      {"run gemm --chip tx81 --trace t", 2, "error: the option --trace is part of the plan but not of this version [cli/not-yet]\n"},
      {"run gemm --chip tx81 --preciion fp16", 2,
       "error: run has no option '--preciion' [cli/unknown-option]\n  hint: did you mean '--precision'?\n"},
      {"run gemm --chip tx18", 2, "error: there is no chip named 'tx18' [chip/unknown-chip]\n  hint: did you mean 'tx81'?\n"},
      {"run resnet5 --chip tx81", 2, "error: there is no model 'resnet5' [model/unknown]\n  hint: did you mean resnet50?"},
      {"run gemm --chip tx81 --precision bf17", 2, "error: 'bf17' is not a number format [cli/bad-value]\n  hint: did you mean 'bf16'?\n"},
      {"run gemm --chip tx81 --format csv", 2, "[cli/not-yet]\n"},
      {"run gemm", 2, "error: run needs --chip [cli/missing-argument]\n"},
      {"help chip/unknown-key", 2, "[cli/not-yet]\n"},
      {"models export gemm -o g.onnx", 2, "[cli/not-yet]\n"},
      {"chips shwo tx81", 2, "error: 'shwo' is nothing that chips does [cli/unknown-verb]\n  hint: did you mean 'show'?\n"},
      {"chips show", 2, "[cli/missing-argument]\n"},
      {"chips list tx81", 2, "[cli/too-many-arguments]\n"},
      {"run gemm --chip tx81 --override /memories/ddr/bandwith=4GB/s", 2, "[chip/pointer]\n  hint: did you mean 'bandwidth'?\n"},
      {"run gone.onnx --chip tx81", 3, "[model/not-found]\n"},
      {"run gemm --chip ./gone.yaml", 3, "[chip/unknown-chip]\n"},
      {"run junk.txt --chip tx81", 3, "error: "},
      {"simulate gone.syp", 3, "[file/unreadable]\n"},
      {"simulate junk.txt", 3, "junk.txt:1:1: error: a program begins with 'switchyard program 1' [program/not-a-program]\n"},
      {"simulate .", 3, "[file/unreadable]\n"},
      {"chips check junk.txt", 3, "[chip/shape]\n"},
      {"chips check gone.yaml", 3, "[chip/unknown-chip]\n"},
      {"run gemm --chip tx81 --inputs nowhere", 3,
       "nowhere: error: input 0 ('A') has no file: neither input_0.pb nor .npy is there [inputs/missing]\n"},
      {"run gemm --chip tx81 --expect nowhere", 3, "[expect/missing]\n"},
      {"run gemm --chip tx81 --precision tf32", 4, "error: this version does not compute in tf32 [compile/unsupported-format]\n"},
      {"run gemm --chip tx81 --precision int8", 4, "[compile/unsupported-format]\n"},
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
            "  2 tiles of C: 256 bytes\n"
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

TEST_F(Cli, ExitsWith130WhenInterrupted) {
  const std::string err = (folder_ / "err").string();
  const pid_t child = fork();
  if (child == 0) {
    if (freopen(err.c_str(), "w", stderr) == nullptr || freopen("/dev/null", "w", stdout) == nullptr) _exit(99);
    // Long enough to be caught at work: seconds of execution.
    execl(SWITCHYARD_BINARY, "switchyard", "run", "resnet50", "--batch", "16", "--chip", SWITCHYARD_SOURCE_DIR "/chips/tx81.yaml",
          static_cast<char*>(nullptr));
    _exit(98);
  }
  ASSERT_GT(child, 0);
  usleep(500'000);
  kill(child, SIGINT);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 130);
  EXPECT_NE(text_of(err).find("interrupted"), std::string::npos);
}

}  // namespace
