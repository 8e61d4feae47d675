#include <gtest/gtest.h>

#include <limits>
#include <sstream>

#include "report/json.h"
#include "report/occupancy.h"
#include "report/run.h"
#include "report/table.h"
#include "report/test_runs.h"
#include "report/text.h"
#include "support/document.h"

namespace switchyard::report {
namespace {

/// JSON is YAML: our own reader looks at what the writer wrote.
Node parsed(const std::string& text) {
  Result<Document> document = parse_document(text, "report.json");
  EXPECT_TRUE(document.ok()) << text << (document.ok() ? "" : format_failure(document.failure()));
  return document.ok() ? std::move(document).value().root : Node{};
}

/// The text at a path of keys and positions; "(absent)" where it leads nowhere.
std::string at(const Node& root, const std::vector<std::string>& path) {
  const Node* node = &root;
  for (const std::string& step : path) {
    if (node->kind == Node::Kind::sequence) {
      const std::size_t item = std::stoul(step);
      if (item >= node->items.size()) return "(absent)";
      node = &node->items[item];
    } else {
      node = node->find(step);
      if (node == nullptr) return "(absent)";
    }
  }
  return node->kind == Node::Kind::null ? "null" : node->text;
}

std::vector<std::string> keys_of(const Node* node) {
  std::vector<std::string> keys;
  if (node == nullptr) return keys;
  for (const auto& entry : node->entries) keys.push_back(entry.first);
  return keys;
}

/// Digits and point only: the text of a number, as a count of millionths.
std::int64_t millionths(const std::string& text) {
  const std::size_t point = text.find('.');
  EXPECT_EQ(text.size() - point - 1, 6u) << text;
  return std::stoll(text.substr(0, point) + text.substr(point + 1));
}

std::string number_after(const std::string& text, const std::string& key, std::size_t from = 0) {
  const std::size_t begin = text.find("\"" + key + "\": ", from);
  EXPECT_NE(begin, std::string::npos) << key;
  const std::size_t value = begin + key.size() + 4;
  return text.substr(value, text.find_first_of(",}\n", value) - value);
}

TEST(ReportJson, KeepsTheContractsKeysInOrder) {
  const Node j = parsed(print_json(sample_run()));
  using Keys = std::vector<std::string>;
  EXPECT_EQ(keys_of(&j), (Keys{"schema",
                               "model",
                               "chip",
                               "precision",
                               "batch",
                               "latency_us",
                               "lower_bound_us",
                               "gap",
                               "peak_bound_us",
                               "throughput_per_s",
                               "energy_j",
                               "attribution_us",
                               "utilization",
                               "traffic_bytes",
                               "contexts",
                               "host",
                               "memory_peak_bytes",
                               "outputs",
                               "check",
                               "launch_us",
                               "load_us",
                               "timings_s",
                               "assumptions",
                               "notes",
                               "provenance"}));
  EXPECT_EQ(keys_of(j.find("model")), (Keys{"name", "sha256", "ops", "macs", "parameters"}));
  EXPECT_EQ(keys_of(j.find("attribution_us")), (Keys{"compute", "memory", "interconnect", "reconfiguration", "control", "imbalance"}));
  EXPECT_EQ(keys_of(j.find("utilization")), (Keys{"matrix", "vector", "offchip", "network"}));
  EXPECT_EQ(keys_of(j.find("traffic_bytes")), (Keys{"offchip_read", "offchip_written", "offchip_constants", "network", "links"}));
  EXPECT_EQ(keys_of(j.find("timings_s")), (Keys{"import", "compile", "execute", "simulate"}));
  ASSERT_EQ(j.find("contexts")->items.size(), 20u);
  EXPECT_EQ(keys_of(&j.find("contexts")->items[0]), (Keys{"name", "ops", "repeat", "span_us", "busy_us", "busy_bound_us", "share_us",
                                                          "lower_bound_us", "macs", "vector_ops", "offchip_bytes", "attribution_us"}));
  EXPECT_EQ(at(j, {"schema"}), "switchyard/run/1");
  EXPECT_EQ(at(j, {"model", "parameters"}), "25557032");
  EXPECT_EQ(at(j, {"gap"}), "2.00000001");
  EXPECT_NEAR(std::stod(at(j, {"throughput_per_s"})), 4 / 1.000000007e-3, 1e-4);
  EXPECT_EQ(at(j, {"energy_j"}), "null");
  EXPECT_EQ(at(j, {"outputs", "0", "shape", "1"}), "1000");
  EXPECT_EQ(at(j, {"check", "against"}), "reference");
  EXPECT_EQ(at(j, {"check", "passed"}), "true");
}

TEST(ReportJson, TimesAddUpToTheLastDigit) {
  const std::string text = print_json(sample_run());
  EXPECT_EQ(number_after(text, "latency_us"), "1000.000007");
  std::int64_t causes = 0;
  for (const char* cause : simulation::kCauseNames) causes += millionths(number_after(text, cause, text.find("\"attribution_us\"")));
  EXPECT_EQ(causes, 1'000'000'007);
  std::int64_t shares = millionths(number_after(text, "launch_us"));
  for (std::size_t at = text.find("\"share_us\""); at != std::string::npos; at = text.find("\"share_us\"", at + 1)) {
    shares += millionths(number_after(text, "share_us", at));
  }
  EXPECT_EQ(shares, 1'000'000'007);
}

TEST(ReportJson, SurvivesAnyNameAndAnyNumber) {
  RunReport r = sample_run();
  r.model.name = "bad \xff utf-8 \x01 \"quoted\"";
  r.check.passed = false;
  r.check.max_abs_error = std::numeric_limits<double>::infinity();
  r.check.first = Divergence{"Conv_1", "t", {0, 3}, std::numeric_limits<double>::quiet_NaN(), 1, 0.5, "c", {}};
  const std::string text = print_json(r);
  EXPECT_NE(text.find("bad \xef\xbf\xbd utf-8 \\u0001 \\\"quoted\\\""), std::string::npos) << text.substr(0, 200);
  const Node j = parsed(text);
  EXPECT_EQ(at(j, {"check", "max_abs_error"}), "null");
  EXPECT_EQ(at(j, {"check", "first_divergence", "op"}), "Conv_1");
  EXPECT_EQ(at(j, {"check", "first_divergence", "index", "1"}), "3");
  EXPECT_EQ(at(j, {"check", "first_divergence", "got"}), "null");
}

TEST(ReportJson, SaysWhenNothingWasExecutedOrCompared) {
  RunReport r = sample_run();
  r.check = {};
  const Node off = parsed(print_json(r));
  EXPECT_EQ(keys_of(off.find("check")), (std::vector<std::string>{"executed"}));
  EXPECT_EQ(at(off, {"check", "executed"}), "false");
  r.check.executed = true;
  EXPECT_EQ(at(parsed(print_json(r)), {"check", "passed"}), "null");
}

TEST(ReportJson, ComparesWithARowForAChipThatCannot) {
  RunReport failed;
  failed.chip.name = "p100";
  failed.precision = "bf16";
  failed.error = Diagnostic{"compile/unsupported-format", "p100 does not compute in bf16", {}, {}, {}, {}};
  const Node j = parsed(print_comparison_json({sample_run(), failed}));
  EXPECT_EQ(at(j, {"schema"}), "switchyard/compare/1");
  ASSERT_EQ(j.find("runs")->items.size(), 2u);
  EXPECT_EQ(at(j, {"runs", "0", "latency_us"}), "1000.000007");
  EXPECT_EQ(at(j, {"runs", "1", "chip", "name"}), "p100");
  EXPECT_EQ(at(j, {"runs", "1", "error", "code"}), "compile/unsupported-format");
}

TEST(ReportJson, ListsChipsAndModels) {
  const Node chips = parsed(print_chips_json({{"tx81", "rpu", "", {{"bf16", 128.25}}}}));
  EXPECT_EQ(at(chips, {"schema"}), "switchyard/chips/1");
  EXPECT_EQ(at(chips, {"chips", "0", "name"}), "tx81");
  EXPECT_EQ(at(chips, {"chips", "0", "family"}), "rpu");
  EXPECT_EQ(at(chips, {"chips", "0", "peak_tflops", "bf16"}), "128.25");
  const Node models = parsed(print_models_json({{"gemm", "C = A B", {"m=1024"}, {}}}));
  EXPECT_EQ(at(models, {"schema"}), "switchyard/models/1");
  EXPECT_EQ(at(models, {"models", "0", "parameters", "0"}), "m=1024");
}

int widest(const std::string& text) {
  int columns = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) columns = std::max(columns, columns_of(line));
  return columns;
}

TEST(ReportJson, WritesARunOnOneLine) {
  const std::string line = print_json_line(sample_run());
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_EQ(keys_of(&*std::make_unique<Node>(parsed(line))), keys_of(&*std::make_unique<Node>(parsed(print_json(sample_run())))));
}

TEST(ReportJson, FlagsWhatIsPartialAndWhatWasOverridden) {
  RunReport r = sample_run();
  r.partial = "interrupted while executing";
  r.overrides = {"/memories/ddr/bandwidth=400GB/s"};
  const Node j = parsed(print_json(r));
  EXPECT_EQ(at(j, {"partial"}), "interrupted while executing");
  EXPECT_EQ(at(j, {"provenance", "overrides", "0"}), "/memories/ddr/bandwidth=400GB/s");
  const std::string table = print_table(r, {});
  EXPECT_NE(table.find("PARTIAL: interrupted while executing"), std::string::npos) << table;
  EXPECT_NE(table.find("overridden: /memories/ddr/bandwidth=400GB/s"), std::string::npos) << table;
}

TEST(ReportTable, FitsTheScreenAndSaysWhatMatters) {
  RunReport r = sample_run();
  r.notes.push_back("a note so long that it has to be wrapped over lines, " + std::string(120, 'x') + " and on and on and on and on");
  const std::string text = print_table(r, {});
  EXPECT_LE(widest(text), 100) << text;
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  for (const char* wanted : {"resnet50 on tx81: bf16, batch 4", "1.000 ms", "gap 2.00", "imbalance", "used ", "12 more", "+1", "passed",
                             "rests on 1 assumed number and 1 calibrated", "/networks/noc/hop = 1 ns", "note: exp runs"}) {
    EXPECT_NE(text.find(wanted), std::string::npos) << wanted << "\n" << text;
  }
  EXPECT_NE(print_table(r, {true}).find("\x1b["), std::string::npos);
}

TEST(ReportTable, SaysThatSpansOverlapWhereMoversAreEarly) {
  RunReport r = sample_run();
  EXPECT_EQ(print_table(r, {}).find("early"), std::string::npos);
  r.contexts[3].early = Picoseconds(1'000'000);
  r.contexts[7].early = Picoseconds(2'000'000);
  const std::string text = print_table(r, {});
  EXPECT_LE(widest(text), 100) << text;
  EXPECT_NE(text.find("2 of 20 contexts begin early, fetching beside those before: spans overlap, shares add up"), std::string::npos)
      << text;
}

TEST(ReportTable, NamesTheDivergingOperator) {
  RunReport r = sample_run();
  r.check.passed = false;
  r.check.first = Divergence{"Conv_7", "t7", {0, 3, 1}, 1.5, 1.25, 0.01, "context7", {}};
  const std::string text = print_table(r, {});
  EXPECT_LE(widest(text), 100) << text;
  EXPECT_NE(text.find("FAILED"), std::string::npos);
  EXPECT_EQ(describe_divergence(r.check),
            "first diverging operator: Conv_7 (context context7), t7[0, 3, 1] is 1.5, expected 1.25, allowed error 0.01");
}

/// Runs of spaces as one.
std::string squeezed(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c != ' ' || out.empty() || out.back() != ' ') out += c;
  }
  return out;
}

TEST(ReportTable, ComparesSideBySide) {
  RunReport failed;
  failed.chip.name = "p100";
  failed.error = Diagnostic{"compile/unsupported-format", "p100 does not compute in bf16", {}, {}, {}, {}};
  RunReport long_name = sample_run();
  long_name.chip.name = "a-chip-with-a-rather-long-name";
  RunReport faster = sample_run();
  faster.chip.name = "h100-sxm";
  faster.latency = Picoseconds(250'000'000);
  faster.launch = Picoseconds(50'000'000);
  const std::string text = squeezed(print_comparison({sample_run(), failed, faster}, {}));
  for (const char* wanted : {
           " tx81 h100-sxm\n",  // a column each
           " times as fast 1.00 4.00\n",
           "where the time goes\n",
           " compute 600.000 us 60.0 % 600.000 us 240.0 %\n",
           "launch, in it",
           "p100: p100 does not compute in bf16 [compile/unsupported-format]",
           " check ok ok\n",
       }) {
    EXPECT_NE(text.find(wanted), std::string::npos) << wanted << "\n" << text;
  }
  for (std::size_t chips = 1; chips < 7; ++chips) {
    const std::string many = print_comparison(std::vector<RunReport>(chips, long_name), {});
    EXPECT_LE(widest(many), 100) << many;
  }
  // An operator that another chip fused with others stands in one row; one that it does not have is a dash.
  RunReport fused = sample_run();
  fused.chip.name = "fused";
  fused.contexts.resize(1);
  fused.contexts[0].ops = {"Other", "Conv_1"};
  RunReport plain = sample_run();
  plain.contexts.resize(2);
  plain.contexts[0].ops = {"Conv_1"};
  plain.contexts[1].ops = {"Conv_2"};
  const std::string rows = print_comparison({plain, fused}, {});
  EXPECT_NE(rows.find("Conv_2 "), std::string::npos);
  EXPECT_NE(rows.find(" -\n"), std::string::npos) << rows;
  EXPECT_EQ(rows.find("Other"), std::string::npos) << rows;
}

/// A program of `n` contexts; buffer b is loaded in contexts uses[b].
TEST(Report, FindsTheFullestContext) {
  auto chip = std::make_shared<chip::Chip>();
  chip::Memory dram, scratchpad;
  dram.kind = chip::MemoryKind::dram;
  scratchpad.kind = chip::MemoryKind::scratchpad;
  scratchpad.bytes.value = 4096;
  chip->memories = {dram, scratchpad};
  program::Program p;
  p.chip = chip;
  p.contexts.resize(3);
  const auto add = [&](std::int64_t bytes, program::BufferRole role, program::Lifetime life, std::vector<std::size_t> uses) {
    program::Buffer b;
    b.bytes = bytes;
    b.role = role;
    b.lifetime = life;
    p.buffers.push_back(b);
    for (const std::size_t c : uses) {
      program::Actor a;
      a.kind = program::ActorKind::move;
      a.source = program::BufferAccess{program::BufferId(p.buffers.size() - 1), {}, {}, 0};
      p.contexts[c].actors.push_back(a);
    }
  };
  add(1000, program::BufferRole::constant, program::Lifetime::persistent, {});
  add(100, program::BufferRole::input, program::Lifetime::program, {1});
  add(10, program::BufferRole::intermediate, program::Lifetime::program, {1, 2});
  add(1, program::BufferRole::output, program::Lifetime::program, {2});
  EXPECT_EQ(peak_offchip_bytes(p), 1110);
  EXPECT_EQ(peak_offchip_bytes(program::Program{}), 0);

  program::Channel channel;
  channel.memory = chip::MemoryId(1);
  channel.bytes = 512;
  p.contexts[1].channels.push_back(channel);
  p.contexts[1].channels.push_back(channel);
  program::Actor actor;
  actor.states.push_back({"sum", {}, 0, {}, chip::MemoryId(1), 2048, 256});
  p.contexts[2].actors.push_back(actor);
  EXPECT_EQ(peak_scratchpad_bytes(p), 1024);
}

/// Tensors that stay in scratchpads count there, over their life, and not off chip.
TEST(Report, CountsWhatStaysInScratchpads) {
  auto chip = std::make_shared<chip::Chip>();
  chip->components.resize(2);
  chip->components[1].shape = {4};
  chip::Memory dram, scratchpad;
  dram.kind = chip::MemoryKind::dram;
  scratchpad.kind = chip::MemoryKind::scratchpad;
  scratchpad.in = chip::ComponentId(1);
  chip->memories = {dram, scratchpad};
  program::Program p;
  p.chip = chip;
  p.contexts.resize(4);
  const auto use = [&](std::size_t context, std::size_t buffer) {
    program::Actor a;
    a.kind = program::ActorKind::compute;
    a.array = program::ArrayId(0);
    program::Port port;
    port.place = program::BufferAccess{program::BufferId(buffer), {}, {}, 0};
    a.ports.push_back(port);
    p.contexts[context].actors.push_back(a);
  };
  const auto add = [&](std::int64_t elements, std::vector<std::uint32_t> components, std::vector<std::size_t> uses) {
    program::Buffer b;
    b.memory = chip::MemoryId(1);
    b.shape = {elements * 4};
    b.order = {0};
    b.bytes = elements * 4;
    b.spread = program::Spread{
        {static_cast<std::int64_t>(components.size())}, components, {numerics::affine_variable(0, elements)}, {elements}, 1};
    p.buffers.push_back(b);
    for (const std::size_t c : uses) use(c, p.buffers.size() - 1);
  };
  for (program::Context& c : p.contexts) c.arrays.push_back({"tiles", chip::ComponentId(1), {4}, {0, 1, 2, 3}, false, {}});
  add(100, {0, 1, 2, 3}, {0, 2});  // lives through context 1
  add(50, {2}, {1});
  EXPECT_EQ(peak_offchip_bytes(p), 0);
  EXPECT_EQ(peak_scratchpad_bytes(p), 600);
  // A channel that an early mover of context 3 fills, which may start when context 0 has ended: it is there from context 1 on.
  program::Actor load;
  load.kind = program::ActorKind::move;
  load.array = program::ArrayId(0);
  load.early = true;
  load.ports.emplace_back();
  p.contexts[3].actors.push_back(load);
  use(3, 1);
  program::Channel channel;
  channel.from = {program::ActorId(0), 0};
  channel.to.push_back({{program::ActorId(1), 0}, {}});
  channel.memory = chip::MemoryId(1);
  channel.bytes = 1000;
  p.contexts[3].channels.push_back(channel);
  p.contexts[3].early_after = {program::ContextId(0)};
  EXPECT_EQ(peak_scratchpad_bytes(p), 1600);
  p.contexts[3].early_after = {program::ContextId(2)};
  EXPECT_EQ(peak_scratchpad_bytes(p), 1200);
  std::vector<std::int64_t> of_the_first;
  visit_occupancy(p, [&](chip::MemoryId memory, std::size_t, std::span<const std::int64_t> bytes) {
    EXPECT_EQ(memory, chip::MemoryId(1));
    of_the_first.push_back(bytes[0]);
  });
  EXPECT_EQ(of_the_first, (std::vector<std::int64_t>{400, 400, 400, 1000}));
}

TEST(Report, HandsOutputsOutInTheirDeclaredType) {
  program::Program p;
  p.labels.output_formats = {"fp32", "bf16", "fp16"};
  const numerics::Tensor bf16 = numerics::seeded_uniform(1, numerics::Format::bf16, {4}, 1);
  const auto outputs = declared_outputs(p, {bf16, bf16, bf16, bf16});
  ASSERT_EQ(outputs.size(), 4u);
  EXPECT_EQ(outputs[0].format, numerics::Format::fp32);
  EXPECT_EQ(outputs[1].format, numerics::Format::fp32);
  EXPECT_EQ(outputs[2].format, numerics::Format::fp16);
  EXPECT_EQ(outputs[3].format, numerics::Format::fp32);
  for (std::int64_t i = 0; i < 4; ++i) EXPECT_EQ(outputs[0].at(i), bf16.at(i));
}

}  // namespace
}  // namespace switchyard::report
