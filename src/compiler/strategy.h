// Which strategy makes the fastest program: whole programs are made and timed by the caller's engine.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "compiler/compiler.h"
#include "compiler/draft.h"
#include "compiler/machine.h"
#include "compiler/reduction.h"

namespace switchyard::compiler {

struct Chosen {
  Machine machine;
  Strategy strategy;
  std::shared_ptr<const chip::Chip> lesser{};  ///< the machine's chip, where it is not the whole one
  std::string made_for{};                      ///< what that has less of
  std::size_t number = 0;                      ///< of the machine, among those compared
  std::map<std::string, Mapping> wanted{};
  Known known{};    ///< mappings found on that machine
  Attempt start{};  ///< where the program's last round began
  bool compared = false;
  std::vector<ReductionCut> cuts{};    ///< of reductions; they have been made
  std::optional<std::size_t> timed{};  ///< which of the programs that were timed is this one
};

/// Whole programs are compared: with one strategy, on the whole array and on ever smaller corners of it (what few do needs less moving);
/// then with the others, on those that were fastest first; with several kernels to a context; and for lesser machines.
Result<Chosen> choose_strategy(const Machine& machine, Compiled& out, const CompileOptions& options,
                               const std::shared_ptr<const chip::Chip>& chip);

}  // namespace switchyard::compiler
