// Interruption: what happens when the process is told to stop, by a signal or a time limit. What there is of a result is delivered,
// flagged, and the exit code says so.
#pragma once

#include <signal.h>

#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace switchyard::cli {

class Interruption {
 public:
  /// From here on SIGINT and SIGTERM are waited for by a thread of this object, so that what is done then may be anything. One at a time,
  /// and before the threads that it shall stop.
  Interruption();
  ~Interruption();
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

  /// What to do when stopped from now on: `why` is "interrupted" or "timed out". It runs beside the work, of which it must not use what
  /// changes. Without it there is only a message.
  void keep(std::function<void(const std::string& why)> deliver);
  /// Stops after so many seconds from now.
  void limit(double seconds);
  /// The result is about to be delivered whole: signals end the process as they always do.
  void finish();

 private:
  void watch();
  [[noreturn]] void stop(const std::string& why);

  sigset_t signals_{}, before_{};
  std::mutex mutex_;
  std::function<void(const std::string&)> deliver_;
  std::optional<std::chrono::steady_clock::time_point> deadline_;
  bool over_ = false;
  std::thread watcher_;
};

}  // namespace switchyard::cli
