#include <gtest/gtest.h>

#include "graph/evaluate.h"
#include "graph/verify.h"
#include "model/emit.h"

namespace switchyard::model {
namespace {

using numerics::Format;
using numerics::Shape;

struct Reshaped {
  Shape from, to;
  bool reads_through;  ///< of the (last) nest: every dimension of the result has a loop of its own, by which its readers can read the
                       ///< source instead
};

TEST(EmitReshape, KeepsTheOrderOfElements) {
  const Reshaped cases[] = {
      {{1, 6, 8}, {1, 6, 2, 4}, true},  {{1, 1, 8}, {1, 1, 2, 4}, true}, {{2, 6, 8}, {2, 6, 2, 4}, true}, {{1, 3, 1, 1}, {1, 3}, true},
      {{4, 3, 1, 1}, {4, 3}, true},     {{6}, {1, 6, 1}, true},          {{1}, {1, 1, 1}, true},          {{1, 1}, {}, true},
      {{1, 3, 2, 4}, {1, 3, 8}, false}, {{2, 3}, {3, 2}, true},          {{1, 2, 1, 3}, {6}, false},      {{2, 1, 3}, {1, 6, 1}, false},
  };
  for (const Reshaped& c : cases) {
    graph::Graph graph;
    graph.name = "reshape";
    const graph::TensorId x = add_input(graph, "x", Format::fp32, c.from);
    const graph::TensorId y = emit_reshape(graph, {"reshape", "Reshape", "y", {"reshape"}}, x, c.to);
    graph.outputs = {y};
    SCOPED_TRACE(testing::PrintToString(c.from) + " to " + testing::PrintToString(c.to));
    const Status status = graph::verify(graph);
    ASSERT_TRUE(status.ok()) << format_failure(status.failure());
    const numerics::Tensor values = numerics::seeded_uniform(3, Format::fp32, c.from, 1);
    const auto out = graph::evaluate(graph, {values});
    EXPECT_EQ(out[0].shape, c.to);
    EXPECT_EQ(out[0].bytes, values.bytes);
    const numerics::Nest& nest = graph.ops.back().nests[0];
    bool each = nest.loops.size() == c.to.size();
    for (std::size_t d = 0; d < c.to.size(); ++d) each = each && nest.write.index[d].as_variable() >= 0;
    EXPECT_EQ(each, c.reads_through);
  }
}

TEST(EmitGather, OneRowOfIndicesIsOneNest) {
  graph::Graph graph;
  graph.name = "gather";
  const graph::TensorId x = add_input(graph, "x", Format::fp32, {8, 3});
  const std::int64_t indices[] = {1, 3, 5};
  graph.outputs = {emit_gather(graph, {"gather", "Gather", "y", {"gather"}}, x, indices, {1, 3}, 0)};
  ASSERT_TRUE(graph::verify(graph).ok());
  ASSERT_EQ(graph.ops[0].nests.size(), 1U);
  const numerics::Nest& nest = graph.ops[0].nests[0];
  EXPECT_EQ(nest.loops.size(), 3U);
  for (const auto& index : nest.write.index) EXPECT_GE(index.as_variable(), 0);
  const numerics::Tensor values = numerics::seeded_uniform(3, Format::fp32, {8, 3}, 1);
  const auto out = graph::evaluate(graph, {values});
  for (std::int64_t i = 0; i < 9; ++i) EXPECT_EQ(out[0].at(i), values.at(indices[i / 3] * 3 + i % 3));
}

}  // namespace
}  // namespace switchyard::model
