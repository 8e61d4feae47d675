#include "cli/limits.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace switchyard::cli {
namespace {

/// Made before the alarm is set: the handler may only write it.
std::array<char, 64> message{};
std::size_t message_length = 0;

extern "C" void out_of_time(int) {
  [[maybe_unused]] const auto written = write(STDERR_FILENO, message.data(), message_length);
  kill(getpid(), SIGTERM);
}

}  // namespace

void set_limits(const Options& options) {
  if (options.max_memory > 0) {
    // Private writable memory, not address space: threads reserve far more of that than they use.
    rlimit limit{};
    getrlimit(RLIMIT_DATA, &limit);
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, static_cast<rlim_t>(options.max_memory));
    setrlimit(RLIMIT_DATA, &limit);
  }
  if (options.timeout_s > 0) {
    const std::string text = fmt::format("\nthe time limit of {} s is over", options.timeout_s);
    message_length = std::min(text.size(), message.size());
    std::memcpy(message.data(), text.data(), message_length);
    signal(SIGALRM, out_of_time);
    itimerval timer{};
    timer.it_value.tv_sec = options.timeout_s;
    setitimer(ITIMER_REAL, &timer, nullptr);
  }
}

}  // namespace switchyard::cli
