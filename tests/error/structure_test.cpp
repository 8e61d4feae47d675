// The exact text of laws that no text of a program can break by one changed word: a good program, changed in memory; and of what only a
// file can have wrong.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "program/text.h"
#include "program/verify.h"
#include "support/file.h"
#include "support/sha256.h"

namespace switchyard::program {
namespace {

Program good() {
  const auto text = read_file(SWITCHYARD_SOURCE_DIR "/examples/programs/ring-gemm-tx81.syp");
  EXPECT_TRUE(text.ok());
  auto read = parse(text.value(), "ring.syp");
  EXPECT_TRUE(read.ok()) << format_failure(read.failure());
  return std::move(read).value();
}

struct Case {
  const char* title;
  std::function<void(Program&)> spoil;
  const char* screen;  ///< all that is printed
};

Context& context(Program& p) { return p.contexts[0]; }
Actor& actor(Program& p, std::string_view name) {
  for (Actor& a : context(p).actors)
    if (a.name == name) return a;
  ADD_FAILURE() << name;
  return context(p).actors[0];
}

const Case kCases[] = {
    {"a context after itself", [](Program& p) { context(p).after = {ContextId(0)}; },
     "error: gemm: a context may only come after contexts before it [program/after]\n"},
    {"an actor on a mover of another component",
     [](Program& p) {
       auto chip = std::make_shared<chip::Chip>(*p.chip);
       chip->movers[actor(p, "load_a").mover.index()].in = chip::ComponentId(0);
       p.chip = chip;
     },
     "error: gemm/load_a: 'rdma' is in no tile [program/engine]\n"
     "error: gemm/load_b: 'rdma' is in no tile [program/engine]\n"},
    {"a box that starts at a variable that is not there",
     [](Program& p) { actor(p, "load_a").source->start[0] = numerics::affine_variable(7); },
     "error: gemm/load_a: the start of a box names a variable that does not exist or leaves 60 bits [program/affine]\n"},
    {"a compute actor with a box", [](Program& p) { actor(p, "mm").source = actor(p, "load_a").source; },
     "error: gemm/mm: a compute actor has no boxes and no route [program/body]\n"},
    {"a mover with two ends and a third", [](Program& p) { actor(p, "send").destination = actor(p, "store_left").destination; },
     "error: gemm/send: a mover has one data input and one data output, at least one of them a port [program/body]\n"},
    {"an expression of what is not read", [](Program& p) { actor(p, "mm").statements[0].reads.pop_back(); },
     "error: gemm/mm/statement 0: the expression uses an operand that is not read [program/body]\n"},
    {"a statement that writes too early", [](Program& p) { actor(p, "mm").statements[1].guard.clear(); },
     "error: gemm/mm/statement 1: the statement writes 'y' in firings in which it gives no token [program/inactive-port]\n"
     "  hint: guard the statement with the last index of each kept loop\n"},
    {"a grid that lists components", [](Program& p) { context(p).arrays[0].dynamic = true; },
     "error: gemm/ring: the chip's sequencer deals no grids [program/grid]\n"
     "  hint: list the components of the array\n"
     "error: gemm/ring: a grid lists no components [program/grid]\n"},
};

TEST(Structure, SaysWhatIsWrong) {
  for (const Case& c : kCases) {
    Program p = good();
    c.spoil(p);
    const Status verified = verify(p);
    ASSERT_FALSE(verified.ok()) << c.title;
    EXPECT_EQ(verified.failure().kind, FailureKind::malformed) << c.title;
    EXPECT_EQ(format_failure(verified.failure()), c.screen) << c.title;
  }
}

TEST(Structure, RefusesDeepExpressions) {
  std::string text = read_file(SWITCHYARD_SOURCE_DIR "/examples/programs/ring-gemm-tx81.syp").value();
  const std::string from = "= acc[i, j] on";
  const std::size_t at = text.find(from);
  ASSERT_NE(at, std::string::npos);
  text.replace(at, from.size(), "= " + std::string(5000, '(') + "acc[i, j]" + std::string(5000, ')') + " on");
  const auto read = parse(text, "ring.syp");
  ASSERT_FALSE(read.ok());
  Diagnostic first = read.failure().diagnostics.at(0);
  first.source_line.clear();  // it is long
  EXPECT_EQ(format_diagnostic(first),
            "ring.syp:43:226: error: this expression is nested too deeply [program/too-deep]\n  hint: name parts of it with let\n");
}

TEST(Structure, RefusesSidecarsThatAreBroken) {
  struct Sidecar {
    std::string header;
    const char* message;
  };
  const std::string data(24, '\0');
  const Sidecar sidecars[] = {
      {R"({"V": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}})", "the sidecar has no tensor 'W' of this format and shape"},
      {R"({"W": {"dtype": "F32", "shape": [3, 2], "data_offsets": [0, 24]}})", "the sidecar has no tensor 'W' of this format and shape"},
      {R"({"W": {"dtype": "F33", "shape": [2, 3], "data_offsets": [0, 24]}})", "the tensor 'W' has an unknown dtype"},
      {R"({"W": {"dtype": "F32", "shape": [2, 4], "data_offsets": [0, 24]}})", "the tensor 'W' has impossible offsets"},
      {R"({"W": {"dtype": "F32", "shape": [2, 3], "data_offsets": [8, 32]}})", "the tensor 'W' has impossible offsets"},
      {R"({"W": {"dtype": "F32", "shape": [2, -3], "data_offsets": [0, 24]}})", "the tensor 'W' has an impossible shape"},
      {R"({"W": {"dtype": "F32", "shape": [2, 3]}})", "the tensor 'W' lacks dtype, shape or data_offsets"},
      {R"({"W": {"dtype": "F32")", "the header is not a JSON object"},
  };
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / ("switchyard-sidecar-" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  const std::string path = (folder / "p.syp").string(), beside = (folder / "p.safetensors").string();
  const auto read_with = [&](const std::string& bytes) {
    EXPECT_TRUE(write_file(beside, bytes).ok());
    EXPECT_TRUE(write_file(path, "switchyard program 1\nsidecar \"p.safetensors\" \"" + sha256_hex(std::string_view(bytes)) +
                                     "\"\nchip tx81\nbuffer W constant fp32[2, 3] in ddr at 0 persistent values\n")
                    .ok());
    return read_program(path);
  };
  const auto with_length = [&](std::uint64_t length, const std::string& header) {
    std::string bytes(8, '\0');
    for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(length >> (8 * i));
    return bytes + header + data;
  };
  for (const Sidecar& sidecar : sidecars) {
    const auto read = read_with(with_length(sidecar.header.size(), sidecar.header));
    ASSERT_FALSE(read.ok()) << sidecar.header;
    EXPECT_EQ(read.failure().kind, FailureKind::malformed);
    EXPECT_EQ(read.failure().diagnostics.at(0).code, "program/sidecar") << sidecar.header;
    EXPECT_EQ(read.failure().diagnostics.at(0).message, sidecar.message) << sidecar.header;
  }
  for (const std::string& bytes : {std::string("short"), with_length(std::uint64_t{1} << 62, "{}"), with_length(1000, "{}")}) {
    const auto read = read_with(bytes);
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.failure().diagnostics.at(0).code, "program/sidecar");
  }
  EXPECT_TRUE(read_with(with_length(65, R"({"W": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}})")).ok());
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace switchyard::program
