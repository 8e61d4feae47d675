// The words of the text form: every token knows where it stands.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "support/diagnostic.h"

namespace switchyard::program {

struct Lexeme {
  enum class Kind : std::uint8_t { word, text, integer, real, sign, block, bad, end };
  Kind kind = Kind::end;
  std::string text;  ///< word, sign; text: escapes resolved; block: the lines of a `chip {` block, unindented; bad: what is wrong
  std::int64_t integer = 0;
  double real = 0;           ///< integer and real
  int line = 0, column = 0;  ///< block: of its first line
  bool first = false;        ///< first of its line
};

/// Never fails: what cannot be read becomes a `bad` lexeme. The last one is `end`.
std::vector<Lexeme> lex(std::string_view source);

}  // namespace switchyard::program
