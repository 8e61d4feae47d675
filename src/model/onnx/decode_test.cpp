// Any bytes in, a diagnostic out.
#include "model/onnx/decode.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "graph/verify.h"
#include "model/onnx/test_model.h"
#include "model/onnx/values.h"

namespace switchyard::model::onnx {
namespace {

namespace fs = std::filesystem;

Model sample() {
  return test_model(13, {symbolic_info("x", {open("n"), fixed(2), fixed(6), fixed(6)})},
                    {floats("w", {4, 2, 3, 3}, std::vector<float>(72, 0.5F)), floats("b", {4}, {1, 2, 3, 4}), integers("shape", {0, -1})},
                    {node("Conv", {"x", "w", "b"}, {"c"}, {ints_attribute("pads", {1, 1, 1, 1}), int_attribute("group", 1)}, "conv"),
                     node("Relu", {"c"}, {"r"}),
                     node("MaxPool", {"r"}, {"p"}, {ints_attribute("kernel_shape", {2, 2}), ints_attribute("strides", {2, 2})}),
                     node("Shape", {"p"}, {"s"}), node("Constant", {}, {"k"}, {tensor_attribute("value", integers("", {0}))}),
                     node("Gather", {"s", "k"}, {"g"}), node("Concat", {"g", "k"}, {"gk"}, {int_attribute("axis", 0)}),
                     node("Reshape", {"p", "shape"}, {"f"}), node("Softmax", {"f"}, {"y"})},
                    {"y"});
}

LoadOptions batch(std::int64_t n) {
  LoadOptions options;
  options.batch = n;
  return options;
}

TEST(OnnxDecode, RoundTrip) {
  const auto graph = read_model(encode(sample()), batch(2), "m.onnx", {});
  ASSERT_TRUE(graph.ok()) << format_failure(graph.failure());
  EXPECT_TRUE(graph::verify(graph.value()).ok());
  EXPECT_EQ(graph.value().tensor(graph.value().outputs[0]).shape, (numerics::Shape{2, 36}));
}

TEST(OnnxDecode, TypedFieldsArePacked) {
  // INT32 data in varints, a negative one among them, and FLOAT16 codes in int32_data.
  const std::string ints = WireWriter().number(1, 2).number(2, kInt32).number(5, static_cast<std::uint64_t>(-3)).number(5, 7).str();
  auto decoded = decode_tensor(ints, "t");
  ASSERT_TRUE(decoded.ok());
  auto value = value_of(decoded.value(), "t", {});
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(value.value().constant->make().at(0), -3);
  EXPECT_EQ(value.value().constant->make().at(1), 7);
  const std::string halves = WireWriter().number(1, 1).number(2, kFloat16).number(5, 0x3c00).str();
  auto half = value_of(decode_tensor(halves, "t").value(), "t", {});
  ASSERT_TRUE(half.ok());
  EXPECT_EQ(half.value().constant->make().at(0), 1);
}

TEST(OnnxDecode, GarbageIsMalformed) {
  for (const std::string_view text : {"hello, world", "{\"ir_version\": 8}", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"}) {
    const auto m = decode_model(text, "m.onnx");
    ASSERT_FALSE(m.ok());
    EXPECT_EQ(m.failure().kind, FailureKind::malformed);
    EXPECT_EQ(m.failure().diagnostics[0].code, "onnx/malformed");
    EXPECT_EQ(m.failure().diagnostics[0].message, "the file is not an ONNX model: its protobuf encoding is broken");
  }
}

TEST(OnnxDecode, EveryTruncationIsADiagnostic) {
  const std::string bytes = encode(sample());
  int readable = 0;
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    const auto graph = read_model(std::string_view(bytes).substr(0, length), batch(1), "m.onnx", {});
    if (!graph.ok()) {
      EXPECT_FALSE(graph.failure().diagnostics.empty()) << length;
    } else {
      ++readable;
    }
  }
  EXPECT_EQ(readable, 0) << "the operator sets stand at the end";
}

TEST(OnnxDecode, FlippedBytesNeverCrash) {
  const std::string bytes = encode(sample());
  std::uint64_t state = 1;
  int readable = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string broken = bytes;
    const int flips = 1 + round % 3;
    for (int f = 0; f < flips; ++f) {
      state = numerics::mix(state, static_cast<std::uint64_t>(round));
      broken[state % broken.size()] = static_cast<char>(state >> 32);
    }
    const auto graph = read_model(broken, batch(1), "m.onnx", {});
    if (!graph.ok()) {
      EXPECT_FALSE(graph.failure().diagnostics.empty()) << round;
      continue;
    }
    ++readable;
    const auto status = graph::verify(graph.value());
    EXPECT_TRUE(status.ok()) << round << ": " << format_failure(status.failure());
  }
  EXPECT_GT(readable, 100) << "many flips only change weights";
}

TEST(OnnxDecode, DeepNestingIsMalformed) {
  // Graphs in attributes of nodes of graphs ...
  std::string graph;
  for (int depth = 0; depth < 2000; ++depth)
    graph = WireWriter().bytes(1, WireWriter().bytes(5, WireWriter().bytes(6, graph).str()).str()).str();
  const auto m = decode_model(WireWriter().bytes(7, graph).str(), "m.onnx");
  ASSERT_FALSE(m.ok());
  EXPECT_EQ(m.failure().diagnostics[0].code, "onnx/malformed");
}

class ExternalData : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("switchyard_external_" + std::to_string(::getpid()));
    fs::create_directories(folder_ / "model");
    std::ofstream(folder_ / "model" / "w.bin", std::ios::binary) << std::string(8, '\0') + std::string("\0\0\x80\x3f\0\0\0\x40", 8);
    std::ofstream(folder_ / "secret", std::ios::binary) << std::string(8, 'x');
    fs::create_symlink(folder_ / "secret", folder_ / "model" / "link");
  }
  void TearDown() override { fs::remove_all(folder_); }

  Result<Value> load(const std::string& location, const std::string& offset, const std::string& length) {
    TensorData t;
    t.name = "w";
    t.type = kFloat;
    t.dims = {2};
    t.external = true;
    t.external_data = {{"location", location}, {"offset", offset}, {"length", length}};
    return value_of(t, "m.onnx", (folder_ / "model").string());
  }
  fs::path folder_;
};

