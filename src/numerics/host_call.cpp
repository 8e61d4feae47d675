#include "numerics/host_call.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>

#include "numerics/expression.h"
#include "numerics/pattern.h"
#include "support/check.h"

namespace switchyard::numerics {

namespace {

using Tensors = std::vector<Tensor>;

Failure malformed(std::string message) { return fail(FailureKind::malformed, "host/malformed", std::move(message)); }
Failure unsupported(std::string message) { return fail(FailureKind::unsupported, "host/unsupported", std::move(message)); }

/// Of a tensor of texts: the shape of the texts themselves.
Shape text_shape(const Tensor& rows) { return Shape(rows.shape.begin(), rows.shape.end() - 1); }

Tensor rows(const std::vector<std::string>& texts, Shape shape) {
  std::size_t width = 1;
  for (const std::string& text : texts) width = std::max(width, text.size());
  return rows_of(texts, std::move(shape), static_cast<std::int64_t>(width));
}

/// Shapes broadcast as NumPy does; empty when they do not fit.
std::optional<Shape> broadcast_shape(const std::vector<Shape>& shapes) {
  Shape out;
  for (const Shape& shape : shapes) out.resize(std::max(out.size(), shape.size()), 1);
  for (const Shape& shape : shapes) {
    for (std::size_t d = 0; d < shape.size(); ++d) {
      std::int64_t& extent = out[out.size() - shape.size() + d];
      if (shape[d] == extent || shape[d] == 1) continue;
      if (extent != 1) return {};
      extent = shape[d];
    }
  }
  return out;
}

/// The element of a tensor of `shape` that element `flat` of a broadcast of shape `to` takes.
std::int64_t broadcast_place(const Shape& shape, const Shape& to, std::int64_t flat) {
  std::int64_t place = 0, stride = 1;
  for (std::size_t d = to.size(); d-- > 0;) {
    const std::int64_t at = flat % to[d];
    flat /= to[d];
    if (d + shape.size() < to.size()) continue;
    const std::int64_t extent = shape[d + shape.size() - to.size()];
    if (extent != 1) place += at * stride;
    stride *= extent;
  }
  return place;
}

/// f of each pair of two tensors of texts.
template <class F>
Result<Shape> each_pair(const Tensors& inputs, F&& f) {
  const std::vector<std::string> a = texts_of(inputs[0]), b = texts_of(inputs[1]);
  const Shape shape_a = text_shape(inputs[0]), shape_b = text_shape(inputs[1]);
  const auto shape = broadcast_shape({shape_a, shape_b});
  if (!shape) return malformed(fmt::format("texts of shapes [{}] and [{}]", fmt::join(shape_a, ", "), fmt::join(shape_b, ", ")));
  for (std::int64_t i = 0, count = element_count(*shape); i < count; ++i) {
    f(a[static_cast<std::size_t>(broadcast_place(shape_a, *shape, i))], b[static_cast<std::size_t>(broadcast_place(shape_b, *shape, i))]);
  }
  return *shape;
}

Result<Tensors> concat(const HostCall& /*call*/, const Tensors& inputs) {
  std::vector<std::string> joined;
  SY_TRY(const Shape shape, each_pair(inputs, [&](const std::string& a, const std::string& b) { joined.push_back(a + b); }));
  return Tensors{rows(joined, shape)};
}

Result<Tensors> equal(const HostCall& /*call*/, const Tensors& inputs) {
  std::vector<bool> same;
  SY_TRY(const Shape shape, each_pair(inputs, [&](const std::string& a, const std::string& b) { same.push_back(a == b); }));
  Tensor out = make_tensor(Format::boolean, shape);
  for (std::size_t i = 0; i < same.size(); ++i) out.set(static_cast<std::int64_t>(i), same[i] ? 1 : 0);
  return Tensors{std::move(out)};
}

/// Letters of ASCII in the other case; empty when the text has others.
std::optional<std::string> in_case(std::string text, bool upper) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) >= 0x80) return {};
    if (upper && c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    if (!upper && c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

Result<Tensors> normalise(const HostCall& call, const Tensors& inputs) {
  const Shape shape = text_shape(inputs[0]);
  if (shape.empty() || shape.size() > 2 || (shape.size() == 2 && shape[0] != 1))
    return malformed(fmt::format("texts of shape [{}]; [C] or [1, C] is taken", fmt::join(shape, ", ")));
  const std::string* change = call.attribute("case_change_action");
  const bool sensitive = call.attribute("is_case_sensitive") != nullptr && *call.attribute("is_case_sensitive") == "1";
  const auto folded = [&](const std::string& text) { return sensitive ? std::optional(text) : in_case(text, false); };
  std::vector<std::string> stopwords = call.list("stopwords"), kept;
  for (std::string& word : stopwords) {
    const auto plain = folded(word);
    if (!plain) return unsupported(fmt::format("the case of '{}', which has letters beyond ASCII", word));
    word = *plain;
  }
  for (const std::string& text : texts_of(inputs[0])) {
    const auto plain = stopwords.empty() ? std::optional(text) : folded(text);
    const auto changed = change == nullptr || *change == "NONE" ? std::optional(text) : in_case(text, *change == "UPPER");
    if (!plain || !changed) return unsupported(fmt::format("the case of '{}', which has letters beyond ASCII", text));
    if (std::find(stopwords.begin(), stopwords.end(), *plain) == stopwords.end()) kept.push_back(*changed);
  }
  if (kept.empty()) kept.emplace_back();  // the standard asks for one empty text
  Shape result = shape;
  result.back() = static_cast<std::int64_t>(kept.size());
  return Tensors{rows(kept, result)};
}

std::vector<std::string> pieces(const std::string& text, const std::string& delimiter, std::int64_t most) {
  std::vector<std::string> out;
  constexpr std::string_view kSpace = " \t\n\r\f\v";
  std::size_t at = 0;
  if (delimiter.empty()) {
    while ((at = text.find_first_not_of(kSpace, at)) != std::string::npos) {
      if (most >= 0 && static_cast<std::int64_t>(out.size()) == most) {
        std::string rest = text.substr(at);
        rest.erase(rest.find_last_not_of(kSpace) + 1);
        out.push_back(std::move(rest));
        return out;
      }
      const std::size_t end = std::min(text.find_first_of(kSpace, at), text.size());
      out.push_back(text.substr(at, end - at));
      at = end;
    }
    return out;
  }
  if (text.empty()) return out;
  while (most < 0 || static_cast<std::int64_t>(out.size()) < most) {
    const std::size_t end = text.find(delimiter, at);
    if (end == std::string::npos) break;
    out.push_back(text.substr(at, end - at));
    at = end + delimiter.size();
  }
  out.push_back(text.substr(at));
  return out;
}

Result<Tensors> split(const HostCall& call, const Tensors& inputs) {
  const std::string delimiter = call.attribute("delimiter") != nullptr ? *call.attribute("delimiter") : std::string();
  std::int64_t most = -1;
  if (const std::string* given = call.attribute("maxsplit")) std::from_chars(given->data(), given->data() + given->size(), most);
  Shape shape = text_shape(inputs[0]);
  Tensor counts = make_tensor(Format::int64, shape);
  std::vector<std::vector<std::string>> all;
  std::size_t widest = 0;
  for (const std::string& text : texts_of(inputs[0])) {
    all.push_back(pieces(text, delimiter, most));
    counts.set(static_cast<std::int64_t>(all.size()) - 1, static_cast<double>(all.back().size()));
    widest = std::max(widest, all.back().size());
  }
  std::vector<std::string> texts;
  for (std::vector<std::string>& list : all) {
    list.resize(widest);
    texts.insert(texts.end(), list.begin(), list.end());
  }
  shape.push_back(static_cast<std::int64_t>(widest));
  return Tensors{rows(texts, shape), std::move(counts)};
}

Result<Tensors> full_match(const HostCall& call, const Tensors& inputs) {
  const std::string* text = call.attribute("pattern");
  SY_TRY(const Pattern pattern, Pattern::parse(text == nullptr ? std::string_view() : *text));
  Tensor out = make_tensor(Format::boolean, text_shape(inputs[0]));
  std::int64_t i = 0;
  for (const std::string& candidate : texts_of(inputs[0])) out.set(i++, pattern.matches(candidate) ? 1 : 0);
  return Tensors{std::move(out)};
}

double number_of(const std::string& text) {
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

/// Keys and values are texts or numbers, whichever the input and the declared result are.
Result<Tensors> encode_labels(const HostCall& call, const Tensors& inputs) {
  const std::vector<std::string> keys = call.list("key"), values = call.list("value");
  const std::string* otherwise = call.attribute("default");
  const bool text_in = call.attribute("text_in") != nullptr, text_out = call.attribute("text_out") != nullptr;
  if (keys.size() != values.size() || otherwise == nullptr)
    return malformed(fmt::format("{} keys and {} values", keys.size(), values.size()));
  std::vector<std::string> found;
  if (text_in) {
    std::map<std::string, std::string> table;
    for (std::size_t i = 0; i < keys.size(); ++i) table.emplace(keys[i], values[i]);
    for (const std::string& text : texts_of(inputs[0])) {
      const auto at = table.find(text);
      found.push_back(at == table.end() ? *otherwise : at->second);
    }
  } else {
    std::map<double, std::string> table;
    std::optional<std::string> of_nan;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const double key = rounded(inputs[0].format, number_of(keys[i]));
      if (key != key) {
        of_nan = of_nan.value_or(values[i]);
      } else {
        table.emplace(key, values[i]);
      }
    }
    for (std::int64_t i = 0; i < inputs[0].count(); ++i) {
      const double key = inputs[0].at(i);
      const auto at = key == key ? table.find(key) : table.end();
      found.push_back(key != key ? of_nan.value_or(*otherwise) : at == table.end() ? *otherwise : at->second);
    }
  }
  const Shape shape = text_in ? text_shape(inputs[0]) : inputs[0].shape;
  if (text_out) return Tensors{rows(found, shape)};
  Tensor out = make_tensor(format_named(*call.attribute("format")).value_or(Format::fp32), shape);
  for (std::size_t i = 0; i < found.size(); ++i) out.set(static_cast<std::int64_t>(i), number_of(found[i]));
  return Tensors{std::move(out)};
}

/// A scalar expression element by element, in double: for formats that the chip has nothing for.
Result<Tensors> map(const HostCall& call, const Tensors& inputs) {
  const std::string* text = call.attribute("expression");
  const std::string* format = call.attribute("format");
  const auto expression = text == nullptr ? std::nullopt : parse_expression(*text);
  const auto to = format == nullptr ? std::nullopt : format_named(*format);
  if (!expression || !to || expression->input_count() > static_cast<int>(inputs.size())) return malformed("the map has no expression");
  std::vector<Shape> shapes;
  for (const Tensor& input : inputs) shapes.push_back(input.shape);
  const auto shape = broadcast_shape(shapes);
  if (!shape) return malformed("the inputs of the map do not fit each other");
  Tensor out = make_tensor(*to, *shape);
  std::vector<double> values(inputs.size());
  for (std::int64_t i = 0, count = out.count(); i < count; ++i) {
    for (std::size_t k = 0; k < inputs.size(); ++k) values[k] = inputs[k].at(broadcast_place(shapes[k], *shape, i));
    out.set(i, evaluate(*expression, values));
  }
  return Tensors{std::move(out)};
}

/// The same bytes as numbers of another format of as many bytes.
Result<Tensors> bit_cast(const HostCall& call, const Tensors& inputs) {
  const std::string* format = call.attribute("format");
  const auto to = format == nullptr ? std::nullopt : format_named(*format);
  if (!to || format_bytes(*to) != format_bytes(inputs[0].format)) return malformed("a BitCast keeps the width");
  Tensor out = inputs[0];
  out.format = *to;
  return Tensors{std::move(out)};
}

struct Row {
  std::string_view kind;
  std::size_t inputs;      ///< 0: any number of them
  std::string_view texts;  ///< which of the inputs are texts, as letters: t, n (numbers), ? (either)
  Result<Tensors> (*call)(const HostCall& call, const Tensors& inputs);
};

constexpr std::array kRows{
    Row{"BitCast", 1, "n", bit_cast},           Row{"Equal", 2, "tt", equal},
    Row{"LabelEncoder", 1, "?", encode_labels}, Row{"Map", 0, "", map},
    Row{"RegexFullMatch", 1, "t", full_match},  Row{"StringConcat", 2, "tt", concat},
    Row{"StringNormalizer", 1, "t", normalise}, Row{"StringSplit", 1, "t", split},
};

const Row* find(std::string_view kind) {
  const auto at = std::find_if(kRows.begin(), kRows.end(), [&](const Row& row) { return row.kind == kind; });
  return at == kRows.end() ? nullptr : &*at;
}

}  // namespace

const std::string* HostCall::attribute(std::string_view key) const {
  for (const auto& [name, value] : attributes)
    if (name == key) return &value;
  return nullptr;
}

std::vector<std::string> HostCall::list(std::string_view key) const {
  std::vector<std::string> values;
  for (const auto& [name, value] : attributes)
    if (name == key) values.push_back(value);
  return values;
}

bool is_host_call(std::string_view kind) { return find(kind) != nullptr; }

std::vector<std::string> texts_of(const Tensor& rows) {
  SY_CHECK(rows.format == Format::uint8 && !rows.shape.empty(), "a tensor of texts is one of bytes");
  const auto width = static_cast<std::size_t>(rows.shape.back());
  std::vector<std::string> texts;
  const auto count = static_cast<std::size_t>(element_count(text_shape(rows)));
  for (std::size_t i = 0; i < count; ++i) {
    const char* begin = reinterpret_cast<const char*>(rows.bytes.data()) + i * width;
    texts.emplace_back(begin, std::find(begin, begin + width, '\0'));
  }
  return texts;
}

Tensor rows_of(const std::vector<std::string>& texts, Shape shape, std::int64_t width) {
  SY_CHECK(element_count(shape) == static_cast<std::int64_t>(texts.size()), "as many texts as the shape has");
  shape.push_back(width);
  Tensor out = make_tensor(Format::uint8, std::move(shape));
  for (std::size_t i = 0; i < texts.size(); ++i) {
    SY_CHECK(texts[i].size() <= static_cast<std::size_t>(width), "a text that is too long for its row");
    std::transform(texts[i].begin(), texts[i].end(), out.bytes.begin() + static_cast<std::ptrdiff_t>(i) * width,
                   [](char c) { return static_cast<std::byte>(c); });
  }
  return out;
}

Result<std::vector<Tensor>> call_host(const HostCall& call, const std::vector<Tensor>& inputs) {
  const Row* row = find(call.kind);
  if (row == nullptr) return unsupported(fmt::format("the host has no operation {}", call.kind));
  if (inputs.empty() || (row->inputs > 0 && inputs.size() != row->inputs))
    return malformed(fmt::format("{} takes {} inputs, {} are given", call.kind, row->inputs, inputs.size()));
  for (std::size_t i = 0; i < row->texts.size(); ++i) {
    const bool text = row->texts[i] == 't' || (row->texts[i] == '?' && call.attribute("text_in") != nullptr);
    if (text && (inputs[i].format != Format::uint8 || inputs[i].shape.empty()))
      return malformed(fmt::format("input {} of {} is no tensor of texts", i, call.kind));
  }
  return row->call(call, inputs);
}

Result<std::vector<Tensor>> call_host(const HostCall& call, const std::vector<Tensor>& inputs, const std::vector<HostResult>& results) {
  SY_TRY(std::vector<Tensor> out, call_host(call, inputs));
  if (out.size() < results.size()) return malformed(fmt::format("{} has {} results, {} are wanted", call.kind, out.size(), results.size()));
  out.resize(results.size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    const Shape& wanted = results[i].shape;
    if (out[i].format != results[i].format) out[i] = convert_tensor(out[i], results[i].format);
    if (out[i].shape == wanted) continue;
    const bool wider = out[i].format == Format::uint8 && !wanted.empty() && wanted.size() == out[i].shape.size() &&
                       std::equal(wanted.begin(), wanted.end() - 1, out[i].shape.begin()) && wanted.back() > out[i].shape.back();
    if (!wider) {
      return fail(FailureKind::malformed, "host/shape",
                  fmt::format("result {} of {} has shape [{}] for these inputs, the program was made for [{}]", i, call.kind,
                              fmt::join(out[i].shape, ", "), fmt::join(wanted, ", ")),
                  "shapes that follow from values are those of the inputs that were given when the program was made");
    }
    out[i] = rows_of(texts_of(out[i]), text_shape(out[i]), wanted.back());
  }
  return out;
}

}  // namespace switchyard::numerics
