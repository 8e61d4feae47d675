// Copies between tokens and boxes of buffers: with fill outside what may be touched, and in messages to every copy of a spread buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "program/spread.h"
#include "simulation/functional/buffers.h"
#include "simulation/functional/plan.h"

namespace switchyard::simulation::functional {

/// A box of elements somewhere in memory.
struct TokenView {
  std::byte* data = nullptr;
  numerics::Format format = numerics::Format::fp32;
  std::span<const std::int64_t> strides;
};

/// The first element of the box where it stands, if it lies wholly inside what may be touched and what is held here; else null.
std::byte* standing(const BoxPlan& plan, const Ground& ground, std::span<const std::int64_t> variables);

/// Fills a token (`elements`, padding counted) with its box: `fill` outside the region, inside what nobody wrote where nothing is held.
/// `shift`, per dimension where it is not empty, is added to where the box starts.
void load(const BoxPlan& plan, const Ground& ground, std::span<const std::int64_t> variables, const TokenView& token, std::int64_t elements,
          std::span<const std::int64_t> shift = {});

/// Writes a token to its box, as far as it may be touched and is held here.
void store(const BoxPlan& plan, const Ground& ground, std::span<const std::int64_t> variables, const TokenView& token);

/// The messages of one mover: those of the box it stored last are remembered, for the next firings usually send the rest of them.
struct Messages {
  bool known = false;
  program::Box box;
  std::vector<program::Message> list;
  std::optional<std::uint32_t> own;  ///< an instance that needs nothing
};
/// Writes message `number` of a token's box to every part it is for; nothing beyond the last message.
void send(const BoxPlan& plan, const program::Program& program, BufferStore& buffers, std::span<const std::int64_t> variables,
          const TokenView& token, std::int64_t number, Messages& messages);

}  // namespace switchyard::simulation::functional
