// The exact text of the diagnostics of chip/.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "chip/read.h"

namespace switchyard::chip {
namespace {

constexpr const char* kGood = R"(chip: good
components:
  chip: {}
  core: {in: chip, array: [2, 3]}
clocks:
  main: {hz: 1 GHz}
units:
  mac:
    in: core
    kind: matrix
    ops: [contract]
    clock: main
    rate: {bf16: 100 MAC/cycle}
    peak: {bf16: 1.2 TFLOPS}
memories:
  pad: {in: core, kind: scratchpad, bytes: 64 KiB, bandwidth: 64 GB/s}
  ram: {in: chip, kind: dram, bytes: 1 GB, bandwidth: 100 GB/s}
movers:
  dma: {in: core, from: ram, to: pad, startup: 1 us, bandwidth: 10 GB/s}
networks:
  mesh: {over: core, topology: mesh2d, link: 10 GB/s, hop: 2 ns}
sequencer: {kind: grid, launch: 5 us}
contexts: {}
sync: {barrier: {alpha: 1 us}}
formats: {native: [bf16]}
sources: {S: a sheet}
)";

std::string said(const Result<Chip>& chip) { return chip ? "nothing" : format_failure(chip.failure()); }

/// One change to the good description, and what is said about it.
struct Case {
  const char* good;
  const char* bad;
  const char* message;
};

constexpr Case kCases[] = {
    {"memories:\n", "memorys:\n",
     R"(t.yaml:1:1: error: '/' lacks the key 'memories' [chip/missing-key]
  chip: good
  ^
t.yaml:15:1: error: '/' has no key 'memorys' [chip/unknown-key]
  memorys:
  ^
  hint: did you mean 'memories'?
)"},
    {"kind: dram, bytes: 1 GB, bandwidth", "kind: dram, bites: 1 GB, bandwidth",
     R"(t.yaml:17:3: error: '/memories/ram' lacks the key 'bytes' [chip/missing-key]
    ram: {in: chip, kind: dram, bites: 1 GB, bandwidth: 100 GB/s}
    ^
t.yaml:17:31: error: '/memories/ram' has no key 'bites' [chip/unknown-key]
    ram: {in: chip, kind: dram, bites: 1 GB, bandwidth: 100 GB/s}
                                ^
  hint: did you mean 'bytes'?
)"},
    {"startup: 1 us, ", "",
     R"(t.yaml:19:3: error: '/movers/dma' lacks the key 'startup' [chip/missing-key]
    dma: {in: core, from: ram, to: pad, bandwidth: 10 GB/s}
    ^
)"},
    {"sync: {barrier", "sync: {fence",
     R"(t.yaml:24:1: error: '/sync' lacks the key 'barrier' [chip/missing-key]
  sync: {fence: {alpha: 1 us}}
  ^
)"},
    {"bandwidth: 100 GB/s", "bandwidth: 3 MiB",
     R"(t.yaml:17:55: error: '/memories/ram/bandwidth' expects a bandwidth (e.g. 128 GB/s), got '3 MiB' [chip/unit]
    ram: {in: chip, kind: dram, bytes: 1 GB, bandwidth: 3 MiB}
                                                        ^
)"},
    {"launch: 5 us", "launch: 5 MHz",
     R"(t.yaml:22:33: error: '/sequencer/launch' expects a time (e.g. 110 us), got '5 MHz' [chip/unit]
  sequencer: {kind: grid, launch: 5 MHz}
                                  ^
)"},
    {"bytes: 64 KiB", "bytes: 64 KB",
     R"(t.yaml:16:44: error: '/memories/pad/bytes' expects a size (e.g. 3 MiB), and '64 KB' is no quantity [chip/number]
    pad: {in: core, kind: scratchpad, bytes: 64 KB, bandwidth: 64 GB/s}
                                             ^
)"},
    {"bytes: 64 KiB", "bytes: 0.3 B",
     R"(t.yaml:16:44: error: '/memories/pad/bytes' must be a whole number, got '0.3 B' [chip/number]
    pad: {in: core, kind: scratchpad, bytes: 0.3 B, bandwidth: 64 GB/s}
                                             ^
)"},
    {"bytes: 64 KiB", "bytes: [64 KiB]",
     R"(t.yaml:16:44: error: '/memories/pad/bytes' expects a size (e.g. 3 MiB), got a list [chip/shape]
    pad: {in: core, kind: scratchpad, bytes: [64 KiB], bandwidth: 64 GB/s}
                                             ^
)"},
    {"bandwidth: 64 GB/s", "bandwidth: nan",
     R"(t.yaml:16:63: error: '/memories/pad/bandwidth' expects a bandwidth (e.g. 128 GB/s), and 'nan' is no quantity [chip/number]
    pad: {in: core, kind: scratchpad, bytes: 64 KiB, bandwidth: nan}
                                                                ^
)"},
    {"bandwidth: 64 GB/s", "bandwidth: -64 GB/s",
     R"(t.yaml:16:63: error: '/memories/pad/bandwidth' must be positive, got '-64 GB/s' [chip/range]
    pad: {in: core, kind: scratchpad, bytes: 64 KiB, bandwidth: -64 GB/s}
                                                                ^
)"},
    {"bandwidth: 64 GB/s", "bandwidth: 0 GB/s",
     R"(t.yaml:16:63: error: '/memories/pad/bandwidth' must be positive, got '0 GB/s' [chip/range]
    pad: {in: core, kind: scratchpad, bytes: 64 KiB, bandwidth: 0 GB/s}
                                                                ^
)"},
    {"bandwidth: 64 GB/s", "bandwidth: 1e30 GB/s",
     R"(t.yaml:16:63: error: '/memories/pad/bandwidth' must lie between 1e+06 and 1e+18 in base units, got '1e30 GB/s' [chip/range]
    pad: {in: core, kind: scratchpad, bytes: 64 KiB, bandwidth: 1e30 GB/s}
                                                                ^
)"},
    {"hop: 2 ns", "hop: -2 ns",
     R"(t.yaml:21:60: error: '/networks/mesh/hop' must not be negative, got '-2 ns' [chip/range]
    mesh: {over: core, topology: mesh2d, link: 10 GB/s, hop: -2 ns}
                                                             ^
)"},
    {"hop: 2 ns", "hop: {value: 2 ns, range: [3 ns, 5 ns]}",
     R"(t.yaml:21:81: error: the value '2 ns' lies outside '/networks/mesh/hop/range' [chip/range]
    mesh: {over: core, topology: mesh2d, link: 10 GB/s, hop: {value: 2 ns, range: [3 ns, 5 ns]}}
                                                                                  ^
)"},
    {"hop: 2 ns", "hop: {value: 2 ns, range: [5 ns, 1 ns]}",
     R"(t.yaml:21:81: error: '/networks/mesh/hop/range' ends before it begins [chip/range]
    mesh: {over: core, topology: mesh2d, link: 10 GB/s, hop: {value: 2 ns, range: [5 ns, 1 ns]}}
                                                                                  ^
)"},
    {"hop: 2 ns", "hop: {value: 2 ns, range: [1 ns]}",
     R"(t.yaml:21:81: error: '/networks/mesh/hop/range' must be a list of two: [least, greatest] [chip/range]
    mesh: {over: core, topology: mesh2d, link: 10 GB/s, hop: {value: 2 ns, range: [1 ns]}}
                                                                                  ^
)"},
    {"hop: 2 ns", "hop: {range: [1 ns, 5 ns]}",
     R"(t.yaml:21:55: error: '/networks/mesh/hop' lacks the key 'value' [chip/missing-key]
    mesh: {over: core, topology: mesh2d, link: 10 GB/s, hop: {range: [1 ns, 5 ns]}}
                                                        ^
)"},
    {"hop: 2 ns", "hop: {value: 2 ns, confidence: mesured}",
     R"(t.yaml:21:86: error: '/networks/mesh/hop/confidence' knows no 'mesured' [chip/confidence]
    mesh: {over: core, topology: mesh2d, link: 10 GB/s, hop: {value: 2 ns, confidence: mesured}}
                                                                                       ^
  hint: did you mean 'measured'?
)"},
    {"hop: 2 ns", "hop: {value: 2 ns, source: T}",
     R"(t.yaml:21:82: error: '/sources' has no entry 'T' [chip/dangling-name]
    mesh: {over: core, topology: mesh2d, link: 10 GB/s, hop: {value: 2 ns, source: T}}
                                                                                   ^
  hint: known: S
)"},
    {"clock: main", "clock: man",
     R"(t.yaml:12:12: error: '/units/mac/clock' names a clock that is not there: 'man' [chip/dangling-name]
      clock: man
             ^
  hint: did you mean 'main'?
)"},
    {"in: core, from: ram", "in: cores, from: ram",
     R"(t.yaml:19:13: error: '/movers/dma/in' names a component that is not there: 'cores' [chip/dangling-name]
    dma: {in: cores, from: ram, to: pad, startup: 1 us, bandwidth: 10 GB/s}
              ^
  hint: did you mean 'core'?
)"},
    {"from: ram", "from: [ram, rom]",
     R"(t.yaml:19:31: error: '/movers/dma/from/1' names a memory that is not there: 'rom' [chip/dangling-name]
    dma: {in: core, from: [ram, rom], to: pad, startup: 1 us, bandwidth: 10 GB/s}
                                ^
  hint: did you mean 'ram'?
)"},
    {"rate: {bf16", "rate: {fp8",
     R"(t.yaml:13:17: error: no number format is called 'fp8' [chip/format]
      rate: {fp8: 100 MAC/cycle}
                  ^
  hint: known: fp32, fp16, bf16, fp64, int8, int32, int64, uint8, bool, int16, uint16, uint32, uint64, int4, uint4, int2, uint2, fp8_e4m3, fp8_e4m3fnuz, fp8_e5m2, fp8_e5m2fnuz, fp6_e2m3, fp6_e3m2, fp4_e2m1, e8m0
t.yaml:14:12: error: '/units/mac/peak/bf16' is the peak of a format without a rate [chip/dangling-name]
      peak: {bf16: 1.2 TFLOPS}
             ^
)"},
    {"native: [bf16]", "native: [bf16, float16]",
     R"(t.yaml:25:26: error: no number format is called 'float16' [chip/format]
  formats: {native: [bf16, float16]}
                           ^
  hint: known: fp32, fp16, bf16, fp64, int8, int32, int64, uint8, bool, int16, uint16, uint32, uint64, int4, uint4, int2, uint2, fp8_e4m3, fp8_e4m3fnuz, fp8_e5m2, fp8_e5m2fnuz, fp6_e2m3, fp6_e3m2, fp4_e2m1, e8m0
)"},
    {"kind: matrix", "kind: matrices",
     R"(t.yaml:10:11: error: '/units/mac/kind' knows no 'matrices' [chip/kind]
      kind: matrices
            ^
  hint: did you mean 'matrix'?
)"},
    {"hop: 2 ns}", "hop: 2 ns, ends: 2}",
     R"(t.yaml:21:66: error: '/networks/mesh/ends' is for networks of circuits [chip/topology]
    mesh: {over: core, topology: mesh2d, link: 10 GB/s, hop: 2 ns, ends: 2}
                                                                   ^
  hint: say how many circuits a link carries
)"},
    {"topology: mesh2d, link: 10 GB/s, hop: 2 ns}", "topology: crossbar, link: 10 GB/s, hop: 2 ns, circuits: 2}",
     R"(t.yaml:21:68: error: '/networks/mesh/circuits' is for meshes, tori and rings on a chip [chip/topology]
    mesh: {over: core, topology: crossbar, link: 10 GB/s, hop: 2 ns, circuits: 2}
                                                                     ^
t.yaml:22:19: error: instances of a grid have no fixed place, so '/networks/mesh' can have no circuits [chip/topology]
  sequencer: {kind: grid, launch: 5 us}
                    ^
)"},
    {"hop: 2 ns}", "hop: 2 ns, circuits: 0}",
     R"(t.yaml:21:76: error: '/networks/mesh/circuits' must be positive, got '0' [chip/range]
    mesh: {over: core, topology: mesh2d, link: 10 GB/s, hop: 2 ns, circuits: 0}
                                                                             ^
t.yaml:22:19: error: instances of a grid have no fixed place, so '/networks/mesh' can have no circuits [chip/topology]
  sequencer: {kind: grid, launch: 5 us}
                    ^
)"},
    {"topology: mesh2d", "topology: mesh3d",
     R"(t.yaml:21:32: error: '/networks/mesh/topology' knows no 'mesh3d' [chip/kind]
    mesh: {over: core, topology: mesh3d, link: 10 GB/s, hop: 2 ns}
                                 ^
  hint: did you mean 'mesh2d'?
)"},
    {"ops: [contract]", "ops: [contract, sort]",
     R"(t.yaml:11:21: error: '/units/mac/ops/1' knows no 'sort' [chip/kind]
      ops: [contract, sort]
                      ^
  hint: known: contract, map, reduce
)"},
    {"ops: [contract]", "ops: [contract]\n    epilogue: [relu]",
     R"(t.yaml:12:16: error: '/units/mac/epilogue/0' knows no 'relu' [chip/kind]
      epilogue: [relu]
                 ^
  hint: known: input, constant, neg, abs, exp, log, sqrt, reciprocal, tanh, erf, sigmoid, floor, ceil, not, add, sub, mul, div, max, min, pow, less, equal, select
)"},
    {"ops: [contract]", "ops: [contract]\n    instructions: {power: 3}",
     R"(t.yaml:12:20: error: '/units/mac/instructions' knows no 'power' [chip/kind]
      instructions: {power: 3}
                     ^
  hint: did you mean 'pow'?
)"},
    {"1.2 TFLOPS", "1.3 TFLOPS",
     R"(t.yaml:14:18: error: '/units/mac/peak/bf16' is 1.3 TFLOPS, but 6 x 100 MAC/cycle x 1 GHz x 2 is 1.2 TOPS [chip/peak]
      peak: {bf16: 1.3 TFLOPS}
                   ^
  hint: correct one of them, or say why in 'peak_note'
)"},
    {"peak: {bf16", "peak: {fp16",
     R"(t.yaml:14:12: error: '/units/mac/peak/fp16' is the peak of a format without a rate [chip/dangling-name]
      peak: {fp16: 1.2 TFLOPS}
             ^
)"},
    {"array: [2, 3]", "array: [2, 3], holes: [[1, 3], 6]",
     R"(t.yaml:4:43: error: '/components/core/holes/0' is [1, 3], but 'core' has the shape [2, 3] [chip/coordinates]
    core: {in: chip, array: [2, 3], holes: [[1, 3], 6]}
                                            ^
t.yaml:4:51: error: '/components/core/holes/1' is 6, but 'core' has the shape [2, 3] [chip/coordinates]
    core: {in: chip, array: [2, 3], holes: [[1, 3], 6]}
                                                    ^
)"},
    {"array: [2, 3]", "array: [2, 1], holes: [0, 1]",
     R"(t.yaml:4:42: error: no instance of 'core' is left working [chip/coordinates]
    core: {in: chip, array: [2, 1], holes: [0, 1]}
                                           ^
t.yaml:14:18: error: '/units/mac/peak/bf16' is 1.2 TFLOPS, but 2 x 100 MAC/cycle x 1 GHz x 2 is 0.4 TOPS [chip/peak]
      peak: {bf16: 1.2 TFLOPS}
                   ^
  hint: correct one of them, or say why in 'peak_note'
)"},
    {"array: [2, 3]", "array: [2, 3], clusters: [7]",
     R"(t.yaml:4:46: error: '/components/core/clusters/0' is 7, but there are 6 instances [chip/coordinates]
    core: {in: chip, array: [2, 3], clusters: [7]}
                                               ^
)"},
    {"array: [2, 3]", "array: [0, 3]",
     R"(t.yaml:4:28: error: '/components/core/array/0' must be positive, and all instances together at most 4194304 [chip/range]
    core: {in: chip, array: [0, 3]}
                             ^
t.yaml:14:18: error: '/units/mac/peak/bf16' is 1.2 TFLOPS, but 3 x 100 MAC/cycle x 1 GHz x 2 is 0.6 TOPS [chip/peak]
      peak: {bf16: 1.2 TFLOPS}
                   ^
  hint: correct one of them, or say why in 'peak_note'
)"},
    {"array: [2, 3]", "array: [2, 3, 4]",
     R"(t.yaml:14:18: error: '/units/mac/peak/bf16' is 1.2 TFLOPS, but 24 x 100 MAC/cycle x 1 GHz x 2 is 4.8 TOPS [chip/peak]
      peak: {bf16: 1.2 TFLOPS}
                   ^
  hint: correct one of them, or say why in 'peak_note'
t.yaml:21:32: error: '/networks/mesh' needs an array of two dimensions, and 'core' has the shape [2, 3, 4] [chip/topology]
    mesh: {over: core, topology: mesh2d, link: 10 GB/s, hop: 2 ns}
                                 ^
)"},
    {"over: core", "over: chip",
     R"(t.yaml:21:32: error: '/networks/mesh' needs an array of two dimensions, and 'chip' has the shape [] [chip/topology]
    mesh: {over: chip, topology: mesh2d, link: 10 GB/s, hop: 2 ns}
                                 ^
)"},
    {"link: 10 GB/s", "between_chips: true, link: 10 GB/s",
     R"(t.yaml:21:32: error: '/networks/mesh' is between chips, so it must be over 'chip' [chip/topology]
    mesh: {over: core, topology: mesh2d, between_chips: true, link: 10 GB/s, hop: 2 ns}
                                 ^
)"},
    {"  core: {in: chip, array: [2, 3]}\n", "  core: {in: die, array: [2, 3]}\n  die: {in: chip, array: [1]}\n",
     R"(t.yaml:4:3: error: '/components/core' must stand below the component that contains it [chip/cycle]
    core: {in: die, array: [2, 3]}
    ^
)"},
    {"  chip: {}\n", "  chip: {array: [2]}\n",
     R"(t.yaml:3:17: error: '/components/chip/array' cannot be: the first component is the one chip [chip/coordinates]
    chip: {array: [2]}
                  ^
)"},
    {"kind: dram,", "kind: dram, ports: [1],",
     R"(t.yaml:17:3: error: '/memories/ram' has ports, so it must name the network they are on [chip/missing-key]
    ram: {in: chip, kind: dram, ports: [1], bytes: 1 GB, bandwidth: 100 GB/s}
    ^
)"},
    {"kind: dram,", "kind: dram, network: mesh, ports: [[2, 0]],",
     R"(t.yaml:17:54: error: '/memories/ram/ports/0' is [2, 0], but 'core' has the shape [2, 3] [chip/coordinates]
    ram: {in: chip, kind: dram, network: mesh, ports: [[2, 0]], bytes: 1 GB, bandwidth: 100 GB/s}
                                                       ^
)"},
    {"topology: mesh2d", "topology: host",
     R"(t.yaml:21:32: error: '/networks/mesh' leads to the host, so it must be over 'chip' [chip/topology]
    mesh: {over: core, topology: host, link: 10 GB/s, hop: 2 ns}
                                 ^
)"},
    {"array: [2, 3]", "array: [2, 3], holes: [1, 3]",
     R"(t.yaml:21:3: error: '/networks/mesh' falls apart: the holes of 'core' cut it [chip/topology]
    mesh: {over: core, topology: mesh2d, link: 10 GB/s, hop: 2 ns}
    ^
)"},
    {"bytes: 64 KiB", "bytes: 64 KiB, reserved: [[0, 128 KiB]]",
     R"(t.yaml:16:63: error: '/memories/pad/reserved/0' must be [begin, end) within the memory [chip/range]
    pad: {in: core, kind: scratchpad, bytes: 64 KiB, reserved: [[0, 128 KiB]], bandwidth: 64 GB/s}
                                                                ^
)"},
    {"bytes: 64 KiB", "bytes: 64 KiB, reserved: [[-128 KiB, end]]",
     R"(t.yaml:16:63: error: '/memories/pad/reserved/0' must be [begin, end) within the memory [chip/range]
    pad: {in: core, kind: scratchpad, bytes: 64 KiB, reserved: [[-128 KiB, end]], bandwidth: 64 GB/s}
                                                                ^
)"},
    {"bytes: 64 KiB", "bytes: 64 KiB, reserved: [[0, 0x10000]]",
     R"(t.yaml:16:3: error: '/memories/pad/reserved' leaves nothing to use [chip/range]
    pad: {in: core, kind: scratchpad, bytes: 64 KiB, reserved: [[0, 0x10000]], bandwidth: 64 GB/s}
    ^
)"},
    {"bytes: 64 KiB", "bytes: 64 KiB, backing: ram",
     R"(t.yaml:16:52: error: '/memories/pad/backing' is for caches [chip/kind]
    pad: {in: core, kind: scratchpad, bytes: 64 KiB, backing: ram, bandwidth: 64 GB/s}
                                                     ^
)"},
    {"kind: dram,", "kind: registers,",
     R"(t.yaml:15:1: error: '/memories' has no memory of kind dram, so there is nowhere for tensors between contexts [chip/missing-key]
  memories:
  ^
)"},
    {"formats: {native: [bf16]}", "formats: [bf16]",
     R"(t.yaml:25:10: error: '/formats' must be a map [chip/shape]
  formats: [bf16]
           ^
)"},
    {"launch: 5 us", "launch: 5 us, launch_per_context: maybe",
     R"(t.yaml:22:59: error: '/sequencer/launch_per_context' knows no 'maybe' [chip/kind]
  sequencer: {kind: grid, launch: 5 us, launch_per_context: maybe}
                                                            ^
  hint: known: false, true
)"},
    {"chip: good\n", "chip: good\nbase: other\n",
     R"(t.yaml:2:1: error: a resolved description has no key 'base' [chip/unknown-key]
  base: other
  ^
)"},
};

TEST(Chip, SaysWhatIsWrong) {
  ASSERT_EQ(said(parse_chip(kGood, "t.yaml")), "nothing");
  for (const Case& c : kCases) {
    std::string text = kGood;
    const std::size_t at = text.find(c.good);
    ASSERT_NE(at, std::string::npos) << c.good;
    text.replace(at, std::string_view(c.good).size(), c.bad);
    const Result<Chip> chip = parse_chip(text, "t.yaml");
    EXPECT_EQ(said(chip), c.message) << c.bad;
    if (!chip) {
      EXPECT_EQ(chip.failure().kind, FailureKind::malformed);
    }
  }
}

class ChipFiles : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              (std::string("switchyard-error-chip-") + testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    write("good", kGood);
  }
  void TearDown() override {
    std::error_code error;
    std::filesystem::remove_all(folder_, error);
  }
  void write(const std::string& name, const std::string& text) { std::ofstream(folder_ / (name + ".yaml")) << text; }
  Result<Chip> load(const std::string& name, const std::vector<Override>& overrides = {}) {
    return load_chip(name, {folder_.string()}, overrides);
  }
  /// What is said, with the folder's name taken out.
  std::string message(const std::string& name, const std::vector<Override>& overrides = {}) {
    std::string text = said(load(name, overrides));
    const std::string prefix = folder_.string() + "/";
    for (std::size_t at = text.find(prefix); at != std::string::npos; at = text.find(prefix)) text.erase(at, prefix.size());
    return text;
  }

