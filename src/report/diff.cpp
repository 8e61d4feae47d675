#include "report/diff.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <numeric>

namespace switchyard::report {
namespace {

/// Sets of contexts of both runs that hang together by operators.
class Sets {
 public:
  explicit Sets(std::size_t count) : parent_(count) { std::iota(parent_.begin(), parent_.end(), std::size_t{0}); }
  std::size_t find(std::size_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }
  void join(std::size_t i, std::size_t j) {
    const std::size_t a = find(i), b = find(j);
    parent_[std::max(a, b)] = std::min(a, b);  // the first one stands for all
  }

 private:
  std::vector<std::size_t> parent_;
};

/// What a context is recognised by: its operators, or its name where it has none.
std::vector<std::string> keys_of(const RunRecord::Context& c) {
  if (c.ops.empty()) return {"context " + c.name};
  std::vector<std::string> keys;
  for (const std::string& op : c.ops) keys.push_back("op " + op);
  return keys;
}

std::vector<Moved> match(const RunRecord& a, const RunRecord& b) {
  const std::size_t count = a.contexts.size();
  const auto context = [&](std::size_t i) -> const RunRecord::Context& { return i < count ? a.contexts[i] : b.contexts[i - count]; };
  Sets sets(count + b.contexts.size());
  std::map<std::string, std::size_t> first;
  for (std::size_t i = 0; i < count + b.contexts.size(); ++i) {
    for (const std::string& key : keys_of(context(i))) {
      const auto [known, added] = first.emplace(key, i);
      if (!added) sets.join(known->second, i);
    }
  }
  std::map<std::size_t, Moved> entries;
  for (std::size_t i = 0; i < count + b.contexts.size(); ++i) {
    const RunRecord::Context& c = context(i);
    Moved& m = entries[sets.find(i)];
    (i < count ? m.in_a : m.in_b).push_back(c.name);
    (i < count ? m.a : m.b) += c.share;
    for (std::size_t k = 0; k < m.change.size(); ++k) m.change[k] += i < count ? Picoseconds(-c.attribution[k].value) : c.attribution[k];
    for (const std::string& op : c.ops.empty() ? std::vector<std::string>{c.name} : c.ops) {
      if (std::find(m.ops.begin(), m.ops.end(), op) == m.ops.end()) m.ops.push_back(op);
    }
  }
  std::vector<Moved> moved;
  for (auto& [number, entry] : entries) moved.push_back(std::move(entry));
  std::stable_sort(moved.begin(), moved.end(),
                   [](const Moved& x, const Moved& y) { return std::abs(x.delta().value) > std::abs(y.delta().value); });
  return moved;
}

std::vector<std::string> differences_of(const RunRecord& a, const RunRecord& b) {
  std::vector<std::string> sentences;
  const auto tell = [&](const char* what, const std::string& x, const std::string& y) {
    if (x != y) sentences.push_back(fmt::format("{}: {} in A, {} in B", what, x.empty() ? "none" : x, y.empty() ? "none" : y));
  };
  tell("model", a.model, b.model);
  if (a.model == b.model && a.model_sha256 != b.model_sha256 && a.batch == b.batch) {
    sentences.emplace_back("the models have one name, but not the same contents");
  }
  tell("chip", a.chip, b.chip);
  const auto tell_lists = [&](const char* what, const std::vector<std::string>& x, const std::vector<std::string>& y) {
    tell(what, fmt::format("{}", fmt::join(x, ", ")), fmt::format("{}", fmt::join(y, ", ")));
  };
  tell_lists("overridden", a.overrides, b.overrides);
  tell_lists("compiled without", a.disabled, b.disabled);
  if (a.chip == b.chip && a.chip_sha256 != b.chip_sha256 && a.overrides == b.overrides)
    sentences.emplace_back("the chips have one name, but not the same description");
  tell("precision", a.precision, b.precision);
  tell("batch", std::to_string(a.batch), std::to_string(b.batch));
  tell("seed", std::to_string(a.seed), std::to_string(b.seed));
  tell("switchyard", a.version, b.version);
  for (const RunRecord* r : {&a, &b}) {
    if (!r->partial.empty()) sentences.push_back(fmt::format("{} is partial: {}", r == &a ? "A" : "B", r->partial));
  }
  return sentences;
}

std::string key_of(const RunRecord& r) { return fmt::format("{} {} batch {}", r.chip, r.precision, r.batch); }

}  // namespace

Diff diff_runs(RunRecord a, RunRecord b) {
  Diff d;
  d.moved = match(a, b);
  d.differences = differences_of(a, b);
  d.a = std::move(a);
  d.b = std::move(b);
  return d;
}

Pairs pair_runs(std::vector<RunRecord> a, std::vector<RunRecord> b) {
  Pairs pairs;
  if (a.size() == 1 && b.size() == 1) {
    pairs.diffs.push_back(diff_runs(std::move(a.front()), std::move(b.front())));
    return pairs;
  }
  for (RunRecord& x : a) {
    const auto y = std::find_if(b.begin(), b.end(), [&](const RunRecord& r) { return key_of(r) == key_of(x); });
    if (y == b.end()) {
      pairs.only_a.push_back(key_of(x));
      continue;
    }
    pairs.diffs.push_back(diff_runs(std::move(x), std::move(*y)));
    b.erase(y);
  }
  for (const RunRecord& y : b) pairs.only_b.push_back(key_of(y));
  return pairs;
}

}  // namespace switchyard::report
