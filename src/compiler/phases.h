// The phases of a search for the fastest program: what each finds tells the next what to try.
#pragma once

#include "compiler/comparison.h"

namespace switchyard::compiler {

/// One kernel to a context, then several, with each strategy, on the whole array and on ever smaller corners of it (what few do needs less
/// moving). Where that is at the bound there is nothing more to search. Fails where there is no program for the whole array.
Status begin_search(Comparison& c);

/// The fastest are changed, one thing at a time; attention goes over blocks of keys where scores leave the chip.
Status finish_search(Comparison& c);

}  // namespace switchyard::compiler
