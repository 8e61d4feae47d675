#include "graph/text.h"

#include <gtest/gtest.h>

#include "graph/test_graphs.h"
#include "graph/verify.h"

namespace switchyard::graph {
namespace {

TEST(Text, ParseOfPrintIsTheSame) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const std::string text = testing::random_graph_text(seed);
    const auto graph = parse(text, "random");
    ASSERT_TRUE(graph.ok()) << format_failure(graph.failure());
    const auto again = parse(print(graph.value()), "again");
    ASSERT_TRUE(again.ok()) << format_failure(again.failure());
    ASSERT_EQ(print(again.value()), print(graph.value()));
    ASSERT_EQ(again.value().ops.size(), graph.value().ops.size());
    for (std::size_t i = 0; i < again.value().ops.size(); ++i) {
      const Op& a = again.value().ops[i];
      const Op& b = graph.value().ops[i];
      EXPECT_EQ(a.nests, b.nests);
      EXPECT_EQ(a.operands, b.operands);
      EXPECT_EQ(a.results, b.results);
      EXPECT_EQ(a.nodes, b.nodes);
    }
  }
}

TEST(Text, NamesOfAnyCharactersComeBack) {
  Graph graph;
  graph.name = "a \"b\" \\ \n\x01\t# caf\xc3\xa9";
  graph.tensors.push_back({graph.name, numerics::Format::boolean, {}, Role::input, nullptr, false});
  graph.inputs = graph.outputs = {TensorId(0)};
  const auto back = parse(print(graph), "names");
  ASSERT_TRUE(back.ok()) << format_failure(back.failure());
  EXPECT_EQ(back.value().name, graph.name);
  EXPECT_EQ(back.value().tensors[0].name, graph.name);
  EXPECT_EQ(back.value().tensors[0].format, numerics::Format::boolean);
  EXPECT_FALSE(back.value().tensors[0].trained);
  EXPECT_TRUE(verify(back.value()).ok());
}

TEST(Text, MistakesAreFoundWhereTheyStand) {
  struct Row {
    const char* text;
    const char* want;
  };
  const std::string op = "switchyard graph 1\ninput \"a\" fp32[2]\nop \"o\" \"Op\"\n  operand 0 \"a\"\n  result 1 \"a\"\n";
  const std::pair<std::string, std::string> rows[] = {
      {"", "test:1:1: the text is empty"},
      {"# nothing\n\n", "test:1:1: the text is empty"},
      {"hello", "test:1:1: the first line is not 'switchyard graph 1'"},
      {"switchyard graph 1\nimput \"a\" fp32[1]", "test:2:6: unknown statement 'imput'"},
      {"switchyard graph 1\ninput a fp32[1]", "test:2:7: expected a quoted name"},
      {"switchyard graph 1\ninput \"a fp32[1]", "test:2:17: expected a quoted name"},
      {"switchyard graph 1\ninput \"a\" fp31[1]", "test:2:15: unknown format 'fp31'"},
      {"switchyard graph 1\ninput \"a\" fp32[-1]", "test:2:18: expected an extent"},
      {"switchyard graph 1\ninput \"a\" fp32[99999999999999999999]", "test:2:36: expected an extent"},
      {"switchyard graph 1\ninput \"a\" fp32[1] more", "test:2:19: unexpected text at the end of the line"},
      {"switchyard graph 1\ninputs \"a\"", "test:2:11: no tensor is called 'a'"},
      {"switchyard graph 1\n  nest i:2", "test:2:7: this belongs into an operator"},
      {"switchyard graph 1\n  x0 = slot 0[]", "test:2:5: a read belongs into a nest"},
      {op + "  operand 0 \"a\"", "test:6:12: the next slot is 2"},
      {op + "  nest i:2\n", "test:6:11: the nest before this has no write"},
      {op + "  nest i:2\n    x1 = slot 0[i]\n    slot 1[i] = none 0", "test:7:7: the next read is x0"},
      {op + "  nest i:2\n    x0 = slot 0[j]\n    slot 1[i] = none 0", "test:7:18: malformed index: expected a sum of loops of this nest"},
      {op + "  nest i:2\n    slot 1[i] = none x0", "test:7:24: the expression uses a read that is not there"},
      {op + "  nest i:2\n    slot 1[i] = sum 0", "test:7:20: unknown combiner 'sum'"},
      {op + "  nest i:2\n    slot 1[i] = none sec(1)", "test:7:28: malformed expression"},
      {op + "  nest i:2:spatial\n    slot 1[0] = none 0", "test:6:12: expected 'reduction' or 'sequential'"},
  };
  for (const auto& [text, want] : rows) {
    const auto graph = parse(text, "test");
    ASSERT_FALSE(graph.ok()) << text;
    const Diagnostic& d = graph.failure().diagnostics.at(0);
    EXPECT_EQ(d.code, "graph/syntax");
    EXPECT_EQ(fmt::format("{}:{}:{}: {}", d.location.file, d.location.line, d.location.column, d.message), want);
  }
}

TEST(Text, CollectsAllMistakes) {
  const auto graph = parse("switchyard graph 1\ninput a\ninput \"b\" fp3[1]\noutputs \"q\"\n", "test");
  ASSERT_FALSE(graph.ok());
  EXPECT_EQ(graph.failure().diagnostics.size(), 3u);
}

TEST(Text, DamagedTextsGiveDiagnosticsOrGraphsThatVerifyJudges) {
  const std::string text = testing::random_graph_text(5);
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    testing::Draw draw{seed};
    std::string damaged = text;
    for (std::int64_t i = draw(1, 3); i > 0; --i) {
      const auto at = static_cast<std::size_t>(draw(0, static_cast<std::int64_t>(damaged.size()) - 2));
      switch (draw(0, 3)) {
        case 0: damaged[at] = static_cast<char>(draw(0, 255)); break;
        case 1: damaged.erase(at, static_cast<std::size_t>(draw(1, 20))); break;
        case 2: damaged.insert(at, damaged.substr(static_cast<std::size_t>(draw(0, 100)), 10)); break;
        default: damaged.insert(at, "987654321987654321"); break;
      }
    }
    const auto graph = parse(damaged, "damaged");
    if (graph.ok()) (void)verify(graph.value()).ok();
  }
}

}  // namespace
}  // namespace switchyard::graph
