#include "compiler/mapping_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

#include "chip/query.h"
#include "compiler/estimate.h"
#include "compiler/grid_search.h"

namespace switchyard::compiler {
namespace {

using Entry = MappingFile::Entry;

constexpr std::array<const char*, 3> kSharingNames{"none", "multicast", "ring"};  // in the order of Sharing
constexpr std::int64_t kMost = std::int64_t{1} << 40;                             // of a number in a file
constexpr std::int64_t kMostFirings = std::int64_t{1} << 22;
constexpr std::int64_t kMostSlices = 1024;
constexpr std::int64_t kDeepest = std::int64_t{1} << 20;  // slots of a channel

/// Shell-like: * any run, ? any one character. Linear in practice: only the last star is ever tried again.
bool matches(const std::string& pattern, const std::string& name) {
  std::size_t p = 0, n = 0, star = std::string::npos, from = 0;
  while (n < name.size()) {
    if (p < pattern.size() && (pattern[p] == '?' || (pattern[p] == name[n] && pattern[p] != '*'))) {
      ++p, ++n;
    } else if (p < pattern.size() && pattern[p] == '*') {
      star = p++, from = n;
    } else if (star != std::string::npos) {
      p = star + 1, n = ++from;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

/// Names that are alike are told apart: x, x#2, x#3.
std::vector<std::string> distinct(std::vector<std::string> names) {
  std::map<std::string, int> seen;
  for (std::string& name : names)
    if (const int n = ++seen[name]; n > 1) name += fmt::format("#{}", n);
  return names;
}

std::vector<std::string> loop_names(const Kernel& kernel) {
  std::vector<std::string> names;
  for (const KernelDim& d : kernel.dims) names.push_back(d.name);
  return distinct(std::move(names));
}

std::vector<std::string> tensor_names(const graph::Graph& g, const Kernel& kernel) {
  std::vector<std::string> names;
  for (const KernelOperand& o : kernel.operands) names.push_back(g.tensor(o.tensor).name);
  return distinct(std::move(names));
}

std::string did_you_mean(const std::string& word, const std::vector<std::string>& names, const char* what) {
  const std::string nearest = nearest_name(word, names);
  if (!nearest.empty()) return fmt::format("did you mean '{}'?", nearest);
  std::string all;
  for (std::size_t i = 0; i < std::min<std::size_t>(names.size(), 12); ++i) all += (all.empty() ? "" : ", ") + names[i];
  return fmt::format("{}: {}{}", what, all, names.size() > 12 ? ", ..." : "");
}

// -------------------------------------------------------------------------------------------------------------- reading

class Reader {
 public:
  Reader(const MappingFile& file, const Document& document) : file_(file), document_(document) {}

  std::vector<Entry> entries() {
    const Node& root = document_.root;
    std::vector<Entry> out;
    if (!wants(root, Node::Kind::map, "a mapping file", "a map with the key 'mappings'")) return out;
    allow(root, {"array", "placement", "reductions", "mappings"});
    within = list_of(root, "array", 1);
    placement = list_of(root, "placement", 0);
    if (const Node* cuts = root.find("reductions")) reductions = numbers(*cuts, "reductions");
    const Node* list = root.find("mappings");
    if (!list) {
      report("mapping/shape", "a mapping file has a key 'mappings'", root, "mappings:\n  - kernel: NAME");
      return out;
    }
    if (!wants(*list, Node::Kind::sequence, "'mappings'", "a list of entries")) return out;
    for (const Node& item : list->items) out.push_back(entry(item));
    return out;
  }

  Failure failure{FailureKind::malformed, {}, {}};
  std::optional<std::vector<MappingFile::Value>> within, placement;
  std::vector<MappingFile::Named> reductions;

 private:
  std::optional<std::vector<MappingFile::Value>> list_of(const Node& root, std::string_view key, std::int64_t least) {
    const Node* list = root.find(key);
    if (!list || !wants(*list, Node::Kind::sequence, fmt::format("'{}'", key), "a list of numbers")) return std::nullopt;
    std::vector<MappingFile::Value> out;
    for (const Node& item : list->items)
      if (const auto n = number(item, least)) out.push_back(*n);
    return out;
  }

  Entry entry(const Node& node) {
    Entry e;
    if (!wants(node, Node::Kind::map, "an entry of 'mappings'", "a map with the key 'kernel'")) return e;
    allow(node, {"kernel", "nth", "unit", "epilogue", "split", "tile", "trips", "order", "accumulators", "slices", "overlap", "operands"});
    if (!node.find("kernel")) report("mapping/shape", "an entry names its 'kernel'", node);
    for (const auto& [key, value] : node.entries) {
      if (key == "kernel") e.kernel = name(value).value_or(MappingFile::Name{});
      if (key == "nth") e.nth = number(value) ? std::optional(number(value)->value) : std::nullopt;
      if (key == "unit") e.unit = name(value);
      if (key == "epilogue") e.epilogue = name(value);
      if (key == "split") e.split = numbers(value, key);
      if (key == "tile") e.tile = numbers(value, key);
      if (key == "trips") e.trips = numbers(value, key);
      if (key == "accumulators") e.accumulators = number(value);
      if (key == "slices") e.slices = number(value);
      if (key == "overlap") e.overlap = truth(value);
      if (key == "order" && wants(value, Node::Kind::sequence, "'order'", "a list of loops")) {
        e.order.emplace();
        for (const Node& item : value.items)
          if (auto n = name(item)) e.order->push_back(*n);
      }
      if (key == "operands" && wants(value, Node::Kind::map, "'operands'", "a map from tensors to what is done with them"))
        for (const auto& [tensor, said] : value.entries) e.operands.push_back(operand(tensor, said));
    }
    return e;
  }

  MappingFile::Operand operand(const std::string& tensor, const Node& node) {
    MappingFile::Operand o;
    o.tensor = {tensor, key_place(node)};
    if (!wants(node, Node::Kind::map, fmt::format("'{}'", tensor), "a map")) return o;
    allow(node, {"sharing", "depth", "resident", "in"});
    for (const auto& [key, value] : node.entries) {
      if (key == "sharing") o.sharing = choice<Sharing>(value, {kSharingNames.begin(), kSharingNames.end()});
      if (key == "depth") o.depth = number(value);
      if (key == "resident") o.resident = truth(value);
      if (key == "in")
        if (const auto where = choice<int>(value, {"memory", "scratchpads"})) o.placed = *where == 1;
    }
    return o;
  }

  template <class Enum>
  std::optional<Enum> choice(const Node& node, const std::vector<std::string>& names) {
    const auto n = name(node);
    if (!n) return std::nullopt;
    for (std::size_t i = 0; i < names.size(); ++i)
      if (n->text == names[i]) return static_cast<Enum>(i);
    report("mapping/value", fmt::format("there is no '{}' here", n->text), node, did_you_mean(n->text, names, "values"));
    return std::nullopt;
  }
  std::optional<bool> truth(const Node& node) { return choice<bool>(node, {"false", "true"}); }

  std::optional<MappingFile::Name> name(const Node& node) {
    if (!wants(node, Node::Kind::scalar, "this", "a single value")) return std::nullopt;
    return MappingFile::Name{node.text, document_.location(node)};
  }

  std::optional<MappingFile::Value> number(const Node& node, std::int64_t least = 1) {
    if (!wants(node, Node::Kind::scalar, "this", "a whole number")) return std::nullopt;
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(node.text.data(), node.text.data() + node.text.size(), value);
    if (error != std::errc() || end != node.text.data() + node.text.size() || value < least || value > kMost) {
      report("mapping/value", fmt::format("'{}' is not a whole number from {} on", node.text, least), node);
      return std::nullopt;
    }
    return MappingFile::Value{value, document_.location(node)};
  }

  std::vector<MappingFile::Named> numbers(const Node& node, const std::string& key) {
    std::vector<MappingFile::Named> out;
    if (!wants(node, Node::Kind::map, fmt::format("'{}'", key),
               key == "reductions" ? "a map from operators to numbers" : "a map from loops to numbers"))
      return out;
    for (const auto& [loop, value] : node.entries)
      if (auto n = number(value)) {
        n->at = key_place(value);
        out.push_back({loop, *n});
      }
    return out;
  }

  /// Where the key stands; an empty one has no place of its own.
  [[nodiscard]] Location key_place(const Node& value) const {
    if (value.key_line > 0) return {document_.file, value.key_line, value.key_column};
    return value.line > 0 ? document_.location(value) : Location{document_.file, 1, 1};
  }

  bool wants(const Node& node, Node::Kind kind, const std::string& what, const char* wanted) {
    if (node.kind == kind) return true;
    report("mapping/shape", fmt::format("{} must be {}", what, wanted), node);
    return false;
  }

  void allow(const Node& node, const std::vector<std::string>& keys) {
    for (const auto& [key, value] : node.entries)
      if (std::find(keys.begin(), keys.end(), key) == keys.end())
        failure.diagnostics.push_back(file_.diagnose("mapping/unknown-key", fmt::format("there is no key '{}' here", key), key_place(value),
                                                     did_you_mean(key, keys, "keys")));
  }

  void report(std::string code, std::string message, const Node& node, std::string hint = {}) {
    const Location at = node.line > 0 ? document_.location(node) : key_place(node);
    failure.diagnostics.push_back(file_.diagnose(std::move(code), std::move(message), at, std::move(hint)));
  }

  const MappingFile& file_;
  const Document& document_;
};

// ------------------------------------------------------------------------------------------------------------- applying

class Applier {
 public:
  Applier(const MappingFile& file, const Entry& entry, const Machine& machine, const graph::Graph& g, const Kernel& kernel,
          const std::vector<std::vector<int>>& layouts, const std::vector<Reach>& reach)
      : file_(file),
        entry_(entry),
        machine_(machine),
        g_(g),
        kernel_(kernel),
        layouts_(layouts),
        reach_(reach),
        loops_(loop_names(kernel)) {}

  Result<Mapping> run() {
    SY_TRY(const auto units, unit_choices(machine_, g_, kernel_));
    Mapping m;
    choose_units(units, m);
    cut(m);
    order(m);
    operands(m);
    if (failure_.diagnostics.empty()) cut_into_slices(m);
    if (!failure_.diagnostics.empty()) return failure_;
    if (const std::string problem = check(m); !problem.empty()) return impossible(problem);
    const Evaluator evaluator(machine_, g_, kernel_, layouts_, reach_, 0, m.unit, m.epilogue_unit);
    if (const std::string problem = evaluator.complete(m); !problem.empty()) return impossible(problem);
    if (evaluator.fits(m)) return m;
    Failure failure = fail(FailureKind::unsupported,
                           file_.diagnose("compile/does-not-fit", fmt::format("'{}' does not fit mapped like this", kernel_.name),
                                          entry_.kernel.at, "smaller tiles or depths"));
    failure.infeasible.push_back(evaluator.explain_complete(m));
    return failure;
  }

 private:
  void unknown(const std::string& what, const MappingFile::Name& name, const std::vector<std::string>& names) {
    failure_.diagnostics.push_back(file_.diagnose("mapping/unknown-name", fmt::format("'{}' has no {} '{}'", kernel_.name, what, name.text),
                                                  name.at, did_you_mean(name.text, names, what.c_str())));
  }
  Failure impossible(const std::string& problem) const {
    return fail(FailureKind::unsupported,
                file_.diagnose("mapping/impossible", fmt::format("'{}': {}", kernel_.name, problem), entry_.kernel.at));
  }

  void choose_units(const std::vector<UnitChoice>& units, Mapping& m) {
    const auto name_of = [&](chip::UnitId u) { return u.valid() ? machine_.chip->units[u.index()].name : std::string("none"); };
    std::vector<std::string> names;
    for (const UnitChoice& u : units) names.push_back(name_of(u.unit));
    std::size_t at = 0;
    if (entry_.unit) {
      at = static_cast<std::size_t>(std::find(names.begin(), names.end(), entry_.unit->text) - names.begin());
      if (at == names.size()) {
        unknown("unit that could run it called", *entry_.unit, names);
        at = 0;
      }
    }
    m.unit = units[at].unit;
    m.epilogue_unit = units[at].epilogue;
    if (entry_.epilogue && entry_.epilogue->text != name_of(m.epilogue_unit))
      unknown("epilogue on", *entry_.epilogue, {name_of(m.epilogue_unit)});
  }

  /// Sets to[d] for each loop named.
  void read(const std::vector<MappingFile::Named>& from, std::vector<std::int64_t>& to) {
    for (const auto& [name, value] : from) {
      const auto at = std::find(loops_.begin(), loops_.end(), name);
      if (at == loops_.end())
        unknown("loop", {name, value.at}, loops_);
      else
        to[static_cast<std::size_t>(at - loops_.begin())] = value.value;
    }
  }

  void cut(Mapping& m) {
    const std::size_t n = kernel_.dims.size();
    m.split.assign(n, 1);
    m.tile.assign(n, 0);
    m.trips.assign(n, 0);
    read(entry_.split, m.split);
    read(entry_.tile, m.tile);
    read(entry_.trips, m.trips);
    for (std::size_t d = 0; d < n; ++d) {
      const std::int64_t extent = kernel_.dims[d].extent;
      m.split[d] = std::min(m.split[d], extent);
      const std::int64_t local = ceil_div(extent, m.split[d]);
      if (m.tile[d] == 0) m.tile[d] = m.trips[d] > 0 ? ceil_div(local, m.trips[d]) : local;
      m.tile[d] = std::min(m.tile[d], machine_.grid ? extent : local);
      if (m.trips[d] == 0) m.trips[d] = machine_.grid && !kernel_.dims[d].reduction ? 1 : ceil_div(local, m.tile[d]);
    }
  }

  void order(Mapping& m) {
    m.order.clear();
    std::vector<bool> used(kernel_.dims.size(), false);
    for (const MappingFile::Name& name : entry_.order.value_or(std::vector<MappingFile::Name>{})) {
      const auto at = std::find(loops_.begin(), loops_.end(), name.text);
      if (at == loops_.end()) {
        unknown("loop", name, loops_);
        continue;
      }
      const auto d = static_cast<std::size_t>(at - loops_.begin());
      if (used[d] || m.trips[d] <= 1) continue;
      used[d] = true;
      m.order.push_back(static_cast<int>(d));
    }
    for (const bool reduction : {false, true})
      for (std::size_t d = 0; d < kernel_.dims.size(); ++d)
        if (!used[d] && m.trips[d] > 1 && kernel_.dims[d].reduction == reduction) m.order.push_back(static_cast<int>(d));
    std::stable_partition(m.order.begin(), m.order.end(), [&](int d) { return !kernel_.dims[static_cast<std::size_t>(d)].reduction; });
  }

  /// Tiles that are larger than a slice of the ring would be are made as large as one.
  void cut_into_slices(Mapping& m) {
    if (std::count(m.sharing.begin(), m.sharing.end(), Sharing::ring) == 0 || ring_of(kernel_, m, reach_).ring) return;
    const auto along = instances_along(kernel_, m);
    const auto passed = static_cast<std::size_t>(std::find(m.sharing.begin(), m.sharing.end(), Sharing::ring) - m.sharing.begin());
    std::int64_t members = 1;
    for (std::size_t d = 0; d < along.size(); ++d)
      if (std::none_of(kernel_.operands[passed].index.begin(), kernel_.operands[passed].index.end(),
                       [&](const numerics::Affine& f) { return f.depends_on(static_cast<int>(d)); }))
        members *= along[d];
    for (std::size_t d = 0; d < kernel_.dims.size(); ++d) {
      if (kernel_.dims[d].reduction) continue;
      Mapping sliced = m;
      const std::int64_t local = ceil_div(kernel_.dims[d].extent, m.split[d]);
      sliced.tile[d] = std::min(m.tile[d], ceil_div(local, members));
      sliced.trips[d] = ceil_div(local, sliced.tile[d]);
      order(sliced);
      operands(sliced);
      if (!ring_of(kernel_, sliced, reach_).ring) continue;
      m = std::move(sliced);
      return;
    }
  }

  void operands(Mapping& m) {
    const std::size_t n = kernel_.operands.size();
    m.sharing.assign(n, Sharing::none);
    m.resident.assign(n, false);
    m.depth.assign(n, 0);
    const auto names = tensor_names(g_, kernel_);
    for (const MappingFile::Operand& o : entry_.operands) {
      const auto at = static_cast<std::size_t>(std::find(names.begin(), names.end(), o.tensor.text) - names.begin());
      if (at == n) {
        unknown("tensor", o.tensor, names);
        continue;
      }
      m.sharing[at] = o.sharing.value_or(Sharing::none);
      m.resident[at] = o.resident.value_or(false);
      if (o.depth) m.depth[at] = o.depth->value;
    }
    for (std::size_t i = 0; i < n; ++i) {
      const auto kept = kept_loops(kernel_.operands[i], m.order, m.resident[i]);
      const std::int64_t tokens = tokens_per_instance(kept, m.order, m.trips), live = live_tokens(kept, m.order, m.trips);
      if (m.depth[i] == 0) m.depth[i] = live > 1 ? live : tokens > 1 ? 2 : 1;
    }
    m.overlap = entry_.overlap.value_or(true);
    if (entry_.accumulators) m.accumulator_depth = entry_.accumulators->value;
    if (entry_.slices) m.slices = entry_.slices->value;
  }

  /// What no program can express, in words; empty when all is well.
  std::string check(const Mapping& m) {
    std::int64_t instances = 1, firings = 1;
    if (m.slices > 1 && (!deals_waves(machine_) || m.slices > kMostSlices))
      return fmt::format("reductions are dealt in slices, {} at most, where blocks run in waves", kMostSlices);
    for (std::size_t d = 0; d < kernel_.dims.size(); ++d) {
      const KernelDim& dim = kernel_.dims[d];
      const bool whole = m.trips[d] == 1 && m.tile[d] == dim.extent;
      if (!dim.parallel && !dim.reduction && !whole) return fmt::format("loop '{}' stays whole in every tile", loops_[d]);
      if (m.trips[d] > ceil_div(dim.extent, m.tile[d])) return fmt::format("loop '{}' has fewer tiles than its trips", loops_[d]);
      if (m.trips[d] > kMostFirings / firings) return fmt::format("more than {} tiles an instance", kMostFirings);
      firings *= m.trips[d];
      if (dim.reduction && (m.split[d] > 1 || m.trips[d] * m.tile[d] < dim.extent))
        return fmt::format("loop '{}' is a reduction: instances do not share it ('reductions' makes its sums in parts)", loops_[d]);
      if (machine_.grid && !dim.reduction && m.trips[d] > 1)
        return fmt::format("{} deals tiles of parallel loops to its components: '{}' has one tile an instance", machine_.chip->name,
                           loops_[d]);
      const std::int64_t along = dim.reduction ? 1 : ceil_div(dim.extent, m.trips[d] * m.tile[d]);
      if (!machine_.grid && along > static_cast<std::int64_t>(machine_.components.size()))
        return fmt::format("{} instances along '{}' need more than the {} components of {}", along, loops_[d], machine_.components.size(),
                           machine_.chip->name);
      instances *= along;
    }
    if (!machine_.grid && instances > static_cast<std::int64_t>(machine_.components.size()))
      return fmt::format("{} instances need more than the {} components of {}", instances, machine_.components.size(), machine_.chip->name);
    for (std::size_t i = 0; i < kernel_.operands.size(); ++i) {
      const KernelOperand& o = kernel_.operands[i];
      const std::string& name = g_.tensor(o.tensor).name;
      if (m.sharing[i] != Sharing::none && !machine_.cast.valid())
        return fmt::format("{} cannot share '{}': no mover leads from component to component", machine_.chip->name, name);
      if (m.sharing[i] != Sharing::none && (o.write || reach_[i] == Reach::placed || kernel_.copy))
        return fmt::format("'{}' is not read from off-chip memory, so it cannot be shared", name);
      if (m.depth[i] > kDeepest || m.accumulator_depth > kDeepest) return fmt::format("a channel has at most {} slots", kDeepest);
      if (o.write && m.resident[i]) return fmt::format("'{}' is written: it cannot be resident", name);
      if (const std::int64_t live = live_tokens(kept_loops(o, m.order, m.resident[i]), m.order, m.trips); m.depth[i] < live)
        return fmt::format("'{}' keeps {} tokens: its depth must not be less", name, live);
    }
    return ring_of(kernel_, m, reach_).problem;
  }

  const MappingFile& file_;
  const Entry& entry_;
  const Machine& machine_;
  const graph::Graph& g_;
  const Kernel& kernel_;
  const std::vector<std::vector<int>>& layouts_;
  const std::vector<Reach>& reach_;
  std::vector<std::string> loops_;
  Failure failure_{FailureKind::malformed, {}, {}};
};

// -------------------------------------------------------------------------------------------------------------- writing

Node scalar(std::string text, bool quoted = false) {
  Node node;
  node.kind = Node::Kind::scalar;
  node.text = std::move(text);
  node.quoted = quoted;
  return node;
}
Node whole(std::int64_t value) { return scalar(fmt::format("{}", value)); }
Node collection(Node::Kind kind) {
  Node node;
  node.kind = kind;
  return node;
}

}  // namespace

Diagnostic MappingFile::diagnose(std::string code, std::string message, const Location& at, std::string hint) const {
  return {std::move(code), std::move(message), at, {}, std::move(hint), at.line > 0 ? document_.line_text(at.line) : ""};
}

Result<MappingFile> MappingFile::parse(std::string text, std::string file) {
  MappingFile out;
  SY_TRY(out.document_, parse_document(std::move(text), std::move(file)));
  Reader reader(out, out.document_);
  out.entries_ = reader.entries();
  out.within_ = std::move(reader.within);
  out.placement_ = std::move(reader.placement);
  out.reductions_ = std::move(reader.reductions);
  if (!reader.failure.diagnostics.empty()) return reader.failure;
  return out;
}

Result<MappingFile> MappingFile::read(const std::string& path) {
  SY_TRY(Document document, read_document(path));
  return parse(std::move(document.text), path);
}

const Entry* MappingFile::find(const std::string& kernel, std::int64_t nth) const {
  const auto fits = [&](const Entry& e) { return !e.nth || *e.nth == nth; };
  for (const Entry& e : entries_)
    if (e.kernel.text == kernel && fits(e)) return &e;
  for (const Entry& e : entries_)
    if (matches(e.kernel.text, kernel) && fits(e)) return &e;
  return nullptr;
}

std::vector<std::int64_t> numbers_among_namesakes(const std::vector<Kernel>& kernels) {
  std::map<std::string, std::int64_t> seen;
  std::vector<std::int64_t> out;
  for (const Kernel& k : kernels) out.push_back(++seen[k.name]);
  return out;
}

Result<std::vector<std::uint32_t>> placement_of(const MappingFile& file, const Machine& machine) {
  std::vector<std::uint32_t> to;
  if (!file.placement()) return to;
  const std::vector<MappingFile::Value>& wanted = *file.placement();
  const chip::Component& component = machine.chip->components[machine.component.index()];
  const auto all = static_cast<std::size_t>(chip::instance_count(component));
  Failure failure{FailureKind::malformed, {}, {}};
  const auto problem = [&](std::string text, const Location& at) {
    failure.diagnostics.push_back(file.diagnose("mapping/value", std::move(text), at, "where the work of each of them goes, in order"));
  };
  const Location first = wanted.empty() ? Location{} : wanted.front().at;
  if (machine.grid) problem(fmt::format("{} deals instances to all its components", machine.chip->name), first);
  if (wanted.size() != all) problem(fmt::format("there are {} {}s, 'placement' names {}", all, component.name, wanted.size()), first);
  if (!failure.diagnostics.empty()) return failure;
  std::vector<bool> works(all, false), taken(all, false);
  for (const std::uint32_t i : chip::working_instances(component)) works[i] = true;
  for (std::size_t i = 0; i < all; ++i) {
    const auto [number, at] = wanted[i];
    if (number >= static_cast<std::int64_t>(all)) {
      problem(fmt::format("{} {} does not exist", component.name, number), at);
    } else if (taken[static_cast<std::size_t>(number)]) {
      problem(fmt::format("{} {} is taken twice", component.name, number), at);
    } else if (works[static_cast<std::size_t>(number)] != works[i]) {
      problem(fmt::format("one of {0} {1} and {0} {2} is absent from this chip", component.name, i, number), at);
    } else {
      taken[static_cast<std::size_t>(number)] = true;
    }
    to.push_back(static_cast<std::uint32_t>(number));
  }
  if (!failure.diagnostics.empty()) return failure;
  return to;
}

Result<Machine> apply_array(const MappingFile& file, const Machine& machine) {
  if (!file.within()) return machine;
  const std::vector<MappingFile::Value>& wanted = *file.within();
  const chip::Component& component = machine.chip->components[machine.component.index()];
  Failure failure{FailureKind::malformed, {}, {}};
  const Location at = wanted.empty() ? Location{} : wanted.front().at;
  if (machine.grid)
    failure.diagnostics.push_back(
        file.diagnose("mapping/value", fmt::format("{} deals instances to all its components", machine.chip->name), at));
  else if (wanted.size() != component.shape.size())
    failure.diagnostics.push_back(
        file.diagnose("mapping/value", fmt::format("the array of {} has {} dimensions", component.name, component.shape.size()), at));
  std::vector<std::int64_t> extent;
  for (std::size_t d = 0; d < wanted.size() && failure.diagnostics.empty(); ++d) {
    extent.push_back(wanted[d].value);
    if (extent[d] > component.shape[d])
      failure.diagnostics.push_back(file.diagnose(
          "mapping/value", fmt::format("the array of {} has {} in dimension {}", component.name, component.shape[d], d), wanted[d].at));
  }
  if (!failure.diagnostics.empty()) return failure;
  Machine m = within(machine, std::move(extent));
  if (!m.components.empty()) return m;
  failure.diagnostics.push_back(file.diagnose("mapping/value", fmt::format("no {} of this corner works", component.name), at));
  return failure;
}

Result<std::vector<ReductionCut>> apply_reductions(const MappingFile& file, const Machine& machine, graph::Graph& g) {
  Failure failure{FailureKind::malformed, {}, {}};
  std::vector<ReductionCut> cuts;
  std::vector<std::string> names;
  for (const graph::Op& op : g.ops) names.push_back(op.name);
  for (const MappingFile::Named& wanted : file.reductions()) {
    const ReductionCut cut{wanted.name, wanted.value.value};
    if (std::find(names.begin(), names.end(), cut.op) == names.end()) {
      failure.diagnostics.push_back(file.diagnose("mapping/unknown-name", fmt::format("the model has no operator '{}'", cut.op),
                                                  wanted.value.at, did_you_mean(cut.op, names, "operators")));
    } else if (const std::string why = cut_reduction(machine, g, cut); !why.empty()) {
      failure.diagnostics.push_back(file.diagnose("mapping/value", "this reduction is not cut: " + why, wanted.value.at));
    } else {
      cuts.push_back(cut);
    }
  }
  if (!failure.diagnostics.empty()) return failure;
  return cuts;
}

Status check_kernels(const MappingFile& file, const std::vector<Kernel>& kernels) {
  Failure failure{FailureKind::malformed, {}, {}};
  std::vector<std::string> names;
  for (const Kernel& k : kernels) names.push_back(k.name);
  const auto numbers = numbers_among_namesakes(kernels);
  for (const Entry& e : file.entries()) {
    bool known = false;
    for (std::size_t k = 0; k < kernels.size(); ++k)
      known = known || ((e.kernel.text == names[k] || matches(e.kernel.text, names[k])) && (!e.nth || *e.nth == numbers[k]));
    if (!known)
      failure.diagnostics.push_back(file.diagnose("mapping/unknown-name", fmt::format("the model has no kernel '{}'", e.kernel.text),
                                                  e.kernel.at, did_you_mean(e.kernel.text, names, "kernels")));
  }
  if (!failure.diagnostics.empty()) return failure;
  return Done{};
}

void apply_places(const MappingFile& file, const graph::Graph& g, const std::vector<Kernel>& kernels, std::vector<bool>& stays) {
  const auto numbers = numbers_among_namesakes(kernels);
  for (std::size_t k = 0; k < kernels.size(); ++k) {
    const Entry* entry = file.find(kernels[k].name, numbers[k]);
    if (!entry) continue;
    const auto names = tensor_names(g, kernels[k]);
    for (const MappingFile::Operand& o : entry->operands)
      for (std::size_t i = 0; i < names.size(); ++i)
        if (names[i] == o.tensor.text && o.placed && !*o.placed) stays[kernels[k].operands[i].tensor.index()] = false;
  }
}

Result<Mapping> apply_entry(const MappingFile& file, const Entry& entry, const Machine& machine, const graph::Graph& g,
                            const Kernel& kernel, const std::vector<std::vector<int>>& layouts, const std::vector<Reach>& reach) {
  return Applier(file, entry, machine, g, kernel, layouts, reach).run();
}

std::string print_mapping_file(const Machine& machine, const graph::Graph& g, const std::vector<Kernel>& kernels,
                               const std::vector<Mapping>& mappings, const std::vector<std::vector<Reach>>& reach,
                               const std::vector<std::uint32_t>& placement, const std::vector<ReductionCut>& cuts) {
  Node root = collection(Node::Kind::map), list = collection(Node::Kind::sequence);
  const auto numbers = numbers_among_namesakes(kernels);
  std::map<std::string, int> namesakes;
  for (const Kernel& k : kernels) ++namesakes[k.name];
  for (std::size_t k = 0; k < kernels.size(); ++k) {
    const Kernel& kernel = kernels[k];
    const Mapping& m = mappings[k];
    const auto loops = loop_names(kernel);
    Node entry = collection(Node::Kind::map);
    const auto set = [&](const char* key, Node node) {
      if (node.kind == Node::Kind::scalar || !node.entries.empty() || !node.items.empty()) entry.entries.emplace_back(key, std::move(node));
    };
    set("kernel", scalar(kernel.name, true));
    if (namesakes[kernel.name] > 1) set("nth", whole(numbers[k]));
    set("unit", scalar(machine.chip->units[m.unit.index()].name));
    if (m.epilogue_unit.valid()) set("epilogue", scalar(machine.chip->units[m.epilogue_unit.index()].name));
    Node split = collection(Node::Kind::map), tile = split, trips = split, order = collection(Node::Kind::sequence), operands = split;
    const auto along = instances_along(kernel, m);
    for (std::size_t d = 0; d < kernel.dims.size(); ++d) {
      const std::int64_t local = ceil_div(kernel.dims[d].extent, along[d]), tiled = std::min(m.tile[d], kernel.dims[d].extent);
      if (along[d] > 1) split.entries.emplace_back(loops[d], whole(along[d]));
      if (tiled != local) tile.entries.emplace_back(loops[d], whole(tiled));
      const bool dealt = machine.grid && !kernel.dims[d].reduction;
      if (m.trips[d] != (dealt ? 1 : ceil_div(local, tiled))) trips.entries.emplace_back(loops[d], whole(m.trips[d]));
    }
    for (const int d : m.order) order.items.push_back(scalar(loops[static_cast<std::size_t>(d)]));
    set("split", std::move(split));
    set("tile", std::move(tile));
    set("trips", std::move(trips));
    set("order", std::move(order));
    if (m.epilogue_unit.valid()) set("accumulators", whole(m.accumulator_depth));
    if (m.slices > 1) set("slices", whole(m.slices));
    if (!m.overlap) set("overlap", scalar("false"));
    const auto names = tensor_names(g, kernel);
    for (std::size_t i = 0; i < kernel.operands.size(); ++i) {
      Node o = collection(Node::Kind::map);
      const bool placed = reach[k][i] == Reach::placed;
      const graph::TensorId t = kernel.operands[i].tensor;
      if (g.tensor(t).role == graph::Role::intermediate && std::find(g.outputs.begin(), g.outputs.end(), t) == g.outputs.end())
        o.entries.emplace_back("in", scalar(placed ? "scratchpads" : "memory"));
      if (m.sharing[i] != Sharing::none) o.entries.emplace_back("sharing", scalar(kSharingNames[static_cast<std::size_t>(m.sharing[i])]));
      if (m.resident[i]) o.entries.emplace_back("resident", scalar("true"));
      if (!placed) o.entries.emplace_back("depth", whole(m.depth[i]));
      if (!o.entries.empty()) operands.entries.emplace_back(names[i], std::move(o));
    }
    set("operands", std::move(operands));
    list.items.push_back(std::move(entry));
  }
  if (!machine.grid && machine.extent != machine.chip->components[machine.component.index()].shape) {
    Node array = collection(Node::Kind::sequence);
    for (const std::int64_t extent : machine.extent) array.items.push_back(whole(extent));
    root.entries.emplace_back("array", std::move(array));
  }
  if (!placement.empty()) {
    Node places = collection(Node::Kind::sequence);
    for (const std::uint32_t to : placement) places.items.push_back(whole(to));
    root.entries.emplace_back("placement", std::move(places));
  }
  if (!cuts.empty()) {
    Node parts = collection(Node::Kind::map);
    for (const ReductionCut& cut : cuts) parts.entries.emplace_back(cut.op, whole(cut.parts));
    root.entries.emplace_back("reductions", std::move(parts));
  }
  root.entries.emplace_back("mappings", std::move(list));
  return print_yaml(root);
}

}  // namespace switchyard::compiler
