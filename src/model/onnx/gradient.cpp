#include "model/onnx/gradient.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <unordered_map>

#include "model/onnx/steps.h"

namespace switchyard::model::onnx {
namespace {

/// The sum of x over what broadcasting repeated: a tensor of the second input's shape.
void sum_like(NodeBuilder& b) {
  Steps s(b);
  const numerics::Shape from = b.shape(0), to = b.shape(1);
  std::vector<bool> axes(from.size(), false);
  for (std::size_t d = 0; d < from.size(); ++d) {
    const bool added = d + to.size() < from.size();
    axes[d] = added || (to[d + to.size() - from.size()] == 1 && from[d] != 1);
  }
  const bool any = std::find(axes.begin(), axes.end(), true) != axes.end();
  b.set_result(0, s.reshape(any ? s.reduce(s.in(0), axes, true, numerics::Combiner::add) : s.in(0), to));
}

/// The last two dimensions exchanged.
void flip(NodeBuilder& b) {
  Steps s(b);
  std::vector<int> order;
  for (std::size_t d = 0; d < b.shape(0).size(); ++d) order.push_back(static_cast<int>(d));
  if (order.size() >= 2) std::swap(order[order.size() - 1], order[order.size() - 2]);
  b.set_result(0, s.transpose(s.in(0), order));
}

constexpr Operator kSumLike{"SumLike", 1, 2, 2, "", sum_like};
constexpr Operator kFlip{"Flip", 1, 1, 1, "", flip};

class Gradient {
 public:
  Gradient(Scope& scope, const Node& node, const std::string& name, const std::vector<Node>& nodes, std::int64_t opset)
      : scope_(scope), node_(node), name_(name), nodes_(nodes), opset_(opset) {}

  void run() {
    const Attribute *xs = attribute("xs"), *zs = attribute("zs"), *y = attribute("y");
    if (xs == nullptr || xs->strings.empty() || y == nullptr) return malformed("onnx/attribute", "attributes xs and y are needed");
    std::vector<std::string> named = xs->strings;
    if (zs != nullptr) named.insert(named.end(), zs->strings.begin(), zs->strings.end());
    if (named != node_.inputs) {
      return unsupported("onnx/unsupported-feature", fmt::format("derivatives at other values than those of {}", fmt::join(named, ", ")));
    }
    const ValuePtr result = scope_.find(y->s);
    if (result == nullptr || result->kind != Value::Kind::tensor)
      return malformed("onnx/undefined-tensor", fmt::format("{} is not defined before it", y->s));
    for (const std::string& x : xs->strings) wanted_.insert(x);
    mark(y->s);
    auto ones = std::make_shared<Value>();
    ones->name = name_ + "/ones";
    ones->format = result->format;
    ones->shape = result->shape;
    ones->constant = std::make_shared<numerics::Constant>(numerics::Constant{[format = result->format, shape = result->shape] {
      numerics::Tensor tensor = numerics::make_tensor(format, shape);
      for (std::int64_t i = 0; i < tensor.count(); ++i) tensor.set(i, 1);
      return tensor;
    }});
    scope_.define(ones->name, ones);
    derivative_[y->s] = ones->name;
    // Consumers stand behind producers in `path_`: backwards, a derivative is whole when its producer is reached.
    for (auto n = path_.rbegin(); n != path_.rend() && !scope_.problems.any(); ++n) step(**n);
    if (scope_.problems.any()) return;
    for (std::size_t i = 0; i < xs->strings.size() && i < node_.outputs.size(); ++i) {
      if (node_.outputs[i].empty()) continue;
      const auto at = derivative_.find(xs->strings[i]);
      if (at == derivative_.end()) return malformed("onnx/attribute", fmt::format("{} does not depend on {}", y->s, xs->strings[i]));
      scope_.define(node_.outputs[i], scope_.find(at->second));
    }
  }

 private:
  void malformed(const char* code, const std::string& message) {
    scope_.problems.add_malformed(code, fmt::format("Gradient {}: {}", name_, message), name_);
  }
  void unsupported(const char* code, const std::string& message) {
    scope_.problems.add_unsupported(code, fmt::format("Gradient {}: {}", name_, message), name_);
  }
  const Attribute* attribute(std::string_view name) const {
    for (const Attribute& a : node_.attributes)
      if (a.name == name) return &a;
    return nullptr;
  }

  /// Nodes from which a wanted tensor reaches y, in an order in which they may be computed. Names are those of a graph without cycles.
  bool mark(const std::string& y) {
    for (const Node& n : nodes_)
      for (const std::string& output : n.outputs) producer_.emplace(output, &n);
    struct Frame {
      std::string name;
      std::size_t next = 0;
      bool depends = false;
    };
    std::vector<Frame> stack{{y, 0, wanted_.contains(y)}};
    std::unordered_map<std::string, bool> known;
    while (true) {
      Frame& top = stack.back();
      const auto at = producer_.find(top.name);
      const bool leaf = at == producer_.end() || wanted_.contains(top.name);
      if (!leaf && top.next < at->second->inputs.size()) {
        const std::string input = at->second->inputs[top.next];
        const auto seen = known.find(input);
        if (!input.empty() && seen == known.end()) {
          stack.push_back({input, 0, wanted_.contains(input)});
          continue;
        }
        top.depends = top.depends || (!input.empty() && seen->second);
        ++top.next;
        continue;
      }
      known[top.name] = top.depends;
      if (top.depends) depends_.insert(top.name);
      if (!leaf && top.depends && std::find(path_.begin(), path_.end(), at->second) == path_.end()) path_.push_back(at->second);
      stack.pop_back();
      if (stack.empty()) return known[y];
    }
  }

