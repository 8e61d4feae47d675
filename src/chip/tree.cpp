#include "chip/tree.h"

#include <algorithm>
#include <tuple>

namespace switchyard::chip {
namespace {

constexpr std::string_view kOverrideName = "--override";

}  // namespace

std::size_t Tree::origin_of(std::string_view pointer) const {
  std::string at(pointer);
  while (true) {
    if (const auto found = origin.find(at); found != origin.end()) return found->second;
    const std::size_t slash = at.rfind('/');
    if (slash == std::string::npos) return 0;
    at.resize(slash);
  }
}

void Tree::set_origin(const std::string& pointer, std::size_t file) {
  const std::string below = pointer + "/";
  for (auto i = origin.lower_bound(below); i != origin.end() && i->first.starts_with(below);) i = origin.erase(i);
  origin[pointer] = file;
}

Diagnostic diagnose_in(const Document& file, std::string code, std::string message, std::string hint, const std::string& pointer,
                       const Node& node, Tree::Part part) {
  const bool key = part == Tree::Part::key && node.key_line > 0;
  const Location at{file.file, key ? node.key_line : node.line, key ? node.key_column : node.column};
  return {std::move(code), std::move(message), at, pointer, std::move(hint), file.line_text(at.line)};
}

Diagnostic Tree::diagnose(std::string code, std::string message, std::string hint, const std::string& pointer, const Node& node,
                          Part part) const {
  const std::size_t file = origin_of(pointer);
  if (file >= files.size()) return {std::move(code), std::move(message), {std::string(kOverrideName), 0, 0}, pointer, std::move(hint), {}};
  return diagnose_in(files[file], std::move(code), std::move(message), std::move(hint), pointer, node, part);
}

Failure as_failure(std::vector<Diagnostic> diagnostics) {
  const auto from_command_line = [](const Diagnostic& d) { return d.location.file == kOverrideName; };
  // A wrong override makes a good file look wrong in other places, too: those are not what has to be mended.
  if (std::any_of(diagnostics.begin(), diagnostics.end(), from_command_line)) {
    std::erase_if(diagnostics, [&](const Diagnostic& d) { return !from_command_line(d); });
  }
  std::stable_sort(diagnostics.begin(), diagnostics.end(), [&](const Diagnostic& a, const Diagnostic& b) {
    const auto key = [&](const Diagnostic& d) {
      return std::make_tuple(from_command_line(d), std::string_view(d.location.file), d.location.line, d.location.column);
    };
    return key(a) < key(b);
  });
  const auto same = [](const Diagnostic& a, const Diagnostic& b) {
    return a.location.line == 0 && a.message == b.message && a.code == b.code;
  };
  diagnostics.erase(std::unique(diagnostics.begin(), diagnostics.end(), same), diagnostics.end());
  const bool usage = std::all_of(diagnostics.begin(), diagnostics.end(), from_command_line);
  return {usage ? FailureKind::usage : FailureKind::malformed, std::move(diagnostics), {}};
}

}  // namespace switchyard::chip
