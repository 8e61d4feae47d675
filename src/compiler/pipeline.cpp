#include "compiler/pipeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <utility>

#include "compiler/estimate.h"
#include "compiler/form.h"
#include "compiler/means.h"
#include "compiler/residence.h"
#include "numerics/packing.h"

namespace switchyard::compiler {
namespace {

constexpr std::size_t kMostStages = 8;
constexpr std::int64_t kLeastSteps = 4, kGoodSteps = 8, kMostSteps = 32;

/// The dim of a kernel that moves along dimension `x` of what it accesses; -1: none, or several.
int dim_along(const Kernel& kernel, const KernelOperand& o, std::size_t x) {
  int found = -1;
  for (const auto& t : o.index[x].terms) {
    if (!kernel.dims[static_cast<std::size_t>(t.variable)].parallel || kernel.dims[static_cast<std::size_t>(t.variable)].extent <= 1)
      continue;
    if (found >= 0 || t.coefficient <= 0) return -1;
    found = t.variable;
  }
  return found;
}

/// The dimension of what a kernel accesses along which its dim moves; -1: none, or several.
int dimension_along(const KernelOperand& o, int dim) {
  int found = -1;
  for (std::size_t x = 0; x < o.index.size(); ++x) {
    if (!o.index[x].depends_on(dim)) continue;
    if (found >= 0) return -1;
    found = static_cast<int>(x);
  }
  return found;
}

const KernelOperand* only_write(const Kernel& kernel) {
  const KernelOperand* found = nullptr;
  for (const KernelOperand& o : kernel.operands) {
    if (o.picking || !o.lookups.empty()) return nullptr;  // looked up row by row: nothing to stream into
    if (!o.write) continue;
    if (found != nullptr) return nullptr;
    found = &o;
  }
  return found;
}

/// From the end of a step until its results are with the next stage.
double sending(const Machine& machine, const graph::Graph& g, const Kernel& kernel, const Mapping& m) {
  const KernelOperand* out = only_write(kernel);
  if (!machine.cast.valid() || out == nullptr) return 0;
  const chip::Mover& mover = machine.chip->movers[machine.cast.index()];
  double bytes = numerics::stored_size(g.tensor(out->tensor).format);
  std::vector<std::int64_t> block = m.tile;
  for (std::size_t d = 0; d < block.size(); ++d)
    if (static_cast<int>(d) != m.stream) block[d] *= m.trips[d];
  for (const std::int64_t e : token_shape(*out, block)) bytes *= static_cast<double>(e);
  return mover.startup.value + bytes / mover.bandwidth.value + machine.chip->sequencer.issue.value;
}

/// A kernel as a stage with this mapping.
Stage stage_of(const Machine& machine, const graph::Graph& g, const Kernel& kernel, Mapping m) {
  const auto steps = static_cast<double>(m.trips[static_cast<std::size_t>(m.stream)]);
  const double out = sending(machine, g, kernel, m), seconds = std::max(m.on_chip, steps * out);
  return {std::move(m), seconds, seconds / steps + out};
}

class Finder {
 public:
  Finder(const Machine& machine, const MappedKernels& mapped, double share, KnownStages& known)
      : machine_(machine), mapped_(mapped), share_(share), known_(known), order_(machine.components) {}

  std::vector<Pipeline> run() {
    std::vector<Pipeline> found;
    for (std::size_t first = 0; first < mapped_.kernels.size();) {
      std::optional<Pipeline> best;
      std::set<std::pair<std::int64_t, double>> pairs;  // what the dim has, and seconds
      for (const int dim : streams_of(first)) {
        dims_.assign(1, dim);
        std::int64_t common = extent(first, dim);
        for (std::size_t end = first + 2; end <= std::min(mapped_.kernels.size(), first + kMostStages); ++end) {
          const int next = mapped_.alone[end - 1] ? -1 : stream_of(first, end - 1);
          if (next < 0) break;
          dims_.push_back(next);
          common = std::gcd(common, extent(end - 1, next));
          const std::int64_t steps = steps_of(common);
          if (steps == 0 || static_cast<std::int64_t>(order_.size()) < static_cast<std::int64_t>(end - first)) break;
          auto pipeline = stages(first, end, steps);
          if (!pipeline) continue;
          if (dims_.size() == 2 && !pairs.insert({extent(first, dim), pipeline->seconds}).second)
            break;  // rows and columns of a square are alike
          if (!best || pipeline->apart - pipeline->seconds > best->apart - best->seconds) best = std::move(pipeline);
        }
      }
      if (!best || best->seconds > share_ * best->apart) {
        ++first;
        continue;
      }
      first += best->stages.size();
      found.push_back(*std::move(best));
    }
    return found;
  }

