// Mistakes in mapping files: each is found, located and explained.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <span>

#include "chip/read.h"
#include "compiler/compiler.h"
#include "compiler/mapping_file.h"
#include "model/model.h"

namespace switchyard {
namespace {

struct Case {
  std::string text;
  FailureKind kind;
  std::string wanted;
};

std::string outcome(const std::string& text, FailureKind& kind, const std::string& name = "gemm") {
  static const auto chip = std::make_shared<const chip::Chip>(chip::load_chip("tx81", {SWITCHYARD_SOURCE_DIR "/chips"}, {}).value());
  auto file = compiler::MappingFile::parse(text, "m.yaml");
  if (!file) {
    kind = file.failure().kind;
    return format_failure(file.failure());
  }
  model::LoadOptions load;
  if (name == "bert-base") load.set = {{"layers", 1}};
  if (name == "gemm") load.set = {{"m", 1024}, {"n", 1024}, {"k", 1024}};
  compiler::CompileOptions options;
  options.mappings = std::make_shared<const compiler::MappingFile>(std::move(file).value());
  const auto compiled = compiler::compile(model::build_zoo_model(name, load).value(), chip, options);
  if (compiled) return "";
  kind = compiled.failure().kind;
  return format_failure(compiled.failure());
}

void expect_told(std::span<const Case> cases, const std::string& model) {
  for (const Case& c : cases) {
    FailureKind kind = FailureKind::usage;
    const std::string text = outcome(c.text, kind, model);
    EXPECT_NE(text.find(c.wanted), std::string::npos) << c.text << "\n" << text;
    EXPECT_EQ(kind, c.kind) << c.text << "\n" << text;
  }
}

TEST(Mappings, MistakesAreLocatedAndExplained) {
  const FailureKind bad = FailureKind::malformed, no = FailureKind::unsupported;
  const Case cases[] = {
      {"mappings: [{kernel: gemm, split: {n: 4}, tile: {m: 64}, dealt: m, operands: {A: {sharing: ring}}}]", no,
       "'A' goes neither round a ring nor through scratchpads: tiles of 'm' are dealt in turns"},
      {"[]", bad, "a mapping file must be a map with the key 'mappings' [mapping/shape]"},
      {"{}", bad, "a mapping file has a key 'mappings' [mapping/shape]"},
      {"mapings: []", bad, "did you mean 'mappings'?"},
      {"mappings: [gemm]", bad, "m.yaml:1:12: error: an entry of 'mappings' must be a map with the key 'kernel' [mapping/shape]"},
      {"mappings: [{split: {m: 2}}]", bad, "an entry names its 'kernel' [mapping/shape]"},
      {"mappings: [{kernel: gemm, split: 4}]", bad, "'split' must be a map from loops to numbers [mapping/shape]"},
      {"mappings: [{kernel: gemm, splot: {m: 2}}]", bad, "there is no key 'splot' here [mapping/unknown-key]"},
      {"mappings: [{kernel: gemm, split: {m: 0}}]", bad, "'0' is not a whole number from 1 on [mapping/value]"},
      {"mappings: [{kernel: gemm, tile: {m: 99999999999999999999}}]", bad, "[mapping/value]"},
      {"mappings: [{kernel: gemm, operands: {A: {sharing: rnig}}}]", bad, "did you mean 'ring'?"},
      {"mappings: [{kernel: gemm, operands: {A: {resident: 1}}}]", bad, "there is no '1' here [mapping/value]"},
      {"{placement: [0, 1], mappings: []}", bad, "there are 16 tiles, 'placement' names 2 [mapping/value]"},
      {"{placement: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 14], mappings: []}", bad, "tile 14 is taken twice [mapping/value]"},
      {"{placement: [16, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], mappings: []}", bad,
       "m.yaml:1:14: error: tile 16 does not exist"},
      {"{placement: [-1], mappings: []}", bad, "'-1' is not a whole number from 0 on"},
      {"mappings: [{kernel: gem}]", bad, "m.yaml:1:21: error: the model has no kernel 'gem' [mapping/unknown-name]"},
      {"mappings: [{kernel: gemm, nth: 2}]", bad, "the model has no kernel 'gemm'"},
      {"mappings: [{kernel: gemm, tile: {i: 2}}]", bad, "'gemm' has no loop 'i' [mapping/unknown-name]"},
      {"mappings: [{kernel: gemm, order: [x]}]", bad, "'gemm' has no loop 'x' [mapping/unknown-name]"},
      {"mappings: [{kernel: gemm, operands: {D: {depth: 2}}}]", bad, "'gemm' has no tensor 'D' [mapping/unknown-name]"},
      {"mappings: [{kernel: gemm, unit: nf}]", bad, "did you mean 'ne'?"},
      {"mappings: [{kernel: gemm, epilogue: ct}]", bad, "'gemm' has no epilogue on 'ct' [mapping/unknown-name]"},
      {"mappings: [{kernel: gemm, split: {m: 32}}]", no,
       "32 instances along 'm' need more than the 16 components of tx81 [mapping/impossible]"},
      {"mappings: [{kernel: gemm, split: {m: 8, n: 8}}]", no, "64 instances need more than the 16 components"},
      {"mappings: [{kernel: gemm, split: {k: 2}}]", no, "loop 'k' is a reduction: instances do not share it"},
      {"reductions: [gemm]\nmappings: []", bad, "'reductions' must be a map from operators to numbers [mapping/shape]"},
      {"reductions: {gem: 2}\nmappings: []", bad, "m.yaml:1:14: error: the model has no operator 'gem' [mapping/unknown-name]"},
      {"reductions: {gemm: 3}\nmappings: []", bad, "3 parts do not divide the 1024 points of 'k' [mapping/value]"},
      {"reductions: {gemm: 1}\nmappings: []", bad, "1 parts do not divide"},
      {"mappings: [{kernel: gemm, tile: {m: 1, n: 1, k: 1}}]", no, "more than 4194304 tiles an instance"},
      {"mappings: [{kernel: gemm, tile: {m: 64}, trips: {m: 99}}]", no, "loop 'm' has fewer tiles than its trips"},
      {"mappings: [{kernel: gemm, split: {m: 16}, tile: {n: 64, k: 256}, operands: {A: {resident: true, depth: 2}}}]", no,
       "'A' keeps 4 tokens: its depth must not be less"},
      {"mappings: [{kernel: gemm, split: {m: 16}, operands: {A: {sharing: multicast}}}]", no, "nothing of 'A' is needed twice"},
      {"mappings: [{kernel: gemm, split: {m: 16}, operands: {A: {sharing: ring}}}]", no, "there is nothing to share"},
      {"mappings: [{kernel: gemm, split: {m: 4, n: 4}, operands: {A: {sharing: ring}, B: {sharing: ring}}}]", no,
       "operands in rings along different loops"},
      {"mappings: [{kernel: gemm, split: {m: 16}, operands: {C: {sharing: ring}}}]", no, "'C' is not read from off-chip memory"},
      {"mappings: [{kernel: gemm, split: {m: 16}, tile: {n: 64}, operands: {C: {resident: true}}}]", no, "it cannot be resident"},
      {"mappings: [{kernel: gemm, tile: {k: 64}, operands: {A: {depth: 99999999}}}]", no, "a channel has at most 1048576 slots"},
      {"mappings: [{kernel: '*', split: {m: 2}}]", no, "spm of one tile does not suffice"},
  };
  expect_told(cases, "gemm");
}

TEST(Mappings, ContextsAndStreamsMustBePossible) {
  const FailureKind bad = FailureKind::malformed, no = FailureKind::unsupported;
  const Case cases[] = {
      {"contexts: {a: b}\nmappings: []", bad, "'contexts' must be a list of lists of kernels [mapping/shape]"},
      {"merged: {a: b}\nmappings: []", bad, "'merged' must be a list of kernels [mapping/shape]"},
      {"merged: [conv1]\nmappings: []", bad, "m.yaml:1:10: error: no products of one tensor could become 'conv1' [mapping/unknown-name]"},
      {"contexts: [conv1]\nmappings: []", bad, "m.yaml:1:12: error: a context must be a list of kernels [mapping/shape]"},
      {"contexts: [[conv1, maxpol]]\nmappings: []", bad, "m.yaml:1:20: error: the model has no kernel 'maxpol' [mapping/unknown-name]"},
      {"contexts: [[conv1, layer1.0.conv1]]\nmappings: []", bad,
       "m.yaml:1:20: error: 'layer1.0.conv1' does not come right after 'conv1' [mapping/value]"},
      {"contexts: [[conv1, maxpool], [maxpool]]\nmappings: []", bad, "'maxpool' is in a context already [mapping/value]"},
      {"contexts: [[layer1.0.conv1, layer1.0.conv2]]\n"
       "mappings: [{kernel: layer1.0.conv1, split: {oc: 16}, operands: {layer1.0.relu1.out: {in: memory}}}]",
       no,
       "'layer1.0.conv2' cannot be in one context with those before: values between them go through off-chip memory [mapping/impossible]"},
      {"made_for: half the scratchpad\nmappings: []", bad, "less of what, as in 'scratchpads of 1536 KiB"},
      {"made_for: scratchpads of 64 KiB,\nmappings: []", bad, "less of what"},
      {"made_for: scratchpads of 64 GB/s\nmappings: []", bad, "less of what"},
      {"made_for: scratchpads of 1e300 B\nmappings: []", bad, "less of what"},
      {"made_for: 'links of 8 GB/s, scratchpads of 64 KiB'\nmappings: []", bad, "less of what"},
      {"made_for: links of 1 PB/s\nmappings: []", bad, "does not have more than that"},
      {"deep: 3\nmappings: []", bad, "there is no '3' here [mapping/value]"},
      {"mappings: [{kernel: conv1, stream: ix}]", bad, "'conv1' has no loop 'ix' [mapping/unknown-name]"},
      {"mappings: [{kernel: conv1, stream: oh}]", no, "'oh' streams: it must be the outermost loop, of several tiles and no reduction"},
      {"mappings: [{kernel: conv1, dealt: ix}]", bad, "'conv1' has no loop 'ix' [mapping/unknown-name]"},
      {"mappings: [{kernel: conv1, dealt: ic}]", no, "tiles of 'ic' are not dealt in turns: it must be no reduction"},
      {"mappings: [{kernel: conv1, components: [3, 3]}]", bad, "tile 3 is named twice [mapping/value]"},
      {"mappings: [{kernel: conv1, components: [16]}]", bad, "tile 16 is not there to work [mapping/value]"},
      {"mappings: [{kernel: conv1, components: []}]", bad, "'components' names none [mapping/value]"},
      {"mappings: [{kernel: conv1, split: {oh: 4}, components: [3, 5]}]", no, "4 instances along 'oh' need more than the 2 components"},
      {"mappings: [{kernel: conv1, readers: 0}]", bad, "'0' is not a whole number from 1 on [mapping/value]"},
  };
  expect_told(cases, "resnet18");
}

TEST(Mappings, WhatIsHandedOnMustBePossible) {
  const FailureKind bad = FailureKind::malformed, no = FailureKind::unsupported;
  const std::string self = "encoder.layer.0.attention.self.";
  const std::string softmax = self + "softmax", scores = self + "scores";
  const Case cases[] = {
      {"streamed: [softmax]\nmappings: []", bad, "m.yaml:1:12: error: the model has no kernel 'softmax' [mapping/unknown-name]"},
      {"streamed: {a: b}\nmappings: []", bad, "'streamed' must be a list of kernels [mapping/shape]"},
      {fmt::format("streamed: [{}]\nmappings: []", scores), no,
       "scores' does not go over blocks of keys: it is no softmax between two products"},
      {fmt::format("streamed: [{}]\nmappings: [{{kernel: {}, split: {{b1: 4}}}}]", softmax, scores), no,
       "softmax' does not go over blocks of keys: all that lies between its four kernels must be handed on [mapping/impossible]"},
      {fmt::format(
           "mappings:\n  - {{kernel: {0}scores, split: {{b1: 4}}, tile: {{b1: 1, m: 96}}, operands: {{{0}mask.out: {{in: handed}}}}}}\n"
           "  - {{kernel: {0}softmax, split: {{d1: 4}}, tile: {{d1: 1, d2: 48}}, operands: {{{0}mask.out: {{in: handed}}}}}}",
           self),
       no, "mask.out' is not handed on tile by tile by 'encoder.layer.0.attention.self.scores' [mapping/impossible]"},
  };
  expect_told(cases, "bert-base");
}

TEST(Mappings, AllMistakesOfAFileAreListed) {
  FailureKind kind{};
  const std::string text = outcome("mappings:\n  - kernel: gemm\n    splt: {m: 2}\n    tile: {m: x}\n  - {}\n", kind);
  for (const char* wanted : {"m.yaml:3:5", "m.yaml:4:15", "m.yaml:5:5"}) EXPECT_NE(text.find(wanted), std::string::npos) << text;
}

}  // namespace
}  // namespace switchyard
