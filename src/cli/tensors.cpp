#include "cli/tensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "model/model.h"

namespace switchyard::cli {
namespace {

using numerics::Format;
using numerics::Tensor;
using program::Buffer;
using program::BufferRole;

/// Seeds of inputs must not meet those of weights, which are hashed names.
constexpr std::uint64_t kInputSalt = 0x696e707574ULL;

/// `limit`: 0, or what the numbers must stay below.
Tensor seeded_integers(std::uint64_t seed, Format format, const numerics::Shape& shape, std::int64_t limit) {
  Tensor tensor = numerics::make_tensor(format, shape);
  const std::int64_t count = tensor.count();
  const bool narrow = format == Format::int8 || format == Format::uint8;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint64_t random = numerics::mix(seed, static_cast<std::uint64_t>(i));
    const auto below = static_cast<std::uint64_t>(limit > 0 ? limit : narrow ? 256 : 2);
    const auto value = static_cast<double>(random % below);
    tensor.set(i, format == Format::int8 && limit == 0 ? value - 128 : value);
  }
  return tensor;
}

/// By buffer: the least extent in which its elements are looked up as indices; 0 where they are not.
std::vector<std::int64_t> index_limits(const program::Program& program) {
  std::vector<std::int64_t> limits(program.buffers.size(), 0);
  for (const program::Context& context : program.contexts)
    for (const program::Channel& channel : context.channels)
      for (const program::Channel::Consumer& to : channel.to) {
        const program::Actor& user = context.actors[to.end.actor.index()];
        const program::Actor& loader = context.actors[channel.from.actor.index()];
        const int dimension = user.ports[static_cast<std::size_t>(to.end.port)].picks;
        if (dimension < 0 || !loader.source || !user.source) continue;
        const std::int64_t extent = program.buffers[user.source->buffer.index()].shape[static_cast<std::size_t>(dimension)];
        std::int64_t& limit = limits[loader.source->buffer.index()];
        limit = limit == 0 ? extent : std::min(limit, extent);
      }
  return limits;
}

struct Wanted {
  const char* stem;                      ///< of the files' names
  const char *missing, *shape, *format;  ///< codes
};
constexpr Wanted kInputs = {"input", "inputs/missing", "inputs/shape", "inputs/format"};
constexpr Wanted kExpected = {"output", "expect/missing", "expect/shape", "expect/format"};

std::string shape_text(const numerics::Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

Result<std::vector<Tensor>> read_numbered(const std::vector<const Buffer*>& buffers, const std::vector<std::string>& declared,
                                          const std::string& directory, const Wanted& wanted) {
  Failure failure;
  failure.kind = FailureKind::malformed;
  const auto complain = [&](const char* code, std::string message, std::string file) {
    failure.diagnostics.push_back({code, std::move(message), {std::move(file), 0, 0}, {}, {}, {}});
  };
  std::vector<Tensor> tensors;
  for (std::size_t k = 0; k < buffers.size(); ++k) {
    const std::filesystem::path stem = std::filesystem::path(directory) / fmt::format("{}_{}", wanted.stem, k);
    std::string path = stem.string() + ".pb";
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) path = stem.string() + ".npy";
    if (!std::filesystem::exists(path, ignored)) {
      complain(
          wanted.missing,
          fmt::format("{} {} ('{}') has no file: neither {}_{}.pb nor .npy is there", wanted.stem, k, buffers[k]->name, wanted.stem, k),
          directory);
      continue;
    }
    Result<Tensor> tensor = model::read_tensor(path);
    if (!tensor) {
      for (const Diagnostic& d : tensor.failure().diagnostics) failure.diagnostics.push_back(d);
      continue;
    }
    const Format format = declared_format(declared, k, *buffers[k]);
    const bool floating = numerics::format_info(format).floating;
    if (tensor.value().shape != buffers[k]->shape) {
      complain(wanted.shape,
               fmt::format("{} {} ('{}') has shape {}, the model wants {}", wanted.stem, k, buffers[k]->name,
                           shape_text(tensor.value().shape), shape_text(buffers[k]->shape)),
               path);
    } else if (numerics::format_info(tensor.value().format).floating != floating) {
      complain(wanted.format,
               fmt::format("{} {} ('{}') holds {}, the model wants {}", wanted.stem, k, buffers[k]->name,
                           numerics::format_name(tensor.value().format), numerics::format_name(format)),
               path);
    } else {
      tensors.push_back(std::move(tensor).value());
    }
  }
  if (!failure.diagnostics.empty()) return failure;
  return tensors;
}

}  // namespace

std::vector<const Buffer*> numbered_buffers(const program::Program& program, BufferRole role) {
  std::vector<const Buffer*> buffers;
  for (const Buffer& buffer : program.buffers) {
    if (buffer.role == role) buffers.push_back(&buffer);
  }
  std::stable_sort(buffers.begin(), buffers.end(), [](const Buffer* a, const Buffer* b) { return a->index < b->index; });
  return buffers;
}

Format declared_format(const std::vector<std::string>& declared, std::size_t k, const Buffer& buffer) {
  if (k >= declared.size()) return buffer.format;
  return numerics::format_named(declared[k]).value_or(buffer.format);
}

std::vector<Tensor> seeded_inputs(const program::Program& program, std::uint64_t seed) {
  std::vector<Tensor> inputs;
  const auto buffers = numbered_buffers(program, BufferRole::input);
  const std::vector<std::int64_t> limits = index_limits(program);
  for (std::size_t k = 0; k < buffers.size(); ++k) {
    const Format format = declared_format(program.labels.input_formats, k, *buffers[k]);
    const std::int64_t limit = limits[static_cast<std::size_t>(buffers[k] - program.buffers.data())];
    const std::uint64_t own = numerics::mix(numerics::mix(seed, kInputSalt), k);
    inputs.push_back(numerics::format_info(format).floating ? numerics::seeded_uniform(own, Format::fp32, buffers[k]->shape, 1.0)
                                                            : seeded_integers(own, format, buffers[k]->shape, limit));
  }
  return inputs;
}

Result<std::vector<Tensor>> read_inputs(const program::Program& program, const std::string& directory) {
  return read_numbered(numbered_buffers(program, BufferRole::input), program.labels.input_formats, directory, kInputs);
}

Result<std::vector<Tensor>> read_expected(const program::Program& program, const std::string& directory) {
  return read_numbered(numbered_buffers(program, BufferRole::output), program.labels.output_formats, directory, kExpected);
}

Status write_outputs(const program::Program& program, const std::vector<Tensor>& outputs, const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error)
    return fail(FailureKind::usage, "file/unwritable", fmt::format("directory '{}' cannot be made: {}", directory, error.message()));
  const auto buffers = numbered_buffers(program, BufferRole::output);
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    const std::string path = (std::filesystem::path(directory) / fmt::format("output_{}.pb", k)).string();
    SY_TRY([[maybe_unused]] const Done written, model::write_tensor(outputs[k], k < buffers.size() ? buffers[k]->name : "", path));
  }
  return Done{};
}

}  // namespace switchyard::cli
