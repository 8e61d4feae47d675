#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace switchyard::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPatience = std::chrono::seconds(1);
constexpr auto kRedraw = std::chrono::milliseconds(200);
constexpr auto kPlainInterval = std::chrono::seconds(10);

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

}  // namespace

Progress::Progress(bool quiet) : quiet_(quiet), terminal_(isatty(STDERR_FILENO) == 1) {
  if (!quiet_) watcher_ = std::thread([this] { watch(); });
}

Progress::~Progress() {
  end();
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  if (watcher_.joinable()) watcher_.join();
}

void Progress::begin(const std::string& phase) {
  end();
  const std::lock_guard lock(mutex_);
  phase_ = phase;
  fraction_ = 0;
  start_ = Clock::now();
  shown_ = start_;
  active_ = true;
  drawn_ = false;
}

void Progress::update(double fraction) {
  const std::lock_guard lock(mutex_);
  fraction_ = std::clamp(fraction, 0.0, 1.0);
}

double Progress::end() {
  const std::lock_guard lock(mutex_);
  if (!active_) return 0;
  const double seconds = seconds_since(start_);
  active_ = false;
  if (!quiet_ && (drawn_ || Clock::now() - start_ >= kPatience)) show(true);
  return seconds;
}

/// The lock is held. The last line of a phase stays on the screen.
void Progress::show(bool last) {
  const double elapsed = seconds_since(start_);
  std::string line = fmt::format("{}: {:.1f} s", phase_, elapsed);
  if (!last && fraction_ > 0.01)
    line += fmt::format(", {:.0f} % done, about {:.0f} s left", fraction_ * 100, elapsed / fraction_ * (1 - fraction_));
  if (!last && !terminal_) line += fraction_ > 0.01 ? "" : " so far";
  const std::string text = terminal_ ? fmt::format("\r\x1b[K{}{}", line, last ? "\n" : "") : line + "\n";
  std::fwrite(text.data(), 1, text.size(), stderr);
  shown_ = Clock::now();
  drawn_ = true;
}

void Progress::watch() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    wake_.wait_for(lock, kRedraw);
    if (!active_ || Clock::now() - start_ < kPatience) continue;
    if (terminal_ || Clock::now() - shown_ >= kPlainInterval) show(false);
  }
}

}  // namespace switchyard::cli
