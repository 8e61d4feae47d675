// Operation: one operator with its sizes, by name, as a model of its own. What measurement files have rows of.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"
#include "support/result.h"

namespace switchyard::model {

struct Operation {
  std::string name;                                        ///< "gemm", "softmax", "attention_decode" ...
  std::vector<std::pair<std::string, std::string>> shape;  ///< sizes by name, as written
};

/// Names of the operations that build_operation knows.
std::vector<std::string> operation_names();

/// One size of an operation. Failures: operation/shape (malformed: it is missing, or no whole number from 1 on).
Result<std::int64_t> whole_size(const Operation& operation, std::string_view name);

/// The operation as a graph of floating tensors; its matrices are inputs. Failures: operation/unknown (unsupported), operation/shape
/// (malformed: a size is missing, is no whole number, is out of range, or does not go with the others).
Result<graph::Graph> build_operation(const Operation& operation);

}  // namespace switchyard::model
