// Contractions in fp32: operands are packed into panels, block by block, and multiplied by the register-blocked kernel. Each result is one
// chain of fused multiply-adds in loop order, whatever the blocking: a block continues from the fp32 value the one before it left.
#include <algorithm>
#include <limits>

#include "simulation/functional/elements.h"
#include "simulation/functional/kernel.h"
#include "simulation/functional/statement.h"
#include "support/check.h"

namespace switchyard::simulation::functional {

namespace {

// Blocks of a packed operand: both fit a second-level cache together.
constexpr std::int64_t kDepthBlock = 384;
constexpr std::int64_t kColumnBlock = 384;
constexpr std::int64_t kRowBlock = 240;

std::int64_t round_up(std::int64_t value, std::int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

/// The points of some dims, last fastest: what each adds to one linear function.
void list_points(std::span<const std::int64_t> extents, const std::vector<int>& places, const std::vector<std::int64_t>& steps,
                 std::vector<std::int64_t>& out) {
  out.assign(1, 0);
  std::vector<std::int64_t> grown;
  for (const int place : places) {
    const auto p = static_cast<std::size_t>(place);
    if (extents[p] == 1) continue;
    grown.clear();
    grown.reserve(out.size() * static_cast<std::size_t>(extents[p]));
    for (const std::int64_t base : out) {
      for (std::int64_t i = 0; i < extents[p]; ++i) grown.push_back(base + steps[p] * i);
    }
    out.swap(grown);
  }
}

/// Stretches of reduction points at adjacent addresses with the same window position and the same checked indices.
struct Stretch {
  std::int64_t begin = 0, end = 0;
};

/// One operand of a contraction seen as a matrix of lanes (rows of A, columns of B) by reduction points.
class Operand {
 public:
  Operand(const AccessPlan& access, const SlotView& slot, std::span<const std::int64_t> extents, const std::vector<int>& lanes,
          const std::vector<int>& depth)
      : access_(access), slot_(slot) {
    list_points(extents, lanes, access.step, lane_);
    list_points(extents, depth, access.step, depth_);
    if (access.windowed) {
      list_points(extents, lanes, access.window_step, lane_window_);
      list_points(extents, depth, access.window_step, depth_window_);
      window_by_lane_ = std::any_of(lane_window_.begin(), lane_window_.end(), [](std::int64_t w) { return w != 0; });
    }
    for (const auto& check : access.checks) {
      Checked& c = checks_.emplace_back();
      list_points(extents, lanes, check.step, c.lane);
      list_points(extents, depth, check.step, c.depth);
      c.extent = check.extent;
    }
    const auto count = static_cast<std::int64_t>(depth_.size());
    for (std::int64_t k = 0; k < count;) {
      std::int64_t end = k + 1;
      while (end < count && continues(end)) ++end;
      stretches_.push_back({k, end});
      k = end;
    }
  }

  [[nodiscard]] std::int64_t lanes() const { return static_cast<std::int64_t>(lane_.size()); }
  [[nodiscard]] std::int64_t depth() const { return static_cast<std::int64_t>(depth_.size()); }

  /// The constants of one point of the batch loops.
  void set_base(std::int64_t offset, std::int64_t window, std::span<const std::int64_t> checked) {
    offset_ = offset;
    window_ = window;
    for (std::size_t i = 0; i < checks_.size(); ++i) checks_[i].base = checked[i];
  }

  /// Packs lanes [l0, l1) by points [k0, k1) as panels [k][width], the last one padded with zeros.
  void pack(std::int64_t l0, std::int64_t l1, std::int64_t k0, std::int64_t k1, std::int64_t width, float* out) {
    for (std::int64_t l = l0; l < l1; l += width) {
      const std::int64_t count = std::min(width, l1 - l);
      pack_panel(l, count, k0, k1, width, out);
      out += width * (k1 - k0);
    }
  }

 private:
  struct Checked {
    std::vector<std::int64_t> lane, depth;
    std::int64_t base = 0, extent = 0;
    std::int64_t least = 0, greatest = 0;  ///< over the lanes of the panel being packed
  };

  static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

  [[nodiscard]] bool continues(std::int64_t k) const {
    if (depth_[at(k)] != depth_[at(k - 1)] + 1) return false;
    if (access_.windowed && depth_window_[at(k)] != depth_window_[at(k - 1)]) return false;
    return std::all_of(checks_.begin(), checks_.end(), [k](const Checked& c) { return c.depth[at(k)] == c.depth[at(k - 1)]; });
  }
  [[nodiscard]] bool inside(std::int64_t l, std::int64_t k) const {
    for (const Checked& c : checks_) {
      const std::int64_t index = c.base + c.lane[at(l)] + c.depth[at(k)];
      if (index < 0 || index >= c.extent) return false;
    }
    return true;
  }
  [[nodiscard]] const std::byte* address(std::int64_t l, std::int64_t k) const {
    const std::byte* base = access_.windowed ? slot_.window[window_ + lane_window_[at(l)] + depth_window_[at(k)]] : slot_.data;
    return base + (offset_ + lane_[at(l)] + depth_[at(k)]) * access_.bytes;
  }

  void pack_panel(std::int64_t l, std::int64_t count, std::int64_t k0, std::int64_t k1, std::int64_t width, float* out) {
    const bool window_varies = window_by_lane_ && !std::all_of(lane_window_.begin() + l, lane_window_.begin() + l + count,
                                                               [&](std::int64_t w) { return w == lane_window_[at(l)]; });
    bool adjacent = count > 1 && !window_varies;
    for (std::int64_t j = 1; j < count && adjacent; ++j) adjacent = lane_[at(l + j)] == lane_[at(l)] + j;
    if (adjacent) {
      pack_along_lanes(l, count, k0, k1, width, out);
    } else {
      pack_along_depth(l, count, k0, k1, width, out);
    }
  }

  /// Lanes are adjacent in memory: one row per reduction point.
  void pack_along_lanes(std::int64_t l, std::int64_t count, std::int64_t k0, std::int64_t k1, std::int64_t width, float* out) {
    for (Checked& c : checks_) {
      const auto [least, greatest] = std::minmax_element(c.lane.begin() + l, c.lane.begin() + l + count);
      c.least = *least;
      c.greatest = *greatest;
    }
    for (std::int64_t k = k0; k < k1; ++k, out += width) {
      const bool whole = std::all_of(checks_.begin(), checks_.end(), [k](const Checked& c) {
        const std::int64_t base = c.base + c.depth[at(k)];
        return base + c.least >= 0 && base + c.greatest < c.extent;
      });
      if (whole) {
        widen_row(access_.format, address(l, k), out, count);
      } else {
        for (std::int64_t j = 0; j < count; ++j) element(l + j, k, out + j);
      }
      std::fill(out + count, out + width, 0.0f);
    }
  }

  void element(std::int64_t l, std::int64_t k, float* out) const {
    if (inside(l, k)) {
      widen_row(access_.format, address(l, k), out, 1);
    } else {
      *out = static_cast<float>(access_.fill);
    }
  }

  /// Reduction points are adjacent in memory, stretch by stretch.
  void pack_along_depth(std::int64_t l, std::int64_t count, std::int64_t k0, std::int64_t k1, std::int64_t width, float* out) {
    auto stretch = std::upper_bound(stretches_.begin(), stretches_.end(), k0, [](std::int64_t k, const Stretch& s) { return k < s.end; });
    sources_.assign(at(width), nullptr);
    for (std::int64_t k = k0; k < k1; ++stretch) {
      const std::int64_t length = std::min(stretch->end, k1) - k;
      float* target = out + (k - k0) * width;
      bool filled = false;
      for (std::int64_t j = 0; j < count; ++j) {
        const bool in = inside(l + j, k);
        sources_[at(j)] = in ? address(l + j, k) : nullptr;
        filled = filled || !in;
      }
      widen_transposed(access_.format, sources_.data(), width, length, target);
      if (filled && access_.fill != 0) {
        for (std::int64_t j = 0; j < count; ++j) {
          if (sources_[at(j)] != nullptr) continue;
          for (std::int64_t i = 0; i < length; ++i) target[i * width + j] = static_cast<float>(access_.fill);
        }
      }
      k += length;
    }
  }

  const AccessPlan& access_;
  const SlotView& slot_;
  std::vector<std::int64_t> lane_, depth_, lane_window_, depth_window_;
  std::vector<Checked> checks_;
  std::vector<Stretch> stretches_;
  std::vector<const std::byte*> sources_;
  bool window_by_lane_ = false;
  std::int64_t offset_ = 0, window_ = 0;
};

/// The result: rows (lanes of A) by columns (lanes of B).
struct Target {
  std::vector<std::int64_t> row, column;
  bool columns_adjacent = false;  ///< and fp32: the kernel works in place
};

bool adjacent_points(const std::vector<std::int64_t>& points) {
  for (std::size_t i = 1; i < points.size(); ++i) {
    if (points[i] != points[0] + static_cast<std::int64_t>(i)) return false;
  }
  return true;
}

/// Contractions of one point of the batch loops.
class Product {
 public:
  Product(const StatementPlan& plan, Operand& a, Operand& b, const Target& target, Workspace& workspace)
      : plan_(plan), a_(a), b_(b), target_(target), workspace_(workspace), shape_(block_shape()) {
    depth_block_ = std::min(kDepthBlock, a.depth());
    // Even blocks: a narrow last block of columns would pack A for little.
    const std::int64_t column_blocks = (b.lanes() + kColumnBlock - 1) / kColumnBlock;
    column_block_ = round_up((b.lanes() + column_blocks - 1) / column_blocks, shape_.columns);
    row_block_ = std::min(round_up(kRowBlock, shape_.rows), round_up(a.lanes(), shape_.rows));
    workspace.a.resize(static_cast<std::size_t>(row_block_ * depth_block_));
    workspace.b.resize(static_cast<std::size_t>(column_block_ * depth_block_));
  }

  void run(std::byte* c) {
    const std::int64_t rows = a_.lanes(), columns = b_.lanes();
    for (std::int64_t n = 0; n < columns; n += column_block_) {
      const std::int64_t width = std::min(column_block_, columns - n);
      float* block = nullptr;
      const std::int64_t* row_offsets = nullptr;
      if (target_.columns_adjacent) {
        block = reinterpret_cast<float*>(c) + target_.column[static_cast<std::size_t>(n)];
        row_offsets = target_.row.data();
        if (plan_.to_port) {
          for (const std::int64_t row : target_.row) std::fill_n(block + row, width, 0.0f);
        }
      } else {
        workspace_.c.resize(static_cast<std::size_t>(rows * width));
        block = workspace_.c.data();
        scratch_rows_.resize(static_cast<std::size_t>(rows));
        for (std::int64_t i = 0; i < rows; ++i) scratch_rows_[static_cast<std::size_t>(i)] = i * width;
        row_offsets = scratch_rows_.data();
        gather(c, n, width, block);
      }
      for (std::int64_t k = 0; k < a_.depth(); k += depth_block_) {
        const std::int64_t depth = std::min(depth_block_, a_.depth() - k);
        b_.pack(n, n + width, k, k + depth, shape_.columns, workspace_.b.data());
        for (std::int64_t m = 0; m < rows; m += row_block_) {
          const std::int64_t height = std::min(row_block_, rows - m);
          a_.pack(m, m + height, k, k + depth, shape_.rows, workspace_.a.data());
          multiply_panels(workspace_.a.data(), workspace_.b.data(), depth, height, width, block, row_offsets + m);
        }
      }
      if (!target_.columns_adjacent) scatter(c, n, width, block);
    }
  }

 private:
  /// Calls f(row or column run) over the block in pieces that are evenly spaced in memory.
  template <class F>
  void pieces(std::int64_t n, std::int64_t width, const F& f) const {
    const auto& column = target_.column;
    const auto rows = static_cast<std::int64_t>(target_.row.size());
    for (std::int64_t j = 0; j < width;) {
      const auto first = static_cast<std::size_t>(n + j);
      std::int64_t length = 1;
      const std::int64_t step = j + 1 < width ? column[first + 1] - column[first] : 1;
      while (j + length < width && column[first + static_cast<std::size_t>(length)] == column[first] + step * length) ++length;
      for (std::int64_t i = 0; i < rows; ++i) f(i * width + j, target_.row[static_cast<std::size_t>(i)] + column[first], step, length);
      j += length;
    }
  }
  void gather(const std::byte* c, std::int64_t n, std::int64_t width, float* block) const {
    if (plan_.to_port) {
      std::fill_n(block, static_cast<std::int64_t>(target_.row.size()) * width, 0.0f);
      return;
    }
    pieces(n, width, [&](std::int64_t at, std::int64_t offset, std::int64_t step, std::int64_t length) {
      decode(plan_.write.format, c + offset * plan_.write.bytes, step, block + at, length);
    });
  }
  void scatter(std::byte* c, std::int64_t n, std::int64_t width, const float* block) const {
    pieces(n, width, [&](std::int64_t at, std::int64_t offset, std::int64_t step, std::int64_t length) {
      encode(plan_.write.format, block + at, c + offset * plan_.write.bytes, step, length);
    });
  }

  const StatementPlan& plan_;
  Operand& a_;
  Operand& b_;
  const Target& target_;
  Workspace& workspace_;
  BlockShape shape_;
  std::int64_t depth_block_ = 0, column_block_ = 0, row_block_ = 0;
  std::vector<std::int64_t> scratch_rows_;
};

}  // namespace

void run_contraction(const StatementPlan& plan, std::span<const std::int64_t> extents, std::span<const SlotView> slots,
                     Workspace& workspace) {
  Target target;
  list_points(extents, plan.m, plan.write.step, target.row);
  list_points(extents, plan.n, plan.write.step, target.column);
  // Lanes run along the columns: exchange the operands where the rows suit them better. A product is the same either way round.
  const auto rows = static_cast<std::int64_t>(target.row.size()), columns = static_cast<std::int64_t>(target.column.size());
  const std::int64_t enough = block_shape().columns / 2;
  const bool exchange = columns < enough ? rows > columns
                        : rows >= enough ? !adjacent_points(target.column) && adjacent_points(target.row)
                                         : false;
  const AccessPlan* first = &plan.reads[static_cast<std::size_t>(plan.first)];
  const AccessPlan* second = &plan.reads[static_cast<std::size_t>(plan.second)];
  const std::vector<int>* m = &plan.m;
  const std::vector<int>* n = &plan.n;
  if (exchange) {
    std::swap(first, second);
    std::swap(m, n);
    std::swap(target.row, target.column);
  }
  target.columns_adjacent = plan.write.format == numerics::Format::fp32 && adjacent_points(target.column);

  Operand a(*first, slots[static_cast<std::size_t>(first->slot)], extents, *m, plan.k);
  Operand b(*second, slots[static_cast<std::size_t>(second->slot)], extents, *n, plan.k);
  Product product(plan, a, b, target, workspace);

  std::vector<std::int64_t> at(plan.dims.size(), 0);
  const auto sum = [&](std::int64_t constant, const std::vector<std::int64_t>& steps) {
    for (const int place : plan.batch) constant += steps[static_cast<std::size_t>(place)] * at[static_cast<std::size_t>(place)];
    return constant;
  };
  std::vector<std::int64_t> checked;
  const auto set_base = [&](Operand& operand, const AccessPlan& access) {
    checked.clear();
    for (const auto& check : access.checks) checked.push_back(sum(check.constant, check.step));
    operand.set_base(sum(access.constant, access.step), access.windowed ? sum(access.window_constant, access.window_step) : 0, checked);
  };
  while (true) {
    set_base(a, *first);
    set_base(b, *second);
    product.run(slots[static_cast<std::size_t>(plan.write.slot)].data + sum(plan.write.constant, plan.write.step) * plan.write.bytes);
    std::size_t i = plan.batch.size();
    for (; i-- > 0;) {
      const auto place = static_cast<std::size_t>(plan.batch[i]);
      if (++at[place] < extents[place]) break;
      at[place] = 0;
    }
    if (i == static_cast<std::size_t>(-1)) return;
  }
}

}  // namespace switchyard::simulation::functional
