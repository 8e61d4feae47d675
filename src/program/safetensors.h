// Constants in a safetensors file: an 8-byte header length, a JSON header, the tensors' bytes one after the other.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "numerics/tensor.h"
#include "support/result.h"

namespace switchyard::program {

struct NamedConstant {
  std::string name;
  numerics::Format format = numerics::Format::fp32;
  numerics::Shape shape;
  numerics::ConstantPtr values;
};

/// Writes them, making one at a time; yields the file's sha256. Failure (usage): file/unwritable.
Result<std::string> write_safetensors(const std::string& path, const std::vector<NamedConstant>& constants);

/// A tensor as the header of a file tells it; `begin` and `end` count bytes of the file.
struct StoredTensor {
  std::string name;
  numerics::Format format = numerics::Format::fp32;
  numerics::Shape shape;
  std::uint64_t begin = 0, end = 0;
};

/// What a file of `size` bytes says that it holds; `read` gives `count` bytes from `offset`, which lie in the file. Failure:
/// program/sidecar.
Result<std::vector<StoredTensor>> parse_safetensors(std::uint64_t size,
                                                    const std::function<std::string(std::uint64_t offset, std::uint64_t count)>& read,
                                                    const std::string& path);

/// Reads the header and checks the digest of the whole file, unless that is empty; values are read when they are asked for. Failures
/// (malformed): file/unreadable, program/sidecar-digest, program/sidecar.
Result<std::vector<NamedConstant>> read_safetensors(const std::string& path, std::string_view sha256);

}  // namespace switchyard::program
