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
  const char* positions = nullptr;  ///< of a learned table
  std::int64_t more_positions = 0;
  const char *experts = nullptr, *expert_ffn = "moe_intermediate_size", *shared = nullptr;
  bool encoder = false, layer_norm = false, parallel = false, gated = true, attention_bias = false, bias = false, query_norm = false,
       rotary = true, tied = false, windows = false, latent = false, shared_gate = false;
  Norms norms = Norms::before;
  Activation activation = Activation::silu;
  std::int64_t window_every = 1, whole_every = 0;
};

constexpr std::array kFamilies{
    Family{.type = "llama"},
    Family{.type = "mistral", .windows = true},
    Family{.type = "phi3", .windows = true},
    Family{.type = "qwen2", .attention_bias = true},
    Family{.type = "qwen3", .query_norm = true},
    Family{.type = "gemma", .tied = true, .activation = Activation::gelu_tanh},
    Family{.type = "gemma2",
           .tied = true,
           .windows = true,
           .norms = Norms::around,
           .activation = Activation::gelu_tanh,
           .window_every = 2,
           .whole_every = 1},
    Family{.type = "gemma3_text",
           .query_norm = true,
           .tied = true,
           .windows = true,
           .norms = Norms::around,
           .activation = Activation::gelu_tanh,
           .window_every = 6,
           .whole_every = 1},
    Family{.type = "phi",
           .layer_norm = true,
           .parallel = true,
           .gated = false,
           .attention_bias = true,
           .bias = true,
           .activation = Activation::gelu_tanh},
    Family{.type = "gpt2",
           .layers = "n_layer",
           .hidden = "n_embd",
           .heads = "n_head",
           .ffn = "n_inner",
           .positions = "n_positions",
           .layer_norm = true,
           .gated = false,
           .attention_bias = true,
           .bias = true,
           .rotary = false,
           .tied = true,
           .activation = Activation::gelu_tanh},
    Family{.type = "opt",
           .ffn = "ffn_dim",
           .positions = "max_position_embeddings",
           .more_positions = 2,
           .layer_norm = true,
           .gated = false,
           .attention_bias = true,
           .bias = true,
           .rotary = false,
           .tied = true,
           .activation = Activation::relu},
    Family{.type = "bert",
           .positions = "max_position_embeddings",
           .encoder = true,
           .layer_norm = true,
           .gated = false,
           .attention_bias = true,
           .bias = true,
           .rotary = false,
           .tied = true,
           .norms = Norms::after,
           .activation = Activation::gelu},
    Family{.type = "mixtral", .experts = "num_local_experts", .expert_ffn = "intermediate_size", .windows = true},
    Family{.type = "qwen2_moe",
           .experts = "num_experts",
           .shared = "shared_expert_intermediate_size",
           .attention_bias = true,
           .shared_gate = true},
    Family{.type = "qwen3_moe", .experts = "num_experts", .query_norm = true},
    Family{.type = "deepseek_v2", .experts = "n_routed_experts", .latent = true},
    Family{.type = "deepseek_v3", .experts = "n_routed_experts", .latent = true},
};

struct Named {
  const char* name;
  Activation activation;
};
constexpr std::array<Named, 9> kActivations{{{"silu", Activation::silu},
                                             {"swish", Activation::silu},
                                             {"gelu", Activation::gelu},
                                             {"gelu_new", Activation::gelu_tanh},
                                             {"gelu_fast", Activation::gelu_tanh},
                                             {"gelu_pytorch_tanh", Activation::gelu_tanh},
                                             {"relu", Activation::relu},
                                             {"gelu_python", Activation::gelu},
                                             {"gelu_tanh", Activation::gelu_tanh}}};

constexpr std::array<std::pair<const char*, numerics::Format>, 3> kTypes{
    {{"bfloat16", numerics::Format::bf16}, {"float16", numerics::Format::fp16}, {"float32", numerics::Format::fp32}}};

constexpr std::int64_t kMostSize = std::int64_t{1} << 24;
/// Each layer is operators of its own: beyond this a number is mistyped, and a graph of it would fill the memory.
constexpr std::int64_t kMostLayers = 4096;

class Reader {
 public:
  explicit Reader(const Document& document) : document_(document) {}

