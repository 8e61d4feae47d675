#include "compiler/storage.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "compiler/addresses.h"
#include "support/check.h"

namespace switchyard::compiler {
namespace {

using From = Addresses::Over::From;
using program::Actor;
using program::Channel;
using program::Context;

/// Contexts are taken to last this much longer than estimated: to fetch too early only takes room, to fetch too late leaves memory idle.
constexpr double kCaution = 3;

/// Channels hold all that passes through them, or half, or a quarter, down to this part of it; then what they need to work at all. Chosen
/// by sight.
constexpr std::int64_t kLeastPart = 32;
/// Times what is fetched ahead: what less room in channels, for a life that is longer, must win to be preferred. Chosen by sight.
constexpr double kWorthLess = 1.05;

std::int64_t token_bytes(const Context& context, const Channel& c) {
  return context.actors[c.from.actor.index()].ports[static_cast<std::size_t>(c.from.port)].token.bytes();
}

/// Tokens that pass through a channel in one run of its producer.
std::int64_t tokens_through(const Context& context, const Channel& c) {
  const Actor& from = context.actors[c.from.actor.index()];
  return program::token_count(from, from.ports[static_cast<std::size_t>(c.from.port)]);
}

class Planner {
 public:
  Planner(program::Program& program, const std::vector<ContextTimes>& times, bool deep, bool pins)
      : program_(program), times_(times), deep_(deep), pins_(pins), chip_(*program.chip) {
    for (const chip::Memory& m : chip_.memories) addresses_.emplace_back(m, program.contexts.size(), sets_);
    for (const Context& c : program.contexts) {
      std::vector<int>& sets = array_sets_.emplace_back();
      for (const auto& array : c.arrays) sets.push_back(sets_.number_of(array.components));
    }
  }

  std::optional<Overflow> run() {
    if (auto overflow = place_buffers()) return overflow;
    for (int k = 0; k < count(); ++k)
      if (auto overflow = place_context(k)) return overflow;
    for (int k = 0; k < count(); ++k) {
      const int first = advance(k);
      if (const double fetch = times_[static_cast<std::size_t>(k)].fetch; fetch > 0) fetched_ = std::max(fetched_, start_of(first)) + fetch;
      ends_.push_back(std::max(start_of(k), fetched_) + kCaution * times_[static_cast<std::size_t>(k)].run);
    }
    return std::nullopt;
  }

 private:
  [[nodiscard]] int count() const { return static_cast<int>(program_.contexts.size()); }
  Context& context(int k) { return program_.contexts[static_cast<std::size_t>(k)]; }
  Addresses& in(chip::MemoryId memory) { return addresses_[memory.index()]; }

  std::optional<Overflow> place_buffers() {
    lives_.assign(program_.buffers.size(), {count(), -1});
    for (int k = 0; k < count(); ++k)
      program::for_each_buffer(context(k), [&](program::BufferId b, bool) {
        Life& life = lives_[b.index()];
        life.first = std::min(life.first, k);
        life.last = std::max(life.last, k);
      });
    std::vector<std::size_t> order;
    for (std::size_t b = 0; b < lives_.size(); ++b)
      if (program_.buffers[b].spread && lives_[b].last >= 0) order.push_back(b);
    // Long lives first: what stays for long must not lie between what comes and goes.
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      const auto key = [&](std::size_t i) { return std::tuple(lives_[i].first - lives_[i].last, lives_[i].first); };
      return key(a) < key(b);
    });
    for (const std::size_t b : order) {
      program::Buffer& buffer = program_.buffers[b];
      program::Token part;
      part.format = buffer.format;
      part.shape = buffer.spread->extent;
      part.order = buffer.order;
      part.pad = buffer.spread->pad;
      buffer.bytes = part.bytes();
      const int set = sets_.number_of(buffer.spread->components);
      const auto at = Addresses::Over(in(buffer.memory), lives_[b], From::below).take(buffer.bytes, set);
      if (!at) return overflow(lives_[b].first);
      buffer.offset = *at;
      in(buffer.memory).take(lives_[b], *at, buffer.bytes, set);
    }
    return std::nullopt;
  }

