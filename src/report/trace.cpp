// Processes are the chip's contexts, its memories and links, and each component that works; their threads are tracks. Transfers of a mover
// overlap, and slices of a track may not: each gets the first track of its mover that is free.
//
// Field numbers: protos/perfetto/trace of the Perfetto project.
#include "report/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "report/proto_writer.h"

namespace switchyard::report {
namespace {

using simulation::Recording;
using Kind = Recording::Kind;

// TracePacket
constexpr std::uint32_t kPacket = 1, kTimestamp = 8, kSequence = 10, kTrackEvent = 11, kInterned = 12, kSequenceFlags = 13, kTrack = 60;
// TrackDescriptor, ProcessDescriptor, ThreadDescriptor
constexpr std::uint32_t kUuid = 1, kProcess = 3, kThread = 4, kPid = 1, kTid = 2, kThreadName = 5, kProcessName = 6;
// TrackEvent
constexpr std::uint32_t kCategoryId = 3, kAnnotation = 4, kType = 9, kNameId = 10, kTrackUuid = 11, kFlow = 47, kLastFlow = 48;
constexpr std::uint64_t kSliceBegin = 1, kSliceEnd = 2;
// DebugAnnotation
constexpr std::uint32_t kAnnotationName = 1, kAnnotationUint = 3;
// InternedData
constexpr std::uint32_t kCategories = 1, kNames = 2, kAnnotationNames = 3, kId = 1, kText = 2;
constexpr std::uint64_t kStateCleared = 1, kNeedsState = 2;

constexpr std::array<const char*, 8> kCategoryNames{"compute", "transfer",    "issue",    "launch",
                                                    "barrier", "reconfigure", "resource", "context"};
constexpr std::size_t kResourceCategory = 6, kContextCategory = 7;
enum Argument : std::uint64_t { kBeginPs = 1, kEndPs, kMacs, kBytes };

/// A slice of some track, as it will be written.
struct Event {
  std::int64_t begin = 0, end = 0;  ///< picoseconds
  std::uint32_t track = 0, name = 0, category = 0;
  std::uint64_t argument = 0;  ///< 0: none
  std::int64_t amount = 0;
  std::uint32_t slice = Recording::kNone;  ///< of the recording, where it has flows
};

std::uint64_t nanoseconds(std::int64_t ps) { return static_cast<std::uint64_t>(ps / 1000); }

class Tracer {
 public:
  Tracer(const program::Program& program, const simulation::Timing& timing, const Recording& recording)
      : program_(program), chip_(*program.chip), timing_(timing), recording_(recording) {}

  std::string text() {
    add_contexts();
    add_slices();
    add_uses();
    std::string out;
    write_interned(out);
    write_tracks(out);
    write_events(out);
    return out;
  }

 private:
  struct Track {
    std::string name;
    std::int64_t free = 0;  ///< when its last slice ended
  };
  /// What shares a family of tracks: one kind of engine of one component.
  using Family = std::tuple<int, std::uint32_t, std::uint32_t, std::uint32_t>;  ///< process group, component class, instance, engine

  std::uint32_t name_of(const std::string& name) {
    const auto [known, added] = names_.emplace(name, names_.size() + 1);
    if (added) name_list_.push_back(name);
    return static_cast<std::uint32_t>(known->second);
  }

  /// The first track of the family that is free at `begin`; slices come in the order of their begins.
  std::uint32_t track_of(const Family& family, const std::string& name, std::int64_t begin, std::int64_t end) {
    std::vector<std::uint32_t>& lanes = families_[family];
    for (const std::uint32_t t : lanes) {
      if (tracks_[t].free <= begin) {
        tracks_[t].free = std::max(end, begin);
        return t;
      }
    }
    const auto number = static_cast<std::uint32_t>(tracks_.size());
    const auto& [group, component, instance, engine] = family;
    processes_.try_emplace(std::tuple(group, component, instance), 0);
    tracks_.push_back({lanes.empty() ? name : fmt::format("{} ({})", name, lanes.size() + 1), end});
    lanes.push_back(number);
    return number;
  }

  /// From when it is due: what its early movers fetch before that stands on their tracks.
  void add_contexts() {
    Picoseconds before = timing_.contexts.empty() ? Picoseconds(0) : timing_.contexts.front().start;
    for (std::size_t c = 0; c < timing_.contexts.size(); ++c) {
      const Picoseconds begin = std::max(before, timing_.contexts[c].start), end = std::min(timing_.contexts[c].end, recording_.until);
      if (end <= begin) continue;
      before = end;
      events_.push_back({begin.value, end.value, track_of({0, 0, 0, 0}, "contexts", begin.value, end.value),
                         name_of(program_.contexts[c].name), kContextCategory, 0, 0, Recording::kNone});
    }
  }

