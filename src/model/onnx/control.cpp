#include "model/onnx/control.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "model/onnx/functions.h"
#include "model/onnx/steps.h"

namespace switchyard::model::onnx {
namespace {

constexpr int kDeepest = 32;
constexpr std::int64_t kMostElements = std::int64_t{1} << 22;  ///< of all sequences together
constexpr std::int64_t kMostNodes = std::int64_t{1} << 16;     ///< that bodies may come to when every iteration is written out

// --- helper operators: rows that are in no table --------------------------------------------------------------------------------------

/// `count` elements from `begin` along `axis`; with `drop`, one, without the axis.
void take(NodeBuilder& b) {
  Steps s(b);
  const int axis = static_cast<int>(b.int_attribute("axis", 0));
  numerics::Shape shape = b.shape(0);
  const std::int64_t count = b.int_attribute("count", 1);
  const Steps::Id part = s.slice(s.in(0), axis, b.int_attribute("begin", 0), count);
  shape[static_cast<std::size_t>(axis)] = count;
  if (b.int_attribute("drop", 0) != 0) shape.erase(shape.begin() + axis);
  b.set_result(0, s.reshape(part, shape));
}

/// The inputs side by side along `axis`; with `add`, along an axis that they do not have yet.
void join(NodeBuilder& b) {
  Steps s(b);
  const bool add = b.int_attribute("add", 0) != 0;
  const std::size_t rank = b.shape(0).size();
  const int axis = b.axis(b.int_attribute("axis", 0), add ? rank + 1 : rank);
  if (b.failed()) return;
  std::vector<Steps::Id> parts;
  for (std::size_t i = 0; i < b.input_count(); ++i) {
    numerics::Shape shape = b.shape(i), rest = b.shape(0);
    bool fits = shape.size() == rank && b.format(i) == b.format(0);
    if (fits && !add) rest[static_cast<std::size_t>(axis)] = shape[static_cast<std::size_t>(axis)];
    fits = fits && shape == rest;
    if (!fits)
      return b.malformed("onnx/shape", fmt::format("what is joined differs: {} and {}", print_shape(b.shape(0)), print_shape(b.shape(i))));
    if (add) shape.insert(shape.begin() + axis, 1);
    parts.push_back(s.reshape(s.in(i), shape));
  }
  b.set_result(0, s.concat(parts, axis));
}

constexpr Operator kTake{"Take", 1, 1, 1, "axis begin count drop", take};
constexpr Operator kJoin{"Join", 1, 1, kAny, "axis add", join};

Attribute integer(std::string name, std::int64_t value) {
  Attribute a;
  a.name = std::move(name);
  a.type = kAttributeInt;
  a.i = value;
  return a;
}

ValuePtr constant_value(std::string name, numerics::Format format, double number) {
  auto value = std::make_shared<Value>();
  value->name = std::move(name);
  value->format = format;
  numerics::Tensor tensor = numerics::make_tensor(format, {});
  tensor.set(0, number);
  value->constant = numerics::constant_of(std::move(tensor));
  return value;
}

ValuePtr collection(std::string name, Value::Kind kind, std::vector<ValuePtr> elements) {
  auto value = std::make_shared<Value>();
  value->name = std::move(name);
  value->kind = kind;
  value->elements = std::move(elements);
  return value;
}

// --- one structural node ----------------------------------------------------------------------------------------------------------------

class Structural {
 public:
  Structural(Scope& scope, const Node& node, const std::string& name, std::int64_t opset)
      : scope_(scope), node_(node), name_(name), opset_(opset) {}

  void run() {
    for (const std::string& input : node_.inputs) {
      inputs_.push_back(input.empty() ? nullptr : scope_.find(input));
      if (!input.empty() && inputs_.back() == nullptr) return;  // its producer failed and said so
    }
    for (const Row& row : kRows) {
      if (row.type == node_.type) return (this->*row.build)();
    }
  }

  struct Row {
    std::string_view type;
    std::int64_t since;
    void (Structural::*build)();
  };
  static const std::array<Row, 17> kRows;

 private:
  // --- complaints, inputs, attributes --------------------------------------------------------------------------------------------------

  void malformed(const char* code, const std::string& message) {
    scope_.problems.add_malformed(code, fmt::format("{} {}: {}", node_.type, name_, message), name_);
  }
  void unsupported(const char* code, const std::string& message, std::string hint = {}) {
    scope_.problems.add_unsupported(code, fmt::format("{} {}: {}", node_.type, name_, message), name_, std::move(hint));
  }
  [[nodiscard]] bool failed() const { return scope_.problems.any(); }

