#include "compiler/attention.h"

#include <algorithm>
#include <set>

#include "numerics/tensor.h"

namespace switchyard::compiler {
namespace {

using numerics::Combiner;
using numerics::LoopKind;

/// The statements of a softmax, in order: the largest score of a row, powers, their sum, its reciprocal, weights.
struct Step {
  const char* expression;
  Combiner combiner;
};
constexpr std::array<Step, 5> kSoftmax{{{"x0", Combiner::max},
                                        {"exp(sub(x0, x1))", Combiner::none},
                                        {"x0", Combiner::add},
                                        {"reciprocal(x0)", Combiner::none},
                                        {"mul(x0, x1)", Combiner::none}}};

bool is_softmax(const Kernel& kernel) {
  if (kernel.statements.size() != kSoftmax.size() || kernel.operands.size() != 2) return false;
  for (std::size_t s = 0; s < kSoftmax.size(); ++s)
    if (numerics::print_expression(kernel.statements[s].expression) != kSoftmax[s].expression ||
        kernel.statements[s].combiner != kSoftmax[s].combiner)
      return false;
  return !kernel.operands[0].write && kernel.operands[1].write && kernel.operands[0].index == kernel.operands[1].index;
}

/// A product and its epilogue.
bool is_product(const Kernel& kernel) {
  const auto lookup = [](const KernelOperand& o) { return o.picking || !o.lookups.empty(); };
  return kernel.contraction && kernel.statements.size() == 2 && kernel.statements[1].epilogue && kernel.locals.size() == 1 &&
         kernel.statements[1].combiner == Combiner::none && std::none_of(kernel.operands.begin(), kernel.operands.end(), lookup);
}

const KernelDim& dim(const Kernel& kernel, int d) { return kernel.dims[static_cast<std::size_t>(d)]; }

constexpr double kHidden = -1e20;  ///< what a mask makes less than this has no weight after a softmax in any format
/// What a product may have summed: nothing and, of both signs, much, but less than kHidden is rounded by. A mask hides all of them.
constexpr std::array<double, 3> kSums{0, -1000, 1000};
constexpr std::int64_t kMostPositions = std::int64_t{1} << 22;

/// A constant that a mask is made of: along the columns, the rows, or both.
struct Positions {
  numerics::Tensor values{};      ///< of both
  std::vector<double> decoded{};  ///< of one
  bool sum = true;                ///< it is none, but what the product has summed
  int row = -1;                   ///< dim; -1: it is the same in all rows
  bool columns = false;           ///< it moves along them
  std::int64_t step_row = 0, step_column = 0;
  [[nodiscard]] double at(std::int64_t i, std::int64_t j) const {
    const std::int64_t e = i * step_row + j * step_column;
    return decoded.empty() ? values.at(e) : decoded[static_cast<std::size_t>(e)];
  }
};

/// Of two dims only where `both`.
std::optional<Positions> positions_of(const graph::Graph& g, const KernelOperand& o, int column, bool both) {
  const graph::Tensor& t = g.tensor(o.tensor);
  if (t.role != graph::Role::constant || !t.constant) return std::nullopt;
  Positions p;
  std::int64_t step = 1;
  for (std::size_t d = o.index.size(); d-- > 0; step *= t.shape[d]) {
    if (t.shape[d] == 1) continue;
    const int moves = o.index[d].as_variable();
    if (moves < 0 || (moves == column ? p.columns : p.row >= 0)) return std::nullopt;
    (moves == column ? p.step_column : p.step_row) = step;
    if (moves == column)
      p.columns = true;
    else
      p.row = moves;
  }
  const bool two = p.columns && p.row >= 0;
  if ((two && !both) || numerics::element_count(t.shape) > (two ? kMostScores : kMostPositions)) return std::nullopt;
  p.sum = false;
  p.values = t.constant->make();
  for (std::int64_t e = 0; !two && e < p.values.count(); ++e) p.decoded.push_back(p.values.at(e));
  return p;
}

/// A product's epilogue as a function of row and column.
class Mask {
 public:
  static std::optional<Mask> of(const graph::Graph& g, const Kernel& kernel, bool both) {
    const auto at = std::find_if(kernel.statements.begin(), kernel.statements.end(), [](const KernelStatement& s) { return s.epilogue; });
    if (at == kernel.statements.end()) return std::nullopt;
    Mask mask(*at);
    const int column = kernel.locals.front().dims.back();
    for (const KernelAccess& a : at->reads) {
      if (a.local) {
        mask.reads_.emplace_back();
        continue;
      }
      auto p = positions_of(g, kernel.operands[static_cast<std::size_t>(a.number)], column, both);
      if (!p || (p->row >= 0 && mask.row_ >= 0 && p->row != mask.row_)) return std::nullopt;
      mask.row_ = std::max(mask.row_, p->row);
      mask.reads_.push_back(*std::move(p));
    }
    mask.columns_ = dim(kernel, column).extent;
    mask.rows_ = mask.row_ < 0 ? 1 : dim(kernel, mask.row_).extent;
    mask.inputs_.resize(mask.reads_.size());
    return mask;
  }

