#include "compiler/residence.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include "chip/query.h"
#include "program/spread.h"

namespace switchyard::compiler {
namespace {

using graph::TensorId;
using program::Box;
using program::Buffer;
using program::BufferId;
using program::BufferRole;
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

/// Does every part of `inner` lie in the part that `outer` has on the same component?
bool covers(const Buffer& outer, const Buffer& inner) {
  for (std::uint32_t i = 0; i < program::part_count(*inner.spread); ++i) {
    const auto at = program::instance_on(*outer.spread, inner.spread->components[i]);
    const Box box = program::part_of(inner, i);
    if (!program::is_empty(box) && (!at || !program::contains(program::part_of(outer, *at), box))) return false;
  }
  return true;
}

/// Instances to look at when there are many.
std::vector<std::uint32_t> sample(std::int64_t count) {
  std::vector<std::uint32_t> out;
  if (count <= 16) {
    for (std::uint32_t i = 0; i < count; ++i) out.push_back(i);
    return out;
  }
  const auto n = static_cast<std::uint32_t>(count);
  return {0, 1, n / 3, n / 2, n - 2, n - 1};
}

/// Seconds that pass between a value's being computed and its being where it is needed: messages of the busiest component, bytes in and
/// out.
class MoveCost {
 public:
  explicit MoveCost(const Machine& machine) : machine_(machine) {
    if (!machine.cast.valid()) return;
    const chip::Mover& mover = machine.chip->movers[machine.cast.index()];
    startup_ = mover.startup.value;
    places_ = static_cast<double>(mover.count * mover.outstanding);
    rate_ =
        mover.network ? std::min(mover.bandwidth.value, machine.chip->networks[mover.network->index()].link.value) : mover.bandwidth.value;
    most_ = static_cast<std::size_t>(mover.multicast);
  }

  double operator()(const graph::Tensor& tensor, const Spread& written, const Spread& needed) const {
    const std::vector<int> order = plain_order(tensor.shape.size());
    const Buffer from = spread_buffer(tensor, order, written), to = spread_buffer(tensor, order, needed);
    const double bytes = numerics::format_bytes(tensor.format);
    double count = 0, out = 0, in = 0;
    for (const std::uint32_t i : sample(program::part_count(written))) {
      const Box box = program::part_of(from, i);
      auto own = program::instance_on(needed, written.components[i]);
      if (own && !program::contains(program::part_of(to, *own), box)) own.reset();
      const auto messages = program::messages(to, box, own);
      double sent = 0;
      for (const auto& m : messages) {
        const auto self = program::instance_on(needed, written.components[i]);
        const bool own_too = self && std::find(m.instances.begin(), m.instances.end(), *self) != m.instances.end();
        if (m.instances.size() > most_ + (own_too ? 1 : 0)) return std::numeric_limits<double>::infinity();
        sent += points(m.box);
      }
      count = std::max(count, static_cast<double>(messages.size()));
      out = std::max(out, sent * bytes);
    }
    for (const std::uint32_t j : sample(program::part_count(needed))) {
      const Box box = program::part_of(to, j);
      double missing = points(box);
      if (const auto own = program::instance_on(written, needed.components[j]))
        missing -= points(intersection(box, program::part_of(from, *own)));
      in = std::max(in, missing * bytes);
    }
    if (count == 0) return 0;
    return startup_ + std::max({(count - 1) * startup_ / places_, out / rate_, in / rate_}) + machine_.chip->sequencer.issue.value * count;
  }

