#include "cli/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "chip/query.h"
#include "chip/read.h"
#include "compiler/formats.h"
#include "numerics/packing.h"
#include "simulation/timing.h"

namespace switchyard::cli {
namespace {

constexpr double kWorthAsking = 0.1;  ///< share of exchanges from which one device alone is timed, too

std::int64_t devices_of(const chip::Chip& server) { return chip::instance_count(server.components[server.collectives->over.index()]); }

}  // namespace

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

namespace {

Failure refused_precision(const chip::Chip& chip, numerics::Format precision) {
  std::string others;
  for (const numerics::Format format : {numerics::Format::bf16, numerics::Format::fp16, numerics::Format::fp32})
    if (chip::best_contract_rate(chip, format) > 0)
      others += fmt::format("{}--precision {}", others.empty() ? "" : " or ", numerics::format_name(format));
  return fail(FailureKind::unsupported, "compile/unsupported-format",
              fmt::format("no unit of {} multiplies {}", chip.name, numerics::format_name(precision)), others);
}

Failure refused_weights(const chip::Chip& chip, numerics::Format precision, numerics::Format weights) {
  std::string others;
  for (const numerics::Format format : {numerics::Format::int8, numerics::Format::int4, numerics::Format::fp8_e4m3})
    if (compiler::takes_weights(chip, precision, format))
      others +=
          fmt::format("{}{}", others.empty() ? "" : ", ", format == numerics::Format::fp8_e4m3 ? "fp8" : numerics::format_name(format));
  return fail(FailureKind::unsupported, "compile/unsupported-format",
              fmt::format("no unit of {} multiplies {} by weights in {}", chip.name, numerics::format_name(precision),
                          numerics::format_name(weights)),
              others.empty() ? "leave --weights out" : "it does by weights in " + others);
}

}  // namespace

namespace {

/// The server that so many devices of one step need; null for one device.
Result<std::shared_ptr<const chip::Chip>> server_of(const Options& options, const std::string& chip, std::int64_t devices) {
  if (devices <= 1) return std::shared_ptr<const chip::Chip>();
  SY_TRY(auto server, find_server(options, chip, false));
  if (!server)
    return fail(FailureKind::unsupported, "llm/server", fmt::format("no file describes a server of '{}'", chip),
                "chips/systems/ has those that are known; `of` in their 'collectives' names the chip");
  if (const auto there = devices_of(*server); devices > there)
    return fail(FailureKind::unsupported, "llm/server",
                fmt::format("--tensor-parallel {} needs more devices than the {} of '{}'", devices, there, server->name),
                fmt::format("--tensor-parallel {} is the most", there));
  return server;
}

double capacity_of(const chip::Chip& chip) {
  const chip::UsableRange usable = chip::usable_range(chip.memories[chip::off_chip_memory(chip).index()]);
  return static_cast<double>(usable.end - usable.begin);
}

/// What would make a step fit, each with what it takes then; those that suffice first.
std::vector<std::string> levers_of(const Options& options, const model::LoadedModel::Language& language, const chip::Chip& chip,
                                   numerics::Format precision) {
  const model::llm::Step& step = language.step;
  const double capacity = capacity_of(chip), needed = model::llm::memory(language.config, step, precision).total();
  const auto takes = [&](const model::llm::Step& other) {
    return model::llm::check_step(language.config, other) ? model::llm::memory(language.config, other, precision).total() : needed;
  };
  std::vector<std::string> enough, helpful;
  const auto offer = [&](const std::string& lever, const model::llm::Step& other) {
    const double then = takes(other);
    if (then >= needed) return;
    if (then <= capacity)
      enough.push_back(fmt::format("{}: {:.4g} GB", lever, then * 1e-9));
    else
      helpful.push_back(fmt::format("{}: {:.4g} GB, which is not enough alone", lever, then * 1e-9));
  };
  for (const numerics::Format format : {numerics::Format::int8, numerics::Format::int4}) {
    const bool fewer = numerics::stored_bits(format) < numerics::stored_bits(step.weights.value_or(precision));
    if (!fewer || !compiler::takes_weights(chip, precision, format)) continue;
    model::llm::Step other = step;
    other.weights = format;
    offer(fmt::format("--weights {}", numerics::format_name(format)), other);
  }
  const auto server = find_server(options, chip.name, false);
  const std::int64_t most_devices = server && server.value() ? devices_of(*server.value()) : 1;
  for (std::int64_t n = 2 * step.parallel; n <= most_devices; n *= 2) {
    model::llm::Step other = step;
    other.parallel = n;
    if (takes(other) > capacity && 2 * n <= most_devices) continue;
    offer(fmt::format("--tensor-parallel {}", n), other);
    break;
  }
  if (step.batch > 1) {
    model::llm::Step other = step;
    while (other.batch > 1 && takes(other) > capacity) other.batch /= 2;
    offer(fmt::format("--batch {}", other.batch), other);
  }
  model::llm::Step shorter = step;
  while (shorter.context > 1 && takes(shorter) > capacity) {
    shorter.context /= 2;
    if (step.tokens > 1) shorter.tokens = shorter.context;
  }
  if (takes(shorter) <= capacity) offer(fmt::format("{} {}", step.tokens > 1 ? "--prompt" : "--context-length", shorter.context), shorter);
  // What no one thing mends two may.
  if (enough.empty())
    for (const numerics::Format format : {numerics::Format::int8, numerics::Format::int4})
      for (std::int64_t n = 2 * step.parallel; n <= most_devices && enough.empty(); n *= 2) {
        model::llm::Step both = step;
        both.weights = format;
        both.parallel = n;
        if (numerics::stored_bits(format) >= numerics::stored_bits(step.weights.value_or(precision)) || takes(both) > capacity ||
            !compiler::takes_weights(chip, precision, format))
          continue;
        offer(fmt::format("--weights {} --tensor-parallel {}", numerics::format_name(format), n), both);
      }
  enough.insert(enough.end(), helpful.begin(), helpful.end());
  return enough;
}

}  // namespace

Status check_memory(const Options& options, const model::LoadedModel& model, const chip::Chip& chip, numerics::Format precision) {
  if (!model.language) return Done{};
  const model::llm::Config& config = model.language->config;
  const model::llm::Step& step = model.language->step;
  if (chip::best_contract_rate(chip, precision) <= 0) return refused_precision(chip, precision);
  if (step.weights && !compiler::takes_weights(chip, precision, *step.weights)) return refused_weights(chip, precision, *step.weights);
  if (const auto server = server_of(options, chip.name, step.parallel); !server) return server.failure();
  const double capacity = capacity_of(chip);
  const model::llm::Memory needed = model::llm::memory(config, step, precision);
  if (needed.total() <= capacity) return Done{};
  Infeasible infeasible;
  infeasible.resource = fmt::format("memory '{}' of {}", chip.memories[chip::off_chip_memory(chip).index()].name, chip.name);
  infeasible.demand = needed.total();
  infeasible.capacity = capacity;
  infeasible.unit = "bytes";
  infeasible.terms = {{"weights", needed.weights}, {"keys and values", needed.cache}, {"activations", needed.activations}};
  infeasible.levers = levers_of(options, *model.language, chip, precision);
  Failure failure = fail(FailureKind::unsupported, "compile/does-not-fit",
                         fmt::format("the model takes {:.4g} GB, and {} has {:.4g} GB", needed.total() * 1e-9, chip.name, capacity * 1e-9));
  failure.infeasible.push_back(std::move(infeasible));
  return failure;
}

Status add_exchanges(const Options& options, const model::LoadedModel& model, numerics::Format precision, std::optional<Picoseconds> alone,
                     const TimeOneDevice& one_device, program::Program& program) {
  if (!model.language || model.language->exchanges.empty()) return Done{};
  const std::int64_t devices = model.language->step.parallel;
  SY_TRY(const auto server, server_of(options, program.chip->name, devices));
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
  Picoseconds all{0};
  for (const auto& [op, time] : times) all += time;
  const std::size_t count = times.size();
  for (program::Context& context : program.contexts)
    for (const std::string& op : context.ops)
      if (const auto found = times.find(op); found != times.end()) {
        context.exchange += found->second;
        times.erase(found);
      }
  // What has become part of another operator (a sum over one expert) is exchanged at the end: it takes as long there.
  for (const auto& [op, time] : times) program.contexts.back().exchange += time;
  const auto ms = [](Picoseconds t) { return static_cast<double>(t.value) * 1e-9; };
  std::string note =
      fmt::format("one of {} devices of {}, with {} exchanges between them that take {:.3g} ms", devices, server->name, count, ms(all));
  if (alone) {
    const Picoseconds together = *alone + all;
    const double share = ms(all) / ms(together);
    note += fmt::format(", {:.0f} % of the time", share * 100);
    // Sharing can only lose where exchanges take what it saves: one device never takes more than all of them one after the other.
    model::llm::Step single = model.language->step;
    single.parallel = 1;
    if (share > kWorthAsking && model::llm::memory(model.language->config, single, precision).total() <= capacity_of(*program.chip))
      if (const auto one = one_device(single))
        note += one->value < together.value ? fmt::format("; one device alone is faster: {:.3g} ms", ms(*one))
                                            : fmt::format("; one device alone takes {:.3g} ms", ms(*one));
  }
  program.labels.notes.push_back(std::move(note));
  return Done{};
}

}  // namespace switchyard::cli
