// Law 6: nothing is read before it is written, nothing is written twice in one context, outputs are whole.
#include <fmt/format.h>

#include <algorithm>

#include "program/boxes.h"
#include "program/findings.h"
#include "program/sequence.h"
#include "program/spread.h"
#include "program/touch.h"

namespace switchyard::program {

namespace {

/// What one mover touches of one buffer, over all its instances and firings.
struct Touch : Reach {
  std::size_t actor = 0;
  BufferId buffer;
};

class CoverageLaw {
 public:
  CoverageLaw(const Program& program, Findings& findings) : program_(program), findings_(findings), written_(program.buffers.size()) {}

  void check() {
    const Ended before = ended_before(program_), early = ended_before_early(program_, before);
    for (std::size_t c = 0; c < program_.contexts.size() && !findings_.full(); ++c) context(c, before, early);
    for (std::size_t b = 0; b < program_.buffers.size(); ++b) {
      const Buffer& buffer = program_.buffers[b];
      if (buffer.role != BufferRole::output) continue;
      std::vector<Box> written;
      for (const auto& [context, boxes] : written_[b]) written.insert(written.end(), boxes.begin(), boxes.end());
      bool exact = true;
      if (const auto point = uncovered_point({whole(buffer)}, written, exact))
        findings_.add("program/output-not-written", buffer.name, fmt::format("element {} of the output is never written", print(*point)));
      else if (!exact)
        too_large(buffer.name);
    }
  }

 private:
  static std::string print(const std::vector<std::int64_t>& point) { return fmt::format("[{}]", fmt::join(point, ", ")); }
  static Box whole(const Buffer& buffer) {
    Box box;
    for (const std::int64_t extent : buffer.shape) box.push_back({0, extent});
    return box;
  }
  void too_large(const std::string& pointer) {
    findings_.add("program/too-large", pointer, "the accesses are too many and too irregular to be checked");
  }
  bool by_host(BufferId id) const {
    const Buffer& buffer = program_.buffers[id.index()];
    return buffer.role == BufferRole::input || buffer.role == BufferRole::constant || buffer.lifetime == Lifetime::persistent;
  }