 private:
  [[nodiscard]] std::int64_t extent(std::size_t k, int dim) const { return mapped_.kernels[k].dims[static_cast<std::size_t>(dim)].extent; }

  /// Of the divisors of what must be cut the one nearest to a good number of steps; 0: none is near.
  static std::int64_t steps_of(std::int64_t common) {
    std::int64_t best = 0;
    const auto distance = [](std::int64_t s) { return std::abs(std::log2(static_cast<double>(s) / static_cast<double>(kGoodSteps))); };
    for (std::int64_t s = kLeastSteps; s <= std::min(common, kMostSteps); ++s)
      if (common % s == 0 && (best == 0 || distance(s) < distance(best))) best = s;
    return best;
  }

  /// Dims of a run's first kernel that may stream.
  [[nodiscard]] std::vector<int> streams_of(std::size_t k) const {
    std::vector<int> dims;
    const KernelOperand* out = only_write(mapped_.kernels[k]);
    if (mapped_.alone[k] || out == nullptr || !mapped_.stays[out->tensor.index()]) return dims;
    for (std::size_t x = 0; x < out->index.size(); ++x)
      if (const int d = dim_along(mapped_.kernels[k], *out, x);
          d >= 0 && extent(k, d) >= kLeastSteps && dimension_along(*out, d) == static_cast<int>(x))
        dims.push_back(d);
    return dims;
  }

  /// The dim of kernel `k` that streams when it follows those of the run; -1: what it reads of them does not move with one dim, or it reads
  /// nothing of them.
  [[nodiscard]] int stream_of(std::size_t first, std::size_t k) const {
    int dim = -1;
    for (const KernelOperand& o : mapped_.kernels[k].operands) {
      if (o.write) continue;
      for (std::size_t j = first; j < k; ++j) {
        const KernelOperand* out = only_write(mapped_.kernels[j]);
        if (out->tensor != o.tensor) continue;
        const int x = dimension_along(*out, dims_[j - first]);
        if (x < 0 || !mapped_.stays[o.tensor.index()]) return -1;
        const int d = dim_along(mapped_.kernels[k], o, static_cast<std::size_t>(x));
        if (d < 0 || (dim >= 0 && d != dim)) return -1;
        dim = d;
      }
    }
    if (dim < 0) return -1;
    const KernelOperand* out = only_write(mapped_.kernels[k]);
    return out != nullptr && dimension_along(*out, dim) >= 0 ? dim : -1;
  }

  std::optional<Pipeline> stages(std::size_t first, std::size_t end, std::int64_t steps) {
    Pipeline p;
    p.first = first;
    p.steps = steps;
    std::vector<double> work;
    for (std::size_t k = first; k < end; ++k) {
      p.apart += mapped_.apart[k];
      work.push_back(std::max(1e-9, mapped_.mappings[k].on_chip * static_cast<double>(mapped_.mappings[k].instances)));
    }
    // Stages run at one rate: more components for those that turn out slow, as long as that helps.
    constexpr int kRounds = 3;
    for (int round = 0; round < kRounds; ++round) {
      const std::vector<std::int64_t> share = shares(work);
      std::vector<Stage> stages;
      double slowest = 0, fill = 0;
      std::size_t at = 0;
      for (std::size_t k = first; k < end; ++k) {
        const Stage& stage = this->stage(k, dims_[k - first], steps, share[k - first]);
        if (!stage.mapping) return p.stages.empty() ? std::nullopt : std::optional(std::move(p));
        stages.push_back(stage);
        stages.back().mapping->components.assign(
            order_.begin() + static_cast<std::ptrdiff_t>(at),
            order_.begin() + static_cast<std::ptrdiff_t>(at + static_cast<std::size_t>(share[k - first])));
        at += static_cast<std::size_t>(share[k - first]);
        slowest = std::max(slowest, stage.seconds);
        fill += stage.step;
        work[k - first] = stage.seconds * static_cast<double>(share[k - first]);
      }
      const double seconds = slowest + fill;
      if (!p.stages.empty() && seconds >= p.seconds) break;
      p.seconds = seconds;
      p.stages.clear();
      for (Stage& s : stages) p.stages.push_back(*std::move(s.mapping));
    }
    return p;
  }

