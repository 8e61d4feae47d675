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
inline constexpr std::int64_t kMostGrid = std::int64_t{1} << 22;       ///< the same of a grid, whose components need no list
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

/// Which contexts have ended: rows of bits, one row per context.
class Ended {
 public:
  explicit Ended(std::size_t contexts) : rows_(contexts, std::vector<std::uint64_t>((contexts + 63) / 64, 0)) {}
  [[nodiscard]] bool has(std::size_t context, std::size_t other) const { return (rows_[context][other / 64] >> other % 64 & 1) != 0; }
  void add(std::size_t context, std::size_t other, const Ended& closed) {
    for (std::size_t w = 0; w < rows_[context].size(); ++w) rows_[context][w] |= closed.rows_[other][w];
    rows_[context][other / 64] |= std::uint64_t{1} << other % 64;
  }

 private:
  std::vector<std::vector<std::uint64_t>> rows_;
};
Ended ended_before(const Program& program);                             ///< those a context comes after, directly or not
Ended ended_before_early(const Program& program, const Ended& before);  ///< those its early actors come after

/// The first context that may still run when the early actors of a context start; the context itself where it has none. Contexts run in
/// list order: what stands before the last one waited for has ended too.
std::size_t first_beside(const Program& program, std::size_t context);
/// Whether a channel's tokens may come before its context starts.
bool fed_early(const Context& context, const Channel& channel);

// Structure of what is spread, in place or early; called by verify_structure once the ids they use are known to be sound.
void check_spread_buffer(const Program& program, const Buffer& buffer, Findings& findings);
void check_place(const Program& program, const Context& context, const Actor& actor, const Port& port, Findings& findings);
void check_spread_boxes(const Program& program, const Context& context, const Actor& actor, Findings& findings);
void check_early(const Program& program, std::size_t context, Findings& findings);
void check_residency(const Program& program, Findings& findings);

// The laws, in the order in which they may rely on each other. Structure alone must hold for the others to be asked.
void verify_structure(const Program& program, Findings& findings);
void verify_channels(const Program& program, Findings& findings);
void verify_work(const Program& program, Findings& findings);
void verify_memory(const Program& program, Findings& findings);
void verify_routes(const Program& program, Findings& findings);
void verify_parts(const Program& program, Findings& findings);
void verify_coverage(const Program& program, Findings& findings);
void verify_liveness(const Program& program, Findings& findings);
void verify_order(const Program& program, Findings& findings);
void verify_copies(const Program& program, Findings& findings);
void verify_circuits(const Program& program, Findings& findings);

}  // namespace switchyard::program
