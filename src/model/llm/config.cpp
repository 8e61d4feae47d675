#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <initializer_list>
#include <optional>

#include "model/llm/families.h"
#include "model/llm/llm.h"
#include "support/document.h"

namespace switchyard::model::llm {
namespace {

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
  /// `own` is read first, then what stands beside it: of the text part of a model of several.
  Reader(const Document& document, const Node& own) : document_(document), own_(own) {}

  [[nodiscard]] const Node* find(const char* key) const {
    const Node* node = own_.find(key);
    if (node == nullptr && &own_ != &document_.root) node = document_.root.find(key);
    return node == nullptr || node->kind == Node::Kind::null ? nullptr : node;
  }
  /// What a size is called here: as its family calls it, or as any other does, for classes take both.
  [[nodiscard]] const char* named(const char* key, std::initializer_list<const char*> others) const {
    const auto there = [&](const char* other) { return find(other) != nullptr; };
    const auto* const other = std::find_if(others.begin(), others.end(), there);
    return there(key) || other == others.end() ? key : *other;
  }
  std::optional<std::int64_t> whole(const char* key, bool required, std::int64_t least = 1, std::int64_t most = kMostSize) {
    const Node* node = find(key);
    if (node == nullptr) {
      if (required) complain(own_, fmt::format("the configuration has no '{}'", key));
      return std::nullopt;
    }
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(node->text.data(), node->text.data() + node->text.size(), value);
    if (is_plain(*node) && error == std::errc() && end == node->text.data() + node->text.size() && value >= least && value <= most)
      return value;
    complain(*node, fmt::format("'{}' must be a whole number from {} to {}", key, least, most));
    return std::nullopt;
  }
  /// A number that may be left out, for what the class takes then, or be null: there is none, 0.
  std::int64_t whole_or(const char* key, std::int64_t usual, std::int64_t least = 1) {
    if (const auto value = whole(key, false, least)) return *value;
    return is_left_out(key) ? usual : 0;
  }
  /// Neither a value nor null.
  [[nodiscard]] bool is_left_out(const char* key) const { return own_.find(key) == nullptr && document_.root.find(key) == nullptr; }
  double real(const char* key, double otherwise) {
    const Node* node = find(key);
    if (node == nullptr) return otherwise;
    double value = 0;
    const auto [end, error] = std::from_chars(node->text.data(), node->text.data() + node->text.size(), value);
    if (is_plain(*node) && error == std::errc() && end == node->text.data() + node->text.size() && value > 0 && value < 1e12) return value;
    complain(*node, fmt::format("'{}' must be a positive number", key));
    return otherwise;
  }
  bool flag(const char* key, bool otherwise) {
    const Node* node = find(key);
    if (node == nullptr) return otherwise;
    if (is_plain(*node) && (node->text == "true" || node->text == "True")) return true;
    if (!is_plain(*node) || (node->text != "false" && node->text != "False"))
      complain(*node, fmt::format("'{}' must be true or false", key));
    return false;
  }
  std::string text(const char* key) {
    const Node* node = find(key);
    if (node == nullptr) return {};
    if (node->kind != Node::Kind::scalar) complain(*node, fmt::format("'{}' must be a name", key));
    return node->text;
  }
  /// By layer, whether an entry of a list is the first of those known; empty where there is no such list.
  std::vector<bool> layers(const char* key, std::array<std::string_view, 2> known, std::int64_t count) {
    std::vector<bool> found;
    const Node* node = find(key);
    if (node == nullptr) return found;
    for (const Node& item : node->items) {
      if (std::none_of(known.begin(), known.end(), [&](std::string_view k) { return item.text == k; }))
        complain(item, fmt::format("an entry of '{}' is one of {}", key, fmt::join(known, ", ")));
      found.push_back(item.text == known.front());
    }
    if (static_cast<std::int64_t>(found.size()) == count) return found;
    complain(*node, fmt::format("'{}' must be a list of an entry for each of {} layers", key, count));
    return {};
  }
  /// Numbers of layers.
  std::vector<std::int64_t> numbers(const Node& list, const char* key, std::int64_t count) {
    std::vector<std::int64_t> found;
    if (list.kind != Node::Kind::sequence) complain(list, fmt::format("'{}' must be a list of layers", key));
    for (const Node& item : list.items) {
      std::int64_t value = -1;
      const auto [end, error] = std::from_chars(item.text.data(), item.text.data() + item.text.size(), value);
      if (!is_plain(item) || error != std::errc() || end != item.text.data() + item.text.size() || value < 0 || value >= count)
        complain(item, fmt::format("'{}' lists layers from 0 to {}", key, count - 1));
      found.push_back(value);
    }
    return found;
  }
  /// One of a table's names; what the table does not have is a mistake.
  template <class Value, class Table>
  void choice(const char* key, const Table& table, Value& value) {
    if (find(key) == nullptr) return;
    const std::string name = text(key);
    std::string known;
    for (const auto& [word, meaning] : table) {
      if (name == word) {
        value = meaning;
        return;
      }
      known += (known.empty() ? "" : ", ") + std::string(word);
    }
    complain(*find(key), fmt::format("'{}' cannot be '{}': it is one of {}", key, name, known));
  }
  void complain(const Node& node, std::string message) {
    failure.kind = FailureKind::malformed;
    failure.diagnostics.push_back({"llm/config", std::move(message), document_.location(node), {}, {}, document_.line_text(node.line)});
  }
  void complain(std::string message) { complain(own_, std::move(message)); }
  void complain_of(const char* key, std::string message) {
    const Node* node = find(key);
    complain(node == nullptr ? own_ : *node, std::move(message));
  }
  /// What the file says is good, but cannot be done.
  void refuse(const char* key, std::string message) {
    complain_of(key, std::move(message));
    failure.diagnostics.back().code = "llm/unsupported";
    if (failure.diagnostics.size() == 1) failure.kind = FailureKind::unsupported;
  }
  Failure failure{FailureKind::malformed, {}, {}};

