// Servers: the machines whose devices share a language model, found by the chip that they are made of; and whether a model fits one device.
#pragma once

#include <string_view>

#include "cli/flow.h"
#include "compiler/collective.h"

namespace switchyard::cli {

/// The server whose devices are chips of this name; null where no file says so. Overrides change its numbers where `overrides` holds.
Result<std::shared_ptr<const chip::Chip>> find_server(const Options& options, const std::string& chip, bool overrides);

/// The least time of all ways in which a server's protocols can do it; `library` as compile_collective takes it. Failures: its own, and
/// those of the timing engine.
Result<Picoseconds> exchange_time(const std::shared_ptr<const chip::Chip>& server, const compiler::Collective& work,
                                  std::string_view library = {});

/// Does the chip store the format of a language model's weights, and do they, caches and activations fit its memory? Failures:
/// compile/unsupported-format; compile/does-not-fit, with levers. Other models are not looked at.
Status check_memory(const model::LoadedModel& model, const chip::Chip& chip, numerics::Format precision);

/// Adds to the contexts of a program what its device exchanges with the others. Failures: llm/server (unsupported: no server of this chip,
/// or too small a one), those of compile_collective.
Status add_exchanges(const Options& options, const model::LoadedModel& model, numerics::Format precision, program::Program& program);

}  // namespace switchyard::cli
