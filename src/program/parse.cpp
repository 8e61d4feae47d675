// Text -> program. A hand-written recursive descent over lexemes; each line stands for itself, so that all mistakes of a file are found.
#include <fmt/format.h>

#include <algorithm>

#include "chip/read.h"
#include "program/parse_context.h"
#include "program/parse_text.h"
#include "program/reader.h"
#include "program/text.h"

namespace switchyard::program {

namespace {

class ProgramReader {
 public:
  ProgramReader(const std::string& text, const std::string& file, std::string folder) : reader_(text, file), folder_(std::move(folder)) {}

  Result<ParsedProgram> read() {
    if (!reader_.is_word("switchyard") || !reader_.is_word("program", 1) || reader_.peek(2).kind != Lexeme::Kind::integer) {
      reader_.error(reader_.peek(), "program/not-a-program", "a program begins with 'switchyard program 1'");
      return failure();
    }
    reader_.take();
    reader_.take();
    if (const Lexeme version = reader_.take(); version.integer != 1) {
      reader_.error(version, "program/version", fmt::format("version {} of the text form is not known, 1 is", version.text));
      return failure();
    }
    while (!reader_.at_end() && !reader_.too_many() && !chip_failed_)
      if (const std::size_t start = reader_.position(); !item()) reader_.recover(start);
    if (!result_.program.chip && reader_.diagnostics().empty())
      reader_.error(reader_.peek(), "program/no-chip", "the program names no chip",
                    "write 'chip NAME' or embed a description: chip { ... }");
    if (!reader_.diagnostics().empty()) return failure();
    return std::move(result_);
  }

 private:
  Failure failure() { return Failure{FailureKind::malformed, std::move(reader_.diagnostics()), {}}; }

  bool item() {
    if (reader_.accept_word("labels")) return labels();
    if (reader_.is_word("sidecar")) return sidecar();
    if (reader_.is_word("chip")) return chip();
    if (reader_.is_word("buffer") || reader_.is_word("context")) {
      if (!result_.program.chip) {
        chip_failed_ = true;
        return reader_.error(reader_.peek(), "program/no-chip", "the chip must be named before buffers and contexts",
                             "write 'chip NAME' or embed a description: chip { ... }");
      }
      if (reader_.take().text == "buffer") {
        const std::string name = reader_.peek().text;
        if (buffer()) return true;
        reader_.forgive(name);
        return false;
      }
      Context context = parse_context(reader_, result_.program);
      result_.program.contexts.push_back(std::move(context));
      return true;
    }
    return reader_.unexpected("'labels', 'sidecar', 'chip', 'buffer' or 'context'");
  }

  bool texts(std::vector<std::string>& list) {
    do {
      auto text = reader_.text("a text in quotes");
      if (!text) return false;
      list.push_back(std::move(*text));
    } while (reader_.accept_sign(","));
    return true;
  }

  bool labels() {
    if (!reader_.expect_sign("{")) return false;
    while (!reader_.accept_sign("}")) {
      if (reader_.at_end()) return reader_.unexpected("'}'");
      if (const std::size_t start = reader_.position(); !label()) reader_.recover(start);
      if (reader_.too_many()) return false;
    }
    return true;
  }

