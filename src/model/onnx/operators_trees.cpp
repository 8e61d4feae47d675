// Ensembles of decision trees as products (Nakandala et al., "A tensor compiler for unified machine learning prediction serving", OSDI
// 2020): all nodes decide at once, and a leaf is reached where as many of the decisions on its path came out as it needs.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <optional>
#include <set>

#include "model/onnx/operators.h"
#include "model/onnx/steps.h"

namespace switchyard::model::onnx {
namespace {

constexpr std::int64_t kMaxPaths = std::int64_t{1} << 24;  // trees x nodes of the largest x leaves of it
constexpr std::size_t kMaxNodes = 1 << 12;                 // of one tree: it has more leaves than nodes
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// The standard's numbers of comparisons, aggregates and transforms.
enum Mode : int { kLeq, kLess, kGeq, kGreater, kEqual, kNotEqual, kMember, kModes };
enum Aggregate : int { kAverage, kSum, kMin, kMax, kAggregates };
enum Transform : int { kNone, kSoftmax, kLogistic, kSoftmaxZero, kProbit, kTransforms };

/// The attributes, checked against each other.
struct Ensemble {
  std::vector<std::int64_t> roots, features, true_ids, false_ids, true_leaf, false_leaf, tracks_true, targets;
  std::vector<int> modes;
  std::vector<double> splits, members, weights;
  std::int64_t target_count = 0;
};

/// One tree, its inner nodes and leaves numbered from 0 in the order in which a walk from the root meets them.
struct Tree {
  std::vector<std::size_t> nodes, leaves;  ///< of the ensemble
  struct Edge {
    std::size_t node = 0;  ///< of the tree
    bool taken_if = true;
  };
  std::vector<std::vector<Edge>> paths;  ///< to each leaf
};

std::vector<double> numbers_of(NodeBuilder& b, std::string_view name) {
  const Attribute* a = b.attribute(name);
  if (a == nullptr || a->t == nullptr) return {};
  auto value = value_of(*a->t, b.file(), b.folder());
  if (!value) {
    b.adopt(value.failure());
    return {};
  }
  const numerics::Tensor tensor = value.value().constant->make();
  std::vector<double> numbers;
  for (std::int64_t i = 0; i < tensor.count(); ++i) numbers.push_back(tensor.at(i));
  return numbers;
}

std::optional<Ensemble> read_ensemble(NodeBuilder& b, std::int64_t columns) {
  Ensemble e;
  const auto ints = [&](const char* name) { return b.ints_attribute(name).value_or(std::vector<std::int64_t>()); };
  e.roots = ints("tree_roots"), e.features = ints("nodes_featureids"), e.targets = ints("leaf_targetids");
  e.true_ids = ints("nodes_truenodeids"), e.false_ids = ints("nodes_falsenodeids");
  e.true_leaf = ints("nodes_trueleafs"), e.false_leaf = ints("nodes_falseleafs");
  e.tracks_true = ints("nodes_missing_value_tracks_true");
  for (const double m : numbers_of(b, "nodes_modes")) e.modes.push_back(m >= 0 && m < 256 ? static_cast<int>(m) : kModes);
  e.splits = numbers_of(b, "nodes_splits");
  e.members = numbers_of(b, "membership_values"), e.weights = numbers_of(b, "leaf_weights");
  e.target_count = b.int_attribute("n_targets", 0);
  if (b.failed()) return {};
  const std::size_t n = e.features.size();
  const auto wrong = [&](std::string why) {
    b.malformed("onnx/attribute", std::move(why));
    return std::nullopt;
  };
  if (e.tracks_true.empty()) e.tracks_true.assign(n, 0);
  for (const std::size_t size : {e.true_ids.size(), e.false_ids.size(), e.true_leaf.size(), e.false_leaf.size(), e.modes.size(),
                                 e.splits.size(), e.tracks_true.size()})
    if (size != n) return wrong(fmt::format("lists of {} and {} nodes", n, size));
  if (n == 0 || e.roots.empty()) return wrong("there are no nodes or no roots");
  if (e.weights.empty() || e.weights.size() != e.targets.size())
    return wrong(fmt::format("{} leaf_weights for {} leaf_targetids", e.weights.size(), e.targets.size()));
  if (e.target_count < 1 || e.target_count > kMaxKnown) return wrong(fmt::format("n_targets is {}", e.target_count));
  const auto outside = [](std::int64_t id, std::size_t size) { return id < 0 || static_cast<std::size_t>(id) >= size; };
  for (std::size_t i = 0; i < n; ++i) {
    if (outside(e.true_ids[i], e.true_leaf[i] != 0 ? e.weights.size() : n) ||
        outside(e.false_ids[i], e.false_leaf[i] != 0 ? e.weights.size() : n))
      return wrong(fmt::format("node {} leads to {} and {}, which are not there", i, e.true_ids[i], e.false_ids[i]));
    if (outside(e.features[i], static_cast<std::size_t>(columns)))
      return wrong(fmt::format("node {} asks for feature {} of {}", i, e.features[i], columns));
    if (e.modes[i] >= kModes) return wrong(fmt::format("node {} has mode {}", i, e.modes[i]));
  }
  for (const std::int64_t root : e.roots)
    if (outside(root, n)) return wrong(fmt::format("tree_roots has {}", root));
  for (const std::int64_t t : e.targets)
    if (outside(t, static_cast<std::size_t>(e.target_count))) return wrong(fmt::format("leaf_targetids has {}", t));
  return e;
}

/// Nothing where a node is met twice: that is no tree.
/// Ends early in a tree of more nodes than any that is built: paths of a long chain would take memory by the square of its length.
std::optional<Tree> walk(const Ensemble& e, std::size_t root) {
  Tree tree;
  std::set<std::size_t> met;
  struct Place {
    std::size_t id = 0;
    bool leaf = false;
    std::vector<Tree::Edge> path;
  };
  std::vector<Place> open{{root, false, {}}};
  while (!open.empty() && tree.nodes.size() <= kMaxNodes) {
    Place at = std::move(open.back());
    open.pop_back();
    if (at.leaf) {
      tree.leaves.push_back(at.id);
      tree.paths.push_back(std::move(at.path));
      continue;
    }
    if (!met.insert(at.id).second) return {};
    const auto follow = [&](bool truth, std::vector<Tree::Edge> path) {
      open.push_back({static_cast<std::size_t>(truth ? e.true_ids[at.id] : e.false_ids[at.id]),
                      (truth ? e.true_leaf[at.id] : e.false_leaf[at.id]) != 0, std::move(path)});
    };
    // Both ways lead to one leaf: a tree that is a leaf.
    if (e.true_leaf[at.id] != 0 && e.false_leaf[at.id] != 0 && e.true_ids[at.id] == e.false_ids[at.id]) {
      follow(true, std::move(at.path));
      continue;
    }
    tree.nodes.push_back(at.id);
    for (const bool truth : {false, true}) {
      std::vector<Tree::Edge> path = at.path;
      path.push_back({tree.nodes.size() - 1, truth});
      follow(truth, std::move(path));
    }
  }
  return tree;
}

/// Sets of the nodes that ask for membership: in the order of these nodes, each ended by a NaN.
std::optional<std::vector<std::vector<double>>> sets_of(NodeBuilder& b, const Ensemble& e) {
  std::vector<std::vector<double>> sets(e.modes.size());
  std::size_t at = 0;
  for (std::size_t i = 0; i < e.modes.size(); ++i) {
    if (e.modes[i] != kMember) continue;
    for (; at < e.members.size() && !std::isnan(e.members[at]); ++at) sets[i].push_back(e.members[at]);
    if (at++ == e.members.size() || sets[i].empty()) {
      b.malformed("onnx/attribute", fmt::format("membership_values have no set for node {}", i));
      return {};
    }
  }
  return sets;
}

/// Decisions [rows, trees, nodes] of 0 or 1; `order` lists the ensemble's nodes by tree, filled up to `width` with -1.
TensorId decide(NodeBuilder& b, Steps& s, const Ensemble& e, const std::vector<std::vector<double>>& sets,
                const std::vector<std::int64_t>& order, std::int64_t trees, std::int64_t width) {
  std::vector<std::int64_t> columns;
  std::vector<double> splits, modes, missing;
  std::set<int> used;
  bool any_missing = false;
  std::size_t largest = 0;
  for (const std::int64_t node : order) {
    const auto n = static_cast<std::size_t>(std::max<std::int64_t>(0, node));
    columns.push_back(e.features[n]);
    splits.push_back(e.splits[n]);
    modes.push_back(e.modes[n]);
    missing.push_back(e.tracks_true[n] != 0 ? 1 : 0);
    used.insert(e.modes[n]);
    any_missing = any_missing || e.tracks_true[n] != 0;
    largest = std::max(largest, sets[n].size());
  }
  const Shape flat{trees, width};
  const std::int64_t rows = b.shape(0)[0];
  const TensorId asked = s.reshape(s.gather(b.operand(0), columns, 1), {rows, trees, width});
  const std::vector<Affine> node_at{loop(1), loop(2)}, here{loop(0), loop(1), loop(2)};
  std::vector<NestRead> reads{{asked, here}, {s.constant(b.format(0), flat, splits), node_at}};
  const Expression x = x0(), split = input(1);
  const auto compare = [&](int mode) {
    switch (mode) {
      case kLeq: return either(x < split, equal(x, split));
      case kLess: return x < split;
      case kGeq: return either(x > split, equal(x, split));
      case kGreater: return x > split;
      case kEqual: return equal(x, split);
      default: return !equal(x, split);
    }
  };
  Expression decision = number(0);
  if (largest > 0) {
    std::vector<double> members;
    for (const std::int64_t node : order) {
      std::vector<double> set = node < 0 ? std::vector<double>() : sets[static_cast<std::size_t>(node)];
      set.resize(largest, kNan);  // equal to nothing
      members.insert(members.end(), set.begin(), set.end());
    }
    const auto size = static_cast<std::int64_t>(largest);
    const TensorId set = s.constant(b.format(0), {trees, width, size}, members);
    reads.push_back({s.nest(b.format(0), {rows, trees, width}, {size}, {{asked, here}, {set, {loop(1), loop(2), loop(3)}}},
                            equal(x0(), input(1)), Combiner::max),
                     here});
    decision = input(static_cast<int>(reads.size()) - 1);
  }
  used.erase(kMember);
  if (used.size() == 1 && largest == 0) {
    decision = compare(*used.begin());
  } else if (!used.empty()) {
    reads.push_back({s.constant(b.format(0), flat, modes), node_at});
    const Expression mode = input(static_cast<int>(reads.size()) - 1);
    for (const int m : used) decision = select(equal(mode, number(m)), compare(m), decision);
  }
  if (any_missing) {
    reads.push_back({s.constant(b.format(0), flat, missing), node_at});
    decision = either(decision, both(!equal(x, x), input(static_cast<int>(reads.size()) - 1)));
  }
  return s.nest(b.format(0), {rows, trees, width}, {}, reads, decision);
}

void tree_ensemble(NodeBuilder& b) {
  const std::int64_t aggregate = b.int_attribute("aggregate_function", kSum), transform = b.int_attribute("post_transform", kNone);
  if (b.failed() || !b.require_floating(0)) return;
  const Shape x = b.shape(0);
  if (x.size() != 2) return b.malformed("onnx/shape", fmt::format("{} holds no rows of features", print_shape(x)));
  if (aggregate < 0 || aggregate >= kAggregates || transform < 0 || transform >= kTransforms)
    return b.malformed("onnx/attribute", fmt::format("aggregate_function {} or post_transform {} is unknown", aggregate, transform));
  if (transform == kProbit) return b.unsupported("onnx/unsupported-feature", "post_transform PROBIT is not supported");
  const auto e = read_ensemble(b, x[1]);
  if (!e) return;
  const auto sets = sets_of(b, *e);
  if (!sets) return;
  std::vector<Tree> forest;
  std::size_t width = 1, leaves = 1;
  for (const std::int64_t root : e->roots) {
    auto tree = walk(*e, static_cast<std::size_t>(root));
    if (!tree) return b.malformed("onnx/attribute", fmt::format("from root {} a node is reached twice", root));
    width = std::max(width, tree->nodes.size());
    leaves = std::max(leaves, tree->leaves.size());
    const double paths = static_cast<double>(e->roots.size()) * static_cast<double>(width) * static_cast<double>(std::max(leaves, width));
    if (paths > static_cast<double>(kMaxPaths)) {
      const std::string more = width > kMaxNodes ? "more than " : "up to ";
      return b.unsupported("onnx/unsupported-feature",
                           fmt::format("{} trees of {}{} nodes", e->roots.size(), more, std::min(width, kMaxNodes)));
    }
    forest.push_back(std::move(*tree));
  }
  const auto trees = static_cast<std::int64_t>(forest.size());
  // paths [trees, nodes, leaves]: 1 where the leaf lies on the true side of the node, -1 on the false side. The sum of decisions times
  // these is the number of true edges on the leaf's path where all decisions lead there, and less anywhere else.
  std::vector<std::int64_t> order;
  std::vector<double> paths(forest.size() * width * leaves, 0), wanted(forest.size() * leaves, static_cast<double>(width) + 1);
  std::vector<double> weights(forest.size() * leaves, 0), targets(forest.size() * leaves, -1);
  for (std::size_t t = 0; t < forest.size(); ++t) {
    const Tree& tree = forest[t];
    for (std::size_t k = 0; k < width; ++k) order.push_back(k < tree.nodes.size() ? static_cast<std::int64_t>(tree.nodes[k]) : -1);
    for (std::size_t l = 0; l < tree.leaves.size(); ++l) {
      double edges = 0;
      for (const Tree::Edge& edge : tree.paths[l]) {
        paths[(t * width + edge.node) * leaves + l] = edge.taken_if ? 1 : -1;
        edges += edge.taken_if ? 1 : 0;
      }
      wanted[t * leaves + l] = edges;
      weights[t * leaves + l] = e->weights[tree.leaves[l]];
      targets[t * leaves + l] = static_cast<double>(e->targets[tree.leaves[l]]);
    }
  }
  Steps s(b);
  const Format format = b.format(0);
  const auto w = static_cast<std::int64_t>(width), n = static_cast<std::int64_t>(leaves);
  const TensorId decisions = decide(b, s, *e, *sets, order, trees, w);
  const TensorId agreeing =
      s.nest(format, {x[0], trees, n}, {w},
             {{decisions, {loop(0), loop(1), loop(3)}}, {s.constant(format, {trees, w, n}, paths), {loop(1), loop(3), loop(2)}}},
             x0() * input(1), Combiner::add);
  const std::vector<Affine> leaf{loop(2), loop(3)};
  const std::vector<NestRead> reads{{agreeing, {loop(0), loop(2), loop(3)}},
                                    {s.constant(format, {trees, n}, wanted), leaf},
                                    {s.constant(format, {trees, n}, weights), leaf},
                                    {s.constant(Format::int32, {trees, n}, targets), leaf},
                                    {s.iota(Format::int32, e->target_count), {loop(1)}}};
  const Expression reached = both(equal(x0(), input(1)), equal(input(3), input(4)));
  const bool extreme = aggregate == kMin || aggregate == kMax;
  const double nothing = !extreme ? 0 : aggregate == kMin ? kInfinity : -kInfinity;
  TensorId y = s.nest(format, {x[0], e->target_count}, {trees, n}, reads, select(reached, input(2), number(nothing)),
                      !extreme            ? Combiner::add
                      : aggregate == kMin ? Combiner::min
                                          : Combiner::max);
  if (extreme) y = s.map({y}, select(equal(x0(), number(nothing)), number(0), x0()));  // a target of no tree
  if (aggregate == kAverage) y = s.map({y}, x0() * number(1.0 / static_cast<double>(trees)));
  if (transform == kLogistic) y = s.map({y}, unary(ScalarOp::sigmoid, x0()));
  if (transform == kSoftmax) y = s.softmax(y, 1);
  if (transform == kSoftmaxZero) {  // zeros stay, and count for nothing
    const TensorId peak = s.reduce(y, 1, true, Combiner::max);
    const TensorId powers = s.map({y, peak}, select(equal(x0(), number(0)), number(0), unary(ScalarOp::exp, x0() - input(1))));
    const TensorId sum = s.reduce(powers, 1, true, Combiner::add);
    y = s.map({powers, sum}, x0() / select(equal(input(1), number(0)), number(1), input(1)));
  }
  b.set_result(0, y);
}

constexpr std::array kOperators{
    Operator{
        "TreeEnsemble", 5, 1, 1,
        "aggregate_function leaf_targetids leaf_weights membership_values n_targets nodes_falseleafs nodes_falsenodeids nodes_featureids "
        "nodes_hitrates nodes_missing_value_tracks_true nodes_modes nodes_splits nodes_trueleafs nodes_truenodeids post_transform "
        "tree_roots",
        tree_ensemble},
};

}  // namespace

std::span<const Operator> tree_operators() { return kOperators; }

}  // namespace switchyard::model::onnx
