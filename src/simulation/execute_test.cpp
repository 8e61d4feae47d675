#include "simulation/execute.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "program/verify.h"
#include "support/check.h"

namespace switchyard::simulation {
namespace {

using namespace program;
using numerics::Affine;
using numerics::Combiner;
using numerics::Format;
using numerics::LoopKind;
using numerics::ScalarOp;
using numerics::Tensor;

Affine k(std::int64_t value) { return numerics::affine_constant(value); }
Affine v(int variable, std::int64_t coefficient = 1) { return numerics::affine_variable(variable, coefficient); }

constexpr std::int64_t kEnd = IndexRange::kToEnd;
IndexRange first(int loop) { return {loop, 0, 1}; }
IndexRange not_first(int loop) { return {loop, 1, kEnd}; }
IndexRange last(int loop) { return {loop, -1, kEnd}; }
IndexRange not_last(int loop) { return {loop, 0, -1}; }

/// A chip of `tiles` components with a unit for all work, a mover, a scratchpad and a memory outside.
std::shared_ptr<const chip::Chip> make_chip(std::int64_t tiles) {
  auto chip = std::make_shared<chip::Chip>();
  chip->name = "test";
  chip->components = {{"chip", {}, {}, {}, {}}, {"tile", chip::ComponentId(0), {tiles}, {}, {}}};
  chip::Number one;
  one.value = 1;
  chip::Unit engine;
  engine.name = "engine";
  engine.kind = chip::UnitKind::vector;
  engine.in = chip::ComponentId(1);
  engine.ops = {chip::OpClass::contract, chip::OpClass::map, chip::OpClass::reduce};
  for (const Format f : {Format::fp32, Format::bf16, Format::fp16}) engine.rates.push_back({f, Format::fp32, one});
  chip->units = {engine};
  chip::Memory scratch, dram;
  scratch.name = "scratch";
  scratch.in = chip::ComponentId(1);
  scratch.bytes.value = 1 << 20;
  dram.name = "dram";
  dram.in = chip::ComponentId(0);
  dram.kind = chip::MemoryKind::dram;
  dram.bytes.value = 1 << 30;
  chip->memories = {scratch, dram};
  chip::Mover mover;
  mover.name = "dma";
  mover.in = chip::ComponentId(1);
  mover.from = mover.to = {chip::MemoryId(0), chip::MemoryId(1)};
  mover.multicast = 16;
  chip->movers = {mover};
  chip->sequencer.kind = chip::SequencerKind::grid;
  return chip;
}

/// Short ways to say the parts of a program.
struct Builder {
  Program program;
  std::int64_t next = 0;

  explicit Builder(std::int64_t tiles) {
    program.chip = make_chip(tiles);
    program.contexts.emplace_back().name = "main";
  }
  Context& context() { return program.contexts.back(); }

