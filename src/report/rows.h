// Rows: a table of texts, to be printed for a spreadsheet, a document or a screen.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace switchyard::report {

struct Rows {
  std::size_t labels = 1;  ///< so many columns name the row; the others stand on the right of theirs
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> cells;  ///< by row, then column
};

/// RFC 4180, but for lines that end in a line feed alone: a heading, then the rows.
std::string print_csv(const Rows& rows);
/// A table of GitHub's Markdown.
std::string print_markdown(const Rows& rows);
/// Columns of equal width, indented by two. What is too wide for the screen continues below, with its labels.
std::string print_screen(const Rows& rows, int width);

}  // namespace switchyard::report
