// The independent verifier: proves from the loop nests, before anything runs, that a program is well formed.
#pragma once

#include "program/program.h"
#include "support/result.h"

namespace switchyard::program {

/// All violations found, each a diagnostic "program/..." whose pointer is context/actor/port. See docs/program.md for the list of laws.
Status verify(const Program& program);

}  // namespace switchyard::program