  bool label() {
    Labels& labels = result_.program.labels;
    const Lexeme word = reader_.peek();
    const std::pair<std::string_view, std::string*> kTexts[] = {
        {"model", &labels.model}, {"model_sha256", &labels.model_sha256}, {"precision", &labels.precision}};
    const std::pair<std::string_view, std::int64_t*> kNumbers[] = {{"macs", &labels.macs},
                                                                   {"ops", &labels.ops},
                                                                   {"parameters", &labels.parameters},
                                                                   {"batch", &labels.batch},
                                                                   {"lower_bound", &labels.lower_bound.value},
                                                                   {"peak_bound", &labels.peak_bound.value}};
    const std::pair<std::string_view, std::vector<std::string>*> kLists[] = {
        {"input_formats", &labels.input_formats}, {"output_formats", &labels.output_formats}, {"note", &labels.notes}};
    for (const auto& [name, field] : kTexts) {
      if (!reader_.accept_word(name)) continue;
      const auto text = reader_.text("a text in quotes");
      if (text) *field = *text;
      return text.has_value();
    }
    for (const auto& [name, field] : kNumbers) {
      if (!reader_.accept_word(name)) continue;
      const auto number = reader_.integer("a whole number");
      if (number) *field = *number;
      return number.has_value();
    }
    for (const auto& [name, field] : kLists)
      if (reader_.accept_word(name)) return texts(*field);
    std::vector<std::string> names;
    for (const auto& entry : kTexts) names.emplace_back(entry.first);
    for (const auto& entry : kNumbers) names.emplace_back(entry.first);
    for (const auto& entry : kLists) names.emplace_back(entry.first);
    const std::string near = word.kind == Lexeme::Kind::word ? nearest_name(word.text, names) : std::string();
    if (near.empty()) return reader_.unexpected("a label or '}'");
    return reader_.error(word, "program/unknown-name", fmt::format("no label is named '{}'", word.text),
                         fmt::format("did you mean '{}'?", near));
  }

  bool sidecar() {
    reader_.take();
    const auto name = reader_.text("a file name in quotes");
    if (!name) return false;
    const auto digest = reader_.text("a sha256 in quotes");
    if (!digest) return false;
    result_.sidecar = *name;
    result_.sidecar_sha256 = *digest;
    return true;
  }

  bool chip() {
    const Lexeme at = reader_.take();
    chip_failed_ = true;
    if (result_.program.chip) return reader_.error(at, "program/syntax", "a program has one chip");
    if (reader_.peek().kind == Lexeme::Kind::block) {
      const Lexeme block = reader_.take();
      auto read = chip::parse_chip(block.text, reader_.file());
      if (!read) {
        for (Diagnostic diagnostic : read.failure().diagnostics) {
          if (diagnostic.location.line > 0) {  // where it stands in the program, not in the block
            diagnostic.location.line += block.line - 1;
            diagnostic.location.column += 2;
            if (!diagnostic.source_line.empty()) diagnostic.source_line = "  " + diagnostic.source_line;
          }
          reader_.diagnostics().push_back(std::move(diagnostic));
        }
        return false;
      }
      result_.program.chip = std::make_shared<chip::Chip>(std::move(read).value());
    } else {
      const Lexeme name_at = reader_.peek();
      const auto name = name_at.kind == Lexeme::Kind::text ? reader_.text("") : dashed_name();
      if (!name) return false;
      auto read = chip::load_chip(*name, {folder_});
      if (!read) {
        auto& diagnostics = reader_.diagnostics();
        diagnostics.insert(diagnostics.end(), read.failure().diagnostics.begin(), read.failure().diagnostics.end());
        if (diagnostics.empty()) reader_.error(name_at, "program/no-chip", fmt::format("the chip '{}' cannot be read", *name));
        return false;
      }
      result_.program.chip = std::make_shared<chip::Chip>(std::move(read).value());
    }
    chip_failed_ = false;
    return true;
  }

  /// Chips have names like h100-sxm: words joined by dashes.
  std::optional<std::string> dashed_name() {
    auto name = reader_.name("the name of a chip or '{' and the end of the line");
    if (!name) return std::nullopt;
    int line = reader_.peek().line;
    while (reader_.is_sign("-") && reader_.peek().line == line) {
      reader_.take();
      const Lexeme part = reader_.take();
      if (part.kind != Lexeme::Kind::word && part.kind != Lexeme::Kind::integer) {
        reader_.error(part, "program/syntax", "expected the rest of a chip's name");
        return std::nullopt;
      }
      *name += "-" + part.text;
    }
    return name;
  }

