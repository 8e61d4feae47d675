// The exact text of what is said of static circuits: a good program over a network of circuits, changed in one place.
#include <gtest/gtest.h>

#include <string>

#include "program/text.h"
#include "program/verify.h"

namespace switchyard::program {
namespace {

constexpr const char* kGood = R"SYP(switchyard program 1
chip {
  chip: wired
  components:
    chip: {}
    core: {in: chip, array: [2, 3], holes: [[1, 2]]}
  clocks:
    main: {hz: 1 GHz}
  units:
    vec: {in: core, kind: vector, ops: [map], clock: main, rate: {bf16: 8 lane/cycle}, accumulate: fp32}
  memories:
    sram: {in: core, kind: scratchpad, bytes: 64 KiB, bandwidth: 64 GB/s}
    ram: {in: chip, kind: dram, bytes: 1 MB, bandwidth: 100 GB/s, network: mesh, ports: [[0, 0]]}
  movers:
    get: {in: core, from: ram, to: sram, network: mesh, startup: 1 us, bandwidth: 10 GB/s}
    put: {in: core, from: sram, to: ram, network: mesh, startup: 1 us, bandwidth: 10 GB/s}
  networks:
    mesh: {over: core, topology: mesh2d, link: 10 GB/s, hop: 2 ns, circuits: 2}
    side: {over: core, topology: mesh2d, link: 10 GB/s, hop: 2 ns}
  sequencer: {kind: component_queues, launch: 5 us, issue: 10 ns}
  contexts: {resident: 2}
  sync: {barrier: {alpha: 1 us}}
  formats: {native: [bf16]}
  sources: {S: a sheet}
}
buffer X input 0 bf16[16, 16] in ram at 0
buffer Y output 0 bf16[16, 16] in ram at 512

context copy {
  array two[c:2] of core = 1, 4
  move load on two.get {
    loops m:4
    out x bf16[2, 16]
    from X[8*c + 2*m, 0]
    route mesh
  }
  move store on two.put {
    loops m:4
    in x bf16[2, 16]
    to Y[8*c + 2*m, 0]
  }
  channel xs: load.x -> store.x depth 2 in sram at 0
  circuit mesh paths (0, 1)
  circuit mesh paths (0, 1, 4)
  circuit mesh paths (1, 0)
  circuit mesh paths (4, 3, 0)
}
)SYP";

struct Case {
  const char* from;
  const char* to;
  const char* expected;
};
const Case kCases[] = {
    {"circuit mesh paths (1, 0)", "circuit mesh paths (1, 4, 3, 0)", ""},
    {"  circuit mesh paths (1, 0)\n", "", "program/circuit [copy]: no circuit of 'mesh' leads from core 1 to 0"},
    {"circuit mesh paths (0, 1)\n", "circuit mesh paths (0, 1), (0, 3)\n",
     "program/circuit [copy]: no circuit of 'mesh' leads from core 0 to 1"},
    {"circuit mesh paths (1, 0)", "circuit side paths (1, 0)", "program/circuit [copy]: circuit 2 is on a network that has no circuits"},
    {"circuit mesh paths (1, 0)", "circuit mesh paths ()", "program/circuit [copy]: circuit 2 leads nowhere"},
    {"circuit mesh paths (1, 0)", "packets mesh paths (1, 0)", "program/circuit [copy]: circuit 2: 'mesh' has no packets"},
    {"(0, 1, 4)", "(0, 4)", "program/circuit [copy]: circuit 1 jumps from core 0 to 4"},
    {"(0, 1, 4)", "(0, 1, 2, 5, 4)", "program/circuit [copy]: circuit 1 passes core 5, which is absent from this chip"},
    {"(0, 1, 4)", "(0, 1, 4), (9)", "program/circuit [copy]: the paths of circuit 1 do not begin at one place"},
    {"(0, 1, 4)", "(0, 1, 9)", "program/circuit [copy]: circuit 1 passes core 9, which is absent from this chip"},
    {"(0, 1, 4)", "(0, 3, 4), (0, 1, 4, 3)", "program/circuit [copy]: circuit 1 is no tree: its paths meet again at core 4"},
    {"(0, 1, 4)", "(0, 1, 4), (0, 1)", "program/circuit [copy]: the paths of circuit 1 are not in ascending order of where they end"},
    {"(0, 1, 4)", "(0, 1, 4), (0, 1, 4)", "program/circuit [copy]: the paths of circuit 1 are not in ascending order of where they end"},
    {"circuit mesh paths (0, 1, 4)", "circuit mesh paths (0, 1, 4)\n  circuit mesh paths (0, 3, 4)",
     "program/circuit [copy]: circuits 1 and 2 have the same ends"},
    {"circuit mesh paths (1, 0)", "circuit mesh paths (1, 0)\n  circuit mesh paths (0, 1, 2)",
     "program/circuit [copy]: 3 circuits and 0 streams of packets pass the link from core 0 to 1 of 'mesh', where there is room for 2 "
     "circuits\nprogram/circuit [copy]: 3 circuits and 0 streams of packets pass the ways out of core 0 of 'mesh', where there is room for "
     "2 circuits"},
    {"circuits: 2", "circuits: 2, ends: 1",
     "program/circuit [copy]: 2 circuits and 0 streams of packets pass the ways out of core 0 of 'mesh', where there is room for 1 "
     "circuits\nprogram/circuit [copy]: 2 circuits and 0 streams of packets pass the ways into core 0 of 'mesh', where there is room for 1 "
     "circuits"},
    {"route mesh", "route mesh paths (0, 1), (0, 1, 4)",
     "program/circuit [copy/load]: transfers over 'mesh' take the circuits of their context"},
    {"move load on two.get", "move load on two.get early",
     "program/circuit [copy/load]: an early mover starts before the circuits of 'mesh' are those of its context"},
};

std::string text_of(const Failure& failure) {
  std::string text;
  for (const Diagnostic& d : failure.diagnostics) text += (text.empty() ? "" : "\n") + d.code + " [" + d.pointer + "]: " + d.message;
  return text;
}

TEST(Circuits, EveryBrokenLawIsSaidSo) {
  for (const Case& c : kCases) {
    std::string text = kGood;
    const std::string from = c.from;
    ASSERT_NE(text.find(from), std::string::npos) << from;
    text.replace(text.find(from), from.size(), c.to);
    auto program = parse(text, "p.syp");
    ASSERT_TRUE(program.ok()) << c.to << "\n" << format_failure(program.failure());
    const Status verified = verify(program.value());
    EXPECT_EQ(verified.ok() ? "" : text_of(verified.failure()), c.expected) << c.to;
    EXPECT_EQ(print(parse(print(program.value()), "p.syp").value()), print(program.value()));
  }
}

TEST(Circuits, AreReadWithTheirNetwork) {
  std::string text = kGood;
  const std::string from = "circuit mesh paths (1, 0)";
  text.replace(text.find(from), from.size(), "circuit mash paths (1, 0)");
  auto program = parse(text, "p.syp");
  ASSERT_FALSE(program.ok());
  EXPECT_EQ(program.failure().diagnostics.front().code, "program/unknown-name");
}

}  // namespace
}  // namespace switchyard::program
