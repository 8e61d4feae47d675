// Mutations of programs: one small thing wrong, as a buggy compiler would leave it. And the effects of a program, to prove that a
// mutant which changes nothing does nothing else.
#pragma once

#include <optional>
#include <random>
#include <string>
#include <vector>

#include "program/program.h"

namespace switchyard::testing {

struct Mutation {
  std::string kind;   ///< "tile skipped", "route cut" ...
  std::string where;  ///< context/actor/what
  std::size_t context = 0;
};

/// Applies one random mutation; empty when the drawn place has nothing of the drawn kind (draw again).
std::optional<Mutation> mutate(program::Program& program, std::mt19937_64& random);

/// Why a mutant that changed no output computes the same values all the same; empty when there is no proof.
///  - "same work": its effects are the original's; what differs does nothing (a round of tiles that lies outside the tensor).
///  - "same data": its loads bring the same numbers (a dropped row of zeros where padding is zero).
///  - "host data": what starts early reads only what the host supplies.
///  - "independent": two exchanged contexts touch no buffer that the other writes.
std::string prove_equivalent(const program::Program& original, const program::Program& mutant, const Mutation& mutation);

/// Everything a context does to data, firing by firing: clipped boxes moved, statement extents computed, with firings that do nothing left
/// out. Two contexts with equal effects, equal channels and equal statements compute the same values.
std::vector<std::string> effects(const program::Program& program, std::size_t context);

}  // namespace switchyard::testing
