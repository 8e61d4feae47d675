// Other mappings of kernels, tried in whole programs.
#pragma once

#include "compiler/comparison.h"

namespace switchyard::compiler {

/// Other mappings, look by look, in what is the best program now, and of what is searched widely in some that come near.
Status refine(Comparison& c);

}  // namespace switchyard::compiler
