#include "cli/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "chip/query.h"
#include "chip/read.h"
#include "compiler/formats.h"
#include "simulation/timing.h"

namespace switchyard::cli {

Result<std::shared_ptr<const chip::Chip>> find_server(const Options& options, const std::string& chip, bool overrides) {
  for (const std::string& name : chip::list_chips(options.chip_paths)) {
    const auto found = chip::load_chip(name, options.chip_paths);
    if (!found || !found.value().collectives || !chip::serves(*found.value().collectives, chip)) continue;
    if (overrides) return load_chip(options, name);
    return std::shared_ptr<const chip::Chip>(std::make_shared<chip::Chip>(found.value()));
  }
  return std::shared_ptr<const chip::Chip>();
}

Result<Picoseconds> exchange_time(const std::shared_ptr<const chip::Chip>& server, const compiler::Collective& work,
                                  std::string_view library) {
  SY_TRY(const auto ways, compiler::compile_collective(server, work, library));
  simulation::TimingOptions how;
  // Messages are large, and few meet: some pieces of each suffice to see them share a link.
  how.chunk = std::max<std::int64_t>(how.chunk, work.bytes / 256);
  std::optional<Picoseconds> best;
  for (const compiler::CollectiveProgram& way : ways) {
    SY_TRY(const auto timing, simulation::time_program(way.program, how));
    const Picoseconds time = timing.latency + way.start;
    if (!best || time < *best) best = time;
  }
  return *best;
}

Status check_memory(const model::LoadedModel& model, const chip::Chip& chip, numerics::Format precision) {
  if (!model.language) return Done{};
  const model::llm::Config& config = model.language->config;
  const model::llm::Step& step = model.language->step;
  if (step.weights) {
    const auto stored = *step.weights == numerics::Format::int4 ? numerics::Format::uint8 : *step.weights;
    if (!compiler::stores(chip, stored))
      return fail(FailureKind::unsupported, "compile/unsupported-format",
                  fmt::format("{} does not store {}, which --weights {} needs", chip.name, numerics::format_name(stored),
                              numerics::format_name(*step.weights)),
                  "choose another format: int8, int4 or fp8");
  }
  const chip::UsableRange usable = chip::usable_range(chip.memories[chip::off_chip_memory(chip).index()]);
  const auto capacity = static_cast<double>(usable.end - usable.begin);
  const model::llm::Memory needed = model::llm::memory(config, step, precision);
  if (needed.total() <= capacity) return Done{};
  Infeasible infeasible;
  infeasible.resource = fmt::format("memory '{}' of {}", chip.memories[chip::off_chip_memory(chip).index()].name, chip.name);
  infeasible.demand = needed.total();
  infeasible.capacity = capacity;
  infeasible.unit = "bytes";
  infeasible.terms = {{"weights", needed.weights}, {"keys and values", needed.cache}, {"activations", needed.activations}};
  const auto try_lever = [&](const std::string& lever, auto change) {
    model::llm::Step other = step;
    change(other);
    if (!model::llm::check_step(config, other)) return;
    const double then = model::llm::memory(config, other, precision).total();
    if (then < needed.total())
      infeasible.levers.push_back(
          fmt::format("{}: {:.4g} GB{}", lever, then * 1e-9, then <= capacity ? "" : ", which is not enough alone"));
  };
  if (!step.weights) {
    try_lever("--weights int8", [](auto& s) { s.weights = numerics::Format::int8; });
    try_lever("--weights int4", [](auto& s) { s.weights = numerics::Format::int4; });
  }
  for (std::int64_t n = 2 * step.parallel; n <= 64 * step.parallel; n *= 2) {
    const std::size_t before = infeasible.levers.size();
    model::llm::Step other = step;
    other.parallel = n;
    const bool enough = model::llm::check_step(config, other).ok() && model::llm::memory(config, other, precision).total() <= capacity;
    if (enough) try_lever(fmt::format("--tensor-parallel {}", n), [n](auto& s) { s.parallel = n; });
    if (infeasible.levers.size() > before) break;
  }
  if (step.batch > 1) try_lever("--batch 1", [](auto& s) { s.batch = 1; });
  Failure failure = fail(FailureKind::unsupported, "compile/does-not-fit",
                         fmt::format("the model takes {:.4g} GB, and {} has {:.4g} GB", needed.total() * 1e-9, chip.name, capacity * 1e-9));
  failure.infeasible.push_back(std::move(infeasible));
  return failure;
}

Status add_exchanges(const Options& options, const model::LoadedModel& model, numerics::Format precision, program::Program& program) {
  if (!model.language || model.language->exchanges.empty()) return Done{};
  const std::int64_t devices = model.language->step.parallel;
  SY_TRY(const auto server, find_server(options, program.chip->name, false));
  if (!server)
    return fail(FailureKind::unsupported, "llm/server", fmt::format("no file describes a server of '{}'", program.chip->name),
                "chips/systems/ has those that are known; `of` in their 'collectives' names the chip");
  if (const auto there = chip::instance_count(server->components[server->collectives->over.index()]); devices > there)
    return fail(FailureKind::unsupported, "llm/server",
                fmt::format("--tensor-parallel {} needs more devices than the {} of '{}'", devices, there, server->name));
  std::map<std::pair<bool, std::int64_t>, Picoseconds> known;
  std::map<std::string, Picoseconds> times;
  for (const model::llm::Exchange& exchange : model.language->exchanges) {
    const auto [found, fresh] = known.try_emplace({exchange.reduces, exchange.elements});
    if (fresh) {
      compiler::Collective work;
      work.exchange = exchange.reduces ? compiler::Exchange::all_reduce : compiler::Exchange::all_gather;
      work.format = precision;
      work.bytes = exchange.elements * numerics::format_bytes(precision);
      work.devices = devices;
      SY_TRY(found->second, exchange_time(server, work));
    }
    times[exchange.op] = found->second;
  }
  std::size_t placed = 0;
  for (program::Context& context : program.contexts)
    for (const std::string& op : context.ops)
      if (const auto found = times.find(op); found != times.end()) {
        context.exchange += found->second;
        times.erase(found);
        ++placed;
      }
  // What has become part of another operator (a sum over one expert) is exchanged at the end: it takes as long there.
  for (const auto& [op, time] : times) program.contexts.back().exchange += time, ++placed;
  program.labels.notes.push_back(fmt::format("one of {} devices of {}, with {} exchanges between them", devices, server->name, placed));
  return Done{};
}

}  // namespace switchyard::cli