  BufferId buffer(BufferRole role, int index, Format format, numerics::Shape shape, std::vector<int> order = {}) {
    Buffer b;
    b.name = "b" + std::to_string(program.buffers.size());
    b.memory = chip::MemoryId(1);
    b.format = format;
    b.shape = std::move(shape);
    b.order = std::move(order);
    if (b.order.empty()) {
      for (std::size_t i = 0; i < b.shape.size(); ++i) b.order.push_back(static_cast<int>(i));
    }
    b.bytes = numerics::element_count(b.shape) * numerics::format_bytes(format);
    b.offset = next;
    next += b.bytes;
    b.role = role;
    b.index = index;
    program.buffers.push_back(b);
    return BufferId(program.buffers.size() - 1);
  }
  ArrayId array(std::vector<std::int64_t> shape, bool dynamic) {
    Array a;
    a.name = "a" + std::to_string(context().arrays.size());
    a.component = chip::ComponentId(1);
    a.shape = std::move(shape);
    a.dynamic = dynamic;
    if (!dynamic) {
      for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(numerics::element_count(a.shape)); ++i) a.components.push_back(i);
    }
    context().arrays.push_back(a);
    return ArrayId(context().arrays.size() - 1);
  }
  ActorId actor(std::string name, ArrayId array, std::vector<Loop> loops, ActorKind kind) {
    Actor a;
    a.name = std::move(name);
    a.kind = kind;
    a.array = array;
    (kind == ActorKind::move ? a.mover.value : a.unit.value) = 0;
    a.loops = std::move(loops);
    context().actors.push_back(a);
    return ActorId(context().actors.size() - 1);
  }
  Actor& at(ActorId id) { return context().actors[id.index()]; }
  int port(ActorId id, bool input, Token token, std::vector<int> kept = {}, Guard guard = {}) {
    Port p;
    p.name = "p" + std::to_string(at(id).ports.size());
    p.input = input;
    p.token = std::move(token);
    p.kept.assign(at(id).loops.size(), false);
    for (const int loop : kept) p.kept[static_cast<std::size_t>(loop)] = true;
    p.guard = std::move(guard);
    at(id).ports.push_back(p);
    return static_cast<int>(at(id).ports.size()) - 1;
  }
  BufferAccess box(BufferId id, std::vector<Affine> start, double fill = 0) {
    BufferAccess access;
    access.buffer = id;
    access.start = std::move(start);
    for (const std::int64_t extent : program.buffers[id.index()].shape) access.region.push_back({0, extent});
    access.fill = fill;
    return access;
  }
  /// A mover that emits `token` from a box at each index of its loops.
  ActorId load(std::string name, ArrayId array, std::vector<Loop> loops, const Token& token, BufferId id, std::vector<Affine> start,
               double fill = 0) {
    const ActorId a = actor(std::move(name), array, std::move(loops), ActorKind::move);
    port(a, false, token);
    at(a).source = box(id, std::move(start), fill);
    return a;
  }
  ActorId store(std::string name, ArrayId array, std::vector<Loop> loops, const Token& token, BufferId id, std::vector<Affine> start) {
    const ActorId a = actor(std::move(name), array, std::move(loops), ActorKind::move);
    port(a, true, token);
    at(a).destination = box(id, std::move(start));
    return a;
  }
  Channel& channel(Endpoint from, Endpoint to, std::int64_t depth, std::vector<Relation::Coordinate> relation) {
    Channel c;
    c.name = "c" + std::to_string(context().channels.size());
    c.from = from;
    c.to.push_back({to, {}});
    c.depth = depth;
    c.relation.coordinates = std::move(relation);
    c.memory = chip::MemoryId(0);
    c.bytes = depth * at(from.actor).ports[static_cast<std::size_t>(from.port)].token.bytes();
    c.offset = next_scratch;
    next_scratch += c.bytes;
    context().channels.push_back(c);
    return context().channels.back();
  }
  std::vector<Relation::Coordinate> same(ArrayId array) {
    std::vector<Relation::Coordinate> relation;
    for (std::size_t d = 0; d < context().arrays[array.index()].shape.size(); ++d) relation.push_back({v(static_cast<int>(d)), 0});
    return relation;
  }
  int state(ActorId id, Token token, double initial, std::vector<int> kept) {
    State s;
    s.name = "s";
    s.token = std::move(token);
    s.initial = initial;
    s.kept.assign(at(id).loops.size(), false);
    for (const int loop : kept) s.kept[static_cast<std::size_t>(loop)] = true;
    s.memory = chip::MemoryId(0);
    s.bytes = s.token.bytes();
    s.offset = next_scratch;
    next_scratch += s.bytes;
    at(id).states.push_back(s);
    return static_cast<int>(at(id).ports.size() + at(id).states.size()) - 1;
  }
  std::int64_t next_scratch = 0;
};

Loop loop(std::string name, std::int64_t trip) { return {std::move(name), trip, LoopKind::parallel}; }
Token dense(Format format, std::vector<std::int64_t> shape) {
  Token token{format, std::move(shape), {}, 1};
  for (std::size_t i = 0; i < token.shape.size(); ++i) token.order.push_back(static_cast<int>(i));
  return token;
}
numerics::Expression x(int i) { return numerics::expr_input(i); }
Statement copy(std::vector<int> dims, int from, int to, Guard guard) {
  Statement s;
  s.guard = std::move(guard);
  s.kinds.assign(dims.size(), LoopKind::parallel);
  std::vector<Affine> index;
  for (const int d : dims) index.push_back(v(d));
  s.dims = std::move(dims);
  s.reads = {{from, index, {}}};
  s.write = {to, index, {}};
  s.expression = x(0);
  return s;
}

Execution run(const Program& program, const std::vector<Tensor>& inputs, int threads = 1) {
  auto result = execute(program, inputs, {threads, {}});
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.failure().diagnostics[0].message);
  return result.ok() ? std::move(result).value() : Execution{};
}
/// Runs on 1, 2 and 3 threads; the bytes must agree.
Tensor run_everywhere(const Program& program, const std::vector<Tensor>& inputs) {
  const Status verified = verify(program);
  EXPECT_TRUE(verified.ok()) << (verified.ok() ? "" : format_failure(verified.failure()));
  Execution one = run(program, inputs, 1);
  for (const int threads : {2, 3}) {
    const Execution more = run(program, inputs, threads);
    EXPECT_EQ(more.outputs.size(), one.outputs.size());
    for (std::size_t i = 0; i < more.outputs.size(); ++i) EXPECT_EQ(more.outputs[i].bytes, one.outputs[i].bytes) << threads << " threads";
  }
  EXPECT_EQ(one.outputs.size(), 1u);
  return one.outputs.empty() ? Tensor{} : one.outputs[0];
}

