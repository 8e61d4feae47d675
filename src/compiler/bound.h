// Lower bounds: what no schedule on this chip can beat.
#pragma once

#include <vector>

#include "chip/chip.h"
#include "compiler/kernel.h"
#include "support/units.h"

namespace switchyard::compiler {

/// Of the whole model: max over resources of (work that must use it / the best rate the chip file's model can deliver), plus one launch.
/// Compulsory traffic is inputs, outputs and constants, once, in their stored formats; with a write-back cache outputs may end in it.
Picoseconds model_bound(const chip::Chip& chip, const graph::Graph& graph);
/// The same against datasheet peaks: stated operations per second, peak bandwidth, no launch.
Picoseconds model_peak_bound(const chip::Chip& chip, const graph::Graph& graph);
/// Of one kernel as a context of its own: its tensors cross the chip's edge, but for what a cache may hold already. `read_before[t]` says
/// which tensors earlier contexts have read: a constant that none has is not in any cache. `stays[t]`: the tensor lies in scratchpads.
Picoseconds kernel_bound(const chip::Chip& chip, const graph::Graph& graph, const Kernel& kernel, const std::vector<bool>& read_before,
                         const std::vector<bool>& stays);

}  // namespace switchyard::compiler
