#include "chip/read.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "chip/describe.h"
#include "chip/query.h"
#include "chip/schema.h"

namespace switchyard::chip {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSmall = R"(chip: {name: small, family: test}
components:
  chip: {}
  cluster: {in: chip, array: [2]}
  core: {in: cluster, array: [3], clusters: [1, 2, 6]}
clocks:
  main: {hz: 1 GHz}
units:
  mac:
    in: core
    kind: matrix
    ops: contract
    clock: main
    source: S
    confidence: measured
    rate: {bf16: 100 MAC/cycle, fp16: {value: 50 MAC/cycle, accumulate: fp16}, int8: 200 MAC/cycle}
    peak: {bf16: 1.2 TFLOPS}
    geometry: {m: 4, n: 5, k: 5, confidence: assumed}
  lanes: {in: core, kind: vector, ops: [map, reduce], clock: main, rate: {bf16: 8 op/cycle, fp16: 8 op/cycle, int8: 8 op/cycle}, accumulate: {bf16: bf16}}
memories:
  source: S
  confidence: datasheet
  pad: {in: core, kind: scratchpad, bytes: 64 KiB, bandwidth: 64 GB/s, reserved: [[0, 0x100], [60 KiB, 64 KiB]]}
  ram: {in: chip, kind: dram, bytes: 1 GB, bandwidth: 100 GB/s, sustained: {value: 80 GB/s, range: [70 GB/s, 90 GB/s]}, network: bus, ports: [4, [0, 1]]}
movers:
  dma: {in: core, from: ram, to: [pad], network: bus, startup: 1 us, bandwidth: 10 GB/s}
  out: {in: core, from: pad, to: ram, network: bus, startup: 1 us, bandwidth: 10 GB/s, multicast: {value: 2, range: [1, 4], confidence: paper}}
networks:
  bus: {over: core, topology: ring, link: 10 GB/s, hop: {value: 2 ns, range: [1 ns, 9 ns], source: "S, T", confidence: reported}}
sequencer: {kind: grid, launch: 5 us, slots: 4}
contexts: {}
sync: {barrier: {alpha: 1 us}}
formats: {native: [bf16, fp16, int8], subnormals: false}
cost: {tdp: 10 W, io: 4 pJ/bit}
sources: {S: a sheet, T: a talk}
)";

Chip parsed(const std::string& text) {
  Result<Chip> chip = parse_chip(text, "small.yaml");
  EXPECT_TRUE(chip.ok()) << (chip.ok() ? "" : format_failure(chip.failure()));
  return chip.ok() ? std::move(chip).value() : Chip{};
}

