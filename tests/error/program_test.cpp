// The exact text of the diagnostics of program/: a good program, changed in one place.
#include <gtest/gtest.h>

#include <string>

#include "program/text.h"
#include "program/verify.h"

namespace switchyard::program {
namespace {

constexpr const char* kGood = R"SYP(switchyard program 1
chip {
  chip: tiny
  components:
    chip: {}
    core: {in: chip, array: [2, 2], holes: [[1, 1]]}
  clocks:
    main: {hz: 1 GHz}
  units:
    mac: {in: core, kind: matrix, ops: [contract], clock: main, rate: {bf16: 64 MAC/cycle}, accumulate: fp32, epilogue: [add, max]}
    vec: {in: core, kind: vector, ops: [map, reduce], clock: main, rate: {bf16: 8 lane/cycle, fp32: 8 lane/cycle}, accumulate: fp32}
  memories:
    sram: {in: core, kind: scratchpad, bytes: 64 KiB, bandwidth: 64 GB/s}
    ram: {in: chip, kind: dram, bytes: 1 MB, bandwidth: 100 GB/s, network: mesh, ports: [[0, 0]]}
  movers:
    get: {in: core, from: ram, to: sram, network: mesh, startup: 1 us, bandwidth: 10 GB/s}
    put: {in: core, from: sram, to: ram, network: mesh, startup: 1 us, bandwidth: 10 GB/s}
    pass: {in: core, from: sram, to: sram, network: mesh, startup: 1 us, bandwidth: 10 GB/s}
  networks:
    mesh: {over: core, topology: mesh2d, link: 10 GB/s, hop: 2 ns}
  sequencer: {kind: component_queues, launch: 5 us, issue: 10 ns}
  contexts: {}
  sync: {barrier: {alpha: 1 us}}
  formats: {native: [bf16, fp32]}
  sources: {S: a sheet}
}
buffer X input 0 bf16[8, 16] in ram at 0
buffer W input 1 bf16[16, 16] in ram at 256
buffer T bf16[8, 16] in ram at 768
buffer Y output 0 bf16[8, 16] in ram at 1024

context multiply {
  array two[c:2] of core = 0, 1
  move load_x on two.get {
    loops m:2
    out x bf16[2, 16]
    from X[4*c + 2*m, 0]
    route mesh paths (0), (0, 1)
  }
  move load_w on two.get {
    out w bf16[16, 16]
    from W[0, 0]
  }
  compute mm on two.mac {
    loops m:2, k:2
    in x bf16[2, 16] kept k
    in w bf16[16, 16] kept m, k
    out y bf16[2, 16] kept k
    dim i = 2 of 8 at 4*c + 2*m
    dim j = 16
    dim l = 16
    state acc fp32[2, 16] kept k in sram at 4096
    acc[i, j] += x[i, l] * w[l, j] on k[:1]
    for i, j: y[i, j] = max(acc[i, j], 0) on k[-1:]
  }
  move store on two.put {
    loops m:2
    in y bf16[2, 16]
    to T[4*c + 2*m, 0]
  }
  channel xs: load_x.x -> mm.x depth 2 in sram at 0
  channel ws: load_w.w -> mm.w depth 1 in sram at 1024
  channel ys: mm.y -> store.y depth 2 in sram at 2048
}

context shift after multiply {
  array two[c:2] of core = 0, 1
  move load on two.get {
    loops m:4
    out t bf16[1, 16]
    from T[4*c + m, 0]
  }
  move send on two.pass {
    loops m:4
    in t bf16[1, 16]
    out s bf16[1, 16] on m[-1:]
  }
  compute sum on two.vec {
    loops m:4
    in t bf16[1, 16] window m peek 2 pop 1
    out y bf16[1, 16]
    dim j = 16
    y[0, j] = t[0, 0, j] + t[1, 0, j] * 0.5
  }
  move store on two.put {
    loops m:4
    in y bf16[1, 16]
    to Y[4*c + m, 0]
  }
  channel own: load.t -> sum.t on m[1:], send.t depth 4 in sram at 0
  channel above: send.s -> sum.t on m[:1] source [c - 1] depth 1 in sram at 1024
  channel ys: sum.y -> store.y depth 2 in sram at 2048
}
)SYP";

struct Case {
  const char* from;      ///< replaced once ...
  const char* to;        ///< ... by this
  const char* expected;  ///< "code [pointer]: message | hint", every diagnostic on its own line
};

std::string changed(const std::string& from, const std::string& to) {
  std::string text = kGood;
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  if (at != std::string::npos) text.replace(at, from.size(), to);
  return text;
}

std::string describe(const Failure& failure) {
  std::string result;
  for (const Diagnostic& d : failure.diagnostics) {
    if (!result.empty()) result += "\n";
    result += d.code;
    if (!d.pointer.empty()) result += " [" + d.pointer + "]";
    if (d.location.line > 0) result += " " + std::to_string(d.location.line) + ":" + std::to_string(d.location.column);
    result += ": " + d.message;
    if (!d.hint.empty()) result += " | " + d.hint;
  }
  return result;
}

class Reading : public testing::TestWithParam<Case> {};
TEST_P(Reading, SaysWhatIsWrong) {
  const auto read = parse(changed(GetParam().from, GetParam().to), "p.syp");
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(describe(read.failure()), GetParam().expected);
}

class Verifying : public testing::TestWithParam<Case> {};
TEST_P(Verifying, SaysWhatIsWrong) {
  const auto read = parse(changed(GetParam().from, GetParam().to), "p.syp");
  ASSERT_TRUE(read.ok()) << format_failure(read.failure());
  const Status verified = verify(read.value());
  ASSERT_FALSE(verified.ok());
  EXPECT_EQ(describe(verified.failure()), GetParam().expected);
}

TEST(Verifying, TheUnchangedProgramIsGood) {
  const auto read = parse(kGood, "p.syp");
  ASSERT_TRUE(read.ok()) << format_failure(read.failure());
  const Status verified = verify(read.value());
  EXPECT_TRUE(verified.ok()) << format_failure(verified.failure());
}

INSTANTIATE_TEST_SUITE_P(
    Program, Reading,
    testing::Values(
        Case{"switchyard program 1", "switchyard model 1", "program/not-a-program 1:1: a program begins with 'switchyard program 1'"},
        Case{"switchyard program 1", "switchyard program 2", "program/version 1:20: version 2 of the text form is not known, 1 is"},
        Case{"switchyard program 1\n", "switchyard program 1\nbuffer Z fp32[1] in ram at 0\n",
             "program/no-chip 2:1: the chip must be named before buffers and contexts | write 'chip NAME' or embed a description: chip { "
             "... }"},
        Case{"buffer X input 0 bf16[8, 16] in ram", "buffer X input 0 bf17[8, 16] in ram",
             "program/unknown-name 27:18: no number format is named 'bf17' | did you mean 'bf16'?"},
        Case{"buffer X input 0 bf16[8, 16] in ram", "buffer X input 0 bf16[8, 16] in rom",
             "program/unknown-name 27:33: no memory is named 'rom' | did you mean 'ram'?"},
        Case{"buffer X input 0 bf16[8, 16]", "buffer X input 0 bf16[8, 99999999999999999999]",
             "program/syntax 27:26: the number 99999999999999999999 is too large"},
        Case{"buffer W input 1 bf16[16, 16]", "buffer W input 1 bf16[9223372036854775807, 16]",
             "program/overflow 28:8: the size of this does not fit into 64 bits"},
        Case{"buffer W input 1", "buffer X input 1",
             "program/duplicate-name 28:8: there are two of the name 'X': buffers need different names\nprogram/unknown-name 42:10: no "
             "buffer is named 'W'"},
        Case{"buffer W input 1", "buffer context input 1",
             "program/syntax 28:8: expected the name of a buffer, found the word 'context' | a name that is a word of the grammar stands "
             "in quotes: \"context\"\nprogram/unknown-name 42:10: no buffer is named 'W'"},
        Case{"bf16[16, 16] in ram at 256", "bf16[16, 16] order 1, 1 in ram at 256",
             "program/order 28:31: an order lists each of the 2 dimensions once"},
        Case{"context shift after multiply", "context shift after multiplied",
             "program/unknown-name 66:21: no context before this one is named 'multiplied' | did you mean 'multiply'?"},
        Case{"loops m:2, k:2", "loops m:2, c:2",
             "program/duplicate-name 45:16: there are two of the name 'c': loops and coordinates need different "
             "names\nprogram/unknown-name 46:27: no loop is named 'k'\nprogram/unknown-name 47:31: no loop is named "
             "'k'\nprogram/unknown-name 48:28: no loop is named 'k'\nprogram/unknown-name 52:32: no loop is named 'k'"},
        Case{"kept m, k\n", "kept m, kk\n", "program/unknown-name 47:31: no loop is named 'kk' | did you mean 'k'?"},
        Case{"move load_w on two.get", "move load_w on two.vec", "program/unknown-name 40:22: no mover is named 'vec'"},
        Case{"max(acc[i, j], 0)", "max(acc[i, j])", "program/arity 54:25: 'max' takes 2 operands, not 1"},
        Case{"max(acc[i, j], 0)", "maximum(acc[i, j], 0)", "program/unknown-name 54:25: no operation is named 'maximum'"},
        Case{"max(acc[i, j], 0)", "max(acc, 0)",
             "program/unknown-name 54:29: no value is named 'acc' | an element of a port or state is written acc[...]"},
        Case{"from X[4*c + 2*m, 0]", "from X[4*c + 2*q, 0]", "program/unknown-name 37:20: no coordinate, loop or dim is named 'q'"},
        Case{"from X[4*c + 2*m, 0]", "from X[9223372036854775807*c + 9223372036854775807*c, 0]",
             "program/overflow 37:12: this sum does not fit into 64 bits"},
        Case{"  channel ws: load_w.w -> mm.w depth", "  channel ws: load_w.w -> mm.v depth",
             "program/unknown-name 62:30: no port is named 'v'"},
        Case{"  channel ws: load_w.w -> mm.w depth 1", "  channel xs: load_w.w -> mm.w deep 1",
             "program/duplicate-name 62:11: there are two of the name 'xs': channels need different names"},
        Case{"dim j = 16\n    dim l", "dim j = 16 ; dim\n    dim l", "program/syntax 50:16: the character ';' has no meaning here"},
        Case{"array two[c:2] of core = 0, 1", "array two[c:2] of core = 0..99999999999",
             "program/too-large 33:28: this is no range of component numbers"},
        Case{"clock: main, rate: {bf16: 64 MAC/cycle}", "clock: fast, rate: {bf16: 64 MAC/cycle}",
             "chip/dangling-name [/units/mac/clock] 10:59: '/units/mac/clock' names a clock that is not there: 'fast' | known: main"}));

INSTANTIATE_TEST_SUITE_P(
    Program, Verifying,
    testing::Values(
        Case{"buffer Y output 0 bf16[8, 16] in ram at 1024", "buffer Y output 0 bf16[8, 16] in ram at 1000",
             "program/overlap [Y]: 'T' and 'Y' overlap in memory and in time"},
        Case{"buffer Y output 0 bf16[8, 16] in ram at 1024", "buffer Y output 0 bf16[8, 16] in ram at 999900",
             "program/capacity [Y]: 256 bytes at 999900 are outside the usable 0 to 1000000 of 'ram'"},
        Case{"buffer Y output 0", "buffer Y output 1", "program/unresolved: outputs are not numbered 0 to 0"},
        Case{"buffer X input 0 bf16[8, 16] in ram at 0", "buffer X input 0 bf16[8, 16] in sram at 0",
             "program/mover [multiply/load_x]: 'get' does not move from 'sram'\nprogram/memory [X]: buffers lie in a memory of the whole "
             "chip, not in 'sram'"},
        Case{"buffer X input 0 bf16[8, 16] in ram at 0", "buffer X input 0 bf16[8, 16] in ram at 0 bytes 100",
             "program/size [X]: the buffer needs 256 bytes and has 100"},
        Case{"array two[c:2] of core = 0, 1", "array two[c:2] of core = 0, 3",
             "program/hole [multiply/two]: core 3 is absent from this chip"},
        Case{"array two[c:2] of core = 0, 1", "array two[c:2] of core = 0, 0", "program/shape [multiply/two]: core 0 is listed twice"},
        Case{"array two[c:2] of core = 0, 1", "array two[c:2] of core = 0, 9", "program/unresolved [multiply/two]: there is no core 9"},
        Case{"array two[c:2] of core = 0, 1", "array two[c:3] of core = 0, 1",
             "program/shape [multiply/two]: the array has 3 instances and lists 2 components"},
        Case{"array two[c:2] of core = 0, 1", "grid two[c:2] of core",
             "program/grid [multiply/two]: the chip's sequencer deals no grids | list the components of the array"},
        Case{"compute mm on two.mac {\n    loops m:2, k:2", "compute mm on two.mac {\n    loops m:2, k:0",
             "program/size [multiply/mm]: trip counts are positive, and their product is below 2^48"},
        Case{"in x bf16[2, 16] kept k\n", "in x bf16[2, 16] kept k on k[:1]\n",
             "program/port [multiply/mm/x]: a guard names the loop 'k', which is kept"},
        Case{"out y bf16[2, 16] kept k\n", "out y bf16[2, 16]\n",
             "program/token-count [multiply/ys]: 'mm.y' sends 4 tokens and 'store.y' takes 2\nprogram/token-not-written [multiply/mm/y]: "
             "not every element of the tokens given is computed | the writes of the statements, where their guards hold, must cover the "
             "token"},
        Case{"in w bf16[16, 16] kept m, k", "in w bf16[16, 16] kept k",
             "program/token-count [multiply/ws]: 'load_w.w' sends 1 token and 'mm.w' takes 2"},
        Case{"in w bf16[16, 16] kept m, k", "in w bf16[16, 16] order 1, 0 kept m, k",
             "program/token-mismatch [multiply/ws]: 'load_w.w' and 'mm.w' have different tokens"},
        Case{"from W[0, 0]", "from W[0]", "program/shape [multiply/load_w]: box, region and token must have the 2 dimensions of 'W'"},
        Case{"acc[i, j] += x[i, l]", "acc[i, j] += x[i + 1, l]",
             "program/out-of-token [multiply/mm/statement 0]: index 0 of 'x' runs from 1 to 2 where there are 2 | give the read a fill "
             "value, or shrink the tile"},
        Case{"acc[i, j] += x[i, l]", "acc[i + 1, j] += x[i, l]",
             "program/out-of-token [multiply/mm/statement 0]: index 0 of 'acc' runs from 1 to 2 where there are 2"},
        Case{"max(acc[i, j], 0)", "tanh(acc[i, j])",
             "program/unit-class [multiply/mm/statement 1]: 'tanh' is no epilogue operation of 'mac' | give it to a vector unit"},
        Case{"compute mm on two.mac", "compute mm on two.vec",
             "program/unit-class [multiply/mm/statement 0]: 'vec' cannot contract bf16 with bf16"},
        Case{"state acc fp32[2, 16]", "state acc fp16[2, 16]",
             "program/unit-format [multiply/mm/statement 0]: 'mac' works with no fp16\nprogram/unit-format [multiply/mm/statement 1]: "
             "'mac' works with no fp16"},
        Case{"for i, j: y[i, j] = max(acc[i, j], 0) on k[-1:]", "for i, j: y[i, j] = max(acc[i, j], 0) on k[-1:], m[:1]",
             "program/token-not-written [multiply/mm/y]: not every element of the tokens given is computed | the writes of the statements, "
             "where their guards hold, must cover the token"},
        Case{"dim i = 2 of 8", "dim i = 1 of 8",
             "program/token-not-written [multiply/mm/y]: not every element of the tokens given is computed | the writes of the statements, "
             "where their guards hold, must cover the token"},
        Case{"in sram at 4096", "in sram at 2048", "program/overlap [multiply]: 'acc' and 'ys' overlap in sram of instance 0"},
        Case{"in sram at 4096", "in sram at 65535",
             "program/capacity [multiply/mm/acc]: bytes 65535 to 65663 are outside the usable 0 to 65536 of 'sram'"},
        Case{"channel xs: load_x.x -> mm.x depth 2 in sram at 0", "channel xs: load_x.x -> mm.x depth 2 in sram at 0 bytes 64",
             "program/capacity [multiply/xs]: 2 slots of 64 bytes do not fit into 64 bytes"},
        Case{"channel xs: load_x.x -> mm.x depth 2 in sram at 0", "channel xs: load_x.x -> mm.x depth 2 in ram at 4096",
             "program/mover [multiply/load_x]: 'get' does not move to 'ram'\nprogram/memory [multiply/xs]: instances of 'two' would share "
             "one place in 'ram'"},
        Case{"  channel ws: load_w.w -> mm.w depth 1 in sram at 1024\n", "",
             "program/unread [multiply/load_w/w]: no channel takes the tokens of this port\nprogram/unfed [multiply/mm/w]: no channel "
             "feeds this port"},
        Case{"move load on two.get", "move load on two.put",
             "program/mover [shift/load]: 'put' does not move from 'ram'\nprogram/mover [shift/load]: 'put' does not move to 'sram'"},
        Case{"paths (0), (0, 1)", "paths (0), (1)", "program/route [multiply/load_x]: path 1 does not lead between core 1 and the memory"},
        Case{"paths (0), (0, 1)", "paths (0), (0, 2, 1)", "program/route [multiply/load_x]: path 1 jumps from core 2 to 1"},
        Case{"paths (0), (0, 1)", "paths (0), (0, 2, 3, 1)",
             "program/route [multiply/load_x]: path 1 passes core 3, which is absent from this chip"},
        Case{"paths (0), (0, 1)", "paths (0)", "program/route [multiply/load_x]: there are 1 paths for the 2 instances of 'two'"},
        Case{"context shift after multiply", "context shift",
             "program/read-before-write [shift/load]: 'load' reads element [0, 0] of 'T', which nothing before it wrote"},
        Case{"to T[4*c + 2*m, 0]", "to T[4*c + m, 0]",
             "program/double-write [multiply/store]: 'store' writes element [1, 0] of 'T' twice\nprogram/read-before-write [shift/load]: "
             "'load' reads element [3, 0] of 'T', which nothing before it wrote"},
        Case{"to T[4*c + 2*m, 0]", "to T[2*m, 0]",
             "program/double-write [multiply/store]: 'store' writes element [0, 0] of 'T' twice\nprogram/read-before-write [shift/load]: "
             "'load' reads element [4, 0] of 'T', which nothing before it wrote"},
        Case{"to T[4*c + 2*m, 0]", "to X[4*c + 2*m, 0]",
             "program/read-only [multiply/store]: 'store' stores into 'X', which the host supplies\nprogram/read-before-write "
             "[shift/load]: 'load' reads element [0, 0] of 'T', which nothing before it wrote"},
        Case{"to Y[4*c + m, 0]", "to Y[4*c + m, 0] region 0:7, 0:16",
             "program/output-not-written [Y]: element [7, 0] of the output is never written"},
        Case{"from T[4*c + m, 0]", "from Y[4*c + m, 0]",
             "program/read-before-write [shift/load]: 'load' reads element [0, 0] of 'Y', which nothing before it wrote"},
        Case{"window m peek 2 pop 1\n", "window m peek 3 pop 1\n",
             "program/token-count [shift/own]: 'load.t' sends 4 tokens and 'sum.t' takes 5"},
        Case{"sum.t on m[1:], send.t depth 4", "sum.t on m[2:], send.t depth 4",
             "program/token-count [shift/own]: 'load.t' sends 4 tokens and 'sum.t' takes 3\nprogram/domain [shift/sum/t]: position 1 of "
             "'m' is not fed"},
        Case{"sum.t on m[1:], send.t depth 4", "sum.t, send.t depth 4",
             "program/token-count [shift/own]: 'load.t' sends 4 tokens and 'sum.t' takes 5\nprogram/domain [shift/sum/t]: the feeds of a "
             "port must divide its sequence by one loop | say which indices each channel feeds: on LOOP[begin:end]"},
        Case{"loops m:4\n    in t bf16[1, 16]\n    out s", "loops m:3\n    in t bf16[1, 16]\n    out s",
             "program/token-count [shift/own]: 'load.t' sends 4 tokens and 'send.t' takes 3"},
        Case{"send.s -> sum.t on m[:1] source [c - 1] depth 1 in sram at 1024",
             "send.s -> sum.t on m[:1] source [c - 1] depth 1 in sram at 1024 initial 1",
             "program/token-count [shift/above]: 'send.s' sends 1 token besides 1 initial and 'sum.t' takes 1"},
        Case{"send.t depth 4 in sram at 0\n  channel above: send.s -> sum.t on m[:1] source [c - 1]",
             "send.t depth 3 in sram at 0\n  channel above: send.s -> sum.t on m[:1] source [c - 1 mod 2]",
             "program/deadlock [shift]: the context comes to a halt: 'load' waits for a free slot in 'own', 'send' waits for a token of "
             "'own', 'sum' waits for a token of 'above', 'store' waits for a token of 'ys' | it would run with 'own' of depth 4 instead of "
             "3"},
        Case{"source [c - 1] depth 1", "source [c - 1, 0] depth 1",
             "program/relation [shift/above]: the relation must give the 1 coordinates of 'two'"},
        Case{"  channel own:",
             "  move extra on two.get {\n    out e bf16[8, 16]\n    from Y[0, 0]\n  }\n  compute sink on two.vec {\n    in e bf16[8, 16]\n "
             "   dim i = 8\n    dim j = 16\n    state top fp32[16] in sram at 8192\n    top[j] max= e[i, j]\n  }\n  channel es: extra.e -> "
             "sink.e depth 1 in sram at 12288\n  channel own:",
             "program/unordered [shift/extra]: 'extra' reads and 'store' writes element [0, 0] of 'Y' in no order | join them by a "
             "channel, or put them into contexts one after the other\nprogram/read-before-write [shift/extra]: 'extra' reads element [0, "
             "0] of 'Y', which nothing before it wrote"},
        Case{"  compute sum on two.vec {\n    loops m:4\n    in t bf16[1, 16] window m peek 2 pop 1\n",
             "  compute sum on two.vec {\n    loops m:4\n    in t bf16[1, 16]\n",
             "program/shape [shift/sum/statement 0]: a read has 3 indices instead of 2"},
        Case{"compute sum on two.vec {\n    loops m:4\n    in t bf16[1, 16] window m peek 2 pop 1",
             "compute sum on two.vec {\n    loops m:4\n    in t bf16[1, 16] on m[1:] window m peek 2 pop 1",
             "program/port [shift/sum/t]: a guard names the window's loop"}));

}  // namespace
}  // namespace switchyard::program