// ------------------------------------------------------------------------------------------------------------------- grids

struct GemmCase {
  std::int64_t m, n, k, tile_m, tile_n, tile_k;
  Format in, out;
  std::vector<int> order;
};

Program grid_gemm(const GemmCase& t) {
  Builder b(8);
  const auto tiles = [](std::int64_t total, std::int64_t tile) { return (total + tile - 1) / tile; };
  const BufferId a = b.buffer(BufferRole::input, 0, t.in, {t.m, t.k}, t.order);
  const BufferId w = b.buffer(BufferRole::input, 1, t.in, {t.k, t.n}, t.order);
  const BufferId c = b.buffer(BufferRole::output, 0, t.out, {t.m, t.n}, t.order);
  const ArrayId grid = b.array({tiles(t.m, t.tile_m), tiles(t.n, t.tile_n)}, true);
  const auto kl = loop("k", tiles(t.k, t.tile_k));
  const Token ta = dense(t.in, {t.tile_m, t.tile_k}), tb{t.in, {t.tile_k, t.tile_n}, {1, 0}, 8}, tc = dense(t.out, {t.tile_m, t.tile_n});
  const ActorId la = b.load("load_a", grid, {kl}, ta, a, {v(0, t.tile_m), v(2, t.tile_k)});
  const ActorId lb = b.load("load_b", grid, {kl}, tb, w, {v(2, t.tile_k), v(1, t.tile_n)});
  const ActorId mm = b.actor("mm", grid, {kl}, ActorKind::compute);
  const int pa = b.port(mm, true, ta), pb = b.port(mm, true, tb), pc = b.port(mm, false, tc, {0});
  const int acc = b.state(mm, dense(Format::fp32, {t.tile_m, t.tile_n}), 0, {0});
  b.at(mm).dims = {{"m", t.tile_m, t.m, v(0, t.tile_m)}, {"n", t.tile_n, t.n, v(1, t.tile_n)}, {"k", t.tile_k, t.k, v(2, t.tile_k)}};
  Statement s;
  s.dims = {0, 1, 2};
  s.kinds = {LoopKind::parallel, LoopKind::parallel, LoopKind::reduction};
  s.reads = {{pa, {v(0), v(2)}, {}}, {pb, {v(2), v(1)}, {}}};
  s.expression = numerics::apply(ScalarOp::mul, x(0), x(1));
  s.combiner = Combiner::add;
  s.write = {acc, {v(0), v(1)}, {}};
  b.at(mm).statements = {s, copy({0, 1}, acc, pc, {last(0)})};
  const ActorId st = b.store("store", grid, {}, tc, c, {v(0, t.tile_m), v(1, t.tile_n)});
  b.channel({la, 0}, {mm, pa}, 2, b.same(grid));
  b.channel({lb, 0}, {mm, pb}, 2, b.same(grid));
  b.channel({mm, pc}, {st, 0}, 1, b.same(grid));
  return b.program;
}