  [[nodiscard]] int row() const { return row_; }
  [[nodiscard]] std::int64_t rows() const { return rows_; }
  [[nodiscard]] std::int64_t columns() const { return columns_; }

  /// [begin, end) of the columns that a row sees; nothing where they have gaps.
  [[nodiscard]] std::optional<std::array<std::int64_t, 2>> range(std::int64_t i) {
    std::int64_t begin = -1, end = 0, count = 0;
    for (std::int64_t j = 0; j < columns_; ++j) {
      for (std::size_t r = 0; r < reads_.size(); ++r)
        if (!reads_[r].sum) inputs_[r] = reads_[r].at(i, j);
      if (hides()) continue;
      if (begin < 0) begin = j;
      end = j + 1;
      ++count;
    }
    if (count == 0 || end - begin != count) return std::nullopt;
    return std::array{begin, end};
  }

  /// What columns are read as beyond the last one, as their values go on, or the least of a mask that is added; empty where some row would
  /// see it.
  [[nodiscard]] std::vector<std::optional<double>> beyond() {
    std::vector<std::optional<double>> fills(reads_.size());
    for (std::size_t r = 0; r < reads_.size(); ++r) {
      const Positions& p = reads_[r];
      if (p.sum || !p.columns || columns_ < 2) continue;
      double fill = 2 * p.at(0, columns_ - 1) - p.at(0, columns_ - 2);
      for (std::int64_t e = 0; p.row >= 0 && e < p.values.count(); ++e) fill = e == 0 ? p.values.at(e) : std::min(fill, p.values.at(e));
      numerics::Tensor stored = numerics::make_tensor(p.values.format, {1});
      stored.set(0, fill);
      fills[r] = stored.at(0);
    }
    for (std::int64_t i = 0; i < rows_; ++i) {
      for (std::size_t r = 0; r < reads_.size(); ++r)
        if (!reads_[r].sum) inputs_[r] = fills[r] ? *fills[r] : reads_[r].at(i, 0);
      if (!hides()) return {};
    }
    return fills;
  }

 private:
  explicit Mask(const KernelStatement& statement) : statement_(&statement) {}
  /// `inputs_`, whatever has been summed.
  [[nodiscard]] bool hides() {
    return std::all_of(kSums.begin(), kSums.end(), [&](double sum) {
      for (std::size_t r = 0; r < reads_.size(); ++r)
        if (reads_[r].sum) inputs_[r] = sum;
      return !(numerics::evaluate(statement_->expression, inputs_) > kHidden);
    });
  }

