// Vision transformers: ViT-B/16 (Dosovitskiy et al. 2020) and Swin-T (Liu et al. 2021), both as in torchvision, for inference.
// Weights are seeded, not trained; the branches are scaled down, so that the residual stream grows slowly.
#include <fmt/format.h>

#include <array>
#include <cmath>

#include "model/zoo/builders.h"
#include "model/zoo/layers.h"

namespace switchyard::model::zoo_models {

using graph::Graph;
using graph::TensorId;
using numerics::Affine;
using numerics::affine_constant;
using numerics::affine_variable;
using numerics::Format;
using numerics::Shape;

namespace {

constexpr double kBranchGain = 0.25;
constexpr std::int64_t kImage = 224, kClasses = 1000;

/// Query, key and value from one projection [batch, seq, 3 hidden], heads apart: part 0, 1 or 2.
TensorId part_of(Graph& graph, Layers& layers, const std::string& name, TensorId all, int part, std::int64_t heads) {
  const std::int64_t hidden = graph.tensor(all).shape[2] / 3;
  return layers.split_heads(name, layers.slice(name, all, 2, part * hidden, hidden), heads);
}

TensorId feed_forward(Layers& layers, const std::string& name, TensorId x, std::int64_t inner, std::int64_t hidden) {
  return layers.dense(name + ".3", layers.gelu(name + ".1", layers.dense(name + ".0", x, inner)), hidden, kBranchGain);
}

// ------------------------------------------------------------------------------------------------------------------ Swin

constexpr std::int64_t kWindow = 7;
constexpr double kMasked = -100;

class Swin {
 public:
  Swin(Graph& graph, std::int64_t batch, std::uint64_t seed) : graph_(graph), layers_(graph, seed), batch_(batch) {}

  /// x [batch, side, side, hidden]; odd blocks attend in windows moved by half of one.
  TensorId block(const std::string& name, TensorId x, std::int64_t heads, bool shifted) {
    const std::int64_t side = graph_.tensor(x).shape[1], hidden = graph_.tensor(x).shape[3];
    const std::int64_t shift = shifted && side > kWindow ? kWindow / 2 : 0;
    TensorId y = layers_.layer_norm(name + ".norm1", x, kEpsilon);
    if (shift > 0) y = rolled(name + ".attn.roll", y, shift);
    y = windows_of(name + ".attn.windows", y);
    y = attend(name + ".attn", y, heads, shift > 0 ? mask(name + ".attn.mask", side, shift) : TensorId());
    y = image_of(name + ".attn.image", y, side, hidden);
    if (shift > 0) y = rolled(name + ".attn.roll_back", y, side - shift);
    x = layers_.add(name + ".add1", x, y);
    return layers_.add(name + ".add2", x,
                       feed_forward(layers_, name + ".mlp", layers_.layer_norm(name + ".norm2", x, kEpsilon), 4 * hidden, hidden));
  }

  /// Four neighbours become one position with twice the channels.
  TensorId merge(const std::string& name, TensorId x) {
    const Shape shape = graph_.tensor(x).shape;
    const std::int64_t half = shape[1] / 2, hidden = shape[3];
    std::vector<TensorId> parts;
    for (const auto& [row, column] : {std::pair{0, 0}, {1, 0}, {0, 1}, {1, 1}}) {
      const std::vector<Affine> index{affine_variable(0), affine_variable(1, 2) + affine_constant(row),
                                      affine_variable(2, 2) + affine_constant(column), affine_variable(3)};
      parts.push_back(
          emit_copy(graph_, Layers::label(fmt::format("{}.{}{}", name, row, column), "Slice"), x, {batch_, half, half, hidden}, index));
    }
    x = layers_.layer_norm(name + ".norm", emit_concat(graph_, Layers::label(name + ".concat", "Concat"), parts, 3), kEpsilon);
    return layers_.linear(name + ".reduction", x, 2 * hidden);
  }

  Layers& layers() { return layers_; }
  static constexpr double kEpsilon = 1e-5;

 private:
  /// Position i of the result is position (i + by) modulo the side, along both dimensions.
  TensorId rolled(const std::string& name, TensorId x, std::int64_t by) {
    for (const int d : {1, 2}) {
      const std::int64_t side = graph_.tensor(x).shape[static_cast<std::size_t>(d)];
      const std::string at = fmt::format("{}{}", name, d);
      const std::array parts{layers_.slice(at + "a", x, d, by, side - by), layers_.slice(at + "b", x, d, 0, by)};
      x = emit_concat(graph_, Layers::label(at, "Concat"), parts, d);
    }
    return x;
  }

