#include "cli/diagnostic_page.h"

#include <algorithm>

namespace switchyard::cli {
namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

/// "[formats/chip.md](formats/chip.md)" -> "docs/formats/chip.md": the page lies in docs/, its reader may be anywhere.
std::string without_links(std::string_view text) {
  std::string plain;
  while (!text.empty()) {
    const std::size_t open = text.find('['), middle = text.find("](", open), close = text.find(')', middle);
    if (close == std::string_view::npos) return plain + std::string(text);
    plain += text.substr(0, open);
    const std::string_view target = text.substr(middle + 2, close - middle - 2);
    plain += target.starts_with("../") ? std::string(target.substr(3)) : "docs/" + std::string(target);
    text.remove_prefix(close + 1);
  }
  return plain;
}

/// Cells of "| a | b |"; nothing of any other line.
std::vector<std::string_view> cells_of(std::string_view line) {
  std::vector<std::string_view> cells;
  line = trimmed(line);
  if (!line.starts_with('|') || !line.ends_with('|') || line.size() < 2) return cells;
  for (line.remove_prefix(1); !line.empty();) {
    const std::size_t end = line.find('|');
    cells.push_back(trimmed(line.substr(0, end)));
    line.remove_prefix(std::min(end, line.size() - 1) + 1);
  }
  return cells;
}

}  // namespace

std::vector<CodeEntry> diagnostic_codes(std::string_view page) {
  std::vector<CodeEntry> entries;
  std::string subject;
  while (!page.empty()) {
    const std::string_view line = page.substr(0, page.find('\n'));
    page.remove_prefix(std::min(line.size() + 1, page.size()));
    if (line.starts_with("## ")) subject = trimmed(line.substr(std::min(line.find(':'), line.size() - 1) + 1));
    const std::vector<std::string_view> cells = cells_of(line);
    if (cells.size() < 3) continue;
    for (std::string_view rest = cells[0]; rest.find('`') != std::string_view::npos;) {
      rest.remove_prefix(rest.find('`') + 1);
      const std::size_t end = std::min(rest.find('`'), rest.size());
      const std::string_view code = rest.substr(0, end);
      if (code.find('/') != std::string_view::npos)
        entries.push_back({std::string(code), without_links(cells[1]), without_links(cells[2]), subject});
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  return entries;
}

}  // namespace switchyard::cli
