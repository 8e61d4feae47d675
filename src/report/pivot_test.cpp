#include "report/pivot.h"

#include <gtest/gtest.h>

#include <sstream>

#include "report/layers.h"
#include "report/test_runs.h"

namespace switchyard::report {
namespace {

RunReport run_of(const char* chip, const char* precision, std::int64_t batch, std::int64_t microseconds) {
  RunReport r = sample_run();
  r.chip.name = chip;
  r.precision = precision;
  r.batch = batch;
  r.latency = Picoseconds(microseconds * 1'000'000);
  r.attribution = {r.latency, Picoseconds(0), Picoseconds(0), Picoseconds(0), Picoseconds(0), Picoseconds(0)};
  r.lower_bound = Picoseconds(50'000'000);
  return r;
}

/// On one line: where it was wrapped does not matter.
std::string words_of(const std::string& text) {
  std::istringstream in(text);
  std::string line;
  for (std::string word; in >> word;) line += (line.empty() ? "" : " ") + word;
  return line;
}

std::vector<RunReport> study() {
  std::vector<RunReport> runs{run_of("a", "fp16", 1, 100), run_of("a", "fp16", 4, 200), run_of("b", "fp16", 1, 80),
                              run_of("b", "fp16", 4, 320)};
  RunReport failed;
  failed.chip.name = "a";
  failed.precision = "fp8";
  failed.batch = 4;
  failed.error = Diagnostic{"compile/unsupported-format", "a does not compute in fp8", {}, {}, {}, {}};
  runs.push_back(failed);
  return runs;
}

TEST(Pivot, HasARowPerChipAndPrecisionAndAColumnPerBatch) {
  EXPECT_FALSE(needs_pivot({run_of("a", "fp16", 1, 1), run_of("b", "fp16", 1, 1)}));
  EXPECT_TRUE(needs_pivot(study()));
  const auto tables = pivots(study());
  ASSERT_EQ(tables.size(), 5u);
  EXPECT_EQ(tables[0].second.columns, (std::vector<std::string>{"chip", "precision", "batch 1", "batch 4"}));
  const auto& times = tables[0].second.cells;
  ASSERT_EQ(times.size(), 3u);
  EXPECT_EQ(times[0], (std::vector<std::string>{"a", "fp16", "100.000 us", "* 200.000 us"}));
  EXPECT_EQ(times[1], (std::vector<std::string>{"b", "fp16", "* 80.000 us", "320.000 us"}));
  EXPECT_EQ(times[2], (std::vector<std::string>{"a", "fp8", "-", "-"}));
  // Samples count: four in twice the time are twice as fast.
  EXPECT_EQ(tables[2].first, "samples per second, in times of a fp16 batch 1");
  EXPECT_EQ(tables[2].second.cells[0][3], "* 2.00");
  EXPECT_EQ(tables[2].second.cells[1][2], "* 1.25");
  EXPECT_EQ(tables[3].second.cells[0][2], "compute 100 %");
  EXPECT_EQ(tables[4].second.cells[1][2], "1.60");
}

TEST(Pivot, SaysWhichIsBest) {
  const std::string text = words_of(print_pivot(study(), {}));
  for (const char* wanted :
       {"resnet50: 2 chips x 2 precisions x 2 batch sizes", "shortest time: b fp16 batch 1, 80.000 us, mainly compute 100 %",
        "most samples per second: a fp16 batch 4, 20.00 k /s, 2.00 times a fp16 batch 1, mainly compute 100 %",
        "nearest to its bound: b fp16 batch 1, gap 1.60", "a fp8 batch 4: a does not compute in fp8 [compile/unsupported-format]",
        "note: a fp16 batch 1 and 3 more: exp runs on the vector unit"}) {
    EXPECT_NE(text.find(wanted), std::string::npos) << wanted << "\n" << text;
  }
  const std::string page = print_comparison_markdown(study());
  EXPECT_NE(page.find("## samples per second\n\n| chip | precision | batch 1 | batch 4 |\n|---|---|---:|---:|\n"), std::string::npos)
      << page;
  EXPECT_EQ(pivots({study().back()}).size(), 0u) << "nothing to say of a study that failed";
  EXPECT_NE(print_pivot({study().back(), study().back()}, {}).find("a does not compute in fp8"), std::string::npos);
}

TEST(Pivot, WritesOneRowARunForSpreadsheets) {
  const Rows rows = comparison_rows(study());
  ASSERT_EQ(rows.cells.size(), 5u);
  for (const auto& row : rows.cells) EXPECT_EQ(row.size(), rows.columns.size());
  EXPECT_EQ(rows.cells[1][4], "200.000000");
  EXPECT_EQ(rows.cells[1][8], "2") << "times as fast as the first, by samples";
  EXPECT_EQ(rows.cells[4].back(), "a does not compute in fp8 [compile/unsupported-format]");
  EXPECT_EQ(rows.cells[4][4], "") << "no number where there is none";
}

TEST(Layers, TellWorkTrafficAndTime) {
  RunReport r = sample_run();
  r.contexts.resize(2);
  r.contexts[0].macs = 1000;
  r.contexts[0].vector_ops = 500;
  r.contexts[0].offchip_read = 900;
  r.contexts[0].offchip_written = 100;
  r.contexts[0].busy_bound = Picoseconds(r.contexts[0].busy.value / 4);
  r.contexts[1].share = Picoseconds(60'000'000);
  const Rows exact = layer_rows(r);
  ASSERT_EQ(exact.cells.size(), 2u);
  for (const auto& row : exact.cells) EXPECT_EQ(row.size(), exact.columns.size());
  EXPECT_EQ(exact.cells[0][8], "2.5") << "operations, two a MAC, by bytes";
  EXPECT_EQ(exact.cells[1][8], "") << "no traffic, no intensity";
  EXPECT_EQ(exact.cells[0][9], "50.000000");
  const Rows readable = readable_layers(r);
  EXPECT_EQ(readable.cells[0][1], "1.00 k");
  EXPECT_EQ(readable.cells[0][3], "2.5");
  EXPECT_EQ(readable.cells[1][3], "-");
  EXPECT_EQ(readable.cells[0][7], "4.00") << "busy over its bound";
  TableStyle style;
  style.layers = true;
  EXPECT_NE(print_table(r, style).find("op/B"), std::string::npos);
  EXPECT_NE(print_markdown(r).find("## Layers\n\n| layer | MACs |"), std::string::npos);
}

}  // namespace
}  // namespace switchyard::report
