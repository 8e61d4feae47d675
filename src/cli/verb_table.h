// The verbs as a table: what each is called, takes, can do and prints, and the function that performs it.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "cli/options.h"

namespace switchyard::cli {

struct VerbInfo {
  Verb verb = Verb::help;
  const char* name = "";
  const char* usage = "";
  const char* summary = "";
  const char* examples = "";
  std::size_t least = 1, most = 1;  ///< arguments
  const char* argument = "";        ///< what it cannot do without: "a model"
  const char* formats = "";         ///< of --format, separated by '|', the usual one first; empty: it has none
  bool loads_model = false;
  bool runs = false;  ///< executes and times
  bool has_chip = false, has_chips = false, checks_operators = false;
  bool takes_lists = false;  ///< of precisions and batch sizes
  int (*perform)(const Options&) = nullptr;
};

std::span<const VerbInfo> all_verbs();
const VerbInfo& verb_info(Verb verb);
/// Nothing where there is no verb of this name.
const VerbInfo* find_verb(std::string_view name);
/// Does one of a verb's formats have this name?
bool has_format(const VerbInfo& verb, std::string_view format);

}  // namespace switchyard::cli