  /// [batch, side, side, hidden] -> [batch * windows, window^2, hidden]
  TensorId windows_of(const std::string& name, TensorId x) {
    const Shape shape = graph_.tensor(x).shape;
    const std::int64_t across = shape[1] / kWindow;
    constexpr std::array kOrder{0, 1, 3, 2, 4, 5};
    x = layers_.reshape(name + ":apart", x, {batch_, across, kWindow, across, kWindow, shape[3]});
    return layers_.reshape(name, layers_.transpose(name + ":transpose", x, kOrder),
                           {batch_ * across * across, kWindow * kWindow, shape[3]});
  }
  /// ... and back.
  TensorId image_of(const std::string& name, TensorId x, std::int64_t side, std::int64_t hidden) {
    const std::int64_t across = side / kWindow;
    constexpr std::array kOrder{0, 1, 3, 2, 4, 5};
    x = layers_.reshape(name + ":apart", x, {batch_, across, across, kWindow, kWindow, hidden});
    return layers_.reshape(name, layers_.transpose(name + ":transpose", x, kOrder), {batch_, side, side, hidden});
  }

  TensorId attend(const std::string& name, TensorId x, std::int64_t heads, TensorId mask) {
    const Shape shape = graph_.tensor(x).shape;
    const TensorId all = layers_.dense(name + ".qkv", x, 3 * shape[2]);
    TensorId bias = relative_bias(name + ".relative_position_bias", heads);
    if (mask.valid()) {
      // [windows, 1, n, n] + [heads, n, n]; a batch repeats it.
      bias = layers_.add(name + ".bias", mask, bias);
      const Shape one = graph_.tensor(bias).shape;
      if (batch_ > 1) {
        const std::array inputs{MapInput::of(bias)};
        bias = emit_map(graph_, Layers::label(name + ".bias:batch", "Expand"), inputs, numerics::expr_input(0), Format::fp32,
                        {batch_, one[0], one[1], one[2], one[3]});
        bias = layers_.reshape(name + ".bias:flat", bias, {batch_ * one[0], one[1], one[2], one[3]});
      }
    }
    const TensorId q = part_of(graph_, layers_, name + ".q", all, 0, heads), k = part_of(graph_, layers_, name + ".k", all, 1, heads);
    const TensorId v = part_of(graph_, layers_, name + ".v", all, 2, heads);
    return layers_.dense(name + ".proj", layers_.merge_heads(name + ".context", layers_.attention(name + ".", q, k, v, bias)), shape[2],
                         kBranchGain);
  }

  /// Of positions (a, b) and (c, d) of a window: row 13 (a - c + 6) + (b - d + 6) of the table.
  TensorId relative_bias(const std::string& name, std::int64_t heads) {
    constexpr std::int64_t kReach = 2 * kWindow - 1;
    const TensorId table = layers_.weight(name + "_table", {kReach * kReach, heads}, 0.5);
    const Affine row = affine_variable(1, kReach) + affine_variable(2) + affine_variable(3, -kReach) + affine_variable(4, -1) +
                       affine_constant((kWindow - 1) * (kReach + 1));
    const TensorId apart =
        emit_copy(graph_, Layers::label(name, "Gather"), table, {heads, kWindow, kWindow, kWindow, kWindow}, {row, affine_variable(0)});
    return layers_.reshape(name + ":flat", apart, {heads, kWindow * kWindow, kWindow * kWindow});
  }

  /// [windows, 1, n, n]: positions that were not neighbours before the roll do not see each other.
  TensorId mask(const std::string& name, std::int64_t side, std::int64_t shift) {
    const std::int64_t across = side / kWindow;
    constexpr std::int64_t n = kWindow * kWindow;
    return layers_.table(name, {across * across, 1, n, n}, [=](std::int64_t flat) {
      const std::int64_t window = flat / (n * n), from = flat / n % n, to = flat % n;
      const auto region = [&](std::int64_t at) {
        const auto band = [&](std::int64_t i) { return i < side - kWindow ? 0 : i < side - shift ? 1 : 2; };
        return 3 * band(window / across * kWindow + at / kWindow) + band(window % across * kWindow + at % kWindow);
      };
      return region(from) == region(to) ? 0.0 : kMasked;
    });
  }

