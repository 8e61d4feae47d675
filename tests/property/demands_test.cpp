// What `explain` says that a context asks of a unit is no more than the time it had: of pipelines, too, whose stages have components of
// their own.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "compiler/compiler.h"
#include "compiler/mapping_file.h"
#include "model/model.h"
#include "property/library_chip.h"
#include "report/explain.h"
#include "report/run.h"
#include "simulation/timing.h"

namespace switchyard {
namespace {

TEST(Demands, OfUnitsFitTheTime) {
  const char* pipelines =
      "contexts: [[conv1, maxpool], [layer2.0.conv1, layer2.0.downsample.0, layer2.0.conv2]]\n"
      "mappings:\n"
      "  - {kernel: conv1, split: {oh: 4}, tile: {oh: 4}, order: [oh], stream: oh, components: [0, 1, 2, 3]}\n"
      "  - {kernel: maxpool, split: {c: 4}, tile: {oh: 2}, order: [oh], stream: oh, components: [7, 6, 5, 4]}\n"
      "  - {kernel: layer2.0.conv1, split: {oc: 4}, tile: {oh: 2}, order: [oh], stream: oh, components: [0, 1, 4, 5]}\n"
      "  - {kernel: layer2.0.downsample.0, split: {oc: 2}, tile: {oh: 2}, order: [oh], stream: oh, components: [2, 3]}\n"
      "  - {kernel: layer2.0.conv2, split: {oc: 8}, tile: {oh: 2}, order: [oh], stream: oh, components: [8, 9, 10, 11, 12, 13, 14, 15]}\n";
  struct Work {
    const char *model, *chip, *mapping;
    std::map<std::string, std::int64_t> sizes;
  };
  for (const Work& work : {Work{"resnet18", "rpu-4x4", pipelines, {}}, Work{"resnet18", "tx81", nullptr, {}},
                           Work{"bert-base", "tx81", nullptr, {{"layers", 1}}}}) {
    SCOPED_TRACE(fmt::format("{} on {}", work.model, work.chip));
    model::LoadOptions sizes;
    sizes.set = work.sizes;
    compiler::CompileOptions options;
    if (work.mapping)
      options.mappings = std::make_shared<const compiler::MappingFile>(compiler::MappingFile::parse(work.mapping, "pipelines").value());
    const auto compiled = compiler::compile(model::build_zoo_model(work.model, sizes).value(), library_chip(work.chip), options);
    ASSERT_TRUE(compiled.ok()) << format_failure(compiled.failure());
    const auto timed = simulation::time_program(compiled.value().program);
    ASSERT_TRUE(timed.ok());
    const report::Explanation told =
        report::explain(compiled.value(), timed.value(), report::describe_run(compiled.value().program, timed.value()), {});
    int units = 0;
    for (const report::ContextStory& story : told.contexts)
      for (const report::Demand& demand : story.demands) {
        if (demand.cause != simulation::Cause::compute) continue;
        EXPECT_LE(demand.time, story.report.busy) << story.report.name << ": " << demand.resource;
        ++units;
      }
    EXPECT_GT(units, 0);
  }
}

}  // namespace
}  // namespace switchyard
