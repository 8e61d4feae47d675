#include "chip/schema.h"

#include <array>

namespace switchyard::chip {
namespace {

// Limits keep every derived time inside 64-bit picoseconds and every derived byte count inside 63 bits; real machines are far within.
constexpr double kLeastBandwidth = 1e6, kMostBandwidth = 1e18;
constexpr double kMostBytes = 1e15, kMostSeconds = 1e3, kMostCycles = 1e9;
constexpr double kLeastRate = 1e-6, kMostRate = 1e9;
constexpr double kMostCount = 1e6;

constexpr std::array kFields = {
    NumberField{"/clocks/*/hz", Dimension::hertz, 1e3, 1e12},
    NumberField{"/units/*/rate/*", Dimension::per_cycle, kLeastRate, kMostRate},
    NumberField{"/units/*/special", Dimension::per_cycle, kLeastRate, kMostRate},
    NumberField{"/units/*/startup", Dimension::cycles, 0, kMostCycles, false, "0 cycles"},
    NumberField{"/units/*/peak/*", Dimension::operations_per_second, 1, 1e24},
    NumberField{"/units/*/geometry/m", Dimension::ratio, 1, 65536, true, "1"},
    NumberField{"/units/*/geometry/n", Dimension::ratio, 1, 65536, true, "1"},
    NumberField{"/units/*/geometry/k", Dimension::ratio, 1, 65536, true, "1"},
    NumberField{"/units/*/geometry/load", Dimension::cycles, 0, kMostCycles, false, "0 cycles"},
    NumberField{"/units/*/geometry/fill", Dimension::cycles, 0, kMostCycles, false, "0 cycles"},
    NumberField{"/units/*/geometry/turn", Dimension::cycles, 0, kMostCycles, false, "0 cycles"},
    NumberField{"/units/*/queue_depth", Dimension::ratio, 1, kMostCount, true, "1"},
    NumberField{"/units/*/layout_block", Dimension::ratio, 1, 65536, true, "1"},
    NumberField{"/units/*/sustained", Dimension::ratio, 1e-3, 1, false, "1"},
    NumberField{"/units/*/step", Dimension::cycles, 0, kMostCycles, false, "0 cycles"},
    NumberField{"/units/*/tiles/k", Dimension::bytes, 1, 65536, true},
    NumberField{"/units/*/tiles/least", Dimension::ratio, 1, 1 << 24, true, "1"},
    NumberField{"/units/*/tiles/most", Dimension::ratio, 1, 1 << 24, true},
    NumberField{"/units/*/vectors/rows/*", Dimension::ratio, 1, 256, true},
    NumberField{"/units/*/vectors/k", Dimension::bytes, 1, 65536, true},
    NumberField{"/units/*/instructions/*", Dimension::ratio, 1, 1 << 16},
    NumberField{"/units/*/energy/*", Dimension::joules, 1e-18, 1e-3},
    NumberField{"/memories/*/bytes", Dimension::bytes, 1, kMostBytes, true},
    NumberField{"/memories/*/bandwidth", Dimension::bytes_per_second, kLeastBandwidth, kMostBandwidth},
    NumberField{"/memories/*/sustained", Dimension::ratio, 1e-3, 1, false, "1"},
    NumberField{"/memories/*/sustained_tiles", Dimension::ratio, 1e-3, 1},
    NumberField{"/memories/*/energy", Dimension::joules, 1e-18, 1e-3},
    NumberField{"/memories/*/latency", Dimension::seconds, 0, kMostSeconds, false, "0 s"},
    NumberField{"/memories/*/granule", Dimension::bytes, 1, 1 << 30, true, "1 B"},
    NumberField{"/memories/*/alignment", Dimension::bytes, 1, 1 << 30, true, "1 B"},
    NumberField{"/movers/*/startup", Dimension::seconds, 0, kMostSeconds},
    NumberField{"/movers/*/bandwidth", Dimension::bytes_per_second, kLeastBandwidth, kMostBandwidth},
    NumberField{"/movers/*/count", Dimension::ratio, 1, kMostCount, true, "1"},
    NumberField{"/movers/*/outstanding", Dimension::ratio, 1, kMostCount, true, "1"},
    NumberField{"/movers/*/queue_depth", Dimension::ratio, 1, kMostCount, true, "1"},
    NumberField{"/movers/*/dims", Dimension::ratio, 1, 64, true, "4"},
    NumberField{"/movers/*/multicast", Dimension::ratio, 1, kMostCount, true, "1"},
    NumberField{"/networks/*/link", Dimension::bytes_per_second, kLeastBandwidth, kMostBandwidth},
    NumberField{"/networks/*/hop", Dimension::seconds, 0, kMostSeconds},
    NumberField{"/networks/*/trunk", Dimension::bytes_per_second, kLeastBandwidth, kMostBandwidth},
    NumberField{"/networks/*/circuits", Dimension::ratio, 1, 1024, true},
    NumberField{"/networks/*/ends", Dimension::ratio, 1, 1024, true},
    NumberField{"/networks/*/streams", Dimension::ratio, 1, 1024, true, "1"},
    NumberField{"/collectives/protocols/*/start", Dimension::seconds, 0, kMostSeconds, false, "0 s"},
    NumberField{"/collectives/protocols/*/most", Dimension::bytes, 1, kMostBytes},
    NumberField{"/sequencer/issue", Dimension::seconds, 0, kMostSeconds, false, "0 s"},
    NumberField{"/sequencer/launch", Dimension::seconds, 0, kMostSeconds, false, "0 s"},
    NumberField{"/sequencer/slots", Dimension::ratio, 1, kMostCount, true, "1"},
    NumberField{"/sequencer/waves/start", Dimension::cycles, 0, kMostCycles, false, "0 cycles"},
    NumberField{"/sequencer/waves/fill", Dimension::cycles, 0, kMostCycles, false, "0 cycles"},
    NumberField{"/sequencer/waves/port", Dimension::bytes_per_cycle, kLeastRate, kMostRate},
    NumberField{"/sequencer/waves/store", Dimension::bytes_per_cycle, kLeastRate, kMostRate},
    NumberField{"/sequencer/waves/rows", Dimension::bytes_per_cycle, kLeastRate, kMostRate, false, "1000000 B/cycle"},
    NumberField{"/sequencer/waves/wait", Dimension::cycles, 0, kMostCycles, false, "0 cycles"},
    NumberField{"/sequencer/waves/share", Dimension::ratio, 1, 1024, true, "1"},
    NumberField{"/sequencer/waves/combine", Dimension::seconds, 0, kMostSeconds, false, "0 s"},
    NumberField{"/sequencer/waves/overlap", Dimension::ratio, 1, 1000, false, "1000"},
    NumberField{"/sequencer/waves/chains/columns", Dimension::ratio, 1, 4096, true},
    NumberField{"/sequencer/waves/chains/single_columns", Dimension::ratio, 1, 4096, true},
    NumberField{"/contexts/switch", Dimension::seconds, 0, kMostSeconds, false, "0 s"},
    NumberField{"/contexts/bytes", Dimension::bytes, 0, kMostBytes, true, "0 B"},
    NumberField{"/contexts/resident", Dimension::ratio, 1, kMostCount, true, "1"},
    NumberField{"/sync/*/alpha", Dimension::seconds, 0, kMostSeconds},
    NumberField{"/sync/*/beta", Dimension::seconds, 0, kMostSeconds, false, "0 s"},
    NumberField{"/cost/*", std::nullopt, 0, 1e24},
};

/// The names of a pointer, one at a time and still escaped.
std::string_view next_name(std::string_view& rest) {
  rest.remove_prefix(1);
  const std::string_view name = rest.substr(0, rest.find('/'));
  rest.remove_prefix(name.size());
  return name;
}

bool matches(std::string_view path, std::string_view pointer) {
  while (!path.empty() && !pointer.empty()) {
    const std::string_view expected = next_name(path), name = next_name(pointer);
    if (expected != "*" && expected != name) return false;
  }
  return path.empty() && pointer.empty();
}

}  // namespace

std::span<const NumberField> number_fields() { return kFields; }

const NumberField* number_field(std::string_view pointer) {
  if (!pointer.starts_with('/')) return nullptr;
  for (const NumberField& field : kFields) {
    if (matches(field.path, pointer)) return &field;
  }
  return nullptr;
}

std::string pointer_to(std::string_view parent, std::string_view key) {
  std::string pointer(parent);
  pointer += '/';
  for (const char c : key) {
    if (c == '~') {
      pointer += "~0";
    } else if (c == '/') {
      pointer += "~1";
    } else {
      pointer += c;
    }
  }
  return pointer;
}

std::optional<std::vector<std::string>> pointer_names(std::string_view pointer) {
  std::vector<std::string> names;
  while (!pointer.empty()) {
    if (pointer.front() != '/') return std::nullopt;
    const std::string_view escaped = next_name(pointer);
    std::string& name = names.emplace_back();
    for (std::size_t i = 0; i < escaped.size(); ++i) {
      const bool escape = escaped[i] == '~' && i + 1 < escaped.size() && (escaped[i + 1] == '0' || escaped[i + 1] == '1');
      name += escape ? (escaped[i + 1] == '0' ? '~' : '/') : escaped[i];
      if (escape) ++i;
    }
  }
  return names;
}

}  // namespace switchyard::chip
