// Progress of phases on standard error: a live line with the time left on a terminal, plain lines now and then elsewhere, nothing for what
// takes under a second.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace switchyard::cli {

class Progress {
 public:
  explicit Progress(bool quiet);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Ends the phase before and begins one.
  void begin(const std::string& phase);
  /// How much of the present phase is done, 0..1; without it only the elapsed time is shown.
  void update(double fraction);
  /// Ends the present phase and returns its seconds.
  double end();

 private:
  void watch();
  void show(bool last);

  bool quiet_, terminal_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::string phase_;
  double fraction_ = 0;
  std::chrono::steady_clock::time_point start_, shown_;
  bool active_ = false, stop_ = false, drawn_ = false;
  std::thread watcher_;
};

}  // namespace switchyard::cli
