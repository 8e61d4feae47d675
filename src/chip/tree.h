// Tree: a description put together from several files, every part of which knows the file it came from.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "support/diagnostic.h"
#include "support/document.h"

namespace switchyard::chip {

struct Tree {
  static constexpr std::size_t kCommandLine = static_cast<std::size_t>(-1);  ///< "file" of values given with --override

  Node root;
  std::vector<Document> files;                ///< for carets; their roots have moved into `root`
  std::map<std::string, std::size_t> origin;  ///< JSON pointer -> file: the nearest ancestor (or the node itself) decides

  [[nodiscard]] std::size_t origin_of(std::string_view pointer) const;
  /// From now on everything at and below `pointer` comes from `file`.
  void set_origin(const std::string& pointer, std::size_t file);
  /// A diagnostic about the node at `pointer`, located at its value or at its key.
  enum class Part { value, key };
  [[nodiscard]] Diagnostic diagnose(std::string code, std::string message, std::string hint, const std::string& pointer, const Node& node,
                                    Part part = Part::value) const;
};

/// A diagnostic located at a node of one file.
Diagnostic diagnose_in(const Document& file, std::string code, std::string message, std::string hint, const std::string& pointer,
                       const Node& node, Tree::Part part);

/// Mistakes in the order of a file's lines; the command line's last.
Failure as_failure(std::vector<Diagnostic> diagnostics);

}  // namespace switchyard::chip
