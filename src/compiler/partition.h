// Partition: which consecutive kernels are one context.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/machine.h"
#include "program/program.h"

namespace switchyard::compiler {

/// What the partition knows of one kernel: seconds.
struct KernelCost {
  double run = 0;      ///< until what it writes is where it is needed, without what stands before its context
  double held = 0;     ///< to fetch as much as it holds in scratchpads
  bool stage = false;  ///< of a pipeline or a run that hands on tiles, with the kernel before: in its context
};

/// Seconds that a context on so many components costs beyond its kernels: barrier, switch, and what of its configuration's load `before`
/// (the run of the context before it) does not hide.
double context_seconds(const Machine& machine, std::int64_t components, double before);

/// Seconds that one more context on all components costs, where what kernels hold decides how many there are: several are one, and nothing
/// is fetched early; elsewhere 0.
double context_price(const Machine& machine);

/// A context of the partition: its first kernel, and why that is not in the context before.
struct Section {
  std::size_t first = 0;
  std::string_view why;
};
inline constexpr std::string_view kCutByCost = "cheaper apart";
inline constexpr std::string_view kCutByRoom = "scratchpads too small for both";
inline constexpr std::string_view kCutByMemory = "values between them go through off-chip memory";
inline constexpr std::string_view kCutByJoin = "too many components would wait for each other";
inline constexpr std::string_view kCutByFile = "as the mapping file has it";

/// "12 contexts of 30 kernels; cuts: cheaper apart 3, scratchpads too small for both 8".
std::string print_partition(const std::vector<Section>& sections, std::size_t kernels);

/// By context: the first one that may be one with it, as nothing that one of them writes to off-chip memory another one reads.
std::vector<std::size_t> first_sharers(const program::Program& program);

/// What a partition may be made for instead of the machine as it is.
struct LessThanThereIs {
  std::int64_t room = 0;    ///< bytes of each scratchpad that are used; 0: all
  double switch_least = 0;  ///< seconds that a switch takes at least
};

/// Contexts of consecutive kernels, so that the sum over contexts of what their kernels run, of what a context costs by itself, and of
/// `held_weight` times what each kernel holds while others of its context run, is least: dynamic programming over the cuts. `program` has
/// one context per kernel, without offsets. The storage of a context of several kernels fits the scratchpads (or what `less` has of them)
/// beside what lives through it, and nothing that one of its kernels writes to off-chip memory is read by another one. `tiles`: buffers of
/// which only so many bytes exist at a time. `joins`: by kernel, the first one with which it may be in a context; empty: any.
std::vector<Section> partition(const Machine& machine, const program::Program& program, const std::vector<KernelCost>& costs,
                               double held_weight, const LessThanThereIs& less = {},
                               const std::map<program::BufferId, std::int64_t>& tiles = {}, const std::vector<std::size_t>& joins = {});

}  // namespace switchyard::compiler
