#include "compiler/means.h"

#include <fmt/format.h>

#include <algorithm>

#include "chip/query.h"
#include "compiler/grid_search.h"

namespace switchyard::compiler {
namespace {

constexpr const char* kGrid = "its sequencer deals blocks to whatever component is free";

std::string name_of(const Machine& machine, chip::MoverId mover) { return machine.chip->movers[mover.index()].name; }

std::string why_values_stay(const Machine& m) {
  if (!m.keeps) return "disabled: fuse";
  if (m.grid) return kGrid;
  if (!m.chip->context.keeps_scratchpads) return "contexts do not keep scratchpads";
  if (!m.cast.valid()) return "no mover leads from one scratchpad to others";
  return fmt::format("contexts keep them, and '{}' leads from one to others", name_of(m, m.cast));
}

std::string why_early(const Machine& m) {
  if (!m.early) return "disabled: overlap";
  if (m.grid) return kGrid;
  if (m.chip->context.resident <= 1) return "one context is resident at a time";
  if (loads_by_circuit(m)) return "what is loaded comes by circuits, which each context sets for itself";
  return fmt::format("{} contexts are resident at a time", m.chip->context.resident);
}

bool shares_operands(const Machine& m) { return m.shares && m.cast.valid(); }
std::string why_shared(const Machine& m) {
  if (!m.shares) return "disabled: share";
  if (m.grid) return kGrid;
  if (!m.cast.valid()) return "no mover leads from one scratchpad to others";
  return fmt::format("'{}' reaches {} others", name_of(m, m.cast), m.chip->movers[m.cast.index()].multicast);
}

std::string why_chained(const Machine& m) {
  if (!m.keeps) return "disabled: fuse";
  if (!m.early) return "disabled: overlap";
  if (m.grid) return "what a grid's blocks hand on, its cache holds";
  return "each component has a queue of its own, and goes on when tokens have come";
}

std::string why_streamed(const Machine& m) {
  if (!chains_kernels(m)) return why_chained(m);
  return keeps_values(m) ? "results go from scratchpad to scratchpad" : why_values_stay(m);
}

std::string why_handed_on(const Machine& m) {
  if (!streams_kernels(m)) return why_streamed(m);
  return hands_on_tiles(m) ? "its components have several units, each with commands of its own" : "its components have one unit";
}

std::string why_joined(const Machine& m) {
  if (!m.keeps) return "disabled: fuse";
  if (!m.grid) return "kernels hand on through scratchpads";
  return m.chip->sequencer.waves ? "blocks run in waves, whose time is known for kernels of several stages"
                                 : "nothing is said of waves of blocks";
}

std::string why_placed(const Machine& m) {
  if (m.grid) return kGrid;
  return places_instances(m) ? "routes are as long as their ends are apart" : "no network of links joins the components";
}

struct Row {
  std::string_view what;
  bool (*used)(const Machine&);
  std::string (*why)(const Machine&);
};
constexpr Row kTable[] = {{"values stay in scratchpads from context to context", keeps_values, why_values_stay},
                          {"weights are fetched before their context", fetches_early, why_early},
                          {"operands needed alike are read once and handed on", shares_operands, why_shared},
                          {"several kernels are phases of one context", chains_kernels, why_chained},
                          {"kernels stream into each other on components of their own", streams_kernels, why_streamed},
                          {"kernels on different units of a component hand on tile by tile", hands_on_tiles, why_handed_on},
                          {"products and what lies between them are stages of one kernel", joins_stages, why_joined},
                          {"instances are placed where routes are short", places_instances, why_placed}};

}  // namespace

bool chains_kernels(const Machine& machine) { return machine.keeps && machine.early && !machine.grid; }
bool streams_kernels(const Machine& machine) { return chains_kernels(machine) && keeps_values(machine); }
bool hands_on_tiles(const Machine& machine) {
  const auto units =
      std::count_if(machine.chip->units.begin(), machine.chip->units.end(), [&](const chip::Unit& u) { return u.in == machine.component; });
  return streams_kernels(machine) && units > 1;
}
bool joins_stages(const Machine& machine) { return machine.keeps && deals_waves(machine); }
bool places_instances(const Machine& machine) {
  bool linked = false;
  for (const chip::Network& n : machine.chip->networks)
    linked = linked || (n.over == machine.component && n.topology != chip::Topology::crossbar);
  return linked && !machine.grid;
}

std::vector<Means> means_of(const Machine& machine) {
  std::vector<Means> all;
  for (const Row& row : kTable) all.push_back({row.what, row.used(machine), row.why(machine)});
  return all;
}

Decision explain_means(const Machine& machine) {
  std::string used, not_used;
  for (const Means& m : means_of(machine)) {
    std::string& list = m.used ? used : not_used;
    list += fmt::format("{}{} ({})", list.empty() ? "" : "; ", m.what, m.why);
  }
  return {"means", fmt::format("{}. Not: {}", used.empty() ? "none" : used, not_used.empty() ? "nothing" : not_used)};
}

}  // namespace switchyard::compiler
