#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <stdexcept>

#include "graph/evaluate.h"
#include "graph/verify.h"
#include "model/model.h"

namespace switchyard::model {
namespace {

struct Published {
  const char* name;
  std::int64_t parameters, macs;
  std::vector<numerics::Shape> inputs, outputs;  ///< the first ones
  std::size_t input_count, output_count;
};

TEST(Zoo, ModelsAreAsPublished) {
  // Multiplications by weights, and of the attention: scores and context.
  constexpr std::int64_t hidden = 768, bert = 12 * (384 * hidden * (4 * hidden + 2 * 3072) + 2 * 384 * 384 * hidden) + hidden * hidden;
  constexpr std::int64_t wide = 4096, layer = 4 * wide * wide + 3 * wide * 11008;
  const Published table[] = {
      {"resnet18", 11689512, 1814073344, {{1, 3, 224, 224}}, {{1, 1000}}, 1, 1},
      {"resnet50", 25557032, 4089184256, {{1, 3, 224, 224}}, {{1, 1000}}, 1, 1},
      {"bert-base", 109482240, bert, {{1, 1, 1, 384}}, {{1, 384, 768}, {1, 768}}, 1, 2},
      // 12 layers of projections and MLP, scores and context, and the words' vectors again.
      {"gpt2",
       124439808,
       12 * (512 * hidden * 12 * hidden + 2 * 512 * 512 * hidden) + 512 * hidden * 50257,
       {{1, 512}},
       {{1, 512, 50257}, {1, 12, 512, 64}},
       1,
       25},
      // torchvision gives 0.217 and 4.49 and 17.56 GMAC.
      {"mobilenet-v3", 5483032, 216589760, {{1, 3, 224, 224}}, {{1, 1000}}, 1, 1},
      {"swin-t", 28288354, 4490566656, {{1, 3, 224, 224}}, {{1, 1000}}, 1, 1},
      {"vgg16", 138357544, 15470264320, {{1, 3, 224, 224}}, {{1, 1000}}, 1, 1},
      {"vit-b16", 86567656, 17563828224, {{1, 3, 224, 224}}, {{1, 1000}}, 1, 1},
      {"unet", 31037698, 48171581440, {{1, 3, 256, 256}}, {{1, 2, 256, 256}}, 1, 1},
      {"whisper-tiny-encoder",
       8208384,
       3000 * 80 * 3 * 384 + 1500 * 384 * 3 * 384 + 4 * (std::int64_t{1500} * 384 * 12 * 384 + std::int64_t{2} * 1500 * 1500 * 384),
       {{1, 80, 3000}},
       {{1, 1500, 384}},
       1,
       1},
      {"llama-2-7b",
       6738415616,
       32 * (layer + wide * (2 * 2048 + 1)) + wide * 32000,
       {{1, 32, 2048, 128}, {1, 32, 2048, 128}},
       {{1, 1, 32000}, {1, 32, 1, 128}},
       64,
       65},
      {"llama-2-7b-block",
       202383360,
       512 * layer + 2 * 512 * 512 * wide,
       {{1, 512, 4096}},
       {{1, 512, 4096}, {1, 32, 512, 128}, {1, 32, 512, 128}},
       1,
       3},
      {"llama-2-7b-block-decode",
       202383360,
       layer + wide * (2 * 2048 + 1),
       {{1, 1, 4096}, {1, 32, 2048, 128}, {1, 32, 2048, 128}},
       {{1, 1, 4096}, {1, 32, 1, 128}, {1, 32, 1, 128}},
       3,
       3},
  };
  for (const Published& p : table) {
    SCOPED_TRACE(p.name);
    auto loaded = load_model(p.name, {});
    ASSERT_TRUE(loaded.ok());
    const graph::Graph& graph = loaded.value().graph;
    EXPECT_TRUE(loaded.value().built_in);
    EXPECT_EQ(graph.name, p.name);
    EXPECT_TRUE(graph::verify(graph).ok());
    EXPECT_EQ(graph::parameter_count(graph), p.parameters);
    EXPECT_EQ(graph::mac_count(graph), p.macs);
    EXPECT_EQ(graph.inputs.size(), p.input_count);
    EXPECT_EQ(graph.outputs.size(), p.output_count);
    for (std::size_t i = 0; i < p.inputs.size(); ++i) EXPECT_EQ(graph.tensor(graph.inputs[i]).shape, p.inputs[i]);
    for (std::size_t i = 0; i < p.outputs.size(); ++i) EXPECT_EQ(graph.tensor(graph.outputs[i]).shape, p.outputs[i]);
  }
}

TEST(Zoo, BatchScalesTheWork) {
  for (const ZooEntry& entry : zoo()) {
    if (entry.name == "gemm") continue;
    SCOPED_TRACE(entry.name);
    LoadOptions options;
    const auto one = build_zoo_model(entry.name, options);
    options.batch = 4;
    const auto four = build_zoo_model(entry.name, options);
    ASSERT_TRUE(one.ok() && four.ok());
    EXPECT_TRUE(graph::verify(four.value()).ok());
    EXPECT_EQ(graph::mac_count(four.value()), 4 * graph::mac_count(one.value()));
    EXPECT_EQ(graph::parameter_count(four.value()), graph::parameter_count(one.value()));
  }
}

struct Small {
  const char* name;
  std::map<std::string, std::int64_t> set;
};
const Small kSmall[] = {
    {"bert-base", {{"seq", 5}, {"layers", 1}, {"hidden", 128}, {"ffn", 192}, {"vocab", 512}}},
    {"gpt2", {{"seq", 6}, {"layers", 1}, {"hidden", 128}, {"vocab", 50}}},
    {"unet", {{"size", 16}}},
    {"vit-b16", {{"layers", 1}}},
    {"whisper-tiny-encoder", {{"layers", 1}, {"frames", 20}}},
    {"llama-2-7b", {{"past", 6}, {"layers", 2}, {"hidden", 256}, {"ffn", 192}, {"vocab", 100}}},
    {"llama-2-7b-block", {{"seq", 7}, {"hidden", 256}, {"ffn", 192}}},
    {"llama-2-7b-block-decode", {{"past", 6}, {"hidden", 256}, {"ffn", 192}}},
};

graph::Graph small(const char* name, std::uint64_t seed = 0) {
  for (const Small& s : kSmall) {
    if (s.name == std::string(name)) return build_zoo_model(name, {0, seed, s.set}).value();
  }
  return build_zoo_model(name, {0, seed, {}}).value();
}

TEST(Zoo, WeightsAreBf16AndSeeded) {
  for (const char* name : {"resnet18", "resnet50", "bert-base", "llama-2-7b", "llama-2-7b-block", "gpt2", "mobilenet-v3", "swin-t", "unet",
                           "vgg16", "vit-b16", "whisper-tiny-encoder"}) {
    const graph::Graph first = small(name), second = small(name, 1);
    std::set<std::string> seen;
    for (std::size_t t = 0; t < first.tensors.size(); ++t) {
      const graph::Tensor& tensor = first.tensors[t];
      EXPECT_TRUE(seen.insert(tensor.name).second) << tensor.name;
      if (tensor.role != graph::Role::constant || numerics::element_count(tensor.shape) > 20000) continue;
      const numerics::Tensor values = tensor.constant->make();
      EXPECT_EQ(tensor.constant->make().bytes, values.bytes);
      const bool position = tensor.name.starts_with("rotary.") || tensor.name == "causal_mask" || tensor.name.ends_with("attn.mask");
      const bool statistic = tensor.name.find("running") != std::string::npos;
      EXPECT_EQ(tensor.trained, !statistic && !position) << tensor.name;
      EXPECT_EQ(second.tensors[t].constant->make().bytes == values.bytes, position) << tensor.name;
      if (position) continue;
      EXPECT_EQ(numerics::convert_tensor(numerics::convert_tensor(values, numerics::Format::bf16), numerics::Format::fp32).bytes,
                values.bytes)
          << tensor.name;
    }
  }
}

TEST(Zoo, SeedsAndBatchesReadOtherWords) {
  LoadOptions options{3, 0, kSmall[0].set};
  std::set<std::string> reads;
  for (options.seed = 0; options.seed < 3; ++options.seed) {
    const graph::Graph graph = build_zoo_model("bert-base", options).value();
    EXPECT_TRUE(graph::verify(graph).ok());
    const auto& row = graph.ops[0].nests[0].reads[0].index[0];
    EXPECT_EQ(row.coefficient(0), 5);
    EXPECT_EQ(row.coefficient(1), 1);
    reads.insert(std::to_string(row.constant));
  }
  EXPECT_EQ(reads.size(), 3U);
  // Where the vocabulary is smaller than the batch, the texts are the same.
  options.batch = 200;
  const graph::Graph graph = build_zoo_model("bert-base", options).value();
  EXPECT_TRUE(graph::verify(graph).ok());
  EXPECT_EQ(graph.ops[0].nests[0].reads[0].index[0].coefficient(0), 0);
}

/// A model in plain loops over numbers, for comparison. A value is a matrix [rows][columns].
using Matrix = std::vector<std::vector<double>>;

class Plain {
 public:
  explicit Plain(const graph::Graph& graph) : graph_(graph) {}