  std::filesystem::path folder_;
};

TEST_F(ChipFiles, UnknownNames) {
  EXPECT_EQ(message("god"),
            "error: there is no chip named 'god' [chip/unknown-chip]\n"
            "  hint: did you mean 'good'?\n");
  EXPECT_EQ(message("/nowhere/chip.yaml"), "error: there is no chip file '/nowhere/chip.yaml' [chip/unknown-chip]\n");
  EXPECT_EQ(load("god").failure().kind, FailureKind::usage);
  write("derived", "base: god\n");
  EXPECT_EQ(message("derived"),
            "derived.yaml:1:7: error: there is no chip named 'god' [chip/unknown-chip]\n"
            "  base: god\n"
            "        ^\n"
            "  hint: did you mean 'good'?\n");
  EXPECT_EQ(load("derived").failure().kind, FailureKind::malformed);
}

TEST_F(ChipFiles, CyclesOfBases) {
  write("first", "base: second\n");
  write("second", "base: first\n");
  EXPECT_EQ(message("first"),
            "second.yaml:1:7: error: the base 'first' is derived from this file [chip/cycle]\n"
            "  base: first\n"
            "        ^\n");
}

TEST_F(ChipFiles, MistakesOfDerivedFilesAreFoundInTheFileThatMakesThem) {
  write("derived", R"(base: good
chip: derived
memories:
  ram: {bandwidth: 3 MiB, sise: 1}
override:
  /networks/mesh/hop: 1 GHz
)");
  EXPECT_EQ(message("derived"),
            R"(derived.yaml:4:20: error: '/memories/ram/bandwidth' expects a bandwidth (e.g. 128 GB/s), got '3 MiB' [chip/unit]
    ram: {bandwidth: 3 MiB, sise: 1}
                     ^
derived.yaml:4:27: error: '/memories/ram' has no key 'sise' [chip/unknown-key]
    ram: {bandwidth: 3 MiB, sise: 1}
                            ^
  hint: known: in, kind, bytes, reserved, bandwidth, sustained, sustained_tiles, energy, latency, granule, alignment, backing, network, ports, part_of
derived.yaml:6:23: error: '/networks/mesh/hop' expects a time (e.g. 110 us), got '1 GHz' [chip/unit]
    /networks/mesh/hop: 1 GHz
                        ^
)");
}

