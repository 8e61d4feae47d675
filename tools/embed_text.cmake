# cmake -DIN=FILE -DOUT=FILE.cpp -DHEADER=folder/header.h -DFUNCTION=name -P embed_text.cmake
# Writes a source whose function switchyard::cli::FUNCTION() returns the text of IN.
file(READ "${IN}" text)
file(WRITE "${OUT}" "// Made from ${IN} by tools/embed_text.cmake.
#include \"${HEADER}\"

namespace switchyard::cli {

std::string_view ${FUNCTION}() { return R\"~~~(${text})~~~\"; }

}  // namespace switchyard::cli
")
