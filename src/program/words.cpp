#include "program/words.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace switchyard::program {

namespace {

constexpr std::array kReserved{
    "after",    "always",     "array",   "at",     "before",     "bound",  "buffer", "bytes",   "channel", "chip",      "compute",
    "constant", "context",    "depth",   "dim",    "early",      "else",   "extent", "fill",    "for",     "from",      "grid",
    "in",       "inf",        "initial", "input",  "kept",       "labels", "let",    "loops",   "max",     "message",   "min",
    "mod",      "move",       "nan",     "of",     "on",         "ops",    "order",  "ordered", "out",     "output",    "pad",
    "parallel", "part",       "paths",   "peek",   "persistent", "picks",  "place",  "pop",     "read",    "reduction", "region",
    "route",    "sequential", "sidecar", "source", "spread",     "state",  "to",     "value",   "values",  "window"};

bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

bool is_reserved(std::string_view word) {
  return std::any_of(kReserved.begin(), kReserved.end(), [word](const char* reserved) { return word == reserved; });
}

std::string quote_name(std::string_view name) {
  const bool identifier = !name.empty() && letter(name.front()) &&
                          std::all_of(name.begin(), name.end(), [](char c) { return letter(c) || digit(c); }) && !is_reserved(name);
  return identifier ? std::string(name) : quote_text(name);
}

std::string quote_text(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      result += fmt::format("\\x{:02x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    } else {
      result += c;
    }
  }
  return result + '"';
}

std::string print_number(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  return fmt::format("{}", value);
}

}  // namespace switchyard::program
