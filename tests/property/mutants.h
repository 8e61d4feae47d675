// Holds a program against its mutants: each is rejected, deadlocks, changes the outputs, or is proved to do the same.
#pragma once

#include <string>
#include <vector>

#include "numerics/tensor.h"
#include "program/program.h"

namespace switchyard::testing {

/// What the program is run on: seeded numbers by name.
struct Input {
  std::string name;
  numerics::Format format = numerics::Format::fp32;
  numerics::Shape shape;
};

/// Fails the test for each mutant that survives without a proof.
void hold_against_mutants(const std::string& title, const program::Program& original, const std::vector<Input>& inputs, int mutants);

}  // namespace switchyard::testing
