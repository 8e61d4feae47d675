#include "numerics/nest.h"

#include <algorithm>
#include <array>
#include <limits>

#include "support/check.h"

namespace switchyard::numerics {

namespace {

struct CombinerInfo {
  Combiner combiner;
  std::string_view name;
  double identity;
};

// In the order of the enumeration.
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::array<CombinerInfo, 5> kCombiners = {{
    {Combiner::none, "none", 0.0},
    {Combiner::add, "add", 0.0},
    {Combiner::mul, "mul", 1.0},
    {Combiner::max, "max", -kInfinity},
    {Combiner::min, "min", kInfinity},
}};

const CombinerInfo& info(Combiner c) {
  const auto i = static_cast<std::size_t>(c);
  SY_CHECK(i < kCombiners.size() && kCombiners[i].combiner == c, "unknown combiner");
  return kCombiners[i];
}

}  // namespace

std::string_view combiner_name(Combiner c) { return info(c).name; }

std::optional<Combiner> combiner_named(std::string_view name) {
  for (const CombinerInfo& c : kCombiners) {
    if (c.name == name) return c.combiner;
  }
  return std::nullopt;
}

double combiner_identity(Combiner c) { return info(c).identity; }

double combine(Combiner c, double accumulator, double value) {
  switch (c) {
    case Combiner::none: return value;
    case Combiner::add: return accumulator + value;
    case Combiner::mul: return accumulator * value;
    case Combiner::max: return apply_scalar(ScalarOp::max, accumulator, value);
    case Combiner::min: return apply_scalar(ScalarOp::min, accumulator, value);
  }
  SY_CHECK(false, "unknown combiner");
}

bool Nest::has_lookups() const {
  return std::any_of(reads.begin(), reads.end(), [](const Access& read) { return !read.lookups.empty(); });
}

std::int64_t Nest::points() const {
  std::int64_t product = 1;
  for (const NestLoop& loop : loops) {
    SY_CHECK(!__builtin_mul_overflow(product, loop.extent, &product), "a nest with more than 2^63 points");
  }
  return product;
}

}  // namespace switchyard::numerics