  bool buffer() {
    Program& program = result_.program;
    Buffer buffer;
    const Lexeme at = reader_.peek();
    const auto name = reader_.name("the name of a buffer");
    if (!name) return false;
    buffer.name = *name;
    if (std::any_of(program.buffers.begin(), program.buffers.end(), [&](const Buffer& b) { return b.name == *name; }))
      return reader_.error(at, "program/duplicate-name",
                           fmt::format("there are two of the name '{}': buffers need different names", *name));
    for (const auto& [word, role] : {std::pair{"input", BufferRole::input}, std::pair{"output", BufferRole::output}}) {
      if (!reader_.accept_word(word)) continue;
      buffer.role = role;
      const Lexeme number_at = reader_.peek();
      const auto number = reader_.natural("its number");
      if (!number) return false;
      if (*number > 1'000'000) return reader_.error(number_at, "program/too-large", "there are not so many inputs and outputs");
      buffer.index = static_cast<int>(*number);
    }
    if (buffer.role == BufferRole::intermediate && reader_.accept_word("constant")) buffer.role = BufferRole::constant;
    const auto token = reader_.token();
    if (!token) return false;
    buffer.format = token->format;
    buffer.shape = token->shape;
    buffer.order = token->order;
    if (!reader_.expect_word("in")) return false;
    std::vector<std::string> memories;
    for (const chip::Memory& memory : program.chip->memories) memories.push_back(memory.name);
    const auto memory = reader_.known(memories, "memory");
    if (!memory || !reader_.expect_word("at")) return false;
    buffer.memory = chip::MemoryId(*memory);
    const auto offset = reader_.natural("an offset in bytes");
    if (!offset) return false;
    buffer.offset = *offset;
    std::optional<std::int64_t> stated;
    if (reader_.accept_word("bytes")) {
      stated = reader_.natural("a number of bytes");
      if (!stated) return false;
    }
    auto usual = storage_bytes(buffer.format, buffer.shape);
    if (reader_.accept_word("spread")) {
      buffer.spread = spread();
      if (!buffer.spread) return false;
      usual = storage_bytes(Token{buffer.format, buffer.spread->extent, buffer.order, buffer.spread->pad});
    }
    if (stated) {
      buffer.bytes = *stated;
    } else if (usual) {
      buffer.bytes = *usual;
    } else {
      return reader_.error(at, "program/overflow", "the size of this does not fit into 64 bits");
    }
    if (reader_.accept_word("persistent")) buffer.lifetime = Lifetime::persistent;
    if (reader_.accept_word("kernel")) buffer.lifetime = Lifetime::kernel;
    if (reader_.accept_word("values")) {
      if (buffer.role != BufferRole::constant) return reader_.error(at, "program/syntax", "only constants have values");
      result_.values.emplace_back(program.buffers.size());
    }
    program.buffers.push_back(std::move(buffer));
    return true;
  }

  /// After "spread": [extents] = components part [extents] at [starts] pad N.
  std::optional<Spread> spread() {
    Spread spread;
    const auto shape = reader_.shape();
    if (!shape || !reader_.expect_sign("=")) return std::nullopt;
    spread.shape = *shape;
    const auto components = reader_.components();
    if (!components || !reader_.expect_word("part")) return std::nullopt;
    spread.components = *components;
    const auto extent = reader_.shape();
    if (!extent || !reader_.expect_word("at") || !reader_.expect_sign("[")) return std::nullopt;
    spread.extent = *extent;
    std::vector<std::string> names;
    for (std::size_t d = 0; d < spread.shape.size(); ++d) names.push_back(fmt::format("c{}", d));
    if (!reader_.is_sign("]")) {
      do {
        const auto start = reader_.affine(names, "the start of a part");
        if (!start) return std::nullopt;
        spread.start.push_back(*start);
      } while (reader_.accept_sign(","));
    }
    if (!reader_.expect_sign("]")) return std::nullopt;
    if (reader_.accept_word("pad")) {
      const auto pad = reader_.natural("a number of elements");
      if (!pad) return std::nullopt;
      spread.pad = *pad;
    }
    return spread;
  }

  Reader reader_;
  std::string folder_;
  ParsedProgram result_;
  bool chip_failed_ = false;  ///< nothing after the chip can be understood without it
};

}  // namespace

Result<ParsedProgram> parse_text(const std::string& text, const std::string& file, const std::string& folder) {
  return ProgramReader(text, file, folder).read();
}

Result<Program> parse(const std::string& text, const std::string& file) {
  SY_TRY(ParsedProgram parsed, parse_text(text, file, "."));
  return std::move(parsed.program);
}

}  // namespace switchyard::program
