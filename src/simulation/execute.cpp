#include "simulation/execute.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <utility>

#include "simulation/functional/buffers.h"
#include "simulation/functional/group.h"
#include "simulation/functional/plan.h"
#include "support/check.h"
#include "support/parallel.h"

namespace switchyard::simulation {

namespace {

using functional::BufferStore;
using functional::ContextPlan;
using functional::Worker;

/// Runs the groups of a context: each on one thread, or, where there are fewer than threads, each on all of them.
Status run_context(const program::Program& program, const ContextPlan& plan, BufferStore& buffers, std::vector<Worker>& workers) {
  const std::size_t groups = plan.groups();
  std::vector<Worker*> all;
  for (Worker& worker : workers) all.push_back(&worker);
  if (groups < workers.size()) {
    for (std::size_t g = 0; g < groups; ++g) {
      if (auto stuck = functional::run_group(program, plan, g, buffers, all)) return fail(FailureKind::malformed, std::move(*stuck));
    }
    return Done{};
  }
  struct Stuck {
    std::size_t group = 0;
    std::optional<Diagnostic> diagnostic;
  };
  std::vector<Stuck> stuck(workers.size());
  std::atomic<std::size_t> next{0};
  parallel_for(static_cast<int>(workers.size()), workers.size(), [&](std::size_t w) {
    for (std::size_t g = next++; g < groups; g = next++) {
      auto diagnostic = functional::run_group(program, plan, g, buffers, {all[w]});
      if (!diagnostic) continue;
      stuck[w] = {g, std::move(diagnostic)};
      return;
    }
  });
  // Groups are taken in order, so the least stuck group is found whoever ran it.
  Stuck* first = nullptr;
  for (Stuck& s : stuck) {
    if (s.diagnostic && (first == nullptr || s.group < first->group)) first = &s;
  }
  if (first != nullptr) return fail(FailureKind::malformed, std::move(*first->diagnostic));
  return Done{};
}

}  // namespace

namespace {

Status run_host(const program::Program& program, const program::Context& context, BufferStore& buffers) {
  const program::HostStep& step = *context.host;
  std::vector<numerics::Tensor> inputs;
  for (const program::BufferId id : step.reads) inputs.push_back(buffers.read(id));
  std::vector<numerics::HostResult> results;
  for (const program::BufferId id : step.writes) results.push_back({program.buffers[id.index()].format, program.buffers[id.index()].shape});
  auto outputs = numerics::call_host(step.call, inputs, results);
  if (!outputs) {
    Failure failure = outputs.failure();
    for (Diagnostic& d : failure.diagnostics) d.pointer = context.name;
    return failure;
  }
  for (std::size_t i = 0; i < results.size(); ++i) buffers.write(step.writes[i], std::move(outputs.value()[i]));
  return Done{};
}

}  // namespace

Result<Execution> execute(const program::Program& program, const std::vector<numerics::Tensor>& inputs, const ExecuteOptions& options) {
  if (!program.chip->formats.subnormals) {
    return fail(FailureKind::unsupported, "simulation/unsupported",
                fmt::format("{} flushes subnormal numbers to zero, which the functional engine does not model", program.chip->name),
                "--no-values times it");
  }
  SY_TRY(BufferStore buffers, BufferStore::open(program, inputs));
  std::vector<Worker> workers(static_cast<std::size_t>(options.threads > 0 ? options.threads : hardware_threads()));
  const BufferReader reader([&](program::BufferId buffer) { return buffers.read(buffer); },
                            [&](program::BufferId buffer) { return buffers.copies_differ(buffer); });
  for (std::size_t c = 0; c < program.contexts.size(); ++c) {
    if (program.contexts[c].host) {
      buffers.begin_context(c);
      if (Status status = run_host(program, program.contexts[c], buffers); !status) return status.failure();
      if (options.after_context) options.after_context(program::ContextId(c), reader);
      buffers.end_context(c);
      continue;
    }
    SY_TRY(const ContextPlan plan, functional::plan_context(program, program.contexts[c]));
    buffers.begin_context(c);
    if (Status status = run_context(program, plan, buffers, workers); !status) return status.failure();
    if (options.after_context) options.after_context(program::ContextId(c), reader);
    buffers.end_context(c);
  }
  Execution execution;
  for (std::size_t b = 0; b < program.buffers.size(); ++b) {
    const program::Buffer& buffer = program.buffers[b];
    if (buffer.role != program::BufferRole::output) continue;
    SY_CHECK(buffer.index >= 0, "an output without a number");
    const auto number = static_cast<std::size_t>(buffer.index);
    execution.outputs.resize(std::max(execution.outputs.size(), number + 1));
    execution.outputs[number] = buffers.take_output(program::BufferId(b));
  }
  return execution;
}

}  // namespace switchyard::simulation
