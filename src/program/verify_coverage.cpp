// Law 6: nothing is read before it is written, nothing is written twice in one context, outputs are whole.
#include <fmt/format.h>

#include <algorithm>

#include "program/boxes.h"
#include "program/findings.h"
#include "program/sequence.h"

namespace switchyard::program {

namespace {

constexpr std::int64_t kMostBoxes = std::int64_t{1} << 22;

/// What one mover touches of one buffer, over all its instances and firings.
struct Touch {
  std::size_t actor = 0;
  BufferId buffer;
  std::vector<Box> boxes;
  bool twice = false;               ///< some element more than once
  std::vector<std::int64_t> where;  ///< one that is
  bool countable = true;            ///< false: too many boxes to say
};

class Toucher {
 public:
  Toucher(const Context& context, const Actor& actor, const BufferAccess& access, const Port& port)
      : access_(access), extents_(port.token.shape), rank_(access.start.size()) {
    for (const std::int64_t extent : context.arrays[actor.array.index()].shape) variables_.push_back({0, extent});
    for (const Interval& range : guard_box(actor, port.guard)) variables_.push_back(range);
  }

  Touch run(std::size_t actor) {
    touch_.actor = actor;
    touch_.buffer = access_.buffer;
    for (const Interval& variable : variables_)
      if (variable[0] >= variable[1]) return touch_;
    std::vector<int> uses(variables_.size(), 0);
    for (const auto& start : access_.start)
      for (const auto& term : start.terms) ++uses[static_cast<std::size_t>(term.variable)];
    bool repeats = false, product = true;
    for (std::size_t v = 0; v < variables_.size(); ++v) {
      repeats = repeats || (uses[v] == 0 && variables_[v][1] - variables_[v][0] > 1);
      product = product && uses[v] <= 1;
    }
    if (product)
      by_dimension();
    else
      one_by_one(uses);
    if (repeats && !touch_.boxes.empty()) {
      touch_.twice = true;
      touch_.where.clear();
      for (const Interval& interval : touch_.boxes.front()) touch_.where.push_back(interval[0]);
    }
    return std::move(touch_);
  }

 private:
  Interval clip(std::size_t d, std::int64_t start) const {
    return {std::max(start, access_.region[d][0]), std::min(start + extents_[d], access_.region[d][1])};
  }

  /// Calls visit(values) for every vector of the variables listed, others at their first value. False when there are too many.
  template <class Visit>
  bool each(const std::vector<std::size_t>& list, Visit&& visit) {
    std::int64_t count = 1;
    std::vector<std::int64_t> values;
    for (const Interval& variable : variables_) values.push_back(variable[0]);
    for (const std::size_t v : list)
      if (__builtin_mul_overflow(count, variables_[v][1] - variables_[v][0], &count) || count > kMostBoxes) return false;
    while (true) {
      visit(values);
      std::size_t k = list.size();
      while (k > 0 && ++values[list[k - 1]] == variables_[list[k - 1]][1]) {
        values[list[k - 1]] = variables_[list[k - 1]][0];
        --k;
      }
      if (k == 0) return true;
    }
  }

