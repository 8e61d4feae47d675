// Recordings and traces: they tell what the timing engine counted, to the picosecond, and a reader of traces can follow them.
#include "report/trace.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "compiler/compiler.h"
#include "program/grid.h"
#include "program/text.h"
#include "program/verify.h"
#include "property/library_chip.h"
#include "property/random_graph.h"
#include "simulation/recording.h"

namespace switchyard {
namespace {

using simulation::Recording;

constexpr const char* kPrograms[] = {"conv-pipeline-tx81", "grid-gemm-h100", "resident-pipeline", "ring-gemm-tx81"};
constexpr std::size_t kPlenty = 50'000'000;

program::Program example(const std::string& name) {
  Result<program::Program> program = program::read_program(SWITCHYARD_SOURCE_DIR "/examples/programs/" + name + ".syp");
  EXPECT_TRUE(program.ok()) << (program.ok() ? "" : format_failure(program.failure()));
  EXPECT_TRUE(program::verify(program.value()).ok());
  return std::move(program).value();
}

Recording recorded(const program::Program& program, std::size_t limit) {
  Result<Recording> recording = simulation::record_program(program, {}, limit);
  EXPECT_TRUE(recording.ok()) << (recording.ok() ? "" : format_failure(recording.failure()));
  return recording.ok() ? std::move(recording).value() : Recording{};
}

/// A recording tells what the timing engine counts. Returns how many slices it has.
std::size_t check_recording(const program::Program& program) {
  const auto timed = simulation::time_program(program);
  EXPECT_TRUE(timed.ok());
  if (!timed) return 0;
  const simulation::Timing& timing = timed.value();
  const Recording recording = recorded(program, kPlenty);
  EXPECT_TRUE(recording.complete);
  EXPECT_EQ(recording.until, timing.latency);

  std::map<std::string, std::int64_t> busy, bytes;
  std::int64_t transfers = 0, firings = 0, macs = 0;
  for (const Recording::Slice& s : recording.slices) {
    EXPECT_LE(s.begin, s.end);
    if (s.actor == Recording::kNone || s.kind == Recording::Kind::issue) continue;
    ++firings;
    const program::Actor& actor = program.contexts[s.context].actors[s.actor];
    if (s.kind == Recording::Kind::transfer) {
      ++transfers;
      busy[program.chip->movers[actor.mover.index()].name] += (s.end - s.begin).value;
      bytes[program.chip->movers[actor.mover.index()].name] += s.amount;
    } else {
      busy[program.chip->units[actor.unit.index()].name] += (s.end - s.begin).value;
      macs += s.amount;
    }
  }
  EXPECT_EQ(macs, timing.macs);
  // Kernels that are timed wave by wave are told as wholes: nothing of what happens in them is known.
  if (std::any_of(program.contexts.begin(), program.contexts.end(),
                  [&](const program::Context& c) { return program::runs_in_waves(*program.chip, c); })) {
    return recording.slices.size();
  }
  EXPECT_EQ(transfers, timing.transfers);
  EXPECT_EQ(firings, timing.firings);
  std::map<std::string, std::int64_t> free_at;
  std::vector<Recording::Use> uses = recording.uses;
  std::stable_sort(uses.begin(), uses.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
  for (const Recording::Use& u : uses) {
    const std::string& resource = recording.resources[u.resource];
    busy[resource] += (u.end - u.begin).value;
    bytes[resource] += u.bytes;
    EXPECT_GE(u.begin.value, free_at[resource]) << resource << " serves one transfer at a time";
    free_at[resource] = u.end.value;
    const Recording::Slice& transfer = recording.slices[u.slice];
    EXPECT_EQ(transfer.kind, Recording::Kind::transfer);
    EXPECT_TRUE(transfer.begin <= u.begin && u.end <= transfer.end) << resource;
  }
  for (const simulation::ResourceUse& r : timing.resources) {
    // Configurations are loaded from a memory besides.
    const auto& from = program.chip->context.load_from;
    if (from && program.chip->memories[from->index()].name == r.name) {
      EXPECT_LE(busy[r.name], r.busy.value) << r.name;
      continue;
    }
    EXPECT_EQ(busy[r.name], r.busy.value) << r.name;
    if (r.bytes > 0) {
      EXPECT_EQ(bytes[r.name], r.bytes) << r.name;
    }
  }
  for (const Recording::Flow& f : recording.flows) {
    EXPECT_LE(recording.slices[f.from].end, recording.slices[f.to].begin) << "nothing is taken before it was made";
  }
  return recording.slices.size();
}

TEST(Recording, TellsWhatTheTimingCounts) {
  for (const char* name : kPrograms) {
    SCOPED_TRACE(name);
    EXPECT_GT(check_recording(example(name)), 0u);
  }
}

TEST(Recording, TellsItOfCompiledModels) {
  for (const char* name : {"tx81", "rpu-4x4", "h100-sxm", "onnxim-tpuv4"}) {
    SCOPED_TRACE(name);
    const auto shared = library_chip(name);
    std::size_t slices = 0;
    for (std::uint64_t seed = 1; seed <= 12; ++seed) {
      SCOPED_TRACE(seed);
      const auto compiled = compiler::compile(testing::random_model(seed).graph, shared, {numerics::Format::bf16, 0, 1});
      if (!compiled) continue;  // not every chip computes in every format that a model mixes
      slices += check_recording(compiled.value().program);
    }
    EXPECT_GT(slices, 20u) << "too few of them could be compiled";
  }
}

/// The fields of a message, as far as varints, fixed64 and bytes go.
struct Field {
  std::uint64_t number = 0, value = 0;
  std::string bytes;
};

std::vector<Field> fields_of(const std::string& text) {
  std::vector<Field> fields;
  std::size_t at = 0;
  const auto varint = [&] {
    std::uint64_t value = 0;
    for (int shift = 0; at < text.size(); shift += 7) {
      const auto byte = static_cast<unsigned char>(text[at++]);
      value |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) break;
    }
    return value;
  };
  while (at < text.size()) {
    const std::uint64_t key = varint();
    Field field{key >> 3, 0, {}};
    switch (key & 7) {
      case 0: field.value = varint(); break;
      case 1:
        for (int i = 0; i < 8; ++i) field.value |= std::uint64_t{static_cast<unsigned char>(text.at(at++))} << (8 * i);
        break;
      case 2: {
        const std::uint64_t size = varint();
        field.bytes = text.substr(at, size);
        EXPECT_EQ(field.bytes.size(), size) << "a message is cut off";
        at += size;
        break;
      }
      default: ADD_FAILURE() << "wire type " << (key & 7); return fields;
    }
    fields.push_back(std::move(field));
  }
  return fields;
}

const Field* find(const std::vector<Field>& fields, std::uint64_t number) {
  for (const Field& f : fields) {
    if (f.number == number) return &f;
  }
  return nullptr;
}

/// What a reader of traces relies on; returns how many slices and flows there are.
std::pair<std::size_t, std::size_t> check_trace(const std::string& trace) {
  std::map<std::uint64_t, std::uint64_t> open;  // slices by track: at most one
  std::set<std::uint64_t> tracks, names;
  std::map<std::uint64_t, std::uint64_t> flow_begins, flow_ends;
  std::uint64_t time = 0;
  std::size_t slices = 0;
  for (const Field& packet : fields_of(trace)) {
    EXPECT_EQ(packet.number, 1u);
    const std::vector<Field> content = fields_of(packet.bytes);
    EXPECT_NE(find(content, 10), nullptr) << "a packet belongs to a sequence";
    if (const Field* interned = find(content, 12)) {
      for (const Field& entry : fields_of(interned->bytes)) {
        if (entry.number == 2) names.insert(find(fields_of(entry.bytes), 1)->value);
      }
    }
    if (const Field* track = find(content, 60)) {
      const std::vector<Field> description = fields_of(track->bytes);
      EXPECT_TRUE(tracks.insert(find(description, 1)->value).second) << "tracks have numbers of their own";
      EXPECT_TRUE(find(description, 3) != nullptr || find(description, 4) != nullptr);
    }
    const Field* event = find(content, 11);
    if (event == nullptr) continue;
    EXPECT_GE(find(content, 8)->value, time) << "packets are in the order of time";
    time = find(content, 8)->value;
    const std::vector<Field> parts = fields_of(event->bytes);
    const std::uint64_t track = find(parts, 11)->value;
    EXPECT_TRUE(tracks.contains(track));
    if (find(parts, 9)->value == 1) {
      ++slices;
      EXPECT_EQ(open[track]++, 0u) << "slices of a track do not overlap";
      EXPECT_TRUE(names.contains(find(parts, 10)->value));
      for (const Field& f : parts) {
        if (f.number == 47) {
          EXPECT_TRUE(flow_begins.emplace(f.value, time).second) << "a flow leaves once";
        }
        if (f.number == 48) {
          EXPECT_TRUE(flow_ends.emplace(f.value, time).second) << "a flow arrives once";
          EXPECT_TRUE(flow_begins.contains(f.value)) << "and has left before";
        }
      }
    } else {
      EXPECT_EQ(find(parts, 9)->value, 2u);
      EXPECT_EQ(open[track]--, 1u) << "what ends has begun";
    }
  }
  for (const auto& [track, count] : open) EXPECT_EQ(count, 0u) << "what begins ends";
  EXPECT_EQ(flow_begins.size(), flow_ends.size());
  return {slices, flow_begins.size()};
}

TEST(Trace, CanBeFollowed) {
  for (const char* name : kPrograms) {
    SCOPED_TRACE(name);
    const program::Program program = example(name);
    const auto timing = simulation::time_program(program);
    ASSERT_TRUE(timing.ok());
    const Recording recording = recorded(program, kPlenty);
    const std::string trace = report::print_trace(program, timing.value(), recording);
    const auto [slices, flows] = check_trace(trace);
    EXPECT_EQ(flows, recording.flows.size());
    EXPECT_LE(slices, recording.slices.size() + recording.uses.size() + program.contexts.size());
    EXPECT_GT(slices, recording.slices.size() + recording.uses.size()) << "contexts, those that take time";
    EXPECT_EQ(trace, report::print_trace(program, timing.value(), recorded(program, kPlenty))) << "the same bytes every time";
  }
}

TEST(Trace, EndsWhereTheLimitIs) {
  const program::Program program = example("ring-gemm-tx81");
  const auto timing = simulation::time_program(program);
  ASSERT_TRUE(timing.ok());
  for (const std::size_t limit : {std::size_t{1}, std::size_t{100}, std::size_t{2000}}) {
    const Recording recording = recorded(program, limit);
    EXPECT_FALSE(recording.complete);
    EXPECT_LE(recording.slices.size() + recording.uses.size() + recording.flows.size(), limit + 200) << "an instant more at most";
    EXPECT_LE(recording.until, timing.value().latency);
    check_trace(report::print_trace(program, timing.value(), recording));
  }
}

}  // namespace
}  // namespace switchyard
