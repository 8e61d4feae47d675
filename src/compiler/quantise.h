// Post-training quantisation: the weights of products, and what they are multiplied with, in a narrow format.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chip/chip.h"
#include "compiler/compiler.h"
#include "graph/graph.h"
#include "support/result.h"

namespace switchyard::compiler {

enum class Granularity : std::uint8_t { tensor, channel, group };
enum class Calibration : std::uint8_t { minmax, percentile, mse };

/// What numbers become: q = round(x / scale) in `format`, symmetric around zero.
struct QuantiseScheme {
  std::string name;  ///< as given, for reports
  numerics::Format format = numerics::Format::int8;
  Granularity granularity = Granularity::channel;  ///< of the weights' scales; activations have one per tensor
  std::int64_t group = 0;                          ///< weights that share a scale, along the sum of the product
  bool activations = true;                         ///< with scales from a calibration
  bool blocks = false;                             ///< activations in blocks as the weights, with scales found while the chip runs
  std::optional<numerics::Format> scales;          ///< format of a group's scale; nothing: the program's precision
  Calibration calibration = Calibration::minmax;
};

/// "int8", "int8:tensor", "fp8_e4m3:channel", "int4:group128", "mxfp8", "mxfp6", "mxfp4", "nvfp4", "mxfp4:both". Empty when it is none of
/// these.
std::optional<QuantiseScheme> parse_scheme(std::string_view text);
std::optional<Calibration> parse_calibration(std::string_view text);
/// What parse_scheme takes, for hints.
std::string scheme_names();

/// Whether units of the chip multiply numbers of the format as they are. Where none does, values are rounded to the format and multiplied
/// in the program's precision: accuracy is that of the format, time is not.
bool multiplies(const chip::Chip& chip, numerics::Format format);

/// The scale for the values of one tensor.
double scale_for(const numerics::Tensor& values, numerics::Format format, Calibration calibration);

/// A scheme, and the scales of activations by the name of the tensor.
struct Quantisation {
  QuantiseScheme scheme;
  std::map<std::string, double> scales;
};

/// Whether the scheme needs scales of activations from a calibration: its own, or that on top of the scales of NVFP4's blocks.
bool needs_calibration(const QuantiseScheme& scheme);

/// The names of tensors whose scales a Quantisation of the graph (after canonicalisation) needs, where its scheme needs any.
std::vector<std::string> activations_to_scale(const graph::Graph& graph);

/// Rewrites products of an activation and a constant; of both, with scales for all of activations_to_scale(). Products of two activations
/// stay. Adds what was done to `labels` and `decisions`. Returns the tensors that have the format they are to be stored in.
std::vector<graph::TensorId> quantise(graph::Graph& graph, const chip::Chip& chip, const Quantisation& how, program::Labels& labels,
                                      std::vector<Decision>& decisions);

}  // namespace switchyard::compiler
