// Names that mapping files use: of loops, of tensors, and of what an operand's sharing is called.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "compiler/kernel.h"

namespace switchyard::compiler {

inline constexpr std::array<const char*, 3> kSharingNames{"none", "multicast", "ring"};  ///< in the order of Sharing

/// Shell-like: * any run, ? any one character. Linear in practice: only the last star is ever tried again.
bool matches_pattern(const std::string& pattern, const std::string& name);

/// Names that are alike are told apart: x, x#2, x#3.
std::vector<std::string> distinct_names(std::vector<std::string> names);
std::vector<std::string> loop_names(const Kernel& kernel);
std::vector<std::string> tensor_names(const graph::Graph& graph, const Kernel& kernel);  ///< by operand
std::vector<std::string> kernel_names(const std::vector<Kernel>& kernels);

/// "did you mean 'gemm'?", or what there is.
std::string did_you_mean(const std::string& word, const std::vector<std::string>& names, const char* what);

}  // namespace switchyard::compiler