 private:
  static bool is_plain(const Node& node) { return node.kind == Node::Kind::scalar && !node.quoted; }
  const Document& document_;
  const Node& own_;
};

void read_experts(Reader& reader, const Family& family, Config& c) {
  Config::Experts& e = c.experts;
  const auto count = reader.whole(family.experts, !family.latent, 0);
  if (!count || *count == 0) return;
  e.count = *count;
  e.chosen = reader.whole("num_experts_per_tok", true).value_or(1);
  e.ffn = reader.whole(family.expert_ffn, true).value_or(1);
  if (family.shared != nullptr) e.shared_ffn = reader.whole_or(family.shared, family.usual_shared, 0);
  if (family.latent) e.shared_ffn = reader.whole_or("n_shared_experts", family.usual_shared, 0) * e.ffn;
  e.shared_gate = family.shared_gate;
  e.bias = family.expert_bias;
  e.first_dense = reader.whole_or("first_k_dense_replace", family.usual_dense, 0);
  e.step = reader.whole("decoder_sparse_step", false).value_or(reader.whole("moe_layer_freq", false).value_or(1));
  if (const Node* dense = reader.find("mlp_only_layers")) e.dense = reader.numbers(*dense, "mlp_only_layers", c.layers);
  e.normalised = reader.flag("norm_topk_prob", family.normalised);
  if (e.chosen > e.count) reader.complain(fmt::format("a token cannot take {} of {} experts", e.chosen, e.count));
}

void read_latent(Reader& reader, const Family& family, Config& c) {
  c.latent.rank = reader.whole("kv_lora_rank", true).value_or(1);
  c.latent.query_rank = reader.whole_or("q_lora_rank", family.usual_query_rank, 0);
  c.latent.plain = reader.whole("qk_nope_head_dim", true).value_or(1);
  c.latent.turned = reader.whole("qk_rope_head_dim", true).value_or(2);
  c.latent.value = reader.whole("v_head_dim", true).value_or(1);
  c.head_size = c.latent.plain + c.latent.turned;
  c.rotary_size = c.latent.turned;
}

Failure unknown_type(const Document& document, const Node& at, const std::string& type) {
  std::string known;
  for (const Family& f : families()) known += (known.empty() ? "" : ", ") + std::string(f.type);
  Failure failure = fail(FailureKind::unsupported, "llm/unsupported", fmt::format("models of type '{}' cannot be built", type),
                         "types are " + known, document.location(at));
  failure.diagnostics.front().source_line = document.line_text(at.line);
  return failure;
}

void read_heads(Reader& reader, const Family& family, Config& c) {
  const auto usual = [](std::int64_t value) { return value > 0 ? std::optional(value) : std::nullopt; };
  const char* const name = reader.named(family.heads, {"num_attention_heads", "n_head"});
  const auto heads = reader.whole(name, family.usual_heads == 0);
  c.heads = heads ? *heads : std::max<std::int64_t>(1, family.usual_heads);
  const auto one = [&](const char* key, bool otherwise) {
    return reader.flag(key, otherwise) ? std::optional<std::int64_t>(1) : std::nullopt;
  };
  std::optional<std::int64_t> kv = reader.whole("num_key_value_heads", false);
  if (c.type == "falcon")
    kv = reader.flag("new_decoder_architecture", false) ? reader.whole("num_kv_heads", true) : one("multi_query", true);
  if (c.type == "gpt_bigcode") kv = one("multi_query", true);
  c.kv_heads = kv.value_or(c.heads);
  // Where the class has a number of its own that goes together with these heads, a configuration that leaves it out means that.
  if (!kv && reader.is_left_out("num_key_value_heads") && family.usual_kv_heads > 0 && c.heads % family.usual_kv_heads == 0) {
    c.kv_heads = family.usual_kv_heads;
    if (c.kv_heads != c.heads)
      c.notes.push_back(fmt::format("'num_key_value_heads' is left out: {}, as the class of '{}' has it", c.kv_heads, c.type));
  }
  auto head_size = reader.whole("head_dim", false);
  if (!head_size) head_size = usual(family.usual_head_size);
  if (!head_size && !family.latent && c.hidden % c.heads != 0)
    reader.complain_of(name, fmt::format("{} elements cannot be dealt to {} heads evenly, and there is no 'head_dim'", c.hidden, c.heads));
  c.head_size = head_size.value_or(std::max<std::int64_t>(1, c.hidden / c.heads));
  if (!family.latent && c.heads % c.kv_heads != 0)
    reader.complain_of("num_key_value_heads", fmt::format("{} heads cannot share {} key and value heads evenly", c.heads, c.kv_heads));
}

/// Which positions are seen, and how they turn.
void read_positions(Reader& reader, const Family& family, Config& c) {
  if (family.positions != nullptr)
    c.positions =
        reader.whole(reader.named(family.positions, {"max_position_embeddings", "n_positions"}), false).value_or(family.usual_positions) +
        family.more_positions;
  if (c.positions > 0) c.spare_positions = family.more_positions;
  c.rotary = family.rotary;
  c.biased_scores = family.biased_scores;
  c.sinks = family.sinks;
  if (const Node* attention = reader.find("attn_config"); attention != nullptr && c.biased_scores) {
    const Node* biased = attention->find("alibi");
    if (attention->kind != Node::Kind::map)
      reader.complain(*attention, "'attn_config' must be a map");
    else if (biased != nullptr && biased->text != "true" && biased->text != "True")
      reader.refuse("attn_config", "only attention with 'alibi' can be built");
    else if (const Node* shared = attention->find("kv_n_heads");
             shared != nullptr && shared->kind != Node::Kind::null && shared->text != std::to_string(c.heads))
      reader.refuse("attn_config", "heads that share keys and values ('kv_n_heads') cannot be built");
  }
  c.rotary_base = reader.real("rope_theta", reader.real("rotary_emb_base", c.rotary_base));
  const double turned = reader.real("partial_rotary_factor", reader.real("rotary_pct", family.turned));
  if (turned > 1) reader.complain_of("partial_rotary_factor", "no more than all of a head turns");
  c.rotary_size =
      reader.whole("rotary_dim", false).value_or(static_cast<std::int64_t>(static_cast<double>(c.head_size) * std::min(1.0, turned)));
  if (c.rotary_size > c.head_size) reader.complain_of("rotary_dim", "no more than all of a head turns");
  if (reader.flag("use_sliding_window", family.windows)) c.window = reader.whole_or("sliding_window", family.usual_window);
  c.window_every = reader.whole("sliding_window_pattern", false).value_or(family.window_every);
  c.whole_every = family.whole_every;
  c.whole = reader.layers("layer_types", {"full_attention", "sliding_attention"}, c.layers);
  // Of Qwen's layers the first ones look back to the beginning.
  if (c.whole.empty() && c.window > 0 && (c.type == "qwen2" || c.type == "qwen3"))
    for (std::int64_t l = 0, first = reader.whole("max_window_layers", false, 0).value_or(28); l < c.layers; ++l)
      c.whole.push_back(l < first);
  if (c.type == "smollm3") {
    c.still = reader.layers("no_rope_layers", {"0", "1"}, c.layers);
    const std::int64_t every = reader.whole("no_rope_layer_interval", false).value_or(4);
    for (std::int64_t l = 0; reader.find("no_rope_layers") == nullptr && l < c.layers; ++l) c.still.push_back((l + 1) % every == 0);
  }
  if (c.type == "cohere2")
    for (std::int64_t l = 0; l < c.layers; ++l) c.still.push_back(c.window_of(l) == 0);
  if (c.type == "falcon" && reader.flag("alibi", false)) reader.refuse("alibi", "positions as biases of scores cannot be built");
}

void read_norms(Reader& reader, const Family& family, Config& c) {
  c.layer_norm = family.layer_norm;
  c.norm_scale = family.norm_scale;
  c.norm_bias = family.layer_norm && family.norm_bias;
  c.first_norm = family.first_norm;
  c.norms = family.norms;
  c.parallel = family.parallel;
  c.two_norms = family.two_norms;
  if (c.type == "gpt_neox" || c.type == "stablelm") c.parallel = reader.flag("use_parallel_residual", family.parallel);
  if (c.type == "falcon") {
    const bool newer = reader.flag("new_decoder_architecture", false);
    c.parallel = newer || reader.flag("parallel_attn", true);
    c.two_norms = newer && reader.whole("num_ln_in_parallel_attn", false).value_or(2) == 2;
  }
  if (c.type == "opt") {
    if (!reader.flag("do_layer_norm_before", true))
      reader.refuse("do_layer_norm_before", "normalisation behind each branch cannot be built");
    if (reader.whole("word_embed_proj_dim", false).value_or(c.hidden) != c.hidden)
      reader.refuse("word_embed_proj_dim", "embeddings of another width than the layers cannot be built");
  }
  c.query_norm = family.query_norm;
  c.wide_query_norm = family.wide_query_norm;
  for (const char* key : {"use_qk_norm", "qk_layernorm"})
    if (reader.flag(key, false) && !c.query_norm) reader.refuse(key, "queries and keys that are normalised on demand cannot be built");
  for (const char* key : {"rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon"}) c.epsilon = reader.real(key, c.epsilon);
}

void read_biases(Reader& reader, const Family& family, Config& c) {
  const bool said = family.says_bias != nullptr || family.says_no_bias != nullptr;
  const bool all = family.says_bias != nullptr ? reader.flag(family.says_bias, family.bias)
                                               : family.says_no_bias != nullptr && !reader.flag(family.says_no_bias, true);
  if (family.says_no_bias != nullptr) c.norm_bias = all;
  c.attention_bias = reader.flag("attention_bias", reader.flag("use_qkv_bias", said ? all : family.attention_bias));
  // LLaMA's key is for the projection behind attention, too.
  c.output_bias = said ? all : family.output_bias || (c.attention_bias && !family.attention_bias && !family.latent && c.type != "stablelm");
  c.bias = reader.flag("mlp_bias", said ? all : family.bias);
  c.head_bias = family.head_bias;
}

Result<Config> config_of(const Document& document, const std::string&) {
  if (document.root.kind != Node::Kind::map) {
    Reader reader(document, document.root);
    reader.complain("a configuration is a map");
    return reader.failure;
  }
  // A model that sees or hears has its sizes in parts: that of texts is what can be built.
  const Node* part = document.root.find("text_config");
  const bool in_parts = part != nullptr && part->kind == Node::Kind::map && document.root.find("num_hidden_layers") == nullptr;
  Reader reader(document, in_parts ? *part : document.root);
  Config c;
  c.type = reader.text("model_type");
  if (c.type.empty()) {
    if (reader.find("model_type") == nullptr) reader.complain_of("model_type", "the configuration has no 'model_type'");
    return reader.failure;
  }
  const Family* family = family_of(c.type);
  if (family == nullptr) return unknown_type(document, *reader.find("model_type"), c.type);
  const Node* all = document.root.find("model_type");
  if (in_parts || c.type.find("_vl") != std::string::npos)
    c.notes.push_back(fmt::format("of a model of type '{}' what reads and writes text", in_parts && all != nullptr ? all->text : c.type));
  c.type = family->type;
  if (family->not_as_there != nullptr) c.notes.emplace_back(family->not_as_there);
  reader.choice("torch_dtype", kTypes, c.format);
  if (reader.find("torch_dtype") == nullptr) reader.choice("dtype", kTypes, c.format);
  c.layers = reader.whole(reader.named(family->layers, {"num_hidden_layers", "n_layer"}), true, 1, kMostLayers).value_or(1);
  c.hidden = reader.whole(reader.named(family->hidden, {"hidden_size", "n_embed", "n_embd"}), true).value_or(1);
  c.vocabulary = reader.whole("vocab_size", family->usual_vocabulary == 0).value_or(std::max<std::int64_t>(1, family->usual_vocabulary));
  read_heads(reader, *family, c);
  const std::string_view width = family->ffn;  // left out where it is four times the model's
  const std::int64_t times = reader.whole("expansion_ratio", false, 1, 1024).value_or(4);
  c.ffn = reader.whole(family->ffn, width != "n_inner" && width != "ffn_hidden_size").value_or(times * c.hidden);
  c.encoder = family->encoder;
  if (c.encoder) c.kinds = reader.whole_or("type_vocab_size", family->usual_kinds, 0);
  c.gated = family->gated;
  read_norms(reader, *family, c);
  read_biases(reader, *family, c);
  read_positions(reader, *family, c);
  c.tied = reader.flag("tie_word_embeddings", family->tied);
  c.activation = family->activation;
  for (const char* key : {"hidden_act", "activation_function", "hidden_activation", "activation"})
    reader.choice(key, kActivations, c.activation);
  const auto cap = [&](const char* key, double usual) { return reader.real(key, reader.is_left_out(key) ? usual : 0); };
  c.score_cap = cap("attn_logit_softcapping", family->usual_score_cap);
  c.logit_cap = cap("final_logit_softcapping", family->usual_logit_cap);
  if (family->latent) read_latent(reader, *family, c);
  if (family->experts != nullptr) read_experts(reader, *family, c);
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
  if (c.usable_positions() > 0 && s.context > c.usable_positions())
    complain(fmt::format("'{}' has {} positions, fewer than the {} of this step", c.type, c.usable_positions(), s.context),
             fmt::format("{} with at most {}", s.tokens > 1 ? "--prompt" : "--context-length", c.usable_positions()));
  deal(c.heads, "heads");
  if (c.wide_query_norm && s.parallel > 1)
    complain(fmt::format("'{}' normalises queries and keys over all heads, which devices that share heads would have to exchange", c.type),
             "leave --tensor-parallel out");
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
