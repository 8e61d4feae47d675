// What is spread, in place or early: the exact text of each way to get it wrong, in a program that is right but for one change.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "program/text.h"
#include "program/verify.h"
#include "support/file.h"

namespace switchyard::program {
namespace {

std::string good() {
  const auto text = read_file(SWITCHYARD_SOURCE_DIR "/examples/programs/resident-pipeline.syp");
  EXPECT_TRUE(text.ok());
  return text.value();
}

Program parsed(const std::string& text) {
  auto read = parse(text, "p.syp");
  EXPECT_TRUE(read.ok()) << (read.ok() ? "" : format_failure(read.failure()));
  return read.ok() ? std::move(read).value() : Program{};
}

/// "code [pointer]: message | hint", every diagnostic on its own line.
std::string complaint(const Program& program) {
  const Status verified = verify(program);
  if (verified.ok()) return "";
  std::string result;
  for (const Diagnostic& d : verified.failure().diagnostics) {
    if (!result.empty()) result += "\n";
    result += d.code + " [" + d.pointer + "]: " + d.message;
    if (!d.hint.empty()) result += " | " + d.hint;
  }
  return result;
}

std::string with(std::string text, const std::vector<std::pair<std::string, std::string>>& changes) {
  for (const auto& [from, to] : changes) {
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    if (at != std::string::npos) text.replace(at, from.size(), to);
  }
  return text;
}

void change_chip(Program& program, const std::function<void(chip::Chip&)>& change) {
  auto chip = std::make_shared<chip::Chip>(*program.chip);
  change(*chip);
  program.chip = std::move(chip);
}

TEST(Spread, TheUnchangedProgramIsGood) { EXPECT_EQ(complaint(parsed(good())), ""); }

struct Case {
  std::vector<std::pair<std::string, std::string>> changes;
  const char* expected;
};

const std::string kPush = "from T[4*b, 0, 0] extent [4, 64, 32]\n    to T[4*b, 0, 0] extent [4, 64, 32]";

class SpreadText : public testing::TestWithParam<Case> {};
TEST_P(SpreadText, SaysWhatIsWrong) { EXPECT_EQ(complaint(parsed(with(good(), GetParam().changes))), GetParam().expected); }

INSTANTIATE_TEST_SUITE_P(
    Buffers, SpreadText,
    testing::Values(
        Case{{{"spread [16] = 0..15 part [6", "spread [17] = 0..15 part [6"}},
             "program/shape [T]: the spread has 17 parts and lists 16 components"},
        Case{{{"spread [16] = 0..15 part [6", "spread [0] = 0..15 part [6"}}, "program/size [T]: a buffer has 1 to 1048576 parts"},
        Case{{{"spread [16] = 0..15 part [6", "spread [16] = 0..14, 14 part [6"}}, "program/shape [T]: tile 14 is listed twice"},
        Case{{{"spread [16] = 0..15 part [6", "spread [16] = 0..14, 99 part [6"}}, "program/unresolved [T]: there is no tile 99"},
        Case{{{"at [4*c0 - 1, 0, 0]", "at [4*c0 - 1, 0]"}},
             "program/shape [T]: starts and extents of parts must have the 3 dimensions of the buffer"},
        Case{{{"part [6, 64, 32]", "part [6, 64, 0]"}}, "program/shape [T]: extents of a part are at least 1"},
        Case{{{"at [4*c0 - 1, 0, 0]", "at [4611686018427387904*c0, 0, 0]"}},
             "program/affine [T]: the start of a part names a variable that does not exist or leaves 60 bits"},
        Case{{{"at [4*c0 - 1, 0, 0]", "at [4*c0 - 1, 0, 0] pad 0"}}, "program/size [T]: a padding is at least 1 element"},
        Case{{{"in spm at 65536 spread", "in spm at 65536 bytes 24575 spread"}},
             "program/size [T]: a part needs 24576 bytes and has 24575"},
        Case{{{"in spm at 65536 spread", "in ddr at 65536 spread"}},
             "program/memory [T]: a spread buffer lies in scratchpads, not in 'ddr'"},
        Case{{{"at [4*c0 - 1, 0, 0]", "at [4*c0 - 1, 0, 0] persistent"}},
             "program/spread [T]: a spread buffer is an intermediate result: the host neither supplies nor takes it"},
        Case{{{"in spm at 65536 spread", "in spm at 0 spread"}},
             "program/capacity [T]: 24576 bytes at 0 are outside the usable 65536 to 3080192 of 'spm'"},
        Case{{{"in spm at 131072", "in spm at 81920"}}, "program/overlap [U]: 'T' and 'U' overlap in spm of instance 0 and in time"},
        Case{{{"acc fp32[64, 16] in spm at 200704", "acc fp32[64, 16] in spm at 73728"}},
             "program/overlap [second]: 'T' and 'acc' overlap in spm of instance 0"},
        // A context between two that use a part has to leave it alone as well.
        Case{{{"context second after",
               "context between after first {\n  array one[1] of tile = 3\n  move load on one.rdma {\n    out x bf16[8, 1, 16]\n    from "
               "X[0, 0, 0]\n  }\n  move keep on one.wdma {\n    in x bf16[8, 1, 16]\n    to Y[0, 0, 0]\n  }\n  channel x: load.x -> keep.x "
               "depth 1 in spm at 90000 bytes 256\n}\ncontext second after"}},
             "program/overlap [between]: 'T' and 'x' overlap in spm of instance 3"}));

INSTANTIATE_TEST_SUITE_P(
    Places, SpreadText,
    testing::Values(
        Case{{{"part [6, 64, 32]", "part [5, 64, 32]"}},
             "program/part [second/conv]: 'conv' reads element [4, 0, 0] of 'T' on tile 0, whose part does not have it | clip the box by a "
             "region, or give the part more"},
        Case{
            {{"place U[4*b + y, 0, 0]", "place U[4*b + y + 1, 0, 0]"}},
            "program/part [second/conv]: 'conv' writes element [4, 0, 0] of 'U' on tile 0, whose part does not have it | clip the box by a "
            "region, or give the part more"},
        Case{{{"spread [16] = 0..15 part [4", "spread [15] = 0..14 part [4"}},
             "program/place [second/conv/u]: tile 15 holds no part of 'U'\n"
             "program/spread [store/store]: tile 15 holds no part of 'U'"},
        Case{{{"buffer T bf16", "buffer T fp32"}},
             "program/place [first/conv/t]: the token is bf16 and 'T' is fp32: a place converts nothing\n"
             "program/place [second/conv/t]: the token is bf16 and 'T' is fp32: a place converts nothing"},
        Case{{{"out u bf16[1, 64, 16] place U[4*b + y, 0, 0]", "out u bf16[1, 64, 16] place Y[4*b + y, 0, 0]"}},
             "program/place [second/conv/u]: 'Y' is not spread: nothing computes in it | load and store it with movers"},
        Case{{{"out u bf16[1, 64, 16] place U[4*b + y, 0, 0]", "out u bf16[1, 64, 16] place U[4*b + y, 0]"}},
             "program/shape [second/conv/u]: box, region and token must have the 3 dimensions of 'U'"},
        Case{{{"out u bf16[1, 64, 16] place", "out u bf16[1, 64, 16] kept y place"}},
             "program/place [second/conv/u]: the place moves with the loop 'y', which is kept"},
        Case{{{"in t bf16[3, 64, 32] place", "in t bf16[3, 64, 32] window y peek 1 pop 1 place"}},
             "program/place [second/conv/t]: a port with a window has no place | let the box have as many indices as the window peeks"},
        Case{{{"out u bf16[1, 64, 16] place U[4*b + y, 0, 0]", "out u bf16[1, 64, 16] place U[4*b + y, 0, 0] region 0:65, 0:64, 0:16"}},
             "program/shape [second/conv/u]: the region leaves 'U' in dimension 0"},
        Case{{{"out u bf16[1, 64, 16] place U[4*b + y, 0, 0]", "out u bf16[1, 64, 16] place U[4*b + y, 0, 0] message y"}},
             "program/place [second/conv/u]: a place has its token's extents and no messages"},
        Case{{{"out done int8[0] kept y", "out done int8[0] kept y place T[0, 0, 0]"}},
             "program/place [first/conv/done]: a token without elements has no place"},
        Case{{{"out w bf16[3, 3, 16, 32]\n", "out w bf16[3, 3, 16, 32] place T[0, 0, 0]\n"}},
             "program/place [first/load_w/w]: only ports of compute actors have places | a mover has boxes: from and to"},
        Case{{{"channel placed:", "channel t: conv.t -> push.done depth 1 in spm at 237568\n  channel placed:"}},
             "program/port [first/t]: 't' has a place: no channel leads there or from there"},
        Case{{{"  channel placed: conv.done -> push.done depth 1 in spm at 237568\n", ""}},
             "program/unread [first/conv/done]: no channel takes the tokens of this port\n"
             "program/unfed [first/push/done]: no channel feeds this port"}));

INSTANTIATE_TEST_SUITE_P(
    Stores, SpreadText,
    testing::Values(
        Case{{{"loops m:2", "loops m:1"}},
             "program/message [first/push]: what 'push' stores on tile 1 is 2 messages, and its loop 'm' has 1 index | let a loop of 2 say "
             "which: message LOOP"},
        Case{{{" message m", ""}},
             "program/message [first/push]: what 'push' stores on tile 1 is 2 messages, and a firing is one | let a loop of 2 say which: "
             "message LOOP"},
        Case{{{"to T[4*b, 0, 0] extent", "to T[4*b + m, 0, 0] extent"}},
             "program/message [first/push]: a box moves with the loop 'm' of its messages"},
        Case{{{"to Y[4*b, 0, 0] extent [4, 64, 16]", "to Y[4*b + y, 0, 0] extent [4, 64, 16] message y"},
              {"move store on band.wdma {\n", "move store on band.wdma {\n    loops y:1\n"}},
             "program/message [store/store]: only a store to a spread buffer has messages"},
        Case{{{kPush, "from X[4*b, 0, 0] extent [4, 64, 32]\n    to T[4*b, 0, 0] extent [4, 64, 32]"}},
             "program/spread [first/push]: 'T' is stored from 'ddr': what is off the chip reaches scratchpads through channels"},
        Case{{{"from U[4*b, 0, 0] extent", "from X[4*b, 0, 0] extent"}},
             "program/spread [store/store]: a mover from buffer to buffer reads or stores one that is spread | join two movers by a "
             "channel"},
        Case{{{"to T[4*b, 0, 0] extent [4, 64, 32]", "to T[4*b, 0, 0] extent [3, 64, 32]"}},
             "program/shape [first/push]: the two boxes of a mover have the same extent"},
        Case{{{kPush, "from T[4*b, 0, 0] extent [0, 64, 32]\n    to T[4*b, 0, 0] extent [0, 64, 32]"}},
             "program/shape [first/push]: extents of a box are at least 1"},
        Case{{{"to T[4*b, 0, 0] extent [4, 64, 32]", "to T[4*b, 0, 0]"}},
             "program/body [first/push]: a mover states the extent of its boxes where it has two and no port with data, and only there"},
        Case{{{"from X[4*b + y - 1, -1, 0]", "from X[4*b + y - 1, -1, 0] extent [1, 66, 16]"}},
             "program/body [first/load_x]: a mover states the extent of its boxes where it has two and no port with data, and only there"},
        Case{{{"to T[4*b, 0, 0] extent [4, 64, 32]", "to T[4*b, 0, 0] extent [4, 64, 32] region 0:63, 0:64, 0:32"}},
             "program/shape [first/push]: a mover that updates copies reads and stores one region"},
        Case{{{"message m\n", "message m\n    route noc paths (0)\n"}},
             "program/route [first/push]: messages to 'T' take the network's own routes"},
        Case{{{kPush, "from T[4*b - 1, 0, 0] extent [6, 64, 32]\n    to T[4*b, 0, 0] extent [6, 64, 32]"}, {"loops m:2", "loops m:9"}},
             "program/double-write [first/push]: 'conv' of tile 0 and 'push' of tile 0 both write element [0, 0, 0] of 'T' on tile 0"}));

INSTANTIATE_TEST_SUITE_P(
    Order, SpreadText,
    testing::Values(
        Case{{{"place T[4*b + y, 0, 0]", "place T[4*b + y + 1, 0, 0]"}},
             "program/double-write [first/push]: 'conv' of tile 0 and 'push' of tile 1 both write element [4, 0, 0] of 'T' on tile 0"},
        Case{{{"place T[4*b + y, 0, 0]", "place T[4*b, 0, 0]"}},
             "program/double-write [first/conv]: 'conv' writes element [0, 0, 0] of 'T' twice"},
        // Nobody waits for the last row.
        Case{{{"out done int8[0] kept y", "out done int8[0] on y[:1]"}},
             "program/unordered [first/push]: 'push' reads and 'conv' writes element [0, 0, 0] of 'T' on tile 0 in no order | the channels "
             "between them must order the firings, at each instance, in which both touch the element"},
        // Each waits for its neighbour instead of its own rows.
        Case{{{"push.done depth", "push.done source [b + 1 mod 16] depth"}},
             "program/unordered [first/push]: 'push' reads and 'conv' writes element [0, 0, 0] of 'T' on tile 0 in no order | the channels "
             "between them must order the firings, at each instance, in which both touch the element"},
        Case{{{"context second after first {", "context second {"}},
             "program/read-before-write [second/conv]: 'conv' reads element [0, 0, 0] of 'T' on tile 0, which nothing before it wrote "
             "there"},
        // Only the last row is sent: the copies of the tile above lack the first.
        Case{{{kPush, "from T[4*b + 3, 0, 0] extent [1, 64, 32]\n    to T[4*b + 3, 0, 0] extent [1, 64, 32]"}},
             "program/read-before-write [second/conv]: 'conv' reads element [4, 0, 0] of 'T' on tile 0, which nothing before it wrote "
             "there"},
        Case{{{"context store after second {", "context store after first {"}},
             "program/read-before-write [store/store]: 'store' reads element [0, 0, 0] of 'U' on tile 0, which nothing before it wrote "
             "there"}));

INSTANTIATE_TEST_SUITE_P(
    Early, SpreadText,
    testing::Values(
        Case{{{"move store on band.wdma {", "move store on band.wdma early {"}},
             "program/early [store/store]: what an early mover gives goes into channels of its own context"},
        Case{{{"compute conv on band.ne {\n    loops y:4\n    in t", "compute conv on band.ne early {\n    loops y:4\n    in t"}},
             "program/early [second/conv]: only movers start early"},
        Case{{{"depth 1 in spm at 241664", "depth 1 in spm at 212992"}},
             "program/overlap [second]: 'rows' and 'weights' overlap in spm of instance 0, where early actors may fill it while 'first' "
             "runs"},
        Case{{{"depth 1 in spm at 241664", "depth 1 in spm at 212992"}, {"after first {", "after first early after first {"}}, ""}));

/// Weights that a context before computes.
const std::vector<std::pair<std::string, std::string>> kMadeWeights = {
    {"context first {",
     "buffer V bf16[3, 3, 32, 16] in ddr at 1048576\ncontext make {\n  array one[1] of tile = 0\n  move load on one.rdma {\n    out w "
     "bf16[3, 3, 32, 16]\n    from W2[0, 0, 0, 0]\n  }\n  move keep on one.wdma {\n    in w bf16[3, 3, 32, 16]\n    to V[0, 0, 0, 0]\n  "
     "}\n  "
     "channel w: load.w -> keep.w depth 1 in spm at 262144\n}\ncontext first {"},
    {"context second after first {", "context second after first, make early after make {"},
    {"early {\n    out w bf16[3, 3, 32, 16]\n    from W2", "early {\n    out w bf16[3, 3, 32, 16]\n    from V"}};

TEST(Spread, EarlyActorsReadWhatIsFinished) {
  const std::string made = with(good(), kMadeWeights);
  EXPECT_EQ(complaint(parsed(made)), "");
  EXPECT_EQ(complaint(parsed(with(made, {{" early after make", ""}}))),
            "program/unordered [second/load_w]: 'load_w' starts early and reads element [0, 0, 0, 0] of 'V', which 'make' may still be "
            "writing | let the early actors come after that context\n"
            "program/read-before-write [second/load_w]: 'load_w' reads element [0, 0, 0, 0] of 'V', which nothing before it wrote");
  EXPECT_EQ(complaint(parsed(with(made, {{"early after make", "early after first"}}))),
            "program/unordered [second/load_w]: 'load_w' starts early and reads element [0, 0, 0, 0] of 'V', which 'make' may still be "
            "writing | let the early actors come after that context\n"
            "program/read-before-write [second/load_w]: 'load_w' reads element [0, 0, 0, 0] of 'V', which nothing before it wrote");
}

TEST(Spread, EarlyActorsReadCopiesThatAreFinished) {
  // The rows of T are read early, and kept.
  const std::string early = with(
      good(), {{"context store after second {\n  array band[b:16] of tile = 0..15\n",
                "buffer Z output 1 bf16[64, 64, 32] in ddr at 1048576\ncontext store after second early after first {\n  array "
                "band[b:16] of tile = 0..15\n  move take on band.dte early {\n    out t bf16[4, 64, 32]\n    from T[4*b, 0, 0]\n  }\n  "
                "move give on band.wdma {\n    in t bf16[4, 64, 32]\n    to Z[4*b, 0, 0]\n  }\n  channel t: take.t -> give.t depth 1 "
                "in spm at 262144\n"}});
  EXPECT_EQ(complaint(parsed(early)), "");
  EXPECT_EQ(complaint(parsed(with(early, {{" early after first", ""}}))),
            "program/unordered [store/take]: 'take' starts early and reads element [0, 0, 0] of 'T' on tile 0, which 'first' may still be "
            "writing | let the early actors come after that context");
  // What an early actor waits for starts early too.
  EXPECT_EQ(complaint(parsed(with(early, {{"out t bf16[4, 64, 32]\n    from T[4*b, 0, 0]\n  }\n",
                                           "out t bf16[4, 64, 32]\n    in go int8[0]\n    from T[4*b, 0, 0]\n  }\n  move first on band.dte "
                                           "{\n    out go int8[0]\n    from U[4*b, 0, 0]\n    out u bf16[4, 64, 16]\n  }\n  channel go: "
                                           "first.go -> take.go depth 1 in spm at 65536\n"}}))),
            "program/early [store/go]: 'take' starts early and waits for 'first', which does not");
}

TEST(Spread, TheChipAllows) {
  const auto on = [](const std::function<void(chip::Chip&)>& change) {
    Program program = parsed(good());
    change_chip(program, change);
    return complaint(program);
  };
  EXPECT_EQ(on([](chip::Chip& chip) { chip.context.keeps_scratchpads = false; }),
            "program/spread [T]: the buffer is used from 'first' to 'second', and this chip's contexts keep no scratchpads\n"
            "program/spread [U]: the buffer is used from 'second' to 'store', and this chip's contexts keep no scratchpads");
  EXPECT_EQ(on([](chip::Chip& chip) { chip.context.resident = 1; }),
            "program/resident [first]: 2 contexts may be in flight while this one runs, and the chip holds 1 | let early actors of later "
            "contexts come after more");
  EXPECT_EQ(on([](chip::Chip& chip) { chip.context.resident = 2; }), "");
  EXPECT_EQ(on([](chip::Chip& chip) { chip.components[1].holes = {5}; }),
            "program/hole [T]: tile 5 is absent from this chip\n"
            "program/hole [U]: tile 5 is absent from this chip");
}

TEST(Spread, LaterContextsDoNotWaitForThemselves) {
  Program program = parsed(good());
  program.contexts[1].early_after = {ContextId(1)};
  EXPECT_EQ(complaint(program), "program/after [second]: early actors may only come after contexts before theirs");
  program = parsed(good());
  program.contexts[0].actors[3].destination->message = 7;
  EXPECT_EQ(complaint(program), "program/unresolved [first/push]: the loop of messages does not exist");
}

/// Sixteen tiles need all of a tensor: each has a sixteenth, from DRAM, and sends it to all.
constexpr const char* kGather = R"SYP(switchyard program 1
chip tx81
buffer A input 0 fp32[64, 8] in ddr at 0
buffer Y output 0 fp32[64, 8] in ddr at 65536
buffer G fp32[64, 8] in spm at 65536 spread [16] = 0..15 part [64, 8] at [0, 0]
context gather {
  array t[c:16] of tile = 0..15
  move load on t.rdma {
    out a fp32[4, 8]
    from A[4*c, 0]
  }
  move send on t.dte {
    in a fp32[4, 8]
    to G[4*c, 0]
  }
  channel a: load.a -> send.a depth 1 in spm at 131072
}
context store after gather {
  array t[c:16] of tile = 0..15
  move store on t.wdma {
    loops y:4
    from G[-4*c - y + 63, 0] extent [1, 8]
    to Y[-4*c - y + 63, 0] extent [1, 8]
  }
}
)SYP";

TEST(Spread, OneMessageReachesAll) {
  EXPECT_EQ(complaint(parsed(kGather)), "");
  EXPECT_EQ(complaint(parsed(with(kGather, {{"to G[4*c, 0]", "to G[4*c, 0] region 0:63, 0:8"}}))),
            "program/read-before-write [store/store]: 'store' reads element [63, 0] of 'G' on tile 0, which nothing before it wrote there");
  Program narrow = parsed(kGather);
  change_chip(narrow, [](chip::Chip& chip) {
    for (chip::Mover& mover : chip.movers) mover.multicast = 14;
  });
  EXPECT_EQ(complaint(narrow), "program/mover [gather/send]: 'dte' sends to 14 components at once, not to 15");
  // A guard must not leave some of the messages out.
  EXPECT_EQ(
      complaint(parsed(with(kGather, {{"  move send on t.dte {\n    in a fp32[4, 8]\n    to G[4*c, 0]",
                                       "  move send on t.dte {\n    loops m:2\n    in a fp32[4, 8] on m[:1]\n    to G[4*c, 0] message "
                                       "m"}}))),
      "program/message [gather/send]: the guard of 'a' leaves messages out: it names their loop");
}

/// In one context: the other tile's half is read when its token has come.
constexpr const char* kExchange = R"SYP(switchyard program 1
chip tx81
buffer A input 0 fp32[8] in ddr at 0
buffer Y output 0 fp32[8] in ddr at 4096
buffer G fp32[8] in spm at 65536 spread [2] = 0, 1 part [8] at [0]
context c {
  array t[c:2] of tile = 0, 1
  move load on t.rdma {
    out a fp32[4]
    from A[4*c]
  }
  move send on t.dte {
    in a fp32[4]
    out sent int8[0]
    to G[4*c]
  }
  move store on t.wdma {
    in go int8[0]
    from G[-4*c + 4] extent [4]
    to Y[-4*c + 4] extent [4]
  }
  channel a: load.a -> send.a depth 1 in spm at 131072
  channel go: send.sent -> store.go source [c + 1 mod 2] depth 1 in spm at 135168
}
)SYP";