TEST(Execute, GridGemmWithRaggedTiles) {
  const std::vector<GemmCase> table = {{16, 16, 16, 8, 8, 8, Format::fp32, Format::fp32, {0, 1}},
                                       {19, 37, 23, 8, 16, 7, Format::bf16, Format::bf16, {0, 1}},
                                       {33, 9, 50, 12, 4, 16, Format::fp16, Format::fp32, {1, 0}},
                                       {5, 70, 3, 8, 32, 8, Format::fp32, Format::bf16, {1, 0}}};
  for (const GemmCase& t : table) {
    const Tensor a = numerics::seeded_uniform(1, Format::fp32, {t.m, t.k}, 3), w = numerics::seeded_uniform(2, t.in, {t.k, t.n}, 1);
    const Tensor got = run_everywhere(grid_gemm(t), {a, w});
    const Tensor ra = numerics::convert_tensor(a, t.in);
    Tensor expected = numerics::make_tensor(t.out, {t.m, t.n});
    for (std::int64_t i = 0; i < t.m; ++i) {
      for (std::int64_t j = 0; j < t.n; ++j) {
        float acc = 0;
        for (std::int64_t l = 0; l < t.k; ++l) {
          acc = std::fma(static_cast<float>(ra.at(i * t.k + l)), static_cast<float>(w.at(l * t.n + j)), acc);
        }
        expected.set(i * t.n + j, static_cast<double>(acc));
      }
    }
    EXPECT_EQ(got.shape, expected.shape);
    EXPECT_EQ(got.bytes, expected.bytes) << t.m << "x" << t.n << "x" << t.k;
  }
}

// ------------------------------------------------------------------------------------------------------------------- rings

/// Each of `tiles` tiles loads one slice and passes it on round the ring; every tile ends with x * (sum of all slices).
Program ring(std::int64_t tiles, std::int64_t width, std::int64_t depth) {
  Builder b(tiles);
  const BufferId in = b.buffer(BufferRole::input, 0, Format::fp32, {tiles, width});
  const BufferId out = b.buffer(BufferRole::output, 0, Format::fp32, {tiles, width});
  const ArrayId array = b.array({tiles}, false);
  const Token token = dense(Format::fp32, {1, width});
  const ActorId ld = b.load("load", array, {}, token, in, {v(0), k(0)});
  const ActorId add = b.actor("add", array, {loop("r", tiles)}, ActorKind::compute);
  const int slice = b.port(add, true, token), pass = b.port(add, false, token, {}, {not_last(0)}), result = b.port(add, false, token, {0});
  const int acc = b.state(add, token, 0, {0});
  b.at(add).dims = {{"i", 1, 1, k(0)}, {"j", width, width, k(0)}};
  Statement s = copy({0, 1}, slice, acc, {});
  s.combiner = Combiner::add;
  b.at(add).statements = {s, copy({0, 1}, slice, pass, {not_last(0)}), copy({0, 1}, acc, result, {last(0)})};
  const ActorId st = b.store("store", array, {}, token, out, {v(0), k(0)});
  b.channel({ld, 0}, {add, slice}, 1, b.same(array)).to[0].domain = first(0);
  b.channel({add, pass}, {add, slice}, depth, {{v(0) + k(-1), tiles}}).to[0].domain = not_first(0);
  b.channel({add, result}, {st, 0}, 1, b.same(array));
  return b.program;
}

TEST(Execute, RingPassesEverySliceToEveryTile) {
  for (const std::int64_t width : {5, 40000}) {  // the wide one is worth threads
    const Tensor in = numerics::seeded_uniform(7, Format::fp32, {4, width}, 8);
    const Tensor got = run_everywhere(ring(4, width, 2), {in});
    for (std::int64_t tile = 0; tile < 4; ++tile) {
      for (std::int64_t j = 0; j<width; j += width> 5 ? 997 : 1) {
        float sum = 0;
        for (std::int64_t r = 0; r < 4; ++r) sum += static_cast<float>(in.at((tile - r + 4) % 4 * width + j));
        EXPECT_EQ(got.at(tile * width + j), static_cast<double>(sum)) << tile << " " << j;
      }
    }
  }
}

