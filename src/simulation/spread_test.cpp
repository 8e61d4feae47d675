// Programs whose tensors stay in scratchpads: halos, replicas, resharding, and what is missing when a message is.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "program/text.h"
#include "program/verify.h"
#include "simulation/execute.h"

namespace switchyard::simulation {
namespace {

using numerics::Format;
using numerics::Tensor;

program::Program parsed(const std::string& text) {
  auto read = program::parse("switchyard program 1\nchip tx81\n" + text, "t.syp");
  if (!read) throw std::runtime_error(format_failure(read.failure()));
  return std::move(read).value();
}

Tensor counted(Format format, numerics::Shape shape) {
  Tensor tensor = numerics::make_tensor(format, std::move(shape));
  for (std::int64_t i = 0; i < tensor.count(); ++i) tensor.set(i, static_cast<double>(i % 97 - 40));
  return tensor;
}

/// As parsed, if it keeps the laws.
program::Program verified(const std::string& text) {
  program::Program program = parsed(text);
  const Status status = program::verify(program);
  if (!status) throw std::runtime_error(format_failure(status.failure()));
  return program;
}

/// Runs on one thread and on more; the bytes must agree.
Tensor run(const program::Program& program, const std::vector<Tensor>& inputs, const ExecuteOptions& options = {}) {
  auto one = execute(program, inputs, options);
  if (!one) throw std::runtime_error(format_failure(one.failure()));
  for (const int threads : {2, 5}) {
    auto more = execute(program, inputs, {threads, {}});
    if (!more) throw std::runtime_error(format_failure(more.failure()));
    EXPECT_EQ(more.value().outputs.at(0).bytes, one.value().outputs.at(0).bytes) << threads << " threads";
  }
  return std::move(one.value().outputs.at(0));
}

void expect_values(const Tensor& got, const std::function<double(std::int64_t)>& wanted) {
  for (std::int64_t i = 0; i < got.count(); ++i) {
    const double value = wanted(i);
    if (std::isnan(value) ? !std::isnan(got.at(i)) : got.at(i) != value) {
      ADD_FAILURE() << "element " << i << " is " << got.at(i) << " instead of " << value;
      return;
    }
  }
}

// ------------------------------------------------------------------------------------------------------------------- halos

/// Four tiles with four rows of A each and one of each neighbour: A = 2 X, halos are exchanged, Y is the sum of three rows of A. `push` is
/// how the exchange goes on, `in_place` is the port of A in the second context.
std::string halo_program(const std::string& format, const std::string& push, const std::string& in_place) {
  return fmt::format(R"(
buffer X input 0 {0}[16, 8] in ddr at 0
buffer Y output 0 {0}[16, 8] in ddr at 4096
buffer A {0}[16, 8] in spm at 65536 spread [4] = 3, 1, 0, 2 part [6, 8] at [4*c0 - 1, 0] pad 16
context produce {{
  array band[b:4] of tile = 3, 1, 0, 2
  move load on band.rdma {{
    loops y:4
    out x {0}[1, 8]
    from X[4*b + y, 0]
  }}
  compute twice on band.ct {{
    loops y:4
    in x {0}[1, 8]
    out a {0}[1, 8] place A[4*b + y, 0]
    out done int8[0] kept y
    dim j = 8
    a[0, j] = x[0, j] + x[0, j]
  }}
  move push on band.dte {{
    {1}
  }}
  channel rows: load.x -> twice.x depth 2 in spm at 131072
  channel placed: twice.done -> push.done depth 1 in spm at 139264
}}
context consume after produce {{
  array band[b:4] of tile = 3, 1, 0, 2
  compute sum on band.ct {{
    {2}
    out y {0}[4, 8]
    dim i = 4
    dim j = 8
    y[i, j] = a[i, j] + a[i + 1, j] + a[i + 2, j]
  }}
  move store on band.wdma {{
    in y {0}[4, 8]
    to Y[4*b, 0]
  }}
  channel sums: sum.y -> store.y depth 1 in spm at 135168
}}
)",
                     format, push, in_place);
}

const char* const kPush = "loops m:2\nin done int8[0] kept m\nfrom A[4*b, 0] extent [4, 8]\nto A[4*b, 0] extent [4, 8] message m";

double rows_summed(const Tensor& x, std::int64_t i) {
  const auto at = [&](std::int64_t flat) { return flat < 0 || flat >= x.count() ? 0.0 : 2 * x.at(flat); };
  return at(i - 8) + at(i) + at(i + 8);
}

TEST(Spread, ExchangesHalosAndFillsWhatLiesOutside) {
  for (const char* format : {"fp32", "bf16", "fp16"}) {
    const std::string port = fmt::format("in a {}[6, 8] place A[4*b - 1, 0]", format);
    const Tensor x = numerics::convert_tensor(counted(Format::fp32, {16, 8}), *numerics::format_named(format));
    expect_values(run(verified(halo_program(format, kPush, port)), {x}), [&](std::int64_t i) { return rows_summed(x, i); });
  }
}

TEST(Spread, ADroppedMessageLeavesWhatNobodyWrote) {
  const std::string port = "in a fp32[6, 8] place A[4*b - 1, 0]";
  std::string only_first = kPush;
  only_first.replace(only_first.find("m:2"), 3, "m:1");
  const Tensor x = counted(Format::fp32, {16, 8});
  // Message 0 goes to the band above, but from the first band to the one below.
  expect_values(run(parsed(halo_program("fp32", only_first, port)), {x}), [&](std::int64_t i) {
    const std::int64_t row = i / 8;
    return row == 8 || row == 12 ? std::nan("") : rows_summed(x, i);
  });
  // Messages beyond the last move nothing.
  std::string more = kPush;
  more.replace(more.find("m:2"), 3, "m:9");
  expect_values(run(verified(halo_program("fp32", more, port)), {x}), [&](std::int64_t i) { return rows_summed(x, i); });
}

TEST(Spread, AHaloTooNarrowShows) {
  std::string text = halo_program("fp32", kPush, "in a fp32[6, 8] place A[4*b - 1, 0]");
  const std::string part = "part [6, 8] at [4*c0 - 1, 0]";
  text.replace(text.find(part), part.size(), "part [5, 8] at [4*c0 - 1, 0]");
  const Tensor x = counted(Format::fp32, {16, 8});
  expect_values(run(parsed(text), {x}), [&](std::int64_t i) {
    const std::int64_t row = i / 8;
    return row % 4 == 3 && row < 15 ? std::nan("") : rows_summed(x, i);
  });
}

TEST(Spread, CopiesThatDifferAreFound) {
  std::string only_first = kPush;
  only_first.replace(only_first.find("m:2"), 3, "m:1");
  const Tensor x = counted(Format::fp32, {16, 8});
  for (const bool whole : {true, false}) {
    const program::Program program =
        parsed(halo_program("fp32", whole ? std::string(kPush) : only_first, "in a fp32[6, 8] place A[4*b - 1, 0]"));
    bool looked = false;
    ExecuteOptions options;
    options.after_context = [&](program::ContextId context, const BufferReader& read) {
      if (context.index() != 0) return;
      looked = true;
      const program::BufferId a(2);
      expect_values(read(a), [&](std::int64_t i) { return 2 * x.at(i); });
      const auto differ = read.copies_differ(a);
      EXPECT_EQ(differ.has_value(), !whole);
      EXPECT_FALSE(read.copies_differ(program::BufferId(1)));
      if (!differ) return;
      EXPECT_EQ(differ->index, (std::vector<std::int64_t>{7, 0}));
      EXPECT_EQ(differ->components, (std::array<std::uint32_t, 2>{1, 0}));
      EXPECT_EQ(differ->values[0], 2 * x.at(56));
      EXPECT_TRUE(std::isnan(differ->values[1]));
    };
    ASSERT_TRUE(execute(program, {x}, options).ok());
    EXPECT_TRUE(looked);
  }
}

// ------------------------------------------------------------------------------------------- reading and writing in place

/// One tile on which A is put; `body` computes B from it.
std::string in_place_program(const std::string& order, const std::string& body, const std::string& unit = "ct") {
  return fmt::format(R"(
buffer X input 0 fp32[6, 10] in ddr at 0
buffer Y output 0 fp32[6, 10] in ddr at 4096
buffer A fp32[6, 10] order {0} in spm at 65536 spread [1] = 5 part [6, 10] at [0, 0]
buffer B fp32[6, 10] order {0} in spm at 69632 spread [1] = 5 part [6, 10] at [0, 0]
context prepare {{
  array one[c:1] of tile = 5
  move load on one.rdma {{
    out x fp32[6, 10]
    from X[0, 0]
  }}
  move put on one.dte {{
    in x fp32[6, 10]
    to A[0, 0]
  }}
  channel rows: load.x -> put.x depth 1 in spm at 131072
}}
context work after prepare {{
  array one[c:1] of tile = 5
  compute work on one.{2} {{
    {1}
  }}
}}
context empty after work {{
  array one[c:1] of tile = 5
  move store on one.wdma {{
    from B[0, 0] extent [6, 10]
    to Y[0, 0] extent [6, 10]
  }}
}}
)",
                     order, body, unit);
}

