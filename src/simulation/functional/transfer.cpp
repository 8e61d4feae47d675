#include "simulation/functional/transfer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "simulation/functional/elements.h"

namespace switchyard::simulation::functional {

namespace {

using Starts = std::array<std::int64_t, kMaxBoxRank>;
using Loops = std::array<CopyLoop, kMaxCopyLoops>;

/// A box of indices of bounded rank.
struct Piece {
  std::array<std::array<std::int64_t, 2>, kMaxBoxRank> at;
  bool empty = false;
};

void find_starts(const BoxPlan& plan, std::span<const std::int64_t> variables, Starts& starts) {
  for (std::size_t d = 0; d < plan.start.size(); ++d) starts[d] = plan.start[d].at(variables);
}

/// The part of the box that may be touched.
Piece touched(const BoxPlan& plan, const Starts& starts) {
  Piece piece;
  for (std::size_t d = 0; d < plan.start.size(); ++d) {
    piece.at[d] = {std::max(starts[d], plan.region[d][0]), std::min(starts[d] + plan.extent[d], plan.region[d][1])};
    piece.empty = piece.empty || piece.at[d][1] <= piece.at[d][0];
  }
  return piece;
}

Piece clipped(Piece piece, const program::Box& box) {
  for (std::size_t d = 0; d < box.size(); ++d) {
    piece.at[d] = {std::max(piece.at[d][0], box[d][0]), std::min(piece.at[d][1], box[d][1])};
    piece.empty = piece.empty || piece.at[d][1] <= piece.at[d][0];
  }
  return piece;
}

bool same(const Piece& a, const Piece& b, std::size_t rank) {
  return std::equal(a.at.begin(), a.at.begin() + static_cast<std::ptrdiff_t>(rank), b.at.begin());
}
/// Whether a piece is the whole box.
bool is_whole(const Piece& piece, const BoxPlan& plan, const Starts& starts) {
  for (std::size_t d = 0; d < plan.start.size(); ++d) {
    if (piece.at[d][0] != starts[d] || piece.at[d][1] != starts[d] + plan.extent[d]) return false;
  }
  return !piece.empty;
}

std::byte* element(const Piece& piece, const Ground& ground, numerics::Format format) {
  std::int64_t place = -ground.origin;
  for (std::size_t d = 0; d < ground.strides.size(); ++d) place += piece.at[d][0] * ground.strides[d];
  return ground.data + place * numerics::format_bytes(format);
}
std::byte* element(const Piece& piece, const TokenView& token, const Starts& starts) {
  std::int64_t place = 0;
  for (std::size_t d = 0; d < token.strides.size(); ++d) place += (piece.at[d][0] - starts[d]) * token.strides[d];
  return token.data + place * numerics::format_bytes(token.format);
}

Loops loops_over(const Piece& piece, std::span<const std::int64_t> source, std::span<const std::int64_t> target) {
  Loops loops;
  for (std::size_t d = 0; d < source.size(); ++d) loops[d] = {piece.at[d][1] - piece.at[d][0], source[d], target[d]};
  return loops;
}

/// Sets a piece of a token to what an unwritten element holds.
void blank(const Piece& piece, const TokenView& token, const Starts& starts) {
  constexpr Starts kSame{};
  std::array<std::byte, 8> value;
  fill_unwritten(token.format, value.data(), 1);
  const std::size_t rank = token.strides.size();
  const Loops loops = loops_over(piece, std::span(kSame).first(rank), token.strides);
  copy_box(loops.data(), static_cast<int>(rank), token.format, value.data(), token.format, element(piece, token, starts));
}

void write(const BoxPlan& plan, const Ground& ground, const Piece& piece, const TokenView& token, const Starts& starts) {
  if (piece.empty) return;
  const Loops loops = loops_over(piece, token.strides, ground.strides);
  copy_box(loops.data(), static_cast<int>(ground.strides.size()), token.format, element(piece, token, starts), plan.format,
           element(piece, ground, plan.format));
}

}  // namespace

std::byte* standing(const BoxPlan& plan, const Ground& ground, std::span<const std::int64_t> variables) {
  Starts starts;
  find_starts(plan, variables, starts);
  const Piece piece = clipped(touched(plan, starts), *ground.held);
  return is_whole(piece, plan, starts) ? element(piece, ground, plan.format) : nullptr;
}

void load(const BoxPlan& plan, const Ground& ground, std::span<const std::int64_t> variables, const TokenView& token, std::int64_t elements,
          std::span<const std::int64_t> shift) {
  Starts starts;
  find_starts(plan, variables, starts);
  for (std::size_t d = 0; d < shift.size(); ++d) starts[d] += shift[d];
  const Piece piece = touched(plan, starts);
  if (!is_whole(piece, plan, starts)) fill_elements(token.format, plan.fill, token.data, elements);
  if (piece.empty) return;
  const Piece here = clipped(piece, *ground.held);
  if (!same(here, piece, plan.start.size())) blank(piece, token, starts);
  if (here.empty) return;
  const Loops loops = loops_over(here, ground.strides, token.strides);
  copy_box(loops.data(), static_cast<int>(ground.strides.size()), plan.format, element(here, ground, plan.format), token.format,
           element(here, token, starts));
}

void store(const BoxPlan& plan, const Ground& ground, std::span<const std::int64_t> variables, const TokenView& token) {
  Starts starts;
  find_starts(plan, variables, starts);
  write(plan, ground, clipped(touched(plan, starts), *ground.held), token, starts);
}

void send(const BoxPlan& plan, const program::Program& program, BufferStore& buffers, std::span<const std::int64_t> variables,
          const TokenView& token, std::int64_t number, Messages& messages) {
  Starts starts;
  find_starts(plan, variables, starts);
  const Piece piece = touched(plan, starts);
  if (piece.empty) return;
  const auto* const first = piece.at.data();
  const auto rank = plan.start.size();
  if (!messages.known || !std::equal(messages.box.begin(), messages.box.end(), first, first + rank)) {
    messages.known = true;
    messages.box.assign(first, first + rank);
    messages.list = program::messages(program.buffers[plan.buffer.index()], messages.box, messages.own);
  }
  if (number < 0 || static_cast<std::size_t>(number) >= messages.list.size()) return;
  const program::Message& message = messages.list[static_cast<std::size_t>(number)];
  const Piece cell = clipped(piece, message.box);
  for (const std::uint32_t instance : message.instances) write(plan, buffers.part(plan.buffer, instance), cell, token, starts);
}

}  // namespace switchyard::simulation::functional
