#include "support/diagnostic.h"

#include <gtest/gtest.h>

#include "support/check.h"
#include "support/result.h"

namespace switchyard {
namespace {

TEST(Diagnostic, PrintsWhatItKnows) {
  struct Case {
    Diagnostic diagnostic;
    const char* text;
  };
  for (const Case& c : std::vector<Case>{
           {{"cli/usage", "no verb", {}, "", "", ""}, "error: no verb [cli/usage]\n"},
           {{"a/b", "bad", {"f.onnx", 0, 0}, "", "", ""}, "f.onnx: error: bad [a/b]\n"},
           {{"a/b", "bad", {"f.syp", 0, 0}, "main/load", "", ""}, "f.syp: error: main/load: bad [a/b]\n"},
           {{"a/b", "node n is bad", {}, "n", "", ""}, "error: node n is bad [a/b]\n"},
           {{"a/b", "bad", {"f", 3, 2}, "main/load", "", ""}, "f:3:2: error: bad [a/b]\n"},
           {{"a/b", "bad", {"", 3, 2}, "", "", ""}, "line 3:2: error: bad [a/b]\n"},
           {{"a/b", "bad", {"f", 3, 0}, "", "", "text"}, "f:3: error: bad [a/b]\n  text\n"},
           {{"a/b", "bad", {"f", 3, 2}, "", "mend it", "text"}, "f:3:2: error: bad [a/b]\n  text\n   ^\n  hint: mend it\n"},
           {{"a/b", "bad", {"f", 3, 3}, "", "", "\t\xc3\xa9x"}, "f:3:3: error: bad [a/b]\n  \t\xc3\xa9x\n  \t ^\n"},
           {{"a/b", "bad", {"f", 1, 99}, "", "", "ab\x01\r"}, "f:1:99: error: bad [a/b]\n  ab?\n     ^\n"},
       }) {
    EXPECT_EQ(format_diagnostic(c.diagnostic), c.text);
  }
}

TEST(Diagnostic, ShowsAWindowOfALongLine) {
  std::string line(1000, 'x');
  line[499] = 'Y';
  const std::string text = format_diagnostic({"a/b", "bad", {"f", 1, 500}, "", "", line});
  const std::size_t shown = text.find("  ...x"), caret = text.rfind('^');
  ASSERT_NE(shown, std::string::npos);
  EXPECT_LT(text.size(), 500u);
  const std::size_t caret_line = text.rfind('\n', caret) + 1;
  EXPECT_EQ(text[shown + (caret - caret_line)], 'Y');
}

TEST(Diagnostic, PrintsInfeasible) {
  const Infeasible infeasible{"scratchpad of one tile", 3145729, 3145728, "bytes", {{"weights", 3e6}, {"rest", 145729.5}},
                              {"halve the tile"}};
  EXPECT_EQ(format_infeasible(infeasible),
            "error: scratchpad of one tile does not suffice: 3145729 bytes needed, 3145728 bytes there\n"
            "  weights: 3000000 bytes\n"
            "  rest: 145730 bytes\n"
            "  hint: halve the tile\n");
  const Failure failure{FailureKind::unsupported, {{"a/b", "bad", {}, "", "", ""}}, {infeasible}};
  EXPECT_EQ(format_failure(failure), "error: bad [a/b]\n" + format_infeasible(infeasible));
}

TEST(NearestName, FindsWhatWasMeant) {
  struct Case {
    const char* word;
    const char* nearest;
  };
  const std::vector<std::string> names = {"bandwidth", "bytes", "latency", "name", "in", "kind", "resnet50", "H100"};
  for (const Case& c : {
           Case{"bandwith", "bandwidth"},  // delete
           {"bandwidht", "bandwidth"},     // swap
           {"latencyy", "latency"},        // insert
           {"nane", "name"},               // replace
           {"byets", "bytes"},
           {"Bandwidth", "bandwidth"},
           {"h100", "H100"},
           {"resnet-50", "resnet50"},
           {"knid", "kind"},
           {"im", "in"},
           {"colour", ""},
           {"xy", ""},
           {"q", ""},
           {"", ""},
       }) {
    EXPECT_EQ(nearest_name(c.word, names), c.nearest) << c.word;
  }
  EXPECT_EQ(nearest_name("ab", {"xb", "ax"}), "xb") << "the first of equals";
  EXPECT_EQ(nearest_name(std::string(100000, 'a'), names), "");
  EXPECT_EQ(nearest_name("H100", {"tx81", "h100-sxm"}), "h100-sxm") << "a name cut short";
  EXPECT_EQ(nearest_name("h100", {"h100-sxm", "h100-pcie"}), "") << "it could be either";
}

TEST(Check, ThrowsWithThePlace) {
  EXPECT_NO_THROW(SY_CHECK(1 + 1 == 2));
  try {
    SY_CHECK(1 + 1 == 3, "counting");
    FAIL();
  } catch (const InternalError& error) {
    EXPECT_NE(std::string(error.what()).find("diagnostic_test.cpp"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("check failed: 1 + 1 == 3: counting"), std::string::npos);
  }
}

Result<int> half(int value) {
  if (value % 2 != 0) return fail(FailureKind::unsupported, "test/odd", "odd", "double it");
  return value / 2;
}
Result<int> quarter(int value) {
  SY_TRY(const int once, half(value));
  SY_TRY(const int twice, half(once));
  return twice;
}

TEST(Result, CarriesValueOrFailure) {
  EXPECT_EQ(quarter(12).value(), 3);
  const Result<int> bad = quarter(6);
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.failure().kind, FailureKind::unsupported);
  EXPECT_EQ(bad.failure().diagnostics.at(0).hint, "double it");
  EXPECT_THROW((void)bad.value(), InternalError);
  EXPECT_THROW((void)quarter(4).failure(), InternalError);
}

}  // namespace
}  // namespace switchyard
