// Every total that a run adds to, one after the other, so that what was skipped can be added to all of them.
#pragma once

#include "simulation/timing/engine.h"

namespace switchyard::simulation::timing {

template <class Visit>
void Engine::for_totals(Visit visit) {
  for (std::int64_t* total : {&totals.offchip_read, &totals.offchip_written, &totals.offchip_constants, &totals.network_bytes,
                              &totals.link_bytes, &totals.macs, &totals.vector_ops}) {
    visit(*total);
  }
  for (auto* list : {&totals.unit_busy, &totals.mover_busy, &totals.mover_bytes}) {
    for (std::int64_t& total : *list) visit(total);
  }
  for (Resource& r : fabric.resources) {
    visit(r.busy);
    visit(r.bytes);
  }
}

}  // namespace switchyard::simulation::timing
