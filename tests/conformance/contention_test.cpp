// Measured streams from Wormhole's twelve DRAM channels to its tiles, against the same streams as hand-made programs. The chip file holds
// documented constants only; nothing in it is fitted to the numbers here. docs/validation.md tells what they mean.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>

#include "chip/query.h"
#include "chip/read.h"
#include "program/program.h"
#include "program/verify.h"
#include "simulation/timing.h"

namespace switchyard {
namespace {

constexpr std::int64_t kBytesPerTile = 1 << 20, kToken = 16384;
constexpr int kChannels = 12, kTilesPerChannel = 4, kPairings = 20;

/// A tile, and the place where its stream enters the network.
struct Stream {
  std::uint32_t tile = 0, port = 0;
};
using Pairing = std::vector<std::vector<Stream>>;  ///< per channel

const chip::Chip& wormhole() {
  static const std::shared_ptr<const chip::Chip> chip =
      std::make_shared<const chip::Chip>(chip::load_chip("wormhole-n150", {SWITCHYARD_SOURCE_DIR "/chips"}).value());
  return *chip;
}

chip::MemoryId channel_memory(int channel) { return *chip::find_memory(wormhole(), "gddr" + std::to_string(channel)); }
const std::vector<std::uint32_t>& ports(int channel) { return wormhole().memories[channel_memory(channel).index()].ports; }
std::uint32_t place(std::int64_t row, std::int64_t column) { return static_cast<std::uint32_t>(row * 10 + column); }

/// Every tile reads its own MiB of its channel, all at the same time, over one network.
program::Program streams(const Pairing& pairing, bool second_network) {
  const std::shared_ptr<const chip::Chip> chip(std::shared_ptr<void>(), &wormhole());
  program::Program program;
  program.chip = chip;
  const chip::MoverId reader = *chip::find_mover(*chip, second_network ? "reader1" : "reader");
  const chip::NetworkId network = *chip->movers[reader.index()].network;
  const chip::MemoryId l1 = *chip::find_memory(*chip, "l1");
  const chip::ComponentId tile = *chip::find_component(*chip, "tile");
  program::Context context;
  context.name = "streams";
  for (std::size_t c = 0; c < pairing.size(); ++c) {
    const std::vector<Stream>& wanted = pairing[c];
    if (wanted.empty()) continue;
    const auto count = static_cast<std::int64_t>(wanted.size());
    const std::string suffix = std::to_string(c);

    program::Buffer buffer;
    buffer.name = "data" + suffix;
    buffer.memory = channel_memory(static_cast<int>(c));
    buffer.shape = {count * kBytesPerTile / 4};
    buffer.order = {0};
    buffer.bytes = count * kBytesPerTile;
    buffer.role = program::BufferRole::input;
    buffer.index = static_cast<int>(program.buffers.size());
    program.buffers.push_back(buffer);

    program::Array array;
    array.name = "tiles" + suffix;
    array.component = tile;
    array.shape = {count};
    for (const Stream& s : wanted) array.components.push_back(s.tile);
    context.arrays.push_back(array);
    const program::ArrayId on(context.arrays.size() - 1);

    const program::Loop loop{"i", kBytesPerTile / kToken, numerics::LoopKind::parallel};
    program::Port port;
    port.name = "data";
    port.token.shape = {kToken / 4};
    port.token.order = {0};
    port.kept = {false};

    program::Actor load;
    load.name = "load" + suffix;
    load.kind = program::ActorKind::move;
    load.array = on;
    load.mover = reader;
    load.loops = {loop};
    load.ports = {port};
    load.ports[0].input = false;
    program::BufferAccess access;
    access.buffer = program::BufferId(program.buffers.size() - 1);
    access.start = {numerics::affine_variable(0, kBytesPerTile / 4) + numerics::affine_variable(1, kToken / 4)};
    access.region = {{0, buffer.shape[0]}};
    load.source = access;
    load.route = program::Route{network, {}};
    for (const Stream& s : wanted) load.route->paths.push_back(chip::default_route(*chip, chip->networks[network.index()], s.port, s.tile));

    program::Actor sink;
    sink.name = "sink" + suffix;
    sink.array = on;
    sink.unit = *chip::find_unit(*chip, "sfpu");
    sink.loops = {loop};
    sink.ports = {port};
    sink.dims = {{"x", 1, 1, {}}};
    program::State last;
    last.name = "last";
    last.token.shape = {1};
    last.token.order = {0};
    last.kept = {false};
    last.memory = l1;
    last.offset = 0x1A000;
    last.bytes = 32;
    sink.states = {last};
    program::Statement take;
    take.dims = {0};
    take.kinds = {numerics::LoopKind::parallel};
    take.reads = {{0, {numerics::affine_variable(0)}, {}}};
    take.expression = numerics::expr_input(0);
    take.write = {1, {numerics::affine_variable(0)}, {}};
    sink.statements = {take};

    context.actors.push_back(load);
    context.actors.push_back(sink);
    program::Channel channel;
    channel.name = "stream" + suffix;
    channel.from = {program::ActorId(context.actors.size() - 2), 0};
    channel.to = {{{program::ActorId(context.actors.size() - 1), 0}, {}}};
    channel.relation.coordinates = {{numerics::affine_variable(0), 0}};
    channel.depth = 16;
    channel.memory = l1;
    channel.offset = 0x20000;
    channel.bytes = channel.depth * kToken;
    context.channels.push_back(channel);
  }
  program.contexts.push_back(context);
  return program;
}

/// Bytes per second until the last byte has come.
double bandwidth(const Pairing& pairing, bool second_network) {
  const program::Program program = streams(pairing, second_network);
  const Status lawful = program::verify(program);
  EXPECT_TRUE(lawful.ok()) << format_failure(lawful.failure());
  if (!lawful.ok()) return 0;
  Result<simulation::Timing> timing = simulation::time_program(program);
  EXPECT_TRUE(timing.ok()) << format_failure(timing.failure());
  if (!timing.ok()) return 0;
  std::int64_t tiles = 0;
  for (const auto& channel : pairing) tiles += static_cast<std::int64_t>(channel.size());
  EXPECT_EQ(timing.value().offchip_read, tiles * kBytesPerTile);
  return static_cast<double>(tiles * kBytesPerTile) / (microseconds(timing.value().contexts[0].span) * 1e-6);
}

/// How a tile comes by one of the three ports of its channel: the measurements do not say, so what is held must hold for both.
enum class PortChoice { drawn, fixed };  ///< fixed: the first port for a pair's first channel, the second for the other

/// Each channel serves as many tiles as any other; which tiles, is drawn.
Pairing random_pairing(std::uint32_t seed, int tiles_per_channel, PortChoice choice) {
  std::mt19937 random(seed);
  std::vector<std::uint32_t> tiles = chip::working_instances(wormhole().components[chip::find_component(wormhole(), "tile")->index()]);
  for (std::size_t i = tiles.size(); i > 1; --i) std::swap(tiles[i - 1], tiles[random() % i]);
  Pairing pairing(kChannels);
  std::size_t next = 0;
  for (int c = 0; c < kChannels; ++c) {
    for (int t = 0; t < tiles_per_channel; ++t) {
      const std::size_t port = choice == PortChoice::drawn ? random() % 3 : static_cast<std::size_t>(c % 2);
      pairing[static_cast<std::size_t>(c)].push_back({tiles[next++], ports(c)[port]});
    }
  }
  return pairing;
}

double random_mean(bool second_network, int tiles_per_channel, PortChoice choice) {
  double sum = 0;
  for (std::uint32_t seed = 1; seed <= kPairings; ++seed) sum += bandwidth(random_pairing(seed, tiles_per_channel, choice), second_network);
  return sum / kPairings;
}

/// Every channel has a port of its own and feeds a row of four tiles that its data reach along that row; where the port's row has no
/// tiles, a row of tiles beyond. The first network leads from the columns of ports to the right, the second to the left.
Pairing near_pairing(bool second_network) {
  struct Near {
    std::int64_t port_row, tile_row;
  };
  // D0 and D1 stand in column 0, the others in column 5.
  constexpr Near kFirst[kChannels] = {{1, 1}, {0, 2}, {5, 5}, {7, 7}, {1, 1}, {0, 8}, {2, 2}, {9, 9}, {3, 3}, {4, 4}, {5, 5}, {7, 7}};
  constexpr Near kSecond[kChannels] = {{1, 1}, {11, 10}, {5, 5}, {7, 7}, {1, 1}, {11, 10}, {2, 2}, {9, 9}, {3, 3}, {4, 4}, {5, 5}, {7, 7}};
  Pairing pairing(kChannels);
  for (std::size_t c = 0; c < kChannels; ++c) {
    const Near near = second_network ? kSecond[c] : kFirst[c];
    const std::int64_t column = c < 4 ? 0 : 5;
    const bool right_half = (column == 5) != second_network;
    for (std::int64_t t = 0; t < kTilesPerChannel; ++t)
      pairing[c].push_back({place(near.tile_row, (right_half ? 6 : 1) + t), place(near.port_row, column)});
  }
  return pairing;
}

void expect_within(double bytes_per_second, double measured, double tolerance, const char* what) {
  const double error = bytes_per_second / (measured * 1e9) - 1;
  std::printf("%-36s measured %6.1f GB/s, predicted %6.1f, error %+5.1f %%\n", what, measured, bytes_per_second / 1e9, 100 * error);
  EXPECT_LE(std::abs(error), tolerance) << what;
}

TEST(WormholeStreams, OfOneChannelReachTheChannelsOwnBandwidth) {
  for (const bool second : {false, true}) {
    Pairing one(kChannels);
    one[3] = random_pairing(1, kTilesPerChannel, PortChoice::drawn)[3];
    expect_within(bandwidth(one, second), 22.3, 0.15, second ? "one channel, second network" : "one channel, first network");
  }
}

TEST(WormholeStreams, ToTilesNearTheirChannelsDoNotMeet) {
  expect_within(bandwidth(near_pairing(false), false), 267.5, 0.15, "48 tiles near, first network");
  expect_within(bandwidth(near_pairing(true), true), 267.5, 0.15, "48 tiles near, second network");
}

TEST(WormholeStreams, ToRandomTilesMeetOnTheLinks) {
  expect_within(random_mean(false, kTilesPerChannel, PortChoice::drawn), 200.3, 0.15, "48 random, first, ports drawn");
  expect_within(random_mean(true, kTilesPerChannel, PortChoice::drawn), 78.2, 0.15, "48 random, second, ports drawn");
  expect_within(random_mean(false, kTilesPerChannel, PortChoice::fixed), 200.3, 0.15, "48 random, first, ports fixed");
  expect_within(random_mean(true, kTilesPerChannel, PortChoice::fixed), 78.2, 0.15, "48 random, second, ports fixed");
}

// With one tile a channel a single pairing is one draw of twelve routes, and the measurement gives no spread: told, and held loosely.
TEST(WormholeStreams, OfOneTilePerChannelAreSlowedLikewise) {
  expect_within(random_mean(false, 1, PortChoice::drawn), 189.8, 0.30, "12 random, first, ports drawn");
  expect_within(random_mean(true, 1, PortChoice::drawn), 82.1, 0.30, "12 random, second, ports drawn");
  expect_within(random_mean(false, 1, PortChoice::fixed), 189.8, 0.30, "12 random, first, ports fixed");
  expect_within(random_mean(true, 1, PortChoice::fixed), 82.1, 0.30, "12 random, second, ports fixed");
}

// What would be predicted without contention on links shows that the links make the difference, not the memory.
TEST(WormholeStreams, AreTheMemorysWhereLinksAreWide) {
  const auto wide = chip::load_chip("wormhole-n150", {SWITCHYARD_SOURCE_DIR "/chips"}, {{"/networks/noc0/link", "10 TB/s"}});
  ASSERT_TRUE(wide.ok());
  program::Program program = streams(random_pairing(1, kTilesPerChannel, PortChoice::drawn), false);
  program.chip = std::make_shared<const chip::Chip>(wide.value());
  const auto timing = simulation::time_program(program);
  ASSERT_TRUE(timing.ok());
  const double rate = 48.0 * kBytesPerTile / (microseconds(timing.value().contexts[0].span) * 1e-6);
  EXPECT_NEAR(rate, 0.92 * 288e9, 0.03 * 288e9);
}

TEST(WormholeStreams, OfAllChannelsAreNoFasterThanTheWholeMemory) {
  const auto half = chip::load_chip("wormhole-n150", {SWITCHYARD_SOURCE_DIR "/chips"}, {{"/memories/gddr/bandwidth", "144 GB/s"}});
  ASSERT_TRUE(half.ok());
  program::Program program = streams(near_pairing(false), false);
  program.chip = std::make_shared<const chip::Chip>(half.value());
  const auto timing = simulation::time_program(program);
  ASSERT_TRUE(timing.ok());
  const double rate = 48.0 * kBytesPerTile / (microseconds(timing.value().contexts[0].span) * 1e-6);
  EXPECT_NEAR(rate, 0.92 * 144e9, 0.02 * 144e9);
}

}  // namespace
}  // namespace switchyard
