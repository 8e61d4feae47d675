// Laws 4 and 6 on spread buffers, every copy for itself: what is read lies in the own part and was written there before, nothing is written
// twice, messages reach all who need them.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>

#include "program/findings.h"
#include "program/fold.h"
#include "program/instance.h"
#include "program/parts.h"
#include "program/succession.h"
#include "program/uses.h"

namespace switchyard::program {

namespace {

std::string print(const std::vector<std::int64_t>& point) { return fmt::format("[{}]", fmt::join(point, ", ")); }

std::vector<std::int64_t> corner(const Box& box) {
  std::vector<std::int64_t> point;
  for (const Interval& interval : box) point.push_back(interval[0]);
  return point;
}

Box meet(const Box& a, const Box& b) {
  Box result;
  for (std::size_t d = 0; d < a.size(); ++d) result.push_back({std::max(a[d][0], b[d][0]), std::min(a[d][1], b[d][1])});
  return result;
}

std::string instance_name(const Program& program, const Use& use, std::uint32_t instance) {
  return fmt::format("{} {}", program.chip->components[use.array->component.index()].name, use.array->components[instance]);
}

// ---------------------------------------------------------------------------------------------------------------- law 4

void check_own_part(const Program& program, const Context& context, const Use& use, const Parts& parts, Findings& findings) {
  const Use* uses[] = {&use};
  for (const std::uint32_t i : Fold(program.buffers[use.access->buffer.index()], uses).speakers(*use.array)) {
    const Box& part = parts.part(parts.on(use.array->components[i]));
    for (const Box& box : use.boxes(i)) {
      if (contains(part, box)) continue;
      bool exact = true;
      const auto point = uncovered_point({box}, {part}, exact);
      findings.add("program/part", at(context, context.actors[use.actor]),
                   fmt::format("'{}' {} element {} of '{}' on {}, whose part does not have it", context.actors[use.actor].name,
                               use.write ? "writes" : "reads", print(point.value_or(corner(box))),
                               program.buffers[use.access->buffer.index()].name, instance_name(program, use, i)),
                   "clip the box by a region, or give the part more");
      return;
    }
  }
}

void check_messages(const Program& program, const Context& context, const Use& use, const Parts& parts, Findings& findings) {
  const Actor& actor = context.actors[use.actor];
  const std::int64_t trip = use.access->message < 0 ? 1 : actor.loops[static_cast<std::size_t>(use.access->message)].trip;
  const std::int64_t multicast = program.chip->movers[actor.mover.index()].multicast;
  const auto sending = count_messages(program.buffers[use.access->buffer.index()], parts, use);
  if (!sending) return findings.add("program/too-large", at(context, actor), "the messages are too many to be counted");
  const auto& [most, widest, where] = *sending;
  if (most > trip)
    findings.add("program/message", at(context, actor),
                 fmt::format("what '{}' stores on {} is {} messages, and {}", actor.name, instance_name(program, use, where), most,
                             use.access->message < 0 ? std::string("a firing is one")
                                                     : fmt::format("its loop '{}' has {} ind{}",
                                                                   actor.loops[static_cast<std::size_t>(use.access->message)].name, trip,
                                                                   trip == 1 ? "ex" : "ices")),
                 fmt::format("let a loop of {} say which: message LOOP", most));
  if (widest > multicast)
    findings.add(
        "program/mover", at(context, actor),
        fmt::format("'{}' sends to {} components at once, not to {}", program.chip->movers[actor.mover.index()].name, multicast, widest));
}

// ---------------------------------------------------------------------------------------------------------------- law 6

/// What one actor instance wrote into one copy.
struct Written {
  std::size_t use = 0;
  std::uint32_t instance = 0;
  std::vector<Box> boxes;
};

/// Whether the boxes together hold a box: along one dimension when they agree in all others, as rows and their halos do.
bool cover_in_line(const Box& inner, const std::vector<const Box*>& outer, std::vector<Interval>& scratch) {
  for (std::size_t line = 0; line < inner.size(); ++line) {
    scratch.clear();
    for (const Box* box : outer) {
      bool wide = true;
      for (std::size_t d = 0; d < inner.size() && wide; ++d)
        wide = d == line || ((*box)[d][0] <= inner[d][0] && (*box)[d][1] >= inner[d][1]);
      if (wide) scratch.push_back((*box)[line]);
    }
    std::sort(scratch.begin(), scratch.end());
    std::int64_t next = inner[line][0];
    for (const Interval& interval : scratch)
      if (interval[0] <= next) next = std::max(next, interval[1]);
    if (next >= inner[line][1]) return true;
  }
  return false;
}

struct Meeting {
  std::size_t first = 0, second = 0;  ///< places in the list
  Box where;
};

/// Boxes of two different writers that meet. Swept along the dimension in which boxes begin at the most places: thousands of senders that
/// each write a row of one copy are not compared pair by pair.
std::optional<Meeting> two_that_meet(const std::vector<Written>& list) {
  struct Item {
    const Box* box;
    std::size_t writer;
  };
  std::vector<Item> items;
  for (std::size_t w = 0; w < list.size(); ++w)
    for (const Box& box : list[w].boxes) items.push_back({&box, w});
  if (items.empty()) return std::nullopt;
  std::size_t line = 0, most = 0;
  std::vector<std::int64_t> begins(items.size());
  for (std::size_t d = 0; d < items.front().box->size(); ++d) {
    for (std::size_t i = 0; i < items.size(); ++i) begins[i] = (*items[i].box)[d][0];
    std::sort(begins.begin(), begins.end());
    const auto places = static_cast<std::size_t>(std::unique(begins.begin(), begins.end()) - begins.begin());
    if (places > most) most = places, line = d;
  }
  if (most > 0)
    std::stable_sort(items.begin(), items.end(), [&](const Item& a, const Item& b) { return (*a.box)[line][0] < (*b.box)[line][0]; });
  for (std::size_t i = 0; i < items.size(); ++i)
    for (std::size_t k = i + 1; k < items.size(); ++k) {
      const Box &x = *items[i].box, &y = *items[k].box;
      if (most > 0 && y[line][0] >= x[line][1]) break;
      if (items[i].writer != items[k].writer && overlap(x, y))
        return Meeting{std::min(items[i].writer, items[k].writer), std::max(items[i].writer, items[k].writer), meet(x, y)};
    }
  return std::nullopt;
}

/// What a context wrote into the copies of a buffer.
struct Record {
  std::size_t context = 0;
  Fold fold;
  std::vector<std::vector<Box>> boxes;  ///< per copy, of those that speak for others

