// Codes of ScalarOp::cast that keep the bits of a number and read them as another type of the same width.
#pragma once

#include "numerics/format.h"

namespace switchyard::numerics {

/// The second operand of ScalarOp::cast: 10000 + 100 times ONNX's number of `from` + that of `to`.
double bit_cast_code(Format from, Format to);
bool is_bit_cast(double code);

}  // namespace switchyard::numerics
