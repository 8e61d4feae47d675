#include "program/lexer.h"

#include <fmt/format.h>

#include <charconv>
#include <system_error>

namespace switchyard::program {

namespace {

bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool digit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  std::vector<Lexeme> run() {
    while (true) {
      skip_blank();
      if (at_ >= source_.size()) break;
      next();
    }
    begin(Lexeme::Kind::end);
    return std::move(lexemes_);
  }

 private:
  char peek(std::size_t ahead = 0) const { return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0'; }

  void skip_blank() {
    while (at_ < source_.size()) {
      const char c = source_[at_];
      if (c == '\n') {
        new_line();
      } else if (c == ' ' || c == '\t' || c == '\r') {
        ++at_;
      } else if (c == '#') {
        while (at_ < source_.size() && source_[at_] != '\n') ++at_;
      } else {
        return;
      }
    }
  }

  void new_line() {
    ++at_;
    ++line_;
    line_start_ = at_;
    fresh_ = true;
  }

  Lexeme& begin(Lexeme::Kind kind) {
    Lexeme& lexeme = lexemes_.emplace_back();
    lexeme.kind = kind;
    lexeme.line = line_;
    lexeme.column = static_cast<int>(at_ - line_start_) + 1;
    lexeme.first = fresh_;
    fresh_ = false;
    return lexeme;
  }

  void next() {
    const char c = source_[at_];
    if (letter(c)) return word();
    if (digit(c)) return number();
    if (c == '"') return text();
    for (const std::string_view sign : {"->", "+=", "*=", ".."}) {
      if (source_.substr(at_, 2) == sign) {
        begin(Lexeme::Kind::sign).text = sign;
        at_ += 2;
        return;
      }
    }
    if (std::string_view("{}[](),:=.+-*/").find(c) != std::string_view::npos) {
      begin(Lexeme::Kind::sign).text = std::string(1, c);
      ++at_;
      return;
    }
    begin(Lexeme::Kind::bad).text =
        c >= ' ' && c < 0x7f ? fmt::format("the character '{}' has no meaning here", c) : "this character has no meaning here";
    while (at_ < source_.size() && (static_cast<unsigned char>(source_[at_]) >= 0x80 || source_[at_] == c)) ++at_;
  }

  void word() {
    const bool chip = fresh_ && at_ == line_start_;
    Lexeme& lexeme = begin(Lexeme::Kind::word);
    const std::size_t from = at_;
    while (letter(peek()) || digit(peek())) ++at_;
    lexeme.text = source_.substr(from, at_ - from);
    if (chip && lexeme.text == "chip") block();
  }

  /// `chip {` at the start of a line, lines of the description, `}` at the start of a line.
  void block() {
    std::size_t at = at_;
    while (at < source_.size() && source_[at] == ' ') ++at;
    if (at >= source_.size() || source_[at] != '{') return;
    ++at;
    while (at < source_.size() && (source_[at] == ' ' || source_[at] == '\r')) ++at;
    if (at >= source_.size() || source_[at] != '\n') return;
    at_ = at;
    new_line();
    Lexeme& lexeme = begin(Lexeme::Kind::block);
    std::size_t kept = 0;  // blank lines at the end belong to nobody
    while (at_ < source_.size() && source_[at_] != '}') {
      const std::size_t end = std::min(source_.find('\n', at_), source_.size());
      std::string_view line = source_.substr(at_, end - at_);
      if (line.substr(0, 2) == "  ") line.remove_prefix(2);
      lexeme.text += line;
      lexeme.text += '\n';
      if (line.find_first_not_of(" \r\t") != std::string_view::npos) kept = lexeme.text.size();
      at_ = end;
      if (at_ < source_.size()) new_line();
    }
    lexeme.text.resize(kept);
    if (at_ < source_.size()) {
      ++at_;
    } else {
      lexeme.kind = Lexeme::Kind::bad;
      lexeme.text = "the chip's block has no end: a line beginning with '}'";
    }
  }

  void number() {
    Lexeme& lexeme = begin(Lexeme::Kind::integer);
    const std::size_t from = at_;
    while (digit(peek())) ++at_;
    bool real = false;
    if (peek() == '.' && digit(peek(1))) {
      real = true;
      ++at_;
      while (digit(peek())) ++at_;
    }
    if ((peek() == 'e' || peek() == 'E') && (digit(peek(1)) || ((peek(1) == '+' || peek(1) == '-') && digit(peek(2))))) {
      real = true;
      at_ += 2;
      while (digit(peek())) ++at_;
    }
    const char* first = source_.data() + from;
    const char* last = source_.data() + at_;
    lexeme.text = source_.substr(from, at_ - from);
    const bool fits = std::from_chars(first, last, lexeme.real).ec == std::errc();
    if (real) lexeme.kind = Lexeme::Kind::real;
    if (!fits || (!real && std::from_chars(first, last, lexeme.integer).ec != std::errc())) {
      lexeme.kind = Lexeme::Kind::bad;
      lexeme.text = fmt::format("the number {} is too large", lexeme.text.size() > 40 ? lexeme.text.substr(0, 40) + "..." : lexeme.text);
    }
  }

  static int hex(char c) {
    if (digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  }

  void text() {
    Lexeme& lexeme = begin(Lexeme::Kind::text);
    ++at_;
    while (at_ < source_.size() && source_[at_] != '"' && source_[at_] != '\n') {
      char c = source_[at_++];
      if (c == '\\') {
        c = peek();
        if (c == 'x' && hex(peek(1)) >= 0 && hex(peek(2)) >= 0) {
          c = static_cast<char>(hex(peek(1)) * 16 + hex(peek(2)));
          at_ += 2;
        } else if (c != '"' && c != '\\') {
          lexeme.kind = Lexeme::Kind::bad;
        }
        if (at_ < source_.size() && source_[at_] != '\n') ++at_;
      }
      lexeme.text += c;
    }
    if (lexeme.kind == Lexeme::Kind::bad) lexeme.text = "an unknown escape; known are \\\" \\\\ and \\xNN";
    if (peek() == '"') {
      ++at_;
    } else {
      lexeme.kind = Lexeme::Kind::bad;
      lexeme.text = "this text has no closing quote on its line";
    }
  }

  std::string_view source_;
  std::size_t at_ = 0, line_start_ = 0;
  int line_ = 1;
  bool fresh_ = true;
  std::vector<Lexeme> lexemes_;
};

}  // namespace

std::vector<Lexeme> lex(std::string_view source) { return Lexer(source).run(); }

}  // namespace switchyard::program
