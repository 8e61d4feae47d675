#include "cli/checkpoint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include "program/safetensors.h"
#include "support/document.h"

namespace switchyard::cli {
namespace {

namespace fs = std::filesystem;
using numerics::Tensor;

constexpr std::array<std::string_view, 4> kFamilies{"llama", "mistral", "qwen2", "qwen3"};
/// Within a layer: what it is called here, and there.
constexpr std::array<std::pair<std::string_view, std::string_view>, 11> kNames{{{"q", "self_attn.q_proj"},
                                                                                {"k", "self_attn.k_proj"},
                                                                                {"v", "self_attn.v_proj"},
                                                                                {"o", "self_attn.o_proj"},
                                                                                {"q_norm", "self_attn.q_norm"},
                                                                                {"k_norm", "self_attn.k_norm"},
                                                                                {"mlp.gate", "mlp.gate_proj"},
                                                                                {"mlp.up", "mlp.up_proj"},
                                                                                {"mlp.down", "mlp.down_proj"},
                                                                                {"input_norm", "input_layernorm"},
                                                                                {"post_norm", "post_attention_layernorm"}}};

/// "layers.3.mlp.up.weight" is "model.layers.3.mlp.up_proj.weight" there.
std::string name_there(const std::string& name) {
  const std::size_t kind = name.rfind('.');  // weight or bias
  if (!name.starts_with("layers.")) return name.starts_with("norm.") ? "model." + name : name;
  const std::size_t layer = name.find('.', 7) + 1;
  for (const auto& [here, there] : kNames)
    if (std::string_view(name).substr(layer, kind - layer) == here)
      return fmt::format("model.{}{}{}", name.substr(0, layer), there, name.substr(kind));
  return name;
}

Failure wrong(const std::string& file, std::string message) {
  return fail(FailureKind::malformed, "llm/weights", std::move(message), {}, {file, 0, 0});
}

Tensor turned(const Tensor& t) {
  Tensor out = numerics::make_tensor(t.format, {t.shape[1], t.shape[0]});
  const std::int64_t rows = t.shape[0], columns = t.shape[1], size = numerics::format_bytes(t.format);
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c)
      std::copy_n(t.bytes.begin() + (r * columns + c) * size, size, out.bytes.begin() + (c * rows + r) * size);
  return out;
}

/// The files of a checkpoint; none where there is none.
Result<std::vector<std::string>> files_of(const std::string& folder) {
  std::error_code error;
  const std::string one = (fs::path(folder) / "model.safetensors").string(), index = one + ".index.json";
  std::vector<std::string> files;
  if (fs::exists(one, error)) return std::vector<std::string>{one};
  if (!fs::exists(index, error)) return files;
  SY_TRY(const Document document, read_document(index));
  const Node* map = document.root.find("weight_map");
  if (map == nullptr || map->kind != Node::Kind::map) return wrong(index, "there is no map 'weight_map'");
  std::set<std::string> names;
  for (const auto& [tensor, file] : map->entries) names.insert(file.text);
  for (const std::string& name : names) {
    if (name.empty() || name.find('/') != std::string::npos) return wrong(index, fmt::format("'{}' is no name of a file beside it", name));
    files.push_back((fs::path(folder) / name).string());
  }
  return files;
}

}  // namespace

Status read_checkpoint(const std::string& folder, model::LoadedModel& model) {
  if (!model.language) return Done{};
  SY_TRY(const auto files, files_of(folder));
  if (files.empty()) return Done{};
  const auto& [config, step, exchanges] = *model.language;
  const bool known = std::find(kFamilies.begin(), kFamilies.end(), config.type) != kFamilies.end();
  if (!known || step.weights || step.parallel > 1) {
    model.notes.push_back(fmt::format("the weights beside the configuration are not read: {}",
                                      !known         ? fmt::format("names of '{}' are not known", config.type)
                                      : step.weights ? "--weights makes its own"
                                                     : "each device has a part of them"));
    return Done{};
  }
  std::map<std::string, program::NamedConstant> there;
  for (const std::string& file : files) {
    SY_TRY(const auto constants, program::read_safetensors(file, {}));
    for (const program::NamedConstant& c : constants) there.insert_or_assign(c.name, c);
  }
  for (graph::Tensor& tensor : model.graph.tensors) {
    if (tensor.role != graph::Role::constant || !tensor.trained || !numerics::format_info(tensor.format).floating) continue;
    std::string name = name_there(tensor.name);
    if (name == "lm_head.weight" && !there.contains(name)) name = "model.embed_tokens.weight";
    const auto found = there.find(name);
    if (found == there.end()) return wrong(folder, fmt::format("the checkpoint has no tensor '{}'", name));
    const bool matrix = tensor.shape.size() == 2;  // [inputs, outputs] here, [outputs, inputs] there
    const numerics::Shape shape = matrix ? numerics::Shape{tensor.shape[1], tensor.shape[0]} : tensor.shape;
    if (found->second.shape != shape)
      return wrong(folder, fmt::format("tensor '{}' has the shape [{}], and the configuration makes it [{}]", name,
                                       fmt::join(found->second.shape, ", "), fmt::join(shape, ", ")));
    auto made = std::make_shared<numerics::Constant>();
    made->make = [values = found->second.values, matrix] {
      const Tensor t = values->make();
      return numerics::convert_tensor(matrix ? turned(t) : t, numerics::Format::fp32);
    };
    tensor.constant = made;
  }
  model.notes.push_back("weights are those of the checkpoint");
  return Done{};
}

}  // namespace switchyard::cli
