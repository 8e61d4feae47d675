// Trained weights beside a configuration: their values are the graph's, and what does not belong to it is told.
#include "cli/checkpoint.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "program/safetensors.h"

namespace switchyard::cli {
namespace {

namespace fs = std::filesystem;

class Checkpoint : public ::testing::Test {
 protected:
  Checkpoint() : folder_(fs::temp_directory_path() / ("switchyard_checkpoint_" + std::to_string(getpid()))) {
    fs::create_directories(folder_);
    std::ofstream(folder_ / "config.json", std::ios::binary)
        << R"({"model_type": "qwen2", "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2,
               "num_key_value_heads": 1, "vocab_size": 10, "tie_word_embeddings": true})";
  }
  ~Checkpoint() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  Checkpoint(const Checkpoint&) = delete;
  Checkpoint& operator=(const Checkpoint&) = delete;

  void write(const std::string& file, const std::vector<std::pair<std::string, numerics::Shape>>& tensors) const {
    std::vector<program::NamedConstant> constants;
    for (const auto& [name, shape] : tensors) {
      auto made = std::make_shared<numerics::Constant>();
      made->make = [name = name, shape = shape] {
        return numerics::seeded_uniform(numerics::hash_name(name), numerics::Format::bf16, shape, 1);
      };
      constants.push_back({name, numerics::Format::bf16, shape, made});
    }
    ASSERT_TRUE(program::write_safetensors((folder_ / file).string(), constants).ok());
  }
  [[nodiscard]] model::LoadedModel load() const {
    model::LoadOptions how;
    how.prompt = 2;
    auto loaded = model::load_model(folder_.string(), how);
    EXPECT_TRUE(loaded.ok()) << format_failure(loaded.failure());
    return std::move(loaded).value();
  }

  fs::path folder_;
  const std::vector<std::pair<std::string, numerics::Shape>> layer_{
      {"model.layers.0.self_attn.q_proj.weight", {8, 8}}, {"model.layers.0.self_attn.q_proj.bias", {8}},
      {"model.layers.0.self_attn.k_proj.weight", {4, 8}}, {"model.layers.0.self_attn.k_proj.bias", {4}},
      {"model.layers.0.self_attn.v_proj.weight", {4, 8}}, {"model.layers.0.self_attn.v_proj.bias", {4}},
      {"model.layers.0.self_attn.o_proj.weight", {8, 8}}, {"model.layers.0.mlp.gate_proj.weight", {12, 8}},
      {"model.layers.0.mlp.up_proj.weight", {12, 8}},     {"model.layers.0.mlp.down_proj.weight", {8, 12}}};
  const std::vector<std::pair<std::string, numerics::Shape>> rest_{{"model.layers.0.input_layernorm.weight", {8}},
                                                                   {"model.layers.0.post_attention_layernorm.weight", {8}},
                                                                   {"model.norm.weight", {8}},
                                                                   {"model.embed_tokens.weight", {10, 8}}};
};

TEST_F(Checkpoint, GivesItsValues) {
  write("a.safetensors", layer_);
  write("b.safetensors", rest_);
  std::ofstream(folder_ / "model.safetensors.index.json", std::ios::binary)
      << R"({"weight_map": {"x": "a.safetensors", "y": "b.safetensors", "z": "a.safetensors"}})";
  model::LoadedModel model = load();
  ASSERT_TRUE(read_checkpoint(folder_.string(), model).ok());
  const auto values = [&](const std::string& name) {
    for (const graph::Tensor& t : model.graph.tensors)
      if (t.name == name) return t.constant->make();
    ADD_FAILURE() << name;
    return numerics::Tensor{};
  };
  const auto there = [](const std::string& name, const numerics::Shape& shape) {
    return numerics::seeded_uniform(numerics::hash_name(name), numerics::Format::bf16, shape, 1);
  };
  const numerics::Tensor up = values("layers.0.mlp.up.weight"), up_there = there("model.layers.0.mlp.up_proj.weight", {12, 8});
  ASSERT_EQ(up.shape, (numerics::Shape{8, 12}));
  for (std::int64_t r = 0; r < 8; ++r)
    for (std::int64_t c = 0; c < 12; ++c) EXPECT_EQ(up.at(r * 12 + c), up_there.at(c * 8 + r));
  EXPECT_EQ(values("norm.weight").at(3), there("model.norm.weight", {8}).at(3));
  EXPECT_EQ(values("layers.0.q.bias").at(5), there("model.layers.0.self_attn.q_proj.bias", {8}).at(5));
  EXPECT_EQ(values("lm_head.weight").at(1), there("model.embed_tokens.weight", {10, 8}).at(8)) << "tied";
}

TEST_F(Checkpoint, TellsWhatIsMissing) {
  model::LoadedModel model = load();
  ASSERT_TRUE(read_checkpoint(folder_.string(), model).ok()) << "none is there";
  write("model.safetensors", rest_);
  const Status missing = read_checkpoint(folder_.string(), model);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.failure().diagnostics[0].code, "llm/weights");
  EXPECT_EQ(missing.failure().diagnostics[0].message.substr(0, 37), "the checkpoint has no tensor 'model.l");
  auto wrong = layer_;
  wrong[0].second = {8, 9};
  wrong.insert(wrong.end(), rest_.begin(), rest_.end());
  write("model.safetensors", wrong);
  const Status shape = read_checkpoint(folder_.string(), model);
  ASSERT_FALSE(shape.ok());
  EXPECT_EQ(shape.failure().diagnostics[0].message,
            "tensor 'model.layers.0.self_attn.q_proj.weight' has the shape [8, 9], and the configuration makes it [8, 8]");
  std::ofstream(folder_ / "model.safetensors", std::ios::binary) << "short";
  EXPECT_FALSE(read_checkpoint(folder_.string(), model).ok());
}

}  // namespace
}  // namespace switchyard::cli
