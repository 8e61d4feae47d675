// Sliding-window attributes (kernel, strides, dilations, pads, auto_pad, ceil_mode) resolved against the input's shape.
#pragma once

#include <optional>

#include "model/onnx/node_builder.h"

namespace switchyard::model::onnx {

struct PaddedWindow {
  Window window;
  std::vector<std::int64_t> pad_end;  ///< after the last element; with ceil_mode a window may reach further still
};

/// For the node's input 0, [n, c, spatial...]; mistakes are recorded in the builder.
std::optional<PaddedWindow> read_window(NodeBuilder& builder, const numerics::Shape& kernel, bool ceil_mode = false);

}  // namespace switchyard::model::onnx