  [[nodiscard]] bool has(std::size_t i) const { return i < inputs_.size() && inputs_[i] != nullptr; }

  bool needs(std::size_t least, std::size_t most) {
    if (node_.inputs.size() < least || node_.inputs.size() > most) {
      malformed("onnx/inputs", least == most  ? fmt::format("{} inputs, {} needed", node_.inputs.size(), least)
                               : most == kAny ? fmt::format("{} inputs, at least {} needed", node_.inputs.size(), least)
                                              : fmt::format("{} inputs, {} to {} needed", node_.inputs.size(), least, most));
      return false;
    }
    for (std::size_t i = 0; i < least; ++i) {
      if (has(i)) continue;
      malformed("onnx/undefined-tensor", fmt::format("input {} is missing", i));
      return false;
    }
    return true;
  }

  bool is(std::size_t i, Value::Kind kind, const char* what) {
    if (inputs_[i]->kind == kind) return true;
    malformed("onnx/type", fmt::format("input {} ({}) is no {}", i, node_.inputs[i], what));
    return false;
  }
  bool is_sequence(std::size_t i) { return is(i, Value::Kind::sequence, "sequence"); }
  bool is_tensor(std::size_t i) { return is(i, Value::Kind::tensor, "tensor"); }

  const Attribute* attribute(std::string_view name) const {
    for (const Attribute& a : node_.attributes)
      if (a.name == name) return &a;
    return nullptr;
  }
  std::int64_t number(std::string_view name, std::int64_t otherwise) const {
    const Attribute* a = attribute(name);
    return a == nullptr ? otherwise : a->i;
  }
  std::vector<std::int64_t> numbers(std::string_view name, std::size_t count) const {
    const Attribute* a = attribute(name);
    std::vector<std::int64_t> values = a == nullptr ? std::vector<std::int64_t>() : a->ints;
    values.resize(count, 0);
    return values;
  }
  const GraphBody* body(std::string_view name) {
    const Attribute* a = attribute(name);
    if (a == nullptr || a->g == nullptr) {
      malformed("onnx/attribute", fmt::format("attribute {} is missing", name));
      return nullptr;
    }
    if (a->g->sparse_initializers > 0) {
      unsupported("onnx/unsupported-feature", fmt::format("{} has sparse initializers", name));
      return nullptr;
    }
    return a->g.get();
  }

  /// The numbers of an input that decides what is done.
  std::optional<std::vector<std::int64_t>> decided(std::size_t i, const char* what) {
    if (!is_tensor(i)) return {};
    return decided(*inputs_[i], what);
  }
  std::optional<std::vector<std::int64_t>> decided(Value& value, const char* what) {
    const numerics::Tensor* tensor = value.kind == Value::Kind::tensor ? known_or_given(value) : nullptr;
    if (tensor == nullptr) {
      unsupported("onnx/dynamic-control", fmt::format("the {} {} is not known before the model runs", what, value.name),
                  "conditions on shapes and constants are decided at import; others would need the host");
      return {};
    }
    std::vector<std::int64_t> values;
    for (std::int64_t k = 0, count = tensor->count(); k < count; ++k) values.push_back(static_cast<std::int64_t>(tensor->at(k)));
    return values;
  }
  std::optional<std::int64_t> decided_one(Value& value, const char* what) {
    const auto values = decided(value, what);
    if (!values) return {};
    if (values->size() == 1) return values->front();
    malformed("onnx/shape", fmt::format("the {} {} has {} elements", what, value.name, values->size()));
    return {};
  }

  /// A position in a sequence of `size` (one past the end, too, when `end`), counted from either end.
  std::optional<std::size_t> position(std::size_t i, std::size_t size, bool end) {
    if (!is_tensor(i)) return {};
    const auto at = decided_one(*inputs_[i], "position");
    if (!at) return {};
    const auto limit = static_cast<std::int64_t>(size);
    if (*at < -limit || *at > limit || (!end && *at == limit)) {
      malformed("onnx/shape", fmt::format("position {} is outside a sequence of {}", *at, size));
      return {};
    }
    return static_cast<std::size_t>(*at < 0 ? *at + limit : *at);
  }

