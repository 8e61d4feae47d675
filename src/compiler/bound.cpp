#include "compiler/bound.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "chip/query.h"
#include "numerics/packing.h"
#include "program/grid.h"

namespace switchyard::compiler {
namespace {

using graph::TensorId;

constexpr double kNoElement = 16;  // bytes: no format has as many

double bytes_of(const graph::Graph& g, const std::map<TensorId, Touched>& touched) {
  double bytes = 0;
  for (const auto& [tensor, elements] : touched) bytes += elements.count() * numerics::stored_size(g.tensor(tensor).format);
  return bytes;
}

std::vector<std::int64_t> extents_of(const numerics::Nest& nest) {
  std::vector<std::int64_t> e;
  for (const auto& l : nest.loops) e.push_back(l.extent);
  return e;
}

struct Work {
  std::map<numerics::Format, double> macs;  ///< by operand format
  double read = 0, written = 0;             ///< bytes that must cross the chip's edge
};

Work work_of(const graph::Graph& g, const Bounds::Hidden& hidden) {
  Work work;
  std::map<TensorId, Touched> touched;
  for (const auto& op : g.ops)
    for (const auto& nest : op.nests) {
      if (nest.is_contraction())
        work.macs[g.tensor(op.operands.front()).format] +=
            static_cast<double>(nest.points()) * (hidden.shares.empty() ? 1 : hidden.shares[static_cast<std::size_t>(&op - g.ops.data())]);
      for (const auto& r : nest.reads) {
        if (r.slot >= static_cast<int>(op.operands.size())) continue;
        const TensorId t = op.operands[static_cast<std::size_t>(r.slot)];
        if (g.tensor(t).role == graph::Role::intermediate) continue;
        std::vector<int> unknown;
        for (const numerics::Lookup& lookup : r.lookups) unknown.push_back(lookup.dimension);
        touched.try_emplace(t, g.tensor(t).shape).first->second.add(r.index, extents_of(nest), unknown);
      }
    }
  work.read = bytes_of(g, touched);
  work.read = std::max(0.0, work.read - hidden.unread);
  for (TensorId t : g.outputs)
    work.written += static_cast<double>(numerics::element_count(g.tensor(t).shape)) * numerics::stored_size(g.tensor(t).format);
  return work;
}

/// Bounds must not exceed what integer rounding up can reach, so they round down.
Picoseconds floor_picoseconds(double seconds) { return Picoseconds(static_cast<std::int64_t>(seconds * 1e12 * (1 - 1e-12))); }

std::string time_text(double seconds) { return fmt::format("{:.3f} us", seconds * 1e6); }

void add_term(Bound& bound, std::string resource, double seconds, std::string how) {
  bound.terms.push_back({std::move(resource), std::move(how), floor_picoseconds(seconds)});
  std::stable_sort(bound.terms.begin(), bound.terms.end(), [](const BoundTerm& a, const BoundTerm& b) { return a.time > b.time; });
}

/// Is the chip's memory one that data come from or go to across its edge? Parts of it, and what caches it, are met on the same way.
bool crosses_edge(const chip::Chip& chip, const std::vector<chip::MemoryId>& memories) {
  return std::any_of(memories.begin(), memories.end(), [&](chip::MemoryId id) {
    const auto kind = chip.memories[id.index()].kind;
    return kind == chip::MemoryKind::dram || kind == chip::MemoryKind::cache;
  });
}

double working(const chip::Chip& chip, chip::ComponentId component) {
  return static_cast<double>(chip::working_instances(chip.components[component.index()]).size());
}

}  // namespace

std::string print_bound(const Bound& bound) {
  std::string out;
  for (const BoundTerm& t : bound.terms)
    out += fmt::format("{}{} {} ({})", out.empty() ? "" : "; ", t.resource, time_text(static_cast<double>(t.time.value) * 1e-12), t.how);
  return out;
}

Bounds::Bounds(const chip::Chip& chip, const graph::Graph& graph)
    : chip_(chip), g_(graph), off_(chip.memories[chip::off_chip_memory(chip).index()]), no_work_(chip, graph) {
  if (const auto cache = chip::cache_of(chip, chip::off_chip_memory(chip))) cached_ = chip.memories[cache->index()].bytes.value;
  for (const chip::Memory& m : chip.memories)
    if (m.kind != chip::MemoryKind::dram) on_chip_ += m.bytes.value * working(chip, m.in);
  if (chip.sequencer.kind == chip::SequencerKind::component_queues) issue_ = chip.sequencer.issue.value;
  bool first = true;
  for (const chip::Unit& unit : chip.units) {
    const double startup = unit.clock_hz.value > 0 ? unit.startup_cycles.value / unit.clock_hz.value : 0;
    unit_startup_ = first ? startup : std::min(unit_startup_, startup);
    first = false;
  }
  load_ = movers_of(true);
  store_ = movers_of(false);
}

Bounds::Movers Bounds::movers_of(bool load) const {
  Movers all;
  for (const chip::Mover& mover : chip_.movers) {
    if (!crosses_edge(chip_, load ? mover.from : mover.to)) continue;
    all.startup = all.exist ? std::min(all.startup, mover.startup.value) : mover.startup.value;
    all.rate += working(chip_, mover.in) * static_cast<double>(std::max<std::int64_t>(1, mover.count)) * mover.bandwidth.value;
    all.exist = true;
  }
  all.ports = port_rate(load);
  return all;
}

/// The cut around the ports of the off-chip memory: the links that lead out of them (into them), and the movers that stand there.
double Bounds::port_rate(bool load) const {
  if (!off_.network || off_.ports.empty()) return 0;
  const chip::Network& network = chip_.networks[off_.network->index()];
  if (chip::is_switched(network) || network.topology == chip::Topology::host) return 0;
  for (const chip::Memory& m : chip_.memories)  // other ways in
    if (m.kind == chip::MemoryKind::dram && &m != &off_ && (m.network != off_.network || m.ports.empty())) return 0;
  std::vector<bool> port(static_cast<std::size_t>(chip::instance_count(chip_.components[network.over.index()])), false);
  for (const chip::Memory& m : chip_.memories)
    if (m.kind == chip::MemoryKind::dram)
      for (const std::uint32_t p : m.ports) port[p] = true;
  double rate = 0;
  for (const chip::Mover& mover : chip_.movers) {
    if (!crosses_edge(chip_, load ? mover.from : mover.to)) continue;
    if (mover.in != network.over || (mover.network && mover.network != off_.network)) return 0;
    for (const std::uint32_t p : chip::working_instances(chip_.components[mover.in.index()]))
      if (port[p]) rate += static_cast<double>(std::max<std::int64_t>(1, mover.count)) * mover.bandwidth.value;
  }
  for (std::uint32_t a = 0; a < port.size(); ++a)
    for (std::uint32_t b = 0; port[a] && b < port.size(); ++b)
      if (!port[b] && (load ? chip::link_between(chip_, network, a, b) : chip::link_between(chip_, network, b, a)))
        rate += network.link.value;
  // What begins or ends at a port takes one of the circuits that may.
  const auto ports = static_cast<double>(std::count(port.begin(), port.end(), true));
  if (network.circuits > 0) rate = std::min(rate, ports * static_cast<double>(network.ends) * chip::stream_bandwidth(network).value);
  return rate;
}

void Bounds::add_traffic(Bound& bound, double before, double read, double written, double product) const {
  const auto amount = [](double bytes, double rate) { return fmt::format("{:.3f} MB at {:.4g} GB/s", bytes * 1e-6, rate * 1e-9); };
  const double bytes = read + written, rate = chip::sustained_bandwidth(off_).value;
  bound.bytes = bytes;
  const double start = read > 0 && written > 0 ? std::min(load_.startup, store_.startup) : read > 0 ? load_.startup : store_.startup;
  before += issue_ + start;
  if (bytes > 0) add_term(bound, off_.name, before + bytes / rate, amount(bytes, rate));
  if (product > bytes)
    add_term(bound, off_.name + ", again", before + product / rate,
             amount(product, rate) + ", for the chip cannot hold what it uses again");
  const auto way = [&](const Movers& movers, double moved, const char* what) {
    if (moved > 0 && movers.rate > 0) add_term(bound, std::string(what) + "s", before + moved / movers.rate, amount(moved, movers.rate));
    if (moved > 0 && movers.ports > 0)
      add_term(bound, fmt::format("{}s at ports", what), before + moved / movers.ports, amount(moved, movers.ports));
  };
  way(load_, read, "load");
  way(store_, written, "store");
}

void Bounds::add_units(Bound& bound, double before, double after, const UnitWork& work) const {
  const LeastTime least = work.least();
  if (least.seconds > 0) {
    bound.work = floor_picoseconds(issue_ + unit_startup_ + least.seconds);
    add_term(bound, chip_.units[least.unit.index()].name, before + unit_startup_ + least.seconds + after,
             time_text(least.seconds) + (least.in_turn ? " of products, one after the other" : " of work, on all together"));
  }
}

/// Of a matrix product whose operands lie off the chip: Q >= 2 MNK / sqrt(S) - 2 S elements (Smith et al., arXiv:1702.02017), S being all
/// that the chip can hold. It holds for any cut into phases, so for a batch of products too. With a cache, S elements may be there before
/// and S may be left there. 0: nothing is known, as the accesses are not those of a matrix product.
double Bounds::product_bytes(const numerics::Shape& extents, const std::vector<const std::vector<numerics::Affine>*>& index,
                             double element) const {
  std::vector<int> uses(extents.size(), 0);
  for (const auto* access : index) {
    std::vector<bool> seen(extents.size(), false);
    for (const numerics::Affine& f : *access) {
      int varying = 0;
      for (const auto& t : f.terms) {
        const auto v = static_cast<std::size_t>(t.variable);
        if (extents[v] <= 1 || t.coefficient == 0) continue;
        if (++varying > 1 || seen[v]) return 0;
        seen[v] = true;
        ++uses[v];
      }
    }
  }
  double points = 1;
  for (std::size_t d = 0; d < extents.size(); ++d) {
    if (extents[d] > 1 && uses[d] < 2) return 0;
    points *= static_cast<double>(extents[d]);
  }
  const double held = on_chip_ / element;
  return element * (2 * points / std::sqrt(held) - (cached_ > 0 ? 4 : 2) * held);
}

Bound Bounds::model(const Hidden& hidden) const {
  const Work work = work_of(g_, hidden);
  Bound bound;
  const double launch = program::launch_seconds(chip_);
  UnitWork units = no_work_;
  units.add(g_, hidden.shares);
  add_units(bound, launch + issue_, 0, units);
  double product = 0;
  const auto off_chip = [&](const graph::Op& op, const numerics::Access& a) {
    const auto slot = static_cast<std::size_t>(a.slot);
    if (slot < op.operands.size()) return g_.tensor(op.operands[slot]).role != graph::Role::intermediate;
    return slot - op.operands.size() < op.results.size() &&
           std::find(g_.outputs.begin(), g_.outputs.end(), op.results[slot - op.operands.size()]) != g_.outputs.end();
  };
  for (const graph::Op& op : g_.ops)
    for (const numerics::Nest& nest : op.nests) {
      if (!nest.is_contraction() || nest.reads.size() != 2 || !off_chip(op, nest.write)) continue;
      if (!off_chip(op, nest.reads[0]) || !off_chip(op, nest.reads[1])) continue;
      double element = numerics::stored_size(g_.tensor(op.results.front()).format);
      for (const TensorId t : op.operands) element = std::min(element, numerics::stored_size(g_.tensor(t).format));
      product =
          std::max(product, product_bytes(extents_of(nest), {&nest.reads[0].index, &nest.reads[1].index, &nest.write.index}, element));
    }
  add_traffic(bound, launch, work.read, std::max(0.0, work.written - cached_), product);
  if (bound.terms.empty()) add_term(bound, "launch", launch, "nothing else must be done");
  return bound;
}

Picoseconds Bounds::model_peak(const Hidden& hidden) const {
  const Work work = work_of(g_, hidden);
  double compute = 0;
  for (const auto& [format, macs] : work.macs) {
    double together = 0, fastest = 0;  // of the classes of units
    for (const chip::UnitId u : chip::units_for(chip_, chip::OpClass::contract, format)) {
      const chip::Unit& unit = chip_.units[u.index()];
      double peak = 2 * chip::chip_rate(chip_, u, *chip::find_rate(unit, chip::OpClass::contract, format));
      for (const auto& [f, number] : unit.peaks)
        if (f == format) peak = std::max(peak, number.value);  // stated figures are rounded
      together += peak;
      fastest = std::max(fastest, peak);
    }
    const double peak = chip_.sequencer.kind == chip::SequencerKind::grid ? fastest : together;
    if (peak > 0) compute += 2 * macs / peak;
  }
  const double bytes = work.read + std::max(0.0, work.written - cached_);
  return floor_picoseconds(std::max(compute, bytes / off_.bandwidth.value));
}

void Bounds::add_traffic_of(Traffic& traffic, const Kernel& kernel, const std::vector<bool>& stays) const {
  std::vector<std::int64_t> extents;
  for (const auto& d : kernel.dims) extents.push_back(d.extent);
  for (const auto& o : kernel.operands) {
    if (stays[o.tensor.index()]) continue;
    std::vector<int> unknown;
    for (const KernelLookup& lookup : o.lookups) unknown.push_back(lookup.dimension);
    auto& side = o.write ? traffic.written : traffic.read;
    side.try_emplace(o.tensor, g_.tensor(o.tensor).shape).first->second.add(o.index, extents, unknown);
  }
}

double Bounds::missing(const std::map<TensorId, Touched>& read, const std::vector<bool>& read_before) const {
  double again = 0, fresh = 0;  // fresh: cannot be in a cache yet
  for (const auto& [tensor, elements] : read) {
    const double bytes = elements.count() * numerics::stored_size(g_.tensor(tensor).format);
    const bool untouched = !read_before[tensor.index()] && g_.tensor(tensor).role != graph::Role::intermediate;
    (untouched ? fresh : again) += bytes;
  }
  return fresh + std::max(0.0, again - cached_);
}

namespace {

/// The part of a kernel's points that has an effect.
double share_of(const Kernel& kernel, const std::vector<double>& shares) { return shares.empty() ? 1 : shares[kernel.ops.front().index()]; }

}  // namespace

Bound Bounds::context(std::span<const Kernel> kernels, const std::vector<bool>& read_before, const std::vector<bool>& stays,
                      const std::vector<double>& shares) const {
  if (kernels.size() == 1) return kernel(kernels.front(), read_before, stays, shares);
  Bound bound;
  Traffic all;
  UnitWork units = no_work_;
  for (const Kernel& k : kernels) {
    units.add(g_, k, share_of(k, shares));
    add_traffic_of(all, k, stays);
  }
  add_units(bound, issue_, 0, units);
  add_traffic(bound, 0, missing(all.read, read_before), std::max(0.0, bytes_of(g_, all.written) - cached_), 0);
  for (const Kernel& k : kernels) {
    const Bound one = kernel(k, read_before, stays, shares);
    if (!one.terms.empty() && one.time() > bound.time())
      bound.terms.insert(bound.terms.begin(),
                         {fmt::format("{} of {}", one.terms.front().resource, k.name), one.terms.front().how, one.time()});
  }
  return bound;
}

Bound Bounds::stages(std::span<const Kernel> kernels, const std::vector<bool>& read_before, const Hidden& hidden) const {
  std::vector<bool> inside(g_.tensors.size(), false);
  for (const Kernel& k : kernels.first(kernels.size() - 1))
    for (const KernelOperand& o : k.operands)
      if (o.write) inside[o.tensor.index()] = true;
  Bound bound;
  Traffic all;
  UnitWork units = no_work_;
  for (const Kernel& k : kernels) {
    units.add_product(g_, k, hidden.shares.empty() ? 1 : hidden.shares[k.ops.front().index()]);
    add_traffic_of(all, k, inside);
  }
  add_units(bound, issue_, 0, units);
  add_traffic(bound, 0, std::max(0.0, missing(all.read, read_before) - hidden.unread), std::max(0.0, bytes_of(g_, all.written) - cached_),
              0);
  return bound;
}

Bound Bounds::kernel(const Kernel& kernel, const std::vector<bool>& read_before, const std::vector<bool>& stays,
                     const std::vector<double>& shares) const {
  std::vector<std::int64_t> extents;
  for (const auto& d : kernel.dims) extents.push_back(d.extent);
  bool all_written = true, all_read = true, any_read = false;
  for (const auto& o : kernel.operands) {
    const bool here = stays[o.tensor.index()];
    if (o.write) all_written = all_written && !here;
    if (!o.write && !o.epilogue) all_read = all_read && !here, any_read = true;
  }
  Traffic traffic;
  add_traffic_of(traffic, kernel, stays);
  // A product needs both factors before its first step.
  bool waits = any_read && all_read;
  double product = 0;
  if (kernel.contraction) {
    const KernelStatement& s = kernel.statements.front();
    std::vector<const std::vector<numerics::Affine>*> index;
    double element = kNoElement;
    bool off_chip = all_written;
    for (const KernelAccess& a : s.reads) {
      if (a.local) continue;
      const KernelOperand& o = kernel.operands[static_cast<std::size_t>(a.number)];
      waits = waits || !stays[o.tensor.index()];
      off_chip = off_chip && !stays[o.tensor.index()];
      element = std::min(element, numerics::stored_size(g_.tensor(o.tensor).format));
      index.push_back(&o.index);
    }
    for (const KernelOperand& o : kernel.operands)
      if (o.write) {
        element = std::min(element, numerics::stored_size(g_.tensor(o.tensor).format));
        if (index.size() == 2) index.push_back(&o.index);
      }
    if (off_chip && index.size() == 3) product = product_bytes(extents, index, element);
  }
  Bound bound;
  UnitWork units = no_work_;
  units.add(g_, kernel, share_of(kernel, shares));
  add_units(bound, issue_ + (waits ? load_.startup : 0), all_written ? store_.startup : 0, units);
  add_traffic(bound, 0, missing(traffic.read, read_before), std::max(0.0, bytes_of(g_, traffic.written) - cached_), product);
  return bound;
}

}  // namespace switchyard::compiler