  std::optional<std::int64_t> whole(const char* key, bool required, std::int64_t least = 1, std::int64_t most = kMostSize) {
    const Node* node = document_.root.find(key);
    if (node == nullptr || node->kind == Node::Kind::null) {
      if (required) complain(document_.root, fmt::format("the configuration has no '{}'", key));
      return std::nullopt;
    }
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(node->text.data(), node->text.data() + node->text.size(), value);
    if (node->kind == Node::Kind::scalar && error == std::errc() && end == node->text.data() + node->text.size() && value >= least &&
        value <= most)
      return value;
    complain(*node, fmt::format("'{}' must be a whole number from {} to {}", key, least, most));
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
    return node == nullptr || node->kind != Node::Kind::scalar ? std::string() : node->text;
  }
  /// One of a table's names; what the table does not have is a mistake.
  template <class Value, class Table>
  void choice(const char* key, const Table& table, Value& value) {
    const std::string name = text(key);
    if (name.empty()) return;
    std::string known;
    for (const auto& [word, meaning] : table) {
      if (name == word) {
        value = meaning;
        return;
      }
      known += (known.empty() ? "" : ", ") + std::string(word);
    }
    complain(*document_.root.find(key), fmt::format("'{}' cannot be '{}': it is one of {}", key, name, known));
  }
  void complain(const Node& node, std::string message) {
    failure.diagnostics.push_back({"llm/config", std::move(message), document_.location(node), {}, {}, document_.line_text(node.line)});
  }
  void complain(std::string message) { complain(document_.root, std::move(message)); }
  Failure failure{FailureKind::malformed, {}, {}};

 private:
  const Document& document_;
};

void read_experts(Reader& reader, const Family& family, Config& c) {
  Config::Experts& e = c.experts;
  const auto count = reader.whole(family.experts, !family.latent, 0);
  if (!count || *count == 0) return;
  e.count = *count;
  e.chosen = reader.whole("num_experts_per_tok", true).value_or(1);
  e.ffn = reader.whole(family.expert_ffn, true).value_or(1);
  if (family.shared != nullptr) e.shared_ffn = reader.whole(family.shared, false, 0).value_or(0);
  if (family.latent) e.shared_ffn = reader.whole("n_shared_experts", false, 0).value_or(0) * e.ffn;
  e.shared_gate = family.shared_gate;
  e.first_dense = reader.whole("first_k_dense_replace", false, 0).value_or(0);
  e.step = reader.whole("decoder_sparse_step", false).value_or(reader.whole("moe_layer_freq", false).value_or(1));
  e.normalised = reader.flag("norm_topk_prob", true);
  if (e.chosen > e.count) reader.complain(fmt::format("a token cannot take {} of {} experts", e.chosen, e.count));
}

void read_latent(Reader& reader, Config& c) {
  c.latent.rank = reader.whole("kv_lora_rank", true).value_or(1);
  c.latent.query_rank = reader.whole("q_lora_rank", false, 0).value_or(0);
  c.latent.plain = reader.whole("qk_nope_head_dim", true).value_or(1);
  c.latent.turned = reader.whole("qk_rope_head_dim", true).value_or(2);
  c.latent.value = reader.whole("v_head_dim", true).value_or(1);
  c.head_size = c.latent.plain + c.latent.turned;
  c.rotary_size = c.latent.turned;
}

