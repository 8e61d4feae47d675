// Reads what a diff needs out of a report file.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "report/diff.h"
#include "support/document.h"
#include "support/file.h"

namespace switchyard::report {
namespace {

constexpr const char* kHowToWrite = "write one with `switchyard run MODEL --chip CHIP --format json -o FILE`";
constexpr std::size_t kLargestFile = std::size_t{64} << 20;
constexpr double kMostMicroseconds = 1e12;  ///< 11 days: whatever is added up then fits picoseconds in 64 bits

/// Keys of a map, with complaints about those that are not there or not what they should be.
class Reader {
 public:
  Reader(const Document& document, Failure& failure) : document_(document), failure_(failure) {}

  const Node* child(const Node& node, const char* key, const std::string& at) {
    const Node* found = node.kind == Node::Kind::map ? node.find(key) : nullptr;
    if (found == nullptr) complain("report/missing-key", fmt::format("'{}' has no '{}'", at.empty() ? "/" : at, key), node, at);
    return found;
  }
  std::string text(const Node& node, const char* key, const std::string& at) {
    const Node* found = child(node, key, at);
    return found != nullptr && found->kind == Node::Kind::scalar ? found->text : std::string();
  }
  double real(const Node& node, const char* key, const std::string& at) {
    const Node* found = child(node, key, at);
    if (found == nullptr) return 0;
    double value = 0;
    const char* end = found->text.data() + found->text.size();
    const auto [stop, error] = std::from_chars(found->text.data(), end, value);
    if (found->kind != Node::Kind::scalar || found->quoted || error != std::errc() || stop != end || !std::isfinite(value)) {
      complain("report/value", fmt::format("'{}' is no number", found->text), *found, at + "/" + key);
      return 0;
    }
    return value;
  }
  std::int64_t whole(const Node& node, const char* key, const std::string& at) {
    const double value = real(node, key, at);
    if (std::abs(value) < 9e15) return static_cast<std::int64_t>(std::llround(value));
    complain("report/value", fmt::format("{} is too large", value), *node.find(key), at + "/" + key);
    return 0;
  }
  /// Exact: six decimals of a microsecond are picoseconds.
  Picoseconds time(const Node& node, const char* key, const std::string& at) {
    const double value = real(node, key, at);
    if (std::abs(value) > kMostMicroseconds) {
      complain("report/value", fmt::format("{} us is too long", value), *node.find(key), at + "/" + key);
      return {};
    }
    const Node* found = node.kind == Node::Kind::map ? node.find(key) : nullptr;
    if (found == nullptr) return {};
    const std::string& written = found->text;
    const std::size_t point = written.find('.');
    if (point != std::string::npos && written.size() - point == 7 && written.find_first_of("eE") == std::string::npos) {
      const std::string digits = written.substr(0, point) + written.substr(point + 1);
      std::int64_t ps = 0;
      if (std::from_chars(digits.data(), digits.data() + digits.size(), ps).ec == std::errc()) return Picoseconds(ps);
    }
    return Picoseconds(std::llround(value * 1e6));  // rewritten by another program
  }
  std::vector<std::string> list(const Node& node, const char* key, const std::string& at) {
    std::vector<std::string> texts;
    const Node* found = child(node, key, at);
    if (found == nullptr) return texts;
    for (const Node& item : found->items) texts.push_back(item.text);
    return texts;
  }
  simulation::Attribution causes(const Node& node, const std::string& at) {
    simulation::Attribution result{};
    const Node* map = child(node, "attribution_us", at);
    for (std::size_t c = 0; c < result.size() && map != nullptr; ++c)
      result[c] = time(*map, simulation::kCauseNames[c], at + "/attribution_us");
    return result;
  }
  void complain(const char* code, std::string message, const Node& node, const std::string& at) {
    constexpr std::size_t kMost = 20;
    if (failure_.diagnostics.size() >= kMost) return;
    failure_.diagnostics.push_back({code, std::move(message), document_.location(node), at, {}, document_.line_text(node.line)});
  }

