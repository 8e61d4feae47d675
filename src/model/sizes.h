// Sizes: the numbers of an operation, read by name, and what is wrong with them.
#pragma once

#include <fmt/format.h>

#include <charconv>
#include <initializer_list>
#include <string>

#include "model/operation.h"

namespace switchyard::model {

/// Products of four of these are still counted.
inline constexpr std::int64_t kMostExtent = std::int64_t{1} << 24;
/// More elements than any memory holds.
inline constexpr std::int64_t kMostElements = std::int64_t{1} << 42;

/// Reads sizes and remembers what is wrong with them.
class Sizes {
 public:
  explicit Sizes(const Operation& operation) : operation_(operation) {}

  std::int64_t size(std::string_view name, std::int64_t least = 1) {
    if (const auto text = find(name)) return number(name, *text, least);
    complain(fmt::format("{} needs a size '{}'", operation_.name, name));
    return least;
  }
  std::int64_t size_or(std::string_view name, std::int64_t otherwise, std::int64_t least = 0) {
    const auto text = find(name);
    return text ? number(name, *text, least) : otherwise;
  }
  void require(bool holds, std::string message) {
    if (!holds) complain(std::move(message));
  }
  /// Elements of a tensor, counted without overflow.
  void limit(std::initializer_list<std::int64_t> extents) {
    double elements = 1;
    for (const std::int64_t e : extents) elements *= static_cast<double>(e);
    require(elements <= static_cast<double>(kMostElements), fmt::format("a tensor of {} has {:.3g} elements", operation_.name, elements));
  }
  [[nodiscard]] bool good() const { return failure_.diagnostics.empty(); }
  [[nodiscard]] const Failure& failure() const { return failure_; }

 private:
  [[nodiscard]] const std::string* find(std::string_view name) const {
    for (const auto& [key, value] : operation_.shape)
      if (key == name) return &value;
    return nullptr;
  }
  std::int64_t number(std::string_view name, const std::string& text, std::int64_t least) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size() && value >= least && value <= kMostExtent) return value;
    complain(fmt::format("'{}' of {} must be a whole number from {} to {}, not '{}'", name, operation_.name, least, kMostExtent, text));
    return std::max<std::int64_t>(1, least);
  }
  void complain(std::string message) {
    failure_.kind = FailureKind::malformed;
    failure_.diagnostics.push_back({"operation/shape", std::move(message), {}, {}, {}, {}});
  }

  const Operation& operation_;
  Failure failure_;
};

}  // namespace switchyard::model
