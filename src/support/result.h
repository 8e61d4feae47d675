// Result<T>: a value or a Failure. Our only way to report the user's mistakes; exceptions are for our bugs.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "support/check.h"
#include "support/diagnostic.h"

namespace switchyard {

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}              // NOLINT(google-explicit-constructor)
  Result(Failure failure) : failure_(std::move(failure)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool ok() const { return value_.has_value(); }
  explicit operator bool() const { return ok(); }
  T& value() & {
    SY_CHECK(ok(), "value() of a failed Result");
    return *value_;
  }
  const T& value() const& {
    SY_CHECK(ok(), "value() of a failed Result");
    return *value_;
  }
  T&& value() && {
    SY_CHECK(ok(), "value() of a failed Result");
    return std::move(*value_);
  }
  [[nodiscard]] const Failure& failure() const {
    SY_CHECK(!ok(), "failure() of a good Result");
    return failure_;
  }

 private:
  std::optional<T> value_;
  Failure failure_;
};

/// Result of an operation that yields nothing but success.
struct Done {};
using Status = Result<Done>;

inline Failure fail(FailureKind kind, Diagnostic d) { return Failure{kind, {std::move(d)}, {}}; }
inline Failure fail(FailureKind kind, std::string code, std::string message, std::string hint = {}, Location at = {}) {
  return fail(kind, Diagnostic{std::move(code), std::move(message), std::move(at), {}, std::move(hint), {}});
}

}  // namespace switchyard

#define SY_CONCAT_(a, b) a##b
#define SY_CONCAT(a, b) SY_CONCAT_(a, b)
/// SY_TRY(auto x, f()): x = value of f(), or return its failure from this function.
#define SY_TRY_(tmp, declaration, expression) \
  auto tmp = (expression);                    \
  if (!tmp) return tmp.failure();             \
  declaration = std::move(tmp).value()
#define SY_TRY(declaration, expression) SY_TRY_(SY_CONCAT(sy_try_, __LINE__), declaration, expression)
