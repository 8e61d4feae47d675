#include "compiler/interleave.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "chip/query.h"
#include "compiler/attention.h"
#include "compiler/estimate.h"
#include "compiler/means.h"
#include "compiler/residence.h"
#include "numerics/packing.h"

namespace switchyard::compiler {
namespace {

constexpr std::size_t kMostStages = 4;
constexpr std::int64_t kMostSteps = 4096;

class Finder {
 public:
  Finder(const Machine& machine, const MappedKernels& mapped, double share)
      : machine_(machine), mapped_(mapped), share_(share), users_(uses_of(mapped.graph, mapped.kernels)) {}

  std::vector<Interleaving> run() {
    std::vector<Interleaving> found;
    for (std::size_t first = 0; first + 1 < mapped_.kernels.size();) {
      std::optional<Interleaving> best;
      links_.clear();
      axes_ = axes_of(first);
      for (std::size_t end = first + 2; end <= std::min(mapped_.kernels.size(), first + kMostStages) && !axes_.empty(); ++end) {
        const auto link = link_between(end - 2, end - 1);
        if (!link) break;
        links_.push_back(*link);
        extend(end - 1);
        auto here = interleaving(first, end);
        if (here && here->seconds <= share_ * here->apart && (!best || here->apart - here->seconds > best->apart - best->seconds))
          best = std::move(here);
      }
      if (!best) {
        ++first;
        continue;
      }
      first = best->end();
      found.push_back(*std::move(best));
    }
    return found;
  }

 private:
  /// A dim of each kernel of the run that moves along the same dimension of what they hand on.
  using Axis = std::vector<int>;

  [[nodiscard]] const KernelDim& dim(std::size_t k, int d) const { return mapped_.kernels[k].dims[static_cast<std::size_t>(d)]; }
  [[nodiscard]] bool cuttable(std::size_t k, int d) const { return d >= 0 && dim(k, d).parallel && !dim(k, d).single; }

  /// The unit that a kernel runs on; nothing where none does.
  const std::optional<UnitChoice>& unit_of(std::size_t k) {
    const auto [at, fresh] = units_.try_emplace(k);
    if (fresh)
      if (const auto choices = unit_choices(machine_, mapped_.graph, mapped_.kernels[k])) at->second = choices.value().front();
    return at->second;
  }

  std::optional<Link> link_between(std::size_t k, std::size_t next) {
    if (mapped_.alone[k] || mapped_.alone[next] || mapped_.kernels[k].copy || mapped_.kernels[next].copy) return std::nullopt;
    const auto &a = unit_of(k), &b = unit_of(next);
    if (!a || !b || a->unit == b->unit) return std::nullopt;
    return compiler::link_between(mapped_.graph, mapped_.kernels, users_, k);
  }

  /// Of the first kernel: what its result moves with, outermost dimension first.
  [[nodiscard]] std::vector<Axis> axes_of(std::size_t first) const {
    std::vector<Axis> axes;
    for (const KernelOperand& o : mapped_.kernels[first].operands)
      if (o.write)
        for (std::size_t x = 0; x < o.index.size(); ++x)
          if (const int d = dim_at(o, x); cuttable(first, d) && dim(first, d).extent > 1) axes.push_back({d});
    return axes;
  }

  /// Axes that go on through the link into the kernel that stands at its end.
  void extend(std::size_t k) {
    const KernelOperand &out = mapped_.kernels[k - 1].operands[links_.back().from], &in = mapped_.kernels[k].operands[links_.back().to];
    std::vector<Axis> axes;
    for (Axis axis : axes_)
      for (std::size_t x = 0; x < out.index.size(); ++x)
        if (dim_at(out, x) == axis.back() && cuttable(k, dim_at(in, x))) {
          axis.push_back(dim_at(in, x));
          axes.push_back(std::move(axis));
          break;
        }
    axes_ = std::move(axes);
  }