TEST_F(ExternalData, IsRead) {
  auto value = load("w.bin", "8", "8");
  ASSERT_TRUE(value.ok()) << format_failure(value.failure());
  EXPECT_EQ(value.value().constant->make().at(0), 1);
  EXPECT_EQ(value.value().constant->make().at(1), 2);
}

TEST_F(ExternalData, StaysInsideTheFolder) {
  for (const char* location : {"../secret", "link", "/etc/hostname", "", "absent.bin", "."}) {
    const auto value = load(location, "0", "8");
    ASSERT_FALSE(value.ok()) << location;
    EXPECT_EQ(value.failure().diagnostics[0].code, "onnx/external-data") << location;
  }
  EXPECT_EQ(load("../secret", "0", "8").failure().diagnostics[0].message,
            "tensor w: external location \"../secret\" leaves the model's folder");
}

TEST_F(ExternalData, ChecksItsExtent) {
  EXPECT_EQ(load("w.bin", "12", "8").failure().diagnostics[0].code, "onnx/external-data");
  EXPECT_EQ(load("w.bin", "99", "8").failure().diagnostics[0].code, "onnx/external-data");
  EXPECT_EQ(load("w.bin", "-1", "8").failure().diagnostics[0].code, "onnx/external-data");
  EXPECT_EQ(load("w.bin", "0", "4").failure().diagnostics[0].code, "onnx/initializer-size");
}

}  // namespace
}  // namespace switchyard::model::onnx
