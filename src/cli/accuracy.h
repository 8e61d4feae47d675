// What a model gives in fp32: the reference for errors of narrower formats, and the values that quantisation is calibrated on.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cli/flow.h"
#include "compiler/quantise.h"

namespace switchyard::cli {

/// The model in fp32 on the same chip, with the inputs that the run will have. `scheme` may be null: without it no scales are gathered.
Result<Reference> run_reference(Workplace& work, const model::LoadedModel& model, const std::shared_ptr<const chip::Chip>& chip,
                                const compiler::QuantiseScheme* scheme);

/// --precision or --quantise asks for it, and it can be had: the model is executed, in a format narrower than fp32.
bool wants_reference(const Workplace& work, const model::LoadedModel& model, numerics::Format precision);

/// What --quantise and --calibrate say; the command line has been checked.
compiler::QuantiseScheme scheme_of(const Options& options);

}  // namespace switchyard::cli