  std::vector<Box> at(std::uint32_t copy) const {
    const Fold::Speaker speaker = fold.speaker_of(copy);
    std::vector<Box> result = boxes[speaker.instance];
    for (Box& box : result)
      for (std::size_t d = 0; d < box.size(); ++d) box[d] = {box[d][0] + speaker.shift[d], box[d][1] + speaker.shift[d]};
    return result;
  }
};

class CopiesLaw {
 public:
  CopiesLaw(const Program& program, Findings& findings)
      : program_(program),
        findings_(findings),
        parts_(program.buffers),
        written_(program.buffers.size()),
        last_(program.buffers.size(), 0) {}

  void check() {
    const Ended before = ended_before(program_), early = ended_before_early(program_, before);
    for (std::size_t c = 0; c < program_.contexts.size(); ++c)
      for (const Use& use : uses_of(program_, program_.contexts[c])) last_[use.access->buffer.index()] = c;
    for (std::size_t c = 0; c < program_.contexts.size() && findings_.none(); ++c) context(c, before, early);
  }

 private:
  void context(std::size_t number, const Ended& before, const Ended& early) {
    number_ = number;
    context_ = &program_.contexts[number];
    uses_ = uses_of(program_, *context_);
    own_order_.reset();
    full_order_.reset();
    succession_.reset();
    relations_.clear();
    std::vector<BufferId> buffers;
    for (const Use& use : uses_)
      if (std::find(buffers.begin(), buffers.end(), use.access->buffer) == buffers.end()) buffers.push_back(use.access->buffer);
    apart_ = std::all_of(context_->channels.begin(), context_->channels.end(), [&](const Channel& c) { return joins_itself(c); });
    for (const BufferId id : buffers) {
      // What channels of the own instance order is ordered, whatever others do besides; only else the whole context is played.
      whole_ = undecided_ = false;
      if (buffer(id, before, early)) continue;
      if (!undecided_ || !findings_.none()) return;
      whole_ = true;
      undecided_ = false;
      if (!buffer(id, before, early)) return;
    }
  }

