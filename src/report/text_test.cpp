#include "report/text.h"

#include <gtest/gtest.h>

#include <limits>

namespace switchyard::report {
namespace {

TEST(ReportText, WritesPicosecondsAsMicrosecondsExactly) {
  struct Case {
    std::int64_t ps;
    const char* text;
  };
  constexpr Case kCases[] = {
      {0, "0.000000"},
      {1, "0.000001"},
      {999'999, "0.999999"},
      {1'000'000, "1.000000"},
      {123'456'789, "123.456789"},
      {-1'500'000, "-1.500000"},
      // Beyond what a double holds.
      {9'007'199'254'740'993, "9007199254.740993"},
      {std::numeric_limits<std::int64_t>::max(), "9223372036854.775807"},
      {std::numeric_limits<std::int64_t>::min(), "-9223372036854.775808"},
  };
  for (const Case& c : kCases) EXPECT_EQ(exact_microseconds(Picoseconds(c.ps)), c.text);
}

TEST(ReportText, WritesForPeople) {
  EXPECT_EQ(readable_time(Picoseconds(12'345'000)), "12.345 us");
  EXPECT_EQ(readable_time(Picoseconds(1'234'567'890)), "1.235 ms");
  EXPECT_EQ(readable_time(Picoseconds(2'500'000'000'000)), "2.500 s");
  EXPECT_EQ(readable_bytes(512), "512 B");
  EXPECT_EQ(readable_bytes(1'230), "1.23 kB");
  EXPECT_EQ(readable_bytes(999'999), "1.00 MB");
  EXPECT_EQ(readable_count(25.557e6), "25.56 M");
  EXPECT_EQ(readable_count(7), "7");
  EXPECT_EQ(readable_share(0.4151), "41.5 %");
}

TEST(ReportText, DrawsBarsThatShowWhatIsThere) {
  EXPECT_EQ(bar(0, 10), "");
  EXPECT_EQ(bar(0.001, 10), "#");
  EXPECT_EQ(bar(0.5, 10), "#####");
  EXPECT_EQ(bar(7, 10), "##########");
}

TEST(ReportText, CutsAndPadsByCharacters) {
  EXPECT_EQ(clip("abcdefgh", 8), "abcdefgh");
  EXPECT_EQ(clip("abcdefghi", 8), "abcde...");
  EXPECT_EQ(clip("a\tb\x1b[m", 20), "a?b?[m");
  EXPECT_EQ(columns_of("\xc3\xa4\xc3\xb6"), 2);
  EXPECT_EQ(clip("\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4", 4), "\xc3\xa4...");
  EXPECT_EQ(clip_front("abcdefghi", 8), "...efghi");
  EXPECT_EQ(clip_front("\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4", 4), "...\xc3\xa4");
  EXPECT_EQ(clip_front("abc", 8), "abc");
  EXPECT_EQ(pad_right("\xc3\xa4", 3), "\xc3\xa4  ");
  EXPECT_EQ(pad_left("ab", 4), "  ab");
}

TEST(ReportText, WrapsWords) {
  EXPECT_EQ(wrap("one two three", 9, 2), "  one two\n  three\n");
  EXPECT_EQ(wrap("", 9, 2), "");
  EXPECT_EQ(wrap("abcdefghijklmnop", 9, 2), "  abcd...\n");
}

}  // namespace
}  // namespace switchyard::report
