#include "model/onnx/functions.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

namespace switchyard::model::onnx {

namespace {

constexpr int kDeepest = 64;
constexpr std::size_t kMostNodes = std::size_t{1} << 20, kMostNameBytes = std::size_t{1} << 28;
constexpr const char* kTooMany = "functions make more than 2^20 nodes of the model, or names of more than 256 MiB";

std::string standard_domain(const std::string& domain) { return is_standard(domain) ? std::string() : domain; }

std::string key_of(const std::string& domain, const std::string& name, const std::string& overload) {
  return fmt::format("{}::{}:{}", standard_domain(domain), name, overload);
}

class Inliner {
 public:
  Inliner(Model& model, Problems& problems) : model_(model), problems_(problems) {
    for (const Function& f : model.functions) {
      const std::string key = key_of(f.domain, f.name, f.overload);
      if (!functions_.emplace(key, &f).second)
        problems_.add_malformed("onnx/duplicate-name", fmt::format("function {} is defined twice", key), key);
    }
  }

  void run() {
    std::vector<Node> nodes;
    for (std::size_t i = 0; i < model_.nodes.size() && !problems_.any(); ++i) {
      // Unnamed nodes are known by their number in the file, not by where they come to stand.
      Node& node = model_.nodes[i];
      if (node.name.empty()) node.name = display_name(model_, i);
      expand(std::move(node), 0, nodes);
    }
    model_.nodes = std::move(nodes);
    model_.functions.clear();
  }

 private:
  const Function* callee(const Node& node) const {
    const auto at = functions_.find(key_of(node.domain, node.type, node.overload));
    return at == functions_.end() ? nullptr : at->second;
  }

  void expand(Node node, int depth, std::vector<Node>& out) {
    const Function* function = callee(node);
    if (function == nullptr) {
      for (Attribute& a : node.attributes)
        if (a.g != nullptr) a.g = expanded(*a.g, depth);
      // Names grow with every call around them.
      for (const auto* list : {&node.inputs, &node.outputs})
        for (const std::string& name : *list) name_bytes_ += name.size();
      if (++count_ > kMostNodes || name_bytes_ > kMostNameBytes) return complain(node, kTooMany);
      out.push_back(std::move(node));
      return;
    }
    if (depth >= kDeepest)
      return complain(node, fmt::format("function {} calls itself, or calls nest more than {} deep", node.type, kDeepest));
    if (node.inputs.size() > function->inputs.size() || node.outputs.size() > function->outputs.size()) {
      return complain(node, fmt::format("function {} takes {} inputs and gives {} outputs, the call has {} and {}", node.type,
                                        function->inputs.size(), function->outputs.size(), node.inputs.size(), node.outputs.size()));
    }
    call(node, *function, depth, out);
  }

  void call(const Node& node, const Function& function, int depth, std::vector<Node>& out) {
    if (++count_ > kMostNodes) return complain(node, kTooMany);
    std::unordered_map<std::string, std::string> names;
    const auto bind = [&](const std::vector<std::string>& formal, const std::vector<std::string>& actual) {
      for (std::size_t i = 0; i < formal.size(); ++i) names[formal[i]] = i < actual.size() ? actual[i] : std::string();
    };
    bind(function.inputs, node.inputs);
    for (std::size_t i = 0; i < function.outputs.size(); ++i) {
      // An output that is an input, too, needs a node that gives it its other name.
      const std::string& formal = function.outputs[i];
      if (i >= node.outputs.size() || node.outputs[i].empty()) continue;
      if (const auto at = names.find(formal); at != names.end()) {
        out.push_back({fmt::format("{}/{}", node.name, formal), "Identity", {}, {at->second}, {node.outputs[i]}, {}});
        out.back().opset = standard_opset(function.operator_sets);
      } else {
        names[formal] = node.outputs[i];
      }
    }
    const Rename rename = [&](const std::string& name) {
      if (name.empty()) return name;
      const auto at = names.find(name);
      return at != names.end() ? at->second : fmt::format("{}/{}", node.name, name);
    };
    const std::int64_t opset = standard_opset(function.operator_sets);
    for (std::size_t i = 0; i < function.nodes.size() && !problems_.any(); ++i) {
      Node inner = renamed(function.nodes[i], rename);
      const std::string own = inner.name.empty() ? fmt::format("{}_{}", inner.type, i) : inner.name;
      inner.name = fmt::format("{}/{}", node.name, own);
      if (inner.opset == 0) inner.opset = opset;
      give_attributes(node, function, inner);
      expand(std::move(inner), depth + 1, out);
    }
  }

  /// Attributes that stand for one of the call's, or for its default; those that neither gives are left out.
  void give_attributes(const Node& call, const Function& function, Node& inner) const {
    std::vector<Attribute> given;
    for (Attribute& a : inner.attributes) {
      if (a.g != nullptr) {
        auto body = std::make_shared<GraphBody>(*a.g);
        for (Node& n : body->nodes) give_attributes(call, function, n);
        a.g = std::move(body);
      }
      if (a.reference.empty()) {
        given.push_back(std::move(a));
        continue;
      }
      for (const auto* list : {&call.attributes, &function.defaults}) {
        const auto at = std::find_if(list->begin(), list->end(), [&](const Attribute& o) { return o.name == a.reference; });
        if (at == list->end()) continue;
        given.push_back(*at);
        given.back().name = a.name;
        given.back().reference.clear();
        break;
      }
    }
    inner.attributes = std::move(given);
  }

  std::shared_ptr<const GraphBody> expanded(const GraphBody& body, int depth) {
    auto out = std::make_shared<GraphBody>(body);
    out->nodes.clear();
    for (std::size_t i = 0; i < body.nodes.size() && !problems_.any(); ++i) {
      Node node = body.nodes[i];
      if (node.name.empty()) node.name = fmt::format("{}_{}", node.type, i);
      expand(std::move(node), depth, out->nodes);
    }
    return out;
  }

  void complain(const Node& node, std::string message) {
    problems_.add_malformed("onnx/function", fmt::format("node {}: {}", node.name, message), node.name);
  }

  Model& model_;
  Problems& problems_;
  std::unordered_map<std::string, const Function*> functions_;
  std::size_t count_ = 0, name_bytes_ = 0;
};

}  // namespace

Node renamed(const Node& node, const Rename& rename) {
  Node out = node;
  for (std::string& name : out.inputs) name = rename(name);
  for (std::string& name : out.outputs) name = rename(name);
  for (Attribute& a : out.attributes) {
    if (a.g == nullptr) continue;
    auto body = std::make_shared<GraphBody>(*a.g);
    for (Node& inner : body->nodes) inner = renamed(inner, rename);
    for (TensorData& t : body->initializers) t.name = rename(t.name);
    for (auto* list : {&body->inputs, &body->outputs})
      for (ValueInfo& v : *list) v.name = rename(v.name);
    a.g = std::move(body);
  }
  return out;
}

void inline_functions(Model& model, Problems& problems) {
  if (!model.functions.empty()) Inliner(model, problems).run();
}

}  // namespace switchyard::model::onnx
