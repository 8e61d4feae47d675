// What the laws of verify share: a collector of violations and checked arithmetic.
#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "numerics/affine.h"
#include "program/program.h"
#include "support/diagnostic.h"

namespace switchyard::program {

/// Collects violations; the pointer says where: context/actor/port.
class Findings {
 public:
  static constexpr std::size_t kMost = 100;  ///< of one program: enough to see what is wrong
  void add(std::string code, std::string pointer, std::string message, std::string hint = {});
  [[nodiscard]] bool full() const { return diagnostics_.size() >= kMost; }
  [[nodiscard]] bool none() const { return diagnostics_.empty(); }
  [[nodiscard]] std::vector<Diagnostic>& diagnostics() { return diagnostics_; }

 private:
  std::vector<Diagnostic> diagnostics_;
};

// Limits: what is larger is refused, so that a file cannot make a reader hang or run out of memory.
inline constexpr std::int64_t kMostBytes = std::int64_t{1} << 50;      ///< of a buffer, a token, an offset
inline constexpr std::int64_t kMostInstances = std::int64_t{1} << 20;  ///< of an array; of actors and rings in a context: 16 times that
inline constexpr std::int64_t kMostFirings = std::int64_t{1} << 48;    ///< of an actor instance
inline constexpr std::size_t kMostContexts = 16384;
inline constexpr std::size_t kMostDimensions = 16;
inline constexpr std::int64_t kMostPositions = 4096;  ///< a window peeks or pops

/// Least and greatest value over 0 <= variable < extent, when all terms name variables and everything stays below 2^60.
std::optional<numerics::Interval> safe_range(const numerics::Affine& f, std::span<const std::int64_t> extents);

/// Variables of the actor's affine functions: the extents of the coordinates, then of the loops.
std::vector<std::int64_t> variable_extents(const Context& context, const Actor& actor);

inline std::string at(const Context& context) { return context.name; }
inline std::string at(const Context& context, const Actor& actor) { return context.name + "/" + actor.name; }
inline std::string at(const Context& context, const Actor& actor, const Port& port) { return at(context, actor) + "/" + port.name; }
inline std::string at(const Context& context, const Channel& channel) { return context.name + "/" + channel.name; }

/// The port of a mover that carries its data, not synchronisation; null when that end is a box.
const Port* data_port(const Actor& mover, bool input);

// The laws, in the order in which they may rely on each other. Structure alone must hold for the others to be asked.
void verify_structure(const Program& program, Findings& findings);
void verify_channels(const Program& program, Findings& findings);
void verify_work(const Program& program, Findings& findings);
void verify_memory(const Program& program, Findings& findings);
void verify_routes(const Program& program, Findings& findings);
void verify_coverage(const Program& program, Findings& findings);
void verify_liveness(const Program& program, Findings& findings);
void verify_order(const Program& program, Findings& findings);

}  // namespace switchyard::program
