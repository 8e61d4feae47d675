#include "compiler/layout.h"

#include <gtest/gtest.h>

namespace switchyard::compiler {
namespace {

using numerics::affine_variable;
using numerics::LoopKind;

/// A product of rows and columns over channels that lie side by side for each of several heads, as attention has it: one kernel.
struct Scores {
  graph::Graph graph;
  std::vector<Kernel> kernels{1};

  Scores(std::int64_t heads, std::int64_t channels, std::int64_t step) {
    const auto tensor = [&](const char* name, numerics::Shape shape) {
      graph.tensors.push_back({name, numerics::Format::bf16, std::move(shape), graph::Role::intermediate, nullptr, false});
      return graph::TensorId(graph.tensors.size() - 1);
    };
    const numerics::Shape side_by_side{1, 16, heads * step};
    const auto rows = tensor("rows", side_by_side), columns = tensor("columns", side_by_side), out = tensor("out", {1, heads, 16, 16});
    Kernel& k = kernels[0];
    k.contraction = true;
    k.macs = heads * 16 * 16 * channels;
    k.dims = {{"batch", 1}, {"head", heads}, {"m", 16}, {"n", 16}, {"k", channels, false, true}};
    const auto v = [](int dim, std::int64_t coefficient = 1) { return affine_variable(dim, coefficient); };
    k.operands = {{rows, {v(0), v(2), v(1, step) + v(4)}, {}},
                  {columns, {v(0), v(3), v(1, step) + v(4)}, {}},
                  {out, {v(0), v(1), v(2), v(3)}, {}, true}};
    k.locals = {{"sum", {0, 1, 2, 3}, true}};
    KernelStatement multiply;
    multiply.dims = {0, 1, 2, 3, 4};
    multiply.kinds.assign(4, LoopKind::parallel);
    multiply.kinds.push_back(LoopKind::reduction);
    multiply.reads = {{false, 0, {}}, {false, 1, {}}};
    k.statements = {multiply};
  }
};

/// Along a batch of one nothing runs: with its dimension innermost each element of a part would be padded to a unit's step.
TEST(Layout, ChannelsOfHeadsThatLieSideBySideLieTogether) {
  const Scores attention(2, 12, 12);
  EXPECT_EQ(choose_layouts(attention.graph, attention.kernels)[0], (std::vector<int>{0, 1, 2}));
}

/// Windows that overlap are no digits of a position: nothing says that they should lie together.
TEST(Layout, WindowsThatOverlapDoNot) {
  Scores windows(2, 12, 12);
  Kernel& k = windows.kernels[0];
  for (KernelOperand* o : {&k.operands[0], &k.operands[1]})  // [batch, 6·head + k, row]
    o->index = {o->index[0], affine_variable(1, 6) + affine_variable(4), o->index[1]};
  for (graph::Tensor* t : {&windows.graph.tensors[0], &windows.graph.tensors[1]}) t->shape = {1, 18, 16};
  EXPECT_EQ(choose_layouts(windows.graph, windows.kernels)[0].back(), 2);
  for (KernelOperand* o : {&k.operands[0], &k.operands[1]}) o->index[1] = affine_variable(1, 12) + affine_variable(4);
  for (graph::Tensor* t : {&windows.graph.tensors[0], &windows.graph.tensors[1]}) t->shape = {1, 24, 16};
  EXPECT_EQ(choose_layouts(windows.graph, windows.kernels)[0].back(), 1);
}

}  // namespace
}  // namespace switchyard::compiler
