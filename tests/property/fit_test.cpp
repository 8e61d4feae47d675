// What the search leaves out because it cannot fit: whatever fits, smaller tiles with the same splits may.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

#include "compiler/compiler.h"
#include "compiler/estimate.h"
#include "compiler/layout.h"
#include "model/model.h"
#include "property/library_chip.h"

namespace switchyard {
namespace {

using compiler::Kernel;
using compiler::Mapping;
using compiler::Reach;

class Fits : public ::testing::TestWithParam<const char*> {};

TEST_P(Fits, WithSmallerTilesWhereItDoesWithLarger) {
  const auto chip = library_chip(GetParam());
  const auto described = compiler::describe_machine(*chip);
  ASSERT_TRUE(described.ok());
  const compiler::Machine& machine = described.value();
  std::mt19937_64 random(5);
  const auto pick = [&](std::int64_t low, std::int64_t high) { return std::uniform_int_distribution<std::int64_t>(low, high)(random); };
  int fit = 0, cannot = 0;
  for (const char* name : {"resnet18", "bert-base", "mobilenet-v3"}) {
    model::LoadOptions load;
    if (std::string(name) == "bert-base") load.set = {{"layers", 1}};
    compiler::CompileOptions options;
    options.effort = 0;
    const auto compiled = compiler::compile(model::build_zoo_model(name, load).value(), chip, options);
    ASSERT_TRUE(compiled.ok()) << format_failure(compiled.failure());
    const graph::Graph& g = compiled.value().graph;
    const std::vector<Kernel> kernels = compiler::make_kernels(g);
    const auto layouts = compiler::choose_layouts(g, kernels);
    for (int i = 0; i < 4000; ++i) {
      const Kernel& kernel = kernels[static_cast<std::size_t>(pick(0, static_cast<std::int64_t>(kernels.size()) - 1))];
      const auto units = compiler::unit_choices(machine, g, kernel);
      ASSERT_TRUE(units.ok());
      std::vector<Reach> reach;
      for (std::size_t o = 0; o < kernel.operands.size(); ++o) reach.push_back(static_cast<Reach>(pick(0, 3)));
      const compiler::Evaluator evaluator(machine, g, kernel, layouts, reach, 1024 * pick(0, 64), units.value()[0].unit,
                                          units.value()[0].epilogue);
      Mapping large;
      auto left = static_cast<std::int64_t>(machine.components.size());
      for (std::size_t d = 0; d < kernel.dims.size(); ++d) {
        const compiler::KernelDim& dim = kernel.dims[d];
        large.split.push_back(dim.parallel && pick(0, 1) == 1 ? pick(1, std::min(dim.extent, left)) : 1);
        left /= large.split[d];
        const std::int64_t local = compiler::ceil_div(dim.extent, large.split[d]);
        large.tile.push_back(pick(0, 2) == 0 ? local : pick(1, local));
        large.trips.push_back(compiler::ceil_div(local, large.tile[d]));
        if (large.trips[d] > 1) large.order.push_back(static_cast<int>(d));
      }
      Mapping small = large;
      for (std::size_t d = 0; d < kernel.dims.size(); ++d) {
        if (pick(0, 1) == 0) continue;
        small.tile[d] = pick(0, 1) == 0 ? 1 : pick(1, large.tile[d]);
        small.trips[d] = compiler::ceil_div(compiler::ceil_div(kernel.dims[d].extent, large.split[d]), small.tile[d]);
      }
      const bool may = evaluator.may_fit(small);
      cannot += !may;
      if (!evaluator.evaluate(large)) continue;
      ++fit;
      // Tiles that do not divide what an instance has make it longer.
      bool longer = false;
      for (std::size_t d = 0; d < kernel.dims.size(); ++d)
        longer = longer || small.tile[d] * small.trips[d] > large.tile[d] * large.trips[d];
      if (!longer) {
        EXPECT_TRUE(may) << name << ", " << kernel.name;
      }
    }
  }
  EXPECT_GT(fit, 300);
  EXPECT_GT(cannot, 300);
}

INSTANTIATE_TEST_SUITE_P(Chips, Fits, ::testing::Values("tx81", "rpu-8x8", "sn40l"), [](const auto& each) {
  std::string name = each.param;
  std::erase(name, '-');
  return name;
});

/// Where nothing fits, so much as the diagnostic says is enough.
TEST(Fit, OfWhatIsSaidToBeNeeded) {
  model::LoadOptions load;
  load.set = {{"m", 4096}, {"n", 4096}, {"k", 4096}};
  const graph::Graph product = model::build_zoo_model("gemm", load).value();
  compiler::CompileOptions options;
  options.effort = 0;
  const auto with = [&](std::int64_t bytes) {
    return compiler::compile(product, library_chip("rpu-4x4", {{"/memories/spm/bytes", fmt::format("{} B", bytes)}}), options);
  };
  const auto failed = with(256);
  ASSERT_FALSE(failed.ok());
  ASSERT_EQ(failed.failure().infeasible.size(), 1);
  const auto needed = static_cast<std::int64_t>(failed.failure().infeasible[0].demand);
  EXPECT_TRUE(with(needed).ok()) << needed;
  EXPECT_FALSE(with(needed - 64).ok()) << needed;
}

}  // namespace
}  // namespace switchyard
