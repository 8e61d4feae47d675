#include "fuzz/harness/readers.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "chip/read.h"
#include "compiler/mapping_file.h"
#include "graph/text.h"
#include "graph/verify.h"
#include "model/known_operators.h"
#include "model/llm/llm.h"
#include "model/model.h"
#include "model/onnx/decode.h"
#include "model/onnx/reader.h"
#include "model/onnx/test_model.h"
#include "program/safetensors.h"
#include "program/text.h"
#include "program/verify.h"
#include "report/diff.h"
#include "report/measurement.h"
#include "support/document.h"
#include "support/file.h"
#include "support/quantity.h"

namespace switchyard::fuzz {

namespace {

/// Programs and, for them to name, chips of few words: reading a description takes longer than reading a program.
const std::string kPrograms = SWITCHYARD_SOURCE_DIR "/tests/fuzz/programs";

[[noreturn]] void broken(const char* law, const std::string& detail = {}) {
  std::fprintf(stderr, "broken: %s\n%s\n", law, detail.c_str());
  std::abort();
}

template <class T>
bool judged(const Result<T>& result) {
  if (result.ok()) return true;
  if (result.failure().diagnostics.empty()) broken("a failure has a diagnostic");
  format_failure(result.failure());
  return false;
}

std::string text_of(const std::filesystem::path& path) {
  const auto text = read_file(path.string());
  return text.ok() ? text.value() : std::string();
}

void onnx_model(std::string_view bytes) {
  model::LoadOptions options;
  auto graph = model::onnx::read_model(bytes, options, "fuzz.onnx", {});
  options.batch = 1;  // for those whose batch is open
  if (!judged(graph) && !judged(graph = model::onnx::read_model(bytes, options, "fuzz.onnx", {}))) return;
  if (const Status law = graph::verify(graph.value()); !law.ok()) broken("what is imported verifies", format_failure(law.failure()));
}
void onnx_tensor(std::string_view bytes) { judged(model::parse_tensor(bytes, "fuzz.pb")); }
void onnx_value(std::string_view bytes) {
  using model::onnx::ValueKind;
  for (const ValueKind kind : {ValueKind::tensor, ValueKind::sequence, ValueKind::optional, ValueKind::optional_sequence})
    judged(model::onnx::decode_value(bytes, kind, "fuzz.pb"));
}
void numpy(std::string_view bytes) { judged(model::parse_tensor(bytes, "fuzz.npy")); }
void document(std::string_view bytes) {
  const auto read = parse_document(std::string(bytes), "fuzz.yaml");
  if (judged(read) && !parse_document(print_yaml(read.value().root), "again.yaml").ok()) broken("a document reads back");
}
void chip_file(std::string_view bytes) { judged(chip::parse_chip(std::string(bytes), "fuzz.yaml")); }
void program_text(std::string_view bytes) {
  const auto read = program::parse(std::string(bytes), kPrograms + "/fuzz.syp");
  if (!judged(read)) return;
  judged(program::verify(read.value()));
  if (!program::parse(program::print(read.value()), kPrograms + "/again.syp").ok()) broken("a program reads back");
}
void graph_text(std::string_view bytes) {
  const auto read = graph::parse(std::string(bytes), "fuzz.graph");
  if (!judged(read)) return;
  judged(graph::verify(read.value()));
  if (!graph::parse(graph::print(read.value()), "again.graph").ok()) broken("a graph reads back");
}
void mapping_file(std::string_view bytes) { judged(compiler::MappingFile::parse(std::string(bytes), "fuzz.yaml")); }
void configuration(std::string_view bytes) { judged(model::llm::parse_config(std::string(bytes), "config.json")); }
void constants(std::string_view bytes) {
  const auto read = [&](std::uint64_t offset, std::uint64_t count) {
    if (offset > bytes.size() || count > bytes.size() - offset) broken("only what is there is read");
    return std::string(bytes.substr(offset, count));
  };
  const auto stored = program::parse_safetensors(bytes.size(), read, "fuzz.safetensors");
  if (!judged(stored)) return;
  for (const program::StoredTensor& t : stored.value()) {
    if (t.begin > t.end || t.end > bytes.size()) broken("a tensor lies in its file");
    const auto bytes_needed = static_cast<std::uint64_t>(numerics::element_count(t.shape) * numerics::format_bytes(t.format));
    if (bytes_needed != t.end - t.begin) broken("a tensor has the bytes that its shape needs");
  }
}
void quantity(std::string_view bytes) { (void)parse_quantity(bytes); }
void override_of_a_chip(std::string_view bytes) {
  static const std::string chip = text_of(kPrograms + "/small.yaml");
  const std::size_t equals = std::min(bytes.find('='), bytes.size());
  judged(chip::parse_chip(chip, "chip.yaml",
                          {{std::string(bytes.substr(0, equals)), std::string(bytes.substr(std::min(equals + 1, bytes.size())))}}));
}
void report_file(std::string_view bytes) {
  auto runs = report::parse_runs(std::string(bytes), "fuzz.json");
  if (!judged(runs)) return;
  for (const report::Diff& d : report::pair_runs(runs.value(), runs.value()).diffs)
    if (d.delta().value != 0) broken("a run differs from itself by nothing");
}
void measurements(std::string_view bytes) {
  const auto rows = report::parse_measurements(std::string(bytes), "fuzz.csv");
  if (!judged(rows)) return;
  for (const report::Measurement& row : rows.value()) {
    const auto graph = model::build_operation(report::measured_operation(row));
    if (judged(graph) && !graph::verify(graph.value()).ok()) broken("an operation verifies");
  }
}

// ------------------------------------------------------------------------------------------------------------------ ONNX seeds

using namespace model::onnx;

Attribute graph_attribute(std::string name, GraphBody body) {
  Attribute a;
  a.name = std::move(name);
  a.type = kAttributeGraph;
  a.g = std::make_shared<GraphBody>(std::move(body));
  return a;
}

std::vector<Model> onnx_models() {
  const auto x = value_info("x", {1, 2, 4, 4});
  const auto w = floats("w", {2, 2, 3, 3}, std::vector<float>(36, 0.5F));
  std::vector<Model> models;
  models.push_back(test_model(17, {x}, {w},
                              {node("Conv", {"x", "w"}, {"c"}, {ints_attribute("pads", {1, 1, 1, 1})}), node("Relu", {"c"}, {"r"}),
                               node("MaxPool", {"r"}, {"y"}, {ints_attribute("kernel_shape", {2, 2}), ints_attribute("strides", {2, 2})})},
                              {"y"}));
  models.push_back(test_model(17, {symbolic_info("x", {open("batch"), fixed(6)})}, {floats("m", {6, 3}, std::vector<float>(18, 1))},
                              {node("Shape", {"x"}, {"s"}), node("MatMul", {"x", "m"}, {"p"}), node("Softmax", {"p"}, {"y"})}, {"y"}));
  models.push_back(test_model(17, {value_info("ids", {2, 3}, kInt64)}, {floats("table", {5, 4}, std::vector<float>(20, 2))},
                              {node("Gather", {"table", "ids"}, {"y"})}, {"y"}));
  models.push_back(test_model(13, {x}, {integers("shape", {2, -1}), integers("start", {0}), integers("end", {1}), integers("axis", {0})},
                              {node("Reshape", {"x", "shape"}, {"a"}), node("Slice", {"a", "start", "end", "axis"}, {"b"}),
                               node("Transpose", {"b"}, {"y"}, {ints_attribute("perm", {1, 0})})},
                              {"y"}));
  // A function with a default, a call of it, and a branch on a constant.
  Model functions = test_model(17, {x}, {}, {node("Scaled", {"x"}, {"y"}, {}, "call")}, {"y"});
  functions.nodes[0].domain = "local";
  Function scaled;
  scaled.domain = "local";
  scaled.name = "Scaled";
  scaled.inputs = {"a"};
  scaled.outputs = {"b"};
  scaled.defaults = {float_attribute("alpha", 0.5)};
  scaled.operator_sets = {{"", 17}};
  scaled.nodes = {node("LeakyRelu", {"a"}, {"b"})};
  Attribute alpha = float_attribute("alpha", 0);
  alpha.reference = "alpha";
  scaled.nodes[0].attributes = {alpha};
  functions.functions = {scaled};
  models.push_back(functions);
  GraphBody then, otherwise;
  then.nodes = {node("Relu", {"x"}, {"t"})};
  then.outputs = {output_info("t")};
  otherwise.nodes = {node("Neg", {"x"}, {"t"})};
  otherwise.outputs = {output_info("t")};
  models.push_back(test_model(17, {x}, {tensor_data("c", kBool, {}, std::vector<std::uint8_t>{1})},
                              {node("If", {"c"}, {"y"}, {graph_attribute("then_branch", then), graph_attribute("else_branch", otherwise)})},
                              {"y"}));
  return models;
}

}  // namespace

const std::vector<Reader>& readers() {
  static const std::vector<Reader> table{{"onnx", 2048, onnx_model},           {"tensor", 256, onnx_tensor},
                                         {"value", 256, onnx_value},           {"npy", 256, numpy},
                                         {"document", 512, document},          {"chip", 3072, chip_file},
                                         {"override", 64, override_of_a_chip}, {"program", 2048, program_text},
                                         {"graph", 2048, graph_text},          {"mapping", 1024, mapping_file},
                                         {"quantity", 32, quantity},           {"config", 1024, configuration},
                                         {"safetensors", 512, constants},      {"report", 3072, report_file},
                                         {"measurements", 1024, measurements}};
  return table;
}

const Reader* find_reader(std::string_view name) {
  const auto found = std::find_if(readers().begin(), readers().end(), [&](const Reader& r) { return name == r.name; });
  return found == readers().end() ? nullptr : &*found;
}

std::vector<Seed> seeds() {
  std::vector<Seed> out;
  const auto add = [&](const char* reader, const std::string& bytes) {
    if (!bytes.empty()) out.push_back({find_reader(reader), bytes});
  };
  namespace fs = std::filesystem;
  const auto each = [&](const char* folder, std::string_view extension, auto&& use) {
    std::vector<fs::path> paths;
    std::error_code error;
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(SWITCHYARD_SOURCE_DIR) / folder, error))
      if (entry.path().extension() == extension && entry.file_size() < 20000) paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    for (const fs::path& path : paths) use(text_of(path));
  };
  each("chips", ".yaml", [&](const std::string& text) { add("chip", text), add("document", text); });
  for (const char* name : {"rpu-2x2", "h200", "systolic-is"})  // built on another's description: what programs embed
    if (const auto chip = chip::load_chip(name, {}); chip.ok()) add("chip", chip.value().text);
  for (const char* folder : {"examples", "tests/fuzz/programs"})
    each(folder, ".syp", [&](std::string text) {
      for (const auto& [chip, small] :
           {std::pair{"\nchip tx81\n", "\nchip small\n"}, std::pair{"\nchip h100-sxm\n", "\nchip small-grid\n"}})
        if (const std::size_t at = text.find(chip); at != std::string::npos) text.replace(at, std::string_view(chip).size(), small);
      add("program", text);
    });
  each("tests/fuzz/programs", ".yaml", [&](const std::string& text) { add("chip", text); });
  each("examples", ".yaml", [&](const std::string& text) { add("mapping", text); });
  for (const Model& m : onnx_models()) {
    add("onnx", encode_model(m));
    model::LoadOptions options;
    options.batch = 1;
    if (const auto graph = build_graph(m, options, "seed.onnx", {}); graph.ok()) add("graph", graph::print(graph.value()));
  }
  const std::string tensor = encode_tensor(floats("t", {2, 3}, {1, 2, 3, 4, 5, 6}));
  add("tensor", tensor);
  // A sequence and an optional of that tensor: name, the type of their elements, the tensor as field 3.
  const std::string element = "\x1a" + std::string(1, static_cast<char>(tensor.size())) + tensor;
  add("value", "\x0a\x01s\x10\x01" + element + element);
  add("value", "\x0a\x01o\x10\x01" + element);
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
  header.resize(118, ' ');
  add("npy", std::string("\x93NUMPY\x01\x00v\x00", 10) + header + std::string(24, '\0'));
  each("models", ".json", [&](const std::string& text) { add("config", text), add("document", text); });
  std::string names =
      R"({"__metadata__":{"a":"b"},"w":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"b":{"dtype":"BF16","shape":[],"data_offsets":[8,10]}})";
  add("safetensors", std::string(1, static_cast<char>(names.size())) + std::string(7, '\0') + names + std::string(10, '\1'));
  for (const char* text : {"128 GB/s", "95 %", "1.5 pJ/bit", "4 cycles", "2 MiB"}) add("quantity", text);
  for (const char* text : {"/networks/noc/link=64 GB/s", "/memories/ddr/bandwidth=1 TB/s", "/units/ne/rate/bf16=8 MAC/cycle"})
    add("override", text);
  each("tests/fuzz/seeds", ".json", [&](const std::string& text) { add("report", text); });
  each("tests/fuzz/seeds", ".csv", [&](const std::string& text) { add("measurements", text); });
  return out;
}

std::vector<std::string> words() {
  std::set<std::string> all;
  for (const Seed& seed : seeds()) {
    if (seed.bytes.find('\0') != std::string::npos) continue;
    std::string word;
    for (const char c : seed.bytes + ' ') {
      if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-')
        word += c;
      else if (!word.empty())
        all.insert(std::exchange(word, {}));
    }
  }
  for (const model::OnnxOperator& o : model::onnx_operators()) all.insert(o.name);
  return {all.begin(), all.end()};
}

}  // namespace switchyard::fuzz
