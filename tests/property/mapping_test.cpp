// Laws of mappings: any legal one computes the reference's values, and one that was written down gives the same program when it is read
// back.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "compiler/canonicalise.h"
#include "compiler/compiler.h"
#include "compiler/mapping_file.h"
#include "graph/evaluate.h"
#include "model/emit.h"
#include "model/model.h"
#include "program/text.h"
#include "program/verify.h"
#include "property/library_chip.h"
#include "property/random_graph.h"
#include "property/random_mapping.h"
#include "simulation/execute.h"
#include "simulation/timing.h"

namespace switchyard {
namespace {

using numerics::Format;

/// One product or convolution of small integers, perhaps with a bias and a ReLU: in fp32 its sums are exact in any order.
class OneKernel {
 public:
  explicit OneKernel(std::uint64_t seed) : random_(seed) {
    g_.name = "one";
    graph::TensorId y;
    if (pick(0, 2) > 0) {
      const std::int64_t m = size(), n = size(), k = size();
      const auto x = input({m, k});
      y = model::emit_matmul(g_, label("Gemm"), x, pick(0, 1) ? weights({k, n}) : input({k, n}));
    } else {
      const std::int64_t side = pick(3, 12), kernel = pick(0, 1) ? 3 : 1, out = 4 * pick(1, 8), in = pick(1, 12);
      const auto x = input({pick(1, 2), in, side, side});
      y = model::emit_convolution(g_, label("Conv"), x, weights({out, in, kernel, kernel}),
                                  {{kernel, kernel}, {1, 1}, {1, 1}, {kernel / 2, kernel / 2}, {side, side}}, 1);
      if (pick(0, 1)) y = model::emit_bias(g_, label("Bias"), y, weights({out}));
    }
    if (pick(0, 2) == 0) {
      const model::MapInput in = model::MapInput::of(y);
      const auto f = pick(0, 1) ? numerics::apply(numerics::ScalarOp::max, numerics::expr_input(0), numerics::expr_constant(0))
                                : numerics::apply(numerics::ScalarOp::mul, numerics::expr_input(0), numerics::expr_input(0));
      y = model::emit_map(g_, label("Map"), std::span(&in, 1), f, Format::fp32, numerics::Shape(g_.tensor(y).shape));
    }
    g_.outputs = {y};
  }

  /// A mapping of the kernel by chance: what does not hold together is refused.
  std::string mapping(const graph::Graph& canonical) {
    const graph::Op& op = canonical.ops.front();
    std::string split, tile, order, operands;
    std::vector<std::string> names;
    std::int64_t left = 16;
    for (const auto& loop : op.nests[0].loops) {
      std::int64_t share = loop.extent;
      if (loop.kind == numerics::LoopKind::parallel) {
        const std::int64_t parts = std::min<std::int64_t>(std::int64_t{1} << pick(0, 4), left);
        left /= parts;
        split += fmt::format("{}: {}, ", loop.name, parts);
        share = (share + parts - 1) / parts;
        names.push_back(loop.name);
      }
      if (pick(0, 2) > 0) tile += fmt::format("{}: {}, ", loop.name, std::max<std::int64_t>(1, share / pick(1, 4)));
    }
    std::shuffle(names.begin(), names.end(), random_);
    for (const std::string& name : names) order += name + ", ";
    for (const graph::TensorId t : op.operands) {
      const char* sharing[] = {"none", "multicast", "ring", "ring"};
      operands += fmt::format("      {}: {{sharing: {}, resident: {}{}}}\n", canonical.tensor(t).name, sharing[pick(0, 3)],
                              pick(0, 1) ? "true" : "false", pick(0, 1) ? fmt::format(", depth: {}", pick(1, 4)) : "");
    }
    std::vector<int> places(16);
    std::iota(places.begin(), places.end(), 0);
    std::shuffle(places.begin(), places.end(), random_);
    const std::string placement = pick(0, 1) ? fmt::format("placement: [{}]\n", fmt::join(places, ", ")) : "";
    return placement + fmt::format(
                           "mappings:\n  - kernel: '*'\n    split: {{{}}}\n    tile: {{{}}}\n    order: [{}]\n    accumulators: {}\n    "
                           "overlap: {}\n    "
                           "operands:\n{}",
                           split, tile, order, pick(1, 3), pick(0, 1) ? "true" : "false", operands);
  }

  [[nodiscard]] const graph::Graph& graph() const { return g_; }
  [[nodiscard]] const std::vector<numerics::Tensor>& inputs() const { return inputs_; }

