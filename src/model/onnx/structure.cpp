#include "model/onnx/structure.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <map>
#include <queue>
#include <unordered_map>
#include <unordered_set>

#include "model/onnx/control.h"
#include "model/onnx/operators.h"

namespace switchyard::model::onnx {

namespace {

constexpr std::size_t kMaxListed = 100;

}  // namespace

void Problems::add_malformed(std::string code, std::string message, std::string pointer, std::string hint) {
  malformed.push_back({std::move(code), std::move(message), {file, 0, 0}, std::move(pointer), std::move(hint), {}});
}

void Problems::add_unsupported(std::string code, std::string message, std::string pointer, std::string hint) {
  unsupported.push_back({std::move(code), std::move(message), {file, 0, 0}, std::move(pointer), std::move(hint), {}});
}

void Problems::add(const Failure& failure) {
  auto& list = failure.kind == FailureKind::unsupported ? unsupported : malformed;
  list.insert(list.end(), failure.diagnostics.begin(), failure.diagnostics.end());
}

Failure Problems::failure() const {
  Failure out;
  out.kind = malformed.empty() ? FailureKind::unsupported : FailureKind::malformed;
  out.diagnostics = malformed;
  out.diagnostics.insert(out.diagnostics.end(), unsupported.begin(), unsupported.end());
  if (out.diagnostics.size() > kMaxListed) {
    const std::size_t more = out.diagnostics.size() - kMaxListed;
    out.diagnostics.resize(kMaxListed);
    out.diagnostics.push_back({"onnx/more", fmt::format("and {} more", more), {file, 0, 0}, {}, {}, {}});
  }
  return out;
}

bool is_gradient(const Node& node) { return node.domain == "ai.onnx.preview.training" && node.type == "Gradient"; }

bool is_standard(const std::string& domain) { return domain.empty() || domain == "ai.onnx"; }

bool is_known(const std::string& domain) {
  return is_standard(domain) || domain == "ai.onnx.ml" || domain == "ai.onnx.preview" || domain == "ai.onnx.preview.training";
}

void each_captured(const Node& node, const std::function<void(const std::string&)>& use) {
  for (const Attribute& a : node.attributes) {
    if (a.g == nullptr) continue;
    for (const Node& inner : a.g->nodes) {
      for (const std::string& input : inner.inputs)
        if (!input.empty()) use(input);
      each_captured(inner, use);
    }
    for (const ValueInfo& v : a.g->outputs) use(v.name);
  }
}

std::int64_t standard_opset(const std::vector<OperatorSet>& sets) {
  for (const OperatorSet& set : sets) {
    if (is_standard(set.domain)) return set.version;
  }
  return 0;
}

std::string display_name(const Model& model, std::size_t node) {
  const Node& n = model.nodes[node];
  return n.name.empty() ? fmt::format("{}_{}", n.type, node) : n.name;
}

namespace {

void check_operators(const Model& model, Problems& problems) {
  struct Use {
    std::size_t count = 0;
    std::int64_t opset = 0;
    std::vector<std::string> first;
  };
  std::map<std::string, Use> unknown;  // by the name shown
  for (std::size_t i = 0; i < model.nodes.size(); ++i) {
    const Node& node = model.nodes[i];
    const std::int64_t opset = opset_of(model, node);
    const Operator* known = is_known(node.domain) ? find_operator(node.type) : nullptr;
    if ((is_known(node.domain) && is_structural(node.type)) || is_gradient(node)) continue;  // the importer takes one of its branches
    if (known != nullptr && (opset == 0 || opset >= known->since)) continue;                 // no operator set at all was reported already
    std::string shown = is_standard(node.domain) ? node.type : node.domain + "::" + node.type;
    Use& use = unknown[shown];
    use.opset = opset;
    ++use.count;
    if (use.first.size() < 3) use.first.push_back(display_name(model, i));
  }
  const std::vector<std::string> names = operator_names();
  for (const auto& [name, use] : unknown) {
    std::string hint;
    const Operator* newer = find_operator(name);
    if (newer != nullptr) {
      hint = fmt::format("{} exists since operator set {}; the model imports {}", name, newer->since, use.opset);
    } else if (const std::string near = nearest_name(name, names); !near.empty()) {
      hint = fmt::format("did you mean {}?", near);
    }
    problems.add_unsupported("onnx/unsupported-operator",
                             fmt::format("operator {} is not supported ({} node{}: {}{})", name, use.count, use.count == 1 ? "" : "s",
                                         fmt::join(use.first, ", "), use.count > use.first.size() ? ", ..." : ""),
                             use.first[0], std::move(hint));
  }
}

void check_names(const Model& model, Problems& problems) {
  std::unordered_set<std::string> defined;
  const auto define = [&](const std::string& name, const char* what) {
    if (!defined.insert(name).second) {
      problems.add_malformed("onnx/duplicate-name", fmt::format("{} {} defines a tensor that is already defined", what, name), name);
    }
  };
  for (const TensorData& t : model.initializers) define(t.name, "initializer");
  std::unordered_set<std::string> inputs;
  for (const auto* list : {&model.inputs, &model.outputs}) {
    if (std::any_of(list->begin(), list->end(), [](const ValueInfo& v) { return v.name.empty(); })) {
      problems.add_malformed("onnx/malformed", "an input or output of the graph has no name", {});
    }
  }
  for (const ValueInfo& v : model.inputs) {
    if (!inputs.insert(v.name).second) {
      problems.add_malformed("onnx/duplicate-name", fmt::format("input {} is listed twice", v.name), v.name);
    }
    defined.insert(v.name);  // before IR version 4 every initialiser is listed as an input, too
  }
  for (const Node& node : model.nodes) {
    for (const std::string& output : node.outputs) {
      if (!output.empty()) define(output, "a node's output");
    }
  }

  // Suggestions look at every name: only for the first few mistakes, or a broken large file would take minutes.
  std::vector<std::string> candidates;
  int suggestions = 8;
  const auto undefined = [&](const std::string& name, const std::string& reader, const std::string& pointer) {
    std::string hint;
    if (suggestions-- > 0 && defined.size() < 20000) {
      if (candidates.empty()) {
        candidates.assign(defined.begin(), defined.end());
        std::sort(candidates.begin(), candidates.end());
      }
      const std::string near = nearest_name(name, candidates);
      if (!near.empty()) hint = fmt::format("did you mean {}?", near);
    }
    problems.add_malformed("onnx/undefined-tensor", fmt::format("{} reads {}, which nothing defines", reader, name), pointer,
                           std::move(hint));
  };
  for (std::size_t i = 0; i < model.nodes.size(); ++i) {
    for (const std::string& input : model.nodes[i].inputs) {
      if (!input.empty() && !defined.contains(input)) {
        undefined(input, fmt::format("node {}", display_name(model, i)), display_name(model, i));
      }
    }
  }
  for (const ValueInfo& v : model.outputs) {
    if (!defined.contains(v.name)) undefined(v.name, "the list of outputs", v.name);
  }
}

}  // namespace

void check_structure(const Model& model, Problems& problems) {
  if (!model.has_graph) {
    problems.add_malformed("onnx/malformed", "the file holds no graph", {}, "it may be empty, or not an ONNX model");
    return;
  }
  if (model.outputs.empty()) problems.add_malformed("onnx/no-outputs", "the graph has no outputs", {});
  const std::int64_t opset = standard_opset(model.operator_sets);
  const bool needs_standard = std::any_of(model.nodes.begin(), model.nodes.end(), [](const Node& n) { return is_standard(n.domain); });
  if (needs_standard && opset == 0) {
    problems.add_malformed("onnx/malformed", "the model does not say which operator set it uses", {});
  } else if (needs_standard && (opset < kOldestOpset || opset > kNewestOpset)) {
    problems.add_unsupported("onnx/unsupported-opset",
                             fmt::format("operator set {} is not supported, only {} to {}", opset, kOldestOpset, kNewestOpset), {},
                             "convert the model with onnx.version_converter");
  }
  if (model.sparse_initializers > 0) {
    problems.add_unsupported("onnx/unsupported-feature", fmt::format("{} sparse initializers", model.sparse_initializers), {});
  }
  check_names(model, problems);
  check_operators(model, problems);
}

std::vector<std::size_t> topological_order(const Model& model, Problems& problems) {
  std::unordered_map<std::string, std::size_t> producer;
  for (std::size_t i = 0; i < model.nodes.size(); ++i) {
    for (const std::string& output : model.nodes[i].outputs) {
      if (!output.empty()) producer.emplace(output, i);
    }
  }
  std::vector<std::vector<std::size_t>> readers(model.nodes.size());
  std::vector<std::size_t> waits(model.nodes.size(), 0);
  for (std::size_t i = 0; i < model.nodes.size(); ++i) {
    const auto wait_for = [&](const std::string& name) {
      const auto it = producer.find(name);
      if (it == producer.end()) return;
      readers[it->second].push_back(i);
      ++waits[i];
    };
    for (const std::string& input : model.nodes[i].inputs) wait_for(input);
    each_captured(model.nodes[i], wait_for);
  }
  std::priority_queue<std::size_t, std::vector<std::size_t>, std::greater<>> ready;
  for (std::size_t i = 0; i < waits.size(); ++i) {
    if (waits[i] == 0) ready.push(i);
  }
  std::vector<std::size_t> order;
  while (!ready.empty()) {
    const std::size_t i = ready.top();
    ready.pop();
    order.push_back(i);
    for (const std::size_t r : readers[i]) {
      if (--waits[r] == 0) ready.push(r);
    }
  }
  if (order.size() == model.nodes.size()) return order;

  // Every node left waits for another one left: walking to such a one, again and again, must come round.
  std::size_t at = 0;
  while (waits[at] == 0) ++at;
  std::vector<std::size_t> path;
  std::unordered_map<std::size_t, std::size_t> position;
  while (position.emplace(at, path.size()).second) {
    path.push_back(at);
    std::optional<std::size_t> next;
    const auto follow = [&](const std::string& name) {
      const auto it = producer.find(name);
      if (!next && it != producer.end() && waits[it->second] > 0) next = it->second;
    };
    for (const std::string& input : model.nodes[at].inputs) follow(input);
    each_captured(model.nodes[at], follow);
    at = *next;
  }
  path.erase(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(position[at]));
  std::reverse(path.begin(), path.end());  // in the direction the data would flow
  std::vector<std::string> names;
  for (std::size_t i = 0; i < path.size() && i < 8; ++i) names.push_back(display_name(model, path[i]));
  problems.add_malformed("onnx/cycle",
                         fmt::format("the graph has a cycle of {} nodes: {}{}", path.size(), fmt::join(names, " -> "),
                                     path.size() > names.size() ? " -> ..." : " -> " + names[0]),
                         names[0]);
  return {};
}

}  // namespace switchyard::model::onnx
