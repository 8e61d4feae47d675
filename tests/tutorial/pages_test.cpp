// docs/tour.md, adding-a-chip.md and adding-an-op.md do what they say.
#include "page.h"

namespace switchyard::tests {
namespace {

TEST(Pages, LinesAreComparedByWordsAndNumbers) {
  EXPECT_TRUE(same_line("  time   552.5 us   gap 1.27", " time 560.1 us gap 1.30", 0.2));
  EXPECT_FALSE(same_line("time 552.5 us", "time 800.1 us", 0.2));
  EXPECT_FALSE(same_line("time 552.5 us", "time 552.5 ms", 0.2));
  EXPECT_FALSE(same_line("conv1 5 us", "conv2 5 us", 0.2)) << "digits of a name are no number";
  EXPECT_TRUE(same_line("compute 19 us 3.4 %  ##", "compute 20 us 3.5 %  ###", 0.2));
  EXPECT_TRUE(same_line("layer1.conv +6  53 us   9.9 %  memory", "layer2.conv +4  40 us  10.9 %  control", 0.5)) << "a row of operators";
  EXPECT_FALSE(same_line("memory  53 us  9.9 %", "control  53 us  9.9 %", 0.5));
  EXPECT_TRUE(same_line("buffer A in ddr...", "buffer A in ddr at 0 bytes 512", 0.2));
  EXPECT_FALSE(same_line("one two", "one two three", 0.2));
}

/// Runs a study of examples/, with switchyard on its path.
Outcome study(const std::string& command) {
  const Workbench bench;
  const std::string binary = SWITCHYARD_BINARY, out = (bench.folder() / "out").string();
  const int status =
      std::system(("PATH='" + binary.substr(0, binary.rfind('/')) +
                   "':\"$PATH\" SWITCHYARD_CHIPS='" SWITCHYARD_SOURCE_DIR "/chips' sh '" SWITCHYARD_SOURCE_DIR "/examples/studies/" +
                   command + " >'" + out + "' 2>&1 </dev/null")
                      .c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text_of(out), {}};
}

TEST(Studies, Run) {
  const Outcome bandwidth = study("bandwidth' gemm tx81");
  EXPECT_EQ(bandwidth.code, 0) << bandwidth.out;
  const std::vector<std::string> rows = lines_of(bandwidth.out);
  ASSERT_EQ(rows.size(), 6u) << bandwidth.out;
  EXPECT_TRUE(rows[0].starts_with("GB/s,model,chip,precision,batch,latency_us,")) << rows[0];
  EXPECT_TRUE(rows[5].starts_with("800,gemm,tx81,bf16,1,")) << rows[5];
  const Outcome ablation = study("ablation' gemm tx81");
  EXPECT_EQ(ablation.code, 0) << ablation.out;
  EXPECT_EQ(lines_of(ablation.out).size(), 5u) << ablation.out;
}

TEST(Pages, Tour) {
  Page page(SWITCHYARD_SOURCE_DIR "/docs/tour.md");
  page.run();
  EXPECT_GE(page.commands(), 12u);
}

TEST(Pages, AddingAChip) {
  Page page(SWITCHYARD_SOURCE_DIR "/docs/adding-a-chip.md");
  page.run();
  EXPECT_GE(page.commands(), 5u);
}

TEST(Pages, AddingAnOperator) {
  Page page(SWITCHYARD_SOURCE_DIR "/docs/adding-an-op.md");
  page.run();
  EXPECT_GE(page.commands(), 1u);
  EXPECT_GE(page.sources(), 3u);
}

}  // namespace
}  // namespace switchyard::tests
