#include "compiler/residence.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <optional>
#include <unordered_map>

#include "chip/query.h"
#include "numerics/packing.h"
#include "program/parts.h"
#include "program/spread.h"

namespace switchyard::compiler {
namespace {

using graph::TensorId;
using program::Box;
using program::Buffer;
using program::BufferId;
using program::BufferRole;
using program::Parts;
using program::Spread;

Buffer spread_buffer(const graph::Tensor& tensor, const std::vector<int>& order, Spread spread) {
  Buffer b;
  b.name = tensor.name;
  b.format = tensor.format;
  b.shape = tensor.shape;
  b.order = order;
  b.spread = std::move(spread);
  return b;
}

std::vector<int> plain_order(std::size_t rank) {
  std::vector<int> order;
  for (std::size_t d = 0; d < rank; ++d) order.push_back(static_cast<int>(d));
  return order;
}

double points(const Box& box) {
  double n = 1;
  for (const auto& side : box) n *= static_cast<double>(std::max<std::int64_t>(0, side[1] - side[0]));
  return n;
}

Box intersection(const Box& a, const Box& b) {
  Box out;
  for (std::size_t d = 0; d < a.size(); ++d) out.push_back({std::max(a[d][0], b[d][0]), std::min(a[d][1], b[d][1])});
  return out;
}

/// Instances to look at when there are many.
std::vector<std::uint32_t> sample(std::size_t count) {
  std::vector<std::uint32_t> out;
  if (count <= 16) {
    for (std::uint32_t i = 0; i < count; ++i) out.push_back(i);
    return out;
  }
  const auto n = static_cast<std::uint32_t>(count);
  return {0, 1, n / 3, n / 2, n - 2, n - 1};
}

/// A tensor spread, and to how many instances one of its elements goes at most.
struct Laid {
  Laid(const graph::Tensor& tensor, Spread spread)
      : buffer(spread_buffer(tensor, plain_order(tensor.shape.size()), std::move(spread))), parts(buffer) {
    Box whole;
    for (const std::int64_t extent : tensor.shape) whole.push_back({0, extent});
    widest = parts.count(whole, std::nullopt, Parts::kNone).widest;
  }
  [[nodiscard]] const std::vector<std::uint32_t>& components() const { return buffer.spread->components; }
  /// Does every part of `inner` lie in the part that this one has on the same component? Who reads only what lies outside the tensor needs
  /// a part, too.
  [[nodiscard]] bool covers(const Laid& inner) const {
    for (std::uint32_t i = 0; i < inner.parts.count(); ++i) {
      const Box& box = inner.parts.part(i);
      const std::uint32_t at = parts.on(inner.components()[i]);
      if (at == Parts::kNone || (!program::is_empty(box) && !program::contains(parts.part(at), box))) return false;
    }
    return true;
  }
  Buffer buffer;
  Parts parts;
  std::int64_t widest = 0;
};

/// Seconds that pass between a value's being computed and its being where it is needed: messages of the busiest component, bytes in and
/// out.
class MoveCost {
 public:
  explicit MoveCost(const Machine& machine) {
    issue_ = machine.chip->sequencer.issue.value;
    if (!machine.cast.valid()) return;
    const chip::Mover& mover = machine.chip->movers[machine.cast.index()];
    startup_ = mover.startup.value;
    places_ = static_cast<double>(mover.count * mover.outstanding);
    rate_ = mover.bandwidth.value;
    if (mover.network) rate_ = std::min(rate_, chip::stream_bandwidth(machine.chip->networks[mover.network->index()]).value);
    most_ = mover.multicast;
  }

  double operator()(const graph::Tensor& tensor, const Laid& from, const Laid& to) const {
    const double bytes = numerics::stored_size(tensor.format);
    if (!reaches(from, to)) return std::numeric_limits<double>::infinity();
    double count = 0, out = 0, in = 0;
    for (const std::uint32_t i : sample(from.parts.count())) {
      const Box& box = from.parts.part(i);
      const std::uint32_t here = to.parts.on(from.components()[i]);
      const bool holds = here != Parts::kNone && program::contains(to.parts.part(here), box);
      const auto sent = to.parts.count(box, holds ? std::optional(here) : std::nullopt, here);
      count = std::max(count, static_cast<double>(sent.messages));
      out = std::max(out, static_cast<double>(sent.points) * bytes);
    }
    for (const std::uint32_t j : sample(to.parts.count())) {
      const Box& box = to.parts.part(j);
      double missing = points(box);
      if (const std::uint32_t own = from.parts.on(to.components()[j]); own != Parts::kNone)
        missing -= points(intersection(box, from.parts.part(own)));
      in = std::max(in, missing * bytes);
    }
    if (count == 0) return 0;
    return startup_ + std::max({(count - 1) * startup_ / places_, out / rate_, in / rate_}) + issue_ * count;
  }

