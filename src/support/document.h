// Document: a YAML 1.2 or JSON text as a tree whose every node knows where it stands in the file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/diagnostic.h"
#include "support/result.h"

namespace switchyard {

/// A node of a document. Map keys keep their order; duplicates were rejected by the reader.
struct Node {
  enum class Kind { null, scalar, sequence, map };
  Kind kind = Kind::null;
  std::string text;     ///< of a scalar, as written (quotes and escapes resolved)
  bool quoted = false;  ///< a quoted scalar is text, never a number
  int line = 0, column = 0;
  int key_line = 0, key_column = 0;                   ///< of the key under which this node stands in a map
  std::vector<Node> items;                            ///< of a sequence
  std::vector<std::pair<std::string, Node>> entries;  ///< of a map

  // Defined where a pair with a Node in it is a complete type.
  Node();
  Node(const Node&);
  Node(Node&&) noexcept;
  Node& operator=(const Node&);
  Node& operator=(Node&&) noexcept;
  ~Node();
  [[nodiscard]] const Node* find(std::string_view key) const;
  [[nodiscard]] Node* find(std::string_view key);
};

struct Document {
  std::string file;
  std::string text;  ///< the source, for carets
  Node root;
  [[nodiscard]] Location location(const Node& node) const { return {file, node.line, node.column}; }
  [[nodiscard]] std::string line_text(int line) const;  ///< to be shown; nothing of a line of more than 64 KiB
};

/// Parses YAML 1.2 (of which JSON is a subset). Depth is limited to 64, aliases are rejected (no blow-ups).
/// Failures: document/syntax, document/duplicate-key, document/too-deep, document/alias, document/tag, and document/too-large (over 16 MiB
/// of text or a million values). All located. A key's `quoted` is not kept.
Result<Document> parse_document(std::string text, std::string file);
Result<Document> read_document(const std::string& path);  ///< plus document/unreadable

/// Prints a tree as YAML, block style at the outside and flow style for leaves; parse_document reads it back to an equal tree.
std::string print_yaml(const Node& root);

}  // namespace switchyard
