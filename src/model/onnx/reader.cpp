// Import in one pass over the nodes in topological order: each node's builder emits into a graph of its own; what depends on constants
// alone is computed here and now (that is how shapes become known), everything else is appended to the model's graph.
#include "model/onnx/reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "graph/evaluate.h"
#include "model/emit.h"
#include "model/onnx/control.h"
#include "model/onnx/decode.h"
#include "model/onnx/functions.h"
#include "model/onnx/gradient.h"
#include "model/onnx/node_builder.h"
#include "model/onnx/operators.h"
#include "model/onnx/structure.h"
#include "support/unique_name.h"

namespace switchyard::model::onnx {

using graph::Graph;
using graph::TensorId;

namespace {

/// Points of one nest beyond which a model is taken for nonsense; sums over a model stay inside 64 bits.
constexpr std::int64_t kMaxPoints = std::int64_t{1} << 50;
/// Points that may be computed with while importing: per node, and over the whole model.
constexpr std::int64_t kMaxFoldPoints = std::int64_t{1} << 20;
constexpr std::int64_t kMaxFoldTotal = std::int64_t{1} << 26;

std::optional<std::int64_t> checked_points(const numerics::Nest& nest) {
  std::int64_t points = 1;
  for (const auto& loop : nest.loops) {
    if (loop.extent <= 0) return 0;
    if (points > kMaxPoints / loop.extent) return {};
    points *= loop.extent;
  }
  return points;
}

class Importer {
 public:
  Importer(Model model, const LoadOptions& options, std::string file, std::string folder)
      : model_(std::move(model)), options_(options), file_(std::move(file)), folder_(std::move(folder)) {
    problems_.file = file_;
  }

  Result<Graph> run() {
    inline_functions(model_, problems_);
    if (problems_.any()) return problems_.failure();
    check_structure(model_, problems_);
    if (problems_.any()) return problems_.failure();
    const std::vector<std::size_t> order = topological_order(model_, problems_);
    if (problems_.any()) return problems_.failure();
    graph_.name = model_.graph_name;
    reserve_names();
    add_initializers();
    add_inputs();
    if (problems_.any()) return problems_.failure();
    for (const std::size_t node : order) build(model_.nodes[node], display_name(model_, node));
    if (problems_.any()) return problems_.failure();
    add_outputs();
    if (problems_.any()) return problems_.failure();
    prune();
    return std::move(graph_);
  }

  [[nodiscard]] const std::vector<std::int64_t>& output_lengths() const { return output_lengths_; }

 private:
  // --- names -------------------------------------------------------------------------------------------------------------------------

  /// The model's own tensors, whose names are known to differ, keep them; helpers find other ones.
  void reserve_names() {
    for (const TensorData& t : model_.initializers) tensor_names_.insert(t.name);
    for (const ValueInfo& v : model_.inputs) tensor_names_.insert(v.name);
    for (const Node& node : model_.nodes) tensor_names_.insert(node.outputs.begin(), node.outputs.end());
    declared_ = tensor_names_;
  }

  static std::string unique(std::string name, std::unordered_set<std::string>& taken) {
    if (name.empty()) name = "unnamed";
    return unique_name(std::move(name), taken);
  }

  // --- initialisers, inputs ------------------------------------------------------------------------------------------------------------

  void add_initializers() {
    for (const TensorData& data : model_.initializers) add_initializer(data);
  }

  void add_initializer(const TensorData& data) {
    auto value = value_of(data, file_, folder_);
    if (!value) return problems_.add(value.failure());
    auto shared = std::make_shared<Value>(std::move(value).value());
    shared->trained = numerics::format_info(shared->format).floating;
    values_[data.name] = std::move(shared);
  }

  void add_inputs() {
    std::unordered_set<std::string_view> initialized;
    for (const TensorData& t : model_.initializers) initialized.insert(t.name);
    std::vector<const ValueInfo*> inputs;
    for (const ValueInfo& v : model_.inputs) {
      if (!initialized.contains(v.name)) inputs.push_back(&v);
    }
    check_batch(inputs);
    check_symbols(inputs);
    check_shapes(inputs);
    if (problems_.any()) return;
    std::map<std::string, std::vector<std::string>> unset;  // by symbol: the inputs that need it
    std::size_t next = 0;                                   // of what is given
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const std::int64_t length = i < options_.input_lengths.size() ? options_.input_lengths[i] : -1;
      if (inputs[i]->kind != ValueKind::other && length != -1) {
        add_collection(*inputs[i], length, next, unset);
        next += static_cast<std::size_t>(std::max<std::int64_t>(0, length));
        continue;
      }
      add_input(*inputs[i], next < options_.inputs.size() ? &options_.inputs[next] : nullptr, unset);
      ++next;
    }
    for (const auto& [symbol, names] : unset) {
      problems_.add_malformed("onnx/unset-dimension", fmt::format("dimension {} of {} has no value", symbol, fmt::join(names, ", ")),
                              names[0], "set them all, for example with: " + example(inputs));
    }
  }

