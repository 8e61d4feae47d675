#include <fmt/format.h>

#include <algorithm>

#include "model/emit.h"
#include "model/model.h"
#include "model/zoo/builders.h"

namespace switchyard::model {

namespace {

/// Sizes beyond this are mistyped: products of three of them stay inside what import and compilation can count.
constexpr std::int64_t kMaxExtent = std::int64_t{1} << 16;

using Parameters = std::map<std::string, std::int64_t>;

struct Model {
  ZooEntry entry;
  Parameters defaults;  ///< what --set understands
  bool batched;         ///< understands --batch
  graph::Graph (*build)(const Parameters& parameters, std::uint64_t seed);
};

graph::Graph build_resnet50(const Parameters& p, std::uint64_t seed) { return zoo_models::resnet50(p.at("batch"), seed); }
graph::Graph build_gemm(const Parameters& p, std::uint64_t seed) { return zoo_models::gemm(p.at("m"), p.at("n"), p.at("k"), seed); }

const std::vector<Model>& models() {
  static const std::vector<Model> table{
      {{"gemm", "one matrix product C = A x B, B constant", {"m=1024", "n=1024", "k=1024"}},
       {{"m", 1024}, {"n", 1024}, {"k", 1024}},
       false,
       build_gemm},
      {{"resnet50", "ResNet-50 v1.5 image classifier, 224 x 224, seeded weights", {}}, {}, true, build_resnet50},
  };
  return table;
}

}  // namespace

const std::vector<ZooEntry>& zoo() {
  static const std::vector<ZooEntry> entries = [] {
    std::vector<ZooEntry> list;
    for (const Model& model : models()) list.push_back(model.entry);
    return list;
  }();
  return entries;
}

Result<graph::Graph> build_zoo_model(const std::string& name, const LoadOptions& options) {
  const auto model = std::find_if(models().begin(), models().end(), [&](const Model& m) { return m.entry.name == name; });
  if (model == models().end()) {
    return fail(FailureKind::usage, "model/unknown", fmt::format("there is no built-in model '{}'", name));
  }
  Failure failure{FailureKind::usage, {}, {}};
  const auto wrong = [&](std::string code, std::string message, std::string hint = {}) {
    failure.diagnostics.push_back({std::move(code), std::move(message), {}, {}, std::move(hint), {}});
  };
  Parameters parameters = model->defaults;
  std::vector<std::string> names;
  for (const auto& [parameter, value] : parameters) names.push_back(parameter);
  for (const auto& [parameter, value] : options.set) {
    const auto at = parameters.find(parameter);
    if (at == parameters.end()) {
      const std::string near = nearest_name(parameter, names);
      wrong("model/unknown-parameter", fmt::format("{} has no parameter '{}'", name, parameter),
            near.empty() ? std::string() : fmt::format("did you mean {}?", near));
    } else if (value < 1 || value > kMaxExtent) {
      wrong("model/parameter-range",
            fmt::format("parameter {} of {} must be between 1 and {}, not {}", parameter, name, kMaxExtent, value));
    } else {
      at->second = value;
    }
  }
  if (options.batch < 0 || options.batch > kMaxExtent) {
    wrong("model/parameter-range", fmt::format("the batch must be between 1 and {}, not {}", kMaxExtent, options.batch));
  } else if (options.batch > 1 && !model->batched) {
    wrong("model/no-batch", fmt::format("{} has no batch", name), fmt::format("its sizes are set by --set {}=N", names.front()));
  }
  if (!failure.diagnostics.empty()) return failure;
  parameters["batch"] = std::max<std::int64_t>(1, options.batch);
  return model->build(parameters, options.seed);
}

}  // namespace switchyard::model