 private:
  const Document& document_;
  Failure& failure_;
};

RunRecord read_run(Reader& reader, const Node& run, const std::string& at, const std::string& file) {
  RunRecord r;
  r.file = file;
  if (const Node* model = reader.child(run, "model", at)) {
    r.model = reader.text(*model, "name", at + "/model");
    r.model_sha256 = reader.text(*model, "sha256", at + "/model");
    r.ops = reader.whole(*model, "ops", at + "/model");
    r.macs = reader.whole(*model, "macs", at + "/model");
  }
  if (const Node* chip = reader.child(run, "chip", at)) {
    r.chip = reader.text(*chip, "name", at + "/chip");
    r.chip_sha256 = reader.text(*chip, "sha256", at + "/chip");
  }
  r.precision = reader.text(run, "precision", at);
  if (run.kind == Node::Kind::map && run.find("batch") != nullptr)
    r.batch = reader.whole(run, "batch", at);  // reports of the first version have none
  if (run.kind == Node::Kind::map && run.find("partial") != nullptr) r.partial = reader.text(run, "partial", at);
  r.latency = reader.time(run, "latency_us", at);
  r.lower_bound = reader.time(run, "lower_bound_us", at);
  r.launch = reader.time(run, "launch_us", at);
  r.attribution = reader.causes(run, at);
  if (const Node* host = run.find("host"); host != nullptr) r.host = reader.time(*host, "us", at + "/host");
  const auto numbers = [&](const char* key, const auto& names, auto& to, auto read) {
    const Node* map = reader.child(run, key, at);
    for (std::size_t i = 0; i < names.size() && map != nullptr; ++i) to[i] = read(*map, names[i], at + "/" + key);
  };
  const auto real = [&](const Node& n, const char* key, const std::string& where) { return reader.real(n, key, where); };
  const auto whole = [&](const Node& n, const char* key, const std::string& where) { return reader.whole(n, key, where); };
  numbers("utilization", kUtilizationNames, r.utilization, real);
  numbers("traffic_bytes", kTrafficNames, r.traffic, whole);
  numbers("memory_peak_bytes", kPeakNames, r.peak_bytes, whole);
  if (const Node* provenance = run.find("provenance")) {
    r.version = reader.text(*provenance, "version", at + "/provenance");
    r.seed = reader.whole(*provenance, "seed", at + "/provenance");
    for (const auto& [key, to] : {std::pair{"overrides", &r.overrides}, std::pair{"disabled", &r.disabled}}) {
      if (provenance->find(key) != nullptr) *to = reader.list(*provenance, key, at + "/provenance");
    }
  }
  if (const Node* contexts = reader.child(run, "contexts", at)) {
    double sum = 0;
    for (std::size_t i = 0; i < contexts->items.size(); ++i) {
      const Node& node = contexts->items[i];
      const std::string where = fmt::format("{}/contexts/{}", at, i);
      RunRecord::Context c;
      c.name = reader.text(node, "name", where);
      c.ops = reader.list(node, "ops", where);
      const bool repeats = node.kind == Node::Kind::map && node.find("repeat") != nullptr;
      const std::int64_t repeat = repeats ? std::max<std::int64_t>(1, reader.whole(node, "repeat", where)) : 1;
      c.share = reader.time(node, "share_us", where);
      c.attribution = reader.causes(node, where);
      double parts = std::abs(microseconds(c.share));
      for (const Picoseconds part : c.attribution) parts += std::abs(microseconds(part));
      sum += parts * static_cast<double>(repeat);
      if (sum > 2 * kMostMicroseconds) {
        reader.complain("report/value", "the times of the contexts up to here add up to more than can be counted", node, where);
        break;
      }
      c.share = c.share * repeat;
      for (Picoseconds& part : c.attribution) part = part * repeat;
      r.contexts.push_back(std::move(c));
    }
  }
  return r;
}

}  // namespace

Result<std::vector<RunRecord>> read_runs(const std::string& path) {
  SY_TRY(std::string text, read_file(path, kLargestFile));
  return parse_runs(std::move(text), path);
}

Result<std::vector<RunRecord>> parse_runs(std::string text, const std::string& path) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos || text[first] != '{')
    return fail(FailureKind::malformed, "report/schema", "not a report: it does not begin as a JSON object does", kHowToWrite,
                {path, 1, 1});
  SY_TRY(const Document document, parse_document(std::move(text), path));
  Failure failure;
  Reader reader(document, failure);
  std::vector<RunRecord> runs;
  const Node& root = document.root;
  const Node* schema = root.kind == Node::Kind::map ? root.find("schema") : nullptr;
  const std::string name = schema != nullptr ? schema->text : std::string();
  std::size_t failed = 0;
  const auto add = [&](const Node& run, const std::string& at) {
    if (run.kind == Node::Kind::map && run.find("error") != nullptr) {
      ++failed;
    } else {
      runs.push_back(read_run(reader, run, at, path));
    }
  };
  if (name == "switchyard/run/1") {
    add(root, "");
  } else if (name == "switchyard/compare/1") {
    if (const Node* list = reader.child(root, "runs", "")) {
      for (std::size_t i = 0; i < list->items.size(); ++i) add(list->items[i], fmt::format("/runs/{}", i));
    }
  } else {
    return fail(FailureKind::malformed, "report/schema",
                name.empty() ? "not a report: it has no 'schema'" : fmt::format("reports of schema '{}' cannot be compared", name),
                kHowToWrite, document.location(root));
  }
  if (!failure.diagnostics.empty()) return failure;
  if (runs.empty()) {
    return fail(FailureKind::malformed, "report/no-result",
                failed > 0 ? "all its runs failed: there is nothing to compare" : "it holds no runs", {}, document.location(root));
  }
  return runs;
}

}  // namespace switchyard::report
