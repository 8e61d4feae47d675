#include "report/run.h"

#include <fmt/format.h>

#include <algorithm>

#include "chip/query.h"
#include "program/grid.h"
#include "report/occupancy.h"
#include "report/table_parts.h"
#include "report/text.h"
#include "support/sha256.h"

namespace switchyard::report {
namespace {

double ratio(double used, double available) { return available > 0 ? used / available : 0; }

/// Best lane operations per second of any unit of the chip for maps in this format.
double best_map_rate(const chip::Chip& chip, numerics::Format format) {
  double best = 0;
  for (const chip::UnitId unit : chip::units_for(chip, chip::OpClass::map, format)) {
    const chip::Unit& u = chip.units[unit.index()];
    best = std::max(best, chip::chip_rate(chip, unit, *chip::find_rate(u, chip::OpClass::map, format)));
  }
  return best;
}

/// What the chip could do at best in the fastest formats in which a context multiplies and maps, per second.
struct Peaks {
  double contract = 0, map = 0;
};

Peaks peaks_of(const chip::Chip& chip, const program::Context& context) {
  Peaks peaks;
  const auto best = [](const program::Actor& actor, const program::Statement& s, const auto& rate) {
    const auto format_of = [&](int slot) {
      const auto i = static_cast<std::size_t>(slot), ports = actor.ports.size();
      return i < ports ? actor.ports[i].token.format : actor.states[i - ports].token.format;
    };
    for (const numerics::Access& read : s.reads)
      if (const double found = rate(format_of(read.slot)); found > 0) return found;
    return rate(format_of(s.write.slot));
  };
  for (const program::Actor& actor : context.actors)
    for (const program::Statement& s : actor.statements) {
      if (actor.kind != program::ActorKind::compute) continue;
      if (s.is_contraction()) {
        peaks.contract = std::max(peaks.contract, best(actor, s, [&](numerics::Format f) { return chip::best_contract_rate(chip, f); }));
      } else {
        peaks.map = std::max(peaks.map, best(actor, s, [&](numerics::Format f) { return best_map_rate(chip, f); }));
      }
    }
  return peaks;
}

Utilization utilization_of(const program::Program& program, const simulation::Timing& timing) {
  const chip::Chip& chip = *program.chip;
  const double seconds = static_cast<double>(timing.latency.value) * 1e-12;
  Utilization result;
  for (std::size_t c = 0; c < program.contexts.size(); ++c) {
    const Peaks peaks = peaks_of(chip, program.contexts[c]);
    result.matrix += ratio(static_cast<double>(timing.contexts[c].macs), peaks.contract * seconds);
    result.vector += ratio(static_cast<double>(timing.contexts[c].vector_ops), peaks.map * seconds);
  }
  const chip::Memory& memory = chip.memories[chip::off_chip_memory(chip).index()];
  const auto instances = static_cast<double>(chip::working_instances(chip.components[memory.in.index()]).size());
  const double rate = chip::sustained_bandwidth(memory).value * instances;
  result.offchip = ratio(static_cast<double>(timing.offchip_read + timing.offchip_written), rate * seconds);
  result.network = timing.link_busy_share;
  std::vector<bool> multiplies(chip.units.size(), false);
  for (const program::Context& context : program.contexts)
    for (const program::Actor& actor : context.actors)
      if (actor.kind == program::ActorKind::compute &&
          std::any_of(actor.statements.begin(), actor.statements.end(), [](const program::Statement& s) { return s.is_contraction(); }))
        multiplies[actor.unit.index()] = true;
  result.on_lanes = true;
  for (std::size_t u = 0; u < chip.units.size(); ++u) {
    if (!multiplies[u]) continue;
    result.multiplied_on.push_back(chip.units[u].name);
    if (chip.units[u].kind == chip::UnitKind::matrix) result.on_lanes = false;
  }
  result.on_lanes = result.on_lanes && !result.multiplied_on.empty();
  return result;
}

/// Constants over the link to the host, once.
std::optional<Picoseconds> load_time(const program::Program& program) {
  const chip::Network* host = chip::host_link(*program.chip);
  if (host == nullptr) return std::nullopt;
  std::int64_t bytes = 0;
  for (const program::Buffer& buffer : program.buffers) {
    if (buffer.role == program::BufferRole::constant) bytes += buffer.bytes;
  }
  if (bytes == 0) return Picoseconds(0);
  return time_to_move(Bytes(bytes), BytesPerSecond(host->link.value)) + from_seconds(host->hop.value);
}

}  // namespace

std::optional<double> ContextReport::intensity() const {
  const std::int64_t bytes = offchip_read + offchip_written;
  if (bytes <= 0) return std::nullopt;
  return (2.0 * static_cast<double>(macs) + static_cast<double>(vector_ops)) / static_cast<double>(bytes);
}

double ContextReport::gap() const {
  return busy_bound.value > 0 ? static_cast<double>(busy.value) / static_cast<double>(busy_bound.value) : 0;
}

double RunReport::gap() const {
  return lower_bound.value > 0 ? static_cast<double>(latency.value) / static_cast<double>(lower_bound.value) : 1;
}

double RunReport::throughput_per_s() const {
  return latency.value > 0 ? static_cast<double>(batch) * 1e12 / static_cast<double>(latency.value) : 0;
}

std::int64_t peak_offchip_bytes(const program::Program& program) {
  const std::size_t contexts = program.contexts.size();
  if (contexts == 0) return 0;
  struct Life {
    std::size_t first, last;
    bool used;
  };
  std::vector<Life> lives(program.buffers.size(), Life{contexts, 0, false});
  for (std::size_t c = 0; c < contexts; ++c) {
    for_each_use(program.contexts[c], [&](program::BufferId buffer) {
      Life& life = lives[buffer.index()];
      life = {std::min(life.first, c), std::max(life.last, c), true};
    });
  }
  std::vector<std::int64_t> alive(contexts, 0);
  for (std::size_t b = 0; b < lives.size(); ++b) {
    const program::Buffer& buffer = program.buffers[b];
    Life life = lives[b];
    if (buffer.lifetime == program::Lifetime::persistent) {
      life = {0, contexts - 1, true};
    } else if (buffer.role == program::BufferRole::input) {
      life = {0, life.last, true};  // the host writes it before the first context
    } else if (buffer.role == program::BufferRole::output) {
      life.last = contexts - 1;  // the host reads it after the last
    }
    if (!life.used || buffer.spread || buffer.lifetime == program::Lifetime::kernel) continue;  // what is spread lies in scratchpads
    for (std::size_t c = life.first; c <= life.last && c < contexts; ++c) alive[c] += buffer.bytes;
  }
  return *std::max_element(alive.begin(), alive.end());
}

std::int64_t peak_scratchpad_bytes(const program::Program& program) {
  std::int64_t peak = 0;
  visit_occupancy(program, [&](chip::MemoryId, std::size_t, std::span<const std::int64_t> bytes) {
    peak = std::max(peak, *std::max_element(bytes.begin(), bytes.end()));
  });
  return peak;
}

/// When the context before has ended and the host has launched this one. From here to the end of each, contexts tile the time.
Picoseconds due_time(const program::Program& program, const simulation::Timing& timing, std::size_t c) {
  const Picoseconds launch = from_seconds(program::launch_seconds(*program.chip));
  if (c == 0) return launch;
  const bool launched = program.chip->sequencer.launch_per_context && !program.contexts[c].continues;
  return timing.contexts[c - 1].end + (launched ? launch : Picoseconds(0));
}

/// Seconds of off-chip memory for what had to cross the chip's edge, by the context that was busy when it did. Of a context that moves more
/// bytes than it must, each counts for so much less.
std::vector<double> compulsory_seconds(const program::Program& program, const simulation::Timing& timing) {
  const chip::Memory& memory = program.chip->memories[chip::off_chip_memory(*program.chip).index()];
  const double rate = chip::sustained_bandwidth(memory).value;
  std::vector<double> seconds(program.contexts.size(), 0);
  for (std::size_t c = 0; c < program.contexts.size() && rate > 0; ++c) {
    const simulation::ContextTiming& t = timing.contexts[c];
    const auto moved = static_cast<double>(t.offchip_read + t.offchip_written);
    if (moved <= 0) continue;
    const double each = std::min(1.0, static_cast<double>(program.contexts[c].compulsory) / moved) / rate;
    double own = moved;
    for (const simulation::ContextTiming::Ahead& ahead : t.ahead) {
      seconds[c - ahead.contexts] += static_cast<double>(ahead.bytes) * each;
      own -= static_cast<double>(ahead.bytes);
    }
    seconds[c] += own * each;
  }
  return seconds;
}

/// What a context did while it was busy takes at least its work on units, or the time of the memory, which `served` no more than it did.
/// One that had none of its bytes before also takes what it takes by itself.
Picoseconds bound_of(const program::Context& context, const simulation::ContextTiming& timing, double seconds) {
  const auto moved = Picoseconds(static_cast<std::int64_t>(seconds * 1e12 * (1 - 1e-12)));
  const Picoseconds bound = std::max(context.work, std::min(moved, timing.served));
  return timing.ahead.empty() ? std::max(bound, context.bound) : bound;
}

RunReport describe_run(const program::Program& program, const simulation::Timing& timing) {
  RunReport r;
  const program::Labels& labels = program.labels;
  r.model = {labels.model, labels.model_sha256, labels.ops, labels.macs, labels.parameters};
  if (labels.model.empty()) r.model.name = "a program without labels";
  if (labels.macs == 0) r.model.macs = timing.macs;  // what it executes
  r.chip = {program.chip->name, sha256_hex(program.chip->text), program.chip->title};
  r.precision = labels.precision;
  r.batch = std::max<std::int64_t>(1, labels.batch);
  r.latency = timing.latency;
  r.lower_bound = labels.lower_bound;
  r.peak_bound = labels.peak_bound;
  r.launch = timing.launch;
  r.attribution = timing.attribution;
  r.utilization = utilization_of(program, timing);
  r.offchip_read = timing.offchip_read;
  r.offchip_written = timing.offchip_written;
  r.offchip_constants = timing.offchip_constants;
  r.network_bytes = timing.network_bytes;
  r.link_bytes = timing.link_bytes;
  r.host = timing.host;
  r.host_ops =
      std::count_if(program.contexts.begin(), program.contexts.end(), [](const program::Context& c) { return c.host.has_value(); });
  SY_CHECK(timing.contexts.size() == program.contexts.size(), "one timing per context");
  const std::vector<double> moved = compulsory_seconds(program, timing);
  for (std::size_t c = 0; c < program.contexts.size(); ++c) {
    const program::Context& context = program.contexts[c];
    const simulation::ContextTiming& t = timing.contexts[c];
    Picoseconds early{0};
    if (c > 0) early = std::min(t.span, std::max(early, timing.contexts[c - 1].end - t.start));
    const Picoseconds busy = std::max(Picoseconds(0), t.end - due_time(program, timing, c));
    r.contexts.push_back({context.name, context.ops, 1, t.span, t.share, context.bound, t.attribution, early, busy,
                          bound_of(context, t, moved[c]), t.macs, t.vector_ops, t.offchip_read, t.offchip_written});
  }
  r.memory_offchip = peak_offchip_bytes(program);
  r.memory_scratchpad = peak_scratchpad_bytes(program);
  r.assumptions = assumptions_of(program, timing.attribution);
  r.load = load_time(program);
  r.notes = labels.notes;
  if (r.host_ops > 0)
    r.notes.push_back(
        fmt::format("{} of the host: what they compute takes no time here, only what moves to and fro", counted(r.host_ops, "step")));
  if (timing.cache_dirty > 0) {
    r.notes.push_back(fmt::format("{} of results stay in the cache at the end: writing them back is not part of the time",
                                  readable_bytes(timing.cache_dirty)));
  }
  return r;
}

Accuracy accuracy_of(const std::vector<numerics::Tensor>& got, const std::vector<numerics::Tensor>& reference,
                     const std::vector<std::string>& names, std::string how) {
  SY_CHECK(got.size() == reference.size() && got.size() == names.size(), "one of each");
  Accuracy result;
  result.reference = std::move(how);
  ErrorSummary all;
  for (std::size_t k = 0; k < got.size(); ++k) {
    SY_CHECK(got[k].shape == reference[k].shape, "outputs of one model have the same shapes");
    ErrorSummary one;
    for (std::int64_t i = 0, count = got[k].count(); i < count; ++i) {
      const double a = got[k].at(i), b = reference[k].at(i);
      all.add(a, b);
      one.add(a, b);
    }
    result.outputs.push_back({names[k], one.cosine(), one.snr_db()});
  }
  result.max_abs_error = all.max_abs();
  result.max_abs_error_of = all.max_abs_of();
  result.max_rel_error = all.max_rel();
  result.rms_rel_error = all.rms_rel();
  result.cosine = all.cosine();
  result.snr_db = all.snr_db();
  return result;
}

std::vector<numerics::Tensor> declared_outputs(const program::Program& program, const std::vector<numerics::Tensor>& outputs) {
  std::vector<numerics::Tensor> result;
  const std::vector<std::string>& formats = program.labels.output_formats;
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    numerics::Format format = outputs[k].format;
    if (k < formats.size()) format = numerics::format_named(formats[k]).value_or(format);
    if (format == numerics::Format::bf16) format = numerics::Format::fp32;
    result.push_back(format == outputs[k].format ? outputs[k] : numerics::convert_tensor(outputs[k], format));
  }
  return result;
}

std::vector<OutputReport> describe_outputs(const program::Program& program, const std::vector<numerics::Tensor>& declared) {
  std::vector<OutputReport> result(declared.size());
  for (std::size_t k = 0; k < declared.size(); ++k) {
    result[k] = {"", declared[k].shape, std::string(numerics::format_name(declared[k].format)), sha256_hex(declared[k].bytes)};
  }
  for (const program::Buffer& buffer : program.buffers) {
    const auto k = static_cast<std::size_t>(buffer.index);
    if (buffer.role == program::BufferRole::output && buffer.index >= 0 && k < result.size()) result[k].name = buffer.name;
  }
  return result;
}

}  // namespace switchyard::report
