// Small random graphs of every kind of operator, for the tests of this folder.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "graph/text.h"
#include "numerics/tensor.h"

namespace switchyard::graph::testing {

/// Draws numbers in a range, the same for the same seed.
struct Draw {
  std::uint64_t seed;
  std::uint64_t count = 0;
  std::int64_t operator()(std::int64_t least, std::int64_t greatest) {
    return least + static_cast<std::int64_t>(numerics::mix(seed, count++) % static_cast<std::uint64_t>(greatest - least + 1));
  }
};

/// input -> grouped convolution with padding and stride -> ReLU and pooling with padding -> softmax over channels -> concatenation with
/// itself reversed -> batched matrix product -> interleaved (strided) writes and a running sum.
inline std::string random_graph_text(std::uint64_t seed) {
  Draw draw{seed};
  const char* formats[] = {"fp32", "bf16", "fp16"};
  const std::string f = formats[draw(0, 2)];
  const std::int64_t n = draw(1, 2), g = draw(1, 2), icg = draw(1, 3), ocg = draw(1, 3), h = draw(3, 6), w = draw(3, 6);
  const std::int64_t k = draw(1, 3), stride = draw(1, 2), pad = draw(0, 2),
                     dilation = k == 1 ? 1 : draw(1, 1 + (h + 2 * pad - 1) / (k - 1) / 2);
  const std::int64_t oh = (h + 2 * pad - dilation * (k - 1) - 1) / stride + 1, ow = (w + 2 * pad - dilation * (k - 1) - 1) / stride + 1;
  const std::int64_t oc = g * ocg, ph = (oh + 1) / 2, pw = (ow + 1) / 2, mm = draw(1, 4);
  if (oh < 1 || ow < 1) return random_graph_text(seed + 7919);
  std::string t = "switchyard graph 1\n";
  const auto line = [&](const auto&... args) { t += fmt::format(args...) + "\n"; };
  line(fmt::runtime("graph \"random {}\""), seed);
  line(fmt::runtime("input \"x\" {}[{},{},{},{}]"), f, n, g * icg, h, w);
  line(fmt::runtime("constant \"w\" {}[{},{},{},{}]"), f, oc, icg, k, k);
  line(fmt::runtime("constant \"bias\" {}[{}] untrained"), f, oc);
  line(fmt::runtime("constant \"m\" {}[{},{}]"), f, pw, mm);
  line(fmt::runtime("intermediate \"conv\" {}[{},{},{},{}]"), f, n, oc, oh, ow);
  line(fmt::runtime("intermediate \"pool\" {}[{},{},{},{}]"), f, n, oc, ph, pw);
  line(fmt::runtime("intermediate \"soft\" {}[{},{},{},{}]"), f, n, oc, ph, pw);
  line(fmt::runtime("intermediate \"cat\" {}[{},{},{},{}]"), f, n, 2 * oc, ph, pw);
  line(fmt::runtime("intermediate \"mat\" {}[{},{},{},{}]"), f, n, 2 * oc, ph, mm);
  line(fmt::runtime("intermediate \"woven\" {}[{},{}]"), f, n, 4 * oc * ph * mm);
  line(fmt::runtime("intermediate \"sums\" fp32[{}]"), n);
  line(fmt::runtime("inputs \"x\"\noutputs \"woven\" \"sums\""));
  line(fmt::runtime("op \"conv \\\"1\\\"\" \"Conv\" from \"conv/1\" \"add:0\""));
  line(fmt::runtime("  operand 0 \"x\"\n  operand 1 \"w\"\n  operand 2 \"bias\"\n  result 3 \"conv\"\n  local 4 \"sum\" fp32[{},{},{},{}]"),
       n, oc, oh, ow);
  line(fmt::runtime("  nest n:{} g:{} oc:{} ic:{}:reduction oh:{} ow:{} kh:{}:reduction kw:{}:reduction"), n, g, ocg, icg, oh, ow, k, k);
  line(fmt::runtime("    x0 = slot 0[n, {}*g + ic, {}*oh + {}*kh - {}, {}*ow + {}*kw - {}] fill 0"), icg, stride, dilation, pad, stride,
       dilation, pad);
  line(fmt::runtime("    x1 = slot 1[{}*g + oc, ic, kh, kw]"), ocg);
  line(fmt::runtime("    slot 4[n, {}*g + oc, oh, ow] = add mul(x0, x1)"), ocg);
  line(fmt::runtime("  nest n:{} oc:{} oh:{} ow:{}\n    x0 = slot 4[n, oc, oh, ow]\n    x1 = slot 2[oc]"), n, oc, oh, ow);
  line(fmt::runtime("    slot 3[n, oc, oh, ow] = none max(add(x0, x1), 0)"));
  line(fmt::runtime("op \"pool\" \"MaxPool\"\n  operand 0 \"conv\"\n  result 1 \"pool\""));
  line(fmt::runtime("  nest n:{} c:{} ph:{} pw:{} kh:3:reduction kw:3:reduction"), n, oc, ph, pw);
  line(fmt::runtime("    x0 = slot 0[n, c, 2*ph + kh - 1, 2*pw + kw - 1] fill -inf\n    slot 1[n, c, ph, pw] = max x0"));
  line(fmt::runtime("op \"softmax\" \"Softmax\"\n  operand 0 \"pool\"\n  result 1 \"soft\"\n  local 2 \"top\" fp32[{},{},{}]\n  local 3 "
                    "\"sum\" fp32[{},{},{}]"),
       n, ph, pw, n, ph, pw);
  line(fmt::runtime("  nest n:{} h:{} w:{} c:{}:reduction\n    x0 = slot 0[n, c, h, w]\n    slot 2[n, h, w] = max x0"), n, ph, pw, oc);
  line(fmt::runtime("  nest n:{} h:{} w:{} c:{}:reduction\n    x0 = slot 0[n, c, h, w]\n    x1 = slot 2[n, h, w]\n    slot 3[n, h, w] = "
                    "add exp(sub(x0, x1))"),
       n, ph, pw, oc);
  line(fmt::runtime("  nest n:{} c:{} h:{} w:{}\n    x0 = slot 0[n, c, h, w]\n    x1 = slot 2[n, h, w]\n    x2 = slot 3[n, h, w]"), n, oc,
       ph, pw);
  line(fmt::runtime("    slot 1[n, c, h, w] = none div(exp(sub(x0, x1)), x2)"));
  line(fmt::runtime("op \"cat\" \"Concat\"\n  operand 0 \"pool\"\n  operand 1 \"soft\"\n  result 2 \"cat\""));
  line(fmt::runtime("  nest n:{} c:{} h:{} w:{}\n    x0 = slot 0[n, c, h, w]\n    slot 2[n, -c + {}, h, w] = none x0"), n, oc, ph, pw,
       oc - 1);
  line(fmt::runtime("  nest n:{} c:{} h:{} w:{}\n    x0 = slot 1[n, c, h, w]\n    slot 2[n, c + {}, h, w] = none x0"), n, oc, ph, pw, oc);
  line(fmt::runtime("op \"matmul\" \"MatMul\"\n  operand 0 \"cat\"\n  operand 1 \"m\"\n  result 2 \"mat\""));
  line(fmt::runtime("  nest b:{} c:{} i:{} j:{} k:{}:reduction\n    x0 = slot 0[b, c, i, k]\n    x1 = slot 1[k, j]\n    slot 2[b, c, i, j] "
                    "= add mul(x0, x1)"),
       n, 2 * oc, ph, mm, pw);
  // Even places take the values, odd places what the first nest wrote, squared: a result read back.
  line(fmt::runtime("op \"weave\" \"Weave\"\n  operand 0 \"mat\"\n  result 1 \"woven\""));
  line(fmt::runtime("  nest b:{} c:{} i:{} j:{}\n    x0 = slot 0[b, c, i, j]\n    slot 1[b, {}*c + {}*i + 2*j] = none sigmoid(x0)"), n,
       2 * oc, ph, mm, 2 * ph * mm, 2 * mm);
  line(fmt::runtime("  nest b:{} q:{}\n    x0 = slot 1[b, 2*q]\n    slot 1[b, 2*q + 1] = none mul(x0, x0)"), n, 2 * oc * ph * mm);
  line(fmt::runtime("op \"scan\" \"CumSum\"\n  operand 0 \"mat\"\n  result 1 \"sums\"\n  local 2 \"part\" fp32[{}]"), n);
  line(fmt::runtime("  nest b:{} c:{}:reduction\n    x0 = slot 0[b, c, 0, 0]\n    slot 2[b] = add x0"), n, 2 * oc);
  line(fmt::runtime("  nest b:{}:sequential\n    x0 = slot 2[b]\n    x1 = slot 1[b - 1] fill 0\n    slot 1[b] = none add(x0, x1)"), n);
  return t;
}

/// With seeded values for the constants.
inline Graph random_graph(std::uint64_t seed) {
  auto parsed = parse(random_graph_text(seed), "random");
  if (!parsed) throw InternalError(format_failure(parsed.failure()));
  Graph graph = std::move(parsed).value();
  for (Tensor& t : graph.tensors) {
    if (t.role == Role::constant)
      t.constant = numerics::constant_of(numerics::seeded_uniform(numerics::hash_name(t.name), t.format, t.shape, 1.0));
  }
  return graph;
}

inline std::vector<numerics::Tensor> random_inputs(const Graph& graph, std::uint64_t seed) {
  std::vector<numerics::Tensor> inputs;
  for (const TensorId id : graph.inputs)
    inputs.push_back(numerics::seeded_uniform(seed, graph.tensor(id).format, graph.tensor(id).shape, 2.0));
  return inputs;
}

}  // namespace switchyard::graph::testing
