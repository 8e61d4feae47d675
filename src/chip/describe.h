// Describe: a chip as text for people, and the list of its numbers that are not known.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chip/chip.h"

namespace switchyard::chip {

/// A table of everything, concept by concept: value, range, confidence and source.
std::string describe(const Chip& chip);

struct AssumedNumber {
  std::string pointer;  ///< what --override takes
  std::string text;     ///< "1 ns"
  Confidence confidence = Confidence::assumed;
};
/// The numbers on which times rest and whose confidence is `assumed` or `calibrated`, in the order of the description.
std::vector<AssumedNumber> assumptions(const Chip& chip);
/// Every number on which times may rest (stated peaks and costs are not among them), each once.
std::vector<const Number*> numbers(const Chip& chip);

/// Dense operations per second (two per multiply-accumulate) of the working instances, for each native format that can be contracted.
std::vector<std::pair<std::string, double>> peak_operations(const Chip& chip);

std::string_view name_of(Confidence confidence);
std::string_view name_of(UnitKind kind);
std::string_view name_of(OpClass op);
std::string_view name_of(MemoryKind kind);
std::string_view name_of(Topology topology);
std::string_view name_of(SequencerKind kind);

}  // namespace switchyard::chip