  // --- results
  // -----------------------------------------------------------------------------------------------------------------------------

  [[nodiscard]] bool wants(std::size_t output) const { return output < node_.outputs.size() && !node_.outputs[output].empty(); }
  void give(std::size_t output, ValuePtr value) {
    if (wants(output)) scope_.define(node_.outputs[output], std::move(value));
  }
  void give_sequence(std::vector<ValuePtr> elements) {
    scope_.held += static_cast<std::int64_t>(elements.size());
    if (scope_.held > kMostElements)
      return unsupported("onnx/unsupported-feature", fmt::format("the model's sequences have more than {} elements", kMostElements));
    give(0, collection(node_.outputs[0], Value::Kind::sequence, std::move(elements)));
  }

  /// A helper operator over values that have no name of the model's: they are given one.
  ValuePtr apply(const Operator& op, const std::vector<ValuePtr>& values, std::vector<Attribute> attributes, const std::string& suffix,
                 const std::string& output = {}) {
    Node node;
    node.type = op.name;
    node.opset = opset_;
    node.attributes = std::move(attributes);
    for (std::size_t i = 0; i < values.size(); ++i) {
      node.inputs.push_back(fmt::format("{}:{}:{}", name_, suffix, i));
      scope_.define(node.inputs.back(), values[i]);
    }
    node.outputs.push_back(output.empty() ? fmt::format("{}:{}", name_, suffix) : output);
    scope_.build_as(op, node, fmt::format("{}:{}", name_, suffix));
    return scope_.find(node.outputs[0]);
  }
  ValuePtr taken(const ValuePtr& x, std::int64_t axis, std::int64_t begin, std::int64_t count, bool drop, const std::string& suffix) {
    return apply(kTake, {x}, {integer("axis", axis), integer("begin", begin), integer("count", count), integer("drop", drop ? 1 : 0)},
                 suffix);
  }

  /// Values of all iterations along a new axis.
  void give_stacked(std::size_t output, const std::vector<ValuePtr>& values, std::int64_t axis) {
    if (!wants(output)) return;
    if (values.empty()) return unsupported("onnx/empty-tensor", fmt::format("output {} would have no elements", node_.outputs[output]));
    give(output, stacked(values, axis, fmt::format("stack{}", output), node_.outputs[output]));
  }
  ValuePtr stacked(const std::vector<ValuePtr>& values, std::int64_t axis, const std::string& suffix, const std::string& output = {}) {
    for (const ValuePtr& v : values) {
      if (v->kind == Value::Kind::tensor) continue;
      malformed("onnx/type", "what is collected over iterations must be tensors");
      return nullptr;
    }
    return apply(kJoin, values, {integer("axis", axis), integer("add", 1)}, suffix, output);
  }

  // --- bodies
  // --------------------------------------------------------------------------------------------------------------------------------

  /// The outputs of a body whose inputs are these values; its tensors are called "<prefix>/<name>", or `results` where these have names.
  std::optional<std::vector<ValuePtr>> inlined(const GraphBody& body, const std::string& prefix, const std::vector<ValuePtr>& values,
                                               const std::vector<std::string>& results = {}) {
    if (scope_.depth >= kDeepest) {
      unsupported("onnx/unsupported-feature", fmt::format("bodies nest more than {} deep", kDeepest));
      return {};
    }
    scope_.built += static_cast<std::int64_t>(body.nodes.size()) + 1;
    if (scope_.built > kMostNodes) {
      unsupported("onnx/unsupported-feature", fmt::format("written out, the bodies of loops come to more than {} nodes", kMostNodes));
      return {};
    }
    if (body.inputs.size() != values.size()) {
      malformed("onnx/inputs", fmt::format("the body takes {} inputs, {} are given", body.inputs.size(), values.size()));
      return {};
    }
    std::unordered_set<std::string> own;
    for (const ValueInfo& v : body.inputs) own.insert(v.name);
    for (const TensorData& t : body.initializers) own.insert(t.name);
    std::unordered_map<std::string, std::string> given;
    for (const Node& inner : body.nodes) {
      for (const std::string& output : inner.outputs) {
        own.insert(output);
        for (std::size_t i = 0; i < std::min(results.size(), body.outputs.size()); ++i)
          if (!results[i].empty() && body.outputs[i].name == output) given.emplace(output, results[i]);
      }
    }
    const Rename rename = [&](const std::string& inner) {
      if (const auto at = given.find(inner); at != given.end()) return at->second;
      return inner.empty() || !own.contains(inner) ? inner : fmt::format("{}/{}", prefix, inner);
    };
    for (std::size_t i = 0; i < values.size(); ++i) scope_.define(rename(body.inputs[i].name), values[i]);
    for (const TensorData& t : body.initializers) {
      TensorData data = t;
      data.name = rename(t.name);
      scope_.add_initializer(data);
    }
    ++scope_.depth;
    for (std::size_t i = 0; i < body.nodes.size() && !failed(); ++i) {
      const Node inner = renamed(body.nodes[i], rename);
      for (const std::string& input : inner.inputs) {
        if (!input.empty() && scope_.find(input) == nullptr)
          malformed("onnx/undefined-tensor", fmt::format("node {} of its body reads {}, which nothing before it defines", i, input));
      }
      if (!failed())
        scope_.build(inner, fmt::format("{}/{}", prefix, inner.name.empty() ? fmt::format("{}_{}", inner.type, i) : inner.name));
    }
    --scope_.depth;
    if (failed()) return {};
    std::vector<ValuePtr> outputs;
    for (const ValueInfo& v : body.outputs) {
      outputs.push_back(scope_.find(rename(v.name)));
      if (outputs.back() != nullptr) continue;
      malformed("onnx/undefined-tensor", fmt::format("its body does not define {}", v.name));
      return {};
    }
    return outputs;
  }