  /// Does the tensor have the dimensions that the model declares?
  static bool fits(const numerics::Tensor& given, const ValueInfo& v) {
    if (!v.shape) return true;
    if (v.shape->size() + (v.type == kString ? 1 : 0) != given.shape.size()) return false;  // texts have their lengths behind the others
    for (std::size_t d = 0; d < v.shape->size(); ++d) {
      if ((*v.shape)[d].value && *(*v.shape)[d].value != given.shape[d]) return false;
    }
    return true;
  }

  /// Options that would give every open dimension a size: by name where all have one and else whole shapes.
  [[nodiscard]] static std::string example(const std::vector<const ValueInfo*>& inputs) {
    constexpr std::int64_t kBatch = 1, kOther = 128;
    std::map<std::string, std::int64_t> symbols;
    std::string shapes;
    bool unnamed = false;
    for (const ValueInfo* v : inputs) {
      if (!v->shape) continue;
      std::string shape;
      bool open = false;
      for (std::size_t d = 0; d < v->shape->size(); ++d) {
        const Dimension& dimension = (*v->shape)[d];
        const std::int64_t size = dimension.value.value_or(d == 0 ? kBatch : kOther);
        shape += fmt::format("{}{}", d == 0 ? "" : "x", size);
        if (dimension.value) continue;
        open = true;
        unnamed = unnamed || dimension.symbol.empty();
        symbols.emplace(dimension.symbol, size);
      }
      if (open) shapes += fmt::format("{}--shape {}={}", shapes.empty() ? "" : " ", v->name, shape);
    }
    if (unnamed) return shapes;
    std::string sets;
    for (const auto& [symbol, size] : symbols) sets += fmt::format("{}--set {}={}", sets.empty() ? "" : " ", symbol, size);
    return sets;
  }

  static bool open_first_dimension(const ValueInfo& v) { return v.shape && !v.shape->empty() && !v.shape->front().value; }

  /// --batch N for a model whose batch is a number: refused, because the number is baked into its other shapes.
  void check_batch(const std::vector<const ValueInfo*>& inputs) {
    if (options_.batch == 0) return;
    if (options_.batch < 0) return problems_.add_malformed("onnx/shape", fmt::format("a batch of {}", options_.batch), {});
    if (std::any_of(inputs.begin(), inputs.end(), [](const ValueInfo* v) { return open_first_dimension(*v); })) return;
    for (const ValueInfo* v : inputs) {
      if (!v->shape || v->shape->empty()) continue;
      if (*v->shape->front().value == options_.batch) return;
      return problems_.add_unsupported(
          "onnx/fixed-batch",
          fmt::format("the model's batch is fixed at {} (input {}), it cannot be {}", *v->shape->front().value, v->name, options_.batch),
          v->name, "leave --batch out, or export the model with a symbolic first dimension");
    }
  }

