// RunReport: everything known about one compiled and timed (perhaps executed) program: the data behind the table and run/1.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "program/program.h"
#include "report/assumptions.h"
#include "report/check.h"
#include "simulation/execute.h"
#include "simulation/timing.h"

namespace switchyard::report {

struct ContextReport {
  std::string name;
  std::vector<std::string> ops;
  std::int64_t repeat = 1;
  Picoseconds span, share, lower_bound;
  simulation::Attribution attribution{};
  Picoseconds early{};  ///< of the span: its early movers worked while the context before still ran
  Picoseconds busy{};   ///< from when it is due, the context before it having ended, to its end: barrier and switch included
  /// What no schedule could have done faster while it was busy: its own work on units, and its compulsory bytes as far as they had not come
  /// before, with those that were fetched for later contexts.
  Picoseconds busy_bound{};
  std::int64_t macs = 0, vector_ops = 0;               ///< useful ones
  std::int64_t offchip_read = 0, offchip_written = 0;  ///< bytes; what another context's early movers fetch for it is its own
  /// Operations (two a MAC) by bytes of off-chip traffic; nothing where there is no such traffic.
  [[nodiscard]] std::optional<double> intensity() const;
  [[nodiscard]] double gap() const;  ///< busy ÷ its bound; 0: it has none
};

struct OutputReport {
  std::string name;
  numerics::Shape shape;
  std::string format;
  std::string sha256;  ///< of the raw little-endian bytes, in `format`
};

/// Shares of what was there to be used, 0..1.
struct Utilization {
  double matrix = 0, vector = 0, offchip = 0, network = 0;
  std::vector<std::string> multiplied_on;  ///< units that did the multiplications of `matrix`, in the order of the chip
  bool on_lanes = false;                   ///< none of them is a matrix unit
};

/// Host seconds of each phase; the check's are not part of `execute`.
struct PhaseTimes {
  double import = 0, compile = 0, execute = 0, simulate = 0, check = 0;
};

/// How far the outputs are from those of the same model and inputs computed in fp32: what an element-wise tolerance hides.
struct Accuracy {
  std::string reference;  ///< how the reference was computed
  double max_abs_error = 0, max_rel_error = 0, rms_rel_error = 0, cosine = 1, snr_db = 0;
  double max_abs_error_of = 0;  ///< what fp32 gives where the error is greatest
  struct Output {
    std::string name;
    double cosine = 1, snr_db = 0;
  };
  std::vector<Output> outputs;
};
Accuracy accuracy_of(const std::vector<numerics::Tensor>& got, const std::vector<numerics::Tensor>& reference,
                     const std::vector<std::string>& names, std::string how);

/// What quantisation cost and brought, beside the same model without it.
struct QuantiseReport {
  std::string scheme, calibration;
  bool native = false;      ///< units multiply the format itself: else only accuracy is that of the format
  Picoseconds unquantised;  ///< latency without it
};

struct RunReport {
  std::optional<Accuracy> accuracy;
  std::optional<QuantiseReport> quantised;
  struct Model {
    std::string name, sha256;
    std::int64_t ops = 0, macs = 0, parameters = 0;
  } model;
  struct ChipName {
    std::string name, sha256, title;
  } chip;
  std::string precision;
  std::int64_t batch = 1;
  Picoseconds latency, lower_bound, peak_bound, launch, host;
  std::optional<Picoseconds> load;  ///< of constants from the host, once; nothing where the chip file describes no link to a host
  std::int64_t host_ops = 0;
  simulation::Attribution attribution{};
  Utilization utilization;
  std::int64_t offchip_read = 0, offchip_written = 0, offchip_constants = 0, network_bytes = 0, link_bytes = 0;
  std::vector<ContextReport> contexts;
  std::int64_t memory_offchip = 0, memory_scratchpad = 0;  ///< peak bytes
  std::vector<OutputReport> outputs;
  CheckReport check;
  PhaseTimes timings;
  std::vector<AssumptionReport> assumptions;
  std::vector<std::string> notes;
  std::string version;
  std::uint64_t seed = 0;
  std::vector<std::string> argv;
  std::vector<std::string> overrides;  ///< POINTER=QUANTITY
  std::vector<std::string> disabled;   ///< means of the compiler
  std::string partial;                 ///< why it is not whole, and what it lacks; empty: it is whole
  std::optional<Diagnostic> error;     ///< a row of a comparison that could not be run: only model, chip and precision are filled

  [[nodiscard]] double gap() const;
  [[nodiscard]] double throughput_per_s() const;
};

/// The part of a report that the program and its timing determine. Labels give the model's counts and the bounds.
RunReport describe_run(const program::Program& program, const simulation::Timing& timing);

/// Outputs in the type in which they are handed out: the model's declared one (bf16 is widened to fp32, which every reader of tensor
/// files knows), or their own where nothing is declared.
std::vector<numerics::Tensor> declared_outputs(const program::Program& program, const std::vector<numerics::Tensor>& outputs);
std::vector<OutputReport> describe_outputs(const program::Program& program, const std::vector<numerics::Tensor>& declared);

/// Bytes of off-chip buffers alive in the fullest context; and what the fullest component's scratchpad holds at once.
std::int64_t peak_offchip_bytes(const program::Program& program);
std::int64_t peak_scratchpad_bytes(const program::Program& program);

}  // namespace switchyard::report
