#include "report/measurement.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "support/file.h"

namespace switchyard::report {
namespace {

constexpr std::size_t kMostMistakes = 100;      ///< that are told of one file
constexpr std::size_t kLongestShown = 1 << 16;  ///< bytes of a row that is shown

/// The fields of one line (RFC 4180, but for quoted line ends).
std::vector<std::string> fields_of(std::string_view line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"') {
      if (quoted && i + 1 < line.size() && line[i + 1] == '"')
        fields.back() += line[i++];
      else
        quoted = !quoted;
    } else if (line[i] == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += line[i];
    }
  }
  return fields;
}

template <class Number>
bool parse_number(const std::string& text, Number& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

struct Columns {
  std::vector<std::string> names;
  [[nodiscard]] std::size_t find(std::string_view name) const {
    return static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
  }
  [[nodiscard]] std::string of(const std::vector<std::string>& row, std::string_view name) const {
    const std::size_t at = find(name);
    return at < row.size() ? row[at] : std::string();
  }
};

/// What is wrong with a row, or nothing.
std::string read_row(const Columns& columns, const std::vector<std::string>& row, Measurement& m) {
  if (row.size() != columns.names.size()) return fmt::format("{} fields, but the header has {}", row.size(), columns.names.size());
  m.chip = columns.of(row, "chip");
  m.format = columns.of(row, "format");
  m.variant = columns.of(row, "variant");
  m.source = columns.of(row, "source");
  m.library = columns.of(row, "library");
  m.operation.name = columns.of(row, "op");
  for (const char* needed : {"chip", "op", "format"})
    if (columns.of(row, needed).empty()) return fmt::format("'{}' is empty", needed);
  const std::string time = columns.of(row, "best_us");
  if (!parse_number(time, m.best_us) || !std::isfinite(m.best_us) || m.best_us <= 0)
    return fmt::format("'best_us' must be a positive number, not '{}'", time);
  if (const std::string n = columns.of(row, "n"); !n.empty() && (!parse_number(n, m.repeats) || m.repeats < 1))
    return fmt::format("'n' must be a positive whole number, not '{}'", n);
  const std::string shape = columns.of(row, "shape");
  for (std::size_t begin = 0; begin < shape.size();) {
    const std::size_t end = std::min(shape.find(';', begin), shape.size());
    const std::string part = shape.substr(begin, end - begin);
    const std::size_t equals = part.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == part.size())
      return fmt::format("'shape' must be key=value;..., but has '{}'", part);
    m.operation.shape.emplace_back(part.substr(0, equals), part.substr(equals + 1));
    begin = end + 1;
  }
  return {};
}

struct Overhead {
  std::string_view source;
  std::array<std::string_view, 2> ops;  ///< that it holds for; empty: all others of the source
  double microseconds;
  std::string_view library = {};  ///< a part of its name; empty: any
};
constexpr std::array kOverheads{Overhead{"aic", {}, 6, "trt_flow"}, Overhead{"neusight", {"gemm", "batch_gemm"}, 21},
                                Overhead{"neusight", {"softmax"}, 20}, Overhead{"neusight", {"layer_norm"}, 30},
                                Overhead{"neusight", {}, 13.8}};

}  // namespace

double framework_overhead_us(const Measurement& m) {
  for (const Overhead& o : kOverheads) {
    const bool any = o.ops[0].empty();
    if (m.source == o.source && m.library.find(o.library) != std::string::npos &&
        (any || m.operation.name == o.ops[0] || m.operation.name == o.ops[1]))
      return o.microseconds;
  }
  return 0;
}

namespace {

/// FlashAttention as a library calls it on devices whose blocks are not persistent: vLLM its second version's kernel for caches in pages,
/// SGLang the third's for this generation.
enum class Flash : std::uint8_t { none, second, third };
Flash flash_of(const Measurement& m, const chip::Chip& chip) {
  if (m.source != "aic" || !m.operation.name.starts_with("attention") || !chip.sequencer.waves || chip.sequencer.waves->fill_once)
    return Flash::none;
  if (m.library.find("vllm_flash_attn") != std::string::npos) return Flash::second;
  return m.library.find("SGLang") != std::string::npos && m.library.find("flash_attention") != std::string::npos ? Flash::third
                                                                                                                 : Flash::none;
}

std::int64_t size_of(const Measurement& m, std::string_view key) {
  const auto size = model::whole_size(m.operation, key);
  return size ? size.value() : 1;
}

}  // namespace

