// The values of options: texts, as the command line has them, read by our own rules, so that a bad one gets a diagnostic like every other
// mistake.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/options.h"
#include "support/result.h"

namespace switchyard::cli {

/// Option values as CLI11 hands them over: texts, not yet read.
struct Raw {
  std::string values, check, precision, quantise, calibrate, batch, seed, threads, effort, format, rtol, atol, output, inputs, expect,
      outputs, chip, context, map, mapping, dump_mapping, report, rows, operators, every, trace, timeout, max_memory, phase, prompt,
      context_length, weights, tensor_parallel;
  std::vector<std::string> chips, chip_paths, set, shapes, overrides, disabled, dump_after, dump_tensors, arguments;
  bool no_values = false, cold = false, quiet = false, help = false, time_passes = false, layers = false;
};

/// A usage failure of one diagnostic.
Failure usage(std::string code, std::string message, std::string hint = {});
/// cli/not-yet.
Failure not_yet(const std::string& what);
/// "did you mean 'x'?", or what to say where nothing is near.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates, const std::string& otherwise);

/// Fills `options`, whose verb is known; all mistakes together (cli/bad-value, cli/not-yet).
Result<Options> read_values(const Raw& raw, Options options);

}  // namespace switchyard::cli
