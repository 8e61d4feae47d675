// Programs for ever less room in scratchpads: what is fastest need not use all that there is.
#pragma once

#include "compiler/comparison.h"

namespace switchyard::compiler {

/// Searches the programs for all the room that there is, for the next lower of 2^n and 3·2^n bytes, and so on until they are hopeless. Each
/// room by itself: what is found does not depend on how much more there is, so that a chip finds what one with smaller scratchpads does.
void search_rooms(Comparison& c);

}  // namespace switchyard::compiler
