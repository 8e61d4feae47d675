// Whole programs, compared: each is made with one strategy for one machine, and timed on the whole chip by the caller's engine.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "compiler/compiler.h"
#include "compiler/draft.h"
#include "compiler/lesser.h"
#include "compiler/machine.h"
#include "compiler/reduction.h"
#include "compiler/strategy.h"

namespace switchyard::compiler {

/// Partitions that are compared: how much of what a kernel holds while others of its context run counts as a cost.
inline constexpr std::array<double, 3> kChainedWeights{0.02, 0.0, 0.1};

/// What programs are made for: the whole array, a corner of it, or one with less of a resource.
struct Contender {
  Machine machine;
  std::size_t corner = 0;  ///< the contender that is nothing but its array
  Less less{};
  std::shared_ptr<const chip::Chip> lesser{};  ///< its chip, where it is not the whole one
  Known known{};
  double time = std::numeric_limits<double>::infinity();  ///< seconds of its fastest program
};

/// A program: for which contender, and how it is made.
struct Point {
  std::size_t machine = 0;
  Strategy strategy{};
  bool operator==(const Point&) const = default;
};

struct Trial {
  double time;  ///< seconds; infinite: its circuits have no room
  Point point;
  std::size_t size;  ///< components times contexts
};

/// What programs have cost that were made and timed.
struct Spent {
  std::size_t contexts = 0;
  std::size_t components = 0;  ///< of each context
  std::int64_t events = 0;     ///< that the engine played
};

/// What has been tried, what that has cost, and the best of it. What one phase finds tells the next what to try; what has been spent tells
/// how much. The first trial is of the whole array with the first strategy.
class Comparison {
 public:
  /// `room`: bytes of each scratchpad for which all programs are made; 0: all that there is.
  Comparison(const Machine& machine, Compiled& out, const CompileOptions& options, const std::shared_ptr<const chip::Chip>& chip,
             std::int64_t room = 0);

  /// Makes and times a program; remembers it where it is the fastest. Infinite: there is no such program.
  Result<double> time_of(const Point& point);
  /// The same, where only the whole array has to be able to do it, and that with all the room that there is.
  Status attempt(const Point& point);
  /// Seconds of a program whose instances take the components that suit them, if that is sooner. `wanted`: as Builder::build has it, which
  /// begins with `begin`. Nothing where links are busy for less than `worth` of the time, or circuits have no room. Not remembered.
  Result<std::optional<double>> placed(const Point& point, double worth, const std::map<std::string, Mapping>& wanted = {},
                                       const Attempt& begin = {});
  /// What another one has tried, for less room.
  void adopt(Comparison& other);
  /// The contender with the array of a corner and less of some resources: a new one unless there is one.
  std::size_t with_less(std::size_t corner, Less less);

  [[nodiscard]] const Trial* find(const Point& point) const;  ///< null: it has not been timed
  [[nodiscard]] bool known(const Point& point) const;         ///< it has been tried, at least
  /// With less of something than there is here.
  [[nodiscard]] bool is_lesser(std::size_t machine) const { return machines[machine].corner != machine; }
  [[nodiscard]] const Machine& whole() const { return machines.front().machine; }
  [[nodiscard]] Point best_point() const { return {best.number, best.strategy}; }
  /// Makes programs for a contender.
  [[nodiscard]] Builder builder(std::size_t machine, graph::Graph& graph, std::vector<Decision>& decisions, Known known) const;

  /// More effort looks at more strategies first, and must not give up what less effort finds (but for what lies within is_at_bound).
  [[nodiscard]] std::size_t patience() const;
  /// No further program is tried but with what is surest.
  [[nodiscard]] bool is_spent() const { return spent.components > affordable; }
  [[nodiscard]] bool is_long() const;
  [[nodiscard]] bool is_longish() const;  ///< only the fastest is tried with several kernels to a context
  /// Programs of so few kernels that one mapping decides.
  [[nodiscard]] bool is_of_few() const;
  /// Programs of some kernels are searched widely: they take little time each, and there is much to choose.
  [[nodiscard]] bool is_wide() const;
  /// Of more kernels, those with few contexts: they are searched for less room in scratchpads, too.
  [[nodiscard]] bool is_of_few_contexts() const;
  /// Nothing that could be tried would be much faster, for this chip or a lesser one.
  [[nodiscard]] bool is_at_bound();

  Compiled& out;
  const CompileOptions& options;
  const std::shared_ptr<const chip::Chip>& chip;
  const int effort;
  const bool timed;                  ///< programs are compared at all
  const bool arrays;                 ///< on corners of the array and on lesser machines, too
  std::vector<Strategy> strategies;  ///< with one kernel to a context, the likeliest first
  std::vector<Contender> machines;   ///< the whole array, its corners, and lesser machines
  const bool several;                ///< there are corners

  Chosen best;
  double least = 0;      ///< seconds of the best program
  std::size_t each = 0;  ///< its components times contexts
  double begun = 0;      ///< seconds of the best of those with which the search began
  bool refined = false;  ///< other mappings have been tried in it
  std::vector<Trial> trials;
  std::vector<Point> failed;  ///< they do not fit, or are not what they should be
  std::vector<ReductionCut> cuts;
  std::size_t kernels = 0;        ///< in the first program
  bool streams_at_first = false;  ///< that has attention that may go over blocks of keys
  bool streams = false;           ///< so has one that comes near the fastest
  bool interleaves = false;       ///< some kernels would hand on tiles, as a program of several kernels to a context has them that was fast

  Spent spent;
  std::size_t affordable;     ///< components of contexts
  std::int64_t searched = 0;  ///< candidates of kernels, for the first program
  std::vector<Decision> told;

 private:
  [[nodiscard]] bool is_small_array() const;

  const bool for_room_;  ///< less than there is
  std::shared_ptr<Bands> bands_ = std::make_shared<Bands>();
  std::optional<double> bound_;  ///< seconds that the model takes at least; nothing: not asked yet
};

}  // namespace switchyard::compiler
