#include "program/order.h"

#include <algorithm>

namespace switchyard::program {

namespace {

constexpr std::int64_t kMostPlayed = std::int64_t{1} << 25;  ///< firings, over all plays of a context

/// What is touched from a firing on, at most.
std::vector<Box> hulls(const Firings& firings) {
  std::vector<Box> result(firings.size() + 1);
  for (std::size_t k = firings.size(); k-- > 0;) {
    result[k] = result[k + 1];
    for (const Box& box : firings[k]) {
      if (result[k].empty()) {
        result[k] = box;
        continue;
      }
      for (std::size_t d = 0; d < box.size(); ++d)
        result[k][d] = {std::min(result[k][d][0], box[d][0]), std::max(result[k][d][1], box[d][1])};
    }
  }
  return result;
}

}  // namespace

Order::Order(const Context& context) : play_(context, true) {
  for (const Channel& channel : context.channels) depths_.push_back(channel.depth);
  for (std::uint32_t a = 0; a < play_.layout().actors.size(); ++a) members_[play_.network_of(a)].push_back(a);
}

const Order::Table& Order::table(std::uint32_t first) {
  const std::uint32_t network = play_.network_of(first), kind = play_.kind_of(network);
  // Networks of one kind have one instance of each of their actors, or are alone in their kind.
  const std::vector<std::uint32_t>& here = members_[network];
  const auto place = static_cast<std::size_t>(std::lower_bound(here.begin(), here.end(), first) - here.begin());
  const auto [at, fresh] = tables_.try_emplace({kind, static_cast<std::uint32_t>(place)});
  Table& table = at->second;
  if (!fresh) return table;
  table.members = members_[kind];
  const std::uint32_t held = table.members[place];
  const std::int64_t firings = play_.all_firings(held);
  for (const std::uint32_t member : table.members) played_ += play_.all_firings(member);
  played_ += firings * static_cast<std::int64_t>(table.members.size());
  if (played_ > kMostPlayed) {
    exact_ = false;
    return table;
  }
  play_.start(depths_, kind);
  for (std::int64_t k = 0; k < firings; ++k) {
    play_.drain(held);
    auto& row = table.firings.emplace_back();
    for (const std::uint32_t member : table.members) row.push_back(static_cast<std::uint32_t>(play_.fired(member)));
    if (!play_.step(held)) break;
  }
  return table;
}

bool Order::comes_after(std::uint32_t second, const Firings& touched, std::uint32_t first, const Firings& held) {
  const bool joined = play_.network_of(first) == play_.network_of(second);
  const Table* reached = joined ? &table(first) : nullptr;
  if (!exact_) return false;
  const std::vector<std::uint32_t>& here = members_[play_.network_of(second)];
  const auto place = static_cast<std::size_t>(std::lower_bound(here.begin(), here.end(), second) - here.begin());
  const std::vector<Box> later = hulls(held);
  std::size_t seen = 0;
  for (std::size_t k = 0; k < held.size(); ++k) {
    const auto now = reached == nullptr            ? touched.size()
                     : k < reached->firings.size() ? static_cast<std::size_t>(reached->firings[k][place])
                                                   : seen;
    for (; seen < std::min(now, touched.size()); ++seen)
      for (const Box& box : touched[seen]) {
        if (!box.empty() && (later[k].empty() || !overlap(box, later[k]))) continue;
        for (std::size_t l = k; l < held.size(); ++l)
          for (const Box& other : held[l])
            if (overlap(box, other)) return false;
      }
  }
  return true;
}

}  // namespace switchyard::program
