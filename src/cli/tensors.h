// Inputs and outputs of a program as files, or as seeded values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "numerics/tensor.h"
#include "program/program.h"
#include "support/result.h"

namespace switchyard::cli {

/// The buffers of one role by their number. Numbers are dense in a verified program.
std::vector<const program::Buffer*> numbered_buffers(const program::Program& program, program::BufferRole role);

/// The declared format of input or output k: what the model says, or the buffer's own.
numerics::Format declared_format(const std::vector<std::string>& declared, std::size_t k, const program::Buffer& buffer);

/// Values that depend on (seed, input number, element) alone, so that a program executed without its model gets the same ones. Floating:
/// uniform in [-1, 1], exact in bf16. int8 and uint8: the whole range. Wider integers and booleans: 0 or 1, valid as indices almost
/// everywhere.
std::vector<numerics::Tensor> seeded_inputs(const program::Program& program, std::uint64_t seed);

/// input_k.pb or input_k.npy for every input. Failures (malformed), all of them: inputs/missing, inputs/shape, inputs/format.
Result<std::vector<numerics::Tensor>> read_inputs(const program::Program& program, const std::string& directory);
/// output_k.pb or output_k.npy for every output; the same failures as expect/....
Result<std::vector<numerics::Tensor>> read_expected(const program::Program& program, const std::string& directory);

/// Writes output_k.pb, making the directory where it is absent.
Status write_outputs(const program::Program& program, const std::vector<numerics::Tensor>& outputs, const std::string& directory);

}  // namespace switchyard::cli
