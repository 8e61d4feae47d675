// Configurations of language models as users write them, and steps that do not go with them: what is wrong is said where it stands.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace {

class Language : public ::testing::Test {
 protected:
  Language() : folder_(std::filesystem::temp_directory_path() / ("switchyard_language_" + std::to_string(getpid()))) {
    std::filesystem::create_directories(folder_ / "m");
  }
  ~Language() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  Language(const Language&) = delete;
  Language& operator=(const Language&) = delete;

  /// Runs `switchyard VERB ARGUMENTS` beside the folder m with this configuration: what it complained about, then its exit code.
  [[nodiscard]] std::string run(const std::string& config, const std::string& arguments) const {
    std::ofstream(folder_ / "m" / "config.json", std::ios::binary) << config;
    const std::string command = "cd '" + folder_.string() +
                                "' && SWITCHYARD_CHIPS='" SWITCHYARD_SOURCE_DIR "/chips' '" SWITCHYARD_BINARY "' " + arguments +
                                " >.out 2>.err </dev/null";
    const int status = std::system(command.c_str());
    std::stringstream text;
    text << std::ifstream(folder_ / ".err", std::ios::binary).rdbuf();
    return text.str() + "exit " + std::to_string(WIFEXITED(status) ? WEXITSTATUS(status) : -1);
  }

  std::filesystem::path folder_;
};

constexpr const char* kSmall =
    "{\"model_type\": \"llama\", \"hidden_size\": 64, \"intermediate_size\": 96, \"num_hidden_layers\": 1,\n"
    " \"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"vocab_size\": 50}\n";

TEST_F(Language, TheFileIsAsGoodAsItsFolder) {
  const std::string folder = run(kSmall, "run m --chip tx81 --quiet --prompt 3 --no-values -o folder.txt");
  const std::string file = run(kSmall, "run m/config.json --chip tx81 --quiet --prompt 3 --no-values -o file.txt");
  EXPECT_EQ(folder, "exit 0");
  EXPECT_EQ(file, "exit 0");
  const auto text = [&](const char* name) {
    std::stringstream all;
    all << std::ifstream(folder_ / name, std::ios::binary).rdbuf();
    return all.str();
  };
  EXPECT_EQ(text("folder.txt"), text("file.txt"));
  EXPECT_EQ(text("file.txt").rfind("m on tx81", 0), 0u) << text("file.txt");
  // Nobody said how many positions: those that the table has.
  const std::string few = R"({"model_type": "opt", "hidden_size": 64, "ffn_dim": 64, "num_hidden_layers": 1, "num_attention_heads": 4,
      "vocab_size": 50, "max_position_embeddings": 8})";
  EXPECT_EQ(run(few, "run m/config.json --chip tx81 --quiet --no-values -o few.txt"), "exit 0");
  EXPECT_NE(run(few, "run m --chip tx81 --quiet --prompt 9").find("'opt' has 8 positions, fewer than the 9 of this step [llm/step]"),
            std::string::npos);
  EXPECT_NE(run("[1]", "run m/config.json --chip tx81 --quiet").find("m/config.json:1:1: error: a configuration is a map [llm/config]"),
            std::string::npos);
  EXPECT_NE(run(R"({"model_type": "mpt", "d_model": 64, "n_layers": 1, "n_heads": 4, "vocab_size": 9, "attn_config": 3})",
                "run m --chip tx81 --quiet")
                .find("error: 'attn_config' must be a map [llm/config]"),
            std::string::npos);
}