  /// The dimensions move with different variables: the set is a product, and each dimension can be looked at alone.
  void by_dimension() {
    std::vector<std::vector<Interval>> merged(rank_);
    std::int64_t count = 1;
    std::size_t double_dimension = rank_;
    std::int64_t double_index = 0;
    for (std::size_t d = 0; d < rank_; ++d) {
      std::vector<std::size_t> list;
      for (const auto& term : access_.start[d].terms) list.push_back(static_cast<std::size_t>(term.variable));
      std::vector<Interval> intervals;
      touch_.countable =
          each(list, [&](const std::vector<std::int64_t>& values) { intervals.push_back(clip(d, access_.start[d].at(values))); });
      if (!touch_.countable) return;
      std::erase_if(intervals, [](const Interval& i) { return i[0] >= i[1]; });
      std::sort(intervals.begin(), intervals.end());
      for (std::size_t i = 0; i + 1 < intervals.size() && double_dimension == rank_; ++i)
        if (intervals[i + 1][0] < intervals[i][1]) {
          double_dimension = d;
          double_index = intervals[i + 1][0];
        }
      merged[d] = merge(std::move(intervals));
      if (merged[d].empty()) return;  // nothing is touched at all
      count *= static_cast<std::int64_t>(merged[d].size());
      if (count > kMostBoxes) {
        touch_.countable = false;
        return;
      }
    }
    std::vector<std::size_t> pick(rank_, 0);
    while (true) {
      Box& box = touch_.boxes.emplace_back();
      for (std::size_t d = 0; d < rank_; ++d) box.push_back(merged[d][pick[d]]);
      std::size_t d = rank_;
      while (d > 0 && ++pick[d - 1] == merged[d - 1].size()) pick[--d] = 0;
      if (d == 0) break;
    }
    if (double_dimension == rank_) return;
    touch_.twice = true;
    for (std::size_t d = 0; d < rank_; ++d) touch_.where.push_back(d == double_dimension ? double_index : merged[d][0][0]);
  }

  void one_by_one(const std::vector<int>& uses) {
    std::vector<std::size_t> list;
    for (std::size_t v = 0; v < uses.size(); ++v)
      if (uses[v] > 0) list.push_back(v);
    touch_.countable = each(list, [&](const std::vector<std::int64_t>& values) {
      Box box;
      for (std::size_t d = 0; d < rank_; ++d) box.push_back(clip(d, access_.start[d].at(values)));
      if (!is_empty(box)) touch_.boxes.push_back(std::move(box));
    });
    if (!touch_.countable) return;
    bool exact = true;
    if (const auto point = doubly_covered_point(touch_.boxes, exact)) {
      touch_.twice = true;
      touch_.where = *point;
    }
    touch_.countable = exact;
    std::sort(touch_.boxes.begin(), touch_.boxes.end());
    touch_.boxes.erase(std::unique(touch_.boxes.begin(), touch_.boxes.end()), touch_.boxes.end());
  }

  const BufferAccess& access_;
  const std::vector<std::int64_t>& extents_;
  std::size_t rank_;
  std::vector<Interval> variables_;
  Touch touch_;
};

class CoverageLaw {
 public:
  CoverageLaw(const Program& program, Findings& findings) : program_(program), findings_(findings), written_(program.buffers.size()) {}

  void check() {
    const std::size_t words = (program_.contexts.size() + 63) / 64;
    std::vector<std::vector<std::uint64_t>> before(program_.contexts.size(), std::vector<std::uint64_t>(words, 0));
    for (std::size_t c = 0; c < program_.contexts.size() && !findings_.full(); ++c) {
      for (const ContextId id : program_.contexts[c].after) {
        for (std::size_t w = 0; w < words; ++w) before[c][w] |= before[id.index()][w];
        before[c][id.index() / 64] |= std::uint64_t{1} << id.index() % 64;
      }
      context(c, before[c]);
    }
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

  void context(std::size_t number, const std::vector<std::uint64_t>& before) {
    const Context& context = program_.contexts[number];
    std::vector<Touch> loads, stores;
    for (std::size_t a = 0; a < context.actors.size(); ++a) {
      const Actor& actor = context.actors[a];
      for (const bool load : {true, false}) {
        const auto& box = load ? actor.source : actor.destination;
        if (!box) continue;
        Touch touch = Toucher(context, actor, *box, *data_port(actor, !load)).run(a);
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
      if (by_host(load.buffer)) continue;
      for (const auto& [writer, boxes] : written_[load.buffer.index()])
        if ((before[writer / 64] >> writer % 64 & 1) != 0) written.insert(written.end(), boxes.begin(), boxes.end());
      if (const auto point = uncovered_point(load.boxes, written, exact))
        findings_.add(
            "program/read-before-write", pointer,
            fmt::format("'{}' reads element {} of '{}', which nothing before it wrote", name(load), print(*point), buffer_of(load).name));
      else if (!exact)
        too_large(pointer);
    }
    for (Touch& store : stores) written_[store.buffer.index()].emplace_back(number, std::move(store.boxes));
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