  /// In the order of begins, so that tracks can be dealt.
  template <class T>
  static std::vector<std::uint32_t> by_begin(const std::vector<T>& list) {
    std::vector<std::uint32_t> order(list.size());
    for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return list[a].begin < list[b].begin; });
    return order;
  }

  void add_slices() {
    for (const std::uint32_t i : by_begin(recording_.slices)) {
      const Recording::Slice& s = recording_.slices[i];
      const program::Context& context = program_.contexts[s.context];
      Event event{s.begin.value, s.end.value, 0, 0, static_cast<std::uint32_t>(s.kind), 0, 0, i};
      if (s.actor == Recording::kNone) {  // launch, barrier, reconfiguration: before the context
        event.name = name_of(fmt::format("{} {}", kCategoryNames[event.category], context.name));
        event.track = track_of({0, 0, 0, 1}, "before contexts", event.begin, event.end);
        events_.push_back(event);
        continue;
      }
      const program::Actor& actor = context.actors[s.actor];
      const std::uint32_t component = static_cast<std::uint32_t>(context.arrays[actor.array.index()].component.index());
      event.name = name_of(context.name + ": " + actor.name);
      std::string engine = "control core";
      std::uint32_t number = 0;
      if (s.kind == Kind::compute) {
        engine = chip_.units[actor.unit.index()].name;
        number = 1 + 2 * static_cast<std::uint32_t>(actor.unit.index());
        event.argument = kMacs;
      } else if (s.kind == Kind::transfer) {
        engine = chip_.movers[actor.mover.index()].name;
        number = 2 + 2 * static_cast<std::uint32_t>(actor.mover.index());
        event.argument = kBytes;
      }
      event.amount = s.amount;
      event.track = track_of({2, component, s.component, number}, engine, event.begin, event.end);
      events_.push_back(event);
    }
  }

  void add_uses() {
    for (const std::uint32_t i : by_begin(recording_.uses)) {
      const Recording::Use& use = recording_.uses[i];
      const Recording::Slice& s = recording_.slices[use.slice];
      const program::Context& context = program_.contexts[s.context];
      events_.push_back({use.begin.value, use.end.value,
                         track_of({1, 0, 0, use.resource}, recording_.resources[use.resource], use.begin.value, use.end.value),
                         name_of(context.name + ": " + context.actors[s.actor].name), kResourceCategory, kBytes, use.bytes,
                         Recording::kNone});
    }
  }

  void packet(std::string& out, ProtoWriter& content) {
    content.varint(kSequence, 1);
    ProtoWriter one;
    one.message(kPacket, content);
    out += one.text();
    content.clear();
  }

  void write_interned(std::string& out) {
    ProtoWriter content, data;
    const auto intern = [&](std::uint32_t field, std::uint64_t id, std::string_view text) {
      ProtoWriter entry;
      entry.varint(kId, id);
      entry.bytes(kText, text);
      data.message(field, entry);
    };
    for (std::size_t c = 0; c < kCategoryNames.size(); ++c) intern(kCategories, c + 1, kCategoryNames[c]);
    for (std::size_t n = 0; n < name_list_.size(); ++n) intern(kNames, n + 1, name_list_[n]);
    for (const auto& [id, text] : {std::pair{kBeginPs, "begin_ps"}, {kEndPs, "end_ps"}, {kMacs, "macs"}, {kBytes, "bytes"}})
      intern(kAnnotationNames, id, text);
    content.varint(kTimestamp, 0);
    content.message(kInterned, data);
    content.varint(kSequenceFlags, kStateCleared);
    packet(out, content);
  }

  void write_tracks(std::string& out) {
    std::uint64_t pid = 0;
    ProtoWriter content;
    for (auto& [key, number] : processes_) {
      number = static_cast<std::uint32_t>(++pid);
      const auto& [group, component, instance] = key;
      ProtoWriter process, track;
      process.varint(kPid, pid);
      process.bytes(kProcessName,
                    group == 0   ? fmt::format("{} on {}", program_.labels.model.empty() ? "program" : program_.labels.model, chip_.name)
                    : group == 1 ? std::string("memories and links")
                                 : fmt::format("{} {}", chip_.components[component].name, instance));
      track.varint(kUuid, pid);
      track.message(kProcess, process);
      content.message(kTrack, track);
      packet(out, content);
    }
    // Tracks in the order of their families, whatever worked first.
    std::uint64_t tid = pid;
    uuid_of_.assign(tracks_.size(), 0);
    for (const auto& [family, lanes] : families_) {
      const auto& [group, component, instance, engine] = family;
      for (const std::uint32_t t : lanes) {
        uuid_of_[t] = ++tid;
        ProtoWriter thread, track;
        thread.varint(kPid, processes_.at({group, component, instance}));
        thread.varint(kTid, tid);
        thread.bytes(kThreadName, tracks_[t].name);
        track.varint(kUuid, tid);
        track.message(kThread, thread);
        content.message(kTrack, track);
        packet(out, content);
      }
    }
  }

