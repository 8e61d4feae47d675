// Every file in chips/ keeps the contract of docs/chip.md.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <random>

#include "chip/describe.h"
#include "chip/query.h"
#include "chip/read.h"

namespace switchyard::chip {
namespace {

std::vector<std::string> chip_files() {
  std::vector<std::string> files;
  for (const char* folder : {"/chips", "/chips/systems"})
    for (const auto& entry : std::filesystem::directory_iterator(std::string(SWITCHYARD_SOURCE_DIR) + folder))
      if (entry.path().extension() == ".yaml") files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  return files;
}

class Chips : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    Result<Chip> chip = load_chip(GetParam(), {});
    ASSERT_TRUE(chip.ok()) << format_failure(chip.failure());
    chip_ = std::move(chip).value();
  }
  Chip chip_;
};

TEST_P(Chips, IsNamedLikeItsFile) { EXPECT_EQ(chip_.name, std::filesystem::path(GetParam()).stem().string()); }

TEST_P(Chips, ResolvedTextReadsBackTheSame) {
  Result<Chip> back = parse_chip(chip_.text, "resolved.yaml");
  ASSERT_TRUE(back.ok()) << format_failure(back.failure());
  EXPECT_EQ(back.value().text, chip_.text);
  EXPECT_TRUE(back.value() == chip_);
}

TEST_P(Chips, EveryNumberSaysWhereItComesFrom) {
  for (const Number* number : numbers(chip_)) {
    EXPECT_FALSE(number->source.empty()) << number->pointer;
    if (number->source == "default") continue;
    EXPECT_TRUE(std::isfinite(number->value)) << number->pointer;
  }
  for (const Unit& unit : chip_.units) {
    for (const auto& [format, peak] : unit.peaks) EXPECT_FALSE(peak.source.empty()) << peak.pointer;
  }
  for (const auto& [name, number] : chip_.cost) EXPECT_FALSE(number.source.empty()) << number.pointer;
}

TEST_P(Chips, StatesAndMeetsThePeakOfEveryMatrixFormat) {
  for (std::size_t i = 0; i < chip_.units.size(); ++i) {
    const Unit& unit = chip_.units[i];
    if (unit.kind != UnitKind::matrix) continue;
    for (const Unit::Rate& rate : unit.rates) {
      const auto peak = std::find_if(unit.peaks.begin(), unit.peaks.end(), [&](const auto& p) { return p.first == rate.in; });
      ASSERT_NE(peak, unit.peaks.end()) << unit.name << " " << numerics::format_name(rate.in);
      if (!unit.peak_note.empty()) continue;
      EXPECT_NEAR(2 * chip_rate(chip_, UnitId(i), rate), peak->second.value, 0.01 * peak->second.value) << peak->second.pointer;
    }
  }
}

TEST_P(Chips, EveryClassOfWorkHasAUnitForEveryNativeFormat) {
  if (chip_.collectives) return;  // a server's file says what its devices exchange, not what they compute
  for (const numerics::Format format : chip_.formats.native) {
    for (const OpClass op : {OpClass::contract, OpClass::map, OpClass::reduce}) {
      EXPECT_FALSE(units_for(chip_, op, format).empty()) << name_of(op) << " " << numerics::format_name(format);
    }
  }
}

TEST_P(Chips, InstancesAreInsideTheirArrays) {
  for (const Component& component : chip_.components) {
    for (const std::uint32_t hole : component.holes) EXPECT_LT(hole, instance_count(component));
    EXPECT_FALSE(working_instances(component).empty());
  }
  for (const Memory& memory : chip_.memories) {
    const UsableRange usable = usable_range(memory);
    EXPECT_GE(usable.begin, 0);
    EXPECT_LT(usable.begin, usable.end) << memory.name;
    EXPECT_LE(static_cast<double>(usable.end), memory.bytes.value);
    for (const std::uint32_t port : memory.ports) {
      EXPECT_LT(port, instance_count(chip_.components[chip_.networks[memory.network->index()].over.index()]));
    }
  }
}

TEST_P(Chips, NetworksAreConnected) {
  std::mt19937 random(1);
  for (const Network& network : chip_.networks) {
    const auto count = static_cast<std::uint32_t>(instance_count(chip_.components[network.over.index()]));
    for (int i = 0; i < 200; ++i) {
      const std::uint32_t from = random() % count, to = random() % count;
      const std::vector<std::uint32_t> route = default_route(chip_, network, from, to);
      ASSERT_EQ(route.front(), from);
      ASSERT_EQ(route.back(), to);
      for (std::size_t k = 1; k < route.size(); ++k) {
        const auto link = link_between(chip_, network, route[k - 1], route[k]);
        ASSERT_TRUE(link.has_value()) << network.name << ": " << route[k - 1] << " and " << route[k] << " are not neighbours";
        ASSERT_LT(*link, link_count(chip_, network));
      }
    }
  }
}

