// Where instances are alike one speaks for all: that must find what looking at every one of them finds.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

#include "program/fold.h"
#include "program/text.h"
#include "program/verify.h"

namespace switchyard::program {
namespace {

constexpr const char* kChip = R"(switchyard program 1
chip {
  chip: long
  components:
    chip: {}
    core: {in: chip, array: [4, 16]}
  clocks:
    main: {hz: 1 GHz}
  units:
    vec: {in: core, kind: vector, ops: [map, reduce], clock: main, rate: {fp32: 8 lane/cycle}, accumulate: fp32}
  memories:
    sram: {in: core, kind: scratchpad, bytes: 64 KiB, bandwidth: 64 GB/s}
    ram: {in: chip, kind: dram, bytes: 1 MB, bandwidth: 100 GB/s}
  movers:
    get: {in: core, from: ram, to: sram, startup: 1 us, bandwidth: 10 GB/s}
    put: {in: core, from: sram, to: ram, startup: 1 us, bandwidth: 10 GB/s}
    pass: {in: core, from: sram, to: sram, network: mesh, startup: 1 us, bandwidth: 10 GB/s, multicast: @}
  networks:
    mesh: {over: core, topology: mesh2d, link: 10 GB/s, hop: 2 ns}
  sequencer: {kind: component_queues, launch: 5 us, issue: 10 ns}
  contexts: {keeps_scratchpads: true}
  sync: {barrier: {alpha: 1 us}}
  formats: {native: [fp32]}
  sources: {S: a sheet}
}
)";

struct Numbers {
  std::int64_t step, part_begin, part, place, rows, update, updated, read, reads, trip, begin, end, cast;
  bool told;
};

/// Rows written in place and sent to other copies, then read in place. `shape`: of the arrays; the second coordinate does nothing.
std::string program_text(const Numbers& n, const std::string& shape) {
  const std::int64_t all = 64 * n.step;
  std::string text = kChip;
  text.replace(text.find('@'), 1, std::to_string(n.cast));
  text += fmt::format("buffer X input 0 fp32[{}, 4] in ram at 0\n", all);
  text += fmt::format("buffer Y output 0 fp32[{}, 4] in ram at 65536\n", 64 * n.reads);
  text += fmt::format("buffer T fp32[{}, 4] in sram at 0 spread [64] = 0..63 part [{}, 4] at [{}*c0 {:+}, 0]\n", all, n.part, n.step,
                      n.part_begin);
  text += fmt::format("context first {{\n  array a[{}] of core = 0..63\n", shape);
  text += fmt::format("  move load on a.get {{\n    out x fp32[{}, 4]\n    from X[{}*c, 0]\n  }}\n", n.rows, n.step);
  text += fmt::format(
      "  compute f on a.vec {{\n    in x fp32[{0}, 4]\n    out t fp32[{0}, 4] place T[{1}*c {2:+}, 0] region {3}:{4}, 0:4\n{5}    dim "
      "i = {0}\n    dim j = 4\n    t[i, j] = x[i, j] + 1\n  }}\n",
      n.rows, n.step, n.place, n.begin, all - n.end, n.told ? "    out done int8[0]\n" : "");
  text += fmt::format(
      "  move push on a.pass {{\n    loops m:{0}\n{4}    from T[{1}*c {2:+}, 0] extent [{3}, 4] region {5}:{6}, 0:4\n    to T[{1}*c "
      "{2:+}, 0] extent [{3}, 4] region {5}:{6}, 0:4 message m\n  }}\n",
      n.trip, n.step, n.update, n.updated, n.told ? "    in done int8[0] kept m\n" : "", n.begin, all - n.end);
  text += "  channel x: load.x -> f.x depth 1 in sram at 16384\n";
  if (n.told) text += "  channel done: f.done -> push.done depth 1 in sram at 32768\n";
  text += fmt::format("}}\ncontext second after first {{\n  array a[{}] of core = 0..63\n", shape);
  text += fmt::format(
      "  compute f on a.vec {{\n    in t fp32[{0}, 4] place T[{1}*c {2:+}, 0] region {3}:{4}, 0:4\n    out y fp32[{0}, 4]\n    dim i = "
      "{0}\n    dim j = 4\n    y[i, j] = t[i, j] * 2\n  }}\n",
      n.reads, n.step, n.read, n.begin, all - n.end);
  text += fmt::format("  move store on a.put {{\n    in y fp32[{0}, 4]\n    to Y[{0}*c, 0]\n  }}\n", n.reads);
  text += "  channel y: f.y -> store.y depth 1 in sram at 16384\n}\n";
  return text;
}

std::string verdict(const std::string& text) {
  const auto read = parse(text, "t.syp");
  EXPECT_TRUE(read.ok()) << (read.ok() ? "" : format_failure(read.failure())) << text;
  if (!read.ok()) return "unreadable";
  const Status verified = verify(read.value());
  return verified.ok() ? "" : format_failure(verified.failure());
}

TEST(Copies, OneSpeaksForThoseThatAreAlike) {
  std::mt19937_64 random(11);
  const auto between = [&](std::int64_t least, std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(least, most)(random);
  };
  int good = 0;
  std::map<std::string, int> bad;
  for (int round = 0; round < 400; ++round) {
    // Right where nothing is drawn: rows of the own band in place, the copies of both sides updated.
    const std::int64_t step = between(2, 4), halo = between(0, 3);
    Numbers n{step, -halo, step + 2 * halo, 0, step, 0, step, -halo, step + 2 * halo, 8, 0, 0, 3, true};
    if (between(0, 2) > 0) {
      std::int64_t* const numbers[] = {&n.part_begin, &n.place, &n.update, &n.read};
      *numbers[between(0, 3)] += between(-1, 1);
      std::int64_t* const sizes[] = {&n.part, &n.rows, &n.updated, &n.reads, &n.trip};
      std::int64_t& size = *sizes[between(0, 4)];
      size = std::max<std::int64_t>(1, size + between(-2, 2));
      if (between(0, 3) == 0) n.begin = between(0, 40);
      if (between(0, 3) == 0) n.end = between(0, 40);
      if (between(0, 3) == 0) n.trip = between(1, 4);
      n.cast = between(1, 3);
      n.told = between(0, 5) > 0;
    }
    const std::string folded = verdict(program_text(n, "c:64"));
    ASSERT_EQ(folded, verdict(program_text(n, "c:64, d:1"))) << program_text(n, "c:64");
    if (folded.empty()) ++good;
    for (const char* code :
         {"program/part", "program/message", "program/mover", "program/double-write", "program/read-before-write", "program/unordered"})
      bad[code] += folded.find(code) != std::string::npos ? 1 : 0;
  }
  EXPECT_GT(good, 100);
  for (const auto& [code, times] : bad) EXPECT_GT(times, 2) << code;
}

TEST(Copies, FewSpeakForMany) {
  const auto read = parse(program_text({4, -1, 6, 0, 4, 0, 4, -1, 6, 2, 0, 0, 3, true}, "c:64"), "t.syp");
  ASSERT_TRUE(read.ok());
  const std::vector<Use> uses = uses_of(read.value(), read.value().contexts[0]);
  ASSERT_EQ(uses.size(), 3u);
  const Fold fold(read.value().buffers[2], std::vector<const Use*>{&uses[0], &uses[1], &uses[2]});
  const std::vector<std::uint32_t> speakers = fold.speakers();
  EXPECT_LT(speakers.size(), 12u);
  EXPECT_EQ(speakers.front(), 0u);
  EXPECT_EQ(speakers.back(), 63u);
  EXPECT_GT(fold.near_speakers(*uses[0].array).size(), speakers.size());
  const Fold::Speaker speaker = fold.speaker_of(30);
  EXPECT_TRUE(std::binary_search(speakers.begin(), speakers.end(), speaker.instance));
  EXPECT_EQ(speaker.shift, (std::vector<std::int64_t>{4 * (30 - static_cast<std::int64_t>(speaker.instance)), 0}));
  EXPECT_EQ(fold.speaker_of(63).instance, 63u);
}

}  // namespace
}  // namespace switchyard::program
