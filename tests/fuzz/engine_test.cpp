// A program that verify accepts runs: whatever number or word of it was changed, both engines come to an end without an internal error.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <random>

#include "program/sequence.h"
#include "program/text.h"
#include "program/verify.h"
#include "simulation/execute.h"
#include "simulation/timing.h"
#include "support/file.h"

namespace switchyard::program {
namespace {

struct Span {
  std::size_t begin = 0, end = 0;
};

/// Numbers and words after the line that names the chip.
std::vector<Span> pieces(const std::string& text, bool numbers) {
  std::vector<Span> result;
  for (std::size_t at = text.find("\nbuffer"); at < text.size();) {
    if (text[at] == '#') {
      at = std::min(text.find('\n', at), text.size());
      continue;
    }
    const auto in_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
    if (!in_word(text[at])) {
      ++at;
      continue;
    }
    std::size_t end = at;
    while (end < text.size() && in_word(text[end])) ++end;
    if ((std::isdigit(static_cast<unsigned char>(text[at])) != 0) == numbers) result.push_back({at, end});
    at = end;
  }
  return result;
}

/// Changes one or two numbers, or puts one word in the place of another.
std::string change(std::string text, std::uint32_t seed) {
  std::mt19937 random(seed);
  for (std::uint32_t n = 1 + random() % 2; n > 0; --n) {
    const bool number = random() % 4 != 0;
    const std::vector<Span> found = pieces(text, number);
    const Span span = found[random() % found.size()];
    std::string with = number ? text.substr(span.begin, span.end - span.begin) : "";
    if (number) {
      const std::int64_t value = with.size() < 15 ? std::stoll(with) : 0;
      const std::int64_t values[] = {0, 1, 2, 3, 64, value - 1, value + 1, value * 2, value / 2, -value, std::int64_t{1} << 40};
      with = std::to_string(values[random() % std::size(values)]);
    } else {
      const Span other = found[random() % found.size()];
      with = text.substr(other.begin, other.end - other.begin);
    }
    text.replace(span.begin, span.end - span.begin, with);
  }
  return text;
}

bool small(const Program& program) {
  double firings = 0, bytes = 0, points = 0;
  for (const Buffer& b : program.buffers) bytes += static_cast<double>(b.bytes);
  for (const Context& context : program.contexts) {
    for (const Actor& actor : context.actors) {
      double count = 1;
      for (const std::int64_t extent : context.arrays[actor.array.index()].shape) count *= static_cast<double>(extent);
      for (const Loop& loop : actor.loops) count *= static_cast<double>(loop.trip);
      firings += count;
      for (const Statement& s : actor.statements) {
        double each = 1;
        for (const int dim : s.dims) each *= static_cast<double>(actor.dims[static_cast<std::size_t>(dim)].tile);
        points += count * each;
      }
    }
  }
  return firings < 2e5 && bytes < 64e6 && points < 3e8;
}

TEST(Engines, RunWhatVerifyAccepts) {
  std::vector<std::string> paths;
  for (const char* folder : {"/examples/programs", "/tests/fuzz/programs"})
    for (const auto& entry : std::filesystem::directory_iterator(std::string(SWITCHYARD_SOURCE_DIR) + folder))
      if (entry.path().extension() == ".syp") paths.push_back(entry.path().string());
  std::sort(paths.begin(), paths.end());
  int accepted = 0;
  for (const std::string& path : paths) {
    const Result<std::string> text = read_file(path);
    ASSERT_TRUE(text.ok());
    const bool large = path.find("/examples/") != std::string::npos;
    for (std::uint32_t seed = 0; seed < (large ? 150u : 1500u); ++seed) {
      SCOPED_TRACE(path + " seed " + std::to_string(seed));
      const std::string changed = change(text.value(), seed);
      const Result<Program> read = parse(changed, "fuzz.syp");
      if (!read || !verify(read.value()).ok() || !small(read.value())) continue;
      ++accepted;
      const Program& program = read.value();
      std::vector<numerics::Tensor> inputs;
      for (const Buffer& b : program.buffers)
        if (b.role == BufferRole::input) {
          inputs.resize(std::max(inputs.size(), static_cast<std::size_t>(b.index) + 1));
          inputs[static_cast<std::size_t>(b.index)] = numerics::seeded_uniform(seed, b.format, b.shape, 100);
        }
      try {
        const auto timed = simulation::time_program(program);
        EXPECT_TRUE(timed.ok() || timed.failure().kind == FailureKind::unsupported) << format_failure(timed.failure()) << changed;
        const auto run = simulation::execute(program, inputs, {1, {}});
        EXPECT_TRUE(run.ok() || run.failure().kind == FailureKind::unsupported ||
                    run.failure().diagnostics.at(0).code == "simulation/shape-only")
            << format_failure(run.failure()) << changed;
      } catch (const std::exception& error) {
        ADD_FAILURE() << error.what() << "\n" << changed;
      }
      if (testing::Test::HasFailure()) return;
    }
  }
  EXPECT_GT(accepted, 300);
}

}  // namespace
}  // namespace switchyard::program