  /// False: nothing more can be said about this context, or (undecided) not without playing all of it.
  bool buffer(BufferId id, const Ended& before, const Ended& early) {
    const Parts& parts = parts_[id];
    std::vector<const Use*> uses;
    for (const Use& use : uses_)
      if (use.access->buffer == id) uses.push_back(&use);
    Fold fold(program_.buffers[id.index()], uses);
    for (const Record& record : written_[id.index()]) fold.limit(record.fold);
    if (whole_) fold.open();  // what tokens order may differ from instance to instance
    std::vector<std::vector<Written>> writes(parts.count());
    for (std::size_t u = 0; u < uses_.size(); ++u)
      if (uses_[u].write && uses_[u].access->buffer == id && !collect(u, parts, fold, writes)) return false;
    const std::vector<std::uint32_t> speakers = fold.speakers();
    if (!once(id, speakers, writes)) return false;
    for (std::size_t u = 0; u < uses_.size(); ++u)
      if (!uses_[u].write && uses_[u].access->buffer == id && !reads(u, parts, fold, writes, actor_of(u).early ? early : before))
        return false;
    if (last_[id.index()] == number_) {
      written_[id.index()].clear();
      parts_.drop(id);
      return true;
    }
    Record record{number_, fold, {}};
    record.boxes.resize(writes.size());
    bool any = false;
    for (const std::uint32_t p : speakers)
      for (Written& w : writes[p]) {
        any = true;
        record.boxes[p].insert(record.boxes[p].end(), std::make_move_iterator(w.boxes.begin()), std::make_move_iterator(w.boxes.end()));
      }
    if (any) written_[id.index()].push_back(std::move(record));
    return true;
  }

  /// Whether a channel joins each instance with itself.
  bool joins_itself(const Channel& channel) const {
    const ArrayId from = context_->actors[channel.from.actor.index()].array;
    if (context_->actors[channel.to.front().end.actor.index()].array != from) return false;
    for (std::size_t d = 0; d < channel.relation.coordinates.size(); ++d)
      if (channel.relation.coordinates[d].modulus != 0 ||
          !(channel.relation.coordinates[d].source == numerics::affine_variable(static_cast<int>(d))))
        return false;
    return true;
  }

  const Actor& actor_of(std::size_t use) const { return context_->actors[uses_[use].actor]; }
  const std::string& name_of(BufferId id) const { return program_.buffers[id.index()].name; }
  void add(const char* code, std::size_t use, std::string message, std::string hint = {}) {
    findings_.add(code, at(*context_, actor_of(use)), std::move(message), std::move(hint));
  }
  bool too_large(std::size_t use) {
    add("program/too-large", use, "the order in which copies are written and read is too large to be checked");
    return false;
  }

  /// What a use writes, copy by copy.
  bool collect(std::size_t number, const Parts& parts, const Fold& fold, std::vector<std::vector<Written>>& writes) {
    const Use& use = uses_[number];
    std::vector<std::int64_t> where;
    for (const std::uint32_t i : use.store ? fold.near_speakers(*use.array) : fold.speakers(*use.array)) {
      const std::uint32_t here = parts.on(use.array->components[i]);
      if (use.twice(i, where)) {
        add("program/double-write", number,
            fmt::format("'{}' writes element {} of '{}' twice", actor_of(number).name, print(where), name_of(use.access->buffer)));
        return false;
      }
      std::vector<Box> boxes = use.boxes(i);
      if (!use.store) {
        if (!boxes.empty()) writes[here].push_back({number, i, std::move(boxes)});
        continue;
      }
      for (const Box& box : boxes)
        parts.meeting(box, [&](std::uint32_t g) {
          const Parts::Group& group = parts.groups()[g];
          const Box common = meet(box, group.box);
          for (const std::uint32_t p : group.instances) {
            if (use.updates && p == here) continue;
            if (writes[p].empty() || writes[p].back().use != number || writes[p].back().instance != i) writes[p].push_back({number, i, {}});
            writes[p].back().boxes.push_back(common);
          }
        });
    }
    return true;
  }

