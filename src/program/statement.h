// Reads one statement of a compute actor.
#pragma once

#include "program/reader.h"

namespace switchyard::program {

/// `slots` are the names of the ports, then of the states; `loops` and `dims` the actor's. Reports and returns nothing on a mistake.
std::optional<Statement> parse_statement(Reader& reader, const std::vector<std::string>& slots, const std::vector<std::string>& dims,
                                         const std::vector<std::string>& loops);

}  // namespace switchyard::program