  Graph& graph_;
  Layers layers_;
  std::int64_t batch_;
};

}  // namespace

Graph vit_b16(std::int64_t batch, std::int64_t layer_count, std::uint64_t seed) {
  constexpr std::int64_t kPatch = 16, kHidden = 768, kHeads = 12, kInner = 3072;
  constexpr std::int64_t kPatches = (kImage / kPatch) * (kImage / kPatch), kSeq = kPatches + 1;
  constexpr double kEpsilon = 1e-6;
  constexpr std::array kSwap{0, 2, 1};
  Graph graph;
  graph.name = "vit-b16";
  Layers layers(graph, seed);
  TensorId x = add_input(graph, "input", Format::fp32, {batch, 3, kImage, kImage});
  x = layers.convolution("conv_proj", x, {kHidden, kPatch, kPatch, 0, 1, true});
  x = layers.transpose("patches", layers.reshape("patches:flat", x, {batch, kHidden, kPatches}), kSwap);
  const std::array token{MapInput::of(layers.weight("class_token", {1, 1, kHidden}, 1))};
  const TensorId first =
      emit_map(graph, Layers::label("class_token:batch", "Expand"), token, numerics::expr_input(0), Format::fp32, {batch, 1, kHidden});
  const std::array both{first, x};
  x = emit_concat(graph, Layers::label("sequence", "Concat"), both, 1);
  x = layers.add("encoder.pos_add", x, layers.weight("encoder.pos_embedding", {1, kSeq, kHidden}, 0.5));
  for (std::int64_t l = 0; l < layer_count; ++l) {
    const std::string name = fmt::format("encoder.layers.encoder_layer_{}", l), self = name + ".self_attention.";
    const TensorId all = layers.dense(self + "in_proj", layers.layer_norm(name + ".ln_1", x, kEpsilon), 3 * kHidden);
    const TensorId q = part_of(graph, layers, self + "q", all, 0, kHeads), k = part_of(graph, layers, self + "k", all, 1, kHeads);
    const TensorId v = part_of(graph, layers, self + "v", all, 2, kHeads);
    const TensorId context = layers.merge_heads(self + "merged", layers.attention(self, q, k, v, {}));
    x = layers.add(name + ".add_1", x, layers.dense(self + "out_proj", context, kHidden, kBranchGain));
    x = layers.add(name + ".add_2", x,
                   feed_forward(layers, name + ".mlp", layers.layer_norm(name + ".ln_2", x, kEpsilon), kInner, kHidden));
  }
  x = layers.layer_norm("encoder.ln", x, kEpsilon);
  x = layers.reshape("class", layers.slice("class:slice", x, 1, 0, 1), {batch, kHidden});
  graph.outputs = {layers.dense("heads.head", x, kClasses)};
  graph.tensor(graph.outputs[0]).name = "output";
  return graph;
}

Graph swin_t(std::int64_t batch, std::uint64_t seed) {
  constexpr std::int64_t kPatch = 4, kWidth = 96;
  constexpr std::array<std::int64_t, 4> kDepths{2, 2, 6, 2}, kHeads{3, 6, 12, 24};
  constexpr std::array kLast{0, 2, 3, 1};
  Graph graph;
  graph.name = "swin-t";
  Swin build(graph, batch, seed);
  Layers& layers = build.layers();
  TensorId x = add_input(graph, "input", Format::fp32, {batch, 3, kImage, kImage});
  x = layers.transpose("features.0.1", layers.convolution("features.0.0", x, {kWidth, kPatch, kPatch, 0, 1, true}), kLast);
  x = layers.layer_norm("features.0.2", x, Swin::kEpsilon);
  int at = 1;
  for (std::size_t stage = 0; stage < kDepths.size(); ++stage, ++at) {
    if (stage > 0) x = build.merge(fmt::format("features.{}", at++), x);
    for (std::int64_t l = 0; l < kDepths[stage]; ++l) x = build.block(fmt::format("features.{}.{}", at, l), x, kHeads[stage], l % 2 == 1);
  }
  constexpr std::array kFirst{0, 3, 1, 2};
  x = layers.transpose("permute", layers.layer_norm("norm", x, Swin::kEpsilon), kFirst);
  const std::int64_t hidden = graph.tensor(x).shape[1];
  graph.outputs = {layers.dense("head", layers.reshape("flatten", layers.spatial_mean("avgpool", x), {batch, hidden}), kClasses)};
  graph.tensor(graph.outputs[0]).name = "output";
  return graph;
}

}  // namespace switchyard::model::zoo_models