  /// What a graph between the steps of attention makes of a value; the value itself where there is no such graph.
  ValuePtr modified(const char* graph, ValuePtr value) {
    if (value == nullptr || attribute(graph) == nullptr) return value;
    const GraphBody* change = body(graph);
    if (change == nullptr) return nullptr;
    const auto changed = inlined(*change, fmt::format("{}/{}", name_, graph), {value});
    if (!changed) return nullptr;
    if (changed->size() != 1 || changed->front()->kind != Value::Kind::tensor || changed->front()->shape != value->shape ||
        changed->front()->format != value->format) {
      malformed("onnx/shape", fmt::format("{} must give one tensor like the one that it takes, {} of {}", graph, print_shape(value->shape),
                                          data_type_name(data_type_of(value->format))));
      return nullptr;
    }
    return changed->front();
  }

  void flex_attention() {
    if (!needs(3, 3) || !is_tensor(0) || !is_tensor(1) || !is_tensor(2)) return;
    std::vector<Attribute> attributes;
    for (const Attribute& a : node_.attributes) {
      if (a.name == "scale" || a.name == "softmax_precision")
        attributes.push_back(a);
      else if (a.name != "score_mod" && a.name != "prob_mod" && a.name != "q_num_heads" && a.name != "kv_num_heads")
        return unsupported("onnx/unsupported-attribute", fmt::format("attribute {} is not supported", a.name));
    }
    const auto steps = flex_attention_steps();
    const ValuePtr scores = modified("score_mod", apply(steps[0], inputs_, attributes, "scores"));
    if (scores == nullptr || failed()) return;
    const ValuePtr probabilities = modified("prob_mod", apply(steps[1], {scores}, {}, "probabilities"));
    if (probabilities == nullptr || failed()) return;
    apply(steps[2], {probabilities, inputs_[2]}, {}, "result", node_.outputs.empty() ? std::string() : node_.outputs[0]);
  }

  /// A branch whose condition follows from what is known is taken now.
  void branch() {
    if (!needs(1, 1) || !is_tensor(0)) return;
    const auto condition = decided_one(*inputs_[0], "condition");
    if (!condition) return;
    const char* wanted = *condition != 0 ? "then_branch" : "else_branch";
    const GraphBody* taken = body(wanted);
    if (taken == nullptr) return;
    if (taken->outputs.size() < node_.outputs.size())
      return malformed("onnx/inputs",
                       fmt::format("{} gives {} outputs, {} are wanted", wanted, taken->outputs.size(), node_.outputs.size()));
    const auto outputs = inlined(*taken, name_, {}, node_.outputs);
    for (std::size_t i = 0; outputs && i < node_.outputs.size(); ++i) give(i, (*outputs)[i]);
  }

