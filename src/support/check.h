// SY_CHECK: an invariant of ours; a failure is our bug, never the user's mistake.
#pragma once

#include <stdexcept>
#include <string>

namespace switchyard {

/// Thrown by SY_CHECK only. Caught in main (exit code 5) and at the edge of one sweep point.
class InternalError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

[[noreturn]] void check_failed(const char* condition, const char* file, int line, const std::string& message);

}  // namespace switchyard

/// SY_CHECK(condition) or SY_CHECK(condition, "what was being done").
#define SY_CHECK(condition, ...)                                                                            \
  do {                                                                                                      \
    if (!(condition)) ::switchyard::check_failed(#condition, __FILE__, __LINE__, std::string{__VA_ARGS__}); \
  } while (false)
