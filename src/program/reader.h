// A cursor over lexemes that collects diagnostics: what every part of the text form's parser is written with.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "numerics/affine.h"
#include "program/lexer.h"
#include "program/program.h"
#include "support/diagnostic.h"

namespace switchyard::program {

class Reader {
 public:
  Reader(std::string_view source, std::string file);

  [[nodiscard]] const Lexeme& peek(std::size_t ahead = 0) const {
    return lexemes_[at_ + ahead < lexemes_.size() ? at_ + ahead : lexemes_.size() - 1];
  }
  Lexeme take() {
    Lexeme lexeme = peek();
    if (at_ + 1 < lexemes_.size()) ++at_;
    return lexeme;
  }
  [[nodiscard]] bool at_end() const { return peek().kind == Lexeme::Kind::end; }
  [[nodiscard]] bool is_word(std::string_view word, std::size_t ahead = 0) const {
    return peek(ahead).kind == Lexeme::Kind::word && peek(ahead).text == word;
  }
  [[nodiscard]] bool is_sign(std::string_view sign, std::size_t ahead = 0) const {
    return peek(ahead).kind == Lexeme::Kind::sign && peek(ahead).text == sign;
  }
  bool accept_word(std::string_view word) { return is_word(word) && (take(), true); }
  bool accept_sign(std::string_view sign) { return is_sign(sign) && (take(), true); }

  // Each of these reports what is wrong where it stands and returns false or nothing.
  bool expect_word(std::string_view word);
  bool expect_sign(std::string_view sign);
  std::optional<std::string> name(std::string_view what);  ///< a word that is not of the grammar, or a quoted text
  std::optional<std::string> text(std::string_view what);
  std::optional<std::int64_t> integer(std::string_view what);  ///< with an optional minus
  std::optional<std::int64_t> natural(std::string_view what);
  std::optional<double> number(std::string_view what);
  std::optional<numerics::Affine> affine(const std::vector<std::string>& names, std::string_view what);
  /// The position of a name in a list; `what` as in "no loop is named".
  std::optional<std::size_t> known(const std::vector<std::string>& names, std::string_view what);
  std::optional<std::vector<std::int64_t>> shape();        ///< "[2, 3]"; extents are not negative
  std::optional<Token> token();                            ///< format, shape, order, pad
  std::optional<std::vector<std::uint32_t>> components();  ///< "0..3, 7": component numbers
  std::optional<IndexRange> range(const std::vector<std::string>& loops);
  bool guard(const std::vector<std::string>& loops, Guard& guard);            ///< after "on"
  bool kept(const std::vector<std::string>& loops, std::vector<bool>& kept);  ///< after "kept"

  bool error(const Lexeme& at, std::string code, std::string message, std::string hint = {});  ///< false
  bool unexpected(std::string_view wanted);                                                    ///< false
  /// The declaration of this name failed: that it is not known later is no further mistake.
  void forgive(std::string name) { forgiven_.insert(std::move(name)); }
  void forgive_line();  ///< all words on the rest of this line
  [[nodiscard]] std::size_t position() const { return at_; }
  /// After an error in something that began at `start`: to the next lexeme that begins a line, past blocks opened on the way. Stops before
  /// a '}' that closes the block around.
  void recover(std::size_t start);
  [[nodiscard]] bool too_many() const { return diagnostics_.size() >= kMostDiagnostics; }
  [[nodiscard]] const std::vector<Diagnostic>& diagnostics() const { return diagnostics_; }
  std::vector<Diagnostic>& diagnostics() { return diagnostics_; }
  [[nodiscard]] const std::string& file() const { return file_; }

 private:
  static constexpr std::size_t kMostDiagnostics = 50;
  std::string_view source_;
  std::string file_;
  std::vector<Lexeme> lexemes_;
  std::vector<std::size_t> line_starts_;
  std::size_t at_ = 0;
  std::set<std::string> forgiven_;
  std::vector<Diagnostic> diagnostics_;
};

/// Elements times bytes, rows padded; nothing when that number does not exist.
std::optional<std::int64_t> storage_bytes(const Token& token);
std::optional<std::int64_t> storage_bytes(numerics::Format format, const std::vector<std::int64_t>& shape);

}  // namespace switchyard::program
