#include "support/diagnostic.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

namespace switchyard {
namespace {

constexpr std::size_t kLongestShown = 160;  ///< columns of a source line; the window follows the caret

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

/// The source line and the caret under `column`, which counts characters (not bytes) from 1.
std::string excerpt(const std::string& line, int column) {
  std::string text;
  std::vector<std::size_t> starts;  // of the characters in it
  for (const char c : line) {
    if (c == '\n' || c == '\r') continue;
    if (!continues_character(c) || starts.empty()) starts.push_back(text.size());
    const bool control = static_cast<unsigned char>(c) < 0x20 && c != '\t';
    text += control ? '?' : c;
  }
  const std::size_t count = starts.size();
  starts.push_back(text.size());
  const std::size_t caret = std::min(column > 0 ? static_cast<std::size_t>(column) - 1 : 0, count);
  const std::size_t begin = count > kLongestShown && caret > kLongestShown / 2 ? caret - kLongestShown / 2 : 0;
  const std::size_t end = std::min(count, begin + kLongestShown);
  std::string shown = begin > 0 ? "  ..." : "  ";
  std::string under(shown.size(), ' ');
  for (std::size_t i = begin; i < std::min(caret, end); ++i) under += text[starts[i]] == '\t' ? '\t' : ' ';
  shown += text.substr(starts[begin], starts[end] - starts[begin]);
  if (end < count) shown += "...";
  if (column <= 0) return shown + "\n";
  return shown + "\n" + under + "^\n";
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  // Optimal string alignment: three rows of the table are alive, the swap looks two rows back.
  std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return above[b.size()];
}

std::string lower_case(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

}  // namespace

std::string format_diagnostic(const Diagnostic& diagnostic) {
  const Location& at = diagnostic.location;
  std::string text = at.file;
  if (at.line > 0) {
    text += fmt::format("{}{}", text.empty() ? "line " : ":", at.line);
    if (at.column > 0) text += fmt::format(":{}", at.column);
  }
  if (!text.empty()) text += ": ";
  // Where no line can be named, the thing's own name says where, unless the message does.
  const bool named = at.line > 0 || diagnostic.message.find(diagnostic.pointer) != std::string::npos;
  text += fmt::format("error: {}{} [{}]\n", named ? "" : diagnostic.pointer + ": ", diagnostic.message, diagnostic.code);
  if (!diagnostic.source_line.empty()) text += excerpt(diagnostic.source_line, at.column);
  if (!diagnostic.hint.empty()) text += fmt::format("  hint: {}\n", diagnostic.hint);
  return text;
}

std::string format_infeasible(const Infeasible& infeasible) {
  const auto amount = [&](double value) {
    // Whole amounts (bytes, links) in full: rounding would hide by how little something does not fit.
    const bool whole = value == static_cast<double>(static_cast<long long>(std::clamp(value, -9e15, 9e15)));
    const std::string number = whole ? fmt::format("{:.0f}", value) : fmt::format("{:.6g}", value);
    return infeasible.unit.empty() ? number : number + " " + infeasible.unit;
  };
  std::string text = fmt::format("error: {} does not suffice: {} needed, {} there\n", infeasible.resource, amount(infeasible.demand),
                                 amount(infeasible.capacity));
  for (const Infeasible::Term& term : infeasible.terms) text += fmt::format("  {}: {}\n", term.what, amount(term.amount));
  for (const std::string& lever : infeasible.levers) text += fmt::format("  hint: {}\n", lever);
  return text;
}

std::string format_failure(const Failure& failure) {
  std::string text;
  for (const Diagnostic& diagnostic : failure.diagnostics) text += format_diagnostic(diagnostic);
  for (const Infeasible& infeasible : failure.infeasible) text += format_infeasible(infeasible);
  return text;
}

std::string nearest_name(std::string_view word, const std::vector<std::string>& candidates) {
  constexpr std::size_t kLongestWord = 200;  // the table is quadratic; nobody mistypes more
  if (word.empty() || word.size() > kLongestWord) return {};
  const std::string wanted = lower_case(word);
  const std::size_t threshold = std::min<std::size_t>(3, (word.size() + 1) / 3);
  std::size_t best = threshold + 1;
  const std::string* nearest = nullptr;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > word.size() + threshold || candidate.size() + threshold < word.size()) continue;
    const std::size_t distance = edit_distance(wanted, lower_case(candidate));
    if (distance < best) {
      best = distance;
      nearest = &candidate;
    }
  }
  if (nearest != nullptr) return *nearest;
  // A name cut short: "h100" for "h100-sxm", when it says which.
  for (const std::string& candidate : candidates) {
    if (word.size() < 2 || !lower_case(candidate).starts_with(wanted)) continue;
    if (nearest != nullptr) return {};
    nearest = &candidate;
  }
  return nearest == nullptr ? std::string() : *nearest;
}

}  // namespace switchyard
