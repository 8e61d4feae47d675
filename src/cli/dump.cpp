#include "cli/dump.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>

#include "cli/option_values.h"
#include "model/model.h"

namespace switchyard::cli {
namespace {

/// After which context a buffer is complete: the last that writes it, else the first that reads it; nothing where no context touches it.
std::optional<std::size_t> complete_after(const program::Program& program, program::BufferId buffer) {
  std::optional<std::size_t> read, written;
  for (std::size_t c = 0; c < program.contexts.size(); ++c) {
    for (const program::Actor& actor : program.contexts[c].actors) {
      const auto touch = [&](const std::optional<program::BufferAccess>& access, bool writes) {
        if (!access || access->buffer != buffer) return;
        if (writes) {
          written = c;
        } else if (!read) {
          read = c;
        }
      };
      touch(actor.source, false);
      touch(actor.destination, true);
      for (const program::Port& port : actor.ports) touch(port.place, !port.input);
    }
  }
  return written ? written : read;
}

}  // namespace

std::string plain_file_name(const std::string& text) {
  std::string name;
  for (const char c : text) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '-' || c == '_' || c == '@';
    name += plain ? c : '_';
  }
  if (name.empty() || name.front() == '.') name.insert(name.begin(), '_');
  constexpr std::size_t kLongest = 200;
  if (name.size() > kLongest) name.erase(0, name.size() - kLongest);
  return name;
}

Result<TensorDump> TensorDump::make(const program::Program& program, const graph::Graph* graph, const std::vector<std::string>& names,
                                    const std::string& folder) {
  std::map<std::string, program::BufferId> buffers;
  std::vector<std::string> known;
  for (std::size_t b = 0; b < program.buffers.size(); ++b) {
    if (buffers.emplace(program.buffers[b].name, program::BufferId(b)).second) known.push_back(program.buffers[b].name);
  }
  TensorDump dump;
  Failure failure{FailureKind::usage, {}, {}};
  std::map<std::string, std::string> files;
  for (const std::string& name : names) {
    if (std::any_of(dump.wanted_.begin(), dump.wanted_.end(), [&](const Wanted& w) { return w.name == name; })) continue;
    const auto buffer = buffers.find(name);
    const auto after = buffer != buffers.end() ? complete_after(program, buffer->second) : std::nullopt;
    if (!after) {
      const bool computed = graph != nullptr && std::any_of(graph->tensors.begin(), graph->tensors.end(),
                                                            [&](const graph::Tensor& t) { return t.name == name; });
      failure.diagnostics.push_back(
          {"cli/unknown-tensor",
           computed || buffer != buffers.end()
               ? fmt::format("tensor '{}' is never stored: it passes from unit to unit inside a context", name)
               : fmt::format("the program has no tensor '{}'", name),
           {},
           {},
           computed ? "`--disable fuse` stores what goes from operator to operator"
                    : did_you_mean(name, known, "`switchyard compile` writes a program, whose buffers are the tensors there are"),
           {}});
      continue;
    }
    const auto [taken, is_new] = files.emplace(plain_file_name(name) + ".npy", name);
    if (!is_new) {
      failure.diagnostics.push_back({"cli/bad-value",
                                     fmt::format("'{}' and '{}' would both be written to {}", taken->second, name, taken->first),
                                     {},
                                     {},
                                     "dump them in two runs",
                                     {}});
      continue;
    }
    dump.wanted_.push_back({name, (std::filesystem::path(folder) / taken->first).string(), buffer->second, *after, {}});
  }
  if (!failure.diagnostics.empty()) return failure;
  return dump;
}

void TensorDump::after_context(program::ContextId context, const simulation::BufferReader& read) {
  for (Wanted& w : wanted_) {
    if (w.context == context.index()) w.tensor = read(w.buffer);
  }
}

Result<std::vector<std::string>> TensorDump::write() const {
  std::vector<std::string> sentences;
  for (const Wanted& w : wanted_) {
    const std::filesystem::path folder = std::filesystem::path(w.path).parent_path();
    std::error_code error;
    if (!folder.empty()) std::filesystem::create_directories(folder, error);
    if (error)
      return fail(FailureKind::usage, "file/unwritable",
                  fmt::format("directory '{}' cannot be made: {}", folder.string(), error.message()));
    SY_TRY([[maybe_unused]] const Done written, model::write_npy(w.tensor, w.path));
    sentences.push_back(
        fmt::format("{}[{}] {} -> {}", w.name, fmt::join(w.tensor.shape, ", "), numerics::format_name(w.tensor.format), w.path));
  }
  return sentences;
}

}  // namespace switchyard::cli
