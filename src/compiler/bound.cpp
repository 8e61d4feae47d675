#include "compiler/bound.h"

#include <algorithm>
#include <cstdlib>
#include <map>

#include "chip/query.h"

namespace switchyard::compiler {
namespace {

using graph::TensorId;

constexpr std::int64_t kCounted = 1 << 20;  // points of an index that are counted one by one

/// Distinct indices that an affine function takes over a box of loops, clipped to [0, size); where counting them would take long, fewer.
std::int64_t distinct_indices(const numerics::Affine& f, const std::vector<std::int64_t>& extents, std::int64_t size) {
  struct Term {
    std::int64_t step, extent;
  };
  std::vector<Term> terms;  // steps upwards from the least value
  std::int64_t least = f.constant, points = 1;
  for (const auto& t : f.terms) {
    const std::int64_t extent = extents[static_cast<std::size_t>(t.variable)];
    if (extent <= 1) continue;
    if (t.coefficient < 0) least += t.coefficient * (extent - 1);
    terms.push_back({std::abs(t.coefficient), extent});
    points = std::min<std::int64_t>(kCounted + 1, points) * std::min<std::int64_t>(kCounted + 1, extent);
  }
  std::sort(terms.begin(), terms.end(), [](const Term& a, const Term& b) { return a.step < b.step; });
  // As long as no step leaps over what the smaller ones reach, the values are evenly spaced.
  const std::int64_t spacing = terms.empty() ? 1 : terms[0].step;
  std::int64_t reach = 0;
  bool even = true;
  for (const Term& t : terms) {
    if (t.step % spacing != 0 || t.step > reach + spacing) {
      even = false;
      break;
    }
    reach += t.step * (t.extent - 1);
  }
  if (even || points > kCounted) {
    const std::int64_t first = least >= 0 ? 0 : (-least + spacing - 1) / spacing, last = std::min(reach, size - 1 - least) / spacing;
    return size - 1 < least ? 0 : std::max<std::int64_t>(0, last - first + 1);
  }
  std::vector<std::int64_t> values{least};
  for (const Term& t : terms) {
    const std::size_t before = values.size();
    for (std::int64_t i = 1; i < t.extent; ++i)
      for (std::size_t v = 0; v < before; ++v) values.push_back(values[v] + i * t.step);
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
  }
  return std::count_if(values.begin(), values.end(), [&](std::int64_t v) { return v >= 0 && v < size; });
}

double touched_bytes(const graph::Graph& g, TensorId tensor, const std::vector<numerics::Affine>& index,
                     const std::vector<std::int64_t>& extents) {
  const auto& t = g.tensor(tensor);
  double count = numerics::format_bytes(t.format);
  for (std::size_t d = 0; d < index.size(); ++d) count *= static_cast<double>(distinct_indices(index[d], extents, t.shape[d]));
  return count;
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

Work work_of(const graph::Graph& g) {
  Work work;
  std::vector<double> touched(g.tensors.size(), 0);
  for (const auto& op : g.ops)
    for (const auto& nest : op.nests) {
      if (nest.is_contraction()) work.macs[g.tensor(op.operands.front()).format] += static_cast<double>(nest.points());
      for (const auto& r : nest.reads) {
        if (r.slot >= static_cast<int>(op.operands.size())) continue;
        const TensorId t = op.operands[static_cast<std::size_t>(r.slot)];
        if (g.tensor(t).role == graph::Role::intermediate) continue;
        touched[t.index()] = std::max(touched[t.index()], touched_bytes(g, t, r.index, extents_of(nest)));
      }
    }
  for (double b : touched) work.read += b;
  for (TensorId t : g.outputs)
    work.written += static_cast<double>(numerics::element_count(g.tensor(t).shape)) * numerics::format_bytes(g.tensor(t).format);
  return work;
}

double cache_bytes(const chip::Chip& chip) {
  const auto cache = chip::cache_of(chip, chip::off_chip_memory(chip));
  return cache ? chip.memories[cache->index()].bytes.value : 0;
}

double compute_seconds(const chip::Chip& chip, const Work& work) {
  double s = 0;
  for (const auto& [format, macs] : work.macs) {
    const double rate = chip::best_contract_rate(chip, format);
    if (rate > 0) s += macs / rate;
  }
  return s;
}

/// Bounds must not exceed what integer rounding up can reach, so they round down.
Picoseconds floor_picoseconds(double seconds) { return Picoseconds(static_cast<std::int64_t>(seconds * 1e12 * (1 - 1e-12))); }

}  // namespace

Picoseconds model_bound(const chip::Chip& chip, const graph::Graph& g) {
  const Work work = work_of(g);
  const chip::Memory& off = chip.memories[chip::off_chip_memory(chip).index()];
  const double bytes = work.read + std::max(0.0, work.written - cache_bytes(chip));
  return floor_picoseconds(std::max(compute_seconds(chip, work), bytes / chip::sustained_bandwidth(off).value) +
                           chip.sequencer.launch.value);
}

Picoseconds model_peak_bound(const chip::Chip& chip, const graph::Graph& g) {
  const Work work = work_of(g);
  double compute = 0;
  for (const auto& [format, macs] : work.macs) {
    double peak = 0;
    for (const auto& unit : chip.units)
      for (const auto& [f, number] : unit.peaks)
        if (f == format) peak = std::max(peak, number.value);
    peak = std::max(peak, 2 * chip::best_contract_rate(chip, format));  // stated figures are rounded
    if (peak > 0) compute += 2 * macs / peak;
  }
  const chip::Memory& off = chip.memories[chip::off_chip_memory(chip).index()];
  const double bytes = work.read + std::max(0.0, work.written - cache_bytes(chip));
  return floor_picoseconds(std::max(compute, bytes / off.bandwidth.value));
}

Picoseconds kernel_bound(const chip::Chip& chip, const graph::Graph& g, const Kernel& kernel, const std::vector<bool>& read_before,
                         const std::vector<bool>& stays) {
  std::vector<std::int64_t> extents;
  for (const auto& d : kernel.dims) extents.push_back(d.extent);
  Work work;
  if (kernel.contraction) work.macs[g.tensor(kernel.operands.front().tensor).format] = static_cast<double>(kernel.macs);
  std::map<TensorId, double> read;
  for (const auto& o : kernel.operands) {
    if (stays[o.tensor.index()]) continue;
    const double bytes = touched_bytes(g, o.tensor, o.index, extents);
    if (o.write)
      work.written += bytes;
    else
      read[o.tensor] = std::max(read[o.tensor], bytes);
  }
  double fresh = 0;  // cannot be in a cache yet
  for (const auto& [tensor, bytes] : read) {
    const bool untouched = !read_before[tensor.index()] && g.tensor(tensor).role != graph::Role::intermediate;
    (untouched ? fresh : work.read) += bytes;
  }
  const chip::Memory& off = chip.memories[chip::off_chip_memory(chip).index()];
  const double cached = cache_bytes(chip);
  const double bytes =
      fresh + (cached > 0 ? std::max(0.0, work.read - cached) + std::max(0.0, work.written - cached) : work.read + work.written);
  return floor_picoseconds(std::max(compute_seconds(chip, work), bytes / chip::sustained_bandwidth(off).value));
}

}  // namespace switchyard::compiler
