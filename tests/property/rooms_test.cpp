// Programs are searched for each room of scratchpads by itself: what a chip with less finds, one with more finds, too, on any number of
// threads.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "compiler/compiler.h"
#include "model/model.h"
#include "program/text.h"
#include "property/library_chip.h"
#include "simulation/timing.h"

namespace switchyard {
namespace {

double seconds_of(const program::Program& p) {
  const auto timed = simulation::time_program(p);
  return timed.ok() ? static_cast<double>(timed.value().latency.value) * 1e-12 : std::numeric_limits<double>::infinity();
}

/// A program for less room need not take the same time where there is more: what comes next may begin sooner, and be in the way (+1.2 %).
constexpr double kSameProgram = 1.02;

struct Found {
  compiler::Compiled compiled;
  std::vector<double> times;  ///< of all programs that were timed: seconds
};

Found find(const graph::Graph& model, const std::string& chip, const std::string& room, int threads) {
  Found found;
  compiler::CompileOptions options;
  options.threads = threads;
  options.dump_mappings = true;
  options.time = [&](const program::Program& p) { return compiler::Timed(found.times.emplace_back(seconds_of(p))); };
  auto compiled = compiler::compile(model, library_chip(chip, {{"/memories/spm/bytes", room}}), options);
  if (!compiled.ok()) throw std::runtime_error(format_failure(compiled.failure()));
  found.compiled = std::move(compiled).value();
  return found;
}

graph::Graph zoo(const char* name, std::map<std::string, std::int64_t> set = {}) {
  model::LoadOptions load;
  load.set = std::move(set);
  return model::build_zoo_model(name, load).value();
}

/// One layer, of a quarter of the sizes that the field has.
graph::Graph small_bert() { return zoo("bert-base", {{"layers", 1}, {"seq", 256}, {"hidden", 256}, {"ffn", 1024}, {"vocab", 512}}); }

TEST(Rooms, OfLessAreFoundWithMore) {
  const graph::Graph model = small_bert();
  double least = std::numeric_limits<double>::infinity(), first = 0;
  for (const char* room : {"256 KiB", "384 KiB", "512 KiB", "1 MiB"}) {
    const double time = seconds_of(find(model, "rpu-4x4", room, 1).compiled.program);
    if (first == 0) first = time;
    EXPECT_LE(time, least * kSameProgram) << room;
    least = std::min(least, time);
  }
  EXPECT_LT(least, 0.95 * first) << "room matters to nothing here";
}

TEST(Rooms, AreSearchedAlikeOnAnyNumberOfThreads) {
  const graph::Graph model = small_bert();
  const Found one = find(model, "rpu-4x4", "512 KiB", 1), four = find(model, "rpu-4x4", "512 KiB", 4);
  EXPECT_NE(one.compiled.mappings.find("scratchpads of"), std::string::npos) << "it is made for all the room that there is";
  EXPECT_EQ(one.compiled.mappings, four.compiled.mappings);
  EXPECT_EQ(program::print(one.compiled.program), program::print(four.compiled.program));
}

/// Which call the compiler says was for the finished program: its caller reports what it has kept of that one. Of few kernels, and of many
/// in few contexts.
TEST(Rooms, SayWhichTimeIsThatOfTheProgram) {
  for (const graph::Graph& model : {small_bert(), zoo("mobilenet-v3")}) {
    const Found found = find(model, "rpu-4x4", "1 MiB", 2);
    ASSERT_TRUE(found.compiled.timed.has_value());
    ASSERT_LT(*found.compiled.timed, found.times.size());
    EXPECT_EQ(found.times[*found.compiled.timed], seconds_of(found.compiled.program));
  }
}

}  // namespace
}  // namespace switchyard
