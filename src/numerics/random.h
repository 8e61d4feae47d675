// Random numbers as a function of a key and a place, so that they are the same on any number of threads and under any tiling.
#pragma once

#include <array>
#include <cstdint>

namespace switchyard::numerics {

/// Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a bijection of
/// 64 bits for each key. It needs additions, rotations and exclusive ors of 32 bits only.
std::array<std::uint32_t, 2> threefry(std::array<std::uint32_t, 2> counter, std::array<std::uint32_t, 2> key);

/// Uniform in [0, 1), a multiple of 2^-24: the upper 24 bits of the first word at counter (a, b). The numbers are cut to integers, counters
/// to 32 bits and the key to 53. Registers of fp32 hold places and result exactly, as long as places are below 2^24.
double random_uniform(double a, double b, double key);

/// Operations of 32 bits that it takes: an addition, a rotation (two shifts and an or) and an exclusive or per round, three additions for
/// each of five keys, and the conversion.
inline constexpr int kRandomSteps = 20 * 5 + 5 * 3 + 2;

}  // namespace switchyard::numerics