// ------------------------------------------------------------------------------------------------------------------ windows

/// Rows of an image, `rows` per tile: out[h] = 1*in[h-1] + 2*in[h] + 4*in[h+1], with rows of the neighbours and padding outside.
Program halo(std::int64_t tiles, std::int64_t rows, std::int64_t width, double pad) {
  Builder b(tiles);
  const BufferId in = b.buffer(BufferRole::input, 0, Format::fp32, {tiles * rows, width});
  const BufferId out = b.buffer(BufferRole::output, 0, Format::fp32, {tiles * rows, width});
  const BufferId taps = b.buffer(BufferRole::constant, -1, Format::fp32, {3});
  Tensor values = numerics::make_tensor(Format::fp32, {3});
  for (std::int64_t i = 0; i < 3; ++i) values.set(i, static_cast<double>(1 << i));
  b.program.buffers[taps.index()].constant = numerics::constant_of(values);
  const ArrayId array = b.array({tiles}, false);
  const Token row = dense(Format::fp32, {1, width}), weights = dense(Format::fp32, {3});
  const ActorId ld = b.load("load", array, {loop("h", rows)}, row, in, {v(0, rows) + v(1), k(0)});
  const ActorId lw = b.load("load_taps", array, {}, weights, taps, {k(0)});
  const ActorId conv = b.actor("conv", array, {loop("h", rows)}, ActorKind::compute);
  const int pi = b.port(conv, true, row), pw = b.port(conv, true, weights, {0}), po = b.port(conv, false, row);
  b.at(conv).ports[static_cast<std::size_t>(pi)].window = Window{0, 3, 1, 1, 1, false, pad};
  b.at(conv).dims = {{"w", width, width, k(0)}, {"t", 3, 3, k(0)}};
  Statement s;
  s.dims = {0, 1};
  s.kinds = {LoopKind::parallel, LoopKind::reduction};
  s.reads = {{pi, {v(1), k(0), v(0)}, {}}, {pw, {v(1)}, {}}};
  s.expression = numerics::apply(ScalarOp::mul, x(0), x(1));
  s.combiner = Combiner::add;
  s.write = {po, {k(0), v(0)}, {}};
  b.at(conv).statements = {s};
  const ActorId st = b.store("store", array, {loop("h", rows)}, row, out, {v(0, rows) + v(1), k(0)});
  b.channel({ld, 0}, {conv, pi}, 4, b.same(array)).to[0].domain = {0, 1, -1};
  {
    Channel& above = b.channel({ld, 0}, {conv, pi}, 1, {{v(0) + k(-1), 0}});
    above.to[0].domain = {0, 0, 1};
    above.from_guard = {last(0)};
  }
  {
    Channel& below = b.channel({ld, 0}, {conv, pi}, 1, {{v(0) + k(1), 0}});
    below.to[0].domain = {0, -1, kEnd};
    below.from_guard = {first(0)};
  }
  b.channel({lw, 0}, {conv, pw}, 1, b.same(array));
  b.channel({conv, po}, {st, 0}, 2, b.same(array));
  return b.program;
}

TEST(Execute, WindowsTakeRowsOfNeighboursAndPadding) {
  for (const std::int64_t rows : {4, 6}) {
    const std::int64_t tiles = 3, width = 9, height = tiles * rows;
    const Tensor in = numerics::seeded_uniform(3, Format::fp32, {height, width}, 4);
    const Tensor got = run_everywhere(halo(tiles, rows, width, -1.5), {in});
    const auto pixel = [&](std::int64_t h, std::int64_t w) { return h < 0 || h >= height ? -1.5 : in.at(h * width + w); };
    for (std::int64_t h = 0; h < height; ++h) {
      for (std::int64_t w = 0; w < width; ++w) {
        EXPECT_EQ(got.at(h * width + w), pixel(h - 1, w) + 2 * pixel(h, w) + 4 * pixel(h + 1, w)) << h << " " << w;
      }
    }
  }
}