  void loop() {
    if (!needs(0, kAny)) return;
    if (inputs_.size() < 2) inputs_.resize(2);
    const GraphBody* inner = body("body");
    if (inner == nullptr) return;
    const std::size_t carried = inputs_.size() - 2;
    if (inner->outputs.size() < 1 + carried)
      return malformed("onnx/inputs", fmt::format("the body gives {} outputs, at least {} are needed", inner->outputs.size(), 1 + carried));
    const std::size_t collected = inner->outputs.size() - 1 - carried;
    std::int64_t most = std::numeric_limits<std::int64_t>::max();
    if (has(0)) {
      const auto count = is_tensor(0) ? decided_one(*inputs_[0], "number of iterations") : std::nullopt;
      if (!count) return;
      most = *count;
    }
    for (std::size_t i = 2; i < inputs_.size(); ++i)
      if (inputs_[i] == nullptr) return malformed("onnx/undefined-tensor", fmt::format("input {} is missing", i));
    ValuePtr condition = inputs_[1] ? inputs_[1] : constant_value(name_ + ":true", numerics::Format::boolean, 1);
    std::vector<ValuePtr> state(inputs_.begin() + 2, inputs_.end());
    std::vector<std::vector<ValuePtr>> stacks(collected);
    for (std::int64_t i = 0; i < most; ++i) {
      // Without a condition among the inputs the body's own does not count.
      if (node_.inputs.size() > 1 && !node_.inputs[1].empty()) {
        const auto goes_on = decided_one(*condition, "condition");
        if (!goes_on) return;
        if (*goes_on == 0) break;
      }
      const std::string prefix = fmt::format("{}/{}", name_, i);
      std::vector<ValuePtr> values{constant_value(prefix + ":iteration", numerics::Format::int64, static_cast<double>(i)), condition};
      values.insert(values.end(), state.begin(), state.end());
      const auto outputs = inlined(*inner, prefix, values);
      if (!outputs) return;
      condition = outputs->front();
      std::copy_n(outputs->begin() + 1, carried, state.begin());
      for (std::size_t k = 0; k < collected; ++k) stacks[k].push_back((*outputs)[1 + carried + k]);
    }
    for (std::size_t k = 0; k < carried; ++k) give(k, state[k]);
    for (std::size_t k = 0; k < collected; ++k) give_stacked(carried + k, stacks[k], 0);
  }

  /// Final states, and for each collected output its values in the order of the result.
  struct Scanned {
    std::vector<ValuePtr> states;
    std::vector<std::vector<ValuePtr>> stacks;
  };

  std::optional<Scanned> scanned(const GraphBody& inner, const std::string& prefix, std::vector<ValuePtr> states,
                                 const std::vector<ValuePtr>& scans, const std::vector<std::int64_t>& axes,
                                 const std::vector<std::int64_t>& backwards, const std::vector<std::int64_t>& reversed) {
    if (inner.outputs.size() < states.size()) {
      malformed("onnx/inputs", fmt::format("the body gives {} outputs, at least {} are needed", inner.outputs.size(), states.size()));
      return {};
    }
    Scanned out;
    out.stacks.resize(inner.outputs.size() - states.size());
    const std::int64_t length = scans[0]->shape[static_cast<std::size_t>(axes[0])];
    for (std::int64_t i = 0; i < length; ++i) {
      const std::string step = fmt::format("{}/{}", prefix, i);
      std::vector<ValuePtr> values = states;
      for (std::size_t k = 0; k < scans.size(); ++k) {
        values.push_back(taken(scans[k], axes[k], backwards[k] != 0 ? length - 1 - i : i, 1, true, fmt::format("{}:in{}", step, k)));
        if (failed()) return {};
      }
      const auto outputs = inlined(inner, step, values);
      if (!outputs) return {};
      std::copy_n(outputs->begin(), states.size(), states.begin());
      for (std::size_t k = 0; k < out.stacks.size(); ++k) {
        auto& stack = out.stacks[k];
        const ValuePtr& value = (*outputs)[states.size() + k];
        stack.insert(k < reversed.size() && reversed[k] != 0 ? stack.begin() : stack.end(), value);
      }
    }
    out.states = std::move(states);
    return out;
  }

