#include "compiler/addresses.h"

#include <algorithm>
#include <bit>
#include <tuple>

#include "chip/query.h"

namespace switchyard::compiler {
namespace {

using Range = Addresses::Range;

bool share(const std::vector<std::uint32_t>& a, const std::vector<std::uint32_t>& b) {
  for (auto i = a.begin(), j = b.begin(); i != a.end() && j != b.end(); *i < *j ? ++i : ++j)
    if (*i == *j) return true;
  return false;
}

constexpr auto by_set = [](const Range& a, const Range& b) { return std::tie(a.set, a.begin) < std::tie(b.set, b.begin); };
constexpr auto from_below = [](const Range& a, const Range& b) {
  return std::tie(a.begin, a.end, a.set) < std::tie(b.begin, b.end, b.set);
};
constexpr auto from_above = [](const Range& a, const Range& b) {
  return std::tie(a.end, a.begin, a.set) > std::tie(b.end, b.begin, b.set);
};

/// Ranges of one set that overlap or touch become one.
void join(std::vector<Range>& sorted) {
  std::size_t last = 0;
  for (std::size_t i = 1; i < sorted.size(); ++i)
    if (sorted[i].set == sorted[last].set && sorted[i].begin <= sorted[last].end)
      sorted[last].end = std::max(sorted[last].end, sorted[i].end);
    else
      sorted[++last] = sorted[i];
  if (!sorted.empty()) sorted.resize(last + 1);
}

/// Adds a range to joined ones.
void add(std::vector<Range>& joined, Range r) {
  auto from = std::upper_bound(joined.begin(), joined.end(), r, by_set);
  if (from != joined.begin() && std::prev(from)->set == r.set && std::prev(from)->end >= r.begin) --from;
  auto to = from;
  for (; to != joined.end() && to->set == r.set && to->begin <= r.end; ++to) {
    r.begin = std::min(r.begin, to->begin);
    r.end = std::max(r.end, to->end);
  }
  if (from == to) {
    joined.insert(from, r);
  } else {
    *from = r;
    joined.erase(from + 1, to);
  }
}

}  // namespace

int ComponentSets::number_of(const std::vector<std::uint32_t>& components) {
  std::vector<std::uint32_t> sorted = components;
  std::sort(sorted.begin(), sorted.end());
  const auto [at, fresh] = numbers_.try_emplace(sorted, static_cast<int>(meets_.size()));
  if (!fresh) return at->second;
  std::vector<bool> row(numbers_.size());
  for (const auto& [other, number] : numbers_)
    row[static_cast<std::size_t>(number)] = other.empty() || sorted.empty() || share(other, sorted);  // empty: a grid, anywhere
  for (std::size_t i = 0; i < meets_.size(); ++i) meets_[i].push_back(row[i]);
  meets_.push_back(std::move(row));
  return at->second;
}

Addresses::Addresses(const chip::Memory& memory, std::size_t contexts, const ComponentSets& sets)
    : sets_(&sets), contexts_(static_cast<int>(contexts)), nodes_(contexts == 0 ? 0 : 2 * std::bit_ceil(contexts) - 1) {
  const auto range = chip::usable_range(memory);
  begin_ = range.begin;
  end_ = range.end;
  alignment_ = std::max<std::int64_t>(1, memory.alignment);
}

template <class Use>
void Addresses::visit(std::size_t node, Life here, Life life, const Use& use) const {
  if (here.last < life.first || here.first > life.last) return;
  const bool covered = life.first <= here.first && life.last >= here.last;
  use(node, covered);
  if (covered) return;
  const int middle = here.first + (here.last - here.first) / 2;
  visit(2 * node + 1, {here.first, middle}, life, use);
  visit(2 * node + 2, {middle + 1, here.last}, life, use);
}

void Addresses::take(Life life, std::int64_t at, std::int64_t bytes, int set) {
  if (bytes == 0) return;
  const Range range{at, up(at + bytes), set};
  visit(0, {0, contexts_ - 1}, life, [&](std::size_t node, bool covered) {
    add(nodes_[node].some, range);
    if (covered) add(nodes_[node].all, range);
  });
}

Addresses::Over::Over(const Addresses& addresses, Life life, From from) : addresses_(&addresses), from_(from) {
  addresses.visit(0, {0, addresses.contexts_ - 1}, life, [&](std::size_t node, bool covered) {
    const Node& n = addresses.nodes_[node];
    const auto& ranges = covered ? n.some : n.all;  // each list is in order
    if (ranges.empty()) return;
    const auto before = static_cast<std::ptrdiff_t>(taken_.size());
    taken_.insert(taken_.end(), ranges.begin(), ranges.end());
    std::inplace_merge(taken_.begin(), taken_.begin() + before, taken_.end(), by_set);
  });
  join(taken_);
  from == From::below ? std::sort(taken_.begin(), taken_.end(), from_below) : std::sort(taken_.begin(), taken_.end(), from_above);
}

std::optional<std::int64_t> Addresses::Over::take(std::int64_t bytes, int set) {
  const auto at = from_ == From::below ? lowest(bytes, set) : highest(bytes, set);
  if (!at || bytes == 0) return at;
  const Range own{*at, addresses_->up(*at + bytes), set};
  const auto before = [&](const auto& order) { return std::lower_bound(taken_.begin(), taken_.end(), own, order); };
  taken_.insert(from_ == From::below ? before(from_below) : before(from_above), own);
  return at;
}

std::optional<std::int64_t> Addresses::Over::lowest(std::int64_t bytes, int set) const {
  std::int64_t at = addresses_->up(addresses_->begin_);
  for (const Range& r : taken_) {
    if (r.begin - at >= bytes) break;
    if (addresses_->sets_->meet(r.set, set)) at = std::max(at, r.end);
  }
  return at + bytes <= addresses_->end_ ? std::optional(at) : std::nullopt;
}

std::optional<std::int64_t> Addresses::Over::highest(std::int64_t bytes, int set) const {
  if (addresses_->end_ - bytes < 0) return std::nullopt;
  std::int64_t at = addresses_->down(addresses_->end_ - bytes);
  for (const Range& r : taken_) {
    if (at >= r.end) break;
    if (!addresses_->sets_->meet(r.set, set)) continue;
    if (r.begin < bytes) return std::nullopt;
    at = std::min(at, addresses_->down(r.begin - bytes));
  }
  return at >= addresses_->begin_ ? std::optional(at) : std::nullopt;
}

}  // namespace switchyard::compiler
