// Whole files in and out, with limits: a device or a directory given by mistake is a diagnostic, not a hang.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "support/result.h"

namespace switchyard {

inline constexpr std::size_t kFileLimit = std::size_t{4} << 30;

/// The bytes of a regular file or a pipe. Failures (malformed): file/unreadable (absent, a directory, a device, an error while
/// reading), file/too-large (more than `limit` bytes).
Result<std::string> read_file(const std::string& path, std::size_t limit = kFileLimit);

/// Creates or replaces a file, whole or not at all: it is written beside as PATH.part and renamed. Failure (usage): file/unwritable.
Status write_file(const std::string& path, std::string_view bytes);

/// Would write_file succeed, as far as can be told before there is something to write? Asked before long work. Failure: as write_file's.
Status check_writable(const std::string& path);

}  // namespace switchyard