  /// Components in proportion to the work, one at least.
  [[nodiscard]] std::vector<std::int64_t> shares(const std::vector<double>& work) const {
    const auto all = static_cast<std::int64_t>(order_.size());
    std::vector<std::int64_t> share(work.size(), 1);
    for (std::int64_t left = all - static_cast<std::int64_t>(work.size()); left > 0; --left) {
      std::size_t slowest = 0;
      for (std::size_t s = 1; s < work.size(); ++s)
        if (work[s] / static_cast<double>(share[s]) > work[slowest] / static_cast<double>(share[slowest])) slowest = s;
      ++share[slowest];
    }
    return share;
  }

  /// A kernel on some components, step by step of one dim, the others split over them; what was found once is known.
  const Stage& stage(std::size_t k, int dim, std::int64_t steps, std::int64_t count) {
    const Kernel& kernel = mapped_.kernels[k];
    const auto d = static_cast<std::size_t>(dim);
    const auto reach = reach_of(machine_, mapped_.graph, kernel, mapped_.stays, k == 0);
    const auto [at, fresh] =
        known_.try_emplace(fmt::format("{} {} {} {}", dim, steps, count, form_of(kernel, mapped_.graph, mapped_.layouts, reach, 0)));
    if (!fresh) return at->second;
    Machine part = machine_;
    part.components.assign(order_.begin(), order_.begin() + count);
    part.extent = {count};
    // One step is a kernel of its own, of which that dim stays whole.
    Kernel step = kernel;
    step.dims[d].extent /= steps;
    step.dims[d].parallel = false;
    const auto found = choose_mappings(part, mapped_.graph, step, mapped_.layouts, reach, 0, 0, 4);
    if (!found) return at->second;
    for (Mapping m : found.value()) {
      m.tile[d] = step.dims[d].extent;
      m.trips[d] = steps;
      std::erase(m.order, dim);
      m.order.insert(m.order.begin(), dim);
      const Evaluator evaluator(part, mapped_.graph, kernel, mapped_.layouts, reach, 0, m.unit, m.epilogue_unit);
      if (!evaluator.evaluate(m)) continue;
      if (std::any_of(m.sharing.begin(), m.sharing.end(), [](Sharing s) { return s == Sharing::ring; })) continue;
      m.stream = dim;
      Stage stage = stage_of(machine_, mapped_.graph, kernel, std::move(m));
      if (!at->second.mapping || stage.seconds < at->second.seconds) at->second = std::move(stage);
    }
    return at->second;
  }

  const Machine& machine_;
  const MappedKernels& mapped_;
  double share_;
  KnownStages& known_;
  std::vector<std::uint32_t> order_;
  std::vector<int> dims_;  ///< of the run at hand: what streams
};

}  // namespace

std::string print_pipeline(const Pipeline& p, const std::vector<Kernel>& kernels) {
  std::string counts;
  for (const Mapping& m : p.stages) counts += fmt::format("{}{}", counts.empty() ? "" : " + ", m.instances);
  return fmt::format("{} to {}: {} stages on {} components, {} steps; estimate {:.1f} us, one after the other {:.1f} us",
                     kernels[p.first].name, kernels[p.first + p.stages.size() - 1].name, p.stages.size(), counts, p.steps, p.seconds * 1e6,
                     p.apart * 1e6);
}

std::vector<Pipeline> pipelines_among(const Machine& machine, const MappedKernels& mapped) {
  std::vector<Pipeline> found;
  for (std::size_t first = 0; first < mapped.kernels.size();) {
    Pipeline p;
    p.first = first;
    std::set<std::uint32_t> taken;
    double fill = 0;
    for (std::size_t k = first; k < mapped.kernels.size(); ++k) {
      const Mapping& m = mapped.mappings[k];
      if (m.stream < 0 || m.components.empty()) break;
      if (std::any_of(m.components.begin(), m.components.end(), [&](std::uint32_t c) { return taken.contains(c); })) break;
      taken.insert(m.components.begin(), m.components.end());
      Stage stage = stage_of(machine, mapped.graph, mapped.kernels[k], m);
      p.steps = m.trips[static_cast<std::size_t>(m.stream)];
      p.stages.push_back(*std::move(stage.mapping));
      p.apart += mapped.apart[k];
      p.seconds = std::max(p.seconds, stage.seconds);
      fill += stage.step;
    }
    p.seconds += fill;
    first += std::max<std::size_t>(1, p.stages.size());
    if (p.stages.size() > 1) found.push_back(std::move(p));
  }
  return found;
}

std::vector<Pipeline> find_pipelines(const Machine& machine, const MappedKernels& mapped, double share, KnownStages& known) {
  if (!streams_kernels(machine)) return {};
  return Finder(machine, mapped, share, known).run();
}

}  // namespace switchyard::compiler