  /// Nothing is written twice in one context.
  bool once(BufferId buffer, const std::vector<std::uint32_t>& speakers, const std::vector<std::vector<Written>>& writes) {
    for (const std::uint32_t p : speakers) {
      const auto& list = writes[p];
      const auto both = list.size() < 2 ? std::nullopt : two_that_meet(list);
      if (!both) continue;
      const auto& [b, a, where] = *both;
      const std::string &first = actor_of(list[b].use).name, &second = actor_of(list[a].use).name;
      const std::string_view on = component_name(buffer);
      add("program/double-write", list[a].use,
          fmt::format("'{}' of {} {} and '{}' of {} {} both write element {} of '{}' on {} {}", first, on, from(list[b]), second, on,
                      from(list[a]), print(corner(where)), name_of(buffer), on, component_of(buffer, p)));
      return false;
    }
    return true;
  }

  std::string_view component_name(BufferId buffer) const {
    const chip::Memory& memory = program_.chip->memories[program_.buffers[buffer.index()].memory.index()];
    return program_.chip->components[memory.in.index()].name;
  }
  std::uint32_t component_of(BufferId buffer, std::uint32_t p) const { return program_.buffers[buffer.index()].spread->components[p]; }
  std::uint32_t from(const Written& w) const { return uses_[w.use].array->components[w.instance]; }

  bool reads(std::size_t number, const Parts& parts, const Fold& fold, const std::vector<std::vector<Written>>& writes,
             const Ended& ended) {
    const Use& use = uses_[number];
    const BufferId buffer = use.access->buffer;
    const bool early = actor_of(number).early;
    std::vector<const Box*> covers;
    std::vector<std::vector<Box>> earlier(written_[buffer.index()].size());
    std::vector<Interval> scratch;
    for (const std::uint32_t i : fold.speakers(*use.array)) {
      const std::uint32_t p = parts.on(use.array->components[i]);
      const std::vector<Box> boxes = use.boxes(i);
      if (boxes.empty()) continue;
      covers.clear();
      const auto met = [&](const Box& box) {
        return std::any_of(boxes.begin(), boxes.end(), [&](const Box& read) { return overlap(read, box); });
      };
      for (std::size_t r = 0; r < earlier.size(); ++r) {
        const Record& record = written_[buffer.index()][r];
        const std::size_t writer = record.context;
        earlier[r] = record.at(p);
        for (const Box& box : earlier[r]) {
          if (!met(box)) continue;
          if (ended.has(number_, writer)) {
            covers.push_back(&box);
          } else if (early) {
            add("program/unordered", number,
                fmt::format("'{}' starts early and reads element {} of '{}' on {}, which '{}' may still be writing", actor_of(number).name,
                            print(corner(box)), name_of(buffer), instance_name(program_, use, i), program_.contexts[writer].name),
                "let the early actors come after that context");
            return true;
          }
        }
      }
      for (const Written& w : writes[p]) {
        if (std::none_of(w.boxes.begin(), w.boxes.end(), met)) continue;
        switch (relation(w, number, i, p, parts)) {
          case Relation::before:
            for (const Box& box : w.boxes) covers.push_back(&box);
            break;
          case Relation::after: break;
          case Relation::none: {
            const auto box = std::find_if(w.boxes.begin(), w.boxes.end(), met);
            const auto read = std::find_if(boxes.begin(), boxes.end(), [&](const Box& b) { return overlap(b, *box); });
            add("program/unordered", number,
                fmt::format("'{}' reads and '{}' writes element {} of '{}' on {} in no order", actor_of(number).name, actor_of(w.use).name,
                            print(corner(meet(*box, *read))), name_of(buffer), instance_name(program_, use, i)),
                "the channels between them must order the firings, at each instance, in which both touch the element");
            return true;
          }
          case Relation::undecided: return false;
          case Relation::unknown: return too_large(number);
        }
      }
      for (const Box& read : boxes) {
        if (std::any_of(covers.begin(), covers.end(), [&](const Box* box) { return contains(*box, read); }) ||
            cover_in_line(read, covers, scratch))
          continue;
        std::vector<Box> outer;
        for (const Box* box : covers) outer.push_back(*box);
        bool exact = true;
        const auto point = uncovered_point({read}, outer, exact);
        if (!exact) return too_large(number);
        if (!point) continue;
        add("program/read-before-write", number,
            fmt::format("'{}' reads element {} of '{}' on {}, which nothing before it wrote there", actor_of(number).name, print(*point),
                        name_of(buffer), instance_name(program_, use, i)));
        return true;
      }
    }
    return true;
  }

