// Features of classical models: counts of n-grams, thresholds, picked columns.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "model/onnx/operators.h"
#include "model/onnx/steps.h"

namespace switchyard::model::onnx {
namespace {

/// The n-grams of one length: [count, length], and where each is counted.
struct Grams {
  std::int64_t length = 1;
  std::vector<double> words, places, weights;
};

/// How often each n-gram of a pool stands in a row, words of it up to `max_skip_count` apart: every one compared at every place.
void tfidf(NodeBuilder& b) {
  const Shape x = b.shape(0);
  const std::string mode = b.string_attribute("mode", "");
  const std::int64_t least = b.int_attribute("min_gram_length", 1), most = b.int_attribute("max_gram_length", 1),
                     skips = b.int_attribute("max_skip_count", 0);
  const auto counts = b.ints_attribute("ngram_counts"), indexes = b.ints_attribute("ngram_indexes"), pool = b.ints_attribute("pool_int64s");
  if (b.failed()) return;
  if (!pool || !counts || !indexes) return b.unsupported("onnx/unsupported-feature", "a pool of strings");
  if (mode != "TF" && mode != "IDF" && mode != "TFIDF") return b.malformed("onnx/attribute", fmt::format("mode {} is unknown", mode));
  if (numerics::format_info(b.format(0)).floating || x.empty() || x.size() > 2)
    return b.malformed("onnx/shape", fmt::format("{} holds no rows of words", print_shape(x)));
  if (least < 1 || most < least || skips < 0 || most > 64 || skips > kMaxKnown || pool->size() > 1 << 16 || x.back() > kMaxKnown)
    return b.unsupported("onnx/unsupported-feature", "n-grams beyond measure");
  std::vector<double> weights;
  if (const Attribute* a = b.attribute("weights")) weights = a->floats;
  std::vector<Grams> all;
  std::int64_t columns = 0, gram = 0;
  for (std::size_t n = 0; n < counts->size(); ++n) {
    const std::int64_t begin = (*counts)[n], end = n + 1 < counts->size() ? (*counts)[n + 1] : static_cast<std::int64_t>(pool->size());
    const auto length = static_cast<std::int64_t>(n) + 1;
    if (begin < 0 || end < begin || end > static_cast<std::int64_t>(pool->size()) || (end - begin) % length != 0)
      return b.malformed("onnx/attribute", "ngram_counts do not fit the pool");
    Grams grams{length, {}, {}, {}};
    for (std::int64_t k = begin; k < end; k += length, ++gram) {
      const auto g = static_cast<std::size_t>(gram);
      if (g >= indexes->size() || (*indexes)[g] < 0 || (*indexes)[g] > (1 << 20))
        return b.malformed("onnx/attribute", "ngram_indexes do not fit the pool");
      columns = std::max(columns, (*indexes)[g] + 1);
      if (length < least || length > most) continue;
      for (std::int64_t w = 0; w < length; ++w) grams.words.push_back(static_cast<double>((*pool)[static_cast<std::size_t>(k + w)]));
      grams.places.push_back(static_cast<double>((*indexes)[g]));
      grams.weights.push_back(g < weights.size() ? weights[g] : 1.0);
    }
    if (!grams.places.empty()) all.push_back(std::move(grams));
  }
  if (all.empty() || columns == 0) return b.malformed("onnx/attribute", "the pool is empty");
  Steps s(b);
  const double nowhere = static_cast<double>(*std::min_element(pool->begin(), pool->end())) - 1;  // no word: what lies beyond a row
  const bool batched = x.size() == 2;
  const std::int64_t rows = batched ? x[0] : 1, words = x.back();
  const TensorId text = s.reshape(b.operand(0), {rows, words}), column = s.iota(Format::int64, columns);
  TensorId y;
  for (const Grams& grams : all) {
    const auto n = static_cast<std::int64_t>(grams.places.size());
    const TensorId pattern = s.constant(b.format(0), {n, grams.length}, grams.words);
    // Loops: row, n-gram; place of its first word, skip between words.
    std::vector<NestRead> reads;
    std::optional<Expression> found;
    for (std::int64_t k = 0; k < grams.length; ++k) {
      reads.push_back({text, {loop(0), loop(2) + loop(3, k) + at(k)}, nowhere});
      reads.push_back({pattern, {loop(1), at(k)}});
      const int first = static_cast<int>(reads.size()) - 2;
      const Expression here = equal(input(first), input(first + 1));
      found = found ? both(*found, here) : here;
    }
    const TensorId count = s.nest(Format::fp32, {rows, n}, {words, grams.length == 1 ? 1 : skips + 1}, reads, *found, Combiner::add);
    const Expression value = mode == "TF" ? x0() : mode == "IDF" ? select(x0() > number(0), input(3), number(0)) : x0() * input(3);
    const TensorId part = s.nest(Format::fp32, {rows, columns}, {n},
                                 {{count, {loop(0), loop(2)}},
                                  {s.constant(Format::int64, {n}, grams.places), {loop(2)}},
                                  {column, {loop(1)}},
                                  {s.constant(Format::fp32, {n}, grams.weights), {loop(2)}}},
                                 select(equal(input(1), input(2)), value, number(0)), Combiner::add);
    y = y.valid() ? s.map({y, part}, x0() + input(1)) : part;
  }
  b.set_result(0, batched ? y : s.reshape(y, {columns}));
}

void binarizer(NodeBuilder& b) {
  const double threshold = b.float_attribute("threshold", 0);
  if (b.failed()) return;
  Steps s(b);
  b.set_result(0, s.map({b.operand(0)}, x0() > number(threshold), b.format(0)));
}

/// Columns of the last dimension by index.
void array_feature_extractor(NodeBuilder& b) {
  const Shape x = b.shape(0);
  if (x.empty() || b.format(1) != Format::int64) return b.malformed("onnx/type", "columns are picked by INT64 from at least one dimension");
  if (x.back() > kMaxKnown)
    return b.unsupported("onnx/dynamic-index", fmt::format("indices known only when the model runs, into {} elements", x.back()));
  Steps s(b);
  const std::int64_t n = numerics::element_count(b.shape(1));
  const TensorId indices = s.reshape(b.operand(1), {n}), position = s.iota(Format::int64, x.back());
  Shape to = x;
  if (to.size() == 1) to.insert(to.begin(), 1);
  to.back() = n;
  std::vector<Affine> from;
  for (std::size_t d = to.size() - x.size(); d + 1 < to.size(); ++d) from.push_back(loop(static_cast<int>(d)));
  const Affine r = loop(static_cast<int>(to.size()));
  from.push_back(r);
  b.set_result(
      0, s.nest(b.format(0), to, {x.back()}, {{b.operand(0), from}, {indices, {loop(static_cast<int>(to.size()) - 1)}}, {position, {r}}},
                select(equal(input(1), input(2)), x0(), number(0)), Combiner::add));
}

constexpr std::array kOperators{
    Operator{"ArrayFeatureExtractor", 1, 2, 2, "", array_feature_extractor},
    Operator{"Binarizer", 1, 1, 1, "threshold", binarizer},
    Operator{"TfIdfVectorizer", 9, 1, 1,
             "max_gram_length max_skip_count min_gram_length mode ngram_counts ngram_indexes pool_int64s pool_strings weights", tfidf},
};

}  // namespace

std::span<const Operator> feature_operators() { return kOperators; }

}  // namespace switchyard::model::onnx