  [[nodiscard]] std::int64_t extent(std::size_t first, const Axis& axis) const { return dim(first, axis[0]).extent; }

  /// How all kernels of the run split the axes; nothing where they do not split alike, or something else: values would have to move.
  [[nodiscard]] std::optional<std::vector<std::int64_t>> split_of(std::size_t first, std::size_t end) const {
    std::optional<std::vector<std::int64_t>> all;
    for (std::size_t k = first; k < end; ++k) {
      const std::vector<std::int64_t> along = instances_along(mapped_.kernels[k], mapped_.mappings[k]);
      std::vector<std::int64_t> split;
      std::int64_t count = 1;
      for (const Axis& axis : axes_) {
        split.push_back(along[static_cast<std::size_t>(axis[k - first])]);
        count *= split.back();
        if (extent(first, axis) % split.back() != 0) return std::nullopt;
      }
      if (count != mapped_.mappings[k].instances || (all && *all != split)) return std::nullopt;
      all = std::move(split);
    }
    return all;
  }

  std::optional<Interleaving> interleaving(std::size_t first, std::size_t end) {
    std::optional<Interleaving> best;
    const auto split = split_of(first, end);
    if (!split) return best;
    // Tiles are slices of the outer axes, down to one index of each, and blocks of the next axis.
    std::vector<std::int64_t> tile;
    for (std::size_t a = 0; a < axes_.size(); ++a) tile.push_back(extent(first, axes_[a]) / (*split)[a]);
    std::int64_t steps = 1;
    for (std::size_t a = 0; a < axes_.size(); ++a) {
      const std::int64_t local = tile[a];
      for (std::int64_t parts = 2; parts <= local && steps * parts <= kMostSteps; ++parts) {
        if (local % parts != 0) continue;
        tile[a] = local / parts;
        auto found = stages(first, end, *split, tile, steps * parts);
        if (found && (!best || found->seconds < best->seconds)) best = std::move(found);
      }
      tile[a] = 1;
      steps *= local;
      if (steps > kMostSteps) break;
    }
    return best;
  }

  std::optional<Interleaving> stages(std::size_t first, std::size_t end, const std::vector<std::int64_t>& split,
                                     const std::vector<std::int64_t>& tile, std::int64_t steps) {
    Interleaving out;
    out.first = first;
    out.steps = steps;
    std::int64_t bytes = 0;  // of one scratchpad: all stages are there at once
    for (std::size_t k = first; k < end; ++k) {
      const Kernel& kernel = mapped_.kernels[k];
      auto reach = reach_of(machine_, mapped_.graph, kernel, mapped_.stays, k == 0);
      if (k > first) reach[links_[k - first - 1].to] = Reach::handed;
      if (k + 1 < end) reach[links_[k - first].from] = Reach::handed;
      Mapping m;
      m.split.assign(kernel.dims.size(), 1);
      m.trips = m.split;
      for (const KernelDim& d : kernel.dims) m.tile.push_back(d.extent);
      for (std::size_t a = 0; a < axes_.size(); ++a) {
        const auto d = static_cast<std::size_t>(axes_[a][k - first]);
        m.split[d] = split[a];
        m.tile[d] = tile[a];
        m.trips[d] = kernel.dims[d].extent / split[a] / tile[a];
        if (m.trips[d] > 1) m.order.push_back(static_cast<int>(d));
      }
      const UnitChoice unit = *unit_of(k);
      if (!Evaluator(machine_, mapped_.graph, kernel, mapped_.layouts, reach, 0, unit.unit, unit.epilogue).evaluate(m)) return std::nullopt;
      if (std::any_of(m.sharing.begin(), m.sharing.end(), [](Sharing s) { return s == Sharing::ring; })) return std::nullopt;
      bytes += m.storage + m.placed;
      out.apart += mapped_.apart[k];
      if (k + 1 < end) {
        const Link& link = links_[k - first];
        out.handed.push_back({k - first, link.from, k + 1 - first, link.to, tile_bytes(mapped_.graph, kernel.operands[link.from], m)});
      }
      out.stages.push_back(std::move(m));
    }
    for (const Handed& h : out.handed) bytes -= h.counted_twice();
    const auto range = chip::usable_range(machine_.chip->memories[machine_.scratchpad.index()]);
    if (bytes > range.end - range.begin) return std::nullopt;
    out.seconds = seconds_by_tiles(out.stages, steps);
    return out;
  }

