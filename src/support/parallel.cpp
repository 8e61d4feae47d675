#include "support/parallel.h"

#include <algorithm>
#include <exception>
#include <system_error>
#include <thread>
#include <vector>

namespace switchyard {

int hardware_threads() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }

void parallel_for(int threads, std::size_t count, const std::function<void(std::size_t)>& fn) {
  const std::size_t wanted = static_cast<std::size_t>(threads > 0 ? threads : hardware_threads());
  const std::size_t workers = std::min(wanted, count);
  if (workers <= 1) {
    for (std::size_t i = 0; i < count; ++i) fn(i);
    return;
  }
  struct Outcome {
    std::size_t index = 0;
    std::exception_ptr error;
  };
  std::vector<Outcome> outcomes(workers);
  // A worker stops at its first exception. The lowest throwing index overall is then always reached by the worker that owns it.
  const auto work = [&](std::size_t worker) {
    for (std::size_t i = worker; i < count; i += workers) {
      try {
        fn(i);
      } catch (...) {
        outcomes[worker] = {i, std::current_exception()};
        return;
      }
    }
  };
  std::vector<std::thread> pool;
  pool.reserve(workers - 1);
  std::size_t started = 1;
  try {
    for (; started < workers; ++started) pool.emplace_back(work, started);
  } catch (const std::system_error&) {
    // The host gives no more threads: this one does the rest of the shares.
  }
  work(0);
  for (std::size_t worker = started; worker < workers; ++worker) work(worker);
  for (std::thread& thread : pool) thread.join();

  const Outcome* first = nullptr;
  for (const Outcome& outcome : outcomes) {
    if (outcome.error && (first == nullptr || outcome.index < first->index)) first = &outcome;
  }
  if (first != nullptr) std::rethrow_exception(first->error);
}

}  // namespace switchyard
