#include "simulation/timing/cache.h"

#include <algorithm>
#include <numeric>

#include "numerics/packing.h"

namespace switchyard::simulation::timing {

namespace {

constexpr std::int64_t kFinerForPhases = 8;         // accesses that begin beside each other's steps cut a step into as many parts
constexpr std::int64_t kGranulesPerBox = 16;        // along one dimension: finer steps are merged
constexpr std::int64_t kGranulesPerBuffer = 16384;  // beyond this, neighbouring granules are merged

}  // namespace

CacheModel::CacheModel(const program::Program& program, std::int64_t capacity)
    : program_(&program), capacity_(capacity), residency_(program.buffers.size()), grids_(program.buffers.size()) {}

void CacheModel::lay_grid(std::span<const program::Context> contexts, std::uint32_t buffer) {
  const program::Buffer& b = program_->buffers[buffer];
  Grid& grid = grids_[buffer];
  const std::size_t rank = b.shape.size();
  grid.step.assign(rank, 0);
  grid.origin.assign(rank, 0);
  std::vector<std::int64_t> largest(rank, 1), first(rank, 0), apart(rank, 0);  // apart: what the starts of accesses differ by
  bool met = false;
  const auto look_at = [&](const program::Actor& actor) {
    for (const auto* access : {&actor.source, &actor.destination}) {
      if (!*access || (*access)->buffer.index() != buffer) continue;
      for (std::size_t d = 0; d < rank; ++d) {
        const numerics::Affine& start = (*access)->start[d];
        for (const auto& term : start.terms) grid.step[d] = std::gcd(grid.step[d], term.coefficient);
        if (!met) first[d] = start.constant;
        apart[d] = std::gcd(apart[d], start.constant - first[d]);
        for (const program::Port& port : actor.ports) {
          if (port.token.shape.size() == rank) largest[d] = std::max(largest[d], port.token.shape[d]);
        }
      }
      met = true;
    }
  };
  for (const program::Context& context : contexts) {
    for (const program::Actor& actor : context.actors) look_at(actor);
  }
  std::int64_t total = 1;
  grid.count.assign(rank, 1);
  for (std::size_t d = 0; d < rank; ++d) {
    std::int64_t& step = grid.step[d];
    if (step <= 0) step = std::max<std::int64_t>(1, b.shape[d]);
    if (const std::int64_t fine = std::gcd(step, apart[d]); fine * kFinerForPhases >= step) step = fine;
    const std::int64_t phase = ((first[d] % step) + step) % step;
    grid.origin[d] = phase > 0 ? phase - step : 0;
    while (step * kGranulesPerBox < std::min(largest[d], b.shape[d])) step *= 2;
    grid.count[d] = (b.shape[d] - grid.origin[d] + step - 1) / step;
    total *= grid.count[d];
  }
  while (total > kGranulesPerBuffer) {
    const auto most = static_cast<std::size_t>(std::max_element(grid.count.begin(), grid.count.end()) - grid.count.begin());
    total /= grid.count[most];
    grid.step[most] *= 2;
    grid.count[most] = (b.shape[most] - grid.origin[most] + grid.step[most] - 1) / grid.step[most];
    total *= grid.count[most];
  }
  grid.cut = true;
  grid.first = static_cast<std::uint32_t>(granules_.size());
  granules_.resize(granules_.size() + static_cast<std::size_t>(std::max<std::int64_t>(total, 1)));
}

void CacheModel::begin_contexts(std::span<const program::Context> contexts) {
  granules_.assign(1, Granule{});
  used_ = 0;
  for (Grid& grid : grids_) grid.cut = false;
  for (const program::Context& context : contexts) {
    for (const program::Actor& actor : context.actors) {
      for (const auto* access : {&actor.source, &actor.destination}) {
        if (!*access || program_->buffers[(*access)->buffer.index()].spread) continue;
        if (!grids_[(*access)->buffer.index()].cut) lay_grid(contexts, (*access)->buffer.value);
      }
    }
  }
  std::vector<std::uint32_t> resident;
  for (std::uint32_t b = 0; b < residency_.size(); ++b) {
    if (residency_[b].present > 0) resident.push_back(b);
  }
  std::sort(resident.begin(), resident.end(), [&](auto a, auto b) { return residency_[a].used_at < residency_[b].used_at; });
  for (const std::uint32_t b : resident) {
    Grid& grid = grids_[b];
    if (!grid.cut) {  // not touched in this context: one granule, which may be evicted bit by bit
      grid.first = static_cast<std::uint32_t>(granules_.size());
      grid.count.assign(1, 1);
      granules_.emplace_back();
    }
    std::int64_t n = 1;
    for (const std::int64_t c : grid.count) n *= c;
    for (std::int64_t i = 0; i < n; ++i) {
      const auto share = [&](std::int64_t whole) { return whole * (i + 1) / n - whole * i / n; };
      const auto g = grid.first + static_cast<std::uint32_t>(i);
      granules_[g].present = share(residency_[b].present);
      granules_[g].dirty = std::min(share(residency_[b].dirty), granules_[g].present);
      granules_[g].old = granules_[g].present;
      granules_[g].buffer = b;
      used_ += granules_[g].present;
      if (granules_[g].present > 0) link_newest(g);
    }
  }
}

void CacheModel::end_context(std::span<const program::BufferId> dead) {
  for (Residency& r : residency_) r.present = r.dirty = 0;
  for (std::uint32_t g = granules_[0].newer; g != 0; g = granules_[g].newer) {  // oldest first
    Residency& r = residency_[granules_[g].buffer];
    r.present += granules_[g].present;
    r.dirty += granules_[g].dirty;
    r.used_at = ++clock_;
  }
  for (const program::BufferId b : dead) residency_[b.index()] = {};
}

std::int64_t CacheModel::dirty() const {
  std::int64_t bytes = 0;
  for (const Residency& r : residency_) bytes += r.dirty;
  return bytes;
}

void CacheModel::link_newest(std::uint32_t g) {
  Granule& head = granules_[0];
  granules_[g].older = head.older;
  granules_[g].newer = 0;
  granules_[head.older].newer = g;
  granules_[0].older = g;
}

void CacheModel::unlink(std::uint32_t g) {
  granules_[granules_[g].older].newer = granules_[g].newer;
  granules_[granules_[g].newer].older = granules_[g].older;
}

void CacheModel::touch(std::uint32_t g) {
  if (granules_[g].present > 0) unlink(g);
  link_newest(g);
}

/// `bytes` of a granule of `size` bytes become present and newest; returns how many were. A transfer may cover a part of a granule only,
/// and which part is not kept: what the context has not seen yet counts as new until it has seen all, so that the first pass over a buffer
/// never finds its own neighbours.
std::int64_t CacheModel::take(std::uint32_t g, std::int64_t bytes, std::int64_t size) {
  touch(g);
  Granule& granule = granules_[g];
  const std::int64_t fresh = std::min(bytes, size - granule.seen);
  const std::int64_t left = std::min(fresh, granule.old);
  const std::int64_t again = std::min(bytes - fresh, granule.present - granule.old);
  granule.seen += fresh;
  granule.old -= left;
  granule.present += bytes - left - again;
  used_ += bytes - left - again;
  return left + again;
}

std::int64_t CacheModel::evict() {
  std::int64_t written = 0;
  while (used_ > capacity_) {
    const std::uint32_t g = granules_[0].newer;
    Granule& oldest = granules_[g];
    const std::int64_t out = std::min(used_ - capacity_, oldest.present);
    const std::int64_t clean = oldest.present - oldest.dirty;
    const std::int64_t dirty = std::max<std::int64_t>(0, out - clean);  // clean bytes go first: they cost nothing
    written += dirty;
    oldest.present -= out;
    oldest.old = std::max<std::int64_t>(0, oldest.old - out);
    oldest.dirty -= dirty;
    used_ -= out;
    if (oldest.present == 0) unlink(g);
  }
  return written;
}

template <class Visit>
void CacheModel::for_granules(std::uint32_t buffer, std::span<const std::int64_t> begin, std::span<const std::int64_t> extent,
                              Visit visit) {
  const Grid& grid = grids_[buffer];
  const program::Buffer& b = program_->buffers[buffer];
  const std::size_t rank = b.shape.size();
  std::array<std::int64_t, 16> low{}, high{}, at{};
  if (rank > at.size()) return;
  for (std::size_t d = 0; d < rank; ++d) {
    if (extent[d] <= 0) return;
    low[d] = at[d] = std::clamp<std::int64_t>((begin[d] - grid.origin[d]) / grid.step[d], 0, grid.count[d] - 1);
    high[d] = std::clamp<std::int64_t>((begin[d] - grid.origin[d] + extent[d] - 1) / grid.step[d], 0, grid.count[d] - 1);
  }
  for (;;) {
    std::int64_t number = 0, overlap = 1, size = 1;
    for (std::size_t d = 0; d < rank; ++d) {
      const std::int64_t begins = grid.origin[d] + at[d] * grid.step[d];
      const std::int64_t from = std::max<std::int64_t>(0, begins), to = std::min(begins + grid.step[d], b.shape[d]);
      number = number * grid.count[d] + at[d];
      size *= to - from;
      overlap *= std::max<std::int64_t>(0, std::min(to, begin[d] + extent[d]) - std::max(from, begin[d]));
    }
    if (overlap > 0)
      visit(grid.first + static_cast<std::uint32_t>(number), numerics::stored_bytes(b.format, overlap),
            numerics::stored_bytes(b.format, size));
    std::size_t d = rank;
    while (d-- > 0) {
      if (++at[d] <= high[d]) break;
      at[d] = low[d];
    }
    if (d == static_cast<std::size_t>(-1)) return;
  }
}

CacheModel::Outcome CacheModel::read(program::BufferId buffer, std::span<const std::int64_t> begin, std::span<const std::int64_t> extent) {
  Outcome out;
  for_granules(buffer.value, begin, extent, [&](std::uint32_t g, std::int64_t bytes, std::int64_t size) {
    const std::int64_t hit = take(g, bytes, size);
    granules_[g].buffer = buffer.value;
    out.hit += hit;
    out.miss += bytes - hit;
    out.evicted += evict();
  });
  return out;
}

CacheModel::Outcome CacheModel::write(program::BufferId buffer, std::span<const std::int64_t> begin, std::span<const std::int64_t> extent) {
  Outcome out;
  for_granules(buffer.value, begin, extent, [&](std::uint32_t g, std::int64_t bytes, std::int64_t size) {
    take(g, bytes, size);
    Granule& granule = granules_[g];
    granule.buffer = buffer.value;
    granule.dirty = std::min(granule.present, granule.dirty + bytes);
    out.hit += bytes;
    out.evicted += evict();
  });
  return out;
}

}  // namespace switchyard::simulation::timing
