#include "program/text.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "program/instance.h"
#include "program/words.h"
#include "support/file.h"

namespace switchyard::program {
namespace {

const std::string kHead = R"(switchyard program 1
chip {
  chip: tiny
  components:
    chip: {}
    core: {in: chip, array: [2, 2]}
  clocks:
    main: {hz: 1 GHz}
  units:
    vec: {in: core, kind: vector, ops: [map, reduce], clock: main, rate: {fp32: 8 lane/cycle}, accumulate: fp32}
  memories:
    sram: {in: core, kind: scratchpad, bytes: 64 KiB, bandwidth: 64 GB/s}
    ram: {in: chip, kind: dram, bytes: 1 MB, bandwidth: 100 GB/s}
  movers:
    get: {in: core, from: ram, to: sram, startup: 1 us, bandwidth: 10 GB/s}
  networks:
    mesh: {over: core, topology: mesh2d, link: 10 GB/s, hop: 2 ns}
  sequencer: {kind: component_queues, launch: 5 us, issue: 10 ns}
  contexts: {}
  sync: {barrier: {alpha: 1 us}}
  formats: {native: [fp32]}
  sources: {S: a sheet}
}
)";

Program parsed(const std::string& text) {
  auto read = parse(text, "t.syp");
  if (!read) throw std::runtime_error(format_failure(read.failure()));
  return std::move(read).value();
}

/// What follows the chip, whose description is written anew when it is read.
std::string after_chip(const std::string& text) { return text.substr(text.find("\n}\n")); }

std::string actor_text(const std::string& body) {
  return kHead + "\ncontext c {\n    array a[x:2] of core = 0..1\n    compute f on a.vec {\n" + body + "    }\n}\n";
}

/// A body is printed as it was written.
class Verbatim : public testing::TestWithParam<const char*> {};
TEST_P(Verbatim, PrintsAsWritten) {
  const std::string body =
      "      loops n:2, k:3 reduction\n      in p fp32[4, 5]\n      out q fp32[4]\n      dim i = 4 of 9 at 4*x + n - 1\n      dim j = 5\n  "
      "    " +
      std::string(GetParam()) + "\n";
  EXPECT_EQ(after_chip(print(parsed(actor_text(body)))), after_chip(actor_text(body)));
}
INSTANTIATE_TEST_SUITE_P(Statements, Verbatim,
                         testing::Values("q[i] += p[i, j]", "q[i] max= p[i, j] on n[:1], k[-1:]", "for j, i: q[i] += p[i, j]",
                                         "for i: q[i] = p[i, 0] - (p[i, 1] - p[i, 2])",
                                         "for i: q[i] = (p[i, 0] + 1) * (p[i, 1] / p[i, 2]) / (p[i, 0] * -2.5)",
                                         "for i: q[i] = let t0 = p[i, 0] + 1, t1 = exp(t0) in t1 * t0 + t1",
                                         "for i: q[i] = select(less(p[i, 0], 0), neg(3), inf)", "for i: q[i] = p[i - 1, 0 else -1]",
                                         "for i: read p[i, 1], p[i, 1]: q[i] = x0 * x1", "for i: read p[i, 1], p[i, 0]: q[i] = x1 - x0",
                                         "for i, j sequential: q[i] = 1", "for i, j parallel: q[i] += p[i, j]", "for: q[0] = 1e-30"));

TEST(Text, NumbersAndNamesSurvive) {
  EXPECT_EQ(quote_name("conv1"), "conv1");
  EXPECT_EQ(quote_name("layer1.0/conv"), "\"layer1.0/conv\"");
  EXPECT_EQ(quote_name("buffer"), "\"buffer\"");
  EXPECT_EQ(quote_text("a\"b\\c\n"), "\"a\\\"b\\\\c\\x0a\"");
  EXPECT_EQ(print_number(0.1), "0.1");
  const std::string text = kHead + "buffer \"a\\\"b\\\\c\\x0a/d\" fp32[] in ram at 0\n";
  EXPECT_EQ(parsed(text).buffers.at(0).name, "a\"b\\c\n/d");
  EXPECT_EQ(after_chip(print(parsed(text))), after_chip(text));
  EXPECT_EQ(print(parsed(print(parsed(text)))), print(parsed(text)));
}

TEST(Text, SharingOfNodesIsKept) {
  const Program program =
      parsed(actor_text("      out q fp32[1]\n      in p fp32[1]\n      dim i = 1\n      q[i] = let t0 = exp(p[i]) in t0 + t0\n"));
  const auto& nodes = program.contexts[0].actors[0].statements[0].expression.nodes;
  EXPECT_EQ(nodes.size(), 3U);  // one input, one exp, one sum
}

TEST(Text, ProductOfElementsIsAContraction) {
  const Program program = parsed(actor_text(
      "      in p fp32[2, 3]\n      in r fp32[3]\n      out q fp32[2]\n      dim i = 2\n      dim l = 3\n      q[i] += p[i, l] * r[l]\n"));
  const Statement& statement = program.contexts[0].actors[0].statements[0];
  EXPECT_TRUE(statement.is_contraction());
  EXPECT_EQ(statement.kinds, (std::vector{numerics::LoopKind::parallel, numerics::LoopKind::reduction}));
}

TEST(Text, WhatIsSpreadInPlaceOrEarlyIsPrintedAsWritten) {
  const std::string text = kHead + R"(buffer X input 0 fp32[8, 16] in ram at 0
buffer T fp32[8, 16] in sram at 0 spread [2, 2] = 0..3 part [6, 8] at [4*c0 - 1, 8*c1]
buffer U fp32[8, 15] order 1, 0 in sram at 1024 bytes 2000 spread [4] = 3, 2, 1, 0 part [2, 15] at [2*c0, 0] pad 4

context first {
    array a[x:2, y:2] of core = 0..3
    move load on a.get {
      out t fp32[4, 8]
      from X[4*x, 8*y]
    }
    move store on a.get {
      loops m:3
      in t fp32[4, 8] kept m
      out done int8[0] kept m
      to T[4*x, 8*y] region 0:8, 0:12 message m
    }
    compute f on a.vec {
      loops n:4
      in done int8[0] kept n
      in t fp32[1, 8] place T[4*x + n - 1, 8*y] region 1:8, 0:16 fill -1.5
      out u fp32[1, 8] on n[1:] place T[4*x + n, 8*y]
      dim i = 8
      u[0, i] = t[0, i] on n[1:]
    }
    channel c0: load.t -> store.t depth 1 in sram at 4096
    channel c1: store.done -> f.done depth 1 in sram at 8192
}

context second after first early after first {
    array a[x:2, y:2] of core = 0..3
    move push on a.get {
      loops message_number:3
      from T[4*x, 8*y] extent [4, 8]
      to T[4*x, 8*y] extent [4, 8] message message_number
    }
    move load on a.get early {
      out t fp32[8, 16]
      from X[0, 0]
    }
    compute f on a.vec {
      in t fp32[8, 16]
      state s fp32[] in sram at 16384
      s[] = 0
    }
    channel c0: load.t -> f.t depth 1 in sram at 20480
}
)";
  const Program program = parsed(text);
  EXPECT_EQ(after_chip(print(program)), after_chip(text));
  EXPECT_EQ(print(parsed(print(program))), print(program));
  const Buffer& t = program.buffers.at(1);
  ASSERT_TRUE(t.spread);
  EXPECT_EQ(t.bytes, 6 * 8 * 4);
  EXPECT_EQ(t.spread->components, (std::vector<std::uint32_t>{0, 1, 2, 3}));
  EXPECT_EQ(program.buffers.at(2).spread->pad, 4);
  EXPECT_EQ(program.contexts.at(0).actors.at(1).destination->message, 0);
  EXPECT_EQ(program.contexts.at(0).actors.at(2).ports.at(1).place->fill, -1.5);
  EXPECT_EQ(program.contexts.at(1).actors.at(0).source->extent, (std::vector<std::int64_t>{4, 8}));
  EXPECT_TRUE(program.contexts.at(1).actors.at(1).early);
  EXPECT_FALSE(program.contexts.at(1).actors.at(0).early);
  EXPECT_EQ(program.contexts.at(1).early_after, std::vector<ContextId>{ContextId(0)});
}

