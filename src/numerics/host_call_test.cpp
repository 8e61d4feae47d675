// What the host does: each operation by its definition, and patterns by a table.
#include "numerics/host_call.h"

#include <gtest/gtest.h>

#include "numerics/pattern.h"

namespace switchyard::numerics {
namespace {

using Texts = std::vector<std::string>;

Tensor texts(const Texts& list, Shape shape = {}) {
  std::size_t width = 1;
  for (const std::string& text : list) width = std::max(width, text.size());
  if (shape.empty()) shape = {static_cast<std::int64_t>(list.size())};
  return rows_of(list, std::move(shape), static_cast<std::int64_t>(width) + 2);  // wider than needed: the filling must not matter
}

Texts result(const HostCall& call, const std::vector<Tensor>& inputs) {
  const auto out = call_host(call, inputs);
  return out.ok() ? texts_of(out.value()[0]) : Texts{format_failure(out.failure())};
}

TEST(HostCalls, JoinAndCompareTexts) {
  EXPECT_EQ(result({"StringConcat", {}}, {texts({"a", "", "grün"}), texts({"!"})}), (Texts{"a!", "!", "grün!"}));
  const auto same = call_host({"Equal", {}}, {texts({"a", "b"}), texts({"b"})});
  ASSERT_TRUE(same.ok());
  EXPECT_EQ(same.value()[0].at(0), 0);
  EXPECT_EQ(same.value()[0].at(1), 1);
}

TEST(HostCalls, SplitTexts) {
  const auto out = call_host({"StringSplit", {{"delimiter", ","}, {"maxsplit", "1"}}}, {texts({"a,b,c", "", "x"})});
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(texts_of(out.value()[0]), (Texts{"a", "b,c", "", "", "x", ""}));
  EXPECT_EQ(out.value()[1].at(0), 2);
  EXPECT_EQ(out.value()[1].at(1), 0);
  EXPECT_EQ(result({"StringSplit", {}}, {texts({"  a  b\t"})}), (Texts{"a", "b"}));
}

TEST(HostCalls, NormaliseTexts) {
  const HostCall upper{"StringNormalizer", {{"case_change_action", "UPPER"}, {"is_case_sensitive", "0"}, {"stopwords", "Monday"}}};
  EXPECT_EQ(result(upper, {texts({"monday", "tuesday"})}), (Texts{"TUESDAY"}));
  EXPECT_EQ(result(upper, {texts({"monday"})}), (Texts{""}));
  EXPECT_EQ(result(upper, {texts({"täglich"})}),
            (Texts{"error: the case of 'täglich', which has letters beyond ASCII [host/unsupported]\n"}));
}

TEST(HostCalls, EncodeLabels) {
  const HostCall call{"LabelEncoder", {{"text_in", "1"}, {"format", "int64"}, {"default", "-1"}, {"key", "a"}, {"value", "5"}}};
  const auto out = call_host(call, {texts({"a", "z"})});
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(out.value()[0].at(0), 5);
  EXPECT_EQ(out.value()[0].at(1), -1);
}

TEST(HostCalls, MapNumbersBeyondFp32) {
  Tensor a = make_tensor(Format::fp64, {2, 1}), b = make_tensor(Format::fp64, {2});
  a.set(0, 1e200), a.set(1, 1), b.set(0, 2e200), b.set(1, 3);
  const auto out = call_host({"Map", {{"expression", "add(x0, x1)"}, {"format", "fp64"}}}, {a, b});
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(out.value()[0].at(0), 3e200);
  EXPECT_EQ(out.value()[0].at(3), 4);
}

TEST(HostCalls, RefuseWhatDoesNotFit) {
  const auto said = [](const HostCall& call, const std::vector<Tensor>& inputs, const std::vector<HostResult>& results) {
    const auto out = call_host(call, inputs, results);
    return out.ok() ? std::string("done") : out.failure().diagnostics[0].code + ": " + out.failure().diagnostics[0].message;
  };
  EXPECT_EQ(said({"Bake", {}}, {texts({"a"})}, {}), "host/unsupported: the host has no operation Bake");
  EXPECT_EQ(said({"StringConcat", {}}, {texts({"a"})}, {}), "host/malformed: StringConcat takes 2 inputs, 1 are given");
  EXPECT_EQ(said({"StringConcat", {}}, {texts({"a"}), make_tensor(Format::fp32, {1})}, {}),
            "host/malformed: input 1 of StringConcat is no tensor of texts");
  EXPECT_EQ(said({"StringConcat", {}}, {texts({"a", "b"}), texts({"a", "b", "c"})}, {}), "host/malformed: texts of shapes [2] and [3]");
  EXPECT_EQ(said({"StringSplit", {}}, {texts({"a b"})}, {{Format::uint8, {1, 3, 4}}}),
            "host/shape: result 0 of StringSplit has shape [1, 2, 1] for these inputs, the program was made for [1, 3, 4]");
  EXPECT_EQ(said({"StringSplit", {}}, {texts({"a b"})}, {{Format::uint8, {1, 2, 4}}}), "done");
}

TEST(Patterns, MatchWholeTexts) {
  struct Row {
    const char *pattern, *text;
    bool matches;
  };
  const Row rows[] = {
      {"", "", true},
      {"", "a", false},
      {"abc", "abc", true},
      {"a|bc", "bc", true},
      {"a|bc", "ac", false},
      {"(ab)*c", "ababc", true},
      {"a+b?", "aaa", true},
      {"a{2,3}", "aaaa", false},
      {"a{2,}", "aaaa", true},
      {"a{2}", "aa", true},
      {"[a-c]+", "abcb", true},
      {"[^a-c]", "ü", true},
      {".", "ü", true},
      {"..", "ü", false},
      {".", "\n", false},
      {R"(\w+@\w+\.com)", "a_1@b.com", true},
      {R"(\w+@\w+\.com)", "a@bxcom", false},
      {R"(\d\D\s)", "1x ", true},
      {"^a$", "a", true},
      {R"(a\b.\bb)", "a-b", true},
      {R"(a\bb)", "ab", false},
      {R"(a\Bb)", "ab", true},
      {"a^b", "ab", false},
      {"(?:a|b)c", "bc", true},
      {"ü*", "üüü", true},
      {"[]a]+", "]a", true},
      {R"(\.)", ".", true},
      {"a{,3}", "a{,3}", true},
      {"(a*)*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", false},
  };
  for (const Row& row : rows) {
    const auto pattern = Pattern::parse(row.pattern);
    ASSERT_TRUE(pattern.ok()) << row.pattern << "\n" << format_failure(pattern.failure());
    EXPECT_EQ(pattern.value().matches(row.text), row.matches) << row.pattern << " on " << row.text;
  }
}

TEST(Patterns, RefuseWhatTheyDoNotRead) {
  for (const char* bad :
       {"(", ")", "*a", "[a", "a{3,2}", "\\q", "(?P<n>a)", "[[:alpha:]]", "\\", "a{1000}{1000}", "[ü]", "(){1000}{1000}{1000}"})
    EXPECT_FALSE(Pattern::parse(bad).ok()) << bad;
  std::string deep(200, '(');
  EXPECT_FALSE(Pattern::parse(deep).ok());
}

}  // namespace
}  // namespace switchyard::numerics
