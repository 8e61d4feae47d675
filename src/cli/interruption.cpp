#include "cli/interruption.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "cli/verbs.h"

namespace switchyard::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kLongestWait = std::chrono::hours(1);

}  // namespace

Interruption::Interruption() {
  sigemptyset(&signals_);
  for (const int signal : {SIGINT, SIGTERM}) sigaddset(&signals_, signal);
  // Blocked here, and so in all threads that begin later: pending signals wait for the one that asks.
  pthread_sigmask(SIG_BLOCK, &signals_, &before_);
  watcher_ = std::thread([this] { watch(); });
}

Interruption::~Interruption() { finish(); }

void Interruption::keep(std::function<void(const std::string&)> deliver) {
  const std::lock_guard lock(mutex_);
  deliver_ = std::move(deliver);
}

void Interruption::limit(double seconds) {
  {
    const std::lock_guard lock(mutex_);
    deadline_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  }
  pthread_kill(watcher_.native_handle(), SIGTERM);  // it looks again how long to wait
}

void Interruption::finish() {
  if (!watcher_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  pthread_kill(watcher_.native_handle(), SIGTERM);
  watcher_.join();
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void Interruption::stop(const std::string& why) {
  if (deliver_) {
    deliver_(why);
  } else {
    const std::string message = "\n" + why + ": no result was written\n";
    std::fwrite(message.data(), 1, message.size(), stderr);
  }
  _exit(kInterrupted);
}

void Interruption::watch() {
  for (;;) {
    Clock::duration wait = kLongestWait;
    {
      const std::lock_guard lock(mutex_);
      if (over_) return;
      if (deadline_) {
        wait = std::min(wait, *deadline_ - Clock::now());
        if (wait.count() <= 0) stop("timed out");
      }
    }
    const auto whole = std::chrono::duration_cast<std::chrono::seconds>(wait);
    const auto rest = std::chrono::duration_cast<std::chrono::nanoseconds>(wait - whole);
    const timespec patience{static_cast<time_t>(whole.count()), static_cast<long>(rest.count())};
    siginfo_t from{};
    if (sigtimedwait(&signals_, &from, &patience) < 0) continue;  // time to look again
    const std::lock_guard lock(mutex_);
    // Our own calls come from this process, to this thread alone.
    if (from.si_code == SI_TKILL && from.si_pid == getpid()) continue;
    if (!over_) stop("interrupted");
  }
}

}  // namespace switchyard::cli
