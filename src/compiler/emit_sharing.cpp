// Operands that several components need alike: read by some and sent to all, or passed around a ring.
#include <fmt/format.h>

#include <algorithm>

#include "chip/query.h"
#include "compiler/emitter.h"
#include "program/instance.h"

namespace switchyard::compiler {

std::size_t Emitter::make_readers(std::size_t operand, std::int64_t member) {
  const KernelOperand& o = kernel_.operands[operand];
  const program::Array& all = context_.arrays[0];
  Frame frame;
  frame.coordinate.assign(kernel_.dims.size(), -1);
  program::Array readers;
  readers.name = member == 0 ? fmt::format("readers{}", operand) : fmt::format("readers{}_{}", operand, member);
  readers.component = all.component;
  std::vector<bool> used(all.shape.size(), false);
  std::int64_t sharers = 1;
  for (std::size_t d = 0; d < kernel_.dims.size(); ++d) {
    const int c = frames_[0].coordinate[d];
    if (c < 0) continue;
    const auto at = static_cast<std::size_t>(c);
    used[at] = std::any_of(o.index.begin(), o.index.end(), [&](const Affine& f) { return f.depends_on(static_cast<int>(d)); });
    if (!used[at]) {
      sharers *= all.shape[at];
      continue;
    }
    frame.coordinate[d] = static_cast<int>(readers.shape.size());
    readers.shape.push_back(all.shape[at]);
  }
  if (readers.shape.empty()) readers.shape.push_back(1);
  frame.count = static_cast<int>(readers.shape.size());
  for (std::int64_t r = 0; r < numerics::element_count(readers.shape); ++r) {
    std::int64_t kept = r, shared = (r + static_cast<std::int64_t>(operand) + member) % sharers, linear = 0, stride = 1;
    for (std::size_t c = all.shape.size(); c-- > 0;) {
      std::int64_t& digits = used[c] ? kept : shared;
      linear += digits % all.shape[c] * stride;
      digits /= all.shape[c];
      stride *= all.shape[c];
    }
    readers.components.push_back(all.components[static_cast<std::size_t>(linear)]);
  }
  frames_.push_back(std::move(frame));
  context_.arrays.push_back(std::move(readers));
  return context_.arrays.size() - 1;
}

Actor Emitter::cast_actor(const std::string& name, const Actor& load, std::size_t readers) const {
  Actor a;
  a.name = name;
  a.kind = ActorKind::move;
  a.array = program::ArrayId(readers);
  a.mover = machine_.cast;
  a.loops = load.loops;
  a.early = load.early;
  Port in = load.ports[0], out = load.ports[0];
  in.name = "in";
  in.input = true;
  a.ports = {in, out};
  a.ops = kernel_.nodes;
  const chip::Mover& mover = chip_.movers[a.mover.index()];
  const chip::Network& n = chip_.networks[mover.network->index()];
  program::Route r;
  r.network = *mover.network;
  const program::Array& all = context_.arrays[0];
  const program::Array& from = context_.arrays[readers];
  for (std::size_t i = 0; i < all.components.size(); ++i) {
    std::vector<std::int64_t> at(all.shape.size());
    std::int64_t rest = static_cast<std::int64_t>(i), reader = 0;
    for (std::size_t c = all.shape.size(); c-- > 0;) {
      at[c] = rest % all.shape[c];
      rest /= all.shape[c];
    }
    std::vector<std::int64_t> place(from.shape.size(), 0);
    for (std::size_t d = 0; d < kernel_.dims.size(); ++d)
      if (const int c = frames_[readers].coordinate[d]; c >= 0)
        place[static_cast<std::size_t>(c)] = at[static_cast<std::size_t>(frames_[0].coordinate[d])];
    for (std::size_t c = 0; c < place.size(); ++c) reader = reader * from.shape[c] + place[c];
    r.paths.push_back(chip::default_route(chip_, n, from.components[static_cast<std::size_t>(reader)], all.components[i]));
  }
  a.route = std::move(r);
  return a;
}

void Emitter::share_out(std::size_t i, ActorId user, const std::vector<int>& user_loops, const std::vector<bool>& kept) {
  const KernelOperand& o = kernel_.operands[i];
  const std::vector<int> loops = without(user_loops, kept);
  const std::int64_t members = members_[i];
  for (std::int64_t j = 0; j < members; ++j) {
    const std::size_t readers = make_readers(i, j);
    const std::string suffix = j == 0 ? "" : fmt::format("_{}", j);
    Actor load = move_actor(mover_name(i) + suffix, o, loops, readers);
    program::IndexRange domain;
    if (members > 1) {
      const int d = dim_of(loops.back());
      const std::int64_t own = trips_of(loops.back()) / members, step = steps_of(kernel_, mapping_, static_cast<std::size_t>(d)).tile;
      load.loops.back().trip = own;
      for (std::size_t x = 0; x < o.index.size(); ++x)
        for (const auto& t : o.index[x].terms)
          if (t.variable == d) load.source->start[x] = load.source->start[x] + numerics::affine_constant(t.coefficient * j * own * step);
      domain = {static_cast<int>(std::find(user_loops.begin(), user_loops.end(), loops.back()) - user_loops.begin()), j * own,
                (j + 1) * own};
    }
    Actor cast = cast_actor(fmt::format("cast{}{}", i, suffix), load, readers);
    const ActorId load_id = add(std::move(load)), cast_id = add(std::move(cast));
    connect(fmt::format("read{}{}", i, suffix), load_id, 0, cast_id, 0, 2);
    connect(fmt::format("in{}{}", i, suffix), cast_id, 1, user, port_of_[i].second,
            members == 1 ? mapping_.depth[i] : std::max<std::int64_t>(1, (mapping_.depth[i] + members - 1) / members));
    context_.channels.back().to[0].domain = domain;
  }
}

void Emitter::pass_around(std::size_t i, ActorId user, const std::vector<int>& user_loops, const std::vector<bool>& kept) {
  const KernelOperand& o = kernel_.operands[i];
  const std::vector<int> loops = without(user_loops, kept);
  std::vector<int> own = loops;
  own.erase(std::find(own.begin(), own.end(), kRounds));
  const int round = static_cast<int>(std::find(loops.begin(), loops.end(), kRounds) - loops.begin());
  const int user_round = static_cast<int>(std::find(user_loops.begin(), user_loops.end(), kRounds) - user_loops.begin());
  const ActorId load = add(move_actor(mover_name(i), o, own));
  Actor pass;
  pass.name = fmt::format("pass{}", i);
  pass.kind = ActorKind::move;
  pass.array = program::ArrayId(std::size_t{0});
  pass.mover = machine_.cast;
  pass.loops = loops_of(loops);
  pass.ops = kernel_.nodes;
  Port in = context_.actors[load.index()].ports[0];
  in.kept.assign(loops.size(), false);
  Port out = in;
  in.name = "in";
  in.input = true;
  out.guard = {{round, 0, -1}};
  pass.ports = {std::move(in), std::move(out)};
  if (!mapping_.overlap) pass.ports.push_back(synchronising("ready", true, std::vector<bool>(loops.size(), false)));
  const ActorId passer = add(std::move(pass));
  if (!mapping_.overlap) {
    const int used = add_output(user, synchronising(fmt::format("used{}", i), false, kept));
    connect(fmt::format("used{}", i), user, used, passer, 2, 2);
  }
  connect(fmt::format("own{}", i), load, 0, user, port_of_[i].second, mapping_.depth[i]);
  connect(fmt::format("passed{}", i), passer, 1, user, port_of_[i].second, ring_depth(kernel_, mapping_, *ring_, i));
  const auto feed = [&](Channel& c, std::int64_t begin, std::int64_t end) {
    c.to[0].domain = {user_round, begin, end};
    c.to.push_back({{passer, 0}, {round, begin, end}});
  };
  feed(context_.channels[context_.channels.size() - 2], 0, 1);
  feed(context_.channels.back(), 1, program::IndexRange::kToEnd);
  const int at = frames_[0].coordinate[static_cast<std::size_t>(ring_->along)];
  context_.channels.back().relation.coordinates[static_cast<std::size_t>(at)] = {
      numerics::affine_variable(at) + numerics::affine_constant(-1), ring_->size};
}

void Emitter::store_slices(std::size_t i, ActorId user, const std::vector<int>& user_loops, const std::vector<bool>& kept) {
  const KernelOperand& o = kernel_.operands[i];
  const auto q = static_cast<std::size_t>(ring_->dim);
  const int split = frames_[0].coordinate[q];
  const std::int64_t blocks = split < 0 ? 1 : context_.arrays[0].shape[static_cast<std::size_t>(split)];
  for (std::int64_t block = 0; block < blocks; ++block) {
    const std::size_t array = split < 0 ? 0 : make_block(split, block);
    const std::string suffix = split < 0 ? "" : fmt::format("_{}", block);
    Actor left = move_actor(mover_name(i) + "_up" + suffix, o, without(user_loops, kept), array);
    Actor right = left;
    right.name = mover_name(i) + "_beyond" + suffix;
    for (std::size_t d = 0; d < o.index.size(); ++d)
      if (o.index[d].depends_on(ring_->dim))
        right.destination->start[d] = right.destination->start[d] + numerics::affine_constant(mapping_.trips[q] * mapping_.tile[q]);
    const ActorId first = add(std::move(left)), second = add(std::move(right));
    connect(fmt::format("out{}{}", i, suffix), user, port_of_[i].second, first, 0, mapping_.depth[i]);
    Channel& c = context_.channels.back();
    c.to.push_back({{second, 0}, {}});
    if (split < 0) continue;
    c.relation.coordinates.clear();
    for (int at = 0; at < frames_[0].count; ++at) {
      const Affine source = at == split ? numerics::affine_constant(block) : numerics::affine_variable(at < split ? at : at - 1);
      c.relation.coordinates.push_back({source, 0});
    }
  }
}

std::size_t Emitter::make_block(int split, std::int64_t block) {
  const program::Array all = context_.arrays[0];
  Frame frame = frames_[0];
  program::Array array;
  array.name = fmt::format("block{}", block);
  array.component = all.component;
  for (int& c : frame.coordinate) c = c == split ? -1 : c > split ? c - 1 : c;
  frame.block = block;
  for (int c = 0; c < frame.count; ++c)
    if (c != split) array.shape.push_back(all.shape[static_cast<std::size_t>(c)]);
  frame.count = static_cast<int>(array.shape.size());
  for (std::uint32_t k = 0; k < all.components.size(); ++k)
    if (program::coordinates(all, k)[static_cast<std::size_t>(split)] == block) array.components.push_back(all.components[k]);
  frames_.push_back(std::move(frame));
  context_.arrays.push_back(std::move(array));
  return context_.arrays.size() - 1;
}

}  // namespace switchyard::compiler
