// Programs for ever less room in scratchpads: what is fastest need not use all that there is.
#pragma once

#include "compiler/comparison.h"

namespace switchyard::compiler {

/// Searches the programs for the next lower of 2^n and 3·2^n bytes, and so on until they are hopeless; then tries other mappings in the
/// best of each room that is nearly the fastest, and in that for all the room that there is. Each room is searched by itself: what is found
/// does not depend on how much more there is, so that a chip finds what one with smaller scratchpads does. Of few kernels a
/// room is left out where the best program with which its search begins is as fast as with more.
void search_rooms(Comparison& c);

}  // namespace switchyard::compiler