  /// --shape names an input and agrees with what the model says of it.
  void check_shapes(const std::vector<const ValueInfo*>& inputs) {
    std::vector<std::string> names;
    for (const ValueInfo* v : inputs) names.push_back(v->name);
    for (const auto& [name, shape] : options_.shapes) {
      const auto at = std::find_if(inputs.begin(), inputs.end(), [&, wanted = name](const ValueInfo* v) { return v->name == wanted; });
      if (at == inputs.end()) {
        const std::string near = nearest_name(name, names);
        problems_.add_malformed(
            "onnx/unknown-input", fmt::format("the model has no input called {}", name), {},
            near.empty() ? fmt::format("its inputs are {}", fmt::join(names, ", ")) : fmt::format("did you mean {}?", near));
        continue;
      }
      const auto& declared = (*at)->shape;
      bool fits = declared && declared->size() == shape.size();
      for (std::size_t d = 0; fits && d < shape.size(); ++d) fits = shape[d] > 0 && (*declared)[d].value.value_or(shape[d]) == shape[d];
      if (!fits)
        problems_.add_malformed("onnx/shape", fmt::format("input {} of the model does not take the shape {}", name, print_shape(shape)),
                                name, "only its open dimensions can be set");
    }
    if (problems_.any()) return;
    // Dimensions of one name are one number, whichever input it is given for.
    std::map<std::string, std::int64_t> symbols(options_.set);
    for (const ValueInfo* v : inputs) {
      const auto given = options_.shapes.find(v->name);
      for (std::size_t d = 0; given != options_.shapes.end() && d < given->second.size(); ++d) {
        const Dimension& dimension = (*v->shape)[d];
        if (dimension.value || dimension.symbol.empty()) continue;
        const auto [known, fresh] = symbols.emplace(dimension.symbol, given->second[d]);
        if (known->second != given->second[d])
          problems_.add_malformed(
              "onnx/shape", fmt::format("dimension {} would be {} and {}", dimension.symbol, known->second, given->second[d]), v->name);
      }
    }
    symbols_ = std::move(symbols);
  }

  /// --set names a dimension of some input.
  void check_symbols(const std::vector<const ValueInfo*>& inputs) {
    std::vector<std::string> symbols;
    for (const ValueInfo* v : inputs) {
      for (std::size_t d = 0; v->shape && d < v->shape->size(); ++d) {
        if (!(*v->shape)[d].value && !(*v->shape)[d].symbol.empty()) symbols.push_back((*v->shape)[d].symbol);
      }
    }
    for (const auto& [name, value] : options_.set) {
      if (std::find(symbols.begin(), symbols.end(), name) != symbols.end()) continue;
      const std::string near = nearest_name(name, symbols);
      problems_.add_malformed("onnx/unknown-dimension", fmt::format("no input has a dimension called {}", name), {},
                              near.empty() ? std::string() : fmt::format("did you mean {}?", near));
    }
  }

  /// A sequence or an optional: its tensors are inputs of the graph.
  void add_collection(const ValueInfo& v, std::int64_t length, std::size_t first, std::map<std::string, std::vector<std::string>>& unset) {
    std::vector<ValuePtr> elements;
    for (std::int64_t k = 0; k < length; ++k) {
      const std::size_t at = first + static_cast<std::size_t>(k);
      if (at >= options_.inputs.size()) {
        return problems_.add_malformed("inputs/missing", fmt::format("input {} has {} tensors, not all are given", v.name, length), v.name);
      }
      ValueInfo element = v;
      element.name = unique(fmt::format("{}[{}]", v.name, k), tensor_names_);
      element.is_tensor = true;
      add_input(element, &options_.inputs[at], unset);
      if (problems_.any()) return;
      elements.push_back(values_.at(element.name));
    }
    auto value = std::make_shared<Value>();
    value->name = v.name;
    value->kind = v.kind == ValueKind::optional ? Value::Kind::optional : Value::Kind::sequence;
    value->elements = std::move(elements);
    if (v.kind == ValueKind::optional_sequence) {
      auto around = std::make_shared<Value>();
      around->name = v.name;
      around->kind = Value::Kind::optional;
      if (length >= 0) around->elements.push_back(std::move(value));
      value = std::move(around);
    }
    values_[v.name] = std::move(value);
  }