TEST_P(Chips, DataCanComeInAndGoOut) {
  const MemoryId dram = off_chip_memory(chip_);
  for (const Unit& unit : chip_.units) {
    const auto scratchpad = scratchpad_of(chip_, unit.in);
    ASSERT_TRUE(scratchpad.has_value()) << unit.name;
    EXPECT_TRUE(mover_between(chip_, unit.in, dram, *scratchpad).has_value()) << unit.name;
    EXPECT_TRUE(mover_between(chip_, unit.in, *scratchpad, dram).has_value()) << unit.name;
  }
}

TEST_P(Chips, ContractPointersCanBeOverridden) {
  std::vector<Override> overrides;
  for (const Memory& memory : chip_.memories) {
    overrides.push_back({"/memories/" + memory.name + "/bytes", "1 GB"});
    overrides.push_back({"/memories/" + memory.name + "/bandwidth", "1.5 TB/s"});
    overrides.push_back({"/memories/" + memory.name + "/sustained", "0.5"});
    overrides.push_back({"/memories/" + memory.name + "/latency", "3 ns"});
  }
  for (const Network& network : chip_.networks) {
    overrides.push_back({"/networks/" + network.name + "/link", "77 GB/s"});
    overrides.push_back({"/networks/" + network.name + "/hop", "9 ns"});
  }
  for (const Unit& unit : chip_.units) {
    if (!unit.rates.empty()) overrides.push_back({"/units/" + unit.name + "/rate", "1000 op/cycle"});
  }
  for (const auto& [name, clock] : chip_.clocks) overrides.push_back({"/clocks/" + name + "/hz", "2 GHz"});
  overrides.push_back({"/sequencer/issue", "4 ns"});
  overrides.push_back({"/sequencer/launch", "5 us"});
  Result<Chip> changed = load_chip(GetParam(), {}, overrides);
  ASSERT_TRUE(changed.ok()) << format_failure(changed.failure());
  const Chip& chip = changed.value();
  for (const Memory& memory : chip.memories) {
    EXPECT_EQ(memory.bytes.value, 1e9);
    EXPECT_DOUBLE_EQ(sustained_bandwidth(memory).value, 0.75e12);
    EXPECT_EQ(memory.latency.value, 3e-9);
  }
  for (const Network& network : chip.networks) EXPECT_EQ(network.link.value, 77e9);
  for (const Unit& unit : chip.units) EXPECT_EQ(unit.rates[0].per_cycle.value, 1000);
  EXPECT_EQ(chip.sequencer.launch.value, 5e-6);
  EXPECT_GE(assumptions(chip).size(), overrides.size() / 2);
}

INSTANTIATE_TEST_SUITE_P(All, Chips, testing::ValuesIn(chip_files()), [](const auto& chip) {
  std::string name = std::filesystem::path(chip.param).stem().string();
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
});

// What chips/tx81.yaml and chips/h100-sxm.yaml must say whatever else is refined.
TEST(Facts, OfTx81) {
  const Chip chip = load_chip("tx81", {SWITCHYARD_SOURCE_DIR "/chips"}).value();
  EXPECT_EQ(working_instances(chip.components[find_component(chip, "tile")->index()]).size(), 16U);
  EXPECT_NEAR(2 * best_contract_rate(chip, numerics::Format::bf16), 128e12, 1e12);
  EXPECT_NEAR(2 * best_contract_rate(chip, numerics::Format::fp32), 3e12, 0.05e12);
  const Memory& spm = chip.memories[find_memory(chip, "spm")->index()];
  EXPECT_EQ(usable_range(spm).begin, 0x10000);
  EXPECT_EQ(usable_range(spm).end, 0x2F0000);
  const Memory& ddr = chip.memories[off_chip_memory(chip).index()];
  EXPECT_NEAR(sustained_bandwidth(ddr).value, 159.4e9, 0.1e9);
  EXPECT_EQ(nearest_port(chip, ddr, 7), 4U);
}

TEST(Facts, OfH100) {
  const Chip chip = load_chip("h100-sxm", {SWITCHYARD_SOURCE_DIR "/chips"}).value();
  EXPECT_NEAR(2 * best_contract_rate(chip, numerics::Format::bf16), 989.4e12, 5e12);
  EXPECT_NEAR(2 * best_contract_rate(chip, numerics::Format::fp32), 67e12, 0.5e12);
  const MemoryId hbm = off_chip_memory(chip);
  ASSERT_TRUE(cache_of(chip, hbm).has_value());
  EXPECT_EQ(units_for(chip, OpClass::contract, numerics::Format::fp32), std::vector<UnitId>{*find_unit(chip, "simt")});
  EXPECT_EQ(usable_range(chip.memories[find_memory(chip, "smem")->index()]).end, 227 * 1024);
}

}  // namespace
}  // namespace switchyard::chip
