// What is counted from a program is what the timing engine moves, and maps and explanations of it can be read.
#include "program/traffic.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "chip/read.h"
#include "compiler/compiler.h"
#include "model/model.h"
#include "program/text.h"
#include "report/explain.h"
#include "report/json.h"
#include "report/levers.h"
#include "report/map.h"
#include "report/svg.h"
#include "report/text.h"
#include "support/document.h"

namespace switchyard::report {
namespace {

struct Made {
  std::string name;
  compiler::Compiled compiled;
  simulation::Timing timing;
};

Made make(const std::string& model, const std::map<std::string, std::int64_t>& set, const std::string& chip_name) {
  auto chip = chip::load_chip(chip_name, {});
  model::LoadOptions how;
  how.set = set;
  auto loaded = model::load_model(model, how);
  if (!chip || !loaded) throw std::runtime_error("the library's chips and models are read elsewhere");
  compiler::CompileOptions options;
  options.effort = 0;
  auto compiled = compiler::compile(loaded.value().graph, std::make_shared<chip::Chip>(std::move(chip).value()), options);
  if (!compiled) throw std::runtime_error(format_failure(compiled.failure()));
  auto timing = simulation::time_program(compiled.value().program);
  if (!timing) throw std::runtime_error(format_failure(timing.failure()));
  return {model + " on " + chip_name, std::move(compiled).value(), std::move(timing).value()};
}

/// Several contexts, tensors that stay, halos, multicasts; ragged tiles; a crossbar; a torus with holes; a grid.
const std::vector<Made>& made() {
  static const std::vector<Made> list = [] {
    std::vector<Made> all;
    all.push_back(make("resnet18", {}, "tx81"));
    all.push_back(make("gemm", {{"m", 200}, {"n", 300}, {"k", 70}}, "tx81"));
    all.push_back(make("gemm", {{"m", 256}, {"n", 256}, {"k", 256}}, "rpu-8x8"));
    all.push_back(make("gemm", {{"m", 500}, {"n", 256}, {"k", 128}}, "wormhole-n150"));
    all.push_back(make("gemm", {{"m", 256}, {"n", 256}, {"k", 256}}, "tpu-like-x4"));
    return all;
  }();
  return list;
}

const Made& on_a_grid() {
  static const Made grid = make("gemm", {{"m", 1000}, {"n", 512}, {"k", 128}}, "h100-sxm");
  return grid;
}

TEST(Traffic, IsWhatTheTimingEngineMoves) {
  for (const Made& m : made()) {
    std::int64_t read = 0, written = 0, links = 0, macs_work = 0;
    for (const program::Context& context : m.compiled.program.contexts) {
      const program::ContextTraffic t = program::count_traffic(m.compiled.program, context);
      read += t.read;
      written += t.written;
      for (const auto& network : t.links) {
        for (const std::int64_t bytes : network) links += bytes;
      }
      for (const std::int64_t work : t.work) macs_work += work;
      std::int64_t at_ports = 0;
      for (const program::PortTraffic& p : t.ports) at_ports += p.read + p.written;
      EXPECT_EQ(at_ports, t.read + t.written) << m.name << ", " << context.name;
    }
    EXPECT_EQ(links, m.timing.link_bytes) << m.name;
    EXPECT_GT(macs_work, 0) << m.name;
    if (m.compiled.program.chip->name == "tpu-like-x4") continue;  // its caches keep traffic from the memory
    EXPECT_EQ(read, m.timing.offchip_read) << m.name;
    EXPECT_EQ(written, m.timing.offchip_written) << m.name;
  }
}

TEST(Traffic, DealsGridsEvenly) {
  const Made& m = on_a_grid();
  const program::ContextTraffic t = program::count_traffic(m.compiled.program, m.compiled.program.contexts[0]);
  std::int64_t all = 0;
  for (const std::int64_t n : t.dealt) all += n;
  const auto& array = m.compiled.program.contexts[0].arrays[0];
  std::int64_t instances = 1;
  for (const std::int64_t extent : array.shape) instances *= extent;
  EXPECT_EQ(all, instances);
  EXPECT_LE(*std::max_element(t.dealt.begin(), t.dealt.end()) - *std::min_element(t.dealt.begin(), t.dealt.end()), instances);
  EXPECT_GT(t.read, 0);
}

/// Names of the elements of a document whose tags are balanced; empty when they are not, or when text is not escaped.
std::map<std::string, int> elements_of(const std::string& xml) {
  std::map<std::string, int> count;
  std::vector<std::string> open;
  for (std::size_t at = xml.find('<'); at != std::string::npos; at = xml.find('<', at + 1)) {
    const std::size_t end = xml.find('>', at);
    if (end == std::string::npos || xml.find('<', at + 1) < end) return {};
    const std::string tag = xml.substr(at + 1, end - at - 1);
    const std::string name = tag.substr(tag[0] == '/' ? 1 : 0, tag.find_first_of(" /", 1) - (tag[0] == '/' ? 1 : 0));
    if (tag[0] == '/') {
      if (open.empty() || open.back() != name) return {};
      open.pop_back();
    } else {
      ++count[name];
      if (tag.back() != '/') open.push_back(name);
    }
  }
  return open.empty() ? count : std::map<std::string, int>{};
}

TEST(Map, DrawsEveryKindOfChip) {
  for (const Made& m : made()) {
    const std::string svg = draw_map(m.compiled.program, m.timing);
    const auto elements = elements_of(svg);
    ASSERT_FALSE(elements.empty()) << m.name;
    EXPECT_EQ(elements.at("svg"), 1) << m.name;
    EXPECT_GT(elements.at("rect"), 16) << m.name;
    EXPECT_NE(svg.find("busy "), std::string::npos) << m.name;
    EXPECT_EQ(svg.find("nan"), std::string::npos) << m.name;
  }
  const std::string grid = draw_map(on_a_grid().compiled.program, on_a_grid().timing);
  ASSERT_FALSE(elements_of(grid).empty());
  EXPECT_NE(grid.find("of their turns used"), std::string::npos);
}

TEST(Map, IsTheSameEachTimeAndNamesWhatItLeavesOut) {
  const Made& m = made()[0];
  const std::string svg = draw_map(m.compiled.program, m.timing, 3);
  EXPECT_EQ(svg, draw_map(m.compiled.program, m.timing, 3));
  std::size_t panels = 0;
  for (std::size_t at = svg.find(" id=\"c"); at != std::string::npos; at = svg.find(" id=\"c", at + 1)) ++panels;
  EXPECT_EQ(panels, 3u);
  for (const program::Context& c : m.compiled.program.contexts) EXPECT_NE(svg.find(escape_xml(c.name)), std::string::npos) << c.name;
}

TEST(Map, DrawsOneContextAlone) {
  const Made& m = made()[0];
  const std::size_t last = m.compiled.program.contexts.size() - 1;
  const program::Context& c = m.compiled.program.contexts[last];
  const std::string svg = draw_map(m.compiled.program, m.timing, 12, c.name);
  const std::size_t at = svg.find(" id=\"c");
  EXPECT_EQ(svg.find(fmt::format(" id=\"c{}\"", last)), at);
  EXPECT_EQ(svg.find(" id=\"c", at + 1), std::string::npos);
  ASSERT_FALSE(c.ops.empty());
  EXPECT_EQ(draw_map(m.compiled.program, m.timing, 12, c.ops.back()), svg);
}

TEST(Map, EscapesNames) {
  EXPECT_EQ(escape_xml("a<b>&\"c\"'"), "a&lt;b&gt;&amp;&quot;c&quot;&apos;");
  EXPECT_EQ(escape_xml("tab\there \x7f \xff \xc3\xa9 \xe2\x82 \xed\xa0\x80"), "tab?here ? ? \xc3\xa9 ?? ???");
  program::Program p = made()[1].compiled.program;
  p.labels.model = "<script>alert('x')</script>";
  p.contexts[0].name = "a & b \x01";
  const std::string svg = draw_map(p, made()[1].timing);
  EXPECT_EQ(svg.find("<script"), std::string::npos);
  EXPECT_FALSE(elements_of(svg).empty());
}

TEST(Levers, MakeQuantitiesTwiceAsGood) {
  struct Case {
    const char *pointer, *quantity, *wanted;
  };
  constexpr Case kCases[] = {
      {"/memories/ddr/bandwidth", "200 GB/s", "400GB/s"},
      {"/sequencer/issue", "0.3 us", "0.15us"},
      {"/memories/ddr/sustained", "0.8", "1"},
      {"/memories/ddr/sustained", "100 %", ""},
      {"/movers/dte/outstanding", "2", "4"},
      {"/units/ne/rate/bf16", "4096 MAC/cycle", "8192MAC/cycle"},
      {"/clocks/core", "1.2 GHz", "2.4GHz"},
      {"/movers/dte/multicast", "16", ""},
      {"/memories/spm/bytes", "3 MiB", ""},
      {"/sequencer/issue", "0 s", ""},
      {"/sequencer/issue", "soon", ""},
  };
  for (const Case& c : kCases) EXPECT_EQ(twice_as_good(c.pointer, c.quantity), c.wanted) << c.pointer << " " << c.quantity;
}

Explanation explained(const Made& m) {
  const auto read = [&](const chip::Override& change) { return chip::load_chip(m.compiled.program.chip->name, {}, {change}); };
  return explain(m.compiled, m.timing, describe_run(m.compiled.program, m.timing), try_levers(m.compiled.program, m.timing, {}, read));
}

int widest(const std::string& text) {
  int columns = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) columns = std::max(columns, columns_of(line));
  return columns;
}

TEST(Explain, TellsWhyAndWhatWouldHelp) {
  for (const Made* m : {&made()[0], &made()[3], &on_a_grid()}) {
    const Explanation e = explained(*m);
    ASSERT_EQ(e.contexts.size(), m->compiled.program.contexts.size());
    EXPECT_FALSE(e.why.empty()) << m->name;
    ASSERT_FALSE(e.levers.empty()) << m->name;
    for (std::size_t i = 0; i < e.levers.size(); ++i) {
      EXPECT_LT(e.levers[i].latency, m->timing.latency);
      EXPECT_EQ(e.levers[i].shares.size(), e.contexts.size());
      EXPECT_LE(e.levers[i > 0 ? i - 1 : 0].latency, e.levers[i].latency);
    }
    const std::string text = print_explanation(e, false);
    EXPECT_LE(widest(text), 100) << text;
    for (const char* wanted : {"why this time", "what would help", "--override /", "why this mapping", "--context "})
      EXPECT_NE(text.find(wanted), std::string::npos) << wanted << "\n" << text;
    for (const ContextStory& c : e.contexts) {
      EXPECT_FALSE(c.why.empty());
      EXPECT_FALSE(c.tensors.empty());
      EXPECT_LT(c.decision.chosen, c.decision.alternatives.size()) << c.report.name;
      const std::string story = print_context(e, c, false);
      EXPECT_LE(widest(story), 100) << story;
      for (const char* wanted : {"share", "chosen", "tensors", "reads", "writes"})
        EXPECT_NE(story.find(wanted), std::string::npos) << wanted << "\n" << story;
    }
  }
}

TEST(Explain, SaysWhereTensorsLie) {
  const Explanation e = explained(made()[0]);
  std::int64_t stay = 0, sent = 0, early = 0;
  for (const ContextStory& c : e.contexts) {
    std::int64_t moved = 0;
    for (const TensorStory& t : c.tensors) {
      moved += t.moved;
      stay += t.stays ? 1 : 0;
      for (const TensorStory::Send& s : t.sends) sent += s.bytes;
      EXPECT_TRUE(!t.stays || t.moved == 0) << t.name;
      EXPECT_TRUE(!t.stays || t.copies >= 1 - 1e-9) << t.name << " " << t.copies;
    }
    EXPECT_EQ(moved, c.traffic.read + c.traffic.written) << c.report.name;
    early += c.ahead;
  }
  EXPECT_GT(stay, 10);
  EXPECT_GT(sent, 0);
  EXPECT_GT(early, 0);
}

TEST(Explain, FindsContextsByOperator) {
  const Explanation e = explained(made()[0]);
  const ContextStory& last = e.contexts.back();
  EXPECT_EQ(find_context(e, last.report.name), &last);
  ASSERT_FALSE(last.report.ops.empty());
  EXPECT_EQ(find_context(e, last.report.ops.back()), &last);
  EXPECT_EQ(find_context(e, "no such thing"), nullptr);
}

TEST(Explain, KeepsTheKeysOfItsSchema) {
  const Explanation e = explained(made()[0]);
  Result<Document> document = parse_document(print_explanation_json(e), "explain.json");
  ASSERT_TRUE(document.ok()) << format_failure(document.failure());
  const Node& j = document.value().root;
  const auto keys = [](const Node* node) {
    std::string text;
    for (const auto& entry : node->entries) text += (text.empty() ? "" : " ") + entry.first;
    return text;
  };
  EXPECT_EQ(keys(&j),
            "schema model chip precision disabled latency_us lower_bound_us gap launch_us attribution_us why decisions levers contexts "
            "notes provenance");
  EXPECT_EQ(j.find("schema")->text, "switchyard/explain/1");
  const Node& context = j.find("contexts")->items.at(1);
  EXPECT_EQ(
      keys(&context),
      "name ops start_us span_us busy_us busy_bound_us early_us share_us lower_bound_us bound attribution_us why mapping tensors early "
      "traffic_bytes demands "
      "levers");
  EXPECT_EQ(keys(context.find("mapping")), "text tried chosen alternatives");
  EXPECT_EQ(keys(&context.find("mapping")->find("alternatives")->items.at(0)),
            "text instances alone_us fetched_us offchip_us moves_us terms_us scratchpad_bytes");
  Result<Document> one = parse_document(print_explanation_json(e, &e.contexts[2]), "explain.json");
  ASSERT_TRUE(one.ok());
  EXPECT_EQ(one.value().root.find("contexts")->items.size(), 1u);
}

}  // namespace
}  // namespace switchyard::report
