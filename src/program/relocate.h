// Relocation: the same program with its work and its data on other components of the same kind.
#pragma once

#include <cstdint>
#include <span>

#include "program/program.h"

namespace switchyard::program {

/// What is on instance i of `component` moves to instance to[i]: of listed arrays, of spread buffers, and of the ends of prescribed paths,
/// which become the network's own routes. `to` is a permutation of the component's instances that maps working ones to working ones.
/// Addresses stay: what shared no scratchpad shares none.
void relocate(Program& program, chip::ComponentId component, std::span<const std::uint32_t> to);

}  // namespace switchyard::program
