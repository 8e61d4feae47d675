// A product of a random size with a random mapping, which may be impossible.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <random>
#include <string>

#include "compiler/compiler.h"
#include "compiler/mapping_file.h"
#include "model/model.h"

namespace switchyard::testing {

struct RandomMapping {
  std::string text;  ///< of a mapping file
  graph::Graph product;
  compiler::CompileOptions options;  ///< with that mapping
};

/// On 2^`components` components: up to 1024 rows, columns and summands, spread and cut, operands shared in any way.
inline RandomMapping random_mapping(std::mt19937_64& random, int components) {
  const auto pick = [&](std::int64_t low, std::int64_t high) { return std::uniform_int_distribution<std::int64_t>(low, high)(random); };
  model::LoadOptions sizes;
  sizes.set = {{"m", 64 * pick(1, 16)}, {"n", 64 * pick(1, 16)}, {"k", 64 * pick(1, 16)}};
  const std::int64_t rows = std::int64_t{1} << pick(0, components);
  const char* sharing[] = {"none", "multicast", "ring"};
  const std::string tiles = fmt::format("m: {}, n: {}, k: {}", 32 * pick(1, 8), 32 * pick(1, 8), 64 * pick(1, 16));
  std::string operands;
  for (const char* operand : {"A", "B"})
    operands += fmt::format("      {}: {{sharing: {}, resident: {}}}\n", operand, sharing[pick(0, 2)], pick(0, 1) ? "true" : "false");
  RandomMapping out;
  out.text = fmt::format("mappings:\n  - kernel: gemm\n    split: {{m: {}, n: {}}}\n    tile: {{{}}}\n    order: [{}]\n    operands:\n{}",
                         rows, (std::int64_t{1} << components) / rows, tiles, pick(0, 1) ? "m, n" : "n, m", operands);
  out.product = model::build_zoo_model("gemm", sizes).value();
  out.options.mappings = std::make_shared<const compiler::MappingFile>(compiler::MappingFile::parse(out.text, "random").value());
  return out;
}

}  // namespace switchyard::testing