TEST(Spread, TokensOrderCopiesOfOneContext) {
  EXPECT_EQ(complaint(parsed(kExchange)), "");
  const std::string crossed = with(kExchange, {{" source [c + 1 mod 2]", ""}});
  EXPECT_EQ(complaint(parsed(crossed)),
            "program/unordered [c/store]: 'store' reads and 'send' writes element [4] of 'G' on tile 0 in no order | the channels between "
            "them must order the firings, at each instance, in which both touch the element");
  // The own half needs the own token only.
  EXPECT_EQ(complaint(parsed(with(crossed, {{"from G[-4*c + 4]", "from G[4*c]"}, {"to Y[-4*c + 4]", "to Y[4*c]"}}))), "");
}

/// A context that reads a copy and then puts something else there.
constexpr const char* kReplace = R"SYP(switchyard program 1
chip tx81
buffer A input 0 fp32[8] in ddr at 0
buffer B input 1 fp32[8] in ddr at 4096
buffer Y output 0 fp32[8] in ddr at 8192
buffer Z output 1 fp32[8] in ddr at 12288
buffer G fp32[8] in spm at 65536 spread [2] = 0, 1 part [4] at [4*c0]
context first {
  array t[c:2] of tile = 0, 1
  move load on t.rdma {
    out a fp32[4]
    from A[4*c]
  }
  move put on t.dte {
    in a fp32[4]
    to G[4*c]
  }
  channel a: load.a -> put.a depth 1 in spm at 131072
}
context second after first {
  array t[c:2] of tile = 0, 1
  compute twice on t.ct {
    in g fp32[4] place G[4*c]
    out y fp32[4]
    out seen int8[0]
    dim i = 4
    y[i] = g[i] * 2
  }
  move store on t.wdma {
    in y fp32[4]
    to Y[4*c]
  }
  move load on t.rdma {
    out b fp32[4]
    from B[4*c]
  }
  move put on t.dte {
    in seen int8[0]
    in b fp32[4]
    to G[4*c]
  }
  channel y: twice.y -> store.y depth 1 in spm at 131072
  channel b: load.b -> put.b depth 1 in spm at 135168
  channel seen: twice.seen -> put.seen depth 1 in spm at 139264
}
context third after second {
  array t[c:2] of tile = 0, 1
  move store on t.wdma {
    from G[4*c] extent [4]
    to Z[4*c] extent [4]
  }
}
)SYP";

