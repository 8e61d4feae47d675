// The exact text of what cannot be compiled: a small chip changed in one place, and a matrix product.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "chip/read.h"
#include "compiler/compiler.h"
#include "model/model.h"

namespace switchyard::compiler {
namespace {

using numerics::Format;

constexpr const char* kChip = R"(chip: tiny
components:
  chip: {}
  core: {in: chip, array: [2, 2]}
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
networks:
  mesh: {over: core, topology: mesh2d, link: 10 GB/s, hop: 2 ns}
sequencer: {kind: component_queues, launch: 5 us, issue: 10 ns}
contexts: {}
sync: {barrier: {alpha: 1 us}}
formats: {native: [bf16, fp32]}
sources: {S: a sheet}
)";

struct Case {
  const char* title;
  const char* from;  ///< of the chip, replaced once ...
  const char* to;    ///< ... by this
  std::int64_t size;
  Format precision;
  const char* screen;  ///< all that is printed
};

constexpr Case kCases[] = {
    {"a format the chip does not store", "", "", 64, Format::fp16,
     "error: tiny does not store fp16 (tensor 'A' of 'gemm') [compile/unsupported-format]\n"
     "  hint: its formats are bf16, fp32: choose one with --precision\n"},
    {"a format no unit multiplies", "", "", 64, Format::fp32,
     "error: 'gemm' needs multiply-accumulate in fp32, for which tiny has no unit [compile/unsupported-format]\n"
     "  hint: choose another --precision; `switchyard chips show tiny` lists what its units compute\n"},
    {"no movers to the scratchpad", "from: ram, to: sram", "from: sram, to: sram", 64, Format::bf16,
     "error: tiny has no component with a unit, a scratchpad and movers between it and off-chip memory [compile/unsupported-chip]\n"
     "  hint: describe movers whose from and to name the off-chip memory and the scratchpad\n"},
    {"no scratchpad", "kind: scratchpad", "kind: registers", 64, Format::bf16,
     "error: tiny has no component with a unit, a scratchpad and movers between it and off-chip memory [compile/unsupported-chip]\n"
     "  hint: describe movers whose from and to name the off-chip memory and the scratchpad\n"},
    {"a model larger than the memory", "", "", 1024, Format::bf16,
     "error: the model's tensors do not fit 'ram' of tiny [compile/does-not-fit]\n"
     "error: ram does not suffice: 6291456 bytes needed, 1000000 bytes there\n"
     "  weights and constants: 2097152 bytes\n"
     "  inputs, outputs and intermediate tensors, with reuse: 4194304 bytes\n"
     "  hint: a narrower --precision\n"
     "  hint: a smaller --batch\n"
     "  hint: a chip with more off-chip memory\n"},
    {"a tile larger than the scratchpad", "bytes: 64 KiB", "bytes: 12 B", 64, Format::bf16,
     "error: no tile of 'gemm' fits sram of one core [compile/does-not-fit]\n"
     "error: sram of one core does not suffice: 14 bytes needed, 12 bytes there\n"
     "  2 tiles of A: 4 bytes\n"
     "  2 tiles of B: 4 bytes\n"
     "  1 tile of C: 2 bytes\n"
     "  accumulator acc: 4 bytes\n"
     "  hint: a larger sram\n"
     "  hint: a narrower --precision\n"
     "  hint: a smaller model dimension\n"},
    {"fewer circuits than ways to memory", "hop: 2 ns}", "hop: 2 ns, circuits: 1}", 64, Format::bf16,
     "error: the circuits of context 'gemm' do not all have room on the ways out of core 0 of 'mesh' [compile/does-not-route]\n"
     "error: the ways out of core 0 of 'mesh' does not suffice: 4 circuits needed, 1 circuits there\n"
     "  circuits of their own: 4 circuits\n"
     "  hint: --override /networks/mesh/ends=4\n"
     "  hint: --override /networks/mesh/streams=4, where its switches know packets\n"},
};

TEST(Compile, SaysWhatCannotBeDone) {
  for (const Case& c : kCases) {
    std::string text = kChip;
    const std::size_t at = text.find(c.from);
    ASSERT_NE(at, std::string::npos) << c.title;
    text.replace(at, std::string(c.from).size(), c.to);
    auto chip = chip::parse_chip(text, "tiny.yaml");
    ASSERT_TRUE(chip.ok()) << c.title << "\n" << format_failure(chip.failure());
    const auto model = model::load_model("gemm", {0, 0, {{"m", c.size}, {"n", c.size}, {"k", c.size}}});
    ASSERT_TRUE(model.ok());
    const auto compiled =
        compile(model.value().graph, std::make_shared<const chip::Chip>(std::move(chip).value()), CompileOptions{c.precision, 0, 1});
    ASSERT_FALSE(compiled.ok()) << c.title;
    EXPECT_EQ(compiled.failure().kind, FailureKind::unsupported) << c.title;
    EXPECT_EQ(format_failure(compiled.failure()), c.screen) << c.title;
  }
}

TEST(Compile, TheUnchangedChipIsGood) {
  auto chip = chip::parse_chip(kChip, "tiny.yaml");
  ASSERT_TRUE(chip.ok()) << format_failure(chip.failure());
  const auto model = model::load_model("gemm", {0, 0, {{"m", 64}, {"n", 64}, {"k", 64}}});
  const auto compiled =
      compile(model.value().graph, std::make_shared<const chip::Chip>(std::move(chip).value()), CompileOptions{Format::bf16, 0, 1});
  EXPECT_TRUE(compiled.ok()) << format_failure(compiled.failure());
}

}  // namespace
}  // namespace switchyard::compiler