/// out[i] = max(in[2i - 1], in[2i], in[2i + 1]) with always-padded ends: peek 3, pop 2.
TEST(Execute, WindowsThatAlwaysPadAndPopTwo) {
  const std::int64_t n = 5, width = 4;
  Builder b(1);
  const BufferId in = b.buffer(BufferRole::input, 0, Format::bf16, {2 * n - 1, width});
  const BufferId out = b.buffer(BufferRole::output, 0, Format::bf16, {n, width});
  const ArrayId array = b.array({1}, false);
  const Token row = dense(Format::bf16, {1, width});
  const ActorId ld = b.load("load", array, {loop("h", 2 * n - 1)}, row, in, {v(1), k(0)});
  const ActorId pool = b.actor("pool", array, {loop("h", n)}, ActorKind::compute);
  const int pi = b.port(pool, true, row), po = b.port(pool, false, row);
  b.at(pool).ports[0].window = Window{0, 3, 2, 1, 1, true, -INFINITY};
  b.at(pool).dims = {{"w", width, width, k(0)}, {"t", 3, 3, k(0)}};
  Statement s;
  s.dims = {0, 1};
  s.kinds = {LoopKind::parallel, LoopKind::reduction};
  s.reads = {{pi, {v(1), k(0), v(0)}, {}}};
  s.expression = x(0);
  s.combiner = Combiner::max;
  s.write = {po, {k(0), v(0)}, {}};
  b.at(pool).statements = {s};
  const ActorId st = b.store("store", array, {loop("h", n)}, row, out, {v(1), k(0)});
  b.channel({ld, 0}, {pool, pi}, 4, b.same(array));
  b.channel({pool, po}, {st, 0}, 1, b.same(array));
  const Tensor x0 = numerics::seeded_uniform(5, Format::bf16, {2 * n - 1, width}, 4);
  const Tensor got = run_everywhere(b.program, {x0});
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t w = 0; w < width; ++w) {
      double greatest = -INFINITY;
      for (std::int64_t t = 2 * i - 1; t <= 2 * i + 1; ++t) {
        if (t >= 0 && t < 2 * n - 1) greatest = std::max(greatest, x0.at(t * width + w));
      }
      EXPECT_EQ(got.at(i * width + w), greatest) << i;
    }
  }
}

// ------------------------------------------------------------------------------------------- residency, multicast, cycles

/// Panels of A stay while r turns: out[r, j] = sum over k of a[k, j] * (r + 1) weights, with B multicast from tile 0.
Program resident(std::int64_t tiles, std::int64_t turns, std::int64_t panels, std::int64_t width) {
  Builder b(tiles);
  const BufferId a = b.buffer(BufferRole::input, 0, Format::fp32, {tiles, panels, width});
  const BufferId w = b.buffer(BufferRole::input, 1, Format::fp32, {turns, panels});
  const BufferId out = b.buffer(BufferRole::output, 0, Format::fp32, {tiles, turns, width});
  const ArrayId array = b.array({tiles}, false), root = b.array({1}, false);
  const Token panel = dense(Format::fp32, {1, 1, width}), weight = dense(Format::fp32, {1, 1});
  const ActorId la = b.load("load_a", array, {loop("k", panels)}, panel, a, {v(0), v(1), k(0)});
  const ActorId lw = b.load("load_w", root, {loop("r", turns), loop("k", panels)}, weight, w, {v(1), v(2)});
  const ActorId mm = b.actor("mm", array, {loop("r", turns), loop("k", panels)}, ActorKind::compute);
  const int pa = b.port(mm, true, panel, {0}), pw = b.port(mm, true, weight), po = b.port(mm, false, panel, {1});
  const int acc = b.state(mm, panel, 0, {1});
  b.at(mm).dims = {{"j", width, width, k(0)}};
  Statement s;
  s.dims = {0};
  s.kinds = {LoopKind::parallel};
  s.reads = {{pa, {k(0), k(0), v(0)}, {}}, {pw, {k(0), k(0)}, {}}};
  s.expression = numerics::apply(ScalarOp::mul, x(0), x(1));
  s.combiner = Combiner::add;
  s.write = {acc, {k(0), k(0), v(0)}, {}};
  Statement out_copy;
  out_copy.guard = {last(1)};
  out_copy.dims = {0};
  out_copy.kinds = {LoopKind::parallel};
  out_copy.reads = {{acc, {k(0), k(0), v(0)}, {}}};
  out_copy.expression = x(0);
  out_copy.write = {po, {k(0), k(0), v(0)}, {}};
  b.at(mm).statements = {s, out_copy};
  const ActorId st = b.store("store", array, {loop("r", turns)}, panel, out, {v(0), v(1), k(0)});
  b.channel({la, 0}, {mm, pa}, panels, b.same(array));
  b.channel({lw, 0}, {mm, pw}, 2, {{k(0), 0}});
  b.channel({mm, po}, {st, 0}, 1, b.same(array));
  return b.program;
}

