// Several kernels to a context: the partition follows the cost of a switch, no program gets slower by it, and values stay what they are.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <set>

#include "compiler/compiler.h"
#include "graph/evaluate.h"
#include "model/model.h"
#include "program/text.h"
#include "program/verify.h"
#include "property/library_chip.h"
#include "property/random_graph.h"
#include "simulation/execute.h"
#include "simulation/timing.h"

namespace switchyard {
namespace {

double seconds_of(const program::Program& program) {
  const auto timing = simulation::time_program(program);
  return timing.ok() ? microseconds(timing.value().latency) * 1e-6 : std::numeric_limits<double>::infinity();
}

/// Programs of as few contexts as the compiler makes: it is told that each takes a second.
compiler::CompileOptions fewest_contexts(numerics::Format format) {
  compiler::CompileOptions options{format, 0, 1};
  options.time = [](const program::Program& program) { return static_cast<double>(program.contexts.size()); };
  return options;
}

/// Programs with as many actors that tell of each step as the compiler makes, whatever it thinks of their time.
compiler::CompileOptions most_streams(numerics::Format format) {
  compiler::CompileOptions options{format, 0, 1};
  options.pipelines = std::numeric_limits<double>::infinity();
  options.time = [](const program::Program& program) {
    double steps = 0;
    for (const program::Context& context : program.contexts)
      for (const program::Actor& actor : context.actors)
        for (const program::Port& port : actor.ports) steps += !port.input && port.name == "step" ? 1 : 0;
    return 1 / (1 + steps);
  };
  return options;
}

struct Reaction {
  std::size_t contexts = 0;
  double seconds = 0, apart = 0;  ///< of the program; of the best with one kernel to a context
};

Reaction react(const graph::Graph& graph, const std::string& chip_name, const std::string& switch_time) {
  const auto chip = library_chip(chip_name, {{"/contexts/switch", switch_time}});
  Reaction r;
  r.apart = std::numeric_limits<double>::infinity();
  std::size_t most = 0;
  compiler::CompileOptions options{numerics::Format::bf16, 0, 1};
  options.time = [&](const program::Program& program) {
    const double seconds = seconds_of(program);
    if (program.contexts.size() > most) most = program.contexts.size(), r.apart = seconds;
    if (program.contexts.size() == most) r.apart = std::min(r.apart, seconds);
    return seconds;
  };
  const auto compiled = compiler::compile(graph, chip, options);
  EXPECT_TRUE(compiled.ok()) << format_failure(compiled.failure());
  if (!compiled.ok()) return r;
  const auto verified = program::verify(compiled.value().program);
  EXPECT_TRUE(verified.ok()) << format_failure(verified.failure());
  r.contexts = compiled.value().program.contexts.size();
  r.seconds = seconds_of(compiled.value().program);
  return r;
}

TEST(Partition, FollowsTheCostOfASwitch) {
  const auto graph = model::build_zoo_model("resnet18", {});
  ASSERT_TRUE(graph.ok());
  std::size_t before = std::numeric_limits<std::size_t>::max();
  std::vector<std::size_t> contexts;
  for (const char* time : {"0 s", "1 us", "10 us", "100 us", "1 ms"}) {
    const Reaction r = react(graph.value(), "rpu-4x4", time);
    EXPECT_LE(r.contexts, before) << time;
    EXPECT_LE(r.seconds, r.apart) << time;
    contexts.push_back(before = r.contexts);
  }
  EXPECT_LT(contexts.back() * 2, contexts.front()) << fmt::format("from {} to {}", contexts.front(), contexts.back());
}

/// Compiles, executes and times random models; how many contexts `counts` holds of.
std::size_t keeps_values(compiler::CompileOptions (*how)(numerics::Format), bool (*counts)(const program::Context&)) {
  std::size_t counted = 0;
  for (const char* name : {"tx81", "rpu-2x2", "rpu-8x8"}) {
    const auto chip = library_chip(name, {});
    EXPECT_TRUE(chip);
    for (std::uint64_t seed = 1; seed <= 25; ++seed) {
      SCOPED_TRACE(fmt::format("{} seed {}", name, seed));
      const testing::RandomModel model = testing::random_model(seed);
      const auto compiled = compiler::compile(model.graph, chip, how(numerics::Format::fp32));
      EXPECT_TRUE(compiled.ok()) << format_failure(compiled.failure());
      const program::Program& p = compiled.value().program;
      const auto verified = program::verify(p);
      EXPECT_TRUE(verified.ok()) << format_failure(verified.failure()) << program::print(p);
      counted += static_cast<std::size_t>(std::count_if(p.contexts.begin(), p.contexts.end(), counts));
      const auto run = simulation::execute(p, model.inputs, {1, {}});
      EXPECT_TRUE(run.ok()) << format_failure(run.failure());
      const auto expected = graph::evaluate(model.graph, model.inputs);
      for (std::size_t o = 0; o < expected.size(); ++o) EXPECT_EQ(run.value().outputs[o].bytes, expected[o].bytes) << "output " << o;
      const auto timed = simulation::time_program(p);
      EXPECT_TRUE(timed.ok()) << format_failure(timed.failure());
      EXPECT_GE(timed.value().latency, p.labels.lower_bound);
      for (std::size_t c = 0; c < p.contexts.size(); ++c)
        EXPECT_GE(timed.value().contexts[c].span, p.contexts[c].bound) << p.contexts[c].name << ": " << compiled.value().contexts[c].bound;
      program::Program shapes = p;
      for (program::Buffer& buffer : shapes.buffers) buffer.constant = nullptr;
      const auto back = program::parse(program::print(shapes), "p.syp");
      EXPECT_TRUE(back.ok()) << format_failure(back.failure());
      EXPECT_TRUE(program::print(back.value()) == program::print(shapes));
    }
  }
  return counted;
}

TEST(Partition, KeepsTheValuesOfRandomModels) {
  EXPECT_GE(keeps_values(fewest_contexts, [](const program::Context& c) { return c.name.find(" to ") != std::string::npos; }), 25u);
}

TEST(Pipelines, KeepTheValuesOfRandomModels) {
  const auto streams = [](const program::Context& c) {
    return std::any_of(c.actors.begin(), c.actors.end(), [&](const program::Actor& a) {
      return std::any_of(a.ports.begin(), a.ports.end(), [](const program::Port& p) { return p.name == "step"; });
    });
  };
  EXPECT_GE(keeps_values(most_streams, streams), 10u);
}

void remove_port(program::Context& context, program::Endpoint end) {
  program::Actor& actor = context.actors[end.actor.index()];
  actor.ports.erase(actor.ports.begin() + end.port);
  const auto lower = [&](program::Endpoint& other) {
    if (other.actor == end.actor && other.port > end.port) --other.port;
  };
  for (program::Channel& channel : context.channels) {
    lower(channel.from);
    for (auto& to : channel.to) lower(to.end);
  }
  for (program::Statement& s : actor.statements) {
    for (numerics::Access& read : s.reads)
      if (read.slot > end.port) --read.slot;
    if (s.write.slot > end.port) --s.write.slot;
  }
}

/// Without the tokens that an actor waits for a context is refused.
TEST(Partition, EveryOrderIsNeeded) {
  const auto chip = library_chip("rpu-2x2", {});
  ASSERT_TRUE(chip);
  int removed = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const testing::RandomModel model = testing::random_model(seed);
    const auto compiled = compiler::compile(model.graph, chip, fewest_contexts(numerics::Format::fp32));
    ASSERT_TRUE(compiled.ok());
    const program::Program& whole = compiled.value().program;
    for (std::size_t c = 0; c < whole.contexts.size(); ++c) {
      std::set<program::ActorId> readers;
      for (const program::Channel& channel : whole.contexts[c].channels)
        if (channel.name.starts_with("order")) readers.insert(channel.to[0].end.actor);
      for (const program::ActorId reader : readers) {
        program::Program broken = whole;
        program::Context& context = broken.contexts[c];
        for (std::size_t i = context.channels.size(); i-- > 0;) {
          const program::Channel channel = context.channels[i];
          if (!channel.name.starts_with("order") || channel.to[0].end.actor != reader) continue;
          context.channels.erase(context.channels.begin() + static_cast<std::ptrdiff_t>(i));
          remove_port(context, channel.to[0].end);
          const bool read = std::any_of(context.channels.begin(), context.channels.end(), [&](const program::Channel& other) {
            return other.from.actor == channel.from.actor && other.from.port == channel.from.port;
          });
          if (!read) remove_port(context, channel.from);
        }
        const auto verified = program::verify(broken);
        ASSERT_FALSE(verified.ok()) << "seed " << seed << " context " << context.name << ": " << context.actors[reader.index()].name;
        const std::string code = verified.failure().diagnostics[0].code;
        EXPECT_TRUE(code == "program/unordered" || code == "program/read-before-write") << format_failure(verified.failure());
        ++removed;
      }
    }
  }
  EXPECT_GE(removed, 20);
}

}  // namespace
}  // namespace switchyard
