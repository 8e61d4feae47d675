// parallel_for: the same work on any number of threads, with results that cannot depend on the number.
#pragma once

#include <cstddef>
#include <functional>

namespace switchyard {

/// Threads the host offers, at least 1.
int hardware_threads();

/// Calls fn(0) ... fn(count - 1), thread t of `threads` taking t, t + threads, ... in order; returns when all are done. fn must write only
/// what belongs to its index. threads <= 0 means hardware_threads(). When calls throw, the exception of the lowest index is rethrown.
void parallel_for(int threads, std::size_t count, const std::function<void(std::size_t)>& fn);

}  // namespace switchyard