/// A folder of chip files for one test.
class Folder {
 public:
  Folder() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    path_ = fs::temp_directory_path() / (std::string("switchyard-") + test->test_suite_name() + "-" + test->name());
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  ~Folder() {
    std::error_code error;
    fs::remove_all(path_, error);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  void write(const std::string& name, std::string_view text) const { std::ofstream(path_ / name) << text; }
  [[nodiscard]] std::string path() const { return path_.string(); }
  [[nodiscard]] Chip load(const std::string& name, const std::vector<Override>& overrides = {}) const {
    Result<Chip> chip = load_chip(name, {path()}, overrides);
    EXPECT_TRUE(chip.ok()) << (chip.ok() ? "" : format_failure(chip.failure()));
    return chip.ok() ? std::move(chip).value() : Chip{};
  }

 private:
  fs::path path_;
};

TEST(ReadChip, FillsTheTenConcepts) {
  const Chip chip = parsed(std::string(kSmall));
  EXPECT_EQ(chip.name, "small");
  EXPECT_EQ(chip.components[2].shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(chip.components[2].clusters, (std::vector<std::int64_t>{1, 2, 6}));
  const Unit& mac = chip.units[0];
  EXPECT_EQ(mac.rates[0].accumulate, numerics::Format::fp32);
  EXPECT_EQ(mac.rates[1].accumulate, numerics::Format::fp16);
  EXPECT_EQ(mac.rates[2].accumulate, numerics::Format::int32);
  EXPECT_EQ(mac.rates[2].per_cycle.value, 200);
  EXPECT_EQ(mac.geometry, (std::array<std::int64_t, 3>{4, 5, 5}));
  EXPECT_EQ(mac.clock_hz.value, 1e9);
  EXPECT_EQ(mac.startup_cycles.source, "default");
  EXPECT_EQ(chip.units[1].rates[0].accumulate, numerics::Format::bf16);
  EXPECT_EQ(chip.units[1].rates[1].accumulate, numerics::Format::fp32);
  EXPECT_FALSE(chip.units[1].special_per_cycle.has_value());
  const Memory& pad = chip.memories[0];
  EXPECT_EQ(usable_range(pad).begin, 256);
  EXPECT_EQ(usable_range(pad).end, 60 * 1024);
  const Memory& ram = chip.memories[1];
  EXPECT_DOUBLE_EQ(ram.sustained.value, 0.8);
  EXPECT_EQ(ram.sustained.text, "0.8");
  EXPECT_DOUBLE_EQ((*ram.sustained.range)[1], 0.9);
  EXPECT_EQ(ram.ports, (std::vector<std::uint32_t>{4, 1}));
  EXPECT_EQ(chip.movers[1].multicast, 2);
  EXPECT_EQ(chip.networks[0].hop.value, 2e-9);
  EXPECT_EQ(chip.sequencer.kind, SequencerKind::grid);
  EXPECT_EQ(chip.sequencer.slots, 4);
  EXPECT_EQ(chip.syncs[0].name, "barrier");
  EXPECT_FALSE(chip.formats.subnormals);
  EXPECT_DOUBLE_EQ(chip.cost.at("io").value, 32e-12);
}

TEST(ReadChip, NumbersInheritTheirProvenance) {
  const Chip chip = parsed(std::string(kSmall));
  struct Case {
    const Number& number;
    std::string pointer, source;
    Confidence confidence;
  };
  const Case cases[] = {
      {chip.memories[0].bytes, "/memories/pad/bytes", "S", Confidence::datasheet},
      {chip.units[0].rates[1].per_cycle, "/units/mac/rate/fp16", "S", Confidence::measured},
      {chip.networks[0].hop, "/networks/bus/hop", "S, T", Confidence::reported},
      {chip.networks[0].link, "/networks/bus/link", "", Confidence::assumed},
      {chip.memories[0].latency, "/memories/pad/latency", "default", Confidence::assumed},
      {chip.counts[0], "/units/mac/geometry/m", "S", Confidence::assumed},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(c.number.pointer, c.pointer);
    EXPECT_EQ(c.number.source, c.source) << c.pointer;
    EXPECT_EQ(name_of(c.number.confidence), name_of(c.confidence)) << c.pointer;
  }
}

TEST(ReadChip, ResolvedTextIsReadBackToTheSameChip) {
  const Chip chip = parsed(std::string(kSmall));
  EXPECT_EQ(parsed(chip.text), chip);
}

TEST(ReadChip, HolesOfAComponentAreHolesOfItsParts) {
  std::string text(kSmall);
  text.replace(text.find("array: [2]"), 10, "array: [2], holes: [[1]]");
  text.replace(text.find("array: [3]"), 10, "array: [3], holes: [0, [0, 2], 2]");
  EXPECT_EQ(parsed(text).components[2].holes, (std::vector<std::uint32_t>{0, 2, 3, 4, 5}));
}

TEST(Overrides, ReplaceANumberAndWhatWasSaidAboutIt) {
  const Folder folder;
  folder.write("small.yaml", kSmall);
  const Chip chip = folder.load("small", {{"/networks/bus/hop", "3 ns"},
                                          {"/memories/ram/bandwidth", "400 GB/s"},
                                          {"/memories/pad/latency", "7 ns"},
                                          {"/clocks/main/hz", "2 GHz"},
                                          {"/units/mac/rate/fp16", "75 MAC/cycle"},
                                          {"/components/cluster/holes", "[1]"}});
  const Number& hop = chip.networks[0].hop;
  EXPECT_EQ(hop.value, 3e-9);
  EXPECT_EQ(hop.text, "3 ns");
  EXPECT_FALSE(hop.range.has_value());
  EXPECT_EQ(hop.source, "override");
  EXPECT_EQ(hop.confidence, Confidence::assumed);
  EXPECT_EQ(chip.memories[1].bandwidth.value, 400e9);
  EXPECT_EQ(chip.memories[1].bandwidth.confidence, Confidence::assumed);
  EXPECT_DOUBLE_EQ(chip.memories[1].sustained.value, 0.8);  // the share stays: it was taken at the file's own bandwidth
  EXPECT_EQ(chip.memories[0].latency.value, 7e-9);
  EXPECT_EQ(chip.units[0].clock_hz.value, 2e9);  // the stated peak does not contradict a what-if
  EXPECT_EQ(chip.units[0].rates[1].per_cycle.value, 75);
  EXPECT_EQ(chip.units[0].rates[1].accumulate, numerics::Format::fp16);
  EXPECT_EQ(working_instances(chip.components[2]), (std::vector<std::uint32_t>{0, 1, 2}));
  EXPECT_EQ(parsed(chip.text), chip);
}

TEST(Overrides, OfARateScaleEveryFormat) {
  const Folder folder;
  folder.write("small.yaml", kSmall);
  const Chip chip = folder.load("small", {{"/units/mac/rate", "150 MAC/cycle"}, {"/memories/ram/sustained", "0.5"}});
  EXPECT_EQ(chip.units[0].rates[0].per_cycle.value, 150);
  EXPECT_EQ(chip.units[0].rates[1].per_cycle.value, 75);
  EXPECT_EQ(chip.units[0].rates[2].per_cycle.value, 300);
  EXPECT_EQ(chip.units[0].rates[2].per_cycle.source, "override");
  EXPECT_EQ(chip.memories[1].sustained.value, 0.5);
  EXPECT_EQ(parsed(chip.text), chip);
}

TEST(Bases, AreChangedWhereTheDerivedFileSaysSo) {
  const Folder folder;
  folder.write("small.yaml", kSmall);
  folder.write("middle.yaml", R"(base: small
chip: {name: middle, title: In the middle}
memories:
  source: U
  confidence: reported
  ram: {bandwidth: 200 GB/s}
  extra: {in: chip, kind: registers, bytes: 1 KiB, bandwidth: 1 GB/s}
sources: {U: a rumour}
)");
  folder.write("last.yaml", R"(base: middle.yaml
chip: last
override:
  /networks/bus/link: 25 GB/s
  /movers/dma/startup: {value: 2 us, source: T, confidence: paper}
  components: {core: {holes: [5]}}
  sequencer: {kind: component_queues}
)");
  const Chip chip = folder.load("last");
  EXPECT_EQ(chip.name, "last");
  EXPECT_EQ(chip.family, "test");
  EXPECT_EQ(chip.title, "");
  const Memory& ram = chip.memories[1];
  EXPECT_EQ(ram.bandwidth.value, 200e9);
  EXPECT_EQ(ram.bandwidth.source, "U");
  EXPECT_EQ(ram.bandwidth.confidence, Confidence::reported);
  EXPECT_EQ(ram.bytes.source, "S");  // what the base said about its own numbers still holds
  EXPECT_EQ(ram.bytes.confidence, Confidence::datasheet);
  EXPECT_DOUBLE_EQ(ram.sustained.value, 0.8);
  EXPECT_EQ(chip.memories[2].name, "extra");
  EXPECT_EQ(chip.networks[0].link.value, 25e9);
  EXPECT_EQ(chip.networks[0].link.source, "override");
  EXPECT_EQ(chip.movers[0].startup.source, "T");
  EXPECT_EQ(chip.movers[0].startup.confidence, Confidence::paper);
  EXPECT_EQ(chip.components[2].holes, (std::vector<std::uint32_t>{5}));
  EXPECT_EQ(chip.sequencer.kind, SequencerKind::component_queues);
  EXPECT_EQ(chip.sequencer.launch.value, 5e-6);
  EXPECT_EQ(parsed(chip.text), chip);
}

TEST(Search, FindsByNameByPathAndByEnvironment) {
  const Folder folder;
  folder.write("zebra.yaml", kSmall);
  folder.write("notes.txt", "");
  EXPECT_TRUE(load_chip(folder.path() + "/zebra.yaml", {}).ok());
  EXPECT_FALSE(load_chip("zebra", {}).ok());
  setenv("SWITCHYARD_CHIPS", ("/nowhere:" + folder.path()).c_str(), 1);
  EXPECT_TRUE(load_chip("zebra", {}).ok());
  const std::vector<std::string> names = list_chips({});
  EXPECT_EQ(names.back(), "zebra");
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  unsetenv("SWITCHYARD_CHIPS");
}

TEST(Describe, TellsAndCountsWhatIsAssumed) {
  const Chip chip = parsed(std::string(kSmall));
  std::vector<std::string> assumed;
  for (const AssumedNumber& number : assumptions(chip)) assumed.push_back(number.pointer + "=" + number.text);
  const std::vector<std::string> expected = {
      "/clocks/main/hz=1 GHz",
      "/units/mac/startup=0 cycles",
      "/units/mac/sustained=1",
      "/units/mac/step=0 cycles",
      "/units/lanes/rate/bf16=8 op/cycle",
      "/units/lanes/rate/fp16=8 op/cycle",
      "/units/lanes/rate/int8=8 op/cycle",
      "/units/lanes/startup=0 cycles",
      "/units/lanes/sustained=1",
      "/units/lanes/step=0 cycles",
      "/units/mac/geometry/m=4",
      "/units/mac/geometry/n=5",
      "/units/mac/geometry/k=5",
      "/memories/pad/sustained=1",
      "/memories/pad/latency=0 s",
      "/memories/ram/latency=0 s",
      "/movers/dma/startup=1 us",
      "/movers/dma/bandwidth=10 GB/s",
      "/movers/out/startup=1 us",
      "/movers/out/bandwidth=10 GB/s",
      "/networks/bus/link=10 GB/s",
      "/sequencer/issue=0 s",
      "/sequencer/launch=5 us",
      "/sequencer/slots=4",
      "/contexts/switch=0 s",
      "/contexts/bytes=0 B",
      "/sync/barrier/alpha=1 us",
      "/sync/barrier/beta=0 s",
  };
  EXPECT_EQ(assumed, expected);
  const auto peaks = peak_operations(chip);
  ASSERT_EQ(peaks.size(), 3U);
  EXPECT_EQ(peaks[2].first, "int8");
  EXPECT_DOUBLE_EQ(peaks[2].second, 6 * 200 * 1e9 * 2);
  const std::string text = describe(chip);
  EXPECT_NE(text.find("small (test)"), std::string::npos) << text;
  EXPECT_NE(text.find("core: 2 x 3 = 6 in cluster"), std::string::npos) << text;
  EXPECT_NE(text.find("2 ns  [1 ns .. 9 ns]"), std::string::npos) << text;
  EXPECT_NE(text.find("usable 0x100 .. 0xf000"), std::string::npos) << text;
}

TEST(ReadChip, CountsReservedRangesFromTheEnd) {
  std::string text(kSmall);
  const std::string absolute = "[60 KiB, 64 KiB]";
  text.replace(text.find(absolute), absolute.size(), "[-4 KiB, end]");
  Folder folder;
  folder.write("small.yaml", text);
  for (const auto& [bytes, end] : {std::pair{"64 KiB", 60}, std::pair{"16 KiB", 12}, std::pair{"1 MiB", 1020}}) {
    const Chip chip = folder.load("small", {{"/memories/pad/bytes", bytes}});
    EXPECT_EQ(usable_range(chip.memories[0]).begin, 256);
    EXPECT_EQ(usable_range(chip.memories[0]).end, end * 1024) << bytes;
  }
  EXPECT_FALSE(load_chip("small", {folder.path()}, {{"/memories/pad/bytes", "2 KiB"}}).ok());
}

TEST(ReadChip, KnowsTheLinkToTheHost) {
  std::string text(kSmall);
  const Chip without = parsed(text);
  EXPECT_EQ(host_link(without), nullptr);
  EXPECT_EQ(without.context.load_from, MemoryId(1));  // the dram, unless the file says otherwise
  text.insert(text.find("sequencer:"), "  pcie: {over: chip, topology: host, link: 3 GB/s, hop: 1 us}\n");
  const Chip with = parsed(text);
  ASSERT_NE(host_link(with), nullptr);
  EXPECT_EQ(host_link(with)->link.value, 3e9);
  EXPECT_TRUE(host_link(with)->between_chips);
  EXPECT_NE(describe(with).find("pcie: host link of the chip"), std::string::npos) << describe(with);
}

TEST(ReadChip, KnowsWhatAConfigurationIsOf) {
  std::string text(kSmall);
  EXPECT_FALSE(parsed(text).context.per.has_value());
  const std::size_t at = text.find("contexts: {");
  ASSERT_NE(at, std::string::npos);
  text.insert(at + std::string_view("contexts: {").size(), "bytes: 8 KiB, per: core");
  const Chip chip = parsed(text);
  EXPECT_EQ(chip.context.per, find_component(chip, "core"));
  EXPECT_NE(describe(chip).find("bytes per core"), std::string::npos) << describe(chip);
  text.replace(text.find("8 KiB, per"), 5, "900 TB");
  const auto refused = parse_chip(text, "small.yaml");
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(format_failure(refused.failure()).find("is more than 1 PB"), std::string::npos) << format_failure(refused.failure());
}

/// The first diagnostic of a description that must be refused.
std::string mistake(const std::string& text) {
  const Result<Chip> chip = parse_chip(text, "small.yaml");
  return chip.ok() ? "" : format_failure(chip.failure());
}

TEST(ReadChip, KnowsNetworksOfOneDirectionAndRoutersOfHoles) {
  std::string text(kSmall);
  const std::string ring = "topology: ring,";
  text.replace(text.find(ring), ring.size(), "topology: ring, one_way: decreasing, through_holes: true,");
  const Chip chip = parsed(text);
  EXPECT_EQ(chip.networks[0].one_way, -1);
  EXPECT_TRUE(chip.networks[0].through_holes);
  EXPECT_NE(describe(chip).find("one way"), std::string::npos) << describe(chip);
  EXPECT_EQ(parsed(chip.text), chip);
  text.replace(text.find("topology: ring"), 14, "topology: crossbar");
  EXPECT_NE(mistake(text).find("chip/topology"), std::string::npos) << mistake(text);
  text.replace(text.find("decreasing"), 10, "leftwards");
  EXPECT_NE(mistake(text).find("chip/kind"), std::string::npos) << mistake(text);
}

TEST(ReadChip, KnowsTheBlocksOfChains) {
  const Folder folder;
  const auto blocks = [&](const std::string& waves) {
    folder.write("blocks.yaml", "base: h100-sxm\nchip: blocks\nsequencer: {waves: " + waves + "}\n");
    return folder.load("blocks").sequencer.waves->chains;
  };
  EXPECT_EQ(blocks("{}").rows, (std::vector<std::int64_t>{128}));  // of persistent blocks, where nothing is said
  EXPECT_EQ(blocks("{fill_once: false}").rows, (std::vector<std::int64_t>{16, 32, 64, 128}));
  const Waves::Chains said = blocks("{chains: {rows: [64], columns: 128, single_rows: [16, 32], single_columns: 96}}");
  EXPECT_EQ(said.rows, (std::vector<std::int64_t>{64}));
  EXPECT_EQ(said.single_rows, (std::vector<std::int64_t>{16, 32}));
  EXPECT_EQ(said.columns, 128);
  EXPECT_EQ(said.single_columns, 96);
}

TEST(ReadChip, KnowsTheTilesOfScaledProducts) {
  const Folder folder;
  const auto write = [&](const std::string& scaled) {
    folder.write("tiles.yaml", "base: h100-sxm\nchip: tiles\nunits: {tensor: {tiles: {scaled: " + scaled + "}}}\n");
  };
  using Scaled = Unit::Tiles::Scaled;
  write("{rows: [32], m: [16, 64], n: [128, 256]}");
  EXPECT_EQ(folder.load("tiles").units[0].tiles.scaled,
            (std::vector<Scaled>{{32, 16, 128}, {std::numeric_limits<std::int64_t>::max(), 64, 256}}));
  write("{rows: [], m: [64], n: [64]}");
  EXPECT_EQ(folder.load("tiles").units[0].tiles.scaled, (std::vector<Scaled>{{std::numeric_limits<std::int64_t>::max(), 64, 64}}));
  for (const char* wrong : {"{rows: [32], m: [16], n: [128, 256]}", "{rows: [64, 32], m: [64, 64, 64], n: [64, 64, 64]}"}) {
    write(wrong);
    const Result<Chip> chip = load_chip("tiles", {folder.path()}, {});
    ASSERT_FALSE(chip.ok()) << wrong;
    const std::string said = format_failure(chip.failure());
    EXPECT_NE(said.find("chip/range"), std::string::npos) << said;
    EXPECT_NE(said.find("'/units/tensor/tiles/scaled': 'rows' must grow, and 'm' and 'n' have one more entry than it"), std::string::npos)
        << said;
  }
  write("{rows: [], m: [256], n: [256]}");  // more results than the unit's tiles have
  const Result<Chip> large = load_chip("tiles", {folder.path()}, {});
  ASSERT_FALSE(large.ok());
  EXPECT_NE(format_failure(large.failure()).find("a tile of 256 x 256 is not within 'least' and 'most'"), std::string::npos)
      << format_failure(large.failure());
}

TEST(ReadChip, KnowsTheChannelsOfADram) {
  const auto with = [](std::string_view channels) {
    std::string text(kSmall);
    return text.insert(text.find("movers:"), channels);
  };
  const std::string two =
      "  a: {in: chip, kind: dram, part_of: ram, bytes: 500 MB, bandwidth: 50 GB/s}\n"
      "  b: {in: chip, kind: dram, part_of: ram, bytes: 500 MB, bandwidth: 50 GB/s}\n";
  const Chip chip = parsed(with(two));
  EXPECT_EQ(chip.memories[2].part_of, MemoryId(1));
  EXPECT_EQ(off_chip_memory(chip), MemoryId(1));
  EXPECT_NE(describe(chip).find("a channel of ram"), std::string::npos) << describe(chip);
  EXPECT_EQ(parsed(chip.text), chip);
  struct Case {
    const char* channels;
    const char* code;
  };
  const Case cases[] = {
      {"  a: {in: chip, kind: dram, part_of: ram, bytes: 500 MB, bandwidth: 101 GB/s}\n", "chip/range"},
      {"  a: {in: chip, kind: dram, part_of: ram, bytes: 2 GB, bandwidth: 50 GB/s}\n", "chip/range"},
      {"  a: {in: chip, kind: dram, part_of: pad, bytes: 1 MB, bandwidth: 50 GB/s}\n", "chip/kind"},
      {"  a: {in: chip, kind: dram, part_of: a, bytes: 1 MB, bandwidth: 50 GB/s}\n", "chip/kind"},
      {"  a: {in: chip, kind: dram, part_of: rom, bytes: 1 MB, bandwidth: 50 GB/s}\n", "chip/dangling-name"},
      {"  a: {in: core, kind: scratchpad, part_of: ram, bytes: 1 MB, bandwidth: 50 GB/s}\n", "chip/kind"},
  };
  for (const Case& c : cases)
    EXPECT_NE(mistake(with(c.channels)).find(c.code), std::string::npos) << c.channels << mistake(with(c.channels));
}

TEST(Pointers, AreEscaped) {
  EXPECT_EQ(pointer_to("/cost", "J/B~"), "/cost/J~1B~0");
  EXPECT_EQ(pointer_names("/cost/J~1B~0"), (std::vector<std::string>{"cost", "J/B~"}));
  EXPECT_EQ(pointer_names(""), std::vector<std::string>{});
  EXPECT_EQ(pointer_names("cost"), std::nullopt);
  EXPECT_NE(number_field("/memories/anything/bytes"), nullptr);
  EXPECT_EQ(number_field("/memories/anything"), nullptr);
  EXPECT_EQ(number_field("/memories/a/bytes/value"), nullptr);
}

}  // namespace
}  // namespace switchyard::chip
