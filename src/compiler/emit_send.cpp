// What a kernel has written on its way to the scratchpads of others.
#include <fmt/format.h>

#include <algorithm>

#include "chip/query.h"
#include "compiler/emitter.h"
#include "numerics/packing.h"
#include "program/fold.h"
#include "program/spread.h"

namespace switchyard::compiler {

/// Signals to a sending mover that have room, at most: a unit that is so far ahead of it waits. Chosen by sight.
constexpr std::int64_t kMostReady = 16;

void Emitter::send(std::size_t i, ActorId user, const std::vector<int>& user_loops, const std::vector<bool>& kept, program::BufferId to) {
  const KernelOperand& o = kernel_.operands[i];
  const bool streams = mapping_.stream >= 0 && !user_loops.empty() && user_loops[0] == mapping_.stream;
  Actor a = send_actor(o, streams ? std::vector<int>{mapping_.stream} : without(user_loops, kept), to);
  std::optional<std::int64_t> following = most_messages(a);
  std::vector<bool> done_kept = kept;
  if (streams) {
    done_kept.assign(kept.size(), true);
    done_kept[0] = false;
  }
  if (!a.loops.empty() && (!streams || !following)) {
    Actor at_end = send_actor(o, {}, to);
    const std::int64_t in_all = most_messages(at_end).value();
    if (!following || sending_seconds(at_end, in_all) < sending_seconds(a, *following)) {
      a = std::move(at_end);
      following = in_all;
      done_kept.assign(kept.size(), true);
    }
  }
  const std::int64_t count = following.value();
  if (count == 0) return;
  a.name = fmt::format("send{}_{}", i, context_.actors.size());
  Port wait = synchronising("ready", true, std::vector<bool>(a.loops.size(), false));
  if (count > 1) {
    a.destination->message = static_cast<int>(a.loops.size());
    a.loops.push_back({"message", count, numerics::LoopKind::parallel});
    wait.kept.push_back(true);
  }
  Port done = wait;
  done.name = fmt::format("done{}_{}", i, context_.actors.size());
  done.input = false;
  done.kept = done_kept;
  a.ports.push_back(std::move(wait));
  const int port = add_output(user, std::move(done));
  std::int64_t firings = 1;
  for (const program::Loop& l : a.loops) firings *= l.name == "message" ? 1 : l.trip;
  const ActorId mover = add(std::move(a));
  connect(fmt::format("sent{}", mover.index()), user, port, mover, 0, std::min(firings, kMostReady));
}

Actor Emitter::send_actor(const KernelOperand& o, const std::vector<int>& loops, program::BufferId to) const {
  Actor a;
  a.array = program::ArrayId(std::size_t{0});
  a.kind = ActorKind::move;
  a.mover = machine_.cast;
  a.loops = loops_of(loops);
  a.source = access_of(o, loops, 0);
  std::vector<std::int64_t> tile = mapping_.tile;
  for (std::size_t d = 0; d < tile.size(); ++d)
    if (std::find(loops.begin(), loops.end(), static_cast<int>(d)) == loops.end()) tile[d] *= mapping_.trips[d];
  a.source->extent = token_shape(o, tile);
  a.destination = a.source;
  a.destination->buffer = to;
  a.ops = kernel_.nodes;
  return a;
}

double Emitter::sending_seconds(const Actor& a, std::int64_t messages) const {
  const chip::Mover& mover = chip_.movers[machine_.cast.index()];
  const double places = static_cast<double>(mover.count * mover.outstanding);
  double firings = 1, bytes = numerics::stored_size(buffers_[a.destination->buffer.index()].format);
  for (const program::Loop& l : a.loops) firings *= static_cast<double>(l.trip);
  for (const std::int64_t e : a.destination->extent) bytes *= static_cast<double>(e);
  const double one =
      static_cast<double>(messages) * (mover.startup.value + chip_.sequencer.issue.value) / places + bytes / mover.bandwidth.value;
  const double hidden = mapping_.terms[0] * (firings - 1) / firings;
  return one + std::max(0.0, (firings - 1) * one - hidden);
}

namespace {

/// All that the messages of a store depend on: where its instances are and how they fire, what it touches, and who holds which part of
/// that.
std::vector<std::int64_t> key_of(const program::Array& array, const Actor& a, const program::Buffer& buffer) {
  std::vector<std::int64_t> key;
  const auto list = [&](const auto& values) {
    key.push_back(static_cast<std::int64_t>(values.size()));
    key.insert(key.end(), values.begin(), values.end());
  };
  const auto functions = [&](const std::vector<Affine>& all) {
    key.push_back(static_cast<std::int64_t>(all.size()));
    for (const Affine& f : all) {
      key.insert(key.end(), {f.constant, static_cast<std::int64_t>(f.terms.size())});
      for (const Affine::Term& t : f.terms) key.insert(key.end(), {t.variable, t.coefficient});
    }
  };
  list(array.shape);
  list(array.components);
  for (const program::Loop& loop : a.loops) key.push_back(loop.trip);
  const program::BufferAccess& to = *a.destination;
  key.insert(key.end(), {static_cast<std::int64_t>(a.loops.size()), to.message, program::updates_copies(a) ? 1 : 0});
  functions(to.start);
  list(to.extent);
  for (const auto& [begin, end] : to.region) key.insert(key.end(), {begin, end});
  list(buffer.shape);
  list(buffer.spread->shape);
  list(buffer.spread->components);
  functions(buffer.spread->start);
  list(buffer.spread->extent);
  return key;
}

}  // namespace

std::optional<std::int64_t> Emitter::most_messages(Actor& a) {
  if (counts_ == nullptr) return count_messages(a);
  const program::Array& array = context_.arrays[a.array.index()];
  const auto [found, fresh] = counts_->try_emplace(key_of(array, a, buffers_[a.destination->buffer.index()]));
  if (fresh) found->second = count_messages(a);
  return found->second;
}

std::optional<std::int64_t> Emitter::count_messages(Actor& a) {
  context_.actors.push_back(std::move(a));
  const program::BufferAccess& to = *context_.actors.back().destination;
  const program::Use use(context_, context_.actors.size() - 1, to, to.extent, true, nullptr);
  const auto sending = program::count_messages(buffers_[to.buffer.index()], parts_[to.buffer], use);
  a = std::move(context_.actors.back());
  context_.actors.pop_back();
  if (!sending) return std::nullopt;
  return sending->most;
}

}  // namespace switchyard::compiler
