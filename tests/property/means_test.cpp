#include "compiler/means.h"

#include <gtest/gtest.h>

#include "property/library_chip.h"

namespace switchyard::compiler {
namespace {

struct Case {
  const char* chip;
  bool values_stay, early, shared, chained, streamed, handed, joined, placed;
};

TEST(Means, FollowFromTheConceptsOfAChip) {
  const Case cases[] = {{"tx81", true, true, true, true, true, true, false, true},
                        {"rpu-8x8", true, true, true, true, true, true, false, true},
                        {"tpu-v3", true, true, true, true, true, true, false, false},
                        {"wormhole-n150", true, false, true, true, true, true, false, true},
                        {"h100-sxm", false, false, false, false, false, false, true, false}};
  for (const Case& c : cases) {
    const auto chip = library_chip(c.chip);
    const auto machine = describe_machine(*chip);
    ASSERT_TRUE(machine.ok()) << c.chip;
    const bool expected[] = {c.values_stay, c.early, c.shared, c.chained, c.streamed, c.handed, c.joined, c.placed};
    const std::vector<Means> means = means_of(machine.value());
    ASSERT_EQ(means.size(), std::size(expected));
    for (std::size_t i = 0; i < means.size(); ++i) {
      EXPECT_EQ(means[i].used, expected[i]) << c.chip << ": " << means[i].what;
      EXPECT_FALSE(means[i].why.empty());
    }
  }
}

TEST(Means, SayWhatWasDisabled) {
  const auto chip = library_chip("tx81");
  auto machine = describe_machine(*chip);
  ASSERT_TRUE(machine.ok());
  EXPECT_NE(
      explain_means(machine.value()).text.find("values stay in scratchpads from context to context (contexts keep them, and 'dte' leads"),
      std::string::npos);
  machine.value().keeps = false;
  EXPECT_NE(explain_means(machine.value()).text.find("Not: values stay in scratchpads from context to context (disabled: fuse)"),
            std::string::npos);
}

}  // namespace
}  // namespace switchyard::compiler