  enum class Relation : std::uint8_t { before, after, none, undecided, unknown };

  /// How the firings of a writer's instance and a reader's, that touch elements of one copy, are ordered.
  Relation relation(const Written& w, std::size_t reader, std::uint32_t instance, std::uint32_t p, const Parts& parts) {
    const Use &writer = uses_[w.use], &use = uses_[reader];
    if (writer.actor == use.actor && w.instance == instance)  // a compute actor fires one firing after the other, a mover may overlap them
      return context_->actors[use.actor].kind == ActorKind::compute ? Relation::after : Relation::none;
    const bool own = writer.array == use.array && w.instance == instance;
    if (!whole_) return own ? played(w, reader, instance, p, parts, true) : unordered();
    if (!succession_) succession_ = std::make_unique<Succession>(*context_);
    const std::int64_t lead = succession_->lead(use.actor, instance, writer.actor, w.instance);
    if (lead == Succession::kAll || (lead > 0 && behind(w, use, instance, p, parts, lead))) return Relation::before;
    if (succession_->lead(writer.actor, w.instance, use.actor, instance) == Succession::kAll) return Relation::after;
    if (own)
      if (const Relation alone = played(w, reader, instance, p, parts, true); alone != Relation::none) return alone;
    return played(w, reader, instance, p, parts, false);
  }

  /// Whether no step of the reader's outermost loop touches what the writer writes in a step that need not be over.
  bool behind(const Written& w, const Use& use, std::uint32_t instance, std::uint32_t p, const Parts& parts, std::int64_t lead) const {
    const Use& writer = uses_[w.use];
    const auto inner = [&](const Use& of) {
      std::int64_t count = 1;
      const std::vector<Loop>& loops = context_->actors[of.actor].loops;
      for (std::size_t l = 1; l < loops.size(); ++l) count *= loops[l].trip;
      return count;
    };
    Firings written, read;
    if (!(writer.store ? writer.firings_at(parts, w.instance, p, inner(writer), written) : writer.firings(inner(writer), written)) ||
        !use.firings(inner(use), read))
      return false;
    if (!writer.store) writer.shift(w.instance, written);
    use.shift(instance, read);
    for (std::size_t t = 0; t < read.size(); ++t)
      for (std::size_t u = t + static_cast<std::size_t>(lead); u < written.size(); ++u)
        for (const Box& a : read[t])
          for (const Box& b : written[u])
            if (overlap(a, b)) return false;
    return true;
  }

