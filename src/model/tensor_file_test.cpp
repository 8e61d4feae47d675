#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "model/model.h"

namespace switchyard::model {
namespace {

namespace fs = std::filesystem;
using numerics::Format;

class TensorFile : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("switchyard_tensor_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path(name), std::ios::binary) << bytes;
    return path(name);
  }
  static std::string npy(const std::string& header, const std::string& data, char version = 1) {
    std::string out = std::string("\x93NUMPY") + version + '\0';
    out += static_cast<char>(header.size() & 0xff);
    out += static_cast<char>(header.size() >> 8);
    if (version > 1) out += std::string(2, '\0');
    return out + header + data;
  }
  fs::path folder_;
};

TEST_F(TensorFile, ProtobufRoundTripsEveryFormat) {
  for (const auto& info : numerics::all_formats()) {
    numerics::Tensor tensor = numerics::make_tensor(info.format, {2, 3});
    for (std::int64_t i = 0; i < 6; ++i) tensor.set(i, static_cast<double>(i % 2));
    ASSERT_TRUE(write_tensor(tensor, "t", path("t.pb")).ok());
    auto back = read_tensor(path("t.pb"));
    ASSERT_TRUE(back.ok()) << info.name << format_failure(back.failure());
    if (info.name.starts_with("fp6_")) {  // the standard has no such type
      EXPECT_EQ(back.value().format, Format::fp32);
      EXPECT_EQ(numerics::convert_tensor(back.value(), info.format).bytes, tensor.bytes);
      continue;
    }
    EXPECT_EQ(back.value().format, tensor.format);
    EXPECT_EQ(back.value().shape, tensor.shape);
    EXPECT_EQ(back.value().bytes, tensor.bytes);
  }
}

TEST_F(TensorFile, NumpyRoundTrips) {
  for (const numerics::Shape& shape : {numerics::Shape{}, numerics::Shape{3}, numerics::Shape{2, 3}, numerics::Shape{1, 2, 3, 1}}) {
    for (const Format format : {Format::fp32, Format::fp16, Format::fp64, Format::int8, Format::uint8, Format::int32, Format::int64,
                                Format::boolean, Format::bf16}) {
      numerics::Tensor tensor = numerics::make_tensor(format, shape);
      for (std::int64_t i = 0; i < tensor.count(); ++i) tensor.set(i, static_cast<double>(i % 2));
      ASSERT_TRUE(write_npy(tensor, path("t.npy")).ok());
      const auto back = read_tensor(path("t.npy"));
      ASSERT_TRUE(back.ok()) << format_failure(back.failure());
      EXPECT_EQ(back.value().shape, shape);
      EXPECT_EQ(back.value().format, format == Format::bf16 ? Format::fp32 : format) << "NumPy has no bf16";
      for (std::int64_t i = 0; i < tensor.count(); ++i) EXPECT_EQ(back.value().at(i), tensor.at(i));
      EXPECT_EQ((fs::file_size(path("t.npy")) - back.value().bytes.size()) % 64, 0u) << "NumPy aligns what it maps";
    }
  }
}

TEST_F(TensorFile, ReadsNumpy) {
  const std::string data("\0\0\x80\x3f\0\0\0\x40", 8);
  for (const char version : {1, 2, 3}) {
    auto t = read_tensor(write("a.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }      \n", data, version)));
    ASSERT_TRUE(t.ok()) << format_failure(t.failure());
    EXPECT_EQ(t.value().format, Format::fp32);
    EXPECT_EQ(t.value().shape, (numerics::Shape{2, 1}));
    EXPECT_EQ(t.value().at(1), 2);
  }
  auto scalar = read_tensor(write("s.npy", npy("{'descr': '|b1', 'fortran_order': False, 'shape': (), }\n", "\1")));
  ASSERT_TRUE(scalar.ok());
  EXPECT_EQ(scalar.value().shape, numerics::Shape{});
  EXPECT_EQ(scalar.value().at(0), 1);
}

TEST_F(TensorFile, RefusesBrokenFiles) {
  const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
  const std::string data(8, '\0');
  const std::pair<std::string, const char*> files[] = {
      {"", "tensor/malformed"},
      {npy(good, data).substr(0, 20), "tensor/malformed"},
      {npy(good, data + "x"), "tensor/malformed"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }", data), "tensor/malformed"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999,99999999999), }", data), "tensor/malformed"},
      {npy("{'descr': '<f4', 'shape': (2,), }", data), "tensor/malformed"},
      {npy("(((", data), "tensor/malformed"},
      {npy("{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }", data), "tensor/unsupported"},
      {npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2,1), }", data), "tensor/unsupported"},
      {npy(good, data, 9), "tensor/unsupported"},
  };
  for (const auto& [bytes, code] : files) {
    const auto t = read_tensor(write("b.npy", bytes));
    ASSERT_FALSE(t.ok()) << bytes;
    EXPECT_EQ(t.failure().diagnostics[0].code, code) << bytes;
  }
  EXPECT_EQ(read_tensor(write("b.pb", "not a tensor")).failure().diagnostics[0].code, "onnx/malformed");
  EXPECT_FALSE(read_tensor(path("absent.pb")).ok());
}

}  // namespace
}  // namespace switchyard::model