TEST(Spread, ComputesInPlaceInAnyOrderOfTheDimensions) {
  struct Case {
    const char* body;
    std::function<double(const Tensor&, std::int64_t, std::int64_t)> wanted;
  };
  const auto at = [](const Tensor& x, std::int64_t i, std::int64_t j) { return i < 0 || i > 5 || j < 0 || j > 9 ? 0.0 : x.at(10 * i + j); };
  const std::vector<Case> cases = {
      // whole tokens where they stand
      {"in a fp32[6, 10] place A[0, 0]\nout b fp32[6, 10] place B[0, 0]\ndim i = 6\ndim j = 10\nb[i, j] = a[i, j] * 3",
       [&](const Tensor& x, std::int64_t i, std::int64_t j) { return 3 * at(x, i, j); }},
      // some boxes cross the border, with a fill
      {"loops t:3, u:2\nin a fp32[4, 7] place A[2*t - 1, 5*u - 1] fill 7\nout b fp32[2, 5] place B[2*t, 5*u]\ndim i = 2\ndim j = 5\n"
       "b[i, j] = a[i, j] - a[i + 2, j + 2]",
       [&](const Tensor& x, std::int64_t i, std::int64_t j) {
         const auto or7 = [&](std::int64_t r, std::int64_t c) { return r < 0 || r > 5 || c < 0 || c > 9 ? 7 : at(x, r, c); };
         return or7(i - 1, j - 1) - or7(i + 1, j + 1);
       }},
      // a region narrower than the buffer, and ragged tiles: the last ones are clipped
      {"loops t:2\nin a fp32[4, 10] place A[4*t, 0] region 0:5, 2:8 fill 1\nout b fp32[4, 10] place B[4*t, 0]\n"
       "dim i = 4 of 6 at 4*t\ndim j = 10\nb[i, j] = a[i, j] + 1",
       [&](const Tensor& x, std::int64_t i, std::int64_t j) { return i < 5 && j >= 2 && j < 8 ? at(x, i, j) + 1 : 2; }},
      // a token that is kept while it is read again, and a result that grows over firings
      {"loops r:3\nin a fp32[6, 10] kept r place A[0, 0]\nin k fp32[2, 10] place A[2*r, 0]\nout b fp32[6, 10] kept r place B[0, 0]\n"
       "dim i = 6\ndim j = 10\ndim l = 2\nstate acc fp32[6, 10] kept r in spm at 135168\nacc[i, j] += a[i, j] * k[l, j]\n"
       "for i, j: b[i, j] = acc[i, j] on r[-1:]",
       [&](const Tensor& x, std::int64_t i, std::int64_t j) {
         double sum = 0;
         for (std::int64_t l = 0; l < 6; ++l) sum += at(x, i, j) * at(x, l, j);
         return sum;
       }},
  };
  for (const Case& c : cases) {
    for (const char* order : {"0, 1", "1, 0"}) {
      const Tensor x = counted(Format::fp32, {6, 10});
      SCOPED_TRACE(c.body);
      expect_values(run(verified(in_place_program(order, c.body, std::string(c.body).find("+=") == std::string::npos ? "ct" : "ne")), {x}),
                    [&](std::int64_t i) { return c.wanted(x, i / 10, i % 10); });
    }
  }
}