  void scan() {
    const GraphBody* inner = body("body");
    if (inner == nullptr) return;
    const std::int64_t count = number("num_scan_inputs", 0);
    const std::size_t first = opset_ < 9 ? 1 : 0;  // behind the lengths of the sequences
    if (!needs(0, kAny)) return;
    if (count < 1 || inputs_.size() < first + static_cast<std::size_t>(count))
      return malformed("onnx/attribute", fmt::format("num_scan_inputs is {}, and the node has {} inputs", count, node_.inputs.size()));
    for (std::size_t i = first; i < inputs_.size(); ++i) {
      if (inputs_[i] == nullptr) return malformed("onnx/undefined-tensor", fmt::format("input {} is missing", i));
      if (!is_tensor(i)) return;
    }
    const auto scans_at = inputs_.end() - count;
    const std::vector<ValuePtr> states(inputs_.begin() + static_cast<std::ptrdiff_t>(first), scans_at), scans(scans_at, inputs_.end());
    if (inner->outputs.size() < states.size())
      return malformed("onnx/inputs",
                       fmt::format("the body gives {} outputs, at least {} are needed", inner->outputs.size(), states.size()));
    const std::size_t stacks = inner->outputs.size() - states.size();
    std::vector<std::int64_t> axes = opset_ < 9 ? std::vector<std::int64_t>(scans.size(), 1) : numbers("scan_input_axes", scans.size());
    for (std::size_t k = 0; k < scans.size(); ++k) {
      const auto rank = static_cast<std::int64_t>(scans[k]->shape.size());
      if (axes[k] < -rank || axes[k] >= rank)
        return malformed("onnx/attribute", fmt::format("axis {} is outside a tensor of {} dimensions", axes[k], rank));
      axes[k] += axes[k] < 0 ? rank : 0;
      if (scans[k]->shape[static_cast<std::size_t>(axes[k])] != scans[0]->shape[static_cast<std::size_t>(axes[0])])
        return malformed("onnx/shape", "the inputs that are scanned have different lengths");
    }
    if (opset_ < 9) return scan_batches(*inner, states, scans);
    const auto result = scanned(*inner, name_, states, scans, axes, numbers("scan_input_directions", scans.size()),
                                numbers("scan_output_directions", stacks));
    if (!result) return;
    const std::vector<std::int64_t> output_axes = numbers("scan_output_axes", stacks);
    for (std::size_t k = 0; k < states.size(); ++k) give(k, result->states[k]);
    for (std::size_t k = 0; k < stacks; ++k) give_stacked(states.size() + k, result->stacks[k], output_axes[k]);
  }

  /// Operator set 8: every input has a batch in front, each of which is scanned by itself.
  void scan_batches(const GraphBody& inner, const std::vector<ValuePtr>& states, const std::vector<ValuePtr>& scans) {
    if (has(0)) return unsupported("onnx/unsupported-feature", "lengths of sequences");
    const std::int64_t batch = scans[0]->shape[0];
    std::vector<std::vector<ValuePtr>> results(inner.outputs.size());
    for (const auto* list : {&states, &scans}) {
      for (const ValuePtr& v : *list)
        if (v->shape.empty() || v->shape[0] != batch) return malformed("onnx/shape", "the inputs have different batches");
    }
    for (std::int64_t b = 0; b < batch; ++b) {
      const std::string prefix = fmt::format("{}/batch{}", name_, b);
      const auto one_of = [&](const std::vector<ValuePtr>& list, const char* what) {
        std::vector<ValuePtr> out;
        for (std::size_t k = 0; k < list.size(); ++k) out.push_back(taken(list[k], 0, b, 1, true, fmt::format("{}:{}{}", prefix, what, k)));
        return out;
      };
      const std::vector<ValuePtr> own = one_of(states, "state"), parts = one_of(scans, "scan");
      if (failed()) return;
      const std::size_t stacks = inner.outputs.size() - states.size();
      const auto result = scanned(inner, prefix, own, parts, std::vector<std::int64_t>(parts.size(), 0),
                                  numbers("directions", parts.size()), std::vector<std::int64_t>(stacks, 0));
      if (!result) return;
      for (std::size_t k = 0; k < states.size(); ++k) results[k].push_back(result->states[k]);
      for (std::size_t k = 0; k < stacks; ++k) {
        results[states.size() + k].push_back(stacked(result->stacks[k], 0, fmt::format("batch{}:stack{}", b, k)));
        if (failed()) return;
      }
    }
    for (std::size_t k = 0; k < results.size(); ++k) give_stacked(k, results[k], 0);
  }