  std::string emit(const std::string& type, std::vector<std::string> inputs) {
    Node n;
    n.type = type;
    n.inputs = std::move(inputs);
    n.name = fmt::format("{}/{}", name_, count_++);
    n.outputs = {n.name};
    n.opset = opset_;
    if (type == "SumLike" || type == "Flip")
      scope_.build_as(type == "Flip" ? kFlip : kSumLike, n, n.name);
    else
      scope_.build(n, n.name);
    return n.outputs[0];
  }

  /// What flows into input i of a node, added to what is there already.
  void add(const Node& n, std::size_t i, std::string contribution) {
    const std::string& input = n.inputs[i];
    if (scope_.problems.any() || !depends_.contains(input)) return;
    contribution = emit("SumLike", {contribution, input});
    const auto [at, fresh] = derivative_.emplace(input, contribution);
    if (!fresh && !scope_.problems.any()) at->second = emit("Add", {at->second, contribution});
  }

  void step(const Node& n) {
    const auto at = n.outputs.empty() ? derivative_.end() : derivative_.find(n.outputs[0]);
    if (at == derivative_.end()) return;
    const std::string g = at->second, y = n.outputs[0];
    const auto in = [&](std::size_t i) { return i < n.inputs.size() ? n.inputs[i] : std::string(); };
    const auto wants = [&](std::size_t i) { return depends_.contains(in(i)); };
    const std::string& type = n.type;
    if (type == "Add" || type == "Sum") {
      for (std::size_t i = 0; i < n.inputs.size(); ++i) add(n, i, g);
    } else if (type == "Sub") {
      add(n, 0, g);
      if (wants(1)) add(n, 1, emit("Neg", {g}));
    } else if (type == "Mul") {
      if (wants(0)) add(n, 0, emit("Mul", {g, in(1)}));
      if (wants(1)) add(n, 1, emit("Mul", {g, in(0)}));
    } else if (type == "Div") {
      if (wants(0)) add(n, 0, emit("Div", {g, in(1)}));
      if (wants(1)) add(n, 1, emit("Neg", {emit("Div", {emit("Mul", {g, y}), in(1)})}));
    } else if (type == "Neg") {
      add(n, 0, emit("Neg", {g}));
    } else if (type == "Identity") {
      add(n, 0, g);
    } else if (type == "Exp") {
      add(n, 0, emit("Mul", {g, y}));
    } else if (type == "Log") {
      add(n, 0, emit("Div", {g, in(0)}));
    } else if (type == "Sqrt") {
      add(n, 0, emit("Div", {g, emit("Add", {y, y})}));
    } else if (type == "Tanh") {
      add(n, 0, emit("Sub", {g, emit("Mul", {g, emit("Mul", {y, y})})}));
    } else if (type == "Sigmoid") {
      const std::string part = emit("Mul", {g, y});
      add(n, 0, emit("Sub", {part, emit("Mul", {part, y})}));
    } else if (type == "Relu") {
      add(n, 0, emit("Mul", {g, emit("Sign", {y})}));
    } else if (type == "MatMul" && rank(in(0)) >= 2 && rank(in(1)) >= 2) {
      if (wants(0)) add(n, 0, emit("MatMul", {g, emit("Flip", {in(1)})}));
      if (wants(1)) add(n, 1, emit("MatMul", {emit("Flip", {in(0)}), g}));
    } else {
      unsupported("onnx/unsupported-operator", fmt::format("no rule for the derivative of {} ({})", type, n.name.empty() ? y : n.name));
    }
  }

  [[nodiscard]] std::size_t rank(const std::string& name) const {
    const ValuePtr value = scope_.find(name);
    return value == nullptr ? 0 : value->shape.size();
  }

  Scope& scope_;
  const Node& node_;
  const std::string& name_;
  const std::vector<Node>& nodes_;
  std::int64_t opset_;
  std::set<std::string> wanted_, depends_;
  std::unordered_map<std::string, const Node*> producer_;  // looked up only, never walked
  std::vector<const Node*> path_;
  std::unordered_map<std::string, std::string> derivative_;  // looked up only, never walked
  int count_ = 0;
};

}  // namespace

void build_gradient(Scope& scope, const Node& node, const std::string& name, const std::vector<Node>& nodes, std::int64_t opset) {
  Gradient(scope, node, name, nodes, opset).run();
}

}  // namespace switchyard::model::onnx
