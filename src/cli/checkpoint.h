// Checkpoints: the trained weights beside a language model's configuration, where they are there.
#pragma once

#include <string>

#include "model/model.h"
#include "support/result.h"

namespace switchyard::cli {

/// Gives the constants of a model that was loaded from the configuration in `folder` the values of model.safetensors, or of the files that
/// model.safetensors.index.json names; they are read when somebody wants them. Nothing happens where neither is there. What cannot take
/// them (families with other names, weights of few bits, several devices) is noted in the model. Failures (malformed): llm/weights (a
/// tensor is missing or has another shape), those of a document and of read_safetensors.
Status read_checkpoint(const std::string& folder, model::LoadedModel& model);

}  // namespace switchyard::cli