/// What a port reads is what stood there when it acquired, although the same firing writes to the same elements.
TEST(Spread, ReadsWhatStoodThereBeforeTheFiringWrites) {
  std::string text = in_place_program("0, 1",
                                      "loops t:2\nin a fp32[6, 10] place B[0, 0]\nout b fp32[6, 10] place B[0, 0]\ndim i = 6\ndim j = 10\n"
                                      "b[i, j] = a[5 - i, j] + 1");
  text.replace(text.find("to A[0, 0]"), 10, "to B[0, 0]");
  const Tensor x = counted(Format::fp32, {6, 10});
  expect_values(run(parsed(text), {x}), [&](std::int64_t i) { return x.at(i) + 2; });
}

// --------------------------------------------------------------------------------------------------- replicas, resharding

/// A lies in rows on four tiles, is gathered into B, whole on three tiles (one of them another), and from there into columns C.
TEST(Spread, ReplicatesAndReshards) {
  const std::string text = R"(
buffer X input 0 bf16[8, 12] in ddr at 0
buffer Y output 0 bf16[8, 12] in ddr at 4096
buffer A bf16[8, 12] in spm at 65536 spread [2, 2] = 0, 1, 4, 5 part [2, 12] at [4*c0 + 2*c1, 0]
buffer B bf16[8, 12] order 1, 0 in spm at 66560 spread [3] = 4, 0, 9 part [8, 12] at [0, 0]
buffer C bf16[8, 12] in spm at 69632 spread [3] = 0, 4, 9 part [8, 4] at [0, 4*c0]
context first {
  array four[i:2, j:2] of tile = 0, 1, 4, 5
  move load on four.rdma {
    out x bf16[2, 12]
    from X[4*i + 2*j, 0]
  }
  move put on four.dte {
    in x bf16[2, 12]
    to A[4*i + 2*j, 0]
  }
  channel rows: load.x -> put.x depth 1 in spm at 131072
}
context gather after first {
  array four[i:2, j:2] of tile = 0, 1, 4, 5
  move send on four.dte {
    from A[4*i + 2*j, 0] extent [2, 12]
    to B[4*i + 2*j, 0] extent [2, 12]
  }
}
context columns after gather {
  array three[c:3] of tile = 0, 4, 9
  compute negate on three.ct {
    in b bf16[8, 4] place B[0, 4*c]
    out z bf16[8, 4] place C[0, 4*c]
    dim i = 8
    dim j = 4
    z[i, j] = -b[i, j]
  }
}
context store after columns {
  array three[c:3] of tile = 0, 4, 9
  move store on three.wdma {
    from C[0, 4*c] extent [8, 4]
    to Y[0, 4*c] extent [8, 4]
  }
}
)";
  const program::Program program = verified(text);
  const Tensor x = counted(Format::bf16, {8, 12});
  ExecuteOptions options;
  std::int64_t looked = 0;
  options.after_context = [&](program::ContextId context, const BufferReader& read) {
    if (context.index() != 1) return;
    ++looked;
    for (const std::uint32_t buffer : {2u, 3u}) {
      EXPECT_EQ(read(program::BufferId(buffer)).bytes, x.bytes);
      EXPECT_FALSE(read.copies_differ(program::BufferId(buffer)));
    }
  };
  expect_values(run(program, {x}, options), [&](std::int64_t i) { return -x.at(i); });
  EXPECT_EQ(looked, 1);
}

