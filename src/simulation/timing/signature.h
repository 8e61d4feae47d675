// Which contexts of a program are alike: whatever names, values and places of buffers are, they take the same time in the same state.
#pragma once

#include <cstdint>
#include <vector>

#include "program/program.h"

namespace switchyard::simulation::timing {

/// A number per context; equal where all that the engine looks at is equal. Not for chips with a cache, where it matters which buffer is
/// read and where.
std::vector<std::uint32_t> alike_contexts(const program::Program& program);

}  // namespace switchyard::simulation::timing
