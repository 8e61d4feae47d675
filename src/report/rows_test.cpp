#include "report/rows.h"

#include <gtest/gtest.h>

namespace switchyard::report {
namespace {

const Rows kRows{2, {"chip", "format", "time", "share"}, {{"a", "fp16", "1.5 us", "10 %"}, {"long name", "bf16", "12 us", "-"}}};

TEST(Rows, PrintsForASpreadsheet) {
  EXPECT_EQ(print_csv(kRows), "chip,format,time,share\na,fp16,1.5 us,10 %\nlong name,bf16,12 us,-\n");
  EXPECT_EQ(print_csv({1, {"name", "says"}, {{"a,b", "he said \"no\"\nand left"}}}),
            "name,says\n\"a,b\",\"he said \"\"no\"\"\nand left\"\n");
}

TEST(Rows, PrintsForADocument) {
  EXPECT_EQ(print_markdown(kRows),
            "| chip | format | time | share |\n|---|---|---:|---:|\n| a | fp16 | 1.5 us | 10 % |\n| long name | bf16 | 12 us | - |\n");
  EXPECT_EQ(print_markdown({1, {"a|b"}, {{"c\nd"}}}), "| a\\|b |\n|---|\n| c d |\n");
}

TEST(Rows, PrintsForAScreen) {
  EXPECT_EQ(print_screen(kRows, 80),
            "  chip      format    time  share\n"
            "  a         fp16    1.5 us   10 %\n"
            "  long name bf16     12 us      -\n");
  // What does not fit goes below, with its labels, a column at least.
  EXPECT_EQ(print_screen(kRows, 27),
            "  chip      format    time\n"
            "  a         fp16    1.5 us\n"
            "  long name bf16     12 us\n"
            "\n"
            "  chip      format  share\n"
            "  a         fp16     10 %\n"
            "  long name bf16        -\n");
  EXPECT_EQ(print_screen({1, {"x"}, {}}, 3), "  x\n");
}

}  // namespace
}  // namespace switchyard::report
