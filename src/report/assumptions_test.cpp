#include "report/assumptions.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "chip/read.h"
#include "compiler/compiler.h"
#include "model/model.h"
#include "report/run.h"
#include "simulation/timing.h"

namespace switchyard::report {
namespace {

struct Made {
  program::Program program;
  simulation::Timing timing;
};

/// A small matrix product on a chip of the library.
Made make(const std::string& chip_name, const std::vector<chip::Override>& overrides = {}) {
  Result<chip::Chip> chip = chip::load_chip(chip_name, {}, overrides);
  model::LoadOptions how;
  how.set = {{"m", 64}, {"n", 64}, {"k", 64}};
  Result<model::LoadedModel> model = model::load_model("gemm", how);
  if (!chip || !model) throw std::runtime_error("the library's chips and models are read elsewhere");
  auto compiled = compiler::compile(model.value().graph, std::make_shared<chip::Chip>(std::move(chip).value()), {numerics::Format::bf16});
  if (!compiled) throw std::runtime_error(format_failure(compiled.failure()));
  auto timing = simulation::time_program(compiled.value().program);
  if (!timing) throw std::runtime_error(format_failure(timing.failure()));
  return {std::move(compiled.value().program), timing.value()};
}

TEST(Assumptions, LeaveOutWhatTheProgramDoesNotUse) {
  const Made tx81 = make("tx81");
  const UsedResources used(tx81.program);
  for (const char* pointer :
       {"/units/ne/startup", "/units/ne/geometry/m", "/units/ne/rate/bf16", "/clocks/core/hz", "/memories/ddr/latency",
        "/memories/spm/bytes", "/movers/rdma/outstanding", "/networks/noc/hop", "/sequencer/issue", "/sequencer/launch"})
    EXPECT_TRUE(used.time_rests_on(pointer)) << pointer;
  for (const char* pointer :
       {"/units/ne/rate/int8", "/units/ct/special", "/memories/spm/bandwidth", "/memories/spm/latency", "/movers/dte/startup",
        "/networks/c2c/hop", "/networks/pcie/hop", "/sequencer/slots", "/sync/barrier/alpha", "/clocks/noc/hz", "/cost/die_area"})
    EXPECT_FALSE(used.time_rests_on(pointer)) << pointer;
  const Made h100 = make("h100-sxm");
  const UsedResources grid(h100.program);
  EXPECT_TRUE(grid.time_rests_on("/sequencer/slots"));
  EXPECT_TRUE(grid.time_rests_on("/memories/l2/bandwidth"));
  EXPECT_TRUE(grid.time_rests_on("/sequencer/waves/fill"));
  EXPECT_FALSE(grid.time_rests_on("/memories/hbm/latency"));
  EXPECT_TRUE(grid.time_rests_on("/memories/rf/bytes"));
  EXPECT_FALSE(grid.time_rests_on("/memories/rf/bandwidth"));
  EXPECT_FALSE(grid.time_rests_on("/sequencer/issue"));
}

TEST(Assumptions, BeginWithRangesOfTheGreatestCause) {
  const Made tx81 = make("tx81");
  const auto fields = [&](simulation::Cause greatest) {
    simulation::Attribution attribution{};
    attribution[static_cast<std::size_t>(greatest)] = Picoseconds(1);
    std::vector<std::string> names;
    for (const AssumptionReport& a : assumptions_of(tx81.program, attribution)) names.push_back(a.field);
    return names;
  };
  const auto position = [](const std::vector<std::string>& names, const char* name) {
    return std::find(names.begin(), names.end(), name) - names.begin();
  };
  const auto control = fields(simulation::Cause::control), network = fields(simulation::Cause::interconnect),
             compute = fields(simulation::Cause::compute);
  EXPECT_EQ(control.size(), network.size());
  EXPECT_LT(position(control, "/sequencer/launch"), position(control, "/networks/noc/hop"));
  EXPECT_EQ(network.front(), "/networks/noc/hop");
  EXPECT_LT(position(compute, "/sequencer/launch"), position(compute, "/units/ne/startup")) << "a range comes first";
  EXPECT_LT(position(compute, "/units/ne/startup"), position(compute, "/movers/rdma/bandwidth"));
  EXPECT_GT(position(network, "/units/ne/startup"), position(network, "/networks/noc/hop"));
}

/// The claim behind the list: changing a number that is left out changes no time, changing one that is listed does.
TEST(Assumptions, AgreeWithWhatOverridesDo) {
  struct Case {
    const char *chip, *pointer, *value;
  };
  for (const Case& c : {Case{"tx81", "/memories/spm/bandwidth", "20 GB/s"}, Case{"tx81", "/memories/spm/latency", "1 us"},
                        Case{"tx81", "/networks/noc/hop", "100 ns"}, Case{"tx81", "/sequencer/issue", "3 us"},
                        Case{"tx81", "/movers/dte/startup", "1 ms"}, Case{"tx81", "/contexts/bytes", "1 MB"},
                        Case{"tx81", "/sync/barrier/alpha", "1 ms"}, Case{"h100-sxm", "/memories/rf/bandwidth", "1 GB/s"},
                        Case{"h100-sxm", "/sequencer/issue", "5 us"}, Case{"h100-sxm", "/memories/hbm/latency", "2 us"},
                        Case{"h100-sxm", "/networks/xbar/link", "10 GB/s"}, Case{"h100-sxm", "/clocks/boost/hz", "100 MHz"},
                        Case{"h100-sxm", "/sequencer/waves/start", "9000 cycles"}, Case{"h100-sxm", "/clocks/tensor/hz", "100 MHz"}}) {
    const Made plain = make(c.chip), changed = make(c.chip, {{c.pointer, c.value}});
    EXPECT_EQ(UsedResources(plain.program).time_rests_on(c.pointer), plain.timing.latency != changed.timing.latency) << c.pointer;
    EXPECT_EQ(idle_overrides(changed.program, {c.pointer}).size(), plain.timing.latency == changed.timing.latency ? 1U : 0U) << c.pointer;
  }
}

TEST(Assumptions, ConstantsAreLoadedOverTheHostsLink) {
  const Made tx81 = make("tx81", {{"/networks/pcie/link", "1 GB/s"}, {"/networks/pcie/hop", "2 us"}});
  const RunReport report = describe_run(tx81.program, tx81.timing);
  ASSERT_TRUE(report.load.has_value());
  EXPECT_EQ(*report.load, Picoseconds(2'000'000 + 64 * 64 * 2 * 1000));  // 8 KiB at a byte a nanosecond
  program::Program no_host = tx81.program;
  auto chip = std::make_shared<chip::Chip>(*tx81.program.chip);
  std::erase_if(chip->networks, [](const chip::Network& n) { return n.topology == chip::Topology::host; });
  no_host.chip = chip;
  EXPECT_FALSE(describe_run(no_host, tx81.timing).load.has_value());
}

TEST(Assumptions, SayWhatStaysInTheCache) {
  // Kernels that run in waves write through: what they leave in the cache has been charged to the memory.
  const Made h100 = make("h100-sxm");
  EXPECT_EQ(h100.timing.cache_dirty, 0);
  EXPECT_EQ(h100.timing.offchip_written, 64 * 64 * 2);
  // Played event by event, it stays.
  program::Program played = h100.program;
  auto chip = std::make_shared<chip::Chip>(*played.chip);
  chip->sequencer.waves.reset();
  played.chip = chip;
  const auto timing = simulation::time_program(played);
  ASSERT_TRUE(timing.ok());
  EXPECT_EQ(timing.value().cache_dirty, 64 * 64 * 2);
  EXPECT_EQ(timing.value().offchip_written, 0);
  const RunReport report = describe_run(played, timing.value());
  EXPECT_TRUE(
      std::any_of(report.notes.begin(), report.notes.end(), [](const std::string& n) { return n.starts_with("8.19 kB of results stay"); }));
  EXPECT_EQ(make("tx81").timing.cache_dirty, 0);
}

}  // namespace
}  // namespace switchyard::report