  /// What is early is only seen to fit: where it lies `advance` says.
  std::optional<Overflow> place_context(int k) {
    const Life life{k, k};
    Free low, high;
    const auto place = [&](chip::MemoryId memory, std::int64_t& offset, std::int64_t bytes, int set) {
      const auto at = low.try_emplace(memory, in(memory), life, From::below).first->second.take(bytes, set);
      if (!at) return false;
      offset = *at;
      in(memory).take(life, *at, bytes, set);
      return true;
    };
    const auto early = [&](const Channel& c) { return context(k).actors[c.from.actor.index()].early; };
    for (Channel& c : context(k).channels)
      if (!early(c) && !place(c.memory, c.offset, c.bytes, set_of(k, c))) return overflow(k);
    for (Actor& a : context(k).actors)
      for (program::State& s : a.states)
        if (!place(s.memory, s.offset, s.bytes, set_of(k, a))) return overflow(k);
    for (const Channel& c : context(k).channels)
      if (early(c) && !high.try_emplace(c.memory, in(c.memory), life, From::above).first->second.take(c.bytes, set_of(k, c)))
        return overflow(k);
    return std::nullopt;
  }

  [[nodiscard]] int set_of(int k, const Actor& actor) const { return array_sets_[static_cast<std::size_t>(k)][actor.array.index()]; }
  [[nodiscard]] int set_of(int k, const Channel& c) const {
    return set_of(k, program_.contexts[static_cast<std::size_t>(k)].actors[c.to.front().end.actor.index()]);
  }

  Overflow overflow(int k) {
    Overflow out{static_cast<std::size_t>(k), 0};
    std::vector<bool> used(program_.buffers.size(), false);
    program::for_each_buffer(context(k), [&](program::BufferId b, bool) { used[b.index()] = true; });
    for (std::size_t b = 0; b < lives_.size(); ++b)
      if (program_.buffers[b].spread && !used[b] && lives_[b].first <= k && lives_[b].last >= k) out.through += program_.buffers[b].bytes;
    return out;
  }

  // The schedule so far: contexts one after the other, each when it has been fetched; fetching goes on all the time.
  [[nodiscard]] double start_of(int k) const { return k == 0 ? 0 : ends_[static_cast<std::size_t>(k) - 1]; }
  [[nodiscard]] int running_at(double time) const {
    return static_cast<int>(std::upper_bound(ends_.begin(), ends_.end(), time) - ends_.begin());
  }

  /// Deepens the channels of a context's early movers and lets them begin as early as is of use; the context in which they begin.
  int advance(int k) {
    Context& context = this->context(k);
    std::vector<Channel*> early;
    for (Channel& c : context.channels)
      if (context.actors[c.from.actor.index()].early) early.push_back(&c);
    if (k == 0 || early.empty()) {
      for (Actor& a : context.actors) a.early = false;
      deepen(k, early);
      return k;
    }
    const int soonest = std::max(running_at(fetched_), k - static_cast<int>(chip_.context.resident) + 1);
    std::vector<std::int64_t> least;
    for (const Channel* c : early) least.push_back(c->depth);
    std::map<int, Free> free;  // by where a life that ends here begins
    // Of depth and an early start, what lets most be fetched before the context begins.
    double most = 0;
    std::int64_t best_share = 0;
    int best_first = k;
    std::int64_t whole = 0;
    for (std::int64_t share = 1; share <= 2 * kLeastPart; share *= 2) {
      set_depths(context, early, least, share);
      std::int64_t bytes = 0;
      for (const Channel* c : early) bytes += c->bytes;
      if (share == 1) whole = bytes;
      // The longer the life, the harder: the earliest beginning is found by halving.
      int first = k;
      for (int low = soonest, high = k; low < high;) {
        const int middle = low + (high - low) / 2;
        if (find_places(k, early, {middle, k}, free[middle])) {
          first = high = middle;
        } else {
          low = middle + 1;
        }
      }
      if (first == k) continue;
      // As the caution is for when to begin, so it is against counting on much time.
      double time = 0;
      for (int c = first; c < k; ++c) time += times_[static_cast<std::size_t>(c)].run / 2;
      const double fetched =
          std::min(time, times_[static_cast<std::size_t>(k)].fetch * static_cast<double>(bytes) / static_cast<double>(whole));
      if (best_share == 0 || (!deep_ && fetched > most * kWorthLess)) most = fetched, best_share = share, best_first = first;
      if (deep_) break;
    }
    if (best_share > 0) {
      set_depths(context, early, least, best_share);
      SY_CHECK(place(k, early, {best_first, k}), "what fitted fits again");
      return finish(context, best_first);
    }
    for (std::int64_t share = 1;; share *= 2) {
      set_depths(context, early, least, share);
      if (place(k, early, {k, k})) return finish(context, k);
    }
  }

