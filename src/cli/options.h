// The command line as plain structs: which verb, with which arguments and options.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chip/read.h"
#include "compiler/compiler.h"
#include "support/result.h"

namespace switchyard::cli {

enum class Verb { run, compile, simulate, compare, explain, diff, conform, validate, chips, models, help, version };
enum class Values { automatic, on, off };
enum class Check { sampled, full, none };
enum class OutputFormat { table, json, jsonl, csv, md };

struct Options {
  Verb verb = Verb::help;
  bool help = false;                   ///< --help was given: print help of the verb
  std::vector<std::string> arguments;  ///< what is neither the verb nor an option: MODEL, P.syp, `list`, ...
  std::vector<std::string> chips;      ///< --chip (one) or --chips
  std::vector<std::string> chip_paths;
  std::string inputs, expect, outputs;  ///< directories; empty when not given
  std::optional<double> rtol, atol;
  Values values = Values::automatic;
  Check check = Check::sampled;
  bool check_given = false;
  std::string quantise, calibrate;      ///< as given; empty: not
  std::string precision;                ///< as given, of a list the first; empty: the model's own
  std::int64_t batch = 0;               ///< of a list the first; 0: the model's own
  std::vector<std::string> precisions;  ///< each once; empty: as above
  std::vector<std::int64_t> batches;
  bool decode = false;                    ///< --phase
  std::vector<std::string> step_options;  ///< those of --phase, --prompt and --context-length that were given
  std::int64_t prompt = 0, context_length = 0;  ///< 0: not given
  std::optional<numerics::Format> weights;  ///< --weights: of a language model's matrices
  std::int64_t tensor_parallel = 1;
  std::uint64_t seed = 0;
  std::int64_t timeout_s = 0, max_memory = 0;  ///< seconds, bytes; 0: no limit
  int threads = 0;                             ///< 0: all the host offers
  std::map<std::string, std::int64_t> set;
  std::map<std::string, std::vector<std::int64_t>> shapes;
  std::vector<chip::Override> overrides;
  bool cold = false;
  int effort = 1;
  compiler::Disabled disabled;
  std::vector<std::string> disabled_names;  ///< as given, each once
  std::string context;                      ///< explain: of which context to tell all; empty: the whole model
  std::string map, trace;                   ///< files of --map and --trace; empty: none
  std::vector<std::string> dump_tensors;    ///< names
  std::vector<std::string> dump_after;      ///< names of passes
  bool time_passes = false;
  std::string operators;     ///< conform: a file for the table of operators; empty when not given
  std::string report, rows;  ///< validate: files for pictures, and for all rows; empty when not given
  std::int64_t every = 1;    ///< validate: take every N-th row
  OutputFormat format = OutputFormat::table;
  bool layers = false;                ///< the table of all contexts instead of the largest
  std::string mapping, dump_mapping;  ///< files; empty when not given
  std::string output;                 ///< -o; empty: standard output
  bool quiet = false;
  std::vector<std::string> argv;  ///< as called, the program's name included
};

/// Reads a command line. Failures, all usage: cli/no-verb, cli/unknown-verb, cli/unknown-option, cli/bad-value, cli/missing-argument,
/// cli/too-many-arguments, cli/not-yet.
Result<Options> parse_command_line(const std::vector<std::string>& argv);

/// Is it a verb that the contract promises for later?
bool is_later_verb(std::string_view word);

/// Help of a verb: examples first, then its options. Verb::help: the whole program's.
std::string help_text(Verb verb);

}  // namespace switchyard::cli