 private:
  std::int64_t pick(std::int64_t low, std::int64_t high) { return std::uniform_int_distribution<std::int64_t>(low, high)(random_); }
  std::int64_t size() { return pick(0, 2) ? 16 * pick(1, 6) : pick(1, 80); }
  model::Label label(const char* kind) {
    const std::string name = fmt::format("{}{}", kind, ++count_);
    return {name, kind, name + "_y", {name}};
  }
  numerics::Tensor integers(const numerics::Shape& shape) {
    numerics::Tensor t = numerics::make_tensor(Format::fp32, shape);
    for (std::int64_t i = 0; i < t.count(); ++i) t.set(i, static_cast<double>(pick(-3, 3)));
    return t;
  }
  graph::TensorId input(const numerics::Shape& shape) {
    inputs_.push_back(integers(shape));
    return model::add_input(g_, fmt::format("in{}", inputs_.size()), Format::fp32, shape);
  }
  graph::TensorId weights(const numerics::Shape& shape) {
    return model::add_constant(g_, fmt::format("w{}", ++count_), Format::fp32, shape, numerics::constant_of(integers(shape)), true);
  }

  graph::Graph g_;
  std::vector<numerics::Tensor> inputs_;
  std::mt19937_64 random_;
  int count_ = 0;
};

compiler::CompileOptions with(const std::string& text) {
  auto file = compiler::MappingFile::parse(text, "mapping.yaml");
  EXPECT_TRUE(file.ok()) << text << (file.ok() ? "" : format_failure(file.failure()));
  compiler::CompileOptions options;
  options.precision = Format::fp32;
  options.mappings = std::make_shared<const compiler::MappingFile>(std::move(file).value());
  options.dump_mappings = true;
  return options;
}

TEST(Mapping, AnyLegalOneComputesTheValues) {
  const auto chip = library_chip("tx81");
  int legal = 0, rings = 0, multicasts = 0;
  std::vector<double> ratios;
  for (std::uint64_t seed = 1; seed <= 1500; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    OneKernel one(seed);
    std::vector<compiler::Decision> ignored;
    const std::string text = one.mapping(compiler::canonicalise(one.graph(), ignored));
    const auto compiled = compiler::compile(one.graph(), chip, with(text));
    if (!compiled) {
      ASSERT_EQ(compiled.failure().kind, FailureKind::unsupported) << text << format_failure(compiled.failure());
      continue;
    }
    const program::Program& p = compiled.value().program;
    const auto verified = program::verify(p);
    ASSERT_TRUE(verified.ok()) << text << format_failure(verified.failure()) << program::print(p);
    const auto run = simulation::execute(p, one.inputs(), {1, {}});
    ASSERT_TRUE(run.ok()) << text << format_failure(run.failure());
    const auto expected = graph::evaluate(one.graph(), one.inputs());
    ASSERT_EQ(run.value().outputs[0].bytes, expected[0].bytes) << text << program::print(p);
    const auto again = compiler::compile(one.graph(), chip, with(compiled.value().mappings));
    ASSERT_TRUE(again.ok()) << compiled.value().mappings << format_failure(again.failure());
    ASSERT_EQ(program::print(again.value().program), program::print(p)) << compiled.value().mappings;
    const auto timed = simulation::time_program(p);
    ASSERT_TRUE(timed.ok()) << format_failure(timed.failure());
    EXPECT_GE(timed.value().latency, p.labels.lower_bound);
    ++legal;
    rings += compiled.value().mappings.find("sharing: ring") != std::string::npos;
    multicasts += compiled.value().mappings.find("sharing: multicast") != std::string::npos;
    if (p.contexts.size() != 1) continue;
    for (const compiler::Decision& d : compiled.value().decisions)
      if (!d.alternatives.empty())
        ratios.push_back(d.alternatives[d.chosen].alone / (static_cast<double>(timed.value().contexts[0].span.value) * 1e-12));
  }
  EXPECT_GT(legal, 100);
  EXPECT_GT(rings, 20);
  EXPECT_GT(multicasts, 20);
  std::sort(ratios.begin(), ratios.end());
  ASSERT_FALSE(ratios.empty());
  const auto at = [&](std::size_t tenths) { return ratios[ratios.size() * tenths / 10]; };
  EXPECT_GT(at(1), 0.75);
  EXPECT_NEAR(at(5), 1.1, 0.15);
  EXPECT_LT(at(9), 1.5);
  fmt::print("{} legal mappings, {} with rings, {} with multicasts; estimate / engine: p10 {:.2f}, median {:.2f}, p90 {:.2f}\n", legal,
             rings, multicasts, at(1), at(5), at(9));
}

/// What the compiler says that a context will take, against what the engine finds, over mappings drawn by chance of products of 64 to 1024
/// a side: right in the median, on machines with and without dear start-ups, and where links are the slowest. Sharing that has to wait is
/// what it knows least of.
TEST(Mapping, EstimatesAreRightInTheMedian) {
  const std::pair<const char*, int> machines[] = {{"tx81", 4}, {"rpu-4x4", 4}, {"rpu-8x8", 6}, {"wormhole-n150", 6}};  // 2^n components
  for (const auto& [name, components] : machines) {
    SCOPED_TRACE(name);
    const auto chip = library_chip(name);
    std::mt19937_64 random(7);
    std::vector<double> ratios, distances;
    for (int i = 0; i < 160; ++i) {
      const testing::RandomMapping made = testing::random_mapping(random, components);
      const auto compiled = compiler::compile(made.product, chip, made.options);
      if (!compiled) continue;
      const auto timed = simulation::time_program(compiled.value().program);
      ASSERT_TRUE(timed.ok()) << format_failure(timed.failure());
      for (const compiler::Decision& d : compiled.value().decisions)
        if (!d.alternatives.empty())
          ratios.push_back(d.alternatives[d.chosen].alone / (static_cast<double>(timed.value().contexts[0].span.value) * 1e-12));
    }
    ASSERT_GT(ratios.size(), 60u);
    for (const double r : ratios) distances.push_back(std::max(r, 1 / r) - 1);
    std::sort(ratios.begin(), ratios.end());
    std::sort(distances.begin(), distances.end());
    const auto at = [](const std::vector<double>& of, std::size_t tenths) { return of[of.size() * tenths / 10]; };
    fmt::print("{}: {} mappings; estimate / engine: p10 {:.2f}, median {:.2f}, p90 {:.2f}; median distance {:.2f}\n", name, ratios.size(),
               at(ratios, 1), at(ratios, 5), at(ratios, 9), at(distances, 5));
    const bool links = components == 6;  // of which an estimate knows how much they carry, not who waits for whom
    EXPECT_NEAR(at(ratios, 5), 1.0, links ? 0.2 : 0.12);
    EXPECT_GT(at(ratios, 1), 0.55);
    EXPECT_LT(at(ratios, 9), links ? 1.65 : 1.5);
    EXPECT_LT(at(distances, 5), 0.2);
  }
}

/// What the compiler chose, written down and read back, is the same program.
TEST(Mapping, WrittenDownGivesTheSameProgram) {
  for (const auto& chip : {library_chip("tx81"), library_chip("tx81", {{"/memories/spm/bytes", "160 KiB"}}), library_chip("h100-sxm")})
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
      SCOPED_TRACE(fmt::format("{} seed {}", chip->name, seed));
      const testing::RandomModel model = testing::random_model(seed);
      const auto first = compiler::compile(model.graph, chip, with("mappings: []"));
      ASSERT_TRUE(first.ok()) << format_failure(first.failure());
      const auto second = compiler::compile(model.graph, chip, with(first.value().mappings));
      ASSERT_TRUE(second.ok()) << first.value().mappings << format_failure(second.failure());
      ASSERT_EQ(program::print(second.value().program), program::print(first.value().program)) << first.value().mappings;
      ASSERT_EQ(second.value().mappings, first.value().mappings);
    }
}

/// What was compiled, written down and read back, is the same program: contexts of several kernels, tiles that are handed on, and what
/// was made for a lesser machine.
TEST(Mapping, WholeProgramsAreWrittenDown) {
  const std::pair<const char*, const char*> programs[] = {{"resnet18", "rpu-4x4"}, {"resnet18", "rpu-8x8"}, {"bert-base", "rpu-4x4"}};
  int joined = 0, lesser = 0, handed = 0;
  for (const auto& [name, on] : programs) {
    SCOPED_TRACE(fmt::format("{} on {}", name, on));
    model::LoadOptions load;
    if (std::string(name) == "bert-base") load.set = {{"layers", 1}};
    const graph::Graph model = model::build_zoo_model(name, load).value();
    compiler::CompileOptions options;
    options.dump_mappings = true;
    options.time = [](const program::Program& p) { return static_cast<double>(simulation::time_program(p).value().latency.value) * 1e-12; };
    const auto compiled = compiler::compile(model, library_chip(on), options);
    ASSERT_TRUE(compiled.ok()) << format_failure(compiled.failure());
    const std::string& text = compiled.value().mappings;
    auto file = compiler::MappingFile::parse(text, "mapping.yaml");
    ASSERT_TRUE(file.ok()) << format_failure(file.failure());
    compiler::CompileOptions given;
    given.mappings = std::make_shared<const compiler::MappingFile>(std::move(file).value());
    given.dump_mappings = true;
    const auto again = compiler::compile(model, library_chip(on), given);
    ASSERT_TRUE(again.ok()) << format_failure(again.failure());
    EXPECT_EQ(program::print(again.value().program), program::print(compiled.value().program)) << text;
    EXPECT_EQ(again.value().mappings, text);
    joined += text.find("contexts:") != std::string::npos;
    handed += text.find("in: handed") != std::string::npos;
    lesser += text.find("made_for: ") != std::string::npos;
  }
  EXPECT_EQ(joined, 3);
  EXPECT_GT(lesser, 0);
  EXPECT_GT(handed, 0);
}

/// A file written for a chip with smaller scratchpads, on which fewer products of one tensor become one, is good on one with larger ones.
TEST(Mapping, OfASmallerChipIsGoodOnALargerOne) {
  const auto chip = [](const char* bytes) { return library_chip("rpu-4x4", {{"/memories/spm/bytes", bytes}}); };
  model::LoadOptions load;
  load.set = {{"layers", 1}};
  const graph::Graph model = model::build_zoo_model("whisper-tiny-encoder", load).value();
  const auto compiled = [&](const char* bytes, const std::string& text) {
    compiler::CompileOptions options = with(text);
    options.precision = Format::bf16;
    return compiler::compile(model, chip(bytes), options);
  };
  const auto file = [&](const char* bytes) { return compiled(bytes, "mappings: []").value().mappings; };
  std::string small = file("2 MiB"), large = file("3 MiB");
  const std::string none = "merged: []\n", pair = "merged: [\"encoder.layers.0.self_attn.q_proj+v_proj\"]\n";
  ASSERT_NE(small.find(none), std::string::npos) << small;
  ASSERT_NE(large.find(pair), std::string::npos) << large;
  const auto moved = compiled("3 MiB", small);
  ASSERT_TRUE(moved.ok()) << format_failure(moved.failure());
  EXPECT_TRUE(program::verify(moved.value().program).ok());
  EXPECT_EQ(moved.value().mappings, small);
  // Where the file does not say which, its entries are for kernels that are not there.
  const auto told = [&](const char* bytes, const std::string& text) {
    const auto refused = compiled(bytes, text);
    return refused.ok() ? std::string() : format_failure(refused.failure());
  };
  small.erase(small.find(none), none.size());
  large.erase(large.find(pair), pair.size());
  EXPECT_NE(told("3 MiB", small)
                .find("error: 'encoder.layers.0.self_attn.v_proj' is a part of the kernel "
                      "'encoder.layers.0.self_attn.q_proj+v_proj' here [mapping/unknown-name]"),
            std::string::npos)
      << told("3 MiB", small);
  EXPECT_NE(told("2 MiB", large).find("error: the products of 'encoder.layers.0.self_attn.q_proj+v_proj' are kernels of their own here"),
            std::string::npos)
      << told("2 MiB", large);
  EXPECT_NE(told("2 MiB", large).find("'merged: [NAME, ...]' says which"), std::string::npos);
  EXPECT_NE(told("2 MiB", "merged: [q+k]\nmappings: []").find("mapping.yaml:1:10: error: no products of one tensor could become 'q+k'"),
            std::string::npos)
      << told("2 MiB", "merged: [q+k]\nmappings: []");
}

/// What was compiled without fusion merges nothing, and says so. And a model may have an operator of the name that a merge would make up.
TEST(Mapping, SaysThatNothingWasMerged) {
  model::LoadOptions load;
  load.set = {{"layers", 1}};
  const graph::Graph encoder = model::build_zoo_model("whisper-tiny-encoder", load).value();
  compiler::CompileOptions apart;
  apart.precision = Format::bf16;
  apart.dump_mappings = true;
  apart.disabled.fuse = true;
  const auto unfused = compiler::compile(encoder, library_chip("tx81"), apart);
  ASSERT_TRUE(unfused.ok()) << format_failure(unfused.failure());
  EXPECT_NE(unfused.value().mappings.find("merged: []\n"), std::string::npos) << unfused.value().mappings;

  graph::Graph g;
  g.name = "namesakes";
  const graph::TensorId x = model::add_input(g, "x", Format::fp32, {24, 32});
  g.inputs = {x};
  const auto product = [&](const std::string& name, graph::TensorId of) {
    const auto values = numerics::make_tensor(Format::fp32, {32, 32});
    const auto w = model::add_constant(g, name + ".weight", Format::fp32, {32, 32}, numerics::constant_of(values), true);
    return model::emit_matmul(g, {name, "MatMul", name + ".out", {name}}, of, w);
  };
  const graph::TensorId q = product("q", x), k = product("k", x);
  g.outputs = {product("q+k", q), product("of_k", k)};
  const auto compiled = [&](const std::string& text) { return compiler::compile(g, library_chip("tx81"), with(text)); };
  EXPECT_EQ(compiled("mappings: []").value().mappings.find("merged: []"), std::string::npos);
  const auto first = compiled("merged: []\nmappings: []");
  ASSERT_TRUE(first.ok()) << format_failure(first.failure());
  ASSERT_NE(first.value().mappings.find("- kernel: \"q+k\""), std::string::npos) << first.value().mappings;
  const auto again = compiled(first.value().mappings);
  ASSERT_TRUE(again.ok()) << format_failure(again.failure());
  EXPECT_EQ(again.value().mappings, first.value().mappings);
}

/// A pipeline as an engineer would write it, on components that she names; written down it is the same.
TEST(Mapping, PipelinesAreWhatAFileMakesThem) {
  const char* text =
      "contexts: [[conv1, maxpool]]\n"
      "mappings:\n"
      "  - {kernel: conv1, split: {oh: 4}, tile: {oh: 4}, order: [oh], stream: oh, components: [0, 1, 2, 3]}\n"
      "  - {kernel: maxpool, split: {c: 4}, tile: {oh: 2}, order: [oh], stream: oh, components: [7, 6, 5, 4]}\n";
  const graph::Graph model = model::build_zoo_model("resnet18", {}).value();
  const auto chip = library_chip("rpu-4x4");
  compiler::CompileOptions options = with(text);
  options.precision = Format::bf16;
  const auto compiled = compiler::compile(model, chip, options);
  ASSERT_TRUE(compiled.ok()) << format_failure(compiled.failure());
  EXPECT_TRUE(std::any_of(compiled.value().decisions.begin(), compiled.value().decisions.end(),
                          [](const compiler::Decision& d) { return d.subject == "pipeline"; }));
  const auto verified = program::verify(compiled.value().program);
  ASSERT_TRUE(verified.ok()) << format_failure(verified.failure());
  const std::string& written = compiled.value().mappings;
  EXPECT_NE(written.find("components: [7, 6, 5, 4]"), std::string::npos) << written;
  options.mappings = with(written).mappings;
  const auto again = compiler::compile(model, chip, options);
  ASSERT_TRUE(again.ok()) << written << format_failure(again.failure());
  EXPECT_EQ(program::print(again.value().program), program::print(compiled.value().program)) << written;
}

/// A file may say no more than that attention goes over blocks of keys; what the compiler makes of it is written down, and is the same.
TEST(Mapping, AttentionGoesOverBlocksOfKeysWhereAFileSaysSo) {
  const char* text = "streamed: [encoder.layer.0.attention.self.softmax]\nmappings: []\n";
  model::LoadOptions load;
  load.set = {{"layers", 1}};
  const graph::Graph model = model::build_zoo_model("bert-base", load).value();
  const auto chip = library_chip("rpu-4x4");
  const auto compiled = compiler::compile(model, chip, with(text));
  ASSERT_TRUE(compiled.ok()) << format_failure(compiled.failure());
  const std::string& written = compiled.value().mappings;
  EXPECT_NE(written.find("self.context:block"), std::string::npos) << written;
  const auto verified = program::verify(compiled.value().program);
  ASSERT_TRUE(verified.ok()) << format_failure(verified.failure());
  const auto again = compiler::compile(model, chip, with(written));
  ASSERT_TRUE(again.ok()) << written << format_failure(again.failure());
  EXPECT_EQ(program::print(again.value().program), program::print(compiled.value().program)) << written;
}

}  // namespace
}  // namespace switchyard