  /// Numbers of the flows that leave each slice and that come to it.
  void number_flows() {
    leaving_.assign(recording_.slices.size() + 1, 0);
    coming_.assign(recording_.slices.size() + 1, 0);
    for (const Recording::Flow& f : recording_.flows) ++leaving_[f.from + 1], ++coming_[f.to + 1];
    for (std::size_t i = 1; i < leaving_.size(); ++i) leaving_[i] += leaving_[i - 1], coming_[i] += coming_[i - 1];
    from_.resize(recording_.flows.size());
    to_.resize(recording_.flows.size());
    std::vector<std::uint32_t> next_from(leaving_.begin(), leaving_.end()), next_to(coming_.begin(), coming_.end());
    for (std::uint32_t f = 0; f < recording_.flows.size(); ++f) {
      from_[next_from[recording_.flows[f].from]++] = f;
      to_[next_to[recording_.flows[f].to]++] = f;
    }
  }

  void write_events(std::string& out) {
    number_flows();
    // Begins and ends in the order of time; on a track an end comes before the begin at the same instant, but after its own begin.
    struct Edge {
      std::uint64_t time;
      std::uint32_t event;
      bool begins;
    };
    std::vector<Edge> edges;
    edges.reserve(2 * events_.size());
    std::stable_sort(events_.begin(), events_.end(), [&](const Event& a, const Event& b) {
      return std::tuple(a.begin, uuid_of_[a.track]) < std::tuple(b.begin, uuid_of_[b.track]);
    });
    for (std::uint32_t e = 0; e < events_.size(); ++e) {
      edges.push_back({nanoseconds(events_[e].begin), e, true});
      edges.push_back({nanoseconds(events_[e].end), e, false});
    }
    // Of one track, slices do not overlap in picoseconds, so their numbers are in the order of their ends as well.
    std::stable_sort(edges.begin(), edges.end(), [&](const Edge& a, const Edge& b) { return a.time < b.time; });
    std::string ends;
    ProtoWriter content, event;
    for (std::size_t first = 0; first < edges.size();) {
      std::size_t last = first;
      while (last < edges.size() && edges[last].time == edges[first].time) ++last;
      // Within an instant: by slice, a slice's begin before its end; a slice that ended now was begun with a lower number.
      std::stable_sort(edges.begin() + static_cast<std::ptrdiff_t>(first), edges.begin() + static_cast<std::ptrdiff_t>(last),
                       [](const Edge& a, const Edge& b) { return std::tuple(a.event, !a.begins) < std::tuple(b.event, !b.begins); });
      for (; first < last; ++first) {
        const Event& e = events_[edges[first].event];
        event.varint(kType, edges[first].begins ? kSliceBegin : kSliceEnd);
        event.varint(kTrackUuid, uuid_of_[e.track]);
        if (edges[first].begins) write_begin(event, e);
        content.varint(kTimestamp, edges[first].time);
        content.message(kTrackEvent, event);
        content.varint(kSequenceFlags, kNeedsState);
        packet(out, content);
        event.clear();
      }
    }
  }

  void write_begin(ProtoWriter& event, const Event& e) {
    event.varint(kCategoryId, e.category + 1);
    event.varint(kNameId, e.name);
    const auto annotate = [&](std::uint64_t name, std::int64_t value) {
      ProtoWriter annotation;
      annotation.varint(kAnnotationName, name);
      annotation.varint(kAnnotationUint, static_cast<std::uint64_t>(value));
      event.message(kAnnotation, annotation);
    };
    annotate(kBeginPs, e.begin);
    annotate(kEndPs, e.end);
    if (e.argument != 0 && e.amount > 0) annotate(e.argument, e.amount);
    if (e.slice == Recording::kNone) return;
    for (std::uint32_t f = leaving_[e.slice]; f < leaving_[e.slice + 1]; ++f) event.fixed64(kFlow, from_[f] + std::uint64_t{1});
    for (std::uint32_t f = coming_[e.slice]; f < coming_[e.slice + 1]; ++f) event.fixed64(kLastFlow, to_[f] + std::uint64_t{1});
  }

  const program::Program& program_;
  const chip::Chip& chip_;
  const simulation::Timing& timing_;
  const Recording& recording_;
  std::vector<Event> events_;
  std::unordered_map<std::string, std::size_t> names_;
  std::vector<std::string> name_list_;
  std::map<std::tuple<int, std::uint32_t, std::uint32_t>, std::uint32_t> processes_;
  std::map<Family, std::vector<std::uint32_t>> families_;
  std::vector<Track> tracks_;
  std::vector<std::uint64_t> uuid_of_;
  std::vector<std::uint32_t> leaving_, coming_, from_, to_;
};

}  // namespace

std::string print_trace(const program::Program& program, const simulation::Timing& timing, const simulation::Recording& recording) {
  return Tracer(program, timing, recording).text();
}

}  // namespace switchyard::report
