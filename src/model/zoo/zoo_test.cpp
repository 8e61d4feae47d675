#include <gtest/gtest.h>

#include <set>

#include "graph/evaluate.h"
#include "graph/verify.h"
#include "model/model.h"

namespace switchyard::model {
namespace {

TEST(Zoo, Resnet50IsTorchvisions) {
  auto loaded = load_model("resnet50", {});
  ASSERT_TRUE(loaded.ok());
  const graph::Graph& graph = loaded.value().graph;
  EXPECT_TRUE(loaded.value().built_in);
  EXPECT_TRUE(graph::verify(graph).ok());
  EXPECT_EQ(graph::parameter_count(graph), 25557032);
  EXPECT_EQ(graph::mac_count(graph), 4089184256);
  EXPECT_EQ(graph.tensor(graph.inputs[0]).shape, (numerics::Shape{1, 3, 224, 224}));
  EXPECT_EQ(graph.tensor(graph.outputs[0]).shape, (numerics::Shape{1, 1000}));
}

TEST(Zoo, BatchScalesTheWork) {
  LoadOptions options;
  options.batch = 4;
  auto loaded = load_model("resnet50", options);
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(graph::mac_count(loaded.value().graph), 4 * 4089184256);
  EXPECT_EQ(graph::parameter_count(loaded.value().graph), 25557032);
}

TEST(Zoo, WeightsAreBf16AndSeeded) {
  auto first = build_zoo_model("resnet50", {});
  LoadOptions other;
  other.seed = 1;
  auto second = build_zoo_model("resnet50", other);
  ASSERT_TRUE(first.ok() && second.ok());
  std::set<std::string> seen;
  for (std::size_t t = 0; t < first.value().tensors.size(); ++t) {
    const graph::Tensor& tensor = first.value().tensors[t];
    EXPECT_TRUE(seen.insert(tensor.name).second) << tensor.name;
    if (tensor.role != graph::Role::constant || numerics::element_count(tensor.shape) > 20000) continue;
    const numerics::Tensor values = tensor.constant->make();
    EXPECT_EQ(numerics::convert_tensor(numerics::convert_tensor(values, numerics::Format::bf16), numerics::Format::fp32).bytes,
              values.bytes)
        << tensor.name;
    EXPECT_EQ(tensor.constant->make().bytes, values.bytes);
    EXPECT_NE(second.value().tensors[t].constant->make().bytes, values.bytes) << tensor.name;
    const bool statistic = tensor.name.find("running") != std::string::npos;
    EXPECT_EQ(tensor.trained, !statistic) << tensor.name;
  }
}

TEST(Zoo, GemmTakesItsSizes) {
  LoadOptions options;
  options.set = {{"m", 2}, {"k", 3}, {"n", 5}};
  auto loaded = load_model("gemm", options);
  ASSERT_TRUE(loaded.ok());
  const graph::Graph& graph = loaded.value().graph;
  EXPECT_TRUE(graph::verify(graph).ok());
  EXPECT_EQ(graph::mac_count(graph), 30);
  EXPECT_EQ(graph.tensor(graph.outputs[0]).shape, (numerics::Shape{2, 5}));
  numerics::Tensor a = numerics::make_tensor(numerics::Format::fp32, {2, 3});
  a.set(1, 1);
  const auto c = graph::evaluate(graph, {a});
  const numerics::Tensor b = graph.tensor(graph.ops[0].operands[1]).constant->make();
  for (std::int64_t j = 0; j < 5; ++j) EXPECT_EQ(c[0].at(j), b.at(5 + j));
}

struct Refusal {
  const char* name;
  LoadOptions options;
  const char* code;
  const char* message;
};

TEST(Zoo, RefusesWhatItCannotDo) {
  const Refusal refusals[] = {
      {"resnet5", {}, "model/unknown", "there is no model 'resnet5'"},
      {"gemm", {0, 0, {{"q", 1}}}, "model/unknown-parameter", "gemm has no parameter 'q'"},
      {"gemm", {0, 0, {{"m", 0}}}, "model/parameter-range", "parameter m of gemm must be between 1 and 65536, not 0"},
      {"gemm", {4, 0, {}}, "model/no-batch", "gemm has no batch"},
      {"resnet50", {-1, 0, {}}, "model/parameter-range", "the batch must be between 1 and 65536, not -1"},
      {"absent.onnx", {}, "model/not-found", "there is no file 'absent.onnx'"},
  };
  for (const Refusal& r : refusals) {
    const auto loaded = load_model(r.name, r.options);
    ASSERT_FALSE(loaded.ok());
    EXPECT_EQ(loaded.failure().kind, FailureKind::usage);
    EXPECT_EQ(loaded.failure().diagnostics[0].code, r.code);
    EXPECT_EQ(loaded.failure().diagnostics[0].message, r.message);
  }
  const auto near = load_model("resnet5", {});
  EXPECT_TRUE(near.failure().diagnostics[0].hint.starts_with("did you mean resnet50?")) << near.failure().diagnostics[0].hint;
}

}  // namespace
}  // namespace switchyard::model
