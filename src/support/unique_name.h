// Names that must differ: what programs, graphs and files make of names that are already taken.
#pragma once

#include <string>
#include <utility>

namespace switchyard {

/// `wanted`, with the first number behind it that makes a name not in `taken` where it is; it is taken from now on.
template <class Set>
std::string unique_name(std::string wanted, Set& taken) {
  std::string name = wanted;
  for (int n = 1; !taken.insert(name).second; ++n) name = wanted + '.' + std::to_string(n);
  return name;
}

}  // namespace switchyard
