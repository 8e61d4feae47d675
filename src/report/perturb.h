// How far rounding moves the outputs of this very program: measured by moving every stored number by one unit in its last place.
#pragma once

#include <cstdint>
#include <vector>

#include "numerics/tensor.h"
#include "program/program.h"

namespace switchyard::report {

/// Each floating element moved to its neighbour in `format`, up or down by a seeded coin. Other formats are returned as they are.
numerics::Tensor perturb(numerics::Tensor tensor, numerics::Format format, std::uint64_t seed);

/// The program with every constant perturbed in its stored format. Inputs are perturbed by the caller.
program::Program perturb(const program::Program& program, std::uint64_t seed);

/// Root mean square of the difference of two tensors of one shape; infinite when one is not finite where the other is.
double rms_difference(const numerics::Tensor& a, const numerics::Tensor& b);

}  // namespace switchyard::report
