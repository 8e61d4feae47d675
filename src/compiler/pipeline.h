// Pipeline: consecutive kernels as stages on components of their own, through which rows or blocks of rows stream.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "compiler/mapping.h"

namespace switchyard::compiler {

/// A run of kernels that stream into each other.
struct Pipeline {
  std::size_t first = 0;
  std::int64_t steps = 1;         ///< into which what streams is cut
  std::vector<Mapping> stages;    ///< of its kernels, each on components of its own
  double apart = 0, seconds = 0;  ///< estimates: its kernels one after the other on all components, and as stages
};
/// "conv1 to conv3: 3 stages on 5 + 6 + 5 components, 8 steps; 12.1 us instead of 14.0 us".
std::string print_pipeline(const Pipeline& pipeline, const std::vector<Kernel>& kernels);

/// A kernel as a stage on some components.
struct Stage {
  std::optional<Mapping> mapping;  ///< none: no mapping is one
  double seconds = 0;              ///< of all steps, sending included
  double step = 0;                 ///< until the results of one step are with the next stage
};
/// What has been found out about stages on one machine, by all that they depend on.
using KnownStages = std::map<std::string, Stage>;

/// Runs that are estimated to take as pipelines at most `share` of what they take one kernel after the other, as `apart` (seconds, by
/// kernel) and `mappings` have them. What streams is one parallel dim: each kernel's results move with it along one dimension of the
/// tensor, and whatever it reads of the run's tensors moves with it alone, but for windows. Each kernel gets components in proportion to
/// its work, splits its other dims over them, and hands its results on step by step. Components go to
/// stages in plain order.
/// Kernels that are `alone` are no stages.
std::vector<Pipeline> find_pipelines(const Machine& machine, const MappedKernels& mapped, double share, KnownStages& known);

/// Pipelines that mappings make by themselves, as those of a mapping file may: consecutive kernels that hand on step by step, on components
/// of their own.
std::vector<Pipeline> pipelines_among(const Machine& machine, const MappedKernels& mapped);

}  // namespace switchyard::compiler
