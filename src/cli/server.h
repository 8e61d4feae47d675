// Servers: the machines whose devices share a language model, found by the chip that they are made of; and whether a model fits one device.
#pragma once

#include <functional>
#include <optional>
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

/// Does the chip multiply a language model's numbers by its weights, is there a server of so many devices, and do weights, caches and
/// activations fit the memory of one? Failures: compile/unsupported-format; llm/server (unsupported: no server of this chip, or too small a
/// one); compile/does-not-fit, with levers. Other models are not looked at.
Status check_memory(const Options& options, const model::LoadedModel& model, const chip::Chip& chip, numerics::Format precision);

/// The time of the same step on one device; nothing where it cannot be made.
using TimeOneDevice = std::function<std::optional<Picoseconds>(const model::llm::Step&)>;

/// Adds to the contexts of a program what its device exchanges with the others, and a note of what that takes. `alone` is the program's
/// time without, where it is known. Failures: llm/server, those of compile_collective.
Status add_exchanges(const Options& options, const model::LoadedModel& model, numerics::Format precision, std::optional<Picoseconds> alone,
                     const TimeOneDevice& one_device, program::Program& program);

}  // namespace switchyard::cli
