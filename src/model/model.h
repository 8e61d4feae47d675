// The in-edge: a model file or a built-in name becomes a Graph.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"
#include "model/llm/llm.h"
#include "numerics/tensor.h"
#include "support/result.h"

namespace switchyard::model {

struct LoadOptions {
  std::int64_t batch = 0;  ///< 0: the model's own (1 for the zoo)
  std::uint64_t seed = 0;
  std::map<std::string, std::int64_t> set;        ///< parameters of a built-in model: m, n, k; sizes of a file's named dimensions
  std::map<std::string, numerics::Shape> shapes;  ///< of inputs of a file: sizes of their open dimensions
  /// Of language models from their configurations: a prefill of `prompt` tokens, or a decode step that sees `context_length` positions; 0:
  /// 2048, or as many as the model has.
  bool decode = false;
  std::int64_t prompt = 0, context_length = 0;
  std::optional<numerics::Format> weights;  ///< of the matrices that layers multiply by; none: as all else
  std::int64_t tensor_parallel = 1;         ///< devices that share each layer; the graph is of one of them
  /// Values of a model file's inputs, in order; may be fewer. What decides shapes (axes, sizes, starts) may come from an input: the graph
  /// is then made for these values. They also give open dimensions their sizes.
  std::vector<numerics::Tensor> inputs;
  /// Of the model's inputs that are sequences or optionals, how many of `inputs` are theirs: -1 for a tensor, -2 for an optional without a
  /// value. Empty: all are tensors. The tensors in a sequence become inputs of the graph, one after the other; outputs alike.
  std::vector<std::int64_t> input_lengths;
  std::uint64_t draw = 0;  ///< of random operators: which of successive invocations
};

struct LoadedModel {
  graph::Graph graph;
  std::string sha256;                        ///< of the file; zoo: of the printed graph
  bool built_in = false;                     ///< zoo models default to bf16
  std::vector<std::int64_t> output_lengths;  ///< how many of the graph's outputs each of the model's is; as LoadOptions::input_lengths
  std::optional<numerics::Format> format;    ///< what a configuration says of its numbers
  /// Of a language model from its configuration: what it was made of.
  struct Language {
    llm::Config config;
    llm::Step step;
    std::vector<llm::Exchange> exchanges;
  };
  std::optional<Language> language;
  std::vector<std::string> notes;
};

/// `name` is a .onnx file, a directory with model.onnx or, without one, with config.json, or a built-in name. Failures: model/not-found
/// (usage), onnx/... (malformed or unsupported; all unknown operators are listed at once), those of llm::read_config.
Result<LoadedModel> load_model(const std::string& name, const LoadOptions& options);

struct ZooEntry {
  std::string name, description;
  std::vector<std::string> parameters;  ///< names `--set` understands, with defaults: "m=1024"
};
const std::vector<ZooEntry>& zoo();
Result<graph::Graph> build_zoo_model(const std::string& name, const LoadOptions& options);

/// The configuration of a language model: the file itself, or that of a folder which has no ONNX file.
std::optional<std::string> configuration_of(const std::string& name);
bool is_configuration(const std::string& name);

Result<graph::Graph> read_onnx(const std::string& path, const LoadOptions& options);

/// Writes any graph with values as an ONNX file (weights of more than 1 GiB beside it, in PATH.data). Failures: onnx/cannot-export,
/// file/unwritable.
Status write_onnx(const graph::Graph& graph, const std::string& path);

/// Tensor files: .pb (ONNX TensorProto) and .npy (v1-v3, C order).
Result<numerics::Tensor> read_tensor(const std::string& path);
/// The same of bytes; the name says which of the two they are.
Result<numerics::Tensor> parse_tensor(std::string_view bytes, const std::string& path);
/// Writes a TensorProto (.pb); integers and floats keep their format.
Status write_tensor(const numerics::Tensor& tensor, const std::string& name, const std::string& path);
/// As .npy, version 1. NumPy has no bf16: such values are written as fp32, which holds them exactly. Failures: file/unwritable,
/// tensor/unsupported (a format of which NumPy has no type).
Status write_npy(const numerics::Tensor& tensor, const std::string& path);

}  // namespace switchyard::model