  void sequence_map() {
    if (!needs(1, kAny) || !is_sequence(0)) return;
    const GraphBody* inner = body("body");
    if (inner == nullptr) return;
    std::vector<std::vector<ValuePtr>> results(inner->outputs.size());
    for (std::size_t i = 0; i < inputs_[0]->elements.size(); ++i) {
      std::vector<ValuePtr> values;
      for (std::size_t k = 0; k < inputs_.size(); ++k) {
        const ValuePtr& input = inputs_[k];
        if (input == nullptr) return malformed("onnx/undefined-tensor", fmt::format("input {} is missing", k));
        if (input->kind != Value::Kind::sequence) {
          values.push_back(input);
          continue;
        }
        if (input->elements.size() != inputs_[0]->elements.size()) return malformed("onnx/shape", "the sequences differ in length");
        values.push_back(input->elements[i]);
      }
      const auto outputs = inlined(*inner, fmt::format("{}/{}", name_, i), values);
      if (!outputs) return;
      for (std::size_t k = 0; k < results.size(); ++k) {
        if ((*outputs)[k]->kind != Value::Kind::tensor) return malformed("onnx/type", "the body gives what is no tensor");
        results[k].push_back((*outputs)[k]);
      }
    }
    for (std::size_t k = 0; k < results.size(); ++k)
      if (wants(k)) give(k, collection(node_.outputs[k], Value::Kind::sequence, std::move(results[k])));
  }

  // --- sequences
  // -----------------------------------------------------------------------------------------------------------------------------

  void sequence_empty() {
    if (needs(0, 0)) give_sequence({});
  }

  void sequence_construct() {
    if (!needs(1, kAny)) return;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (!has(i)) return malformed("onnx/undefined-tensor", fmt::format("input {} is missing", i));
      if (!is_tensor(i)) return;
    }
    give_sequence(inputs_);
  }

  void sequence_insert() {
    if (!needs(2, 3) || !is_sequence(0) || !is_tensor(1)) return;
    std::vector<ValuePtr> elements = inputs_[0]->elements;
    std::size_t at = elements.size();
    if (has(2)) {
      const auto where = position(2, elements.size(), true);
      if (!where) return;
      at = *where;
    }
    elements.insert(elements.begin() + static_cast<std::ptrdiff_t>(at), inputs_[1]);
    give_sequence(std::move(elements));
  }

  void sequence_erase() {
    if (!needs(1, 2) || !is_sequence(0)) return;
    std::vector<ValuePtr> elements = inputs_[0]->elements;
    if (elements.empty()) return malformed("onnx/shape", "the sequence has no elements");
    std::size_t at = elements.size() - 1;
    if (has(1)) {
      const auto where = position(1, elements.size(), false);
      if (!where) return;
      at = *where;
    }
    elements.erase(elements.begin() + static_cast<std::ptrdiff_t>(at));
    give_sequence(std::move(elements));
  }

  void sequence_at() {
    if (!needs(2, 2) || !is_sequence(0)) return;
    const auto where = position(1, inputs_[0]->elements.size(), false);
    if (where) give(0, inputs_[0]->elements[*where]);
  }

  void sequence_length() {
    if (!needs(1, 1) || !is_sequence(0)) return;
    give(0, constant_value(node_.outputs[0], numerics::Format::int64, static_cast<double>(inputs_[0]->elements.size())));
  }

  void split_to_sequence() {
    if (!needs(1, 2) || !is_tensor(0)) return;
    const ValuePtr& x = inputs_[0];
    const auto rank = static_cast<std::int64_t>(x->shape.size());
    std::int64_t axis = number("axis", 0);
    if (axis < -rank || axis >= rank)
      return malformed("onnx/attribute", fmt::format("axis {} is outside a tensor of {} dimensions", axis, rank));
    axis += axis < 0 ? rank : 0;
    const std::int64_t extent = x->shape[static_cast<std::size_t>(axis)];
    std::vector<std::int64_t> parts;
    if (has(1)) {
      const auto split = decided(1, "split");
      if (!split) return;
      if (inputs_[1]->shape.empty()) {
        if (split->front() < 1) return malformed("onnx/shape", fmt::format("parts of {} elements", split->front()));
        for (std::int64_t begin = 0; begin < extent; begin += split->front()) parts.push_back(std::min(split->front(), extent - begin));
      } else {
        std::int64_t left = extent;
        for (const std::int64_t part : *split) {
          if (part < 0 || part > left) return malformed("onnx/shape", fmt::format("the parts are not those of a dimension of {}", extent));
          left -= part;
        }
        if (left != 0) return malformed("onnx/shape", fmt::format("the parts are not those of a dimension of {}", extent));
        parts = *split;
      }
    } else {
      parts.assign(static_cast<std::size_t>(extent), 1);
    }
    scope_.built += static_cast<std::int64_t>(parts.size());
    if (scope_.built > kMostNodes) return unsupported("onnx/unsupported-feature", fmt::format("a sequence of {} tensors", parts.size()));
    const bool drop = !has(1) && number("keepdims", 1) == 0;
    std::vector<ValuePtr> elements;
    std::int64_t begin = 0;
    for (const std::int64_t part : parts) {
      elements.push_back(taken(x, axis, begin, part, drop, fmt::format("part{}", elements.size())));
      if (failed()) return;
      begin += part;
    }
    give_sequence(std::move(elements));
  }

