// What a model takes in memory, counted from its configuration.
#include <algorithm>

#include "model/llm/llm.h"
#include "numerics/packing.h"

namespace switchyard::model::llm {
namespace {

/// Elements of the matrices that layers multiply by, dealt to devices or not, and of all else.
struct Count {
  double dealt = 0, whole = 0, rest = 0;
};

Count count(const Config& c) {
  const auto d = [](std::int64_t n) { return static_cast<double>(n); };
  Count n;
  const double hidden = d(c.hidden), heads = d(c.heads), norm = hidden * ((c.norm_scale ? 1 : 0) + (c.norm_bias ? 1 : 0));
  const double networks = c.gated ? 3 : 2;
  for (std::int64_t l = 0; l < c.layers; ++l) {
    if (c.latent.rank > 0) {
      const double queries = heads * d(c.latent.plain + c.latent.turned);
      const double rank = d(c.latent.query_rank);
      n.whole += hidden * d(c.latent.rank + c.latent.turned) + hidden * rank;
      n.dealt += (rank > 0 ? rank : hidden) * queries + d(c.latent.rank) * heads * d(c.latent.plain + c.latent.value) +
                 heads * d(c.latent.value) * hidden;
      n.rest += d(c.latent.rank) + rank;
    } else {
      const double q = heads * d(c.head_size), kv = 2 * d(c.kv_heads) * d(c.head_size);
      n.dealt += hidden * (2 * q + kv);
      if (c.attention_bias) n.rest += q + kv;
      if (c.query_norm) n.rest += 2 * d(c.head_size);
      if (c.wide_query_norm) n.rest += q + kv / 2;
    }
    if (c.output_bias) n.rest += hidden;
    if (c.sinks) n.rest += heads;
    n.rest += norm * (c.parallel && !c.two_norms ? 1 : c.norms == Norms::around ? 4 : 2);
    if (c.has_experts(l)) {
      n.dealt += networks * hidden * (d(c.experts.count) * d(c.experts.ffn) + d(c.experts.shared_ffn));
      n.rest += hidden * (d(c.experts.count) + (c.experts.shared_gate ? 1 : 0));
      if (c.experts.bias) n.rest += d(c.experts.count) * (1 + (networks - 1) * d(c.experts.ffn) + hidden);
      if (c.type == "deepseek_v3") n.rest += d(c.experts.count);  // what its router adds to scores before it chooses
    } else {
      n.dealt += networks * hidden * d(c.ffn);
      if (c.bias) n.rest += d(c.ffn) * (networks - 1) + hidden;
    }
  }
  n.rest += norm * (c.first_norm ? 2 : 1) + d(c.positions + c.kinds) * hidden + (c.head_bias ? d(c.vocabulary) : 0);
  return n;
}

}  // namespace

double parameters(const Config& c) {
  const Count n = count(c);
  const double table = static_cast<double>(c.vocabulary) * static_cast<double>(c.hidden);
  return n.dealt + n.whole + n.rest + table * (c.tied || c.encoder ? 1 : 2);
}

Memory memory(const Config& c, const Step& s, numerics::Format precision) {
  const auto d = [](std::int64_t n) { return static_cast<double>(n); };
  const Count n = count(c);
  const double wide = numerics::stored_size(precision), matrix = s.weights ? numerics::stored_size(*s.weights) : wide,
               devices = d(s.parallel);
  const double table = d(c.vocabulary) * d(c.hidden) / devices;
  Memory m;
  // The last projection is the table itself where the two are tied; narrow weights need one of their own.
  const double head = c.encoder ? 0 : c.tied && !s.weights ? 0 : table * matrix;
  m.weights = (n.dealt / devices + n.whole) * matrix + n.rest * wide + table * wide + head;
  if (!c.encoder) {
    for (std::int64_t l = 0; l < c.layers; ++l) {
      const std::int64_t window = c.window_of(l);
      const std::int64_t length = window > 0 ? std::min(s.context, window + s.tokens - 1) : s.context;
      const std::int64_t kv_heads = std::max<std::int64_t>(1, c.kv_heads / s.parallel);
      const double row = c.latent.rank > 0 ? d(c.latent.rank + c.latent.turned) : 2 * d(kv_heads) * d(c.head_size);
      m.cache += d(s.batch) * d(length) * row * wide;
    }
  }
  // The stream beside the widest that a branch holds at once.
  const double tokens = d(s.batch) * d(s.tokens);
  double widest = 3 * d(c.heads) * d(c.head_size) / devices;
  widest = std::max(widest, 2 * d(c.experts.count > 0 ? std::max(c.experts.chosen * c.experts.ffn, c.ffn) : c.ffn) / devices);
  m.activations = tokens * (2 * d(c.hidden) + widest) * wide + d(s.batch) * d(c.vocabulary) / devices * wide;
  return m;
}

}  // namespace switchyard::model::llm