  const KernelStatement* statement_;
  std::vector<Positions> reads_;
  int row_ = -1;
  std::int64_t rows_ = 1, columns_ = 1;
  std::vector<double> inputs_;
};

}  // namespace

int dim_at(const KernelOperand& o, std::size_t x) {
  const numerics::Affine& f = o.index[x];
  return f.constant == 0 && f.terms.size() == 1 && f.terms[0].coefficient == 1 ? f.terms[0].variable : -1;
}

bool plain(const Kernel& kernel, const KernelOperand& o, const graph::Tensor& tensor) {
  if (o.picking || !o.lookups.empty() || o.fill) return false;
  std::set<int> dims;
  for (std::size_t x = 0; x < o.index.size(); ++x) {
    if (tensor.shape[x] == 1 && o.index[x].terms.empty() && o.index[x].constant == 0) continue;
    const int d = dim_at(o, x);
    if (d < 0 || dim(kernel, d).extent != tensor.shape[x] || !dims.insert(d).second) return false;
  }
  return true;
}

std::vector<int> uses_of(const graph::Graph& g, const std::vector<Kernel>& kernels) {
  std::vector<int> uses(g.tensors.size(), 0);
  for (const Kernel& kernel : kernels)
    for (const KernelOperand& o : kernel.operands) ++uses[o.tensor.index()];
  for (const graph::TensorId t : g.outputs) ++uses[t.index()];
  return uses;
}

std::optional<Link> link_between(const graph::Graph& g, const std::vector<Kernel>& kernels, const std::vector<int>& uses, std::size_t k) {
  const Kernel &writer = kernels[k], &reader = kernels[k + 1];
  std::optional<Link> link;
  for (std::size_t i = 0; i < writer.operands.size(); ++i) {
    const KernelOperand& out = writer.operands[i];
    if (!out.write) continue;
    const graph::Tensor& t = g.tensor(out.tensor);
    if (link || t.role != graph::Role::intermediate || uses[out.tensor.index()] != 2) return std::nullopt;
    for (std::size_t j = 0; j < reader.operands.size(); ++j) {
      const KernelOperand& in = reader.operands[j];
      if (!in.write && in.tensor == out.tensor && plain(writer, out, t) && plain(reader, in, t)) link = Link{i, j};
    }
    if (!link) return std::nullopt;
  }
  return link;
}

std::optional<Attention> attention_at(const graph::Graph& g, const std::vector<Kernel>& kernels, const std::vector<int>& uses,
                                      std::size_t k) {
  if (k + 2 >= kernels.size()) return std::nullopt;
  const Kernel &scores = kernels[k], &softmax = kernels[k + 1], &product = kernels[k + 2];
  if (!is_product(scores) || !is_softmax(softmax) || !is_product(product)) return std::nullopt;
  const auto first = link_between(g, kernels, uses, k), second = link_between(g, kernels, uses, k + 1);
  if (!first || !second) return std::nullopt;
  const KernelOperand &made = scores.operands[first->from], &taken = softmax.operands[0], &weighs = product.operands[second->to];
  const auto& factors = product.statements[0].reads;
  if (weighs.epilogue ||
      std::none_of(factors.begin(), factors.end(), [&](const KernelAccess& a) { return a.number == static_cast<int>(second->to); }))
    return std::nullopt;
  Attention out{*first, *second, {}, {-1, -1, -1}};
  const KernelStatement& largest = softmax.statements.front();
  for (std::size_t x = 0; x < made.index.size(); ++x) {
    const Attention::Along along{dim_at(made, x), dim_at(taken, x), dim_at(weighs, x)};
    if (along[1] < 0) continue;  // one index
    const auto at = std::find(largest.dims.begin(), largest.dims.end(), along[1]);
    const bool key = largest.kinds[static_cast<std::size_t>(at - largest.dims.begin())] == LoopKind::reduction;
    const KernelDim &of_scores = dim(scores, along[0]), &of_product = dim(product, along[2]);
    if (!of_scores.parallel || of_scores.single || (key ? !of_product.reduction : !of_product.parallel || of_product.single))
      return std::nullopt;
    if (!key) {
      if (!dim(softmax, along[1]).parallel) return std::nullopt;
      out.rows.push_back(along);
      continue;
    }
    if (out.keys[0] >= 0) return std::nullopt;
    out.keys = along;
  }
  if (out.keys[0] < 0) return std::nullopt;
  for (std::size_t d = 0; d < product.dims.size(); ++d)
    if (product.dims[d].single || (product.dims[d].reduction && static_cast<int>(d) != out.keys[2] && product.dims[d].extent > 1))
      return std::nullopt;
  return out;
}

std::optional<MaskBand> band_of(const graph::Graph& g, const Kernel& kernel, bool every) {
  auto mask = Mask::of(g, kernel, every);
  if (!mask) return std::nullopt;
  const std::int64_t rows = mask->rows(), columns = mask->columns();
  const auto first = mask->range(0), middle = mask->range(rows / 2), last = mask->range(rows - 1);
  if (!first || !middle || !last) return std::nullopt;
  MaskBand out{{}, mask->row(), {}};
  out.band.past = (*first)[1] - 1;
  if ((*last)[0] > 0) out.band.window = (*last)[1] - (*last)[0];
  const auto agrees = [&](std::int64_t i, const std::array<std::int64_t, 2>& seen) {
    const std::int64_t end = std::min(columns, i + out.band.past + 1);
    const std::int64_t begin = out.band.window == 0 ? 0 : std::max<std::int64_t>(0, i + out.band.past + 1 - out.band.window);
    return seen[0] == begin && seen[1] == end;
  };
  if (!agrees(0, *first) || !agrees(rows / 2, *middle) || !agrees(rows - 1, *last)) return std::nullopt;
  if (out.band.past + 1 >= columns && out.band.window == 0) return std::nullopt;  // it hides nothing
  if (!every) return out;
  if (rows > kMostScores / columns) return std::nullopt;
  for (std::int64_t i = 0; i < rows; ++i)
    if (const auto seen = mask->range(i); !seen || !agrees(i, *seen)) return std::nullopt;
  out.beyond = mask->beyond();
  return out;
}

}  // namespace switchyard::compiler
