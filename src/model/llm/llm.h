// Language models from their configurations: a Hugging Face config.json becomes the graph of one prefill or of one decode step.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "support/result.h"

namespace switchyard::model::llm {

enum class Activation : std::uint8_t { silu, gelu, gelu_tanh, relu };

/// Where a layer normalises: what its branches read; what they give, too; the sum after them; or only what they give.
enum class Norms : std::uint8_t { before, around, after, results };

/// What a transformer is made of. Sizes are as the configuration gives them, or as its family leaves them.
struct Config {
  std::string type;                                  ///< model_type: "llama", "qwen3", "gpt2" ...
  numerics::Format format = numerics::Format::bf16;  ///< torch_dtype
  std::int64_t layers = 0, hidden = 0, heads = 0, kv_heads = 0, head_size = 0, ffn = 0, vocabulary = 0;
  std::int64_t positions = 0;        ///< of a learned table of them; 0: none
  std::int64_t spare_positions = 0;  ///< of its rows, those that stand for none
  bool encoder = false;              ///< every position sees all others, and there is no cache
  bool layer_norm = false;           ///< with mean; else root mean square alone
  bool norm_scale = true;            ///< a norm multiplies by a weight for each element ...
  bool norm_bias = false;            ///< ... and adds one
  Norms norms = Norms::before;
  bool parallel = false;         ///< attention and feed-forward network read the same and are added together
  bool two_norms = false;        ///< each of the two has a norm of its own, though
  bool gated = true;             ///< the feed-forward network multiplies two projections
  bool attention_bias = false;   ///< of the projections to queries, keys and values
  bool output_bias = false;      ///< of the projection behind attention
  bool bias = false;             ///< of those in feed-forward networks
  bool head_bias = false;        ///< of the last projection
  bool query_norm = false;       ///< queries and keys are normalised: per head ...
  bool wide_query_norm = false;  ///< ... or over all heads together
  bool rotary = true;            ///< positions turn queries and keys; else they are added to words
  bool biased_scores = false;    ///< nor are they added: scores have a bias that grows with the distance (ALiBi)
  bool first_norm = false;       ///< the words are normalised before the first layer
  bool tied = false;             ///< the last projection is the table of words
  Activation activation = Activation::silu;
  double rotary_base = 10000, epsilon = 1e-5;
  std::int64_t rotary_size = 0;         ///< elements of a head that turn
  std::int64_t window = 0;              ///< positions that attention looks back; 0: all
  std::int64_t window_every = 1;        ///< of so many layers ...
  std::int64_t whole_every = 0;         ///< ... so many at the end look back to the beginning
  std::vector<bool> whole;              ///< by layer, where a list says so: it looks back to the beginning
  std::vector<bool> still;              ///< by layer, where there are such: positions turn nothing
  double score_cap = 0, logit_cap = 0;  ///< c tanh(x / c); 0: none
  bool sinks = false;                   ///< each head has a score that stands for no position
  std::int64_t kinds = 0;               ///< of words in a table that is added to them (segments of a text)
  std::vector<std::string> notes;       ///< what is not as in the trained model

  /// Feed-forward networks of which each token takes some (mixture of experts).
  struct Experts {
    std::int64_t count = 0, chosen = 0, ffn = 0;
    std::int64_t shared_ffn = 0;      ///< of the network that all tokens take beside; 0: none
    bool shared_gate = false;         ///< it is weighed by a gate of its own
    bool bias = false;                ///< of their projections and of the router
    std::int64_t first_dense = 0;     ///< layers at the beginning that have a plain network
    std::int64_t step = 1;            ///< from there every so many layers have experts
    bool normalised = true;           ///< the weights of those chosen sum to one
    std::vector<std::int64_t> dense;  ///< further layers without
  } experts;
  /// Attention over a compressed cache (multi-head latent attention).
  struct Latent {
    std::int64_t rank = 0;                          ///< of what stands for keys and values in the cache; 0: plain attention
    std::int64_t query_rank = 0;                    ///< 0: queries are not compressed
    std::int64_t plain = 0, turned = 0, value = 0;  ///< elements of a head's keys without and with position, and of its values
  } latent;

  [[nodiscard]] bool has_experts(std::int64_t layer) const {
    return experts.count > 0 && layer >= experts.first_dense && (layer - experts.first_dense) % experts.step == experts.step - 1 &&
           std::find(experts.dense.begin(), experts.dense.end(), layer) == experts.dense.end();
  }
  [[nodiscard]] std::int64_t window_of(std::int64_t layer) const {
    const bool all = whole.empty() ? layer % window_every >= window_every - whole_every : whole[static_cast<std::size_t>(layer)];
    return all ? 0 : window;
  }
  /// That a learned table has; 0: there is none.
  [[nodiscard]] std::int64_t usable_positions() const { return positions - spare_positions; }
  [[nodiscard]] bool turns(std::int64_t layer) const { return rotary && (still.empty() || !still[static_cast<std::size_t>(layer)]); }
};

/// Reads a configuration. Failures: those of a document, llm/config (malformed: a key is missing, or sizes do not go together),
/// llm/unsupported (unsupported: a family that cannot be built).
Result<Config> read_config(const std::string& path);
/// The same of the text of one; `path` is its name in diagnostics.
Result<Config> parse_config(std::string text, const std::string& path);

struct Step {
  std::int64_t batch = 1;
  std::int64_t tokens = 1;   ///< of each sequence in this step
  std::int64_t context = 1;  ///< positions that attention sees, the step's own among them
  std::optional<numerics::Format>
      weights;                ///< of the matrices that layers multiply by, which stay in it until they are used; none: as all else
  std::int64_t parallel = 1;  ///< devices that share heads and widths (tensor parallel): the graph is of one of them
};

/// Does a step go together with a model: heads and widths are dealt evenly, encoders do not decode? Failure: llm/step (malformed).
Status check_step(const Config& config, const Step& step);

/// After these operators the devices of a tensor-parallel step exchange what each has a part of.
struct Exchange {
  std::string op;             ///< of the graph
  bool reduces = true;        ///< sums over all devices; else parts are gathered
  std::int64_t elements = 0;  ///< of the whole
};
struct Built {
  graph::Graph graph;
  std::vector<Exchange> exchanges;
  std::vector<std::string> notes;  ///< what stands for something that depends on data
};

/// One step: hidden states of the words in, logits of the last position out (of an encoder: its last hidden states). The words are inputs
/// that stand for rows of the table. The cache of a layer, [2, batch, kv heads, context, head size] or [batch, context, rank + turned], is
/// an input which holds the step's own rows already; these rows are outputs, too. Which experts a token takes depends on data: they are
/// taken in turn, as balanced routing would. Laws: check_step().
Built build(const Config& config, const Step& step, std::uint64_t seed);

/// Bytes that one device must hold, with all experts and the table of words.
struct Memory {
  double weights = 0, cache = 0, activations = 0;
  [[nodiscard]] double total() const { return weights + cache + activations; }
};
Memory memory(const Config& config, const Step& step, numerics::Format precision);
/// Parameters of the whole model, the table of words among them.
double parameters(const Config& config);

}  // namespace switchyard::model::llm
