#include "chip/fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "chip/query.h"
#include "support/check.h"

namespace switchyard::chip {
namespace {

constexpr Word<Confidence> kConfidenceWords[] = {{"measured", Confidence::measured},    {"datasheet", Confidence::datasheet},
                                                 {"paper", Confidence::paper},          {"reported", Confidence::reported},
                                                 {"derived", Confidence::derived},      {"assumed", Confidence::assumed},
                                                 {"calibrated", Confidence::calibrated}};

constexpr std::size_t kMostMistakes = 100;  // each costs a search for its line and for the nearest name

bool is_provenance(std::string_view key) { return key == "source" || key == "confidence" || key == "note"; }

/// Where the unit can only be one thing a plain number will do: "64" for "64 cycles".
bool fits(Dimension given, Dimension expected) {
  if (given == expected) return true;
  return given == Dimension::ratio && (expected == Dimension::cycles || expected == Dimension::per_cycle);
}

}  // namespace

void Fields::report(std::string code, std::string message, const Place& at, std::string hint, Tree::Part part) {
  if (mistakes.size() < kMostMistakes) {
    mistakes.push_back(tree_.diagnose(std::move(code), std::move(message), std::move(hint), at.pointer, *at.node, part));
  }
}

std::string Fields::did_you_mean(std::string_view word, const std::vector<std::string>& names) const {
  if (mistakes.size() >= kMostMistakes) return {};
  if (const std::string nearest = nearest_name(word, names); !nearest.empty()) return "did you mean '" + nearest + "'?";
  constexpr std::size_t kMostListed = 32;
  if (names.empty() || names.size() > kMostListed) return {};
  return fmt::format("known: {}", fmt::join(names, ", "));
}

void Fields::unknown_word(const Place& at, const std::string& word, const std::vector<std::string>& names) {
  const bool confidence = at.pointer.ends_with("/confidence");
  report(confidence ? "chip/confidence" : "chip/kind", fmt::format("'{}' knows no '{}'", at.pointer, word), at, did_you_mean(word, names));
}

Place Fields::child(const Place& record, std::string_view key, bool required) {
  const Node* node = record ? record.node->find(key) : nullptr;
  if (node != nullptr) return {node, pointer_to(record.pointer, key), record.source, record.confidence};
  if (required && record) {
    report("chip/missing-key", fmt::format("'{}' lacks the key '{}'", record.pointer.empty() ? "/" : record.pointer, key), record, {},
           Tree::Part::key);
  }
  return {};
}

void Fields::adopt_provenance(Place& place) {
  if (place.node->kind != Node::Kind::map) return;
  if (const Place source = child(place, "source")) {
    if (const auto keys = scalar(source)) {
      place.source = *keys;
      check_sources(source, *keys);
    }
  }
  if (const Place confidence = child(place, "confidence")) {
    if (const auto value = word_at(confidence, kConfidenceWords)) place.confidence = *value;
  }
  if (const Place note = child(place, "note")) scalar(note);
}

void Fields::check_sources(const Place& at, const std::string& keys) {
  const Node* sources = tree_.root.find("sources");
  std::string_view rest = keys;
  while (true) {
    std::string_view key = rest.substr(0, rest.find(','));
    const bool last = key.size() == rest.size();
    rest.remove_prefix(std::min(rest.size(), key.size() + 1));
    while (key.starts_with(' ')) key.remove_prefix(1);
    while (key.ends_with(' ')) key.remove_suffix(1);
    if (key != "override" && (sources == nullptr || sources->find(key) == nullptr)) {
      std::vector<std::string> names;
      if (sources != nullptr) {
        for (const auto& [name, text] : sources->entries) names.push_back(name);
      }
      report("chip/dangling-name", fmt::format("'/sources' has no entry '{}'", key), at, did_you_mean(key, names));
    }
    if (last) return;
  }
}

Place Fields::map(const Place& record, std::string_view key, bool required) {
  Place place = child(record, key, required);
  if (!place) return place;
  if (place.node->kind != Node::Kind::map && place.node->kind != Node::Kind::null) {
    report("chip/shape", fmt::format("'{}' must be a map", place.pointer), place);
    return {};
  }
  adopt_provenance(place);
  return place;
}

std::vector<std::pair<std::string, Place>> Fields::entries(const Place& map) {
  std::vector<std::pair<std::string, Place>> result;
  if (!map) return result;
  for (const auto& [key, node] : map.node->entries) {
    if (is_provenance(key)) continue;
    result.emplace_back(key, Place{&node, pointer_to(map.pointer, key), map.source, map.confidence});
  }
  return result;
}

void Fields::allow(const Place& record, std::initializer_list<std::string_view> keys) {
  if (!record) return;
  for (const auto& [key, node] : record.node->entries) {
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
    if (is_provenance(key) && !record.pointer.empty()) continue;
    const std::vector<std::string> names(keys.begin(), keys.end());
    const Place at{&node, pointer_to(record.pointer, key), {}, {}};
    report("chip/unknown-key", fmt::format("'{}' has no key '{}'", record.pointer.empty() ? "/" : record.pointer, key), at,
           did_you_mean(key, names), Tree::Part::key);
  }
}

std::optional<std::string> Fields::scalar(const Place& place) {
  if (place.node->kind == Node::Kind::scalar) return place.node->text;
  report("chip/shape", fmt::format("'{}' must be a single value", place.pointer), place);
  return std::nullopt;
}

bool Fields::parse_into(Number& number, const Place& at, const NumberField& field, const Node& node, double& out) {
  const Place place{&node, at.pointer, {}, {}};
  const auto expected = [&] { return field.dimension ? describe_dimension(*field.dimension) : std::string("a quantity"); };
  if (node.kind != Node::Kind::scalar) {
    const char* what = node.kind == Node::Kind::null ? "nothing" : node.kind == Node::Kind::sequence ? "a list" : "a map";
    report("chip/shape", fmt::format("'{}' expects {}, got {}", at.pointer, expected(), what), place);
    return false;
  }
  const auto quantity = parse_quantity(node.text);
  if (!quantity) {
    report("chip/number", fmt::format("'{}' expects {}, and '{}' is no quantity", at.pointer, expected(), node.text), place);
    return false;
  }
  if (field.dimension && !fits(quantity->dimension, *field.dimension)) {
    report("chip/unit", fmt::format("'{}' expects {}, got '{}'", at.pointer, expected(), node.text), place);
    return false;
  }
  if (field.whole && quantity->value != std::floor(quantity->value)) {
    report("chip/number", fmt::format("'{}' must be a whole number, got '{}'", at.pointer, node.text), place);
    return false;
  }
  if (quantity->value < field.least || quantity->value > field.greatest) {
    std::string law = fmt::format("lie between {:g} and {:g} in base units", field.least, field.greatest);
    if (quantity->value <= 0) law = field.least > 0 ? "be positive" : "not be negative";
    report("chip/range", fmt::format("'{}' must {}, got '{}'", at.pointer, law, node.text), place);
    return false;
  }
  if (number.text.empty()) number.text = node.text;
  out = quantity->value;
  return true;
}

Number Fields::number_at(const Place& where, std::string_view more) {
  const NumberField* field = number_field(where.pointer);
  SY_CHECK(field != nullptr, "no number is known at " + where.pointer);
  Place place = where;
  Number number;
  number.pointer = place.pointer;
  // A value that could not be read must not bring further mistakes: the least allowed one passes every later check of limits.
  number.value = field->least;
  if (place.node->kind == Node::Kind::map) {
    more.empty() ? allow(place, {"value", "range"}) : allow(place, {"value", "range", more});
    adopt_provenance(place);
    if (const Place value = child(place, "value", true)) parse_into(number, place, *field, *value.node, number.value);
    if (const Place range = child(place, "range")) {
      std::array<double, 2> ends{};
      Number bound;
      if (range.node->kind != Node::Kind::sequence || range.node->items.size() != 2) {
        report("chip/range", fmt::format("'{}' must be a list of two: [least, greatest]", range.pointer), range);
      } else if (parse_into(bound, place, *field, range.node->items[0], ends[0]) &&
                 parse_into(bound, place, *field, range.node->items[1], ends[1])) {
        if (ends[0] > ends[1]) {
          report("chip/range", fmt::format("'{}' ends before it begins", range.pointer), range);
        } else if (!number.text.empty() && (number.value < ends[0] || number.value > ends[1])) {
          report("chip/range", fmt::format("the value '{}' lies outside '{}'", number.text, range.pointer), range);
        } else {
          number.range = ends;
        }
      }
    }
  } else {
    parse_into(number, place, *field, *place.node, number.value);
  }
  number.source = place.source;
  number.confidence = place.confidence;
  return number;
}

Number Fields::number(const Place& record, std::string_view key) {
  if (!record) return {};
  const std::string pointer = pointer_to(record.pointer, key);
  const NumberField* field = number_field(pointer);
  SY_CHECK(field != nullptr, "no number is known at " + pointer);
  if (const Place place = child(record, key, field->fallback.empty())) return number_at(place);
  Number number;
  number.pointer = pointer;
  number.value = field->least;
  if (!field->fallback.empty()) {
    number.text = field->fallback;
    number.value = parse_quantity(field->fallback)->value;
    number.source = "default";
  }
  return number;
}

std::int64_t Fields::count(const Place& record, std::string_view key) {
  const Number read = number(record, key);
  if (record && record.node->find(key) != nullptr) counts.push_back(read);
  return static_cast<std::int64_t>(read.value);
}

std::string Fields::text(const Place& record, std::string_view key, bool required) {
  const Place place = child(record, key, required);
  if (!place) return {};
  return scalar(place).value_or("");
}

bool Fields::flag(const Place& record, std::string_view key, bool otherwise) {
  static constexpr Word<bool> kWords[] = {{"false", false}, {"true", true}};
  const Place place = child(record, key);
  return place ? word_at(place, kWords).value_or(otherwise) : otherwise;
}

std::vector<Place> Fields::list(const Place& record, std::string_view key, bool required) {
  const Place place = child(record, key, required);
  if (!place) return {};
  if (place.node->kind == Node::Kind::scalar) return {place};
  if (place.node->kind != Node::Kind::sequence) {
    report("chip/shape", fmt::format("'{}' must be a list", place.pointer), place);
    return {};
  }
  std::vector<Place> items;
  for (std::size_t i = 0; i < place.node->items.size(); ++i) {
    items.push_back({&place.node->items[i], pointer_to(place.pointer, std::to_string(i)), place.source, place.confidence});
  }
  return items;
}

std::optional<std::int64_t> Fields::integer(const Place& place) {
  const std::optional<std::string> text = scalar(place);
  if (!text) return std::nullopt;
  const bool hexadecimal = text->starts_with("0x");
  const char* begin = text->data() + (hexadecimal ? 2 : 0);
  const char* end = text->data() + text->size();
  std::int64_t value = 0;
  const auto [stop, error] = std::from_chars(begin, end, value, hexadecimal ? 16 : 10);
  if (error == std::errc{} && stop == end) {
    if (value >= 0) return value;
  } else if (const auto size = parse_quantity(*text); size && size->dimension == Dimension::bytes && size->value >= 0 &&
                                                      size->value < 1e15 && size->value == std::floor(size->value)) {
    return static_cast<std::int64_t>(size->value);
  }
  report("chip/number", fmt::format("'{}' must be a whole number, got '{}'", place.pointer, *text), place);
  return std::nullopt;
}

std::optional<std::int64_t> Fields::offset(const Place& place, std::int64_t bytes) {
  if (place.node->kind != Node::Kind::scalar) return integer(place);
  if (place.node->text == "end") return bytes;
  if (!place.node->text.starts_with('-')) return integer(place);
  Node positive = *place.node;
  positive.text.erase(0, 1);
  const auto distance = integer({&positive, place.pointer, place.source, place.confidence});
  if (!distance) return std::nullopt;
  return bytes - *distance;
}

std::optional<numerics::Format> Fields::format(const Place& place, const std::string& name) {
  if (const auto format = numerics::format_named(name)) return format;
  std::vector<std::string> names;
  for (const numerics::FormatInfo& info : numerics::all_formats()) names.emplace_back(info.name);
  report("chip/format", fmt::format("no number format is called '{}'", name), place, did_you_mean(name, names));
  return std::nullopt;
}

}  // namespace switchyard::chip