Result<Config> config_of(const Document& document, const std::string& path) {
  Reader reader(document);
  if (document.root.kind != Node::Kind::map) {
    reader.complain("a configuration is a map");
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
  reader.choice("torch_dtype", kTypes, c.format);
  if (reader.text("torch_dtype").empty()) reader.choice("dtype", kTypes, c.format);
  c.layers = reader.whole(family->layers, true, 1, kMostLayers).value_or(1);
  c.hidden = reader.whole(family->hidden, true).value_or(1);
  c.heads = reader.whole(family->heads, true).value_or(1);
  c.vocabulary = reader.whole("vocab_size", true).value_or(1);
  c.kv_heads = reader.whole("num_key_value_heads", false).value_or(c.heads);
  const auto head_size = reader.whole("head_dim", false);
  if (!head_size && !family->latent && c.hidden % c.heads != 0)
    reader.complain(fmt::format("{} elements cannot be dealt to {} heads evenly, and there is no 'head_dim'", c.hidden, c.heads));
  c.head_size = head_size.value_or(std::max<std::int64_t>(1, c.hidden / c.heads));
  const bool by_width = std::string_view(family->ffn) == "n_inner";  // GPT-2 leaves it out where it is four times the width
  c.ffn = reader.whole(family->ffn, !by_width).value_or(4 * c.hidden);
  if (family->positions != nullptr) c.positions = reader.whole(family->positions, false).value_or(1024) + family->more_positions;
  c.encoder = family->encoder;
  c.layer_norm = family->layer_norm;
  c.norms = family->norms;
  c.parallel = family->parallel;
  c.gated = family->gated;
  c.attention_bias = reader.flag("attention_bias", family->attention_bias);
  c.bias = family->bias;
  c.head_bias = family->parallel;  // of those known, the same family has both
  c.query_norm = family->query_norm;
  c.rotary = family->rotary;
  c.tied = reader.flag("tie_word_embeddings", family->tied);
  c.activation = family->activation;
  for (const char* key : {"hidden_act", "activation_function", "hidden_activation"}) reader.choice(key, kActivations, c.activation);
  c.rotary_base = reader.real("rope_theta", c.rotary_base);
  c.epsilon = reader.real(c.type == "bert" || c.type == "phi" ? "layer_norm_eps"
                          : c.layer_norm                      ? "layer_norm_epsilon"
                                                              : "rms_norm_eps",
                          c.epsilon);
  if (reader.flag("use_sliding_window", family->windows)) c.window = reader.whole("sliding_window", false).value_or(0);
  c.window_every = family->window_every;
  c.whole_every = family->whole_every;
  c.score_cap = reader.real("attn_logit_softcapping", 0);
  c.logit_cap = reader.real("final_logit_softcapping", 0);
  c.rotary_size = static_cast<std::int64_t>(static_cast<double>(c.head_size) * std::min(1.0, reader.real("partial_rotary_factor", 1)));
  if (family->latent) read_latent(reader, c);
  if (family->experts != nullptr) read_experts(reader, *family, c);
  if (!family->latent && c.heads % c.kv_heads != 0)
    reader.complain(fmt::format("{} heads cannot share {} key and value heads evenly", c.heads, c.kv_heads));
  if (c.rotary && (c.rotary_size % 2 != 0 || c.rotary_size == 0)) reader.complain("rotary positions need heads of even size");
  if (!reader.failure.diagnostics.empty()) return reader.failure;
  return c;
}

bool is_dealt(std::int64_t size, std::int64_t devices) { return size % devices == 0; }

}  // namespace

Result<Config> read_config(const std::string& path) {
  SY_TRY(const Document document, read_document(path));
  return config_of(document, path);
}

Result<Config> parse_config(std::string text, const std::string& path) {
  SY_TRY(const Document document, parse_document(std::move(text), path));
  return config_of(document, path);
}

Status check_step(const Config& c, const Step& s) {
  Failure failure{FailureKind::malformed, {}, {}};
  const auto complain = [&](std::string message, std::string hint = {}) {
    failure.diagnostics.push_back({"llm/step", std::move(message), {}, {}, std::move(hint), {}});
  };
  const auto deal = [&](std::int64_t size, const char* what) {
    if (!is_dealt(size, s.parallel)) complain(fmt::format("{} {} cannot be dealt to {} devices evenly", size, what, s.parallel));
  };
  if (c.encoder && s.tokens != s.context) complain(fmt::format("'{}' is an encoder: it has no decode step", c.type));
  if (c.positions > 0 && s.context > c.positions)
    complain(fmt::format("'{}' has {} positions, fewer than the {} of this step", c.type, c.positions, s.context),
             fmt::format("{} with at most {}", s.tokens > 1 ? "--prompt" : "--context-length", c.positions));
  deal(c.heads, "heads");
  if (c.latent.rank == 0 && !is_dealt(c.kv_heads, s.parallel) && !is_dealt(s.parallel, c.kv_heads)) deal(c.kv_heads, "key and value heads");
  for (std::int64_t l = 0; l < c.layers; ++l)
    if (!c.has_experts(l)) {
      deal(c.ffn, "elements of the feed-forward network");
      break;
    }
  if (c.experts.count > 0) {
    deal(c.experts.ffn, "elements of an expert");
    if (c.experts.shared_ffn > 0) deal(c.experts.shared_ffn, "elements of the shared expert");
  }
  if (!failure.diagnostics.empty()) return failure;
  return Done{};
}

}  // namespace switchyard::model::llm