TEST(Text, MistakesInWhatIsSpreadAreLocated) {
  const std::string good = "buffer T fp32[8] in sram at 0 spread [2] = 0..1 part [4] at [4*c0]\n";
  EXPECT_TRUE(parse(kHead + good, "t.syp").ok());
  for (const auto& [from, to, expected] :
       {std::tuple("part", "parts", "program/syntax"), std::tuple("c0]", "c1]", "program/unknown-name"),
        std::tuple("0..1", "1..0", "program/too-large"), std::tuple("= 0", "0", "program/syntax"),
        std::tuple("4*c0]", "4*c0", "program/syntax"), std::tuple("part [4]", "part [9223372036854775807]", "program/overflow")}) {
    std::string text = good;
    text.replace(text.find(from), std::string(from).size(), to);
    const auto read = parse(kHead + text, "t.syp");
    ASSERT_FALSE(read.ok()) << to;
    EXPECT_EQ(read.failure().diagnostics.at(0).code, expected) << to;
  }
}

TEST(Text, ConstantsGoToASidecar) {
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / ("switchyard-text-" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  Program program = parsed(kHead + "buffer W constant fp32[2, 3] in ram at 0 persistent\nbuffer V constant fp32[4] in ram at 24\n");
  const numerics::Tensor values = numerics::seeded_uniform(1, numerics::Format::fp32, {2, 3}, 1);
  program.buffers[0].constant = numerics::constant_of(values);
  const std::string path = (folder / "p.syp").string();
  ASSERT_TRUE(write_program(program, path).ok());
  {
    const auto back = read_program(path);
    ASSERT_TRUE(back.ok()) << format_failure(back.failure());
    ASSERT_TRUE(back.value().buffers[0].constant);
    EXPECT_EQ(back.value().buffers[0].constant->make().bytes, values.bytes);
    EXPECT_FALSE(back.value().buffers[1].constant);
  }
  // A changed byte is found by the digest; a path out of the folder is refused before anything is opened.
  auto bytes = read_file((folder / "p.safetensors").string());
  ASSERT_TRUE(bytes.ok());
  bytes.value().back() = static_cast<char>(bytes.value().back() ^ 1);
  ASSERT_TRUE(write_file((folder / "p.safetensors").string(), bytes.value()).ok());
  const auto changed = read_program(path);
  ASSERT_FALSE(changed.ok());
  EXPECT_EQ(changed.failure().diagnostics.at(0).code, "program/sidecar-digest");
  auto text = read_file(path);
  ASSERT_TRUE(text.ok());
  const std::size_t at = text.value().find("p.safetensors");
  text.value().replace(at, 13, "../p.safetensors");
  ASSERT_TRUE(write_file(path, text.value()).ok());
  const auto outside = read_program(path);
  ASSERT_FALSE(outside.ok());
  EXPECT_EQ(outside.failure().diagnostics.at(0).code, "program/sidecar-path");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace switchyard::program
