// What exchanges between devices become on the servers of chips/systems/.
#include <gtest/gtest.h>

#include <algorithm>

#include "chip/read.h"
#include "compiler/collective.h"
#include "program/text.h"
#include "program/verify.h"

namespace switchyard::compiler {
namespace {

std::shared_ptr<const chip::Chip> server(const std::string& name, const std::vector<chip::Override>& overrides = {}) {
  auto loaded = chip::load_chip(name, {SWITCHYARD_SOURCE_DIR "/chips/systems"}, overrides);
  EXPECT_TRUE(loaded.ok()) << format_failure(loaded.failure());
  return std::make_shared<const chip::Chip>(std::move(loaded).value());
}

TEST(Collective, EveryWayIsALawfulProgram) {
  for (const char* name : {"ring-8", "mesh-2x4", "dgx-a100", "dgx-h100", "l40s-x8-pcie"}) {
    const auto machine = server(name);
    for (const Exchange exchange : {Exchange::all_reduce, Exchange::all_gather, Exchange::reduce_scatter, Exchange::all_to_all})
      for (const std::int64_t devices : {2, 3, 8}) {
        const auto ways = compile_collective(machine, {exchange, 100000, devices, numerics::Format::bf16, 2});
        ASSERT_TRUE(ways.ok()) << name << ": " << format_failure(ways.failure());
        for (const CollectiveProgram& way : ways.value()) {
          const Status lawful = program::verify(way.program);
          EXPECT_TRUE(lawful.ok()) << name << ", " << way.name << ": " << format_failure(lawful.failure());
        }
      }
  }
}

TEST(Collective, LibrariesProtocolsAndSizesAreChosenFrom) {
  const auto names = [&](Exchange exchange, std::int64_t bytes, std::int64_t devices, std::string_view library, const char* machine) {
    std::string all;
    const auto ways = compile_collective(server(machine), {exchange, bytes, devices, numerics::Format::bf16, 1}, library);
    if (ways.ok())
      for (const CollectiveProgram& way : ways.value()) all += way.name + "; ";
    return all;
  };
  EXPECT_EQ(names(Exchange::all_reduce, 1 << 20, 8, "NCCL 2.29", "dgx-a100"), "simple, ring; ll, ring; ll128, ring; ");
  EXPECT_EQ(names(Exchange::all_reduce, 1 << 20, 8, "", "dgx-a100"),
            "simple, ring; ll, ring; ll128, ring; one_shot, one shot; two_shot, direct; ");
  EXPECT_EQ(names(Exchange::all_reduce, 1 << 28, 8, "", "dgx-a100"), "simple, ring; ll, ring; ll128, ring; ");
  EXPECT_EQ(names(Exchange::all_reduce, 1 << 28, 8, "NCCL", "dgx-h100"), "simple, ring; ll, ring; ll128, ring; in_switch, in network; ");
  EXPECT_EQ(names(Exchange::all_reduce, 1 << 28, 4, "NCCL", "dgx-h100"), "simple, ring; ll, ring; ll128, ring; ");
  EXPECT_EQ(names(Exchange::all_to_all, 1 << 28, 4, "NCCL", "dgx-h100"), "simple, direct; ll, direct; ll128, direct; ");
}

TEST(Collective, TellsWhatCannotBe) {
  const auto code = [](const auto& result) { return result.ok() ? std::string() : result.failure().diagnostics.at(0).code; };
  const auto machine = server("dgx-a100");
  EXPECT_EQ(code(compile_collective(machine, {Exchange::all_gather, 1024, 9, numerics::Format::bf16, 1})), "collective/devices");
  EXPECT_EQ(code(compile_collective(machine, {Exchange::all_gather, 1024, 1, numerics::Format::bf16, 1})), "collective/devices");
  auto plain = chip::load_chip("l4", {SWITCHYARD_SOURCE_DIR "/chips"});
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(code(compile_collective(std::make_shared<const chip::Chip>(plain.value()), {})), "collective/none");
}

}  // namespace
}  // namespace switchyard::compiler
