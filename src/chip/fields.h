// Fields: reads records of a description key by key, remembering where each stands and collecting every mistake.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chip/chip.h"
#include "chip/schema.h"
#include "chip/tree.h"

namespace switchyard::chip {

/// A place in the tree and the provenance that numbers below it inherit.
struct Place {
  const Node* node = nullptr;  ///< null: absent
  std::string pointer;
  std::string source;
  Confidence confidence = Confidence::assumed;
  explicit operator bool() const { return node != nullptr; }
};

/// A name for an enumerated value: the words a key accepts.
template <class Enum>
struct Word {
  std::string_view name;
  Enum value;
};

class Fields {
 public:
  explicit Fields(const Tree& tree) : tree_(tree) {}

  Place root() { return {&tree_.root, "", "", Confidence::assumed}; }
  /// The place of a key; not there when the key is absent (a mistake when `required`).
  Place child(const Place& record, std::string_view key, bool required = false);
  /// A child that is a map, its own `source` and `confidence` applied. An empty value counts as an empty map.
  Place map(const Place& record, std::string_view key, bool required = false);
  /// The entries of a map of name -> record, provenance keys left out.
  std::vector<std::pair<std::string, Place>> entries(const Place& map);
  /// Complains about every key not in the list. `source`, `confidence` and `note` are always welcome.
  void allow(const Place& record, std::initializer_list<std::string_view> keys);

  /// The number under a key, which must be a field of the schema; the field's fallback when it is absent.
  Number number(const Place& record, std::string_view key);
  /// A number that stands at `place` itself. `more`: a further key its long form may have.
  Number number_at(const Place& place, std::string_view more = {});
  std::int64_t count(const Place& record, std::string_view key);

  std::string text(const Place& record, std::string_view key, bool required = false);
  bool flag(const Place& record, std::string_view key, bool otherwise);
  /// The scalars of a sequence, or the one scalar that stands for a sequence of one.
  std::vector<Place> list(const Place& record, std::string_view key, bool required = false);
  std::optional<std::string> scalar(const Place& place);
  [[nodiscard]] bool from_command_line(const Place& place) const { return tree_.origin_of(place.pointer) == Tree::kCommandLine; }
  std::optional<std::int64_t> integer(const Place& place);  ///< decimal, 0x..., or a size
  /// An offset in a memory of `bytes`: as `integer`, with a minus sign counted from the end, or the word `end`.
  std::optional<std::int64_t> offset(const Place& place, std::int64_t bytes);
  std::optional<numerics::Format> format(const Place& place, const std::string& name);

  template <class Enum, std::size_t N>
  Enum word(const Place& record, std::string_view key, const Word<Enum> (&words)[N], std::optional<Enum> otherwise = {});
  template <class Enum, std::size_t N>
  std::optional<Enum> word_at(const Place& place, const Word<Enum> (&words)[N]);

  /// Reports a mistake at a place.
  void report(std::string code, std::string message, const Place& at, std::string hint = {}, Tree::Part part = Tree::Part::value);
  std::string did_you_mean(std::string_view word, const std::vector<std::string>& names) const;

  std::vector<Diagnostic> mistakes;
  std::vector<Number> counts;  ///< every whole number that was written, with its provenance

 private:
  void adopt_provenance(Place& place);
  bool parse_into(Number& number, const Place& at, const NumberField& field, const Node& node, double& out);
  void check_sources(const Place& at, const std::string& keys);
  void unknown_word(const Place& at, const std::string& word, const std::vector<std::string>& names);

  const Tree& tree_;
};

template <class Enum, std::size_t N>
std::optional<Enum> Fields::word_at(const Place& place, const Word<Enum> (&words)[N]) {
  const std::optional<std::string> name = scalar(place);
  if (!name) return std::nullopt;
  std::vector<std::string> names;
  for (const Word<Enum>& word : words) {
    if (word.name == *name) return word.value;
    names.emplace_back(word.name);
  }
  unknown_word(place, *name, names);
  return std::nullopt;
}

template <class Enum, std::size_t N>
Enum Fields::word(const Place& record, std::string_view key, const Word<Enum> (&words)[N], std::optional<Enum> otherwise) {
  const Place place = child(record, key, !otherwise.has_value());
  if (!place) return otherwise.value_or(words[0].value);
  return word_at(place, words).value_or(words[0].value);
}

}  // namespace switchyard::chip
