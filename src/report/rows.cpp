#include "report/rows.h"

#include <algorithm>

#include "report/text.h"

namespace switchyard::report {
namespace {

using Line = std::vector<std::string>;

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + '"';
}

std::string markdown_cell(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '|' || c == '\\') escaped += '\\';
    escaped += c == '\n' || c == '\r' ? ' ' : c;
  }
  return escaped;
}

template <class Field>
std::string joined(const Line& line, const char* separator, Field field) {
  std::string out;
  for (std::size_t c = 0; c < line.size(); ++c) out += (c == 0 ? "" : separator) + field(line[c]);
  return out;
}

}  // namespace

std::string print_csv(const Rows& rows) {
  std::string out = joined(rows.columns, ",", csv_field) + "\n";
  for (const Line& line : rows.cells) out += joined(line, ",", csv_field) + "\n";
  return out;
}

std::string print_markdown(const Rows& rows) {
  std::string out = "| " + joined(rows.columns, " | ", markdown_cell) + " |\n|";
  for (std::size_t c = 0; c < rows.columns.size(); ++c) out += c < rows.labels ? "---|" : "---:|";
  out += "\n";
  for (const Line& line : rows.cells) out += "| " + joined(line, " | ", markdown_cell) + " |\n";
  return out;
}

std::string print_screen(const Rows& rows, int width) {
  std::vector<int> wide(rows.columns.size());
  for (std::size_t c = 0; c < wide.size(); ++c) {
    wide[c] = columns_of(rows.columns[c]);
    for (const Line& line : rows.cells) wide[c] = std::max(wide[c], columns_of(line[c]));
  }
  const std::size_t labels = std::min(rows.labels, wide.size());
  int labels_wide = 1;
  for (std::size_t c = 0; c < labels; ++c) labels_wide += wide[c] + 1;
  std::string out;
  for (std::size_t begin = labels; begin < wide.size() || out.empty();) {
    std::size_t end = begin;
    for (int used = labels_wide; end < wide.size() && (end == begin || used + wide[end] + 2 <= width); ++end) used += wide[end] + 2;
    const auto line_of = [&](const Line& line) {
      std::string text = " ";
      for (std::size_t c = 0; c < labels; ++c) text += " " + pad_right(line[c], wide[c]);
      for (std::size_t c = begin; c < end; ++c) text += "  " + pad_left(line[c], wide[c]);
      return text.substr(0, text.find_last_not_of(" ") + 1) + "\n";
    };
    if (!out.empty()) out += "\n";
    out += line_of(rows.columns);
    for (const Line& line : rows.cells) out += line_of(line);
    begin = end;
  }
  return out;
}

}  // namespace switchyard::report
