// Plan: where each buffer lies in off-chip memory, reusing the bytes of tensors whose life has ended.
#pragma once

#include "program/program.h"
#include "support/result.h"

namespace switchyard::compiler {

/// Sets offset and bytes of every buffer. Persistent buffers first, then the others by first fit over their lives (first to last context
/// that touches them; inputs live from the start, outputs to the end). Failure compile/does-not-fit with the largest terms.
Status plan_buffers(program::Program& program);

}  // namespace switchyard::compiler
