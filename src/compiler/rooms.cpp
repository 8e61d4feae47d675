#include "compiler/rooms.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "compiler/phases.h"
#include "compiler/refine.h"
#include "support/parallel.h"

namespace switchyard::compiler {
namespace {

/// Times the fastest program: with still less room they take longer. The same of what searches begin with.
constexpr double kHopeless = 1.06, kHopelessSoon = 1.25;
/// The same where a search begins, beside the most that any room gained from there; only where kernels have so many candidates, in the
/// first program, that a room takes many seconds: other rooms do make up for more (two layers of BERT on rpu-4x4 with 2 MiB: 496 us, 480).
constexpr double kGainsNoMore = 1.02;
constexpr std::int64_t kManyCandidates = 225'000;
/// The same: what other mappings may make up for (one layer of GPT-2 on rpu-4x4: 1923 us to 1716).
constexpr double kMayBeFaster = 1.15;

/// One room, with all that a comparison changes.
struct Room {
  CompileOptions options;
  Compiled out;
  Comparison programs;
  bool found = true;  ///< so far

  Room(const Comparison& c, std::int64_t bytes, int threads)
      : options(c.options), out{{}, c.out.graph, {}, {}, {}, {}}, programs(c.whole(), out, options, c.chip, bytes) {
    options.threads = threads;
    out.program.labels = c.out.program.labels;
  }

  void advance(Status (*by)(Comparison&)) { found = found && by(programs).ok(); }
};

}  // namespace

void search_rooms(Comparison& c) {
  const int threads = c.options.threads > 0 ? c.options.threads : hardware_threads();
  const bool wide = c.is_wide();
  const std::vector<std::int64_t> bytes = lesser_rooms(c.whole());
  std::vector<std::unique_ptr<Room>> rooms;
  const bool takes_long = c.searched > kManyCandidates;
  double least = c.least, begun = c.begun, least_begun = c.begun, gained = c.begun / c.least;
  std::unique_ptr<Room> now, next;  // while one goes on the next begins: on any number of threads it may be for nothing
  for (std::size_t i = 0;; ++i) {
    now = std::move(next);
    if (now && (!now->found || now->programs.begun > least_begun * kHopelessSoon)) break;
    if (i < bytes.size()) next = std::make_unique<Room>(c, bytes[i], (threads + 1) / 2);
    const bool same = !now || (wide && now->programs.begun == begun);  // what begins alike goes on alike
    const bool goes_on = !same && !(takes_long && now->programs.begun > least * gained * kGainsNoMore);
    parallel_for(threads, 2, [&](std::size_t n) {
      if (n == 0 && goes_on) now->advance(finish_search);
      if (n == 1 && next) next->advance(begin_search);
    });
    if (same && !next) break;
    if (same) continue;
    if (!now->found) break;
    least = std::min(least, now->programs.least);
    gained = std::max(gained, now->programs.begun / now->programs.least);
    const bool hopeless = now->programs.least > least * kHopeless;
    begun = now->programs.begun;
    least_begun = std::min(least_begun, begun);
    rooms.push_back(std::move(now));
    if (hopeless || !next) break;
  }
  for (const auto& room : rooms) room->options.threads = std::max(1, threads / static_cast<int>(rooms.size()));
  const auto may_be_fastest = [&](const Comparison& programs) { return programs.least <= least * kMayBeFaster; };
  if (may_be_fastest(c)) static_cast<void>(refine(c));
  parallel_for(threads, rooms.size(), [&](std::size_t i) {
    if (may_be_fastest(rooms[i]->programs)) rooms[i]->advance(refine);
  });
  for (const auto& room : rooms) c.adopt(room->programs);
}

}  // namespace switchyard::compiler
