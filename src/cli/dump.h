// --dump-tensor: the values that an execution gave to tensors of a program, as .npy files.
#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"
#include "program/program.h"
#include "simulation/execute.h"
#include "support/result.h"

namespace switchyard::cli {

class TensorDump {
 public:
  /// Files go to `folder` (empty: the current one). Failures (usage), all of them: cli/unknown-tensor; cli/bad-value (two names that would
  /// be one file). `graph`, which may be null, knows of tensors that no buffer holds.
  static Result<TensorDump> make(const program::Program& program, const graph::Graph* graph, const std::vector<std::string>& names,
                                 const std::string& folder);

  /// After each context: keeps what is complete now. A program's buffers are given back as it runs.
  void after_context(program::ContextId context, const simulation::BufferReader& read);
  /// Writes what was kept and returns a sentence per file. Failures: file/unwritable, tensor/unsupported.
  Result<std::vector<std::string>> write() const;

 private:
  struct Wanted {
    std::string name, path;
    program::BufferId buffer;
    std::size_t context = 0;  ///< after which it is complete
    numerics::Tensor tensor;
  };
  std::vector<Wanted> wanted_;
};

/// A name from a file (of a tensor, a chip) as one of a file or folder: what may not stand there is replaced.
std::string plain_file_name(const std::string& name);

}  // namespace switchyard::cli
