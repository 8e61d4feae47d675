#include "model/model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "graph/text.h"
#include "model/llm/llm.h"
#include "model/onnx/reader.h"
#include "model/onnx/write.h"
#include "support/file.h"
#include "support/sha256.h"

namespace switchyard::model {

namespace fs = std::filesystem;

namespace {

struct Loaded {
  graph::Graph graph;
  std::string sha256;
  std::vector<std::int64_t> output_lengths;
};

Result<Loaded> load_onnx(const std::string& path, const LoadOptions& options) {
  std::error_code error;
  if (!fs::exists(path, error)) {
    return fail(FailureKind::usage, "model/not-found", fmt::format("there is no file '{}'", path), {}, {path, 0, 0});
  }
  SY_TRY(const std::string bytes, read_file(path));
  const std::string parent = fs::path(path).parent_path().string();
  std::vector<std::int64_t> lengths;
  SY_TRY(auto graph, onnx::read_model(bytes, options, path, parent.empty() ? "." : parent, &lengths));
  if (graph.name.empty()) graph.name = fs::path(path).stem().string();
  return Loaded{std::move(graph), sha256_hex(bytes), std::move(lengths)};
}

bool is_built_in(const std::string& name) {
  for (const ZooEntry& entry : zoo()) {
    if (entry.name == name) return true;
  }
  return false;
}

Failure unknown(const std::string& name) {
  std::vector<std::string> names;
  for (const ZooEntry& entry : zoo()) names.push_back(entry.name);
  const std::string near = nearest_name(name, names);
  const std::string list =
      fmt::format("built-in models are {}; anything else is a path to a .onnx file or a folder with model.onnx", fmt::join(names, ", "));
  return fail(FailureKind::usage, "model/unknown", fmt::format("there is no model '{}'", name),
              near.empty() ? list : fmt::format("did you mean {}? {}", near, list));
}

}  // namespace

Result<graph::Graph> read_onnx(const std::string& path, const LoadOptions& options) {
  SY_TRY(auto loaded, load_onnx(path, options));
  return std::move(loaded.graph);
}

Status write_onnx(const graph::Graph& graph, const std::string& path) { return onnx::write_model(graph, path); }

/// Positions of a step of which nobody says how many it has.
constexpr std::int64_t kUsualLength = 2048;

std::optional<std::string> configuration_of(const std::string& name) {
  std::error_code error;
  if (is_built_in(name)) return std::nullopt;
  if (fs::path(name).extension() == ".json" && fs::is_regular_file(name, error)) return name;
  const fs::path inside = fs::path(name) / "config.json";
  if (!fs::is_directory(name, error) || fs::exists(fs::path(name) / "model.onnx", error) || !fs::exists(inside, error)) return std::nullopt;
  return inside.string();
}

bool is_configuration(const std::string& name) { return configuration_of(name).has_value(); }

Result<LoadedModel> load_model(const std::string& name, const LoadOptions& options) {
  std::error_code error;
  // A built-in name wins over a stray file or folder of that name; "./resnet50" reaches the latter.
  if (is_built_in(name)) {
    SY_TRY(auto graph, build_zoo_model(name, options));
    std::string digest = sha256_hex(graph::print(graph));
    return LoadedModel{std::move(graph), std::move(digest), true, {}, {}, {}, {}};
  }
  std::string path = name;
  if (const auto config = configuration_of(name)) {
    SY_TRY(const llm::Config c, llm::read_config(*config));
    const std::int64_t batch = std::max<std::int64_t>(1, options.batch), given = options.decode ? options.context_length : options.prompt;
    const std::int64_t length = given > 0 ? given : c.usable_positions() > 0 ? std::min(c.usable_positions(), kUsualLength) : kUsualLength;
    const llm::Step step{batch, options.decode ? 1 : length, length, options.weights, options.tensor_parallel};
    if (const Status good = llm::check_step(c, step); !good) return good.failure();
    SY_TRY(const std::string bytes, read_file(*config));
    llm::Built built = llm::build(c, step, options.seed);
    built.notes.insert(built.notes.begin(),
                       fmt::format("{:.0f} parameters in the whole model, its table of words among them", llm::parameters(c)));
    LoadedModel model{std::move(built.graph), sha256_hex(bytes), false, {}, c.format, {}, std::move(built.notes)};
    model.language = {c, step, std::move(built.exchanges)};
    return model;
  }
  if (fs::is_directory(name, error)) {
    path = (fs::path(name) / "model.onnx").string();
  } else if (!fs::exists(name, error)) {
    const bool looks_like_path = name.find('/') != std::string::npos || fs::path(name).extension() == ".onnx";
    if (!looks_like_path) return unknown(name);
  }
  SY_TRY(auto loaded, load_onnx(path, options));
  return LoadedModel{std::move(loaded.graph), std::move(loaded.sha256), false, std::move(loaded.output_lengths), {}, {}, {}};
}

}  // namespace switchyard::model
