#include "support/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

namespace switchyard {
namespace {

TEST(Parallel, CallsEveryIndexOnce) {
  for (const int threads : {-1, 0, 1, 2, 3, 7, 64}) {
    for (const std::size_t count : {0u, 1u, 2u, 5u, 100u}) {
      std::vector<int> calls(count, 0);
      parallel_for(threads, count, [&](std::size_t i) { ++calls[i]; });
      EXPECT_EQ(calls, std::vector<int>(count, 1)) << threads << " threads, " << count;
    }
  }
}

TEST(Parallel, RunsAtTheSameTime) {
  // Each of the two calls waits for the other one: only two threads can finish.
  std::atomic<int> arrived = 0;
  parallel_for(2, 2, [&](std::size_t) {
    ++arrived;
    while (arrived < 2) {
    }
  });
  EXPECT_EQ(arrived, 2);
}

TEST(Parallel, RethrowsTheLowestIndex) {
  for (const int threads : {1, 2, 3, 8}) {
    try {
      parallel_for(threads, 50, [](std::size_t i) {
        if (i >= 17 && i % 2 == 1) throw std::runtime_error(std::to_string(i));
      });
      FAIL();
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "17");
    }
  }
}

TEST(Parallel, HostHasAThread) { EXPECT_GE(hardware_threads(), 1); }

}  // namespace
}  // namespace switchyard
