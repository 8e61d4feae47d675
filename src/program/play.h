// Plays the tokens of a context without time: does every firing come, with rings of these depths?
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "program/instance.h"

namespace switchyard::program {

/// What an actor instance that cannot go on waits for.
struct Wait {
  std::uint32_t actor = 0;  ///< actor instance
  ChannelId channel;
  bool for_space = false;  ///< else for a token
};

class Play {
 public:
  /// `all`: also instances that behave like others.
  explicit Play(const Context& context, bool all = false);
  /// Firings that will be played: instances that behave alike are played once, loops that move no token are skipped.
  [[nodiscard]] std::int64_t firings() const { return firings_; }
  [[nodiscard]] const Layout& layout() const { return layout_; }
  /// Empty: every firing came. `depths` by channel.
  std::vector<Wait> run(const std::vector<std::int64_t>& depths);

  // Step by step, to see what can come without what. An actor instance is meant by its number in the layout.
  /// `network`: only the instances of one.
  void start(const std::vector<std::int64_t>& depths, std::uint32_t network = kNoIndex);
  /// The network of an instance: those that channels join, named by its first instance. Networks of one kind behave alike, and have one
  /// instance of each of their actors.
  [[nodiscard]] std::uint32_t network_of(std::uint32_t actor) const { return network_[actor]; }
  [[nodiscard]] std::uint32_t kind_of(std::uint32_t network) const { return kind_[network]; }  ///< named by the first network of it
  /// Firings of all of an instance, loops inside those that move tokens as one.
  [[nodiscard]] std::int64_t all_firings(std::uint32_t actor) const;
  /// Plays all that can be played while one instance is held.
  void drain(std::uint32_t held = kNoIndex);
  /// One firing of an instance; false when it is through or cannot fire.
  bool step(std::uint32_t actor);
  /// Firings that came so far. Loops inside those that move tokens are one firing: `inner_firings` of the nest.
  [[nodiscard]] std::int64_t fired(std::uint32_t actor) const { return place_[actor] == kNoIndex ? 0 : walks_[place_[actor]].fired; }
  [[nodiscard]] std::int64_t inner_firings(std::uint32_t actor) const;

 private:
  struct Instance {
    std::uint32_t actor = 0;  ///< actor instance
    std::uint32_t loops = 0;  ///< those that move tokens: the outer ones
    std::uint32_t index = 0;  ///< first of its indices in index_
    std::uint64_t inner = 0;  ///< the loops skipped, as a mask
  };
  struct RingState {
    std::int64_t reserved = 0, produced = 0;
  };
  struct ConsumerState {
    std::int64_t acquired = 0, released = 0;
  };
  struct Walk {
    std::uint64_t z = 0, l = 0;
    std::int64_t fired = 0;
    bool done = false;
  };

  void choose(bool all);
  std::span<const std::int64_t> index(const Instance& instance) const;
  std::optional<Wait> blocked(std::size_t n) const;
  void fire(std::size_t n);
  void advance(std::size_t n);
  void wake(std::uint32_t actor);
  const Feed* feed_at(std::span<const Feed> feeds, std::span<const std::int64_t> index, std::int64_t position) const;
  ConsumerState& consumer(const Feed& feed) { return consumers_[layout_.rings[feed.ring].first_consumer + feed.consumer]; }
  const ConsumerState& consumer(const Feed& feed) const { return consumers_[layout_.rings[feed.ring].first_consumer + feed.consumer]; }
  std::int64_t released(const Ring& ring) const;

  const Context& context_;
  Layout layout_;
  std::int64_t firings_ = 0;
  std::vector<Instance> played_;
  std::vector<std::uint32_t> network_, kind_;
  std::vector<std::uint32_t> place_;  ///< actor instance -> position in played_, or kNoIndex
  std::vector<std::int64_t> index_;
  std::vector<Walk> walks_;
  std::vector<RingState> rings_;
  std::vector<ConsumerState> consumers_;
  std::vector<std::int64_t> depths_;
  std::vector<std::uint32_t> queue_;
  std::vector<bool> queued_;
};

}  // namespace switchyard::program