  void concat_from_sequence() {
    if (!needs(1, 1) || !is_sequence(0)) return;
    const std::vector<ValuePtr>& elements = inputs_[0]->elements;
    if (elements.empty()) return malformed("onnx/shape", "the sequence has no elements");
    give(0, apply(kJoin, elements, {integer("axis", number("axis", 0)), integer("add", number("new_axis", 0))}, "join", node_.outputs[0]));
  }

  // --- optionals
  // -----------------------------------------------------------------------------------------------------------------------------

  void optional() {
    if (!needs(0, 1)) return;
    std::vector<ValuePtr> elements;
    if (has(0) && inputs_[0]->kind == Value::Kind::optional) return malformed("onnx/type", "an optional of an optional");
    if (has(0)) elements.push_back(inputs_[0]);
    give(0, collection(node_.outputs[0], Value::Kind::optional, std::move(elements)));
  }

  void optional_has_element() {
    if (!needs(0, 1)) return;
    const bool there = has(0) && (inputs_[0]->kind != Value::Kind::optional || !inputs_[0]->elements.empty());
    give(0, constant_value(node_.outputs[0], numerics::Format::boolean, there ? 1 : 0));
  }

  void optional_get_element() {
    if (!needs(1, 1)) return;
    if (inputs_[0]->kind != Value::Kind::optional) return give(0, inputs_[0]);
    if (inputs_[0]->elements.empty()) return malformed("onnx/type", fmt::format("the optional {} is empty", node_.inputs[0]));
    give(0, inputs_[0]->elements[0]);
  }

  void identity() {
    if (needs(1, 1)) give(0, inputs_[0]);
  }

  Scope& scope_;
  const Node& node_;
  const std::string& name_;
  std::int64_t opset_;
  std::vector<ValuePtr> inputs_;
};

const std::array<Structural::Row, 17> Structural::kRows{{
    {"If", 1, &Structural::branch},
    {"Loop", 1, &Structural::loop},
    {"Scan", 8, &Structural::scan},
    {"SequenceMap", 17, &Structural::sequence_map},
    {"SequenceEmpty", 11, &Structural::sequence_empty},
    {"SequenceConstruct", 11, &Structural::sequence_construct},
    {"SequenceInsert", 11, &Structural::sequence_insert},
    {"SequenceErase", 11, &Structural::sequence_erase},
    {"SequenceAt", 11, &Structural::sequence_at},
    {"SequenceLength", 11, &Structural::sequence_length},
    {"SplitToSequence", 11, &Structural::split_to_sequence},
    {"ConcatFromSequence", 11, &Structural::concat_from_sequence},
    {"Optional", 15, &Structural::optional},
    {"OptionalHasElement", 15, &Structural::optional_has_element},
    {"OptionalGetElement", 15, &Structural::optional_get_element},
    {"FlexAttention", 26, &Structural::flex_attention},
    {"Identity", 14, &Structural::identity},
}};

}  // namespace

bool is_structural(std::string_view type) {
  return type != "Identity" &&
         std::any_of(Structural::kRows.begin(), Structural::kRows.end(), [&](const Structural::Row& row) { return row.type == type; });
}

std::vector<std::pair<std::string_view, std::int64_t>> structural_operators() {
  std::vector<std::pair<std::string_view, std::int64_t>> list;
  for (const Structural::Row& row : Structural::kRows)
    if (is_structural(row.type)) list.emplace_back(row.type, row.since);
  return list;
}

void build_structural(Scope& scope, const Node& node, const std::string& name, std::int64_t opset) {
  Structural(scope, node, name, opset).run();
}

}  // namespace switchyard::model::onnx