  Matrix constant(const std::string& name) const {
    for (const graph::Tensor& t : graph_.tensors) {
      if (t.name == name) return matrix(t.constant->make());
    }
    throw std::runtime_error("no constant " + name);
  }
  static Matrix matrix(const numerics::Tensor& t) {
    const auto columns = static_cast<std::size_t>(t.shape.back());
    Matrix m(static_cast<std::size_t>(t.count()) / columns, std::vector<double>(columns));
    for (std::size_t i = 0; i < m.size() * columns; ++i) m[i / columns][i % columns] = t.at(static_cast<std::int64_t>(i));
    return m;
  }
  Matrix dense(const std::string& name, const Matrix& x) const {
    const Matrix w = constant(name + ".weight"), b = constant(name + ".bias");
    Matrix y(x.size(), b[0]);
    for (std::size_t r = 0; r < x.size(); ++r) {
      for (std::size_t i = 0; i < w.size(); ++i) {
        for (std::size_t o = 0; o < w[i].size(); ++o) y[r][o] += x[r][i] * w[i][o];
      }
    }
    return y;
  }
  Matrix normalized(const std::string& name, const Matrix& x, const Matrix& added) const {
    const Matrix w = constant(name + ".weight"), b = constant(name + ".bias");
    Matrix y = x;
    for (std::size_t r = 0; r < x.size(); ++r) {
      const auto n = static_cast<double>(x[r].size());
      double mean = 0, variance = 0;
      for (std::size_t c = 0; c < x[r].size(); ++c) mean += (y[r][c] += added[r][c]) / n;
      for (const double v : y[r]) variance += (v - mean) * (v - mean) / n;
      for (std::size_t c = 0; c < x[r].size(); ++c) y[r][c] = (y[r][c] - mean) / std::sqrt(variance + 1e-12) * w[0][c] + b[0][c];
    }
    return y;
  }