TEST_F(ChipFiles, PointersOfAnOverrideSection) {
  write("derived", R"(base: good
override:
  /networks/mash/hop: 1 ns
  /networks/mesh/hops: 1 ns
)");
  EXPECT_EQ(message("derived"), R"(derived.yaml:3:3: error: '/networks/mash/hop' names nothing in the chip [chip/pointer]
    /networks/mash/hop: 1 ns
    ^
  hint: did you mean 'mesh'?
derived.yaml:4:3: error: '/networks/mesh/hops' names nothing in the chip [chip/pointer]
    /networks/mesh/hops: 1 ns
    ^
  hint: did you mean 'hop'?
)");
}

TEST_F(ChipFiles, OverridesOfTheCommandLineAreUsage) {
  struct OverrideCase {
    Override override;
    const char* message;
  };
  const OverrideCase cases[] = {
      {{"/memories/rom/bandwidth", "1 GB/s"},
       "--override: error: '/memories/rom/bandwidth' names nothing in the chip [chip/pointer]\n"
       "  hint: did you mean 'ram'?\n"},
      {{"memories", "1 GB/s"},
       "--override: error: 'memories' is not a JSON pointer [chip/pointer]\n"
       "  hint: write it like /memories/ddr/bandwidth\n"},
      {{"/memories/ram/bandwidth", "3 MiB"},
       "--override: error: '/memories/ram/bandwidth' expects a bandwidth (e.g. 128 GB/s), got '3 MiB' [chip/unit]\n"},
      {{"/memories/ram/bandwidth", "fast"},
       "--override: error: '/memories/ram/bandwidth' expects a bandwidth (e.g. 128 GB/s), and 'fast' is no quantity [chip/number]\n"},
      {{"/memories/ram/sustained", "200 GB/s"},
       "--override: error: '/memories/ram/sustained' must lie between 0.001 and 1 in base units, got '2' [chip/range]\n"},
      {{"/units/mac/rate", "3 GB/s"},
       "--override: error: '/units/mac/rate' expects a rate per cycle (e.g. 95 MAC/cycle), got '3 GB/s' [chip/pointer]\n"},
  };
  for (const OverrideCase& c : cases) {
    EXPECT_EQ(message("good", {c.override}), c.message);
    EXPECT_EQ(load("good", {c.override}).failure().kind, FailureKind::usage);
  }
  EXPECT_EQ(message("good", {{"/memories/ram/bandwidth", "1 TB/s"}}), "nothing");
}

}  // namespace
}  // namespace switchyard::chip