double further_kernels(const Measurement& m, const chip::Chip& chip) {
  // One scale of all activations is set to nothing first, and converted to fp32 at the end; the graph's search for it has one kernel more.
  if (measured_scheme(m) == "fp8_tensor" && m.operation.name == "gemm") return 1;
  if (m.source != "aic" || !m.operation.name.starts_with("attention")) return 0;
  if (flash_of(m, chip) != Flash::second) return 2;
  // One row of several heads that share keys is made several rows of one: queries and results are copied, unless that changes nothing.
  constexpr double kAround = 0.75, kResults = 1.3, kCopies = 3.5;
  const std::int64_t batch = size_of(m, "batch"), heads = size_of(m, "heads"), shared = size_of(m, "kv_heads");
  const bool one_row = m.operation.name == "attention_decode" || size_of(m, "q") == 1;
  if (!one_row || heads == shared) return kAround;
  return batch == 1 || shared == 1 ? kResults : kCopies;
}

std::optional<chip::Waves::Chains> library_blocks(const Measurement& m, const chip::Chip& chip) {
  switch (flash_of(m, chip)) {
    case Flash::second: return chip::Waves::Chains{{64}, {64}, 128, 128};
    case Flash::third: return chip::Waves::Chains{{128}, {128}, 64, 64};
    case Flash::none: break;
  }
  return std::nullopt;
}

// FlashAttention 3 takes queries, keys and values in one format. SGLang converts on each call; vLLM is given queries that are converted.
bool multiplies_as_cached(const Measurement& m) { return m.library.find("fa3") != std::string::npos; }
bool converts_to_cached(const Measurement& m) { return multiplies_as_cached(m) && m.library.starts_with("SGLang"); }

std::string measured_scheme(const Measurement& m) {
  return m.source == "aic" && m.format == "fp8" && m.library.starts_with("TRTLLM") ? "fp8_tensor" : m.format;
}

model::Operation measured_operation(const Measurement& m) {
  model::Operation operation = m.operation;
  if (m.source == "neusight" && (operation.name == "gemm" || operation.name == "batch_gemm"))
    for (auto& [key, value] : operation.shape) key = key == "n" ? "k" : key == "k" ? "n" : key;
  return operation;
}

bool near_best(const Measurement& m) {
  if (m.format == "fp8_block" && m.repeats < 2) return false;
  if (!m.operation.name.starts_with("attention") || m.repeats >= 2 || m.library.empty()) return true;
  for (const std::string_view good : {"flash_attention", "flash_attn", "fa3"})
    if (m.library.find(good) != std::string::npos) return true;
  return false;
}

Result<std::vector<Measurement>> read_measurements(const std::string& path) {
  SY_TRY(const std::string text, read_file(path));
  return parse_measurements(text, path);
}

Result<std::vector<Measurement>> parse_measurements(std::string_view text, const std::string& path) {
  std::vector<Measurement> rows;
  Failure failure{FailureKind::malformed, {}, {}};
  Columns columns;
  int line = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view content(text.data() + begin, end - begin);
    if (content.ends_with('\r')) content.remove_suffix(1);
    begin = end + 1;
    ++line;
    if (content.empty()) continue;
    if (columns.names.empty()) {
      columns.names = fields_of(content);
      for (const char* needed : {"chip", "op", "shape", "format", "best_us"})
        if (columns.find(needed) == columns.names.size())
          failure.diagnostics.push_back(
              {"measurement/header", fmt::format("the header has no column '{}'", needed), {path, line, 1}, {}, {}, {}});
      if (!failure.diagnostics.empty()) return failure;
      continue;
    }
    Measurement m;
    m.location = {path, line, 1};
    const std::string problem = read_row(columns, fields_of(content), m);
    if (problem.empty()) {
      rows.push_back(std::move(m));
    } else if (failure.diagnostics.size() < kMostMistakes) {
      const std::string_view shown = content.size() <= kLongestShown ? content : std::string_view();
      failure.diagnostics.push_back({"measurement/row", problem, m.location, {}, {}, std::string(shown)});
    }
  }
  if (!failure.diagnostics.empty()) return failure;
  if (rows.empty())
    return fail(FailureKind::malformed, "measurement/header", "there are no rows of measurements",
                "the first line names the columns: chip,op,shape,format,best_us", {path, 0, 0});
  return rows;
}

}  // namespace switchyard::report
