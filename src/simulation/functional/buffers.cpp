#include "simulation/functional/buffers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "simulation/functional/elements.h"
#include "support/check.h"

namespace switchyard::simulation::functional {

using numerics::Tensor;
using program::BufferId;
using program::BufferRole;

std::vector<std::int64_t> buffer_strides(const program::Buffer& buffer) {
  std::vector<std::int64_t> strides(buffer.shape.size(), 1);
  std::int64_t stride = 1;
  for (std::size_t i = buffer.order.size(); i-- > 0;) {
    const auto dimension = static_cast<std::size_t>(buffer.order[i]);
    strides[dimension] = stride;
    SY_CHECK(!__builtin_mul_overflow(stride, buffer.shape[dimension], &stride), "strides of a buffer");
  }
  return strides;
}

namespace {

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
    for (const auto& actor : program.contexts[c].actors) {
      for (const auto* access : {&actor.source, &actor.destination}) {
        if (!*access) continue;
        auto& [first, last] = uses[(*access)->buffer.index()];
        if (first == kNever) first = c;
        last = c;
      }
    }
  }
  for (std::size_t b = 0; b < uses.size(); ++b) {
    if (uses[b].first == kNever) continue;
    store.first_used_[uses[b].first].push_back(static_cast<std::uint32_t>(b));
    store.last_used_[uses[b].second].push_back(static_cast<std::uint32_t>(b));
  }
  return store;
}

void BufferStore::set(BufferId id, Tensor tensor) {
  const program::Buffer& buffer = program_->buffers[id.index()];
  SY_CHECK(tensor.shape == buffer.shape, "values of another shape than buffer " + buffer.name);
  std::vector<std::byte>& bytes = bytes_[id.index()];
  if (tensor.format == buffer.format && is_row_major(buffer)) {
    bytes = std::move(tensor.bytes);
  } else {
    const std::vector<std::int64_t> from = numerics::row_major_strides(buffer.shape), to = buffer_strides(buffer);
    std::vector<CopyLoop> loops;
    for (std::size_t d = 0; d < from.size(); ++d) loops.push_back({buffer.shape[d], from[d], to[d]});
    bytes.resize(static_cast<std::size_t>(numerics::element_count(buffer.shape) * numerics::format_bytes(buffer.format)));
    copy_box(loops.data(), static_cast<int>(loops.size()), tensor.format, tensor.bytes.data(), buffer.format, bytes.data());
  }
  alive_[id.index()] = true;
}

void BufferStore::make(BufferId id) {
  const program::Buffer& buffer = program_->buffers[id.index()];
  if (buffer.role == BufferRole::constant) {
    Tensor values = buffer.constant->make();
    SY_CHECK(values.shape == buffer.shape, "a constant of another shape than buffer " + buffer.name);
    set(id, std::move(values));
  } else if (buffer.role == BufferRole::input) {
    set(id, (*inputs_)[static_cast<std::size_t>(buffer.index)]);
  } else {
    bytes_[id.index()].assign(static_cast<std::size_t>(numerics::element_count(buffer.shape) * numerics::format_bytes(buffer.format)),
                              std::byte{0});
    alive_[id.index()] = true;
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
    std::vector<std::byte>().swap(bytes_[b]);
    alive_[b] = false;
  }
}

Tensor BufferStore::read(BufferId id) const {
  SY_CHECK(id.index() < alive_.size() && alive_[id.index()], "reading a buffer that is not in memory");
  const program::Buffer& buffer = program_->buffers[id.index()];
  Tensor tensor = numerics::make_tensor(buffer.format, buffer.shape);
  const std::vector<std::int64_t> from = buffer_strides(buffer), to = numerics::row_major_strides(buffer.shape);
  std::vector<CopyLoop> loops;
  for (std::size_t d = 0; d < from.size(); ++d) loops.push_back({buffer.shape[d], from[d], to[d]});
  copy_box(loops.data(), static_cast<int>(loops.size()), buffer.format, bytes_[id.index()].data(), buffer.format, tensor.bytes.data());
  return tensor;
}

Tensor BufferStore::take_output(BufferId id) {
  if (!alive_[id.index()]) make(id);
  Tensor tensor = read(id);
  std::vector<std::byte>().swap(bytes_[id.index()]);
  alive_[id.index()] = false;
  return tensor;
}

}  // namespace switchyard::simulation::functional