 private:
  const Machine& machine_;
  double startup_ = 0, places_ = 1, rate_ = 1;
  std::size_t most_ = 0;
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

std::vector<bool> tensors_that_may_stay(const Machine& machine, const graph::Graph& g, const std::vector<Kernel>& kernels) {
  std::vector<bool> stays(g.tensors.size(), false);
  if (!keeps_values(machine)) return stays;
  const auto users = users_of(g, kernels);
  for (std::size_t t = 0; t < stays.size(); ++t)
    stays[t] = g.tensors[t].role == graph::Role::intermediate && !users[t].writers.empty() && !users[t].readers.empty();
  for (TensorId t : g.outputs) stays[t.index()] = false;
  return stays;
}

std::vector<Reach> reach_of(const Machine& machine, const graph::Graph& g, const Kernel& kernel, const std::vector<bool>& stays) {
  std::vector<Reach> reach;
  const bool early = fetches_early(machine);
  for (const KernelOperand& o : kernel.operands) {
    if (stays[o.tensor.index()])
      reach.push_back(Reach::placed);
    else
      reach.push_back(!o.write && early && g.tensor(o.tensor).role != graph::Role::intermediate ? Reach::early : Reach::off_chip);
  }
  return reach;
}

Splits choose_splits(const Machine& machine, const graph::Graph& g, const std::vector<Kernel>& kernels,
                     const std::vector<std::vector<Mapping>>& candidates, const std::vector<bool>& stays, double held_weight,
                     const std::vector<std::optional<std::size_t>>& fixed) {
  const MoveCost move_cost(machine);
  const auto users = users_of(g, kernels);
  // Spreads by kernel, candidate and operand, and their numbers: equal ones have equal costs.
  std::map<std::string, int> numbers;
  std::vector<std::vector<std::vector<std::pair<Spread, int>>>> spreads(kernels.size());
  for (std::size_t k = 0; k < kernels.size(); ++k)
    for (const Mapping& m : candidates[k]) {
      auto& row = spreads[k].emplace_back();
      for (const KernelOperand& o : kernels[k].operands) {
        row.emplace_back(Spread{}, -1);
        if (!stays[o.tensor.index()]) continue;
        row.back().first = spread_of(machine, kernels[k], o, m);
        const Spread& s = row.back().first;
        std::string key =
            fmt::format("{}:{}:{}|", fmt::join(g.tensor(o.tensor).shape, ","), fmt::join(s.shape, ","), fmt::join(s.extent, ","));
        for (const auto& f : s.start) {
          key += fmt::format("{}", f.constant);
          for (const auto& t : f.terms) key += fmt::format("+{}*{}", t.coefficient, t.variable);
          key += ';';
        }
        row.back().second = numbers.try_emplace(key, static_cast<int>(numbers.size())).first->second;
      }
    }
  std::map<std::pair<int, int>, double> known;
  const auto moving = [&](TensorId t, const std::pair<Spread, int>& from, const std::pair<Spread, int>& to) {
    const auto [at, fresh] = known.try_emplace({from.second, to.second}, 0.0);
    if (fresh) at->second = move_cost(g.tensor(t), from.first, to.first);
    return at->second;
  };
  std::vector<std::size_t> choice(kernels.size(), 0);
  for (std::size_t k = 0; k < kernels.size(); ++k) choice[k] = fixed[k].value_or(0);
  const auto total_cost = [&](std::size_t k, std::size_t c, bool readers_too) {
    double cost = cost_of(candidates[k][c], held_weight);
    for (std::size_t i = 0; i < kernels[k].operands.size(); ++i) {
      const KernelOperand& o = kernels[k].operands[i];
      if (!stays[o.tensor.index()]) continue;
      const Users& others = users[o.tensor.index()];
      if (!o.write)
        for (const User& w : others.writers) cost += moving(o.tensor, spreads[w.kernel][choice[w.kernel]][w.operand], spreads[k][c][i]);
      else if (readers_too)
        for (const User& r : others.readers) cost += moving(o.tensor, spreads[k][c][i], spreads[r.kernel][choice[r.kernel]][r.operand]);
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
      for (std::size_t c = 0; c < candidates[k].size(); ++c) {
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
    out.mappings.push_back(candidates[k][choice[k]]);
    auto& costs = out.costs.emplace_back();
    for (std::size_t c = 0; c < candidates[k].size(); ++c) costs.push_back(total_cost(k, c, true) - cost_of(candidates[k][c], held_weight));
  }
  out.choice = choice;
  for (std::size_t t = 0; t < stays.size(); ++t)
    for (const User& w : users[t].writers)
      for (const User& r : users[t].readers)
        if (stays[t])
          out.moves[t] = std::max(out.moves[t], moving(TensorId(t), spreads[w.kernel][choice[w.kernel]][w.operand],
                                                       spreads[r.kernel][choice[r.kernel]][r.operand]));
  out.waits.assign(kernels.size(), barrier_seconds(machine));
  for (std::size_t k = 0; k < kernels.size(); ++k)
    for (const KernelOperand& o : kernels[k].operands)
      if (o.write && stays[o.tensor.index()]) out.waits[k] += out.moves[o.tensor.index()];
  return out;
}

Homes make_homes(const Machine& machine, const graph::Graph& g, const std::vector<Kernel>& kernels,
                 const std::vector<std::vector<int>>& layouts, const std::vector<Mapping>& mappings, const std::vector<bool>& stays,
                 program::Program& program) {
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
    const auto needed_by = [&](const User& u) {
      Spread spread = spread_of(machine, kernels[u.kernel], kernels[u.kernel].operands[u.operand], mappings[u.kernel]);
      const KernelOperand& o = kernels[u.kernel].operands[u.operand];
      if (!o.write && !layouts[t].empty())
        spread.pad = token_pad(machine.chip->units[mappings[u.kernel].unit.index()], kernels[u.kernel].contraction && !o.epilogue,
                               spread.extent[static_cast<std::size_t>(layouts[t].back())]);
      return spread_buffer(tensor, layouts[t], std::move(spread));
    };
    std::vector<Buffer> written;
    for (const User& w : users[t].writers) written.push_back(needed_by(w));
    struct Need {
      User user;
      Buffer buffer;
      std::int64_t bytes;
    };
    std::vector<Need> needs;
    for (const User& r : users[t].readers) {
      Buffer b = needed_by(r);
      const std::int64_t bytes = program::part_bytes(b);
      needs.push_back({r, std::move(b), bytes});
    }
    std::stable_sort(needs.begin(), needs.end(), [](const Need& a, const Need& b) { return a.bytes > b.bytes; });
    std::vector<BufferId> made;
    const auto make = [&](Buffer b) {
      b.name = made.empty() ? tensor.name : fmt::format("{}@{}", tensor.name, made.size());
      b.memory = machine.scratchpad;
      program.buffers.push_back(std::move(b));
      made.emplace_back(program.buffers.size() - 1);
      return made.back();
    };
    // What one kernel writes and others read where it was written needs no copy; the largest needs come first, as smaller ones may lie in
    // them.
    const bool alone = written.size() == 1;
    std::vector<BufferId> sent;  // buffers that readers use and that writers have to fill
    BufferId local;              // what the only writer writes, as it is split
    for (const Need& need : needs) {
      BufferId at;
      for (const BufferId b : sent)
        if (!at.valid() && covers(program.buffers[b.index()], need.buffer)) at = b;
      if (!at.valid() && alone && covers(written[0], need.buffer)) {
        const bool inside =
            std::any_of(sent.begin(), sent.end(), [&](BufferId b) { return covers(program.buffers[b.index()], written[0]); });
        if (!inside && !local.valid()) local = make(written[0]);
        if (local.valid()) at = local;
        for (const BufferId b : sent)
          if (!at.valid() && covers(program.buffers[b.index()], written[0])) at = b;
      }
      if (!at.valid()) sent.push_back(at = make(need.buffer));
      homes[need.user.kernel][need.user.operand] = {at, true, {}};
    }
    for (std::size_t w = 0; w < written.size(); ++w) {
      OperandHome& home = homes[users[t].writers[w].kernel][users[t].writers[w].operand];
      home.placed = true;
      home.send = sent;
      home.buffer = local;
      for (const BufferId b : sent)
        if (!home.buffer.valid() && covers(program.buffers[b.index()], written[w])) home.buffer = b;
      if (!home.buffer.valid()) home.buffer = make(written[w]);
    }
  }
  return homes;
}

}  // namespace switchyard::compiler