 private:
  /// Is no message wider than the mover's multicast? What a component sends to itself does not count.
  bool reaches(const Laid& from, const Laid& to) const {
    if (to.widest <= most_) return true;
    if (to.widest > most_ + 1) return false;
    for (std::uint32_t i = 0; i < from.parts.count(); ++i)
      if (to.parts.count(from.parts.part(i), std::nullopt, to.parts.on(from.components()[i])).widest > most_) return false;
    return true;
  }

  double issue_ = 0, startup_ = 0, places_ = 1, rate_ = 1;
  std::int64_t most_ = 0;
};

struct User {
  std::size_t kernel, operand;
};
struct Users {
  std::vector<User> writers, readers;
};

std::vector<Users> users_of(const graph::Graph& g, const std::vector<Kernel>& kernels) {
  std::vector<Users> users(g.tensors.size());
  for (std::size_t k = 0; k < kernels.size(); ++k)
    for (std::size_t i = 0; i < kernels[k].operands.size(); ++i) {
      const KernelOperand& o = kernels[k].operands[i];
      (o.write ? users[o.tensor.index()].writers : users[o.tensor.index()].readers).push_back({k, i});
    }
  return users;
}

}  // namespace

void keep_lookups_off_chip(const std::vector<Kernel>& kernels, std::vector<bool>& stays) {
  for (const Kernel& kernel : kernels)
    for (const KernelOperand& o : kernel.operands)
      if (o.picking || !o.lookups.empty()) stays[o.tensor.index()] = false;
}

std::vector<bool> tensors_that_may_stay(const Machine& machine, const graph::Graph& g, const std::vector<Kernel>& kernels) {
  std::vector<bool> stays(g.tensors.size(), false);
  if (!keeps_values(machine)) return stays;
  const auto users = users_of(g, kernels);
  for (std::size_t t = 0; t < stays.size(); ++t)
    stays[t] = g.tensors[t].role == graph::Role::intermediate && !users[t].writers.empty() && !users[t].readers.empty();
  for (TensorId t : g.outputs) stays[t.index()] = false;
  keep_lookups_off_chip(kernels, stays);
  return stays;
}

std::vector<Reach> reach_of(const Machine& machine, const graph::Graph& g, const Kernel& kernel, const std::vector<bool>& stays,
                            bool first) {
  std::vector<Reach> reach;
  const bool early = fetches_early(machine) && !first;
  for (const KernelOperand& o : kernel.operands) {
    if (stays[o.tensor.index()])
      reach.push_back(Reach::placed);
    else
      reach.push_back(!o.write && early && g.tensor(o.tensor).role != graph::Role::intermediate ? Reach::early : Reach::off_chip);
  }
  for (std::size_t i = 0; i < reach.size(); ++i)
    for (const KernelLookup& lookup : kernel.operands[i].lookups)
      if (reach[static_cast<std::size_t>(lookup.operand)] != Reach::early && reach[i] == Reach::early) reach[i] = Reach::off_chip;
  return reach;
}

struct SpreadCosts {
  std::unordered_map<std::string, int> numbers;  ///< of spreads: equal ones have equal costs
  std::deque<Laid> laid;                         ///< by number
  std::unordered_map<std::uint64_t, double> moves;

