// Laws of grids that run in waves: the compiler's estimate is the engine's time, causes sum, nothing is faster than its bound, and what
// stages and slices say survives being written down and computes what the model says.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "chip/query.h"
#include "compiler/compiler.h"
#include "graph/evaluate.h"
#include "model/operation.h"
#include "program/text.h"
#include "program/verify.h"
#include "property/library_chip.h"
#include "simulation/execute.h"
#include "simulation/timing.h"

namespace switchyard {
namespace {

graph::Graph build(const std::string& name, std::vector<std::pair<std::string, std::string>> shape) {
  auto graph = model::build_operation({name, std::move(shape)});
  EXPECT_TRUE(graph.ok()) << (graph.ok() ? "" : format_failure(graph.failure()));
  return std::move(graph).value();
}

struct Timed {
  compiler::Compiled compiled;
  simulation::Timing timing;
};
Timed time(const graph::Graph& graph, const std::shared_ptr<const chip::Chip>& chip, numerics::Format format) {
  auto compiled = compiler::compile(graph, chip, {format, 0, 1});
  EXPECT_TRUE(compiled.ok()) << (compiled.ok() ? "" : format_failure(compiled.failure()));
  const auto verified = program::verify(compiled.value().program);
  EXPECT_TRUE(verified.ok()) << (verified.ok() ? "" : format_failure(verified.failure()));
  auto timing = simulation::time_program(compiled.value().program);
  EXPECT_TRUE(timing.ok()) << (timing.ok() ? "" : format_failure(timing.failure()));
  return {std::move(compiled).value(), std::move(timing).value()};
}

/// The text of a program whose constants have lost their values, which stand in another file.
std::string without_values(std::string text) {
  for (std::size_t at; (at = text.find(" values\n")) != std::string::npos;) text.erase(at, 7);
  return text;
}

const std::vector<std::pair<std::string, std::vector<std::pair<std::string, std::string>>>>& operations() {
  static const std::vector<std::pair<std::string, std::vector<std::pair<std::string, std::string>>>> list{
      {"gemm", {{"m", "1"}, {"n", "4096"}, {"k", "4096"}}},
      {"gemm", {{"m", "257"}, {"n", "513"}, {"k", "8192"}}},
      {"gemm", {{"m", "8192"}, {"n", "8192"}, {"k", "1024"}}},
      {"batch_gemm", {{"b", "96"}, {"m", "96"}, {"n", "512"}, {"k", "64"}}},
      {"conv2d", {{"batch", "8"}, {"h", "28"}, {"w", "28"}, {"cin", "128"}, {"cout", "96"}, {"kernel", "3"}, {"pad", "1"}}},
      {"softmax", {{"rows", "1000"}, {"cols", "3000"}}},
      {"layer_norm", {{"rows", "4096"}, {"cols", "1024"}}},
      {"add", {{"rows", "1000"}, {"cols", "1000"}}},
      {"gelu", {{"rows", "7"}, {"cols", "13"}}},
      {"attention_prefill", {{"batch", "2"}, {"q", "1000"}, {"heads", "16"}, {"kv_heads", "4"}, {"dim", "128"}, {"window", "0"}}},
      {"attention_prefill",
       {{"batch", "1"}, {"q", "2048"}, {"past", "100"}, {"heads", "8"}, {"kv_heads", "8"}, {"dim", "64"}, {"window", "128"}}},
      {"attention_prefill", {{"batch", "1"}, {"q", "512"}, {"heads", "12"}, {"kv_heads", "12"}, {"dim", "64"}, {"causal", "0"}}},
      {"attention_decode", {{"batch", "8"}, {"context", "4000"}, {"heads", "32"}, {"kv_heads", "4"}, {"dim", "128"}, {"window", "0"}}},
      {"attention_decode", {{"batch", "64"}, {"context", "20000"}, {"heads", "8"}, {"kv_heads", "8"}, {"dim", "128"}, {"window", "1024"}}},
  };
  return list;
}

TEST(Waves, LawsHoldOnEveryOperation) {
  for (const char* name : {"a100-sxm-80g", "h100-sxm", "l4", "v100-pcie-32g", "mi300x"}) {
    const auto chip = library_chip(name);
    ASSERT_TRUE(chip);
    for (const auto& [op, shape] : operations())
      for (const auto format : {numerics::Format::fp16, numerics::Format::fp32}) {
        SCOPED_TRACE(fmt::format("{} {} {} on {}", op, shape.front().second, numerics::format_name(format), name));
        const Timed t = time(build(op, shape), chip, format);
        const program::Program& p = t.compiled.program;
        Picoseconds sum(0);
        for (const Picoseconds cause : t.timing.attribution) sum += cause;
        EXPECT_EQ(sum, t.timing.latency);
        EXPECT_GE(t.timing.latency, p.labels.lower_bound);
        // One kernel: its estimate is its time.
        if (p.contexts.size() == 1)
          for (const compiler::Decision& d : t.compiled.decisions)
            if (d.subject == p.contexts[0].name && !d.alternatives.empty()) {
              EXPECT_NEAR(d.alternatives[d.chosen].alone * 1e6, microseconds(t.timing.latency), 1e-4);
            }
        const auto back = program::parse(program::print(p), "p.syp");
        ASSERT_TRUE(back.ok()) << format_failure(back.failure());
        EXPECT_TRUE(program::print(back.value()) == without_values(program::print(p)));
        const auto again = simulation::time_program(back.value());
        ASSERT_TRUE(again.ok());
        EXPECT_EQ(again.value().latency, t.timing.latency);
      }
  }
}

TEST(Waves, ChainsComputeWhatTheModelSays) {
  const auto chip = library_chip("a100-sxm-80g");
  ASSERT_TRUE(chip);
  const std::vector<std::vector<std::pair<std::string, std::string>>> shapes{
      {{"batch", "2"}, {"q", "40"}, {"heads", "4"}, {"kv_heads", "2"}, {"dim", "16"}},
      {{"batch", "1"}, {"q", "33"}, {"past", "7"}, {"heads", "2"}, {"kv_heads", "1"}, {"dim", "8"}, {"window", "9"}}};
  for (const auto& shape : shapes) {
    const graph::Graph g = build("attention_prefill", shape);
    const Timed t = time(g, chip, numerics::Format::fp32);
    const program::Program& p = t.compiled.program;
    int stages = 0;
    bool band = false;
    for (const program::Context& c : p.contexts) stages += c.continues ? 1 : 0, band = band || c.band.has_value();
    EXPECT_EQ(stages, 2);
    EXPECT_TRUE(band);
    std::vector<numerics::Tensor> inputs;
    for (const graph::TensorId id : g.inputs)
      inputs.push_back(numerics::seeded_uniform(inputs.size() + 1, numerics::Format::fp32, g.tensor(id).shape, 1));
    const auto run = simulation::execute(p, inputs, {1, {}});
    ASSERT_TRUE(run.ok()) << format_failure(run.failure());
    const auto expected = graph::evaluate(g, inputs);
    for (std::size_t o = 0; o < expected.size(); ++o)
      for (std::int64_t i = 0; i < expected[o].count(); ++i)
        ASSERT_NEAR(run.value().outputs[o].at(i), expected[o].at(i), 1e-5) << o << " " << i;
  }
}

TEST(Waves, BandsSaveTime) {
  const auto chip = library_chip("a100-sxm-80g");
  ASSERT_TRUE(chip);
  const auto latency = [&](const char* causal, const char* window) {
    return microseconds(time(build("attention_prefill", {{"batch", "4"},
                                                         {"q", "4096"},
                                                         {"heads", "32"},
                                                         {"kv_heads", "32"},
                                                         {"dim", "128"},
                                                         {"causal", causal},
                                                         {"window", window}}),
                             chip, numerics::Format::bf16)
                            .timing.latency);
  };
  const double whole = latency("0", "0"), causal = latency("1", "0"), window = latency("1", "512");
  EXPECT_LT(causal, 0.65 * whole);
  EXPECT_GT(causal, 0.45 * whole);
  EXPECT_LT(window, 0.5 * causal);
}

TEST(Waves, RowsComeBackFromTheCacheWhileTheyFit) {
  // The same rows, of which twice as many are at work as a smaller cache holds.
  const auto latency = [](const char* size) {
    const auto chip = library_chip("a100-sxm-80g", {{"/memories/l2/bytes", size}});
    return microseconds(time(build("layer_norm", {{"rows", "65536"}, {"cols", "2048"}}), chip, numerics::Format::fp32).timing.latency);
  };
  const double fits = latency("80 MB"), lost = latency("10 MB");
  EXPECT_GT(lost, 1.2 * fits);  // twice read and written once: 3 instead of 2
  EXPECT_LT(lost, 1.5 * fits);
}

TEST(Waves, ATileAtTheEdgeIsComputedWhole) {
  const auto chip = library_chip("a100-sxm-80g");
  ASSERT_TRUE(chip);
  const auto latency = [&](const char* m) {
    return microseconds(
        time(build("batch_gemm", {{"b", "512"}, {"m", m}, {"n", "2048"}, {"k", "2048"}}), chip, numerics::Format::fp32).timing.latency);
  };
  EXPECT_GT(latency("64"), 0.9 * latency("128"));
  EXPECT_LT(latency("128"), 0.6 * latency("256"));
}

/// Microseconds of a product of m rows, by 8192 x 8192 in fp32 unless said otherwise.
double few_rows(const std::shared_ptr<const chip::Chip>& chip, std::int64_t m, numerics::Format format = numerics::Format::fp32,
                const char* n = "8192", const char* k = "8192") {
  const graph::Graph gemm = build("gemm", {{"m", fmt::format("{}", m)}, {"n", n}, {"k", k}});
  return microseconds(time(gemm, chip, format).timing.latency);
}

TEST(Waves, FewRowsTakeWhatMemoryTakes) {
  for (const char* name : {"a100-sxm-80g", "h100-sxm", "l4", "a10", "v100-pcie-32g", "p4", "mi210"}) {
    SCOPED_TRACE(name);
    const auto chip = library_chip(name);
    const auto& memory = chip->memories[chip::off_chip_memory(*chip).index()];
    const double share = memory.sustained_tiles ? memory.sustained_tiles->value : memory.sustained.value;
    const double least = 1e6 * 8192.0 * 8192 * 4 / (memory.bandwidth.value * share);
    double before = 0;
    for (const std::int64_t m : {1, 4, 16, 17}) {
      const double taken = few_rows(chip, m);
      EXPECT_GE(taken, before) << m;
      EXPECT_GT(taken, least) << m;
      EXPECT_LT(taken, 1.15 * least) << m;
      before = taken;
    }
  }
  // Where the format has no multipliers, too; and not in formats that the unit's file does not name.
  const auto lanes = library_chip("v100-pcie-32g");
  EXPECT_LT(few_rows(lanes, 1, numerics::Format::bf16), 0.6 * few_rows(lanes, 1));
  EXPECT_GT(few_rows(library_chip("a100-sxm-80g", {{"/units/simt/vectors/rows/fp32", "1"}}), 4),
            4 * few_rows(library_chip("a100-sxm-80g"), 4));
}

TEST(Waves, ARowMoreIsNoCliffBeyondTheEdgesOfTiles) {
  // Kernels for few rows reach to where tiles take over, so that nothing lies between them. A row more than whole tiles may take twice as
  // long, as it does on silicon (bf16 on an A100, 256 to 257 rows: 1.96 measured).
  std::vector<std::int64_t> rows;
  for (std::int64_t m = 1; m <= 72; ++m) rows.push_back(m);
  for (const std::int64_t m : {95, 96, 97, 127, 128, 129, 160, 191, 192, 193, 224, 255, 256, 257, 320, 384, 448, 511, 512})
    rows.push_back(m);
  struct Case {
    const char* chip;
    numerics::Format format;
  };
  for (const Case& c :
       {Case{"a100-sxm-80g", numerics::Format::fp32}, Case{"v100-pcie-32g", numerics::Format::bf16},
        Case{"p100-pcie-16g", numerics::Format::fp16}, Case{"l4", numerics::Format::fp32}, Case{"h100-sxm", numerics::Format::bf16}}) {
    const auto chip = library_chip(c.chip);
    for (const auto& [n, k] : std::vector<std::pair<const char*, const char*>>{{"8192", "8192"}, {"128", "8192"}, {"4096", "1024"}}) {
      double before = 0, most = 0;
      for (const std::int64_t m : rows) {
        SCOPED_TRACE(fmt::format("{} rows by {} x {} in {} on {}", m, n, k, numerics::format_name(c.format), c.chip));
        const double taken = few_rows(chip, m, c.format, n, k);
        if (before > 0 && (m <= 72 || m % 32 == 1)) {
          EXPECT_LT(taken, (m % 32 == 1 ? 2.1 : 1.35) * before);
        }
        EXPECT_GT(taken, 0.92 * most);
        before = taken;
        most = std::max(most, taken);
      }
    }
  }
}

TEST(Waves, MoreRowsTogetherTakeNoLongerThanApart) {
  for (const auto& [name, format] : {std::pair{"a100-sxm-80g", numerics::Format::fp32}, {"v100-pcie-32g", numerics::Format::bf16}}) {
    const auto chip = library_chip(name);
    ASSERT_TRUE(chip);
    double least = few_rows(chip, 1, format);
    for (const std::int64_t m : {8, 16, 24, 32, 48, 64, 96, 128}) {
      const double each = few_rows(chip, m, format) / static_cast<double>(m);
      EXPECT_LT(each, 1.05 * least) << m << " rows on " << name;
      least = std::min(least, each);
    }
  }
}

TEST(Waves, MoreBlocksThanAProgramMayHaveTakeTheirShare) {
  // Instances that stand for several blocks are timed as these: twice as many products, and a few more, take twice as long.
  struct Case {
    const char *chip, *scratchpad;
    int batch, more;
  };
  for (const Case& c : {Case{"p100-pcie-16g", "48 KiB", 64, 130}, Case{"a100-pcie-80g", "163 KiB", 300, 605}}) {
    const auto chip = library_chip(c.chip, {{"/memories/smem/bytes", c.scratchpad}});
    ASSERT_TRUE(chip);
    const auto latency = [&](int b) {
      const auto g = build("batch_gemm", {{"b", fmt::format("{}", b)}, {"m", "4096"}, {"n", "4096"}, {"k", "64"}});
      return microseconds(time(g, chip, numerics::Format::fp32).timing.latency);
    };
    EXPECT_NEAR(latency(c.more) / latency(c.batch), static_cast<double>(c.more) / c.batch, 0.05) << c.chip;
  }
}

TEST(Waves, FewRowsComputeWhatTheModelSays) {
  const auto chip = library_chip("a100-sxm-80g");
  ASSERT_TRUE(chip);
  for (const char* rows : {"3", "40"}) {
    const graph::Graph g = build("gemm", {{"m", rows}, {"n", "50"}, {"k", "700"}});
    std::vector<numerics::Tensor> inputs;
    for (const graph::TensorId id : g.inputs)
      inputs.push_back(numerics::seeded_uniform(inputs.size() + 1, numerics::Format::fp32, g.tensor(id).shape, 1));
    const Timed t = time(g, chip, numerics::Format::fp32);
    const auto run = simulation::execute(t.compiled.program, inputs, {1, {}});
    ASSERT_TRUE(run.ok()) << format_failure(run.failure());
    const auto expected = graph::evaluate(g, inputs);
    for (std::int64_t i = 0; i < expected[0].count(); ++i) EXPECT_NEAR(run.value().outputs[0].at(i), expected[0].at(i), 1e-4) << i;
  }
}

TEST(Waves, InstructionsOfAnOperationAreItsTime) {
  const graph::Graph g = build("pow", {{"rows", "8192"}, {"cols", "8192"}, {"operands", "1"}});
  const auto latency = [&](const char* count) {
    return microseconds(time(g, library_chip("mi210", {{"/units/simt/instructions/pow", count}}), numerics::Format::fp32).timing.latency);
  };
  // 8192 x 8192 on 104 x 64 lanes at 1.7 GHz: 5.93 us an instruction.
  EXPECT_NEAR(latency("400") - latency("200"), 200 * 5.93, 5);
}

TEST(Waves, MoreOfAnythingIsNeverSlower) {
  const graph::Graph gemm = build("gemm", {{"m", "3000"}, {"n", "2000"}, {"k", "1000"}});
  const auto latency = [&](const std::vector<chip::Override>& overrides) {
    return time(gemm, library_chip("h100-sxm", overrides), numerics::Format::bf16).timing.latency;
  };
  const Picoseconds usual = latency({});
  for (const auto& [pointer, value] : std::vector<std::pair<std::string, std::string>>{{"/memories/hbm/bandwidth", "6.7 TB/s"},
                                                                                       {"/memories/l2/bandwidth", "11 TB/s"},
                                                                                       {"/sequencer/waves/start", "1000 cycles"},
                                                                                       {"/sequencer/waves/store", "40 B/cycle"},
                                                                                       {"/units/tensor/sustained", "0.99"},
                                                                                       {"/components/sm/array", "[264]"}})
    EXPECT_LE(latency({{pointer, value}}), usual) << pointer;
}

TEST(Waves, OnlyGridsInWavesHaveSlicesAndStages) {
  const auto chip = library_chip("a100-sxm-80g");
  ASSERT_TRUE(chip);
  Timed t = time(build("gemm", {{"m", "64"}, {"n", "64"}, {"k", "16384"}}), chip, numerics::Format::bf16);
  program::Program p = t.compiled.program;
  EXPECT_GT(p.contexts[0].slices, 1) << "a long reduction is cut";
  const auto code = [](const program::Program& program) {
    const auto verified = program::verify(program);
    return verified.ok() ? std::string("ok") : verified.failure().diagnostics[0].code;
  };
  EXPECT_EQ(code(p), "ok");
  p.contexts[0].slices = 0;
  EXPECT_EQ(code(p), "program/size");
  p.contexts[0].slices = 1;
  p.contexts[0].continues = true;
  EXPECT_EQ(code(p), "program/after");
  p.contexts[0].continues = false;
  p.contexts[0].band = program::Context::Band{-1, 0};
  EXPECT_EQ(code(p), "program/size");
  p.contexts[0].band.reset();
  p.buffers.back().lifetime = program::Lifetime::kernel;
  EXPECT_EQ(code(p), "program/memory");
}

}  // namespace
}  // namespace switchyard