  /// Without going ahead, deeper channels still keep the movers busy.
  void deepen(int k, const std::vector<Channel*>& early) {
    Context& context = this->context(k);
    std::vector<std::int64_t> least;
    for (const Channel* c : early) least.push_back(c->depth);
    for (std::int64_t share = 1;; share *= 2) {
      set_depths(context, early, least, share);
      if (place(k, early, {k, k})) return;
    }
  }

  void set_depths(const Context& context, const std::vector<Channel*>& channels, const std::vector<std::int64_t>& least,
                  std::int64_t share) const {
    for (std::size_t i = 0; i < channels.size(); ++i) {
      Channel& c = *channels[i];
      // Staging between two movers of one component need not be deep.
      const bool relayed = context.actors[c.to.front().end.actor.index()].kind == program::ActorKind::move;
      const std::int64_t all = relayed ? least[i] : tokens_through(context, c);
      c.depth = share > kLeastPart || !pins_ ? least[i] : std::max(least[i], all / share);
      c.bytes = c.depth * token_bytes(context, c);
    }
  }

  /// What is free in the memories over one life, as far as somebody asked.
  using Free = std::map<chip::MemoryId, Addresses::Over>;

  /// The addresses of a context's channels, one after the other the highest free ones; nothing when they do not all fit. `free` is for
  /// asking again.
  std::optional<std::vector<std::int64_t>> find_places(int k, const std::vector<Channel*>& channels, Life life, Free& free) {
    for (const Channel* c : channels) free.try_emplace(c->memory, in(c->memory), life, From::above);
    Free memories = free;
    std::vector<std::int64_t> places;
    for (const Channel* c : channels) {
      const auto at = memories.at(c->memory).take(c->bytes, set_of(k, *c));
      if (!at) return std::nullopt;
      places.push_back(*at);
    }
    return places;
  }

  bool place(int k, const std::vector<Channel*>& channels, Life life) {
    Free free;
    const auto places = find_places(k, channels, life, free);
    for (std::size_t i = 0; places && i < channels.size(); ++i) {
      channels[i]->offset = (*places)[i];
      in(channels[i]->memory).take(life, (*places)[i], channels[i]->bytes, set_of(k, *channels[i]));
    }
    return places.has_value();
  }

  static int finish(Context& context, int first) {
    context.early_after.clear();
    if (first > 0) context.early_after.emplace_back(static_cast<std::size_t>(first - 1));
    return first;
  }

  program::Program& program_;
  const std::vector<ContextTimes>& times_;
  bool deep_, pins_;
  const chip::Chip& chip_;
  ComponentSets sets_;
  std::vector<std::vector<int>> array_sets_;  ///< by context and array
  std::vector<Addresses> addresses_;
  std::vector<Life> lives_;
  std::vector<double> ends_;  ///< of the contexts so far
  double fetched_ = 0;        ///< when all that they need has been fetched
};

}  // namespace

std::optional<Overflow> plan_storage(program::Program& program, const std::vector<ContextTimes>& times, bool deep, bool pins) {
  return Planner(program, times, deep, pins).run();
}

}  // namespace switchyard::compiler