TEST(Execute, PanelsStayAndWeightsAreMulticast) {
  const std::int64_t tiles = 3, turns = 4, panels = 5, width = 6;
  const Tensor a = numerics::seeded_uniform(1, Format::fp32, {tiles, panels, width}, 2);
  const Tensor w = numerics::seeded_uniform(2, Format::fp32, {turns, panels}, 2);
  const Tensor got = run_everywhere(resident(tiles, turns, panels, width), {a, w});
  for (std::int64_t c = 0; c < tiles; ++c) {
    for (std::int64_t r = 0; r < turns; ++r) {
      for (std::int64_t j = 0; j < width; ++j) {
        float acc = 0;
        for (std::int64_t l = 0; l < panels; ++l) {
          acc = std::fma(static_cast<float>(a.at((c * panels + l) * width + j)), static_cast<float>(w.at(r * panels + l)), acc);
        }
        EXPECT_EQ(got.at((c * turns + r) * width + j), static_cast<double>(acc)) << c << " " << r << " " << j;
      }
    }
  }
}

/// A partial sum cycles through a channel to the actor itself, starting from one initial token.
Program cycle(std::int64_t steps, std::int64_t depth, std::int64_t initial) {
  Builder b(1);
  const BufferId in = b.buffer(BufferRole::input, 0, Format::fp32, {steps});
  const BufferId out = b.buffer(BufferRole::output, 0, Format::fp32, {1});
  const ArrayId array = b.array({1}, false);
  const Token token = dense(Format::fp32, {1});
  const ActorId ld = b.load("load", array, {loop("i", steps)}, token, in, {v(1)});
  const ActorId add = b.actor("add", array, {loop("i", steps)}, ActorKind::compute);
  const int value = b.port(add, true, token), sum = b.port(add, true, token), next = b.port(add, false, token);
  b.at(add).dims = {{"e", 1, 1, k(0)}};
  Statement s;
  s.dims = {0};
  s.kinds = {LoopKind::parallel};
  s.reads = {{value, {v(0)}, {}}, {sum, {v(0)}, {}}};
  s.expression = numerics::apply(ScalarOp::add, x(0), x(1));
  s.write = {next, {v(0)}, {}};
  b.at(add).statements = {s};
  const ActorId st = b.store("store", array, {}, token, out, {k(0)});
  b.channel({ld, 0}, {add, value}, 1, b.same(array));
  {
    Channel& self = b.channel({add, next}, {add, sum}, depth, b.same(array));
    self.initial = initial;
    self.initial_value = 100;
    self.from_guard = {not_last(0)};
  }
  b.channel({add, next}, {st, 0}, 1, b.same(array)).from_guard = {last(0)};
  return b.program;
}

TEST(Execute, InitialTokensStartACycle) {
  Tensor in = numerics::make_tensor(Format::fp32, {6});
  for (std::int64_t i = 0; i < 6; ++i) in.set(i, static_cast<double>(i + 1));
  EXPECT_EQ(run_everywhere(cycle(6, 2, 1), {in}).at(0), 121);
}

// ---------------------------------------------------------------------------------------------------- failures and callback

