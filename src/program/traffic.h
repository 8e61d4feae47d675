// Traffic: what a context moves and computes, and over which links, counted from the program alone.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "program/program.h"

namespace switchyard::program {

/// Of one actor of a context, all its instances together; or of one engine.
struct ActorTraffic {
  std::int64_t transfers = 0;  ///< that move something
  std::int64_t bytes = 0;      ///< payload, once however many components get it
};

/// Bytes that pass a memory at one place: where it enters a mesh, or (it has no ports) next to the component it serves.
struct PortTraffic {
  chip::MemoryId memory;
  std::uint32_t component = 0;
  std::int64_t read = 0, written = 0;
};

/// Bytes that go over a network between components, or between a component and a memory whose port nearest to it they pass.
struct Flow {
  chip::NetworkId network;
  std::optional<chip::MemoryId> memory;  ///< off-chip: none between components
  bool stores = false;                   ///< into that memory
  std::uint32_t from = 0;                ///< the mover's component instance
  std::vector<std::uint32_t> to;         ///< who gets them, by one tree; of stores nobody
  std::int64_t bytes = 0;
};

struct ContextTraffic {
  std::vector<ActorTraffic> actors;              ///< by actor; compute actors: firings, no bytes
  std::vector<std::vector<std::int64_t>> links;  ///< by network, by link (chip::link_between; crossbar: 2*from out of, 2*to+1 into)
  std::vector<Flow> flows;                       ///< each network, memory, source and set of targets once; crossbars have none
  bool all_flows = true;                         ///< false: messages were too many to be looked at, and their flows are missing
  std::vector<PortTraffic> ports;                ///< by memory, then component
  /// By mover of the chip, then component instance: what its engines carry there.
  std::vector<std::vector<ActorTraffic>> movers;
  std::vector<std::int64_t> work;          ///< by component instance of the context's arrays: points computed
  std::vector<std::int64_t> commands;      ///< by component instance: firings that do something
  std::vector<std::int64_t> into, out_of;  ///< by component instance: bytes brought and sent away
  /// By component instance of the first array's class, in grids: instances it gets when they are dealt evenly.
  std::vector<std::int64_t> dealt;
  std::int64_t read = 0, written = 0;  ///< bytes asked of off-chip memories (a cache may have them)
  std::int64_t sent = 0;               ///< bytes from component to component, each once
};

/// Counts one context of a verified program. Boxes are clipped as in a run; where the firings of a box are too many to be looked at (over
/// 2^18), it counts whole.
ContextTraffic count_traffic(const Program& program, const Context& context);

}  // namespace switchyard::program