  /// The number of the spread that a mapping makes of an operand.
  int number_of(const Machine& machine, const graph::Graph& g, const Kernel& kernel, const KernelOperand& o, const Mapping& m) {
    Spread s = spread_of(machine, kernel, o, m);
    const graph::Tensor& tensor = g.tensor(o.tensor);
    std::string key;
    const auto number = [&](std::int64_t v) { key.append(reinterpret_cast<const char*>(&v), sizeof v); };
    const auto list = [&](const auto& values) {
      number(static_cast<std::int64_t>(values.size()));
      for (const auto v : values) number(static_cast<std::int64_t>(v));
    };
    number(static_cast<std::int64_t>(tensor.format));
    list(tensor.shape), list(s.shape), list(s.extent);
    for (const auto& f : s.start) {
      number(f.constant), number(static_cast<std::int64_t>(f.terms.size()));
      for (const auto& t : f.terms) number(t.coefficient), number(t.variable);
    }
    if (!m.components.empty()) list(s.components);
    const auto [at, fresh] = numbers.try_emplace(std::move(key), static_cast<int>(laid.size()));
    if (fresh) laid.emplace_back(tensor, std::move(s));
    return at->second;
  }
  using Numbers = std::vector<std::vector<int>>;  ///< by candidate and operand; -1: it is not spread
  struct Asked {
    Candidates candidates;  ///< kept, so that no others have their address
    Numbers numbers;
  };
  std::unordered_map<const void*, Asked> asked;

  /// Kernels with the same candidates look alike, and so do their spreads.
  const Numbers& numbers_of(const Machine& machine, const graph::Graph& g, const Kernel& kernel, const Candidates& candidates,
                            const std::vector<bool>& stays) {
    const auto [at, fresh] = asked.try_emplace(candidates.get());
    if (!fresh) return at->second.numbers;
    at->second.candidates = candidates;
    for (const Mapping& m : *candidates) {
      auto& row = at->second.numbers.emplace_back();
      for (const KernelOperand& o : kernel.operands) row.push_back(stays[o.tensor.index()] ? number_of(machine, g, kernel, o, m) : -1);
    }
    return at->second.numbers;
  }
  double move(const MoveCost& cost, const graph::Tensor& tensor, int from, int to) {
    const auto [at, fresh] = moves.try_emplace(static_cast<std::uint64_t>(from) << 32 | static_cast<std::uint64_t>(to), 0.0);
    if (fresh) at->second = cost(tensor, laid[static_cast<std::size_t>(from)], laid[static_cast<std::size_t>(to)]);
    return at->second;
  }
  std::unordered_map<std::uint64_t, bool> covered;
  bool covers(int outer, int inner) {
    const auto [at, fresh] = covered.try_emplace(static_cast<std::uint64_t>(outer) << 32 | static_cast<std::uint64_t>(inner), true);
    if (fresh && outer != inner) at->second = laid[static_cast<std::size_t>(outer)].covers(laid[static_cast<std::size_t>(inner)]);
    return at->second;
  }
};

Splits choose_splits(const Machine& machine, const graph::Graph& g, const std::vector<Kernel>& kernels,
                     const std::vector<Candidates>& candidates, const std::vector<bool>& stays, double held_weight,
                     const std::vector<std::optional<std::size_t>>& fixed, std::shared_ptr<SpreadCosts>& costs) {
  if (!costs) costs = std::make_shared<SpreadCosts>();
  const MoveCost move_cost(machine);
  const auto users = users_of(g, kernels);
  std::vector<const SpreadCosts::Numbers*> of_kernel;
  for (std::size_t k = 0; k < kernels.size(); ++k) of_kernel.push_back(&costs->numbers_of(machine, g, kernels[k], candidates[k], stays));
  const auto spread = [&](std::size_t k, std::size_t candidate, std::size_t operand) { return (*of_kernel[k])[candidate][operand]; };
  const auto moving = [&](TensorId t, int from, int to) { return costs->move(move_cost, g.tensor(t), from, to); };
  std::vector<std::size_t> choice(kernels.size(), 0);
  for (std::size_t k = 0; k < kernels.size(); ++k) choice[k] = fixed[k].value_or(0);
  // Room is of use to the others as far as they have something to fetch while the kernel runs.
  double fetched = 0;
  for (std::size_t k = 0; k < kernels.size(); ++k) fetched += candidates[k]->front().off_chip;
  // What the first kernels fetch nothing hides.
  std::vector<double> exposed(kernels.size(), 0);
  double before = 0;
  for (std::size_t k = 0; k < kernels.size(); ++k) {
    const Mapping& likely = candidates[k]->front();
    if (before < likely.off_chip) exposed[k] = 1 - before / likely.off_chip;
    before += likely.cost;
  }
  const auto own_cost = [&](std::size_t k, const Mapping& m) {
    const double others = std::max(0.0, fetched - candidates[k]->front().off_chip);
    const auto& operands = kernels[k].operands;
    const auto panel = [&](std::size_t i) { return !operands[i].write && !stays[operands[i].tensor.index()] && m.resident[i]; };
    const auto used = [&](std::size_t i, int d) { return depends(operands[i], d); };
    const double left = exposed[k] > 0 ? exposed[k] * (m.terms[0] * left_when_fetched(m, operands.size(), panel, used)) : 0;
    if (held_weight == kLate || !fetches_early(machine)) return cost_of(m, held_weight);
    return cost_of(m, held_weight * std::min(1.0, others / std::max(m.cost, 1e-12))) + left;
  };
  const auto total_cost = [&](std::size_t k, std::size_t c, bool readers_too) {
    double cost = own_cost(k, (*candidates[k])[c]);
    for (std::size_t i = 0; i < kernels[k].operands.size(); ++i) {
      const KernelOperand& o = kernels[k].operands[i];
      if (!stays[o.tensor.index()]) continue;
      const Users& others = users[o.tensor.index()];
      if (!o.write)
        for (const User& w : others.writers) cost += moving(o.tensor, spread(w.kernel, choice[w.kernel], w.operand), spread(k, c, i));
      else if (readers_too)
        for (const User& r : others.readers) cost += moving(o.tensor, spread(k, c, i), spread(r.kernel, choice[r.kernel], r.operand));
    }
    return cost;
  };
  constexpr int kSweeps = 4;
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    bool changed = false;
    for (std::size_t k = 0; k < kernels.size(); ++k) {
      if (fixed[k]) continue;
      std::size_t best = choice[k];
      double least = total_cost(k, best, sweep > 0);
      for (std::size_t c = 0; c < candidates[k]->size(); ++c) {
        if ((*candidates[k])[c].only_late && held_weight != kLate) continue;
        const double cost = total_cost(k, c, sweep > 0);
        if (cost < least * (1 - 1e-9) || (std::isinf(least) && !std::isinf(cost))) {
          least = cost;
          best = c;
        }
      }
      changed = changed || best != choice[k];
      choice[k] = best;
    }
    if (!changed && sweep > 0) break;
  }
  Splits out;
  out.moves.assign(g.tensors.size(), 0);
  for (std::size_t k = 0; k < kernels.size(); ++k) {
    out.mappings.push_back((*candidates[k])[choice[k]]);
    auto& of_candidates = out.costs.emplace_back();
    for (std::size_t c = 0; c < candidates[k]->size(); ++c)
      of_candidates.push_back(total_cost(k, c, true) - own_cost(k, (*candidates[k])[c]));
  }
  out.choice = choice;
  for (std::size_t t = 0; t < stays.size(); ++t)
    for (const User& w : users[t].writers)
      for (const User& r : users[t].readers)
        if (stays[t])
          out.moves[t] = std::max(out.moves[t], moving(TensorId(t), spread(w.kernel, choice[w.kernel], w.operand),
                                                       spread(r.kernel, choice[r.kernel], r.operand)));
  out.waits.assign(kernels.size(), barrier_seconds(machine));
  for (std::size_t k = 0; k < kernels.size(); ++k)
    for (const KernelOperand& o : kernels[k].operands)
      if (o.write && stays[o.tensor.index()]) out.waits[k] += out.moves[o.tensor.index()];
  return out;
}

