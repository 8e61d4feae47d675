#include "program/verify.h"

#include <algorithm>

#include "program/findings.h"

namespace switchyard::program {

void Findings::add(std::string code, std::string pointer, std::string message, std::string hint) {
  if (!full()) diagnostics_.push_back({std::move(code), std::move(message), {}, std::move(pointer), std::move(hint), {}});
}

std::optional<numerics::Interval> safe_range(const numerics::Affine& f, std::span<const std::int64_t> extents) {
  constexpr __int128 kLimit = static_cast<__int128>(1) << 60;
  __int128 least = f.constant, greatest = f.constant;
  int last = -1;
  for (const numerics::Affine::Term& term : f.terms) {
    if (term.variable <= last || static_cast<std::size_t>(term.variable) >= extents.size() || term.coefficient == 0) return std::nullopt;
    last = term.variable;
    const __int128 reach = static_cast<__int128>(term.coefficient) * (extents[static_cast<std::size_t>(term.variable)] - 1);
    (reach < 0 ? least : greatest) += reach;
    if (least < -kLimit || greatest > kLimit) return std::nullopt;
  }
  if (least < -kLimit || greatest > kLimit) return std::nullopt;
  return numerics::Interval{static_cast<std::int64_t>(least), static_cast<std::int64_t>(greatest)};
}

std::vector<std::int64_t> variable_extents(const Context& context, const Actor& actor) {
  std::vector<std::int64_t> extents = context.arrays[actor.array.index()].shape;
  for (const Loop& loop : actor.loops) extents.push_back(loop.trip);
  return extents;
}

const Port* data_port(const Actor& mover, bool input) {
  if (input ? mover.source.has_value() : mover.destination.has_value()) return nullptr;
  for (const Port& port : mover.ports)
    if (port.input == input && moves_data(port)) return &port;
  return nullptr;
}

Ended ended_before(const Program& program) {
  Ended result(program.contexts.size());
  for (std::size_t c = 0; c < program.contexts.size(); ++c)
    for (const ContextId id : program.contexts[c].after) result.add(c, id.index(), result);
  return result;
}

Ended ended_before_early(const Program& program, const Ended& before) {
  Ended result(program.contexts.size());
  for (std::size_t c = 0; c < program.contexts.size(); ++c)
    for (const ContextId id : program.contexts[c].early_after) result.add(c, id.index(), before);
  return result;
}

std::size_t first_beside(const Program& program, std::size_t context) {
  const Context& c = program.contexts[context];
  if (std::none_of(c.actors.begin(), c.actors.end(), [](const Actor& actor) { return actor.early; })) return context;
  std::size_t first = 0;
  for (const ContextId id : c.early_after) first = std::max(first, id.index() + 1);
  return first;
}

bool fed_early(const Context& context, const Channel& channel) { return context.actors[channel.from.actor.index()].early; }

Status verify(const Program& program) {
  Findings findings;
  verify_structure(program, findings);
  if (findings.none()) {
    for (const auto law : {verify_channels, verify_work, verify_memory, verify_routes, verify_parts, verify_coverage})
      law(program, findings);
    // Tokens are played only when their counts agree: else every play ends in a wait.
    if (findings.none()) verify_liveness(program, findings);
    if (findings.none()) verify_order(program, findings);
    if (findings.none()) verify_copies(program, findings);
    if (findings.none()) verify_circuits(program, findings);
  }
  if (findings.none()) return Done{};
  return Failure{FailureKind::malformed, std::move(findings.diagnostics()), {}};
}

}  // namespace switchyard::program
