// Reads one context of the text form.
#pragma once

#include "program/reader.h"

namespace switchyard::program {

/// After "context", up to and including its "}". Mistakes are reported and passed over; the result holds what could be read.
Context parse_context(Reader& reader, const Program& program);

}  // namespace switchyard::program
