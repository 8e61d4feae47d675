// Events come out in the order of their keys, whatever lane or heap they were in, and chunks come with theirs.
#include "simulation/timing/event_queue.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace switchyard::simulation::timing {
namespace {

TEST(EventQueue, gives_the_least_first_as_a_set_would) {
  std::mt19937 random(7);
  const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
  for (const std::uint32_t spread : {1u, 5u, 1000u, 100'000u, 1'000'000'000u}) {  // of times: with few of them most events are ties
    EventQueue queue;
    std::set<std::pair<std::int64_t, std::uint32_t>> model;  // time, and who, here a number of its own
    std::int64_t now = 0;
    std::uint32_t next = 0;
    for (int step = 0; step < 20000; ++step) {
      if (!model.empty() && below(step < 10000 ? 3 : 2) == 0) {
        ASSERT_EQ(queue.size(), model.size());
        ASSERT_EQ(queue.next_time(), model.begin()->first);
        const EventQueue::Item& item = queue.take();
        ASSERT_EQ(item.event.time(), model.begin()->first);
        ASSERT_EQ(item.event.who(), model.begin()->second);
        if (item.event.kind() == EventKind::chunk) {
          ASSERT_EQ(item.chunk.flight, item.event.who());
        }
        now = item.event.time();
        model.erase(model.begin());
      }
      const std::int64_t time = now + below(spread);
      model.emplace(time, next);
      if (below(2) == 0) {
        Chunk chunk;
        chunk.flight = next;
        queue.push_chunk(Event::make(time, next, EventKind::chunk), chunk, below(2) == 0);
      } else {
        queue.push(Event::make(time, next, EventKind::issue), below(2) == 0);
      }
      ++next;
    }
    std::size_t seen = 0;
    queue.for_each([&](const Event& event, const Chunk&) { seen += model.count({event.time(), event.who()}); });
    EXPECT_EQ(seen, model.size());
    for (const auto& [time, who] : model) {
      ASSERT_EQ(queue.next_time(), time);
      ASSERT_EQ(queue.take().event.who(), who);
    }
    EXPECT_TRUE(queue.empty());
  }
}

TEST(EventQueue, chunks_that_go_on_keep_all_but_time_and_stage) {
  const Event here = Event::make(1000, 77, EventKind::chunk, ChunkTie::make(3, 5, 250));
  const Event there = at_stage(here, 2000, 10);
  EXPECT_EQ(there.key, Event::make(2000, 77, EventKind::chunk, ChunkTie::make(3, 5, 260)).key);
}

}  // namespace
}  // namespace switchyard::simulation::timing
