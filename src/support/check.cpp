#include "support/check.h"

#include <fmt/format.h>

namespace switchyard {

void check_failed(const char* condition, const char* file, int line, const std::string& message) {
  const std::string what = message.empty() ? std::string() : ": " + message;
  throw InternalError(fmt::format("{}:{}: check failed: {}{}", file, line, condition, what));
}

}  // namespace switchyard