TEST(Spread, ACopyIsReplacedWhenItWasRead) {
  EXPECT_EQ(complaint(parsed(kReplace)), "");
  EXPECT_EQ(complaint(parsed(with(kReplace, {{"    out seen int8[0]\n", ""},
                                             {"    in seen int8[0]\n", ""},
                                             {"  channel seen: twice.seen -> put.seen depth 1 in spm at 139264\n", ""}}))),
            "program/unordered [second/twice]: 'twice' reads and 'put' writes element [0] of 'G' on tile 0 in no order | the channels "
            "between them must order the firings, at each instance, in which both touch the element");
  // What comes after the reading does not count as written before it.
  EXPECT_EQ(complaint(parsed(with(kReplace, {{"context second after first", "context second"}}))),
            "program/read-before-write [second/twice]: 'twice' reads element [0] of 'G' on tile 0, which nothing before it wrote there");
  // A compute actor may work in place: it reads, then writes.
  const std::string in_place =
      with(kReplace, {{"    out y fp32[4]\n    out seen", "    out y fp32[4]\n    out h fp32[4] place G[4*c]\n    out seen"},
                      {"    y[i] = g[i] * 2\n", "    y[i] = g[i] * 2\n    h[i] = g[i] + 1\n"},
                      {"    in b fp32[4]\n    to G[4*c]\n", "    in b fp32[4]\n    out c fp32[4]\n"}});
  const std::string sunk = with(in_place, {{"  channel seen:",
                                            "  compute sink on t.ct {\n    in c fp32[4]\n    dim i = 4\n    state s fp32[4] "
                                            "in spm at 262144\n    s[i] = c[i]\n  }\n  channel c: put.c -> sink.c depth 1 "
                                            "in spm at 147456\n  channel seen:"}});
  EXPECT_EQ(complaint(parsed(sunk)), "");
  EXPECT_EQ(complaint(parsed(with(sunk, {{"context second after first", "context second"}}))),
            "program/read-before-write [second/twice]: 'twice' reads element [0] of 'G' on tile 0, which nothing before it wrote there");
}

}  // namespace
}  // namespace switchyard::program
