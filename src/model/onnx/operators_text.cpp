// Operators on texts. No unit of a chip knows texts, so these are steps of the host (numerics/host_call.h). A tensor of texts is one of
// bytes whose last dimension holds a text; its width is that of the longest text that is known or given, or may result from such.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "model/emit_detail.h"
#include "model/onnx/operators.h"
#include "numerics/pattern.h"

namespace switchyard::model::onnx {

namespace {

using numerics::Format;
using numerics::HostCall;
using numerics::Shape;

Shape text_shape(const Shape& rows) { return Shape(rows.begin(), rows.end() - 1); }

/// What this run gives, where the shapes of the results follow from values.
std::optional<std::vector<numerics::Tensor>> results_of(NodeBuilder& b, const HostCall& call) {
  std::vector<numerics::Tensor> inputs;
  for (std::size_t i = 0; i < b.input_count(); ++i) {
    const numerics::Tensor* tensor = known_or_given(*b.value(i));
    if (tensor == nullptr) {
      b.unsupported("onnx/dynamic-shape", fmt::format("the shapes of the results follow from {}, which is not known", b.input(i).name),
                    "give the model its inputs: the program is then made for their shapes");
      return {};
    }
    inputs.push_back(*tensor);
  }
  auto results = numerics::call_host(call, inputs);
  if (!results) {
    b.adopt(results.failure());
    return {};
  }
  return std::move(results).value();
}

void emit_step(NodeBuilder& b, HostCall call, const std::vector<std::pair<Format, Shape>>& results, std::size_t texts) {
  graph::Graph& g = b.scratch();
  std::vector<graph::TensorId> operands, made;
  for (std::size_t i = 0; i < b.input_count(); ++i) operands.push_back(b.operand(i));
  for (std::size_t k = 0; k < results.size(); ++k)
    made.push_back(add_tensor(g, b.label({}, k).result, results[k].first, results[k].second));
  graph::Op op = detail::make_op(b.label(), operands, made);
  op.host = std::move(call);
  g.ops.push_back(std::move(op));
  for (std::size_t k = 0; k < results.size(); ++k) {
    b.set_result(k, made[k]);
    if (k < texts) b.set_text(k);
  }
}

/// The same, with the shapes that this run's values give.
void emit_step(NodeBuilder& b, HostCall call, std::size_t texts) {
  const auto results = results_of(b, call);
  if (!results) return;
  std::vector<std::pair<Format, Shape>> made;
  for (const numerics::Tensor& t : *results) made.emplace_back(t.format, t.shape);
  emit_step(b, std::move(call), made, texts);
}

bool needs_texts(NodeBuilder& b) {
  for (std::size_t i = 0; i < b.input_count(); ++i) {
    if (b.input(i).text) continue;
    b.malformed("onnx/type", fmt::format("input {} must be STRING, not {}", b.input(i).name, data_type_name(data_type_of(b.format(i)))));
    return false;
  }
  return true;
}

std::optional<Shape> pair_shape(NodeBuilder& b) {
  if (!needs_texts(b)) return {};
  const std::array shapes{text_shape(b.shape(0)), text_shape(b.shape(1))};
  const auto shape = broadcast(shapes);
  if (!shape) b.malformed("onnx/shape", fmt::format("shapes {} and {} do not fit", print_shape(shapes[0]), print_shape(shapes[1])));
  return shape;
}

void concat(NodeBuilder& b) {
  auto shape = pair_shape(b);
  if (!shape) return;
  shape->push_back(b.shape(0).back() + b.shape(1).back());
  emit_step(b, {"StringConcat", {}}, {{Format::uint8, *shape}}, 1);
}

void equal(NodeBuilder& b) {
  const auto shape = pair_shape(b);
  if (shape) emit_step(b, {"Equal", {}}, {{Format::boolean, *shape}}, 0);
}

void identity(NodeBuilder& b) {
  if (b.input(0).constant && b.alias(0, 0, b.shape(0))) return;
  b.set_result(0, b.operand(0));
  b.set_text(0);
}

void normalise(NodeBuilder& b) {
  if (!needs_texts(b)) return;
  HostCall call{"StringNormalizer", {}};
  const std::string change = b.string_attribute("case_change_action", "NONE");
  if (change != "NONE" && change != "LOWER" && change != "UPPER")
    return b.malformed("onnx/attribute", fmt::format("case_change_action is '{}', not NONE, LOWER or UPPER", change));
  call.attributes.emplace_back("case_change_action", change);
  call.attributes.emplace_back("is_case_sensitive", b.int_attribute("is_case_sensitive", 0) != 0 ? "1" : "0");
  if (const Attribute* words = b.attribute("stopwords"))
    for (const std::string& word : words->strings) call.attributes.emplace_back("stopwords", word);
  emit_step(b, std::move(call), 1);
}

void split(NodeBuilder& b) {
  if (!needs_texts(b)) return;
  HostCall call{"StringSplit", {}};
  call.attributes.emplace_back("delimiter", b.string_attribute("delimiter", ""));
  if (b.attribute("maxsplit") != nullptr) call.attributes.emplace_back("maxsplit", fmt::format("{}", b.int_attribute("maxsplit", 0)));
  emit_step(b, std::move(call), 1);
}

void full_match(NodeBuilder& b) {
  if (!needs_texts(b)) return;
  const std::string pattern = b.string_attribute("pattern", "");
  if (const Status understood = numerics::check_pattern(pattern); !understood) return b.adopt(understood.failure());
  emit_step(b, {"RegexFullMatch", {{"pattern", pattern}}}, {{Format::boolean, text_shape(b.shape(0))}}, 0);
}

/// Keys, values and the default of a LabelEncoder, as texts: strings, or numbers that read back to the same.
struct Labels {
  std::vector<std::string> items;
  bool text = false;
  Format format = Format::fp32;
  bool found = false;
};

Labels labels_of(NodeBuilder& b, const std::string& stem, bool list) {
  Labels out;
  const auto number = [&](double v) { out.items.push_back(fmt::format("{}", v)); };
  const auto is_there = [&](const std::string& suffix) { return b.attribute(stem + suffix); };
  if (const Attribute* a = is_there(list ? "_strings" : "_string")) {
    out = {list ? a->strings : std::vector<std::string>{a->s}, true, Format::uint8, true};
  } else if (const Attribute* floats = is_there(list ? "_floats" : "_float")) {
    out.found = true;
    for (const double v : list ? floats->floats : std::vector<double>{floats->f}) number(v);
  } else if (const Attribute* ints = is_there(list ? "_int64s" : "_int64")) {
    out.found = true;
    out.format = Format::int64;
    for (const std::int64_t v : list ? ints->ints : std::vector<std::int64_t>{ints->i}) number(static_cast<double>(v));
  } else if (const Attribute* tensor = is_there("_tensor"); tensor != nullptr && tensor->t) {
    auto value = value_of(*tensor->t, b.file(), b.folder());
    if (!value) {
      b.adopt(value.failure());
      return out;
    }
    out.found = true;
    out.text = value.value().text;
    out.format = value.value().format;
    const numerics::Tensor* t = known(value.value());
    if (t == nullptr) {
      b.unsupported("onnx/unsupported-feature", fmt::format("more than {} labels", kMaxKnown));
    } else if (out.text) {
      out.items = numerics::texts_of(*t);
    } else {
      for (std::int64_t i = 0; i < t->count(); ++i) number(t->at(i));
    }
  }
  return out;
}

void encode_labels(NodeBuilder& b) {
  const Labels keys = labels_of(b, "keys", true), values = labels_of(b, "values", true);
  Labels otherwise = labels_of(b, "default", false);
  if (b.failed()) return;
  if (!keys.found || !values.found || keys.items.size() != values.items.size())
    return b.malformed("onnx/attribute", fmt::format("{} keys and {} values", keys.items.size(), values.items.size()));
  if (keys.text != b.input(0).text) return b.malformed("onnx/type", fmt::format("input {} is not of the keys' type", b.input(0).name));
  if (!otherwise.found) otherwise.items = {values.text ? "_Unused" : numerics::format_info(values.format).floating ? "-0" : "-1"};
  HostCall call{"LabelEncoder", {}};
  if (keys.text) call.attributes.emplace_back("text_in", "1");
  if (values.text) call.attributes.emplace_back("text_out", "1");
  call.attributes.emplace_back("format", numerics::format_name(values.format));
  call.attributes.emplace_back("default", otherwise.items.empty() ? std::string() : otherwise.items[0]);
  std::size_t widest = std::max<std::size_t>(1, call.attributes.back().second.size());
  for (std::size_t i = 0; i < keys.items.size(); ++i) {
    call.attributes.emplace_back("key", keys.items[i]);
    call.attributes.emplace_back("value", values.items[i]);
    widest = std::max(widest, values.items[i].size());
  }
  Shape shape = keys.text ? text_shape(b.shape(0)) : b.shape(0);
  if (values.text) shape.push_back(static_cast<std::int64_t>(widest));
  emit_step(b, std::move(call), {{values.format, shape}}, values.text ? 1 : 0);
}

}  // namespace

std::span<const Operator> text_operators() {
  static constexpr std::array kOperators{
      Operator{"LabelEncoder", 1, 1, 1,
               "keys_strings keys_int64s keys_floats keys_tensor values_strings values_int64s values_floats values_tensor default_string "
               "default_int64 default_float default_tensor",
               encode_labels},
      Operator{"RegexFullMatch", 20, 1, 1, "pattern", full_match},
      Operator{"StringConcat", 20, 2, 2, "", concat},
      Operator{"StringNormalizer", 10, 1, 1, "case_change_action is_case_sensitive locale stopwords", normalise},
      Operator{"StringSplit", 20, 1, 1, "delimiter maxsplit", split},
  };
  return kOperators;
}

const Operator* find_text_operator(std::string_view name) {
  static constexpr std::array kForms{
      Operator{"Equal", 1, 2, 2, "", equal},
      Operator{"Identity", 1, 1, 1, "", identity},
  };
  for (const std::span<const Operator> list : {text_operators(), std::span<const Operator>(kForms)}) {
    const auto at = std::find_if(list.begin(), list.end(), [&](const Operator& op) { return op.name == name; });
    if (at != list.end()) return &*at;
  }
  return nullptr;
}

}  // namespace switchyard::model::onnx
