// Damage: seeded changes to a good input, for tests that any bytes give a diagnostic and never a crash, a hang or unbounded memory.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace switchyard::fuzz {

/// `good` with 1 to 8 changes: bytes replaced, inserted, erased, pieces repeated, the end cut off. Same seed, same result. `alphabet`
/// lists the bytes that mean something in the format; others come too.
inline std::string damage(std::string_view good, std::uint32_t seed, std::string_view alphabet) {
  std::mt19937 random(seed);
  std::string text(good);
  const auto byte = [&] {
    if (alphabet.empty() || random() % 8 == 0) return static_cast<char>(random() & 0xff);
    return alphabet[random() % alphabet.size()];
  };
  for (unsigned changes = 1 + random() % 8; changes > 0; --changes) {
    if (text.empty()) text = "x";
    const std::size_t at = random() % text.size();
    switch (random() % 8) {
      case 0:
      case 1: text[at] = byte(); break;
      case 2: text.insert(at, 1 + random() % 3, byte()); break;
      case 3: text.erase(at, 1 + random() % 8); break;
      case 4: text.insert(at, text.substr(random() % text.size(), random() % 64)); break;
      case 5: text[at] = static_cast<char>(text[at] ^ (1u << (random() % 8))); break;
      case 6: text.insert(at, random() % 200, byte()); break;
      default:
        if (random() % 4 == 0) text.resize(at);
        break;
    }
  }
  return text;
}

}  // namespace switchyard::fuzz