  const Machine& machine_;
  const MappedKernels& mapped_;
  double share_;
  std::vector<int> users_;  ///< by tensor
  std::map<std::size_t, std::optional<UnitChoice>> units_;
  std::vector<Link> links_;  ///< of the run at hand
  std::vector<Axis> axes_;   ///< of the run at hand
};

}  // namespace

std::int64_t tile_bytes(const graph::Graph& g, const KernelOperand& o, const Mapping& m) {
  return numerics::stored_bytes(g.tensor(o.tensor).format, numerics::element_count(token_shape(o, m.tile)));
}

double seconds_by_tiles(const std::vector<Mapping>& stages, std::int64_t steps) {
  std::map<std::size_t, double> busy;  // by unit
  double longest = 0, all = 0;
  for (const Mapping& m : stages) {
    busy[m.unit.index()] += m.terms[0];
    if (m.epilogue_unit.valid()) busy[m.epilogue_unit.index()] += m.epilogue;
    longest += m.terms[2];
    all += m.on_chip;
  }
  for (const auto& [unit, time] : busy) longest = std::max(longest, time);
  return longest + std::max(0.0, all - longest) / static_cast<double>(steps);
}

std::vector<Interleaving> interleavings_among(const MappedKernels& mapped, const std::vector<std::vector<bool>>& handed) {
  std::vector<Interleaving> found;
  for (std::size_t first = 0; first < mapped.kernels.size();) {
    Interleaving run;
    run.first = first;
    std::size_t end = first + 1;
    for (std::size_t k = first; k < end; ++k) {
      run.stages.push_back(mapped.mappings[k]);
      run.apart += mapped.apart[k];
      for (std::size_t i = 0; i < handed[k].size(); ++i) {
        const KernelOperand& out = mapped.kernels[k].operands[i];
        if (!handed[k][i] || !out.write) continue;
        for (std::size_t r = k + 1; r < std::min(handed.size(), k + kMostStages); ++r)
          for (std::size_t j = 0; j < handed[r].size(); ++j) {
            const KernelOperand& in = mapped.kernels[r].operands[j];
            if (!handed[r][j] || in.write || in.tensor != out.tensor) continue;
            run.handed.push_back({k - first, i, r - first, j, tile_bytes(mapped.graph, out, mapped.mappings[k])});
            end = std::max(end, r + 1);
          }
      }
    }
    const Mapping& m = run.stages.front();
    run.steps = tokens_per_instance(std::vector<bool>(m.order.size(), false), m.order, m.trips);
    run.seconds = seconds_by_tiles(run.stages, run.steps);
    if (!run.handed.empty()) found.push_back(std::move(run));
    first = end;
  }
  return found;
}

std::string print_interleaving(const Interleaving& i, const std::vector<Kernel>& kernels) {
  return fmt::format("{} to {}: {} kernels hand on {} tiles; estimate {:.1f} us, one after the other {:.1f} us", kernels[i.first].name,
                     kernels[i.end() - 1].name, i.stages.size(), i.steps, i.seconds * 1e6, i.apart * 1e6);
}

std::vector<Interleaving> find_interleavings(const Machine& machine, const MappedKernels& mapped, double share) {
  if (!hands_on_tiles(machine)) return {};
  return Finder(machine, mapped, share).run();
}

}  // namespace switchyard::compiler
