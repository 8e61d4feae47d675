// Exchanges between devices against closed forms and against what ASTRA-sim answered (docs/validation.md).
#include <gtest/gtest.h>

#include <cstdio>

#include "chip/read.h"
#include "cli/server.h"

namespace switchyard::tests {
namespace {

using compiler::Collective;
using compiler::Exchange;

double microseconds_of(const std::string& name, const Collective& work, const std::vector<chip::Override>& overrides = {},
                       std::string_view library = {}) {
  auto loaded = chip::load_chip(name, {SWITCHYARD_SOURCE_DIR "/chips/systems"}, overrides);
  EXPECT_TRUE(loaded.ok()) << format_failure(loaded.failure());
  const auto time = cli::exchange_time(std::make_shared<const chip::Chip>(loaded.value()), work, library);
  EXPECT_TRUE(time.ok()) << format_failure(time.failure());
  return time.ok() ? microseconds(time.value()) : 0;
}

constexpr std::int64_t kMiB = 1 << 20;

// Four chunks after one another, each seven steps of sums and seven without: 2 (n - 1) / n S / B, 56 times 500 + 10 ns, and 28 sums of 2
// MiB, read twice and written once at 1600 GB/s.
TEST(Ring, TakesWhatAstraSimAnswers) {
  const double ours = microseconds_of("ring-8", {Exchange::all_reduce, 64 * kMiB, 8, numerics::Format::int8, 4});
  std::printf("all-reduce of 64 MiB on a ring of eight: %.3f us (ASTRA-sim 2326.112)\n", ours);
  EXPECT_NEAR(ours, 2326.112, 0.01 * 2326.112);
  const double form = 1.75 * 64 / (50.0 * 1024) * 1e6 + 56 * 0.510 + 28 * 3.0 * 2 * kMiB / 1600e9 * 1e6;
  EXPECT_NEAR(ours, form, 0.001 * form);
}

TEST(Ring, AMeshWithARoundTripIsARing) {
  const Collective work{Exchange::all_reduce, 64 * kMiB, 8, numerics::Format::int8, 1};
  EXPECT_NEAR(microseconds_of("mesh-2x4", work), microseconds_of("ring-8", work), 0.001 * microseconds_of("ring-8", work));
}

// Whatever the way, no link carries more than the ring's share: who halves what links carry doubles what large exchanges take.
TEST(Servers, LargeExchangesAreBoundByLinks) {
  const Collective work{Exchange::all_reduce, 1024 * kMiB, 8, numerics::Format::bf16, 1};
  const double whole = microseconds_of("dgx-a100", work);
  EXPECT_GE(whole, 1.75 * 1024 * kMiB / 300e9 * 1e6);
  EXPECT_NEAR(microseconds_of("dgx-a100", work, {{"/movers/simple/bandwidth", "107.75 GB/s"}, {"/movers/ll128/bandwidth", "53.8 GB/s"}}),
              2 * whole, 0.05 * whole);
  // A switch that sums carries the tensor once each way, not seven quarters of it.
  EXPECT_LT(microseconds_of("dgx-h100", work),
            0.75 * microseconds_of("dgx-h100", work, {{"/collectives/protocols/in_switch/start", "1 s"}}));
}

// The two processors' link is what eight devices on a tree wait for when all send to all; four of one processor do not need it.
TEST(Servers, ATreeWaitsForItsTrunks) {
  const std::vector<chip::Override> narrow{{"/networks/pcie/trunk", "8 GB/s"}};
  const Collective all{Exchange::all_to_all, 64 * kMiB, 8, numerics::Format::bf16, 1},
      half{Exchange::all_to_all, 64 * kMiB, 4, numerics::Format::bf16, 1};
  // 4 x 4 messages of an eighth of 64 MiB pass each trunk.
  EXPECT_GE(microseconds_of("l40s-x8-pcie", all, narrow), 16.0 * 8 / 8 * kMiB / 8e9 * 1e6);
  EXPECT_EQ(microseconds_of("l40s-x8-pcie", half, narrow), microseconds_of("l40s-x8-pcie", half));
}

}  // namespace
}  // namespace switchyard::tests
