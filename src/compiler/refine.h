// Other mappings of kernels, tried in whole programs.
#pragma once

#include "compiler/comparison.h"

namespace switchyard::compiler {

/// Other mappings, look by look, in what are the best programs now.
Status refine(Comparison& c);

}  // namespace switchyard::compiler
