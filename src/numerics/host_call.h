// Work that no unit of a chip can do, for the host: named operations on whole tensors, texts among them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "numerics/tensor.h"
#include "support/result.h"

namespace switchyard::numerics {

/// An operation by its name in ONNX, with what it needs to know beside its inputs. A key may stand several times: it is a list then.
struct HostCall {
  std::string kind;
  std::vector<std::pair<std::string, std::string>> attributes;

  bool operator==(const HostCall&) const = default;
  [[nodiscard]] const std::string* attribute(std::string_view key) const;  ///< the first; null: there is none
  [[nodiscard]] std::vector<std::string> list(std::string_view key) const;
};

bool is_host_call(std::string_view kind);

/// A tensor of texts is one of bytes (uint8): its last dimension holds a text in UTF-8, filled up with zeros, so that memories and transfers
/// count what they move. A text has no zero byte.
std::vector<std::string> texts_of(const Tensor& rows);
/// `shape` is that of the texts; each takes `width` bytes, which none exceeds.
Tensor rows_of(const std::vector<std::string>& texts, Shape shape, std::int64_t width);

/// Results in the order of ONNX's outputs; texts as wide as the widest needs. Shapes of results may depend on values. Failures:
/// host/unsupported (letters beyond ASCII whose case would change, a pattern that is not understood), host/malformed (inputs that do not
/// fit each other).
Result<std::vector<Tensor>> call_host(const HostCall& call, const std::vector<Tensor>& inputs);

/// The same, with results of the given shapes: texts are filled up to the width. Failure host/shape: they have others.
struct HostResult {
  Format format = Format::fp32;
  Shape shape;
};
Result<std::vector<Tensor>> call_host(const HostCall& call, const std::vector<Tensor>& inputs, const std::vector<HostResult>& results);

}  // namespace switchyard::numerics
