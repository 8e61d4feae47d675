// Schema: which numbers a chip description holds, where they stand, what they measure and what they may be.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "support/quantity.h"

namespace switchyard::chip {

/// A number's place in the description. `path` is a JSON pointer in which "*" stands for any one name.
struct NumberField {
  std::string_view path;
  std::optional<Dimension> dimension;  ///< none: any (cost)
  double least, greatest;              ///< in base units, both allowed
  bool whole = false;                  ///< a count: an integer
  std::string_view fallback;           ///< the value of an absent number; empty: it must be there
};

std::span<const NumberField> number_fields();
/// The field a JSON pointer names, or null.
const NumberField* number_field(std::string_view pointer);

/// JSON pointers (RFC 6901): "~0" is "~" and "~1" is "/".
std::string pointer_to(std::string_view parent, std::string_view key);
/// The unescaped names of a pointer; nothing when it does not begin with "/".
std::optional<std::vector<std::string>> pointer_names(std::string_view pointer);

}  // namespace switchyard::chip
