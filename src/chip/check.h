// Checks that need more than one section of a description.
#pragma once

#include "chip/chip.h"
#include "chip/fields.h"

namespace switchyard::chip {

/// Stated peaks against units x rate x clock (chip/peak).
void check_peaks(const Chip& chip, Fields& fields);

}  // namespace switchyard::chip
