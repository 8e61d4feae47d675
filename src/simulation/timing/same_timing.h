// In what two timings of one program differ, but for how many events were played for them. For tests.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <type_traits>
#include <utility>

#include "simulation/timing.h"

namespace switchyard::simulation::timing {

/// A line for each thing that differs; empty: nothing does.
class TimingDifference {
 public:
  static std::string of(const Timing& a, const Timing& b) {
    TimingDifference d;
    d.timings(a, b);
    return std::move(d.text_);
  }

 private:
  template <class T>
  void compare(const std::string& what, const T& a, const T& b) {
    if (a == b) return;
    if constexpr (std::is_same_v<T, Picoseconds>)
      text_ += fmt::format("{}: {} ps, {} ps\n", what, a.value, b.value);
    else if constexpr (std::is_arithmetic_v<T>)
      text_ += fmt::format("{}: {}, {}\n", what, a, b);
    else
      text_ += fmt::format("{} differs\n", what);
  }
  void contexts(const std::string& in, const ContextTiming& a, const ContextTiming& b) {
    compare(in + "start", a.start, b.start);
    compare(in + "span", a.span, b.span);
    compare(in + "end", a.end, b.end);
    compare(in + "share", a.share, b.share);
    compare(in + "attribution", a.attribution, b.attribution);
    compare(in + "firings", a.firings, b.firings);
    compare(in + "transfers", a.transfers, b.transfers);
    compare(in + "events", a.events, b.events);
    compare(in + "macs", a.macs, b.macs);
    compare(in + "vector operations", a.vector_ops, b.vector_ops);
    compare(in + "off-chip bytes read", a.offchip_read, b.offchip_read);
    compare(in + "off-chip bytes written", a.offchip_written, b.offchip_written);
    compare(in + "bytes served ahead", a.ahead, b.ahead);
    compare(in + "served", a.served, b.served);
  }
  void timings(const Timing& a, const Timing& b) {
    compare("latency", a.latency, b.latency);
    compare("launch", a.launch, b.launch);
    compare("host", a.host, b.host);
    compare("attribution", a.attribution, b.attribution);
    compare("contexts", a.contexts.size(), b.contexts.size());
    for (std::size_t c = 0; c < std::min(a.contexts.size(), b.contexts.size()); ++c)
      contexts(fmt::format("context {}: ", c), a.contexts[c], b.contexts[c]);
    compare("off-chip bytes read", a.offchip_read, b.offchip_read);
    compare("off-chip bytes written", a.offchip_written, b.offchip_written);
    compare("constants read", a.offchip_constants, b.offchip_constants);
    compare("dirty bytes of the cache", a.cache_dirty, b.cache_dirty);
    compare("network bytes", a.network_bytes, b.network_bytes);
    compare("link bytes", a.link_bytes, b.link_bytes);
    compare("busy share of links", a.link_busy_share, b.link_busy_share);
    compare("resources", a.resources.size(), b.resources.size());
    for (std::size_t r = 0; r < std::min(a.resources.size(), b.resources.size()); ++r) {
      const ResourceUse &x = a.resources[r], &y = b.resources[r];
      compare(fmt::format("name of resource {}", r), x.name, y.name);
      compare(x.name + ": busy", x.busy, y.busy);
      compare(x.name + ": bytes", x.bytes, y.bytes);
    }
    compare("macs", a.macs, b.macs);
    compare("vector operations", a.vector_ops, b.vector_ops);
    compare("firings", a.firings, b.firings);
    compare("transfers", a.transfers, b.transfers);
    compare("events", a.events, b.events);
  }

  std::string text_;
};

}  // namespace switchyard::simulation::timing