Homes make_homes(const Machine& machine, const graph::Graph& g, const std::vector<Kernel>& kernels,
                 const std::vector<std::vector<int>>& layouts, const std::vector<Mapping>& mappings, const std::vector<bool>& stays,
                 SpreadCosts& costs, program::Program& program) {
  Homes homes(kernels.size());
  for (std::size_t k = 0; k < kernels.size(); ++k) homes[k].resize(kernels[k].operands.size());

  // Off chip: one buffer a tensor, inputs and outputs first.
  std::vector<BufferId> of(g.tensors.size());
  const auto add = [&](TensorId id) {
    if (of[id.index()].valid() || stays[id.index()]) return;
    const graph::Tensor& t = g.tensor(id);
    Buffer b;
    b.name = t.name;
    b.memory = machine.off_chip;
    b.format = t.format;
    b.shape = t.shape;
    b.order = layouts[id.index()];
    for (std::size_t i = 0; i < g.inputs.size(); ++i)
      if (g.inputs[i] == id) b.role = BufferRole::input, b.index = static_cast<int>(i);
    for (std::size_t i = 0; i < g.outputs.size(); ++i)
      if (g.outputs[i] == id) b.role = BufferRole::output, b.index = static_cast<int>(i);
    if (t.role == graph::Role::constant) {
      b.role = BufferRole::constant;
      b.lifetime = program::Lifetime::persistent;
      b.constant = t.constant;
    }
    program.buffers.push_back(std::move(b));
    of[id.index()] = BufferId(program.buffers.size() - 1);
  };
  for (TensorId t : g.inputs) add(t);
  for (TensorId t : g.outputs) add(t);
  for (std::size_t k = 0; k < kernels.size(); ++k)
    for (std::size_t i = 0; i < kernels[k].operands.size(); ++i) {
      const TensorId t = kernels[k].operands[i].tensor;
      add(t);
      homes[k][i].buffer = of[t.index()];
    }

  // In scratchpads: as many spreads of a tensor as its users need.
  const auto users = users_of(g, kernels);
  for (std::size_t t = 0; t < stays.size(); ++t) {
    if (!stays[t]) continue;
    const graph::Tensor& tensor = g.tensors[t];
    struct Need {
      User user;
      int spread;  ///< its number
      Buffer buffer;
      std::int64_t bytes;
    };
    const auto need_of = [&](const User& u) {
      const Kernel& kernel = kernels[u.kernel];
      const KernelOperand& o = kernel.operands[u.operand];
      const int number = costs.number_of(machine, g, kernel, o, mappings[u.kernel]);
      Spread spread = *costs.laid[static_cast<std::size_t>(number)].buffer.spread;
      if (!o.write && !layouts[t].empty())
        spread.pad = token_pad(machine.chip->units[mappings[u.kernel].unit.index()], kernel.contraction && !o.epilogue,
                               spread.extent[static_cast<std::size_t>(layouts[t].back())]);
      Buffer buffer = spread_buffer(tensor, layouts[t], std::move(spread));
      const std::int64_t bytes = program::part_bytes(buffer);
      return Need{u, number, std::move(buffer), bytes};
    };
    std::vector<Need> written, needs;
    for (const User& w : users[t].writers) written.push_back(need_of(w));
    for (const User& r : users[t].readers) needs.push_back(need_of(r));
    std::stable_sort(needs.begin(), needs.end(), [](const Need& a, const Need& b) { return a.bytes > b.bytes; });
    std::vector<std::pair<BufferId, int>> made;  // and the numbers of their spreads
    const auto make = [&](const Need& need) {
      Buffer b = need.buffer;
      b.name = made.empty() ? tensor.name : fmt::format("{}@{}", tensor.name, made.size());
      b.memory = machine.scratchpad;
      program.buffers.push_back(std::move(b));
      made.emplace_back(BufferId(program.buffers.size() - 1), need.spread);
      return made.back().first;
    };
    const auto holds = [&](BufferId b, const Need& inner) {
      const auto at = std::find_if(made.begin(), made.end(), [&](const auto& m) { return m.first == b; });
      return costs.covers(at->second, inner.spread);
    };
    // What one kernel writes and others read where it was written needs no copy; the largest needs come first, as smaller ones may lie in
    // them.
    const bool alone = written.size() == 1;
    std::vector<BufferId> sent;  // buffers that readers use and that writers have to fill
    BufferId local;              // what the only writer writes, as it is split
    for (const Need& need : needs) {
      BufferId at;
      for (const BufferId b : sent)
        if (!at.valid() && holds(b, need)) at = b;
      if (!at.valid() && alone && costs.covers(written[0].spread, need.spread)) {
        const bool inside = std::any_of(sent.begin(), sent.end(), [&](BufferId b) { return holds(b, written[0]); });
        if (!inside && !local.valid()) local = make(written[0]);
        if (local.valid()) at = local;
        for (const BufferId b : sent)
          if (!at.valid() && holds(b, written[0])) at = b;
      }
      if (!at.valid()) sent.push_back(at = make(need));
      homes[need.user.kernel][need.user.operand] = {at, true, {}};
    }
    for (std::size_t w = 0; w < written.size(); ++w) {
      OperandHome& home = homes[users[t].writers[w].kernel][users[t].writers[w].operand];
      home.placed = true;
      home.send = sent;
      home.buffer = local;
      for (const BufferId b : sent)
        if (!home.buffer.valid() && holds(b, written[w])) home.buffer = b;
      if (!home.buffer.valid()) home.buffer = make(written[w]);
    }
  }
  return homes;
}

}  // namespace switchyard::compiler