TEST(Execute, NamesTheActorsOfADeadlock) {
  const Tensor in = numerics::make_tensor(Format::fp32, {6});
  for (const int threads : {1, 2}) {
    const auto result = execute(cycle(6, 1, 1), {in}, {threads, {}});
    ASSERT_FALSE(result.ok());
    const Diagnostic& d = result.failure().diagnostics.at(0);
    EXPECT_EQ(d.code, "simulation/deadlock");
    EXPECT_EQ(d.message,
              "context main cannot go on: actor load instance 0 waits for space at port p0 of channel c0; actor add instance 0 waits for "
              "space at port p2 of channel c1; actor store instance 0 waits for a token at port p0 of channel c2");
  }
}

TEST(Execute, RefusesWrongInputs) {
  const Program program = cycle(6, 2, 1);
  const auto wrong_shape = execute(program, {numerics::make_tensor(Format::fp32, {7})}, {});
  ASSERT_FALSE(wrong_shape.ok());
  EXPECT_EQ(wrong_shape.failure().kind, FailureKind::malformed);
  EXPECT_EQ(wrong_shape.failure().diagnostics.at(0).code, "simulation/input-shape");
  EXPECT_EQ(wrong_shape.failure().diagnostics.at(0).message, "input 0 \"b0\" has shape [7], the program takes [6]");
  const auto too_few = execute(program, {}, {});
  ASSERT_FALSE(too_few.ok());
  EXPECT_EQ(too_few.failure().diagnostics.at(0).message, "the program takes 1 inputs, 0 are given");
}

TEST(Execute, RefusesConstantsWithoutValues) {
  Program program = halo(3, 4, 5, 0);
  for (Buffer& buffer : program.buffers) buffer.constant = nullptr;
  const auto result = execute(program, {numerics::make_tensor(Format::fp32, {12, 5})}, {});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.failure().kind, FailureKind::unsupported);
  EXPECT_EQ(result.failure().diagnostics.at(0).code, "simulation/shape-only");
}

TEST(Execute, RefusesNarrowAccumulation) {
  Program program = ring(2, 3, 2);
  chip::Chip chip = *program.chip;
  chip.units[0].rates[0].accumulate = Format::fp16;
  program.chip = std::make_shared<chip::Chip>(chip);
  const auto result = execute(program, {numerics::make_tensor(Format::fp32, {2, 3})}, {});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.failure().kind, FailureKind::unsupported);
  EXPECT_EQ(result.failure().diagnostics.at(0).code, "simulation/unsupported");
  EXPECT_EQ(result.failure().diagnostics.at(0).message, "actor add computes fp32 in fp16, which the functional engine does not model");
}

TEST(Execute, RefusesFlushingToZero) {
  Program program = ring(2, 3, 2);
  chip::Chip chip = *program.chip;
  chip.name = "flusher";
  chip.formats.subnormals = false;
  program.chip = std::make_shared<chip::Chip>(chip);
  const auto result = execute(program, {numerics::make_tensor(Format::fp32, {2, 3})}, {});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(format_failure(result.failure()),
            "error: flusher flushes subnormal numbers to zero, which the functional engine does not model [simulation/unsupported]\n"
            "  hint: --no-values times it\n");
}

TEST(Execute, LetsTheCallerReadBuffersAfterAContext) {
  const GemmCase t{6, 5, 4, 4, 4, 4, Format::bf16, Format::bf16, {1, 0}};
  const Tensor a = numerics::seeded_uniform(1, Format::fp32, {t.m, t.k}, 3), w = numerics::seeded_uniform(2, Format::fp32, {t.k, t.n}, 1);
  int calls = 0;
  Tensor seen_input, seen_output;
  ExecuteOptions options;
  options.after_context = [&](ContextId context, const BufferReader& read) {
    ++calls;
    EXPECT_EQ(context.index(), 0u);
    seen_input = read(BufferId(0));
    seen_output = read(BufferId(2));
  };
  const auto result = execute(grid_gemm(t), {a, w}, options);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(seen_input.bytes, numerics::convert_tensor(a, Format::bf16).bytes);
  EXPECT_EQ(seen_output.bytes, result.value().outputs.at(0).bytes);
}

}  // namespace
}  // namespace switchyard::simulation
