// Stores and loads of one buffer in one context: what orders them, what does not, and that both engines run movers that synchronise.
#include <gtest/gtest.h>

#include "program/text.h"
#include "program/verify.h"
#include "simulation/execute.h"
#include "simulation/timing.h"

namespace switchyard {
namespace {

/// Tiles copy A to T and, when they are told that it is there, T to C.
constexpr const char* kCopyTwice = R"SYP(switchyard program 1
chip tx81
buffer A input 0 fp32[128] in ddr at 0
buffer T fp32[128] in ddr at 4096
buffer C output 0 fp32[128] in ddr at 8192
context c {
  array t[c:2] of tile = 0, 1
  move load on t.rdma {
    loops k:4
    out a fp32[16]
    from A[64*c + 16*k]
  }
  move store on t.wdma {
    loops k:4
    out done int8[0]
    in a fp32[16]
    to T[64*c + 16*k]
  }
  move reload on t.rdma {
    loops k:4
    in go int8[0]
    out b fp32[16]
    from T[64*c + 16*k]
  }
  move finish on t.wdma {
    loops k:4
    in b fp32[16]
    to C[64*c + 16*k]
  }
  channel x: load.a -> store.a depth 2 in spm at 65536
  channel s: store.done -> reload.go depth 2 in spm at 69632
  channel y: reload.b -> finish.b depth 2 in spm at 73728
}
)SYP";

std::string with(std::string text, const std::vector<std::pair<std::string, std::string>>& changes) {
  for (const auto& [from, to] : changes) {
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    if (at != std::string::npos) text.replace(at, from.size(), to);
  }
  return text;
}

program::Program read(const std::string& text) {
  auto parsed = program::parse(text, "order.syp");
  EXPECT_TRUE(parsed.ok()) << (parsed.ok() ? "" : format_failure(parsed.failure()));
  return parsed.ok() ? std::move(parsed).value() : program::Program{};
}

std::string complaint(const std::string& text) {
  const auto verified = program::verify(read(text));
  if (verified.ok()) return "";
  std::string all;
  for (const Diagnostic& d : verified.failure().diagnostics) all += d.code + " [" + d.pointer + "]: " + d.message + "\n";
  return all;
}

TEST(Order, MoversThatSynchroniseExecuteAndTakeTime) {
  const program::Program p = read(kCopyTwice);
  const auto verified = program::verify(p);
  ASSERT_TRUE(verified.ok()) << format_failure(verified.failure());
  const auto input = numerics::seeded_uniform(3, numerics::Format::fp32, {128}, 1.0);
  for (const int threads : {1, 2}) {
    const auto run = simulation::execute(p, {input}, {threads, {}});
    ASSERT_TRUE(run.ok()) << format_failure(run.failure());
    EXPECT_EQ(run.value().outputs.at(0).bytes, input.bytes);
  }
  const auto timed = simulation::time_program(p);
  ASSERT_TRUE(timed.ok()) << format_failure(timed.failure());
  EXPECT_EQ(timed.value().transfers, 2 * 16);
  EXPECT_EQ(timed.value().offchip_read, 2 * 128 * 4);
  EXPECT_EQ(timed.value().offchip_written, 2 * 128 * 4);
  // The reload of a tile's first part comes after the load and the store of it: three start-ups and that of the last store.
  EXPECT_GE(timed.value().latency.value - timed.value().launch.value, 2 * 1'550'000 + 2 * 950'000);
}

TEST(Order, WhatNoOneWaitsForIsUnordered) {
  EXPECT_EQ(complaint(kCopyTwice), "");
  // The last part is read when the first is there.
  EXPECT_EQ(complaint(with(kCopyTwice, {{"from T[64*c + 16*k]", "from T[64*c - 16*k + 48]"}})),
            "program/unordered [c/reload]: 'reload' can read element [48] of 'T' before 'store' has written it\n");
  // What the other tile stores: each waits for its own stores only; with the other's token all is well.
  const std::string crossed = with(kCopyTwice, {{"from T[64*c + 16*k]", "from T[-64*c + 16*k + 64]"}});
  EXPECT_EQ(complaint(crossed), "program/unordered [c/reload]: 'reload' can read element [0] of 'T' before 'store' has written it\n");
  EXPECT_EQ(complaint(with(crossed, {{"store.done -> reload.go depth", "store.done -> reload.go source [c + 1 mod 2] depth"}})), "");
  // One token when all is stored orders everything.
  const std::string at_end = with(kCopyTwice, {{"from T[64*c + 16*k]", "from T[64*c - 16*k + 48]"},
                                               {"out done int8[0]", "out done int8[0] kept k"},
                                               {"in go int8[0]", "in go int8[0] kept k"}});
  EXPECT_EQ(complaint(at_end), "");
  const auto run = simulation::execute(read(at_end), {numerics::seeded_uniform(3, numerics::Format::fp32, {128}, 1.0)}, {2, {}});
  EXPECT_TRUE(run.ok());
}

/// Adds tokens up; the last firing gives them away.
constexpr const char* kSum = R"SYP(switchyard program 1
chip tx81
buffer A input 0 fp32[64] in ddr at 0
buffer C output 0 fp32[16] in ddr at 8192
context c {
  array t[1] of tile = 0
  move load on t.rdma {
    loops k:4
    out a fp32[4, 4]
    from A[16*k]
  }
  compute w on t.ct {
    loops k:4
    in a fp32[16]
    out y fp32[16] on k[-1:]
    dim i = 16
    state s fp32[16] kept k in spm at 131072
    s[i] += a[i]
    y[i] = s[i] on k[-1:]
    y[i] = y[i] * 2 on k[-1:]
  }
  move store on t.wdma {
    in a fp32[16]
    to C[0]
  }
  channel x: load.a -> w.a depth 2 in spm at 65536
  channel y: w.y -> store.a depth 2 in spm at 73728
}
)SYP";

TEST(Order, AnOutputIsReadAfterItWasWritten) {
  const std::string sum = with(kSum, {{"out a fp32[4, 4]", "out a fp32[16]"}});
  EXPECT_EQ(complaint(sum), "");
  const std::string early = "the statement reads of 'y' what no earlier statement of the firing wrote\n";
  EXPECT_EQ(complaint(with(sum, {{"+= a[i]", "+= a[i] + y[i]"}})), "program/token-not-written [c/w/statement 0]: " + early);
  EXPECT_EQ(complaint(with(sum, {{"    y[i] = s[i] on k[-1:]\n", ""}})), "program/token-not-written [c/w/statement 1]: " + early);
}

TEST(Order, ADiagonalIsNoTile) {
  const std::string square = with(kSum, {{"out a fp32[4, 4]", "out a fp32[16]"},
                                         {"in a fp32[16]\n    out y fp32[16]", "in a fp32[16]\n    out y fp32[16, 16]"},
                                         {"    y[i] = s[i] on k[-1:]\n    y[i] = y[i] * 2 on k[-1:]\n", "    y[i, i] = s[i] on k[-1:]\n"},
                                         {"buffer C output 0 fp32[16]", "buffer C output 0 fp32[16, 16]"},
                                         {"in a fp32[16]\n    to C[0]", "in a fp32[16, 16]\n    to C[0, 0]"}});
  EXPECT_EQ(complaint(square), "program/token-not-written [c/w/y]: not every element of the tokens given is computed\n");
}

}  // namespace
}  // namespace switchyard
