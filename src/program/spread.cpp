#include "program/spread.h"

#include <algorithm>

#include "support/check.h"

namespace switchyard::program {

namespace {

std::vector<std::int64_t> coordinates_of(const Spread& spread, std::uint32_t instance) {
  std::vector<std::int64_t> result(spread.shape.size(), 0);
  std::int64_t rest = instance;
  for (std::size_t d = spread.shape.size(); d-- > 0;) {
    result[d] = rest % spread.shape[d];
    rest /= spread.shape[d];
  }
  return result;
}

}  // namespace

std::int64_t part_count(const Spread& spread) { return static_cast<std::int64_t>(spread.components.size()); }

std::int64_t part_bytes(const Buffer& buffer) {
  Token token;
  token.format = buffer.format;
  token.shape = buffer.spread->extent;
  token.order = buffer.order;
  token.pad = buffer.spread->pad;
  return token.bytes();
}

Box part_of(const Buffer& buffer, std::uint32_t instance) {
  const Spread& spread = *buffer.spread;
  const std::vector<std::int64_t> at = coordinates_of(spread, instance);
  Box box;
  box.reserve(buffer.shape.size());
  for (std::size_t d = 0; d < buffer.shape.size(); ++d) {
    const std::int64_t begin = spread.start[d].at(at);
    box.push_back(
        {std::clamp<std::int64_t>(begin, 0, buffer.shape[d]), std::clamp<std::int64_t>(begin + spread.extent[d], 0, buffer.shape[d])});
  }
  return box;
}

std::optional<std::uint32_t> instance_on(const Spread& spread, std::uint32_t component) {
  const auto at = std::find(spread.components.begin(), spread.components.end(), component);
  if (at == spread.components.end()) return std::nullopt;
  return static_cast<std::uint32_t>(at - spread.components.begin());
}

Box touched(const BufferAccess& access, std::span<const std::int64_t> extent, std::span<const std::int64_t> variables) {
  Box box;
  for (std::size_t d = 0; d < access.start.size(); ++d) {
    const std::int64_t begin = access.start[d].at(variables);
    box.push_back({std::clamp(begin, access.region[d][0], access.region[d][1]),
                   std::clamp(begin + extent[d], access.region[d][0], access.region[d][1])});
  }
  return box;
}

std::vector<Message> messages(const Buffer& buffer, const Box& box, std::optional<std::uint32_t> own) {
  std::vector<Message> out;
  if (is_empty(box)) return out;
  struct Part {
    std::uint32_t instance;
    Box box;
  };
  std::vector<Part> parts;
  std::vector<std::vector<std::int64_t>> cuts(box.size());
  for (std::size_t d = 0; d < box.size(); ++d) cuts[d] = {box[d][0], box[d][1]};
  for (std::uint32_t i = 0; i < part_count(*buffer.spread); ++i) {
    if (own && *own == i) continue;
    Box part = part_of(buffer, i);
    if (!overlap(part, box)) continue;
    for (std::size_t d = 0; d < box.size(); ++d)
      for (const std::int64_t cut : part[d])
        if (cut > box[d][0] && cut < box[d][1]) cuts[d].push_back(cut);
    parts.push_back({i, std::move(part)});
  }
  if (parts.empty()) return out;
  for (auto& cut : cuts) {
    std::sort(cut.begin(), cut.end());
    cut.erase(std::unique(cut.begin(), cut.end()), cut.end());
  }
  std::vector<std::size_t> at(box.size(), 0);
  for (;;) {
    Message message;
    for (std::size_t d = 0; d < box.size(); ++d) message.box.push_back({cuts[d][at[d]], cuts[d][at[d] + 1]});
    for (const Part& part : parts)
      if (contains(part.box, message.box)) message.instances.push_back(part.instance);
    if (!message.instances.empty()) out.push_back(std::move(message));
    std::size_t d = box.size();
    while (d-- > 0) {
      if (++at[d] + 1 < cuts[d].size()) break;
      at[d] = 0;
    }
    if (d == static_cast<std::size_t>(-1)) return out;
  }
}

std::span<const std::int64_t> move_extent(const Actor& mover, const BufferAccess& access) {
  if (!access.extent.empty()) return access.extent;
  for (const Port& port : mover.ports)
    if (moves_data(port)) return port.token.shape;
  return access.extent;
}

bool updates_copies(const Actor& actor) {
  return actor.source && actor.destination && actor.source->buffer == actor.destination->buffer &&
         actor.source->start == actor.destination->start;
}

}  // namespace switchyard::program