  /// `given`: its value in this run; null: any.
  void add_input(const ValueInfo& v, const numerics::Tensor* given, std::map<std::string, std::vector<std::string>>& unset) {
    if (!v.is_tensor) {
      return problems_.add_unsupported("onnx/unsupported-type", fmt::format("input {} is not a dense tensor", v.name), v.name);
    }
    const bool text = v.type == kString;
    const auto format = text && given != nullptr ? numerics::Format::uint8 : format_of(v.type);
    if (!format) {
      return problems_.add_unsupported("onnx/unsupported-type", fmt::format("input {} has element type {}", v.name, data_type_name(v.type)),
                                       v.name);
    }
    if (!v.shape && given == nullptr) {
      return problems_.add_unsupported("onnx/dynamic-shape", fmt::format("input {} does not say how many dimensions it has", v.name),
                                       v.name);
    }
    numerics::Shape shape;
    if (given != nullptr) shape = given->shape;
    if (given != nullptr && (given->format != *format || !fits(*given, v))) {
      return problems_.add_malformed("inputs/shape",
                                     fmt::format("input {} of the model is no {} of shape {}", v.name,
                                                 data_type_name(data_type_of(given->format)), print_shape(given->shape)),
                                     v.name);
    }
    const auto shaped = options_.shapes.find(v.name);
    for (std::size_t d = 0; given == nullptr && d < v.shape->size(); ++d) {
      const Dimension& dimension = (*v.shape)[d];
      const auto set = symbols_.find(dimension.symbol);
      if (dimension.value) {
        shape.push_back(*dimension.value);
      } else if (shaped != options_.shapes.end()) {
        shape.push_back(shaped->second[d]);
      } else if (d == 0 && options_.batch > 0) {
        shape.push_back(options_.batch);
      } else if (!dimension.symbol.empty() && set != symbols_.end()) {
        shape.push_back(set->second);
      } else {
        unset[dimension.symbol.empty() ? fmt::format("{} (unnamed)", d) : dimension.symbol].push_back(v.name);
        shape.push_back(1);
      }
    }
    const auto count = checked_count(shape);
    if (!count) {
      return problems_.add_malformed("onnx/shape", fmt::format("input {} has impossible dimensions {}", v.name, print_shape(shape)),
                                     v.name);
    }
    auto value = std::make_shared<Value>();
    value->name = v.name;
    value->format = *format;
    value->shape = shape;
    value->text = text;
    value->id = model::add_input(graph_, v.name, *format, std::move(shape));
    if (given != nullptr && *count <= kMaxKnown) value->given = std::make_shared<const numerics::Tensor>(*given);
    values_[v.name] = std::move(value);
  }

  // --- nodes ---------------------------------------------------------------------------------------------------------------------------

  void build(const Node& node, const std::string& name) {
    if (is_known(node.domain) && (is_structural(node.type) || renames_collection(node)))
      return build_structural(scope_, node, unique(name, node_names_), opset_of(model_, node));
    if (is_gradient(node)) return build_gradient(scope_, node, unique(name, node_names_), model_.nodes, opset_of(model_, node));
    const bool texts = reads_texts(node);
    const Operator* op = !is_known(node.domain) ? nullptr : texts ? find_text_operator(node.type) : find_operator(node.type);
    if (texts && op == nullptr)
      return problems_.add_unsupported("onnx/unsupported-type",
                                       fmt::format("{} {}: {} of texts is not supported", node.type, name, node.type), name);
    if (op == nullptr) {  // inside a body: the others were looked at before
      return problems_.add_unsupported("onnx/unsupported-operator",
                                       fmt::format("operator {} is not supported (1 node: {})", node.type, name), name);
    }
    build_as(*op, node, name);
  }

  [[nodiscard]] bool reads_texts(const Node& node) const {
    return std::any_of(node.inputs.begin(), node.inputs.end(), [&](const std::string& input) {
      const auto at = values_.find(input);
      return at != values_.end() && at->second->text;
    });
  }

  /// An Identity of a sequence or an optional.
  [[nodiscard]] bool renames_collection(const Node& node) const {
    if (node.type != "Identity" || node.inputs.empty()) return false;
    const auto at = values_.find(node.inputs[0]);
    return at != values_.end() && at->second->kind != Value::Kind::tensor;
  }

  void build_as(const Operator& op, const Node& node, const std::string& name) {
    std::vector<ValuePtr> inputs;
    for (const std::string& input : node.inputs) {
      if (input.empty()) {
        inputs.push_back(nullptr);
        continue;
      }
      const auto it = values_.find(input);
      if (it == values_.end()) return;  // its producer failed and said so
      inputs.push_back(it->second);
      if (it->second->kind == Value::Kind::tensor) continue;
      return problems_.add_malformed(
          "onnx/type", fmt::format("{} {}: {} is a sequence or an optional, a tensor is needed", node.type, name, input), name);
    }
    while (!inputs.empty() && inputs.back() == nullptr) inputs.pop_back();
    NodeBuilder builder(node, unique(name, node_names_), opset_of(model_, node), std::move(inputs), file_, folder_);
    builder.share_budget(&looked_at_);
    builder.set_randomness(options_.seed, options_.draw);
    check_signature(op, builder);
    if (!builder.failed()) op.build(builder);
    if (!builder.failed()) check_results(builder);
    if (!builder.failed()) finish(builder);
    problems_.malformed.insert(problems_.malformed.end(), builder.malformed_list().begin(), builder.malformed_list().end());
    problems_.unsupported.insert(problems_.unsupported.end(), builder.unsupported_list().begin(), builder.unsupported_list().end());
  }

