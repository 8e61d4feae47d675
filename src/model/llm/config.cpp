#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "model/llm/llm.h"
#include "support/document.h"

namespace switchyard::model::llm {
namespace {

/// What a family does differently from LLaMA, and what it calls its sizes.
struct Family {
  const char* type;
  const char *layers = "num_hidden_layers", *hidden = "hidden_size", *heads = "num_attention_heads", *ffn = "intermediate_size";
  bool layer_norm = false, gated = true, attention_bias = false, bias = false, query_norm = false, rotary = true, tied = false;
  Activation activation = Activation::silu;
};

constexpr std::array kFamilies{
    Family{.type = "llama"},
    Family{.type = "mistral"},
    Family{.type = "phi3"},
    Family{.type = "qwen2", .attention_bias = true},
    Family{.type = "qwen3", .query_norm = true},
    Family{.type = "gemma", .tied = true, .activation = Activation::gelu},
    Family{.type = "gemma2", .tied = true, .activation = Activation::gelu},
    Family{.type = "phi", .layer_norm = true, .gated = false, .attention_bias = true, .bias = true, .activation = Activation::gelu},
    Family{.type = "gpt2",
           .layers = "n_layer",
           .hidden = "n_embd",
           .heads = "n_head",
           .ffn = "n_inner",
           .layer_norm = true,
           .gated = false,
           .attention_bias = true,
           .bias = true,
           .rotary = false,
           .tied = true,
           .activation = Activation::gelu},
    Family{.type = "opt",
           .ffn = "ffn_dim",
           .layer_norm = true,
           .gated = false,
           .attention_bias = true,
           .bias = true,
           .rotary = false,
           .tied = true,
           .activation = Activation::relu},
};

constexpr std::int64_t kMostSize = std::int64_t{1} << 24;

class Reader {
 public:
  explicit Reader(const Document& document) : document_(document) {}

  std::optional<std::int64_t> whole(const char* key, bool required, std::int64_t least = 1) {
    const Node* node = document_.root.find(key);
    if (node == nullptr || node->kind == Node::Kind::null) {
      if (required) complain(document_.root, fmt::format("the configuration has no '{}'", key));
      return std::nullopt;
    }
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(node->text.data(), node->text.data() + node->text.size(), value);
    if (node->kind == Node::Kind::scalar && error == std::errc() && end == node->text.data() + node->text.size() && value >= least &&
        value <= kMostSize)
      return value;
    complain(*node, fmt::format("'{}' must be a whole number from {} to {}", key, least, kMostSize));
    return std::nullopt;
  }
  double real(const char* key, double otherwise) {
    const Node* node = document_.root.find(key);
    if (node == nullptr || node->kind != Node::Kind::scalar) return otherwise;
    double value = 0;
    const auto [end, error] = std::from_chars(node->text.data(), node->text.data() + node->text.size(), value);
    if (error == std::errc() && end == node->text.data() + node->text.size() && value > 0 && value < 1e12) return value;
    complain(*node, fmt::format("'{}' must be a positive number", key));
    return otherwise;
  }
  bool flag(const char* key, bool otherwise) {
    const Node* node = document_.root.find(key);
    return node == nullptr || node->kind != Node::Kind::scalar ? otherwise : node->text == "true" || node->text == "True";
  }
  std::string text(const char* key) {
    const Node* node = document_.root.find(key);
    return node == nullptr ? std::string() : node->text;
  }
  void complain(const Node& node, std::string message) {
    failure.diagnostics.push_back({"llm/config", std::move(message), document_.location(node), {}, {}, document_.line_text(node.line)});
  }
  Failure failure{FailureKind::malformed, {}, {}};

 private:
  const Document& document_;
};

Result<Config> config_of(const Document& document, const std::string& path) {
  Reader reader(document);
  if (document.root.kind != Node::Kind::map) {
    reader.complain(document.root, "a configuration is a map");
    return reader.failure;
  }
  Config c;
  c.type = reader.text("model_type");
  const auto family = std::find_if(kFamilies.begin(), kFamilies.end(), [&](const Family& f) { return c.type == f.type; });
  if (family == kFamilies.end()) {
    std::string known;
    for (const Family& f : kFamilies) known += (known.empty() ? "" : ", ") + std::string(f.type);
    return fail(FailureKind::unsupported, "llm/unsupported", fmt::format("models of type '{}' cannot be built", c.type),
                "types are " + known, {path, 1, 1});
  }
  c.layers = reader.whole(family->layers, true).value_or(1);
  c.hidden = reader.whole(family->hidden, true).value_or(1);
  c.heads = reader.whole(family->heads, true).value_or(1);
  c.vocabulary = reader.whole("vocab_size", true).value_or(1);
  c.kv_heads = reader.whole("num_key_value_heads", false).value_or(c.heads);
  c.head_size = reader.whole("head_dim", false).value_or(std::max<std::int64_t>(1, c.hidden / c.heads));
  const bool by_width = std::string_view(family->ffn) == "n_inner";  // GPT-2 leaves it out where it is four times the width
  c.ffn = reader.whole(family->ffn, !by_width).value_or(4 * c.hidden);
  c.layer_norm = family->layer_norm;
  c.gated = family->gated;
  c.attention_bias = reader.flag("attention_bias", family->attention_bias);
  c.bias = family->bias;
  c.query_norm = family->query_norm;
  c.rotary = family->rotary;
  c.tied = reader.flag("tie_word_embeddings", family->tied);
  c.activation = family->activation;
  c.rotary_base = reader.real("rope_theta", c.rotary_base);
  c.epsilon = reader.real(c.layer_norm ? "layer_norm_epsilon" : "rms_norm_eps", c.epsilon);
  if (reader.flag("use_sliding_window", true)) c.window = reader.whole("sliding_window", false).value_or(0);
  if (c.heads % c.kv_heads != 0)
    reader.complain(document.root, fmt::format("{} heads cannot share {} key and value heads evenly", c.heads, c.kv_heads));
  if (c.rotary && c.head_size % 2 != 0) reader.complain(document.root, "rotary positions need heads of even size");
  if (!reader.failure.diagnostics.empty()) return reader.failure;
  return c;
}

}  // namespace

Result<Config> read_config(const std::string& path) {
  SY_TRY(const Document document, read_document(path));
  return config_of(document, path);
}

Result<Config> parse_config(std::string text, const std::string& path) {
  SY_TRY(const Document document, parse_document(std::move(text), path));
  return config_of(document, path);
}

}  // namespace switchyard::model::llm
