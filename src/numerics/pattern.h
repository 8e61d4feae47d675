// Regular expressions that match in time linear in the text: no pattern makes them hang.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "support/result.h"

namespace switchyard::numerics {

/// A pattern of RE2's syntax, as far as it is read: literals, '.', classes ([a-z], [^...], \d \w \s and their opposites), groups, '|', '*',
/// '+', '?', {m}, {m,}, {m,n}, '^', '$', \b and \B. Bytes above ASCII stand for themselves.
class Pattern {
 public:
  /// Failure host/unsupported: what is not read, or comes to more than 10,000 steps.
  static Result<Pattern> parse(std::string_view text);
  [[nodiscard]] bool matches(std::string_view text) const;  ///< all of it

 private:
  struct Machine;
  std::shared_ptr<const Machine> machine_;
};

Status check_pattern(const std::string& pattern);

}  // namespace switchyard::numerics
