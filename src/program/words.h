// The vocabulary of the text form: the words a name must be quoted to use, and how names and numbers are written.
#pragma once

#include <string>
#include <string_view>

namespace switchyard::program {

/// A word of the grammar, which cannot stand for a name without quotes.
bool is_reserved(std::string_view word);
/// The name as the text form writes it: bare when it is an identifier and no word of the grammar, else in quotes.
std::string quote_name(std::string_view name);
/// Always in quotes, with escapes.
std::string quote_text(std::string_view text);
/// The shortest decimal that reads back to the same double; "inf", "-inf", "nan".
std::string print_number(double value);

}  // namespace switchyard::program