 private:
  const graph::Graph& graph_;
};

void expect_near(const numerics::Tensor& got, const Matrix& want, double tolerance) {
  const Matrix m = Plain::matrix(got);
  ASSERT_EQ(m.size(), want.size());
  for (std::size_t r = 0; r < m.size(); ++r) {
    ASSERT_EQ(m[r].size(), want[r].size());
    for (std::size_t c = 0; c < m[r].size(); ++c) ASSERT_NEAR(m[r][c], want[r][c], tolerance) << r << ", " << c;
  }
}

TEST(Zoo, BertComputesWhatThePaperSays) {
  const graph::Graph graph = small("bert-base");
  const std::size_t seq = 5, hidden = 128, head = 64;
  numerics::Tensor mask = numerics::make_tensor(numerics::Format::fp32, {1, 1, 1, 5});
  mask.set(1, -0.75);
  mask.set(4, -10000);  // padding
  const auto out = graph::evaluate(graph, {mask});

  const Plain plain(graph);
  const auto first = static_cast<std::size_t>(graph.ops[0].nests[0].reads[0].index[0].constant);
  const Matrix words = plain.constant("embeddings.word_embeddings.weight"),
               types = plain.constant("embeddings.token_type_embeddings.weight");
  const Matrix positions = plain.constant("embeddings.position_embeddings.weight");
  Matrix x(seq, std::vector<double>(hidden)), y = x, context = x;
  for (std::size_t s = 0; s < seq; ++s) {
    for (std::size_t c = 0; c < hidden; ++c) x[s][c] = words[first + s][c] + types[0][c] + positions[s][c];
  }
  x = plain.normalized("embeddings.LayerNorm", x, y);
  const std::string name = "encoder.layer.0.";
  const Matrix q = plain.dense(name + "attention.self.query", x), k = plain.dense(name + "attention.self.key", x);
  const Matrix v = plain.dense(name + "attention.self.value", x);
  for (std::size_t h = 0; h < hidden; h += head) {
    for (std::size_t s = 0; s < seq; ++s) {
      std::vector<double> p(seq);
      double sum = 0;
      for (std::size_t t = 0; t < seq; ++t) {
        for (std::size_t d = h; d < h + head; ++d) p[t] += q[s][d] * k[t][d];
        sum += p[t] = std::exp(p[t] / 8 + mask.at(static_cast<std::int64_t>(t)));
      }
      for (std::size_t t = 0; t < seq; ++t) {
        for (std::size_t d = h; d < h + head; ++d) context[s][d] += p[t] / sum * v[t][d];
      }
    }
  }
  x = plain.normalized(name + "attention.output.LayerNorm", plain.dense(name + "attention.output.dense", context), x);
  y = plain.dense(name + "intermediate.dense", x);
  for (auto& row : y) {
    for (double& value : row) value *= (1 + std::erf(value / std::sqrt(2.0))) / 2;
  }
  x = plain.normalized(name + "output.LayerNorm", plain.dense(name + "output.dense", y), x);
  expect_near(out[0], x, 1e-4);
  Matrix pooled = plain.dense("pooler.dense", {x[0]});
  for (double& value : pooled[0]) value = std::tanh(value);
  expect_near(out[1], pooled, 1e-4);
}

TEST(Zoo, LlamaDecodesWhatItsPrefillSays) {
  // The last of seven tokens, from the cache of the six before: the same hidden state, and its own rows of the cache.
  const graph::Graph prefill = small("llama-2-7b-block"), decode = small("llama-2-7b-block-decode");
  const numerics::Tensor x = numerics::seeded_uniform(5, numerics::Format::fp32, {1, 7, 256}, 1);
  const auto all = graph::evaluate(prefill, {x});
  numerics::Tensor last = numerics::make_tensor(numerics::Format::fp32, {1, 1, 256});
  for (std::int64_t c = 0; c < 256; ++c) last.set(c, x.at(6 * 256 + c));
  std::vector<numerics::Tensor> inputs{last};
  for (std::size_t kv = 1; kv <= 2; ++kv) {
    numerics::Tensor cache = numerics::make_tensor(numerics::Format::fp32, {1, 2, 6, 128});
    for (std::int64_t i = 0; i < cache.count(); ++i) cache.set(i, all[kv].at(i / (6 * 128) * 7 * 128 + i % (6 * 128)));
    inputs.push_back(std::move(cache));
  }
  const auto step = graph::evaluate(decode, inputs);
  Matrix want = Plain::matrix(all[0]);
  expect_near(step[0], {want[6]}, 1e-4);
  for (std::size_t kv = 1; kv <= 2; ++kv) {
    want = Plain::matrix(all[kv]);
    expect_near(step[kv], {want[6], want[13]}, 1e-5);
  }
  // What comes later does not count.
  numerics::Tensor other = x;
  for (std::int64_t c = 3 * 256; c < 7 * 256; ++c) other.set(c, -x.at(c));
  const auto changed = graph::evaluate(prefill, {other});
  for (std::int64_t c = 0; c < 7 * 256; ++c) EXPECT_EQ(changed[0].at(c) == all[0].at(c), c < 3 * 256);
}

TEST(Zoo, LlamaTurnsByPositions) {
  const graph::Graph graph = small("llama-2-7b-block-decode");
  const auto named = [&](const std::string& name) {
    for (const graph::Tensor& t : graph.tensors) {
      if (t.name == name) return t.constant->make();
    }
    throw std::runtime_error("no constant " + name);
  };
  const numerics::Tensor cos = named("rotary.cos"), sin = named("rotary.sin");
  for (int i = 0; i < 64; ++i) {
    const double angle = 6 / std::pow(10000.0, 2.0 * i / 128);  // position 6 is behind six cached ones
    EXPECT_NEAR(cos.at(i), std::cos(angle), 1e-6);
    EXPECT_NEAR(sin.at(i), -std::sin(angle), 1e-6);
    EXPECT_NEAR(sin.at(64 + i), std::sin(angle), 1e-6);
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
      {"resnet18", {0, 0, {{"seq", 1}}}, "model/unknown-parameter", "resnet18 has no parameter 'seq'"},
      {"bert-base", {0, 0, {{"seq", 513}}}, "model/parameter-range", "parameter seq of bert-base must be between 1 and 512, not 513"},
      {"bert-base", {0, 0, {{"vocab", 9}}}, "model/parameter-range", "parameter vocab of bert-base must be between 512 and 65536, not 9"},
      {"bert-base",
       {0, 0, {{"hidden", 100}}},
       "model/parameter-range",
       "parameter hidden of bert-base must be a multiple of 64 between 64 and 16384, not 100"},
      {"llama-2-7b", {1025, 0, {}}, "model/parameter-range", "the batch must be between 1 and 1024, not 1025"},
      {"gemm", {-1, 0, {}}, "model/parameter-range", "the batch must be between 1 and 1, not -1"},
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
