// Lower bounds by hand: what they count, and which resource binds.
#include "compiler/bound.h"

#include <gtest/gtest.h>

#include <cmath>

#include "chip/query.h"
#include "compiler/compiler.h"
#include "model/emit.h"
#include "model/model.h"
#include "property/library_chip.h"

namespace switchyard::compiler {
namespace {

graph::Graph gemm(std::int64_t m, std::int64_t n, std::int64_t k) {
  model::LoadOptions options;
  options.set = {{"m", m}, {"n", n}, {"k", k}};
  auto g = model::build_zoo_model("gemm", options);
  EXPECT_TRUE(g.ok());
  graph::Graph graph = std::move(g).value();
  for (graph::Tensor& t : graph.tensors) t.format = numerics::Format::bf16;
  return graph;
}

double term_us(const Bound& bound, const std::string& resource) {
  for (const BoundTerm& t : bound.terms)
    if (t.resource == resource) return static_cast<double>(t.time.value) * 1e-6;
  return 0;
}

TEST(PaddedMacs, CountsStepsThatNoCutAvoids) {
  struct Case {
    std::vector<std::int64_t> m, n, k;
    double batch, expected;
  };
  const Case cases[] = {
      {{64}, {64}, {64}, 1, 64.0 * 64 * 64},
      {{1}, {4096}, {4096}, 1, 32.0 * 4096 * 4096},  // one row takes a step of 32
      {{33}, {32}, {4}, 1, 64.0 * 32 * 4},
      {{}, {}, {3}, 2, 2.0 * 32 * 32 * 4},
      {{5, 6}, {32}, {4}, 1, 32.0 * 32 * 4},            // 30 places in one step of 32
      {{7, 7}, {32}, {4}, 1, 49 * 32.0 / 30 * 32 * 4},  // 5 x 6 of them fill a step best
      {{1, 49}, {32}, {4}, 1, 49 * 1.0 * 32 * 4},       // by 32 they can be cut: then nothing is known of the rest
      {{56, 56}, {32}, {3, 3}, 1, 3136 * 32.0 * 9},     // 2 x 2 fills four places
  };
  for (const Case& c : cases) {
    const std::vector<std::int64_t> axes[3] = {c.m, c.n, c.k};
    EXPECT_DOUBLE_EQ(padded_macs(axes, c.batch, {32, 32, 4}), c.expected) << c.expected;
  }
}

TEST(UnitWork, IsSharedByAllUnitsThatCanDoIt) {
  const graph::Graph g = gemm(1024, 1024, 1024);
  const chip::Chip wormhole = *library_chip("wormhole-n150");
  UnitWork work(wormhole, g);
  work.add(g);
  double rate = 0;  // matrix and vector units together
  for (const chip::UnitId u : chip::units_for(wormhole, chip::OpClass::contract, numerics::Format::bf16))
    rate += chip::chip_rate(wormhole, u, *chip::find_rate(wormhole.units[u.index()], chip::OpClass::contract, numerics::Format::bf16));
  const double least = 1024.0 * 1024 * 1024 / rate;
  EXPECT_LE(work.least().seconds, least * (1 + 1e-9));
  EXPECT_GE(work.least().seconds, least * 0.999);
}

/// A kernel of a grid multiplies on one class of units, and no faster than its main loop sustains at the clock that leaves.
TEST(UnitWork, OfAGridIsMultipliedOnOneClassOfUnits) {
  const graph::Graph g = gemm(1024, 1024, 1024);
  const chip::Chip h100 = *library_chip("h100-sxm");
  UnitWork work(h100, g);
  work.add(g);
  const double sustained = 0.9, hertz = sustained * 1.755e9 + (1 - sustained) * 1.98e9;
  EXPECT_NEAR(work.least().seconds, 1024.0 * 1024 * 1024 / (2048 * 132 * sustained * hertz), 1e-12);
  EXPECT_TRUE(work.least().in_turn);
}

/// What the data sheet promises is never later than what the chip's model can reach.
TEST(Bounds, OfDataSheetsAreTheLeast) {
  using numerics::Format;
  for (const char* name : {"h100-sxm", "a100-sxm-80g", "l4", "t4", "p4", "mi300x", "sn40l", "wormhole-n150", "tx81", "rpu-4x4", "tpu-v4"})
    for (const Format format : {Format::bf16, Format::fp16, Format::fp32, Format::int8})
      for (const std::int64_t n : {1, 100, 4096}) {
        const chip::Chip chip = *library_chip(name);
        graph::Graph g = gemm(n, 4096, 4096);
        for (graph::Tensor& t : g.tensors) t.format = format;
        const Bounds bounds(chip, g);
        EXPECT_LE(bounds.model_peak({}), bounds.model().time()) << name << " " << n << " " << numerics::format_name(format);
      }
}

/// Weights of few bits are widened on their way in: the product is made at the pace of the wider format.
TEST(UnitWork, CountsAProductOfTwoFormatsInTheWider) {
  const chip::Chip tx81 = *library_chip("tx81");
  graph::Graph g = gemm(1024, 1024, 1024);
  const auto seconds = [&](numerics::Format first, numerics::Format second) {
    g.tensor(g.ops[0].operands[0]).format = first;
    g.tensor(g.ops[0].operands[1]).format = second;
    UnitWork work(tx81, g);
    work.add(g);
    return work.least().seconds;
  };
  using numerics::Format;
  EXPECT_DOUBLE_EQ(seconds(Format::bf16, Format::int8), seconds(Format::bf16, Format::bf16));
  EXPECT_DOUBLE_EQ(seconds(Format::int8, Format::bf16), seconds(Format::bf16, Format::bf16));
  EXPECT_LT(seconds(Format::int8, Format::int8), 0.6 * seconds(Format::bf16, Format::bf16));
}

/// Attention that a grid runs as one kernel: its products, and what crosses the edge for all of its stages; scores do not.
TEST(Bounds, OfStagesCountWhatPassesBetweenThemNowhere) {
  const auto chip = library_chip("h100-sxm");
  model::LoadOptions options;
  const auto g = model::build_zoo_model("llama-2-7b-block", options);
  ASSERT_TRUE(g.ok());
  const auto compiled = compile(g.value(), chip, {});
  ASSERT_TRUE(compiled.ok());
  int chains = 0;
  for (std::size_t c = 0; c + 1 < compiled.value().program.contexts.size(); ++c) {
    const program::Context& first = compiled.value().program.contexts[c];
    if (first.continues || !compiled.value().program.contexts[c + 1].continues) continue;
    ++chains;
    EXPECT_GT(first.bound, Picoseconds(0)) << first.name;
    EXPECT_GT(first.work, Picoseconds(0)) << first.name;
  }
  EXPECT_GT(chains, 0);
}

TEST(Bounds, SayWhichResourceBinds) {
  const chip::Chip tx81 = *library_chip("tx81");
  const graph::Graph square = gemm(2048, 2048, 2048), row = gemm(1, 4096, 4096);
  const Bound compute = Bounds(tx81, square).model(), memory = Bounds(tx81, row).model();
  ASSERT_FALSE(compute.terms.empty());
  EXPECT_EQ(compute.terms[0].resource, "ddr");  // 3 x 8 MB at 159 GB/s take longer than 8.6 GMAC at 64 TMAC/s
  EXPECT_NEAR(term_us(compute, "ne"), 110 + 0.3 + 0.066 + 2048.0 * 2048 * 2048 / (16 * 4096 * 0.977e3), 0.1);
  EXPECT_NEAR(term_us(compute, "ddr"), 110 + 0.3 + 0.95 + 3 * 2048 * 2048 * 2 / 159.36e3, 0.1);
  EXPECT_NEAR(term_us(memory, "ne"), 110 + 0.3 + 0.066 + 32 * 4096.0 * 4096 / (16 * 4096 * 0.977e3), 0.1);
  EXPECT_GT(term_us(memory, "ddr"), term_us(memory, "ne"));
}

TEST(Bounds, LinksOfPortsAreACut) {
  const graph::Graph g = gemm(1, 4096, 4096);
  const chip::Chip slow = *library_chip("tx81", {{"/networks/noc/link", "1 GB/s"}, {"/movers/rdma/bandwidth", "1 GB/s"}});
  const Bound bound = Bounds(slow, g).model();
  EXPECT_EQ(bound.terms[0].resource, "loads at ports");
  // Four ports in the first column: each sends to its right, and four movers stand there.
  EXPECT_NEAR(term_us(bound, "loads at ports"), 110 + 0.3 + 0.95 + (4096.0 * 4096 + 4096) * 2 / 8e3, 1);
}

TEST(Bounds, ASmallChipReadsAgain) {
  const graph::Graph g = gemm(4096, 4096, 4096);
  EXPECT_EQ(term_us(Bounds(*library_chip("tx81"), g).model(), "ddr, again"), 0);
  const chip::Chip small = *library_chip("tx81", {{"/memories/spm/bytes", "160 KiB"}});
  const double held = 16 * 160 * 1024 / 2.0, elements = 2 * std::pow(4096.0, 3) / std::sqrt(held) - 2 * held;
  EXPECT_NEAR(term_us(Bounds(small, g).model(), "ddr, again"), 110 + 0.3 + 0.95 + elements * 2 / 159.36e3, 1);
}

}  // namespace
}  // namespace switchyard::compiler
