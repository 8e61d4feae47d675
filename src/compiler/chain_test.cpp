#include "compiler/chain.h"

#include <gtest/gtest.h>

namespace switchyard::compiler {
namespace {

using program::Actor;
using program::ActorKind;
using program::BufferId;
using program::Program;

/// Contexts over eight components, each of one actor that copies a spread buffer to another.
struct Sample {
  Program program;

  program::BufferId buffer(std::vector<std::int64_t> shape, std::vector<numerics::Affine> start, std::vector<std::int64_t> extent,
                           std::vector<std::int64_t> instances) {
    program::Buffer b;
    b.name = "b" + std::to_string(program.buffers.size());
    b.shape = std::move(shape);
    for (std::size_t d = 0; d < b.shape.size(); ++d) b.order.push_back(static_cast<int>(d));
    if (!instances.empty()) {
      b.spread.emplace();
      b.spread->shape = std::move(instances);
      for (std::uint32_t i = 0; i < 8; ++i) b.spread->components.push_back(i);
      b.spread->start = std::move(start);
      b.spread->extent = std::move(extent);
    }
    program.buffers.push_back(std::move(b));
    return BufferId(program.buffers.size() - 1);
  }
  static program::BufferAccess access(const Program& p, BufferId id) {
    const program::Buffer& b = p.buffers[id.index()];
    program::BufferAccess a;
    a.buffer = id;
    for (std::size_t d = 0; d < b.shape.size(); ++d) a.region.push_back({0, b.shape[d]});
    if (b.spread) a.start = b.spread->start, a.extent = b.spread->extent;
    if (!b.spread) a.start.assign(b.shape.size(), {}), a.extent = b.shape;
    return a;
  }
  program::Context copy(const std::string& name, BufferId from, BufferId to, std::vector<std::int64_t> instances) const {
    program::Context c;
    c.name = name;
    c.ops = {name};
    program::Array array;
    array.name = "tiles";
    array.shape = std::move(instances);
    for (std::uint32_t i = 0; i < 8; ++i) array.components.push_back(i);
    c.arrays.push_back(array);
    Actor a;
    a.name = "move";
    a.kind = ActorKind::move;
    a.array = program::ArrayId(std::size_t{0});
    a.source = access(program, from);
    a.destination = a.source;
    a.destination->buffer = to;
    c.actors.push_back(a);
    return c;
  }
};

numerics::Affine rows(std::int64_t step, std::int64_t shift = 0) {
  return numerics::affine_variable(0, step) + numerics::affine_constant(shift);
}

TEST(Chain, NeighboursWaitForNeighbours) {
  Sample s;
  const BufferId x = s.buffer({32}, {rows(4)}, {4}, {8});
  const BufferId halo = s.buffer({32}, {rows(4, -1)}, {6}, {8});
  const BufferId y = s.buffer({32}, {rows(4)}, {4}, {8});
  const std::vector<program::Context> phases{s.copy("first", x, halo, {8}), s.copy("second", halo, y, {8})};
  // Each sends its own four rows, which reach three components.
  const Chained chained = chain(s.program, phases);
  ASSERT_TRUE(chained.context) << chained.problem;
  const program::Context& c = *chained.context;
  EXPECT_EQ(c.name, "first to second");
  EXPECT_EQ(c.ops, (std::vector<std::string>{"first", "second"}));
  EXPECT_EQ(c.arrays.size(), 1u);
  ASSERT_EQ(c.actors.size(), 2u);
  EXPECT_EQ(c.actors[0].name, "p0_move");
  ASSERT_EQ(c.channels.size(), 3u);
  for (std::size_t k = 0; k < 3; ++k) {
    EXPECT_EQ(c.channels[k].from.actor.index(), 0u);
    EXPECT_EQ(c.channels[k].to[0].end.actor.index(), 1u);
    const program::Relation::Coordinate& at = c.channels[k].relation.coordinates[0];
    EXPECT_EQ(at.source.at(std::vector<std::int64_t>{3}), static_cast<std::int64_t>(2 + k));
    EXPECT_EQ(at.modulus, k == 1 ? 0 : 8);
  }
}

TEST(Chain, RowsOfAGridWaitForTheirRow) {
  Sample s;
  // First 8 x 1, then 2 x 4: each instance of row r reads what four of the first wrote.
  const BufferId x = s.buffer({32}, {rows(4)}, {4}, {8});
  const BufferId rows_of_two = s.buffer({32}, {rows(16)}, {16}, {2, 4});
  const BufferId y = s.buffer({32}, {rows(16)}, {16}, {2, 4});
  const Chained chained =
      chain(s.program, std::vector<program::Context>{s.copy("a", x, rows_of_two, {8}), s.copy("b", rows_of_two, y, {2, 4})});
  ASSERT_TRUE(chained.context) << chained.problem;
  EXPECT_EQ(chained.context->arrays.size(), 2u);
  ASSERT_EQ(chained.context->channels.size(), 4u);
  for (std::size_t k = 0; k < 4; ++k)
    EXPECT_EQ(chained.context->channels[k].relation.coordinates[0].source.at(std::vector<std::int64_t>{1, 2}),
              static_cast<std::int64_t>(4 + k));
}

/// Two rows a step; the reader needs one more below them.
TEST(Chain, StepsFollowSteps) {
  Sample s;
  const auto columns = [](std::int64_t step) { return numerics::affine_variable(0, step); };
  const BufferId x = s.buffer({8, 32}, {{}, columns(4)}, {8, 4}, {8});
  const BufferId all = s.buffer({8, 32}, {{}, {}}, {8, 32}, {8});
  const BufferId y = s.buffer({8, 32}, {{}, {}}, {8, 32}, {8});
  const auto step = [](program::Context context, std::int64_t rows, std::int64_t steps) {
    Actor& a = context.actors[0];
    a.loops.push_back({"t", steps, numerics::LoopKind::parallel});
    for (auto* access : {&*a.source, &*a.destination}) {
      access->start[0] = numerics::affine_variable(1, 8 / steps);
      access->extent[0] = rows;
    }
    return context;
  };
  for (const std::int64_t halo : {0, 1, 5}) {
    const std::vector<program::Context> phases{step(s.copy("a", x, all, {8}), 2, 4), step(s.copy("b", all, y, {8}), 2 + halo, 4)};
    const Chained chained = chain(s.program, phases);
    ASSERT_TRUE(chained.context) << chained.problem;
    ASSERT_EQ(chained.context->channels.size(), 8u);
    const program::Channel& channel = chained.context->channels[0];
    const program::Port& from = chained.context->actors[0].ports[static_cast<std::size_t>(channel.from.port)];
    const program::Port& to = chained.context->actors[1].ports[static_cast<std::size_t>(channel.to[0].end.port)];
    // Five rows below are in the next three steps: then all must be there.
    EXPECT_EQ(from.name, halo < 5 ? "step" : "over");
    EXPECT_EQ(from.kept, std::vector<bool>{halo == 5});
    EXPECT_EQ(to.kept, std::vector<bool>{halo == 5});
    EXPECT_EQ(channel.depth, halo < 5 ? 4 : 1);
    ASSERT_EQ(to.window.has_value(), halo == 1);
    if (halo != 1) continue;
    EXPECT_EQ(to.window->peek, 2);
    EXPECT_EQ(to.window->pad_after, 1);
  }
  const Chained other =
      chain(s.program, std::vector<program::Context>{step(s.copy("a", x, all, {8}), 2, 4), step(s.copy("b", all, y, {8}), 4, 2)});
  ASSERT_TRUE(other.context);
  EXPECT_EQ(other.context->actors[0].ports[0].name, "over") << "steps of different numbers do not go together";
}

/// What one actor places row by row and the next takes row by row becomes a channel; nothing else does.
TEST(Chain, WhatIsHandedOnInOneOrderNeedsFewSlots) {
  Sample s;
  const BufferId rows_of_four = s.buffer({4, 32}, {{}, rows(4)}, {4, 4}, {8});
  const auto phase = [&](bool writes, std::int64_t step, std::int64_t constant, bool backwards = false) {
    program::Context c = s.copy(writes ? "make" : "use", rows_of_four, rows_of_four, {8});
    Actor& a = c.actors[0];
    a.kind = ActorKind::compute;
    a.source.reset();
    a.destination.reset();
    a.loops.push_back({"t", 4 / step - (constant > 0 ? 1 : 0), numerics::LoopKind::parallel});
    program::Port port;
    port.name = "x";
    port.input = !writes;
    port.token = {numerics::Format::bf16, {step, 4}, {0, 1}, 1};
    port.kept = {false};
    port.place = Sample::access(s.program, rows_of_four);
    port.place->extent.clear();
    port.place->start[0] =
        numerics::affine_variable(1, backwards ? -step : step) + numerics::affine_constant(backwards ? 4 - step : constant);
    a.ports.push_back(port);
    return c;
  };
  const std::vector<HandedBuffer> handed{{rows_of_four, 2}};
  const Chained chained = chain(s.program, std::vector<program::Context>{phase(true, 1, 0), phase(false, 1, 0)}, handed);
  ASSERT_TRUE(chained.context) << chained.problem;
  ASSERT_EQ(chained.context->channels.size(), 1u);
  const program::Channel& channel = chained.context->channels[0];
  EXPECT_EQ(channel.depth, 2);
  EXPECT_EQ(channel.bytes, 2 * 4 * 2);
  for (const Actor& a : chained.context->actors) EXPECT_FALSE(a.ports[0].place);
  // Two rows at a time, the last rows only, the other way round; and where nobody asked for it.
  const auto stays_in_place = [&](const program::Context& use, const std::vector<HandedBuffer>& wanted) {
    const Chained other = chain(s.program, std::vector<program::Context>{phase(true, 1, 0), use}, wanted);
    ASSERT_TRUE(other.context) << other.problem;
    EXPECT_TRUE(other.context->actors[1].ports[0].place);
  };
  stays_in_place(phase(false, 2, 0), handed);
  stays_in_place(phase(false, 1, 1), handed);
  stays_in_place(phase(false, 1, 0, true), handed);
  stays_in_place(phase(false, 1, 0), {});
}

TEST(Chain, OffChipMemoryStandsBetweenPhases) {
  Sample s;
  const BufferId x = s.buffer({32}, {rows(4)}, {4}, {8});
  const BufferId out = s.buffer({32}, {}, {}, {});
  const BufferId y = s.buffer({32}, {rows(4)}, {4}, {8});
  const BufferId z = s.buffer({32}, {rows(4)}, {4}, {8});
  const Chained chained =
      chain(s.program, std::vector<program::Context>{s.copy("a", x, out, {8}), s.copy("b", y, z, {8}), s.copy("c", out, y, {8})});
  EXPECT_FALSE(chained.context);
  EXPECT_EQ(chained.problem, "'b1' goes through off-chip memory");
  EXPECT_EQ(chained.phase, 2u);
}

}  // namespace
}  // namespace switchyard::compiler