/// Elements that no part holds do not exist: they read as unwritten, of integers as the one farthest from zero.
TEST(Spread, KnowsUnwrittenElements) {
  for (const char* format : {"fp32", "bf16", "int8", "int32"}) {
    const Format f = *numerics::format_named(format);
    const program::Program program = parsed(fmt::format(R"(
buffer X input 0 {0}[4, 4] in ddr at 0
buffer A {0}[6, 4] in spm at 65536 spread [2] = 0, 1 part [2, 4] at [2*c0 + 1, 0]
context main {{
  array two[c:2] of tile = 0, 1
  move load on two.rdma {{
    out x {0}[1, 4]
    from X[c, 0]
  }}
  move put on two.dte {{
    in x {0}[1, 4]
    to A[2*c + 1, 0]
  }}
  channel rows: load.x -> put.x depth 1 in spm at 131072
}}
)",
                                                        format));
    const Tensor x = counted(f, {4, 4});
    bool looked = false;
    ExecuteOptions options;
    options.after_context = [&](program::ContextId, const BufferReader& read) {
      looked = true;
      const double unwritten = numerics::format_info(f).floating ? std::nan("") : -numerics::format_info(f).max_finite - 1;
      expect_values(read(program::BufferId(1)), [&](std::int64_t i) {
        return i / 4 == 1 ? x.at(i % 4) : i / 4 == 3 ? x.at(4 + i % 4) : unwritten;
      });
    };
    ASSERT_TRUE(execute(program, {x}, options).ok());
    EXPECT_TRUE(looked);
  }
}

/// Weights that the host put into scratchpads: each component has the part it needs.
TEST(Spread, InputsAndOutputsMayLieInScratchpads) {
  const program::Program program = parsed(R"(
buffer X input 0 bf16[6, 4] in spm at 65536 spread [2] = 2, 7 part [4, 4] at [2*c0, 0]
buffer Y output 0 bf16[6, 4] in spm at 69632 spread [2] = 2, 7 part [3, 4] at [3*c0, 0]
context main {
  array two[c:2] of tile = 2, 7
  compute twice on two.ct {
    in x bf16[3, 4] place X[3*c, 0]
    out y bf16[3, 4] place Y[3*c, 0]
    dim i = 3
    dim j = 4
    y[i, j] = x[i, j] + x[i, j]
  }
}
)");
  const Tensor x = counted(Format::fp32, {6, 4});
  expect_values(run(program, {x}), [&](std::int64_t i) { return 2 * x.at(i); });
}

}  // namespace
}  // namespace switchyard::simulation
