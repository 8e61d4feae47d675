// A chip of the library, for the tests of this folder.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "chip/read.h"

namespace switchyard {

/// Throws, which fails the test, with the diagnostics of a chip that cannot be read.
inline std::shared_ptr<const chip::Chip> library_chip(const std::string& name, const std::vector<chip::Override>& overrides = {}) {
  auto chip = chip::load_chip(name, {SWITCHYARD_SOURCE_DIR "/chips"}, overrides);
  if (!chip.ok()) throw std::runtime_error(format_failure(chip.failure()));
  return std::make_shared<const chip::Chip>(std::move(chip).value());
}

}  // namespace switchyard
