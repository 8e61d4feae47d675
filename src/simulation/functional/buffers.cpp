#include "simulation/functional/buffers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "numerics/packing.h"
#include "program/instance.h"
#include "program/spread.h"
#include "simulation/functional/elements.h"
#include "support/check.h"

namespace switchyard::simulation::functional {

using numerics::Tensor;
using program::BufferId;
using program::BufferRole;

std::vector<std::int64_t> buffer_strides(const program::Buffer& buffer) {
  if (buffer.spread) {
    program::Token part;
    part.format = buffer.format;
    part.shape = buffer.spread->extent;
    part.order = buffer.order;
    part.pad = buffer.spread->pad;
    return part.strides();
  }
  std::vector<std::int64_t> strides(buffer.shape.size(), 1);
  std::int64_t stride = 1;
  for (std::size_t i = buffer.order.size(); i-- > 0;) {
    const auto dimension = static_cast<std::size_t>(buffer.order[i]);
    strides[dimension] = stride;
    SY_CHECK(!__builtin_mul_overflow(stride, buffer.shape[dimension], &stride), "strides of a buffer");
  }
  return strides;
}

void fill_unwritten(numerics::Format format, std::byte* out, std::int64_t count) {
  const numerics::FormatInfo& info = numerics::format_info(format);
  const double value = info.floating ? std::numeric_limits<double>::quiet_NaN() : info.is_signed ? -info.max_finite - 1 : info.max_finite;
  fill_elements(format, value, out, count);
}

namespace {

/// Calls f(tensor offset, elements) for the rows of a box of a row-major tensor.
template <class F>
void each_row(const program::Box& box, const std::vector<std::int64_t>& strides, const F& f) {
  if (program::is_empty(box)) return;
  std::vector<std::int64_t> at;
  for (const auto& interval : box) at.push_back(interval[0]);
  const std::size_t inner = box.empty() ? 0 : box.size() - 1;
  for (;;) {
    std::int64_t offset = 0;
    for (std::size_t d = 0; d < box.size(); ++d) offset += at[d] * strides[d];
    f(offset, box.empty() ? 1 : box[inner][1] - box[inner][0]);
    std::size_t d = inner;
    for (; d-- > 0;) {
      if (++at[d] < box[d][1]) break;
      at[d] = box[d][0];
    }
    if (d == static_cast<std::size_t>(-1)) return;
  }
}

std::vector<CopyLoop> box_loops(const program::Box& box, std::span<const std::int64_t> from, std::span<const std::int64_t> to) {
  std::vector<CopyLoop> loops;
  for (std::size_t d = 0; d < box.size(); ++d) loops.push_back({box[d][1] - box[d][0], from[d], to[d]});
  return loops;
}

std::int64_t place_of(const program::Box& box, std::span<const std::int64_t> strides) {
  std::int64_t place = 0;
  for (std::size_t d = 0; d < box.size(); ++d) place += box[d][0] * strides[d];
  return place;
}

bool is_row_major(const program::Buffer& buffer) { return std::is_sorted(buffer.order.begin(), buffer.order.end()); }

Failure wrong_input(std::string message, const std::string& name) {
  return fail(FailureKind::malformed, Diagnostic{"simulation/input-shape", std::move(message), {}, name, {}, {}});
}

}  // namespace

Result<BufferStore> BufferStore::open(const program::Program& program, const std::vector<Tensor>& inputs) {
  BufferStore store(program, inputs);
  Failure failure;
  int expected = 0;
  for (const program::Buffer& buffer : program.buffers) {
    if (buffer.role == BufferRole::constant && !buffer.constant) {
      failure.kind = FailureKind::unsupported;
      failure.diagnostics.push_back({"simulation/shape-only",
                                     fmt::format("constant \"{}\" has a shape but no values", buffer.name),
                                     {},
                                     buffer.name,
                                     "such a program can be timed, not executed",
                                     {}});
    }
    if (buffer.role == BufferRole::input) expected = std::max(expected, buffer.index + 1);
  }
  if (!failure.diagnostics.empty()) return failure;
  if (inputs.size() != static_cast<std::size_t>(expected)) {
    return wrong_input(fmt::format("the program takes {} inputs, {} are given", expected, inputs.size()), "");
  }
  for (const program::Buffer& buffer : program.buffers) {
    if (buffer.role != BufferRole::input) continue;
    SY_CHECK(buffer.index >= 0, "an input without a number");
    const Tensor& tensor = inputs[static_cast<std::size_t>(buffer.index)];
    const auto bytes = static_cast<std::size_t>(numerics::element_count(buffer.shape) * numerics::format_bytes(tensor.format));
    if (tensor.shape != buffer.shape || tensor.bytes.size() != bytes) {
      failure.diagnostics.push_back({"simulation/input-shape",
                                     fmt::format("input {} \"{}\" has shape [{}], the program takes [{}]", buffer.index, buffer.name,
                                                 fmt::join(tensor.shape, ", "), fmt::join(buffer.shape, ", ")),
                                     {},
                                     buffer.name,
                                     {},
                                     {}});
    }
  }
  if (!failure.diagnostics.empty()) return failure;

  const std::size_t contexts = program.contexts.size();
  store.bytes_.resize(program.buffers.size());
  store.alive_.assign(program.buffers.size(), false);
  store.first_used_.resize(contexts);
  store.last_used_.resize(contexts);
  constexpr auto kNever = static_cast<std::size_t>(-1);
  std::vector<std::pair<std::size_t, std::size_t>> uses(program.buffers.size(), {kNever, kNever});
  for (std::size_t c = 0; c < contexts; ++c) {
    program::for_each_buffer(program.contexts[c], [&](BufferId id, bool) {
      auto& [first, last] = uses[id.index()];
      if (first == kNever) first = c;
      last = c;
    });
  }
  store.strides_.resize(program.buffers.size());
  store.whole_.resize(program.buffers.size());
  store.spread_.resize(program.buffers.size());
  for (std::size_t b = 0; b < program.buffers.size(); ++b) {
    store.strides_[b] = buffer_strides(program.buffers[b]);
    for (const std::int64_t extent : program.buffers[b].shape) store.whole_[b].push_back({0, extent});
    if (program.buffers[b].spread) store.add_spread(b);
  }
  for (std::size_t b = 0; b < uses.size(); ++b) {
    if (uses[b].first == kNever) continue;
    store.first_used_[uses[b].first].push_back(static_cast<std::uint32_t>(b));
    store.last_used_[uses[b].second].push_back(static_cast<std::uint32_t>(b));
  }
  return store;
}

void BufferStore::add_spread(std::size_t b) {
  constexpr std::int64_t kAlignment = 64;
  const program::Buffer& buffer = program_->buffers[b];
  const program::Spread& spread = *buffer.spread;
  program::Array grid;
  grid.shape = spread.shape;
  Parts& parts = spread_[b];
  // Here every element has whole bytes.
  const std::int64_t whole = program::part_bytes(buffer) * 8 / numerics::stored_bits(buffer.format) * numerics::format_bytes(buffer.format);
  SY_CHECK(!__builtin_add_overflow(whole, kAlignment - 1, &parts.bytes), "bytes of a part");
  parts.bytes = parts.bytes / kAlignment * kAlignment;
  parts.none.assign(buffer.shape.size(), {0, 0});
  for (std::uint32_t i = 0; i < program::part_count(spread); ++i) {
    parts.held.push_back(program::part_of(buffer, i));
    // What is clipped away keeps its room: all parts lie alike.
    std::int64_t origin = 0;
    const std::vector<std::int64_t> at = program::coordinates(grid, i);
    for (std::size_t d = 0; d < spread.start.size(); ++d) origin += spread.start[d].at(at) * strides_[b][d];
    parts.origin.push_back(origin);
  }
}

Ground BufferStore::part(BufferId id, std::size_t instance) {
  const Parts& parts = spread_[id.index()];
  return {parts.storage.get() + static_cast<std::int64_t>(instance) * parts.bytes, parts.origin[instance], strides_[id.index()],
          &parts.held[instance]};
}

Ground BufferStore::ground(BufferId id, std::uint32_t component) {
  const program::Buffer& buffer = program_->buffers[id.index()];
  SY_CHECK(alive_[id.index()], "using a buffer that is not in memory");
  if (!buffer.spread) return {bytes_[id.index()].data(), 0, strides_[id.index()], &whole_[id.index()]};
  const auto instance = program::instance_on(*buffer.spread, component);
  if (!instance) return {nullptr, 0, strides_[id.index()], &spread_[id.index()].none};
  return part(id, *instance);
}

void BufferStore::set(BufferId id, Tensor tensor) {
  const program::Buffer& buffer = program_->buffers[id.index()];
  SY_CHECK(tensor.shape == buffer.shape, "values of another shape than buffer " + buffer.name);
  std::vector<std::byte>& bytes = bytes_[id.index()];
  if (buffer.spread) {
    const std::vector<std::int64_t> from = numerics::row_major_strides(buffer.shape);
    for (std::size_t i = 0; i < spread_[id.index()].held.size(); ++i) {
      const Ground ground = part(id, i);
      if (program::is_empty(*ground.held)) continue;
      const std::vector<CopyLoop> loops = box_loops(*ground.held, from, ground.strides);
      copy_box(loops.data(), static_cast<int>(loops.size()), tensor.format,
               tensor.bytes.data() + place_of(*ground.held, from) * numerics::format_bytes(tensor.format), buffer.format,
               ground.data + (place_of(*ground.held, ground.strides) - ground.origin) * numerics::format_bytes(buffer.format));
    }
    return;
  }
  if (tensor.format == buffer.format && is_row_major(buffer)) {
    bytes = std::move(tensor.bytes);
  } else {
    const std::vector<std::int64_t> from = numerics::row_major_strides(buffer.shape), to = buffer_strides(buffer);
    std::vector<CopyLoop> loops;
    for (std::size_t d = 0; d < from.size(); ++d) loops.push_back({buffer.shape[d], from[d], to[d]});
    bytes.resize(static_cast<std::size_t>(numerics::element_count(buffer.shape) * numerics::format_bytes(buffer.format)));
    copy_box(loops.data(), static_cast<int>(loops.size()), tensor.format, tensor.bytes.data(), buffer.format, bytes.data());
  }
}

void BufferStore::make(BufferId id) {
  const program::Buffer& buffer = program_->buffers[id.index()];
  alive_[id.index()] = true;
  if (buffer.spread) {
    Parts& parts = spread_[id.index()];
    std::int64_t bytes = 0;
    SY_CHECK(!__builtin_mul_overflow(parts.bytes, static_cast<std::int64_t>(parts.held.size()), &bytes), "bytes of all parts");
    parts.storage = std::make_unique_for_overwrite<std::byte[]>(static_cast<std::size_t>(bytes));
    fill_unwritten(buffer.format, parts.storage.get(), bytes / numerics::format_bytes(buffer.format));
  }
  if (buffer.role == BufferRole::constant) {
    Tensor values = buffer.constant->make();
    SY_CHECK(values.shape == buffer.shape, "a constant of another shape than buffer " + buffer.name);
    set(id, std::move(values));
  } else if (buffer.role == BufferRole::input) {
    set(id, (*inputs_)[static_cast<std::size_t>(buffer.index)]);
  } else if (!buffer.spread) {
    bytes_[id.index()].assign(static_cast<std::size_t>(numerics::element_count(buffer.shape) * numerics::format_bytes(buffer.format)),
                              std::byte{0});
  }
}

void BufferStore::begin_context(std::size_t context) {
  for (const std::uint32_t b : first_used_[context]) {
    if (!alive_[b]) make(BufferId(b));
  }
}

void BufferStore::end_context(std::size_t context) {
  for (const std::uint32_t b : last_used_[context]) {
    if (program_->buffers[b].role == BufferRole::output) continue;
    release(BufferId(b));
  }
}

void BufferStore::release(BufferId id) {
  std::vector<std::byte>().swap(bytes_[id.index()]);
  spread_[id.index()].storage.reset();
  alive_[id.index()] = false;
}

Tensor BufferStore::read(BufferId id) const {
  SY_CHECK(id.index() < alive_.size() && alive_[id.index()], "reading a buffer that is not in memory");
  const program::Buffer& buffer = program_->buffers[id.index()];
  Tensor tensor = numerics::make_tensor(buffer.format, buffer.shape);
  const std::vector<std::int64_t>& from = strides_[id.index()];
  const std::vector<std::int64_t> to = numerics::row_major_strides(buffer.shape);
  if (buffer.spread) {
    fill_unwritten(buffer.format, tensor.bytes.data(), tensor.count());  // elements that no part holds
    for (std::size_t i = spread_[id.index()].held.size(); i-- > 0;) gather(id, i, tensor);
    return tensor;
  }
  const std::vector<CopyLoop> loops = box_loops(whole_[id.index()], from, to);
  copy_box(loops.data(), static_cast<int>(loops.size()), buffer.format, bytes_[id.index()].data(), buffer.format, tensor.bytes.data());
  return tensor;
}

void BufferStore::gather(BufferId id, std::size_t instance, Tensor& tensor) const {
  const Parts& parts = spread_[id.index()];
  const program::Box& held = parts.held[instance];
  if (program::is_empty(held)) return;
  const std::vector<std::int64_t>& from = strides_[id.index()];
  const std::vector<std::int64_t> to = numerics::row_major_strides(tensor.shape);
  const std::vector<CopyLoop> loops = box_loops(held, from, to);
  const int bytes = numerics::format_bytes(tensor.format);
  copy_box(
      loops.data(), static_cast<int>(loops.size()), tensor.format,
      parts.storage.get() + static_cast<std::int64_t>(instance) * parts.bytes + (place_of(held, from) - parts.origin[instance]) * bytes,
      tensor.format, tensor.bytes.data() + place_of(held, to) * bytes);
}

std::optional<CopiesDiffer> BufferStore::copies_differ(BufferId id) const {
  const program::Buffer& buffer = program_->buffers[id.index()];
  if (!buffer.spread) return std::nullopt;
  const std::vector<program::Box>& held = spread_[id.index()].held;
  const std::vector<std::int64_t> strides = numerics::row_major_strides(buffer.shape);
  const int bytes = numerics::format_bytes(buffer.format);
  const Tensor first = read(id);
  Tensor other = numerics::make_tensor(buffer.format, buffer.shape);
  for (std::size_t i = 1; i < held.size(); ++i) {
    gather(id, i, other);
    std::optional<std::int64_t> flat;
    each_row(held[i], strides, [&](std::int64_t offset, std::int64_t count) {
      const std::byte* a = first.bytes.data() + offset * bytes;
      const std::byte* b = other.bytes.data() + offset * bytes;
      if (flat || std::memcmp(a, b, static_cast<std::size_t>(count * bytes)) == 0) return;
      const auto differs = std::mismatch(a, a + count * bytes, b).first - a;
      flat = offset + differs / bytes;
    });
    if (!flat) continue;
    CopiesDiffer result;
    result.buffer = id;
    for (std::size_t d = 0; d < strides.size(); ++d) result.index.push_back(*flat / strides[d] % buffer.shape[d]);
    const auto holds = [&](const program::Box& box) {
      for (std::size_t d = 0; d < box.size(); ++d)
        if (result.index[d] < box[d][0] || result.index[d] >= box[d][1]) return false;
      return true;
    };
    const auto owner = static_cast<std::size_t>(std::find_if(held.begin(), held.end(), holds) - held.begin());
    result.components = {buffer.spread->components[owner], buffer.spread->components[i]};
    result.values = {first.at(*flat), other.at(*flat)};
    return result;
  }
  return std::nullopt;
}

Tensor BufferStore::take_output(BufferId id) {
  if (!alive_[id.index()]) make(id);
  Tensor tensor = read(id);
  release(id);
  return tensor;
}

}  // namespace switchyard::simulation::functional