TEST_F(Language, MistakesStandWhereTheyAre) {
  const std::string zero =
      run("{\"model_type\": \"llama\",\n \"hidden_size\": 64, \"intermediate_size\": 96,\n \"num_attention_heads\": 0}\n",
          "run m --chip tx81 --quiet");
  EXPECT_NE(zero.find("m/config.json:3:25: error: 'num_attention_heads' must be a whole number from 1 to 16777216 [llm/config]"),
            std::string::npos)
      << zero;
  EXPECT_NE(zero.find("the configuration has no 'num_hidden_layers' [llm/config]"), std::string::npos) << zero;
  EXPECT_NE(zero.find("the configuration has no 'vocab_size' [llm/config]"), std::string::npos) << zero;
  EXPECT_NE(zero.find("exit 3"), std::string::npos) << zero;
  const std::string experts = run(R"({"model_type": "mixtral", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1,
      "num_attention_heads": 6, "num_key_value_heads": 4, "vocab_size": 50, "num_local_experts": 2, "num_experts_per_tok": 3})",
                                  "run m --chip tx81 --quiet");
  EXPECT_NE(experts.find("a token cannot take 3 of 2 experts [llm/config]"), std::string::npos) << experts;
  EXPECT_NE(experts.find("6 heads cannot share 4 key and value heads evenly [llm/config]"), std::string::npos) << experts;
  EXPECT_NE(experts.find("64 elements cannot be dealt to 6 heads evenly"), std::string::npos) << experts;
  const std::string type = run(R"({"model_type": "llama", "torch_dtype": "int3"})", "run m --chip tx81 --quiet");
  EXPECT_NE(type.find("'torch_dtype' cannot be 'int3': it is one of bfloat16, float16, float32 [llm/config]"), std::string::npos) << type;
  const std::string family = run(R"({"model_type": "rwkv"})", "run m --chip tx81 --quiet");
  EXPECT_NE(family.find("models of type 'rwkv' cannot be built [llm/unsupported]"), std::string::npos) << family;
  EXPECT_NE(family.find("exit 4"), std::string::npos) << family;
}

TEST_F(Language, StepsMustGoWithTheModel) {
  const std::string dealt = run(kSmall, "run m --chip a100-sxm-80g --tensor-parallel 3 --quiet --no-values");
  EXPECT_NE(dealt.find("4 heads cannot be dealt to 3 devices evenly [llm/step]"), std::string::npos) << dealt;
  EXPECT_NE(dealt.find("exit 3"), std::string::npos) << dealt;
  const std::string lonely = run(kSmall, "run m --chip l4 --tensor-parallel 2 --quiet --no-values");
  EXPECT_NE(lonely.find("no file describes a server of 'l4' [llm/server]"), std::string::npos) << lonely;
  EXPECT_NE(lonely.find("exit 4"), std::string::npos) << lonely;
  const std::string format = run(kSmall, "run m --chip l4 --weights int5 --quiet");
  EXPECT_NE(format.find("[cli/bad-value]"), std::string::npos) << format;
}

TEST_F(Language, WhatDoesNotFitNamesLevers) {
  const std::string large =
      run(kSmall, "run " SWITCHYARD_SOURCE_DIR "/models/llama-3-70b --chip a100-sxm-80g --phase decode --quiet --no-values");
  EXPECT_NE(large.find("[compile/does-not-fit]"), std::string::npos) << large;
  EXPECT_NE(large.find("keys and values"), std::string::npos) << large;
  EXPECT_NE(large.find("--weights int8"), std::string::npos) << large;
  EXPECT_NE(large.find("--tensor-parallel 2"), std::string::npos) << large;
  EXPECT_NE(large.find("exit 4"), std::string::npos) << large;
}

TEST_F(Language, ExchangesThatCannotBe) {
  std::ofstream(folder_ / "m.csv", std::ios::binary) << "chip,op,shape,format,best_us\n"
                                                        "a100-sxm-80g,all_reduce,bytes=1024;devices=9,fp16,10\n"
                                                        "a100-sxm-80g,all_gather,bytes=0;devices=2,fp16,10\n"
                                                        "a100-sxm-80g,all_gather,devices=2,fp16,10\n";
  const std::string bad = run(kSmall, "validate m.csv --quiet");
  EXPECT_NE(bad.find("m.csv:2:1: error: 9 devices cannot exchange anything on 'dgx-a100', which has 8 [collective/devices]"),
            std::string::npos)
      << bad;
  EXPECT_NE(bad.find("m.csv:3:1: error: 'bytes' of all_gather must be a whole number from 1"), std::string::npos) << bad;
  EXPECT_NE(bad.find("m.csv:4:1: error: all_gather needs a size 'bytes' [operation/shape]"), std::string::npos) << bad;
  EXPECT_NE(bad.find("exit 3"), std::string::npos) << bad;
}

}  // namespace
