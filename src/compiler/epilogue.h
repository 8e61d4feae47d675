// Epilogue: what of the operations behind a contraction its matrix unit does itself, where another unit does the rest.
#pragma once

#include "chip/chip.h"
#include "compiler/kernel.h"

namespace switchyard::compiler {

/// Does the unit apply this epilogue of the kernel on the way out? Vector units compute it themselves; matrix units only what they declare,
/// on formats that they know.
bool runs_epilogue(const chip::Unit& unit, const KernelStatement& epilogue, const graph::Graph& graph, const Kernel& kernel);

/// An epilogue in two parts. The first read of both is the local: the sums, and what the first part has made of them.
struct EpilogueParts {
  KernelStatement first;  ///< on the matrix unit; without a place to write to
  KernelStatement rest;
};
/// Cuts an epilogue of the kernel that the unit cannot do wholly. The first part is all that is applied to the sums one after the other (a
/// bias, say), as long as the unit can do it and nothing else needs what is read for it; it may be nothing. Values are the same: sums are
/// handed over as they are `kept`, so to integers only what leaves them integers is done before.
EpilogueParts cut_epilogue(const chip::Unit& unit, const KernelStatement& epilogue, numerics::Format kept, const graph::Graph& graph,
                           const Kernel& kernel);

}  // namespace switchyard::compiler
