// Measurements: rows of a CSV file that say how long one operator took on one device. The columns: docs/validation.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chip/chip.h"
#include "model/operation.h"
#include "support/result.h"

namespace switchyard::report {

struct Measurement {
  std::string chip, format, variant, source, library;
  model::Operation operation;
  double best_us = 0;
  std::int64_t repeats = 1;  ///< measurements of which it is the best
  Location location;
};

/// Microseconds that the way of measuring adds to every row, by source: what a framework does on the host between two kernels, which
/// are not the device's. The constants, and what they were fitted on, are in docs/validation.md.
double framework_overhead_us(const Measurement& measurement);

/// Further small kernels that every row of a source contains (what a framework launches around attention), in launches of a kernel.
double further_kernels(const Measurement& measurement, const chip::Chip& chip);

/// The blocks of attention in the library that a row names, where they are known: its kernels are not the best of the chip's menu.
std::optional<chip::Waves::Chains> library_blocks(const Measurement& measurement, const chip::Chip& chip);

/// The scheme (model/quantised.h) by which the row's library quantises what it calls by the row's format; the format itself otherwise.
std::string measured_scheme(const Measurement& measurement);

/// The operation that a row measured. NeuSight's products multiply [b, m, n] by [b, n, k]: what it calls n is reduced, and k are the
/// columns.
model::Operation measured_operation(const Measurement& measurement);

/// Does the row's library multiply in the format of the cache, where queries come in a wider one? Are they, and new rows of the cache,
/// converted in kernels of their own within what was measured?
bool multiplies_as_cached(const Measurement& measurement);
bool converts_to_cached(const Measurement& measurement);

/// Is the row near the best that the device can do? Of attention and of products scaled by blocks, one library alone may be far from it:
/// such rows form groups of their own.
bool near_best(const Measurement& measurement);

/// Reads a file with a header; `chip,op,shape,format,best_us` must be among its columns, `variant`, `source`, `library` and `n` may be.
/// Failures: those of read_file, measurement/header (a column is missing, or there are no rows), measurement/row (malformed: too few
/// fields, no time, a shape that is not key=value;...), up to a hundred at once.
Result<std::vector<Measurement>> read_measurements(const std::string& path);
/// The same of what a file holds; `path` names it in diagnostics.
Result<std::vector<Measurement>> parse_measurements(std::string_view text, const std::string& path);

}  // namespace switchyard::report