  /// The same, from playing the context: `alone`, that of one instance without the others.
  Relation played(const Written& w, std::size_t reader, std::uint32_t instance, std::uint32_t p, const Parts& parts, bool alone) {
    const Use &writer = uses_[w.use], &use = uses_[reader];
    std::unique_ptr<Order>& made = alone ? own_order_ : full_order_;
    if (!made) made = std::make_unique<Order>(alone ? one_instance() : *context_);
    order_ = made.get();
    const Play& play = order_->play();
    const std::uint32_t a = play.layout().first_instance[writer.actor] + (alone ? 0 : w.instance);
    const std::uint32_t b = play.layout().first_instance[use.actor] + (alone ? 0 : instance);
    if (play.network_of(a) != play.network_of(b)) return unordered();
    // Where both shift alike and nothing tells their networks from those of other instances, the pattern speaks for all.
    const bool alike = !writer.store && writer.moves_as(use) && w.instance == instance;
    const auto key = std::tuple(w.use, reader, alone ? kNoIndex : play.kind_of(play.network_of(a)));
    if (alike)
      if (const auto known = relations_.find(key); known != relations_.end()) return known->second;
    Firings written, read;
    const std::int64_t inner_a = play.inner_firings(a), inner_b = play.inner_firings(b);
    if (!(writer.store ? writer.firings_at(parts, w.instance, p, inner_a, written) : writer.firings(inner_a, written)) ||
        !use.firings(inner_b, read))
      return Relation::unknown;
    if (alike) {
      const Relation pattern = compare(a, written, b, read);
      if (pattern == Relation::before || pattern == Relation::after) return relations_[key] = pattern;
      undecided_ = false;  // clipped, less may meet
    }
    if (!writer.store) writer.shift(w.instance, written);
    use.shift(instance, read);
    return compare(a, written, b, read);
  }

  /// Not ordered by what was played.
  Relation unordered() {
    undecided_ = undecided_ || (!whole_ && !apart_);
    return undecided_ ? Relation::undecided : Relation::none;
  }

  /// The context with one instance of each array and the channels that join it with itself. Without the others an instance may only come
  /// further, so that what is ordered here is ordered.
  const Context& one_instance() {
    one_ = *context_;
    std::erase_if(one_.channels, [&](const Channel& channel) { return !joins_itself(channel); });
    for (Array& array : one_.arrays) {
      std::fill(array.shape.begin(), array.shape.end(), 1);
      array.components.resize(1);
    }
    return one_;
  }

  Relation compare(std::uint32_t a, const Firings& written, std::uint32_t b, const Firings& read) {
    const bool before = order_->comes_after(b, read, a, written);
    const bool after = !before && order_->comes_after(a, written, b, read);
    if (!order_->exact()) return Relation::unknown;
    return before ? Relation::before : after ? Relation::after : unordered();
  }

  const Program& program_;
  Findings& findings_;
  PartsOf parts_;
  std::vector<std::vector<Record>> written_;  ///< per buffer, by the contexts so far
  std::vector<std::size_t> last_;             ///< per buffer: the last context that uses it

  // Of the context at hand.
  std::size_t number_ = 0;
  const Context* context_ = nullptr;
  std::vector<Use> uses_;
  bool apart_ = false;      ///< no channel joins different instances
  bool whole_ = false;      ///< the whole context is played
  bool undecided_ = false;  ///< it has to be
  Context one_;
  std::unique_ptr<Order> own_order_, full_order_;
  Order* order_ = nullptr;  ///< the one asked last
  std::unique_ptr<Succession> succession_;
  std::map<std::tuple<std::size_t, std::size_t, std::uint32_t>, Relation> relations_;
};

}  // namespace

void verify_parts(const Program& program, Findings& findings) {
  PartsOf parts(program.buffers);
  for (const Context& context : program.contexts) {
    for (const Use& use : uses_of(program, context)) {
      if (findings.full()) return;
      if (!use.countable()) {
        findings.add("program/too-large", at(context, context.actors[use.actor]),
                     "the accesses are too many and too irregular to be checked");
        continue;
      }
      if (use.store)
        check_messages(program, context, use, parts[use.access->buffer], findings);
      else
        check_own_part(program, context, use, parts[use.access->buffer], findings);
    }
  }
}

void verify_copies(const Program& program, Findings& findings) {
  if (std::any_of(program.buffers.begin(), program.buffers.end(), [](const Buffer& buffer) { return buffer.spread.has_value(); }))
    CopiesLaw(program, findings).check();
}

}  // namespace switchyard::program
