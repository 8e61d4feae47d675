#include "graph/verify.h"

#include <gtest/gtest.h>

#include <functional>

#include "graph/test_graphs.h"
#include "graph/write_map.h"

namespace switchyard::graph {
namespace {

using numerics::affine_constant;
using numerics::affine_variable;

// Operators: 0 conv, 1 pool, 2 softmax, 3 cat, 4 matmul, 5 weave, 6 scan
TEST(Verify, FindsEachBrokenLaw) {
  struct Row {
    const char* what;
    std::function<void(Graph&)> damage;
    const char* code;
  };
  const Row rows[] = {
      {"two tensors of a name", [](Graph& g) { g.tensors[1].name = "x"; }, "graph/duplicate-name"},
      {"two operators of a name", [](Graph& g) { g.ops[1].name = "cat"; }, "graph/duplicate-name"},
      {"a nameless operator", [](Graph& g) { g.ops[1].name = ""; }, "graph/name"},
      {"a negative extent", [](Graph& g) { g.tensors[1].shape[0] = -1; }, "graph/shape"},
      {"too many elements",
       [](Graph& g) {
         g.tensors[1].shape = {1ll << 40, 1ll << 40};
       },
       "graph/shape"},
      {"too large strides",
       [](Graph& g) {
         g.tensors[1].shape = {0, 1ll << 40, 1ll << 40};
       },
       "graph/shape"},
      {"a tensor that does not exist", [](Graph& g) { g.ops[1].operands[0] = TensorId(99); }, "graph/unknown-tensor"},
      {"no tensor at all", [](Graph& g) { g.outputs[0] = TensorId(); }, "graph/unknown-tensor"},
      {"an input not listed", [](Graph& g) { g.inputs.clear(); }, "graph/role"},
      {"a listed constant", [](Graph& g) { g.inputs.push_back(TensorId(1)); }, "graph/role"},
      {"values of an intermediate", [](Graph& g) { g.tensors[5].constant = g.tensors[1].constant; }, "graph/role"},
      {"operators out of order", [](Graph& g) { std::swap(g.ops[0], g.ops[1]); }, "graph/order"},
      {"a tensor made twice", [](Graph& g) { g.ops[1].results[0] = g.ops[0].results[0]; }, "graph/order"},
      {"an output never made", [](Graph& g) { g.ops.pop_back(); }, "graph/order"},
      {"nests out of order", [](Graph& g) { std::swap(g.ops[2].nests[0], g.ops[2].nests[1]); }, "graph/order"},
      {"a carried value without a sequential loop", [](Graph& g) { g.ops[6].nests[1].loops[0].kind = numerics::LoopKind::parallel; },
       "graph/order"},
      {"a loop name twice", [](Graph& g) { g.ops[0].nests[0].loops[1].name = "n"; }, "graph/loop"},
      {"a loop name with a space", [](Graph& g) { g.ops[0].nests[0].loops[1].name = "g 1"; }, "graph/loop"},
      {"too many points", [](Graph& g) { g.ops[0].nests[0].loops[3].extent = g.ops[0].nests[0].loops[6].extent = 1ll << 40; },
       "graph/loop"},
      {"an expression without nodes", [](Graph& g) { g.ops[0].nests[0].expression.nodes.clear(); }, "graph/expression"},
      {"an input too many", [](Graph& g) { g.ops[0].nests[0].expression.nodes[0].a = 2; }, "graph/expression"},
      {"a node before its operand", [](Graph& g) { g.ops[0].nests[0].expression.nodes[2].a = 2; }, "graph/expression"},
      {"a slot that does not exist", [](Graph& g) { g.ops[0].nests[0].reads[0].slot = 7; }, "graph/access"},
      {"a wrong rank", [](Graph& g) { g.ops[0].nests[0].reads[1].index.pop_back(); }, "graph/access"},
      {"a loop that does not exist", [](Graph& g) { g.ops[0].nests[0].reads[1].index[3] = affine_variable(9); }, "graph/access"},
      {"an operand written", [](Graph& g) { g.ops[1].nests[0].write.slot = 0; }, "graph/access"},
      {"a write with fill", [](Graph& g) { g.ops[1].nests[0].write.fill = 0; }, "graph/access"},
      {"a filled read astray", [](Graph& g) { g.ops[1].nests[0].reads[0].index[0].constant = 1ll << 62; }, "graph/access"},
      {"a read outside", [](Graph& g) { g.ops[4].nests[0].reads[1].index[0].constant = 1; }, "graph/out-of-bounds"},
      {"a write outside", [](Graph& g) { g.ops[3].nests[1].write.index[1].constant += 1; }, "graph/out-of-bounds"},
      {"padding without fill", [](Graph& g) { g.ops[1].nests[0].reads[0].fill.reset(); }, "graph/out-of-bounds"},
      {"a reduction without combiner", [](Graph& g) { g.ops[1].nests[0].combiner = numerics::Combiner::none; }, "graph/combiner"},
      {"a reduction loop in the write", [](Graph& g) { g.ops[4].nests[0].loops[2].kind = numerics::LoopKind::reduction; },
       "graph/write-form"},
      {"a loop missing from the write", [](Graph& g) { g.ops[1].nests[0].write.index[1] = affine_constant(0); }, "graph/write-form"},
      {"a result half written", [](Graph& g) { g.ops[3].nests.pop_back(); }, "graph/write-coverage"},
      {"a local never written",
       [](Graph& g) {
         g.ops[6].locals.push_back({"idle", numerics::Format::fp32, {1}});
       },
       "graph/write-coverage"},
      {"a result written twice", [](Graph& g) { g.ops[3].nests[1].write.index[1].constant = 0; }, "graph/write-overlap"},
      {"interleaved writes that meet", [](Graph& g) { g.ops[5].nests[1].write.index[1].constant = 0; }, "graph/write-overlap"},
  };
  const Graph good = testing::random_graph(8);
  ASSERT_EQ(good.tensors[0].shape[0], 2);  // the batch: the table needs more than one
  const auto status = verify(good);
  ASSERT_TRUE(status.ok()) << format_failure(status.failure());
  for (const Row& row : rows) {
    Graph graph = good;
    row.damage(graph);
    const auto got = verify(graph);
    ASSERT_FALSE(got.ok()) << row.what;
    EXPECT_EQ(got.failure().diagnostics[0].code, row.code) << row.what << "\n" << format_failure(got.failure());
  }
}

TEST(WriteMap, InvertsWhatTheLoopsWrite) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    testing::Draw draw{seed};
    numerics::Nest nest;
    numerics::Affine f = affine_constant(draw(-5, 5));
    std::int64_t weight = draw(1, 3);
    const auto loops = static_cast<int>(draw(1, 4));
    for (int l = 0; l < loops; ++l) {
      const std::int64_t extent = draw(1, 4);
      nest.loops.push_back({fmt::format("l{}", l), extent});
      f = f + affine_variable(l, draw(0, 1) == 0 ? weight : -weight);
      weight = weight * extent + draw(0, 2);
    }
    nest.write.index = {f};
    const auto map = write_map(nest);
    ASSERT_TRUE(map.has_value());
    std::map<std::int64_t, std::vector<std::int64_t>> written;
    std::vector<std::int64_t> at(nest.loops.size(), 0);
    for (bool more = true; more;) {
      EXPECT_TRUE(written.emplace(f.at(at), at).second);
      more = false;
      for (std::size_t l = at.size(); l-- > 0;) {
        if (++at[l] < nest.loops[l].extent) {
          more = true;
          break;
        }
        at[l] = 0;
      }
    }
    for (std::int64_t i = written.begin()->first - 3; i <= written.rbegin()->first + 3; ++i) {
      std::vector<std::int64_t> got(nest.loops.size(), 0);
      const auto want = written.find(i);
      ASSERT_EQ(invert(*map, std::vector<std::int64_t>{i}, got), want != written.end()) << i;
      if (want != written.end()) {
        EXPECT_EQ(got, want->second);
      }
    }
  }
}

TEST(WriteMap, RefusesWhatItCannotInvert) {
  numerics::Nest nest;
  nest.loops = {{"a", 3}, {"b", 4}};
  nest.write.index = {affine_variable(0, 3) + affine_variable(1)};  // 3*1 + 0 and 3*0 + 3
  EXPECT_FALSE(write_map(nest));
  nest.write.index = {affine_variable(0, 4) + affine_variable(1)};
  EXPECT_TRUE(write_map(nest));
  nest.write.index = {affine_variable(0), affine_variable(0)};
  EXPECT_FALSE(write_map(nest));
  nest.write.index = {affine_variable(0)};
  EXPECT_FALSE(write_map(nest));
  nest.loops[1].kind = numerics::LoopKind::reduction;
  EXPECT_TRUE(write_map(nest));
}

}  // namespace
}  // namespace switchyard::graph
