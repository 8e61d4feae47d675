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
