// Quantised: products of matrices whose factors are stored in fewer bits than is computed with, by the name of the scheme.
//
//   fp8        activations are quantised row by row, weights stand in e4m3 with a scale per column; scales are applied to the sums. Of
//              attention: queries, keys, values and the rows of the softmax are in e4m3
//   fp8_tensor the same with one scale for all activations, whose greatest is looked for first, and one for all weights
//   fp8_block  e4m3 with a scale per row and 128 of the reduction, and per 128 x 128 of the weights; sums of 128 are scaled and added up
//   int8_wo    weights in int8 with a scale per column, activations in bf16: weights are unpacked before they are multiplied
//   int4_wo    the same, two weights to a byte
//   sq         int8 by int8, both with scales (SmoothQuant); activations come quantised
#pragma once

#include <span>
#include <string_view>

#include "model/operation.h"

namespace switchyard::model {

/// The schemes above.
std::span<const std::string_view> quantised_schemes();
bool is_quantised_scheme(std::string_view name);
/// The format in which a scheme multiplies.
numerics::Format multiplied_format(std::string_view scheme);

/// A `gemm` under a scheme, or attention under fp8; every tensor has its own format, and the result is bf16. Failures: operation/unknown
/// (unsupported: other operations), operation/shape (malformed).
/// `wide`: what stands in sixteen bits.
Result<graph::Graph> build_quantised(const Operation& operation, std::string_view scheme, numerics::Format wide = numerics::Format::bf16);

/// Attention in `format` over a cache in e4m3, in which new rows are stored. Multiplied is in `format`, to which each block converts what
/// it reads of the cache, or in e4m3: in that queries come, or, where it `converts`, kernels of their own make it of queries and of new
/// rows.
Result<graph::Graph> build_cached_attention(const Operation& operation, numerics::Format format, numerics::Format multiplied,
                                            bool converts);

}  // namespace switchyard::model
