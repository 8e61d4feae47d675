// Conformance: ONNX's own test cases, imported, compiled, executed on a chip's units, and compared with the standard's expected outputs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "chip/chip.h"
#include "report/check.h"
#include "support/result.h"

namespace switchyard::report {

/// A model with sets of inputs and expected outputs: a folder with model.onnx and test_data_set_*/{input,output}_*.pb, or a file NAME.onnx
/// with NAME_output_0.pb beside it, whose inputs are seeded.
struct ConformCase {
  std::string name;                    ///< relative to the folder that was searched
  std::string model;                   ///< path of the .onnx file
  std::vector<std::string> data_sets;  ///< folders, sorted
};

/// Every case under a folder (or the folder itself when it is one), sorted by name. Failure: conform/no-cases.
Result<std::vector<ConformCase>> find_cases(const std::string& directory);

enum class ConformOutcome : std::uint8_t { passed, failed, unsupported };

struct CaseResult {
  std::string name;
  ConformOutcome outcome = ConformOutcome::failed;
  std::string why;                          ///< of what did not pass
  bool bit_exact = false;                   ///< every output has the expected bits
  std::int64_t chip_ops = 0;                ///< operators that the chip's units executed
  std::vector<std::string> host_operators;  ///< kinds of those that the host executed, each once
  std::string tolerance;                    ///< where it was derived: the rule in words
  std::string distribution;                 ///< of random numbers, which equal no expected ones: how they were judged, with what result
  std::vector<std::string> operators;       ///< types of the model's nodes, each once
  std::vector<std::string> formats;         ///< of inputs and outputs, each once
  double seconds = 0;
};

struct ConformOptions {
  std::uint64_t seed = 0;
  int effort = 0;
  std::optional<numerics::Format> precision;  ///< all floating tensors in this format; else each in its own
  std::optional<double> rtol, atol;
};

/// Runs one case; never throws. A bug of ours is a failed case that says so.
CaseResult run_case(const ConformCase& test, const std::shared_ptr<const chip::Chip>& chip, const ConformOptions& options);

struct ConformReport {
  std::string chip;
  std::string precision;          ///< where one was asked for
  std::vector<CaseResult> cases;  ///< in the order of find_cases
};

struct ConformCounts {
  std::int64_t total = 0, passed = 0, on_chip = 0, mixed = 0, on_host = 0, bit_exact = 0, distributed = 0, failed = 0, unsupported = 0;
  void add(const CaseResult& result);
};

std::string print_conform_json(const ConformReport& report);   ///< schema switchyard/conform/1
std::string print_conform_table(const ConformReport& report);  ///< for a screen of 100 columns
/// A page in Markdown: every operator that is read or that a case uses, from which operator set, how it is executed, in which formats, and
/// how many of the cases in which it is the only operator pass.
std::string print_operators(const ConformReport& report);

}  // namespace switchyard::report
