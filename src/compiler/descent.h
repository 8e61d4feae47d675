// Programs changed one thing at a time, from the fastest that are known.
#pragma once

#include "compiler/comparison.h"

namespace switchyard::compiler {

/// What is best apart need not be best together, nor what is best with one thing with another. Programs of some kernels are searched
/// widely: first with every strategy and several kernels to a context, on the machine and on such with less bandwidth.
Status descend(Comparison& c);

/// Of few contexts: each strategy as for the next lower bandwidth of off-chip memory, and of links, so that a chip finds more of what one
/// with less does.
Status try_next_bandwidths(Comparison& c);

}  // namespace switchyard::compiler
