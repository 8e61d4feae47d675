#include <fmt/format.h>

#include <algorithm>

#include "model/emit.h"
#include "model/model.h"
#include "model/zoo/builders.h"

namespace switchyard::model {

namespace {

/// Sizes beyond this are mistyped: products of three of them stay inside what import and compilation can count.
constexpr std::int64_t kMaxExtent = std::int64_t{1} << 16;
/// The same of networks, where more sizes are multiplied.
constexpr std::int64_t kMaxBatch = 1024;
constexpr std::int64_t kMaxLayers = 128;
constexpr std::int64_t kMaxHidden = std::int64_t{1} << 14;
/// Positions BERT was trained for; the least vocabulary has a word for each.
constexpr std::int64_t kBertPositions = 512;
/// Positions LLaMA 2 was trained for.
constexpr std::int64_t kMaxContext = 4096;

using Values = std::map<std::string, std::int64_t>;

/// What --set understands: multiples of `step`.
struct Parameter {
  const char* name;
  std::int64_t value;  ///< unless set
  std::int64_t greatest = kMaxExtent;
  std::int64_t step = 1;
  std::int64_t least = step;
};

struct Model {
  const char* name;
  const char* description;
  std::vector<Parameter> parameters;
  std::int64_t max_batch;  ///< 0: does not understand --batch
  graph::Graph (*build)(const Values& values, std::uint64_t seed);
};

graph::Graph build_resnet18(const Values& v, std::uint64_t seed) { return zoo_models::resnet18(v.at("batch"), seed); }
graph::Graph build_resnet50(const Values& v, std::uint64_t seed) { return zoo_models::resnet50(v.at("batch"), seed); }
graph::Graph build_gemm(const Values& v, std::uint64_t seed) { return zoo_models::gemm(v.at("m"), v.at("n"), v.at("k"), seed); }

graph::Graph build_bert(const Values& v, std::uint64_t seed) {
  return zoo_models::bert({v.at("batch"), v.at("seq"), v.at("layers"), v.at("hidden"), v.at("ffn"), v.at("vocab")}, seed);
}

/// What a model does not have is not set.
zoo_models::LlamaSizes llama_sizes(const Values& values) {
  zoo_models::LlamaSizes sizes;
  const auto take = [&](const char* name, std::int64_t& size) {
    if (const auto at = values.find(name); at != values.end()) size = at->second;
  };
  take("batch", sizes.batch);
  take("seq", sizes.seq);
  take("past", sizes.past);
  take("layers", sizes.layers);
  take("hidden", sizes.hidden);
  take("ffn", sizes.ffn);
  take("vocab", sizes.vocab);
  return sizes;
}
graph::Graph build_llama_block(const Values& v, std::uint64_t seed) { return zoo_models::llama_block(llama_sizes(v), seed); }
graph::Graph build_llama(const Values& v, std::uint64_t seed) { return zoo_models::llama(llama_sizes(v), seed); }

graph::Graph build_mobilenet(const Values& v, std::uint64_t seed) { return zoo_models::mobilenet_v3(v.at("batch"), seed); }
graph::Graph build_vgg(const Values& v, std::uint64_t seed) { return zoo_models::vgg16(v.at("batch"), seed); }
graph::Graph build_unet(const Values& v, std::uint64_t seed) { return zoo_models::unet(v.at("batch"), v.at("size"), seed); }
graph::Graph build_vit(const Values& v, std::uint64_t seed) { return zoo_models::vit_b16(v.at("batch"), v.at("layers"), seed); }
graph::Graph build_swin(const Values& v, std::uint64_t seed) { return zoo_models::swin_t(v.at("batch"), seed); }
graph::Graph build_whisper(const Values& v, std::uint64_t seed) {
  return zoo_models::whisper_tiny_encoder(v.at("batch"), v.at("layers"), v.at("frames"), seed);
}
graph::Graph build_gpt2(const Values& v, std::uint64_t seed) {
  return zoo_models::gpt2({v.at("batch"), v.at("seq"), v.at("layers"), v.at("hidden"), v.at("vocab")}, seed);
}

const std::vector<Model>& models() {
  static const Parameter past{"past", 2048, kMaxContext - 1};
  static const Parameter llama_hidden{"hidden", 4096, kMaxHidden, 128};
  static const Parameter llama_ffn{"ffn", 11008};
  static const std::vector<Model> table{
      {"bert-base",
       "BERT-base encoder and pooler, uncased vocabulary, seeded weights",
       {{"seq", 384, kBertPositions},
        {"layers", 12, kMaxLayers},
        {"hidden", 768, kMaxHidden, 64},
        {"ffn", 3072},
        {"vocab", 30522, kMaxExtent, 1, kBertPositions}},
       kMaxBatch,
       build_bert},
      {"gemm", "one matrix product C = A x B, B constant", {{"m", 1024}, {"n", 1024}, {"k", 1024}}, 0, build_gemm},
      {"gpt2",
       "GPT-2 small, prefill of a text, seeded weights",
       {{"seq", 512, 1024}, {"layers", 12, kMaxLayers}, {"hidden", 768, kMaxHidden, 64}, {"vocab", 50257}},
       kMaxBatch,
       build_gpt2},
      {"llama-2-7b",
       "LLaMA-2-7B, one token after a cached past, seeded weights",
       {past, {"layers", 32, kMaxLayers}, llama_hidden, llama_ffn, {"vocab", 32000}},
       kMaxBatch,
       build_llama},
      {"llama-2-7b-block",
       "one layer of LLaMA-2-7B, prefill",
       {{"seq", 512, kMaxContext}, llama_hidden, llama_ffn},
       kMaxBatch,
       build_llama_block},
      {"llama-2-7b-block-decode",
       "one layer of LLaMA-2-7B, one token after a cached past",
       {past, llama_hidden, llama_ffn},
       kMaxBatch,
       build_llama_block},
      {"mobilenet-v3", "MobileNet v3 Large image classifier, 224 x 224, seeded weights", {}, kMaxBatch, build_mobilenet},
      {"resnet18", "ResNet-18 image classifier, 224 x 224, seeded weights", {}, kMaxExtent, build_resnet18},
      {"resnet50", "ResNet-50 v1.5 image classifier, 224 x 224, seeded weights", {}, kMaxExtent, build_resnet50},
      {"swin-t", "Swin-T image classifier, 224 x 224, seeded weights", {}, kMaxBatch, build_swin},
      {"unet", "U-Net, two classes a pixel, seeded weights", {{"size", 256, 4096, 16}}, kMaxBatch, build_unet},
      {"vgg16", "VGG-16 image classifier, 224 x 224, seeded weights", {}, kMaxBatch, build_vgg},
      {"vit-b16", "ViT-B/16 image classifier, 224 x 224, seeded weights", {{"layers", 12, kMaxLayers}}, kMaxBatch, build_vit},
      {"whisper-tiny-encoder",
       "encoder of Whisper tiny, 30 seconds of speech, seeded weights",
       {{"layers", 4, kMaxLayers}, {"frames", 3000, 3000, 2}},
       kMaxBatch,
       build_whisper},
  };
  return table;
}

}  // namespace

const std::vector<ZooEntry>& zoo() {
  static const std::vector<ZooEntry> entries = [] {
    std::vector<ZooEntry> list;
    for (const Model& model : models()) {
      ZooEntry entry{model.name, model.description, {}};
      for (const Parameter& p : model.parameters) entry.parameters.push_back(fmt::format("{}={}", p.name, p.value));
      list.push_back(std::move(entry));
    }
    return list;
  }();
  return entries;
}

Result<graph::Graph> build_zoo_model(const std::string& name, const LoadOptions& options) {
  const auto model = std::find_if(models().begin(), models().end(), [&](const Model& m) { return m.name == name; });
  if (model == models().end()) {
    return fail(FailureKind::usage, "model/unknown", fmt::format("there is no built-in model '{}'", name));
  }
  Failure failure{FailureKind::usage, {}, {}};
  const auto wrong = [&](std::string code, std::string message, std::string hint = {}) {
    failure.diagnostics.push_back({std::move(code), std::move(message), {}, {}, std::move(hint), {}});
  };
  if (!options.shapes.empty())
    wrong("model/unknown-parameter", fmt::format("the sizes of {} are not set by --shape", name), "built-in models have --set and --batch");
  Values values;
  std::vector<std::string> names;
  for (const Parameter& p : model->parameters) {
    values[p.name] = p.value;
    names.emplace_back(p.name);
  }
  for (const auto& chosen : options.set) {
    const std::string& parameter = chosen.first;
    const std::int64_t value = chosen.second;
    const auto p =
        std::find_if(model->parameters.begin(), model->parameters.end(), [&](const Parameter& q) { return q.name == parameter; });
    if (p == model->parameters.end()) {
      const std::string near = nearest_name(parameter, names);
      wrong("model/unknown-parameter", fmt::format("{} has no parameter '{}'", name, parameter),
            near.empty() ? std::string() : fmt::format("did you mean {}?", near));
    } else if (value < p->least || value > p->greatest || value % p->step != 0) {
      wrong("model/parameter-range",
            fmt::format("parameter {} of {} must be {}between {} and {}, not {}", parameter, name,
                        p->step == 1 ? std::string() : fmt::format("a multiple of {} ", p->step), p->least, p->greatest, value));
    } else {
      values[parameter] = value;
    }
  }
  if (model->max_batch == 0 && options.batch > 1) {
    wrong("model/no-batch", fmt::format("{} has no batch", name), fmt::format("its sizes are set by --set {}=N", names.front()));
  } else if (options.batch < 0 || options.batch > std::max<std::int64_t>(1, model->max_batch)) {
    wrong("model/parameter-range",
          fmt::format("the batch must be between 1 and {}, not {}", std::max<std::int64_t>(1, model->max_batch), options.batch));
  }
  if (!failure.diagnostics.empty()) return failure;
  values["batch"] = std::max<std::int64_t>(1, options.batch);
  return model->build(values, options.seed);
}

}  // namespace switchyard::model