  static void check_signature(const Operator& op, NodeBuilder& b) {
    if (b.input_count() < op.least_inputs || b.input_count() > op.most_inputs) {
      return b.malformed("onnx/inputs", op.most_inputs == kAny
                                            ? fmt::format("{} inputs, at least {} needed", b.input_count(), op.least_inputs)
                                        : op.least_inputs == op.most_inputs
                                            ? fmt::format("{} inputs, {} needed", b.input_count(), op.least_inputs)
                                            : fmt::format("{} inputs, {} to {} needed", b.input_count(), op.least_inputs, op.most_inputs));
    }
    for (std::size_t i = 0; i < op.least_inputs; ++i) {
      if (!b.has(i)) b.malformed("onnx/undefined-tensor", fmt::format("input {} is missing", i));
    }
    if (b.node().outputs.empty()) b.malformed("onnx/inputs", "the node has no outputs");
    std::vector<std::string> known;
    for (std::string_view rest = op.attributes; !rest.empty();) {
      const std::size_t end = std::min(rest.find(' '), rest.size());
      known.emplace_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    for (const Attribute& a : b.node().attributes) {
      if (std::find(known.begin(), known.end(), a.name) != known.end()) continue;
      const std::string near = nearest_name(a.name, known);
      b.unsupported("onnx/unsupported-attribute", fmt::format("attribute {} is not supported", a.name),
                    near.empty() ? std::string() : fmt::format("did you mean {}?", near));
    }
  }

  static void check_results(NodeBuilder& b) {
    for (std::size_t i = 0; i < b.outputs().size(); ++i) {
      const auto& output = b.outputs()[i];
      if (b.wants(i) && !output.scratch.valid() && !output.value) {
        b.unsupported("onnx/unsupported-output", fmt::format("output {} ({}) is not computed", i, b.node().outputs[i]));
      }
    }
    for (const graph::Tensor& t : b.scratch().tensors) {
      if (!checked_count(t.shape))
        return b.malformed("onnx/shape", fmt::format("{} has impossible dimensions {}", t.name, print_shape(t.shape)));
    }
    for (const graph::Op& op : b.scratch().ops) {
      for (const numerics::Nest& nest : op.nests) {
        if (!checked_points(nest)) return b.malformed("onnx/shape", "the operation has more than 2^50 steps");
      }
    }
  }

  /// Takes over what the builder made: constants, values computed now or on demand, or operators of the graph.
  void finish(NodeBuilder& b) {
    for (std::size_t i = 0; i < b.outputs().size(); ++i) {
      if (b.wants(i) && b.outputs()[i].value) values_[b.node().outputs[i]] = b.outputs()[i].value;
    }
    if (b.scratch().ops.empty()) return;
    if (fold(b)) return;
    if (drop_empty(b)) return;
    std::vector<TensorId> used;
    for (const graph::Op& op : b.scratch().ops) used.insert(used.end(), op.operands.begin(), op.operands.end());
    for (const TensorId id : used) {
      const graph::Tensor& t = b.scratch().tensor(id);
      if (checked_count(t.shape) == std::optional<std::int64_t>(0)) {
        return b.unsupported("onnx/empty-tensor", fmt::format("{} of shape {} has no elements", t.name, print_shape(t.shape)));
      }
    }
    append(b);
  }

  /// Results without elements need no operator: they are constants without values. What is left is taken out of scratch(); true when
  /// nothing is.
  bool drop_empty(NodeBuilder& b) {
    Graph& scratch = b.scratch();
    const auto empty = [&](TensorId id) { return checked_count(scratch.tensor(id).shape) == std::optional<std::int64_t>(0); };
    bool any = false;
    for (std::size_t i = 0; i < b.outputs().size(); ++i) {
      const TensorId id = b.outputs()[i].scratch;
      if (!b.wants(i) || !id.valid() || !empty(id)) continue;
      auto value = std::make_shared<Value>();
      value->name = b.node().outputs[i];
      value->text = b.outputs()[i].text;
      value->format = scratch.tensor(id).format;
      value->shape = scratch.tensor(id).shape;
      value->constant = numerics::constant_of(numerics::make_tensor(value->format, value->shape));
      values_[value->name] = std::move(value);
      b.forget_result(i);
      any = true;
    }
    if (!any) return false;
    std::erase_if(scratch.ops, [&](const graph::Op& op) { return std::all_of(op.results.begin(), op.results.end(), empty); });
    return scratch.ops.empty();
  }

  /// Everything the node reads is constant: its results are, too. False when it has to run after all (large or costly). Builders have seen
  /// to it that constants which are looked up as indices lie inside.
  bool fold(NodeBuilder& b) {
    Graph& scratch = b.scratch();
    if (graph::is_random(scratch)) return false;  // every run draws anew
    std::int64_t points = 0;
    std::int64_t read = 0, lazy_points = 0;
    bool moves_only = true;
    int depth = 0;
    bool trained = false;
    for (std::size_t t = 0; t < scratch.tensors.size(); ++t) {
      const ValuePtr source = b.source(TensorId(t));
      if (source == nullptr) continue;
      if (!source->constant) return false;
      read += numerics::element_count(source->shape);
      depth = std::max(depth, source->lazy_depth);
      lazy_points = std::min(kMaxPoints, lazy_points + source->lazy_points);
      trained = trained || source->trained;
    }
    for (const graph::Op& op : scratch.ops) {
      for (const numerics::Nest& nest : op.nests) {
        points = std::min(kMaxPoints, points + *checked_points(nest));
        moves_only = moves_only && nest.combiner == numerics::Combiner::none;
      }
    }
    for (std::size_t i = 0; i < b.outputs().size(); ++i) {
      const TensorId id = b.outputs()[i].scratch;
      if (!id.valid() || !b.wants(i)) continue;
      const graph::Tensor& tensor = scratch.tensor(id);
      const std::int64_t count = numerics::element_count(tensor.shape);
      auto value = std::make_shared<Value>();
      value->name = b.node().outputs[i];
      value->text = b.outputs()[i].text;
      value->format = tensor.format;
      value->shape = tensor.shape;
      if (count == 0) {
        value->constant = numerics::constant_of(numerics::make_tensor(tensor.format, tensor.shape));
      } else if (count <= kMaxKnown && points <= kMaxFoldPoints && read <= kMaxFoldPoints && fold_total_ + points <= kMaxFoldTotal) {
        fold_total_ += points + read;
        scratch.outputs = {id};
        value->constant = numerics::constant_of(std::move(graph::evaluate(scratch, {})[0]));
        value->trained = trained && count > 1;
      } else if (moves_only && depth < kMaxLazyDepth) {
        // Large weights that are only rearranged or scaled: made when somebody wants the values.
        auto late = std::make_shared<Graph>(scratch);
        late->outputs = {id};
        value->constant = std::make_shared<numerics::Constant>(
            numerics::Constant{[late]() -> numerics::Tensor { return std::move(graph::evaluate(*late, {})[0]); }});
        value->lazy_depth = depth + 1;
        value->lazy_points = std::min(kMaxPoints, lazy_points + points);
        value->trained = trained;
      } else {
        return false;
      }
      values_[value->name] = std::move(value);
    }
    return true;
  }

  /// The graph's tensor for a value; constants enter the graph when something first reads them.
  TensorId materialise(Value& value) {
    if (!value.id.valid()) {
      value.id = add_constant(graph_, value.name, value.format, value.shape, value.constant, value.trained);
    }
    return value.id;
  }

  void append(NodeBuilder& b) {
    const auto given = given_results(b);
    Graph& scratch = b.scratch();
    std::vector<TensorId> place(scratch.tensors.size());
    std::vector<bool> is_output(scratch.tensors.size(), false);
    for (std::size_t i = 0; i < b.outputs().size(); ++i) {
      if (b.wants(i) && b.outputs()[i].scratch.valid()) is_output[b.outputs()[i].scratch.index()] = true;
    }
    for (const std::size_t i : b.untrained()) {
      Value& value = *b.value(i);
      value.trained = false;
      if (value.id.valid()) graph_.tensor(value.id).trained = false;
    }
    const auto placed = [&](TensorId id) {
      TensorId& to = place[id.index()];
      if (to.valid()) return to;
      if (const ValuePtr source = b.source(id)) return to = materialise(*source);
      graph::Tensor tensor = std::move(scratch.tensor(id));
      // Results bear the model's names; what lies between them must not take one.
      if (!is_output[id.index()]) tensor.name = unique(tensor.name, tensor_names_);
      graph_.tensors.push_back(std::move(tensor));
      return to = TensorId(graph_.tensors.size() - 1);
    };
    for (graph::Op& op : scratch.ops) {
      for (TensorId& id : op.operands) id = placed(id);
      for (TensorId& id : op.results) id = placed(id);
      op.name = unique(std::move(op.name), op_names_);
      graph_.ops.push_back(std::move(op));
    }
    for (std::size_t i = 0; i < b.outputs().size(); ++i) {
      const TensorId id = b.outputs()[i].scratch;
      if (!id.valid() || !b.wants(i)) continue;
      auto value = std::make_shared<Value>();
      value->name = b.node().outputs[i];
      value->text = b.outputs()[i].text;
      value->id = placed(id);
      value->format = graph_.tensor(value->id).format;
      value->shape = graph_.tensor(value->id).shape;
      if (i < given.size()) value->given = given[i];
      values_[value->name] = std::move(value);
    }
  }

  /// What the results will be in this run, where that follows from what is given: small ones only, they are for shapes.
  std::vector<std::shared_ptr<const numerics::Tensor>> given_results(NodeBuilder& b) {
    if (options_.inputs.empty()) return {};
    Graph scratch = b.scratch();
    std::int64_t points = 0;
    for (const graph::Op& op : scratch.ops)
      for (const numerics::Nest& nest : op.nests) {
        if (nest.has_lookups()) return {};  // what is given may be no index at all, which the run will tell
        points = std::min(kMaxPoints, points + *checked_points(nest));
      }
    if (points > kMaxFoldPoints || fold_total_ + points > kMaxFoldTotal) return {};
    for (std::size_t t = 0; t < scratch.tensors.size(); ++t) {
      const ValuePtr source = b.source(TensorId(t));
      if (source == nullptr) continue;
      if (known_or_given(*source) == nullptr) return {};
      scratch.tensors[t].role = graph::Role::constant;
      scratch.tensors[t].constant = numerics::constant_of(*known_or_given(*source));
    }
    std::vector<std::shared_ptr<const numerics::Tensor>> results(b.outputs().size());
    for (std::size_t i = 0; i < results.size(); ++i) {
      const TensorId id = b.outputs()[i].scratch;
      if (!id.valid() || !b.wants(i) || numerics::element_count(scratch.tensor(id).shape) > kMaxKnown) continue;
      fold_total_ += points;
      scratch.outputs = {id};
      results[i] = std::make_shared<const numerics::Tensor>(std::move(graph::evaluate(scratch, {})[0]));
    }
    return results;
  }

  // --- outputs ---------------------------------------------------------------------------------------------------------------------------

  void add_outputs() {
    for (const ValueInfo& v : model_.outputs) {
      const ValuePtr value = values_.at(v.name);
      if (value->kind != Value::Kind::tensor) {
        add_collected(v.name, *value);
        continue;
      }
      output_lengths_.push_back(-1);
      if (v.is_tensor && v.type != kUndefined &&
          v.type != (value->text ? static_cast<std::int32_t>(kString) : data_type_of(value->format))) {
        problems_.add_malformed("onnx/type",
                                fmt::format("output {} is declared {} but computed as {}", v.name, data_type_name(v.type),
                                            data_type_name(data_type_of(value->format))),
                                v.name);
        continue;
      }
      graph_.outputs.push_back(output_tensor(v.name, *value));
    }
  }

  /// The tensors in a sequence or an optional, one after the other.
  void add_collected(const std::string& name, const Value& value) {
    const bool optional = value.kind == Value::Kind::optional;
    if (optional && value.elements.empty()) return output_lengths_.push_back(-2);
    if (optional && value.elements[0]->kind != Value::Kind::tensor) return add_collected(name, *value.elements[0]);
    output_lengths_.push_back(static_cast<std::int64_t>(value.elements.size()));
    for (std::size_t k = 0; k < value.elements.size(); ++k)
      graph_.outputs.push_back(output_tensor(unique(fmt::format("{}[{}]", name, k), tensor_names_), *value.elements[k]));
  }

  /// Outputs are computed, each a tensor of its own: an input or a constant that is one is copied, and so is what is one already.
  TensorId output_tensor(const std::string& name, Value& value) {
    const auto listed = [&] { return std::find(graph_.outputs.begin(), graph_.outputs.end(), value.id) != graph_.outputs.end(); };
    if (!value.constant && graph_.tensor(value.id).role == graph::Role::intermediate && !listed()) {
      std::string& own = graph_.tensor(value.id).name;
      if (own != name && !declared_.contains(own)) own = name;  // it bore a name made up for what is inside a body
      return value.id;
    }
    if (const auto it = copies_.find(name); it != copies_.end()) return it->second;
    if (value.constant && !value.id.valid() && value.name == name) value.name = unique(name + ":value", tensor_names_);
    const TensorId from = materialise(value);
    const bool taken = graph_.tensor(from).name == name;
    std::vector<numerics::Affine> index;
    for (std::size_t d = 0; d < value.shape.size(); ++d) index.push_back(numerics::affine_variable(static_cast<int>(d)));
    const Label label{unique(name + ":copy", op_names_), "Identity", taken ? unique(name + ":copy", tensor_names_) : name, {}};
    return copies_[name] = emit_copy(graph_, label, from, value.shape, std::move(index));
  }

  /// Drops operators nothing waits for (a branch that only gave its shape) and tensors nobody touches.
  void prune() {
    std::vector<bool> needed(graph_.tensors.size(), false);
    for (const TensorId id : graph_.outputs) needed[id.index()] = true;
    std::vector<graph::Op> kept;
    for (auto op = graph_.ops.rbegin(); op != graph_.ops.rend(); ++op) {
      if (std::none_of(op->results.begin(), op->results.end(), [&](TensorId id) { return needed[id.index()]; })) continue;
      for (const TensorId id : op->operands) needed[id.index()] = true;
      for (const TensorId id : op->results) needed[id.index()] = true;
      kept.push_back(std::move(*op));
    }
    std::reverse(kept.begin(), kept.end());
    graph_.ops = std::move(kept);
    for (const TensorId id : graph_.inputs) needed[id.index()] = true;
    std::vector<TensorId> renumbered(graph_.tensors.size());
    std::vector<graph::Tensor> tensors;
    for (std::size_t i = 0; i < graph_.tensors.size(); ++i) {
      if (!needed[i]) continue;
      renumbered[i] = TensorId(tensors.size());
      tensors.push_back(std::move(graph_.tensors[i]));
    }
    graph_.tensors = std::move(tensors);
    const auto renumber = [&](std::vector<TensorId>& ids) {
      for (TensorId& id : ids) id = renumbered[id.index()];
    };
    renumber(graph_.inputs);
    renumber(graph_.outputs);
    for (graph::Op& op : graph_.ops) {
      renumber(op.operands);
      renumber(op.results);
    }
  }

  Model model_;
  const LoadOptions& options_;
  std::string file_, folder_;
  Problems problems_;
  Graph graph_;
  std::unordered_map<std::string, ValuePtr> values_;  // looked up only, never walked
  std::unordered_set<std::string> tensor_names_, op_names_, node_names_;
  std::unordered_map<std::string, TensorId> copies_;  // outputs that needed one
  std::int64_t fold_total_ = 0;
  std::int64_t looked_at_ = 0;                   ///< points computed for builders that looked at large constants
  std::map<std::string, std::int64_t> symbols_;  ///< sizes of named dimensions
  std::unordered_set<std::string> declared_;     ///< names of tensors in the file
  std::vector<std::int64_t> output_lengths_;
  Scope scope_{[this](const std::string& name) {
                 const auto at = values_.find(name);
                 return at == values_.end() ? nullptr : at->second;
               },
               [this](const std::string& name, ValuePtr value) {
                 tensor_names_.insert(name);
                 values_[name] = std::move(value);
               },
               [this](const TensorData& data) { add_initializer(data); },
               [this](const Node& node, const std::string& name) {
                 tensor_names_.insert(node.outputs.begin(), node.outputs.end());
                 build(node, name);
               },
               [this](const Operator& op, const Node& node, const std::string& name) { build_as(op, node, name); },
               problems_};
};

}  // namespace

Result<Graph> build_graph(Model model, const LoadOptions& options, const std::string& file, const std::string& folder,
                          std::vector<std::int64_t>* output_lengths) {
  Importer importer(std::move(model), options, file, folder);
  Result<Graph> graph = importer.run();
  if (output_lengths != nullptr) *output_lengths = importer.output_lengths();
  return graph;
}

Result<Graph> read_model(std::string_view bytes, const LoadOptions& options, const std::string& file, const std::string& folder,
                         std::vector<std::int64_t>* output_lengths) {
  SY_TRY(Model model, decode_model(bytes, file));
  return build_graph(std::move(model), options, file, folder, output_lengths);
}

}  // namespace switchyard::model::onnx