  void context(std::size_t number, const Ended& before, const Ended& early_before) {
    const Context& context = program_.contexts[number];
    if (context.host) return host(number, before);
    std::vector<Touch> loads, stores;
    for (std::size_t a = 0; a < context.actors.size(); ++a) {
      const Actor& actor = context.actors[a];
      for (const bool load : {true, false}) {
        const auto& box = load ? actor.source : actor.destination;
        if (!box) continue;
        if (program_.buffers[box->buffer.index()].spread) continue;  // verify_spread: every copy for itself
        std::vector<Interval> variables;
        for (const std::int64_t extent : context.arrays[actor.array.index()].shape) variables.push_back({0, extent});
        for (const Interval& range : transfer_loops(actor)) variables.push_back(range);
        Touch touch{reach_of(*box, reached_extent(program_, actor, *box), variables), a, box->buffer};
        if (!touch.countable)
          too_large(at(context, actor));
        else
          (load ? loads : stores).push_back(std::move(touch));
      }
    }
    const auto name = [&](const Touch& touch) { return context.actors[touch.actor].name; };
    const auto buffer_of = [&](const Touch& touch) -> const Buffer& { return program_.buffers[touch.buffer.index()]; };
    bool exact = true;
    for (std::size_t s = 0; s < stores.size(); ++s) {
      const Touch& store = stores[s];
      const std::string pointer = at(context, context.actors[store.actor]);
      const BufferRole role = buffer_of(store).role;
      if (role == BufferRole::input || role == BufferRole::constant)
        findings_.add("program/read-only", pointer,
                      fmt::format("'{}' stores into '{}', which the host supplies", name(store), buffer_of(store).name));
      if (store.twice)
        findings_.add("program/double-write", pointer,
                      fmt::format("'{}' writes element {} of '{}' twice", name(store), print(store.where), buffer_of(store).name));
      for (std::size_t t = 0; t < s; ++t) {
        if (stores[t].buffer != store.buffer) continue;
        if (const auto point = common_point(stores[t].boxes, store.boxes, exact))
          findings_.add("program/double-write", pointer,
                        fmt::format("'{}' and '{}' both write element {} of '{}'", name(stores[t]), name(store), print(*point),
                                    buffer_of(store).name));
        if (!exact) too_large(pointer);
      }
    }
    for (const Touch& load : loads) {
      const std::string pointer = at(context, context.actors[load.actor]);
      std::vector<Box> written;
      for (const Touch& store : stores) {
        if (store.buffer != load.buffer) continue;
        const bool after = reaches(context, store.actor, load.actor);
        if (after) {
          written.insert(written.end(), store.boxes.begin(), store.boxes.end());
        } else if (!reaches(context, load.actor, store.actor)) {
          if (const auto point = common_point(store.boxes, load.boxes, exact))
            findings_.add("program/unordered", pointer,
                          fmt::format("'{}' reads and '{}' writes element {} of '{}' in no order", name(load), name(store), print(*point),
                                      buffer_of(load).name),
                          "join them by a channel, or put them into contexts one after the other");
          if (!exact) too_large(pointer);
        }
      }
      const bool early = context.actors[load.actor].early;
      for (const auto& [writer, boxes] : written_[load.buffer.index()]) {
        if ((early ? early_before : before).has(number, writer)) {
          written.insert(written.end(), boxes.begin(), boxes.end());
        } else if (early) {
          if (const auto point = common_point(boxes, load.boxes, exact))
            findings_.add("program/unordered", pointer,
                          fmt::format("'{}' starts early and reads element {} of '{}', which '{}' may still be writing", name(load),
                                      print(*point), buffer_of(load).name, program_.contexts[writer].name),
                          "let the early actors come after that context");
          if (!exact) too_large(pointer);
        }
      }
      if (by_host(load.buffer)) continue;
      if (const auto point = uncovered_point(load.boxes, written, exact))
        findings_.add(
            "program/read-before-write", pointer,
            fmt::format("'{}' reads element {} of '{}', which nothing before it wrote", name(load), print(*point), buffer_of(load).name));
      else if (!exact)
        too_large(pointer);
    }
    for (Touch& store : stores) written_[store.buffer.index()].emplace_back(number, std::move(store.boxes));
  }

  /// A step of the host reads and writes whole buffers.
  void host(std::size_t number, const Ended& before) {
    const Context& context = program_.contexts[number];
    for (const BufferId id : context.host->reads) {
      const Buffer& buffer = program_.buffers[id.index()];
      std::vector<Box> written;
      for (const auto& [writer, boxes] : written_[id.index()])
        if (before.has(number, writer)) written.insert(written.end(), boxes.begin(), boxes.end());
      bool exact = true;
      if (by_host(id)) continue;
      if (const auto point = uncovered_point({whole(buffer)}, written, exact))
        findings_.add("program/read-before-write", at(context),
                      fmt::format("the host reads element {} of '{}', which nothing before it wrote", print(*point), buffer.name));
      else if (!exact)
        too_large(at(context));
    }
    for (const BufferId id : context.host->writes)
      written_[id.index()].emplace_back(number, std::vector<Box>{whole(program_.buffers[id.index()])});
  }

  /// Whether a path of channels leads from one actor to another.
  static bool reaches(const Context& context, std::size_t from, std::size_t to) {
    std::vector<bool> seen(context.actors.size(), false);
    std::vector<std::size_t> open{from};
    while (!open.empty()) {
      const std::size_t here = open.back();
      open.pop_back();
      for (const Channel& channel : context.channels) {
        if (channel.from.actor.index() != here) continue;
        for (const Channel::Consumer& consumer : channel.to) {
          const std::size_t next = consumer.end.actor.index();
          if (next == to) return true;
          if (!seen[next]) open.push_back(next);
          seen[next] = true;
        }
      }
    }
    return false;
  }

  const Program& program_;
  Findings& findings_;
  std::vector<std::vector<std::pair<std::size_t, std::vector<Box>>>> written_;  ///< per buffer: by which context, what
};

}  // namespace

void verify_coverage(const Program& program, Findings& findings) { CoverageLaw(program, findings).check(); }

}  // namespace switchyard::program
