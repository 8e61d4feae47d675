#include "compiler/hosted.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "chip/query.h"
#include "compiler/labels.h"
#include "compiler/plan.h"
#include "support/unique_name.h"

namespace switchyard::compiler {
namespace {

using graph::Op;
using graph::TensorId;
using program::BufferId;
using program::ContextId;

/// Which part an operator belongs to: parts of the chip and steps of the host take turns, the chip first. A part waits for all steps of the
/// parts before it.
std::vector<std::size_t> parts_of(const graph::Graph& model) {
  std::vector<std::size_t> made_in(model.tensors.size(), 0), parts;
  for (const Op& op : model.ops) {
    std::size_t part = 0;
    for (const TensorId id : op.operands) part = std::max(part, made_in[id.index()]);
    parts.push_back(part);
    for (const TensorId id : op.results) made_in[id.index()] = part + (op.host ? 1 : 0);
  }
  return parts;
}

/// Whether some result has elements.
bool writes(const graph::Graph& g, const Op& op) {
  return std::any_of(op.results.begin(), op.results.end(), [&](TensorId id) { return numerics::element_count(g.tensor(id).shape) > 0; });
}

/// One nest over the dimensions of the result, whose operands broadcast as NumPy's do.
bool is_map(const graph::Graph& g, const Op& op) {
  if (op.nests.size() != 1 || !op.locals.empty()) return false;
  const numerics::Nest& nest = op.nests[0];
  const numerics::Shape& shape = g.tensor(op.results[0]).shape;
  if (nest.combiner != numerics::Combiner::none || nest.loops.size() != shape.size()) return false;
  const auto is_loop = [](const numerics::Affine& index, std::size_t loop) {
    return index == numerics::affine_variable(static_cast<int>(loop));
  };
  for (std::size_t d = 0; d < shape.size(); ++d)
    if (nest.loops[d].extent != shape[d] || !is_loop(nest.write.index[d], d)) return false;
  for (const numerics::Access& read : nest.reads) {
    if (read.slot < 0 || static_cast<std::size_t>(read.slot) >= op.operands.size() || read.fill || !read.lookups.empty()) return false;
    const numerics::Shape& from = g.tensor(op.operands[static_cast<std::size_t>(read.slot)]).shape;
    if (from.size() > shape.size()) return false;
    for (std::size_t d = 0; d < from.size(); ++d) {
      const bool repeated = from[d] == 1 && read.index[d] == numerics::Affine{};
      if (!repeated && !is_loop(read.index[d], d + shape.size() - from.size())) return false;
    }
  }
  return true;
}

class Assembler {
 public:
  Assembler(const graph::Graph& model, std::shared_ptr<const chip::Chip> chip, const CompileOptions& options)
      : model_(model), chip_(std::move(chip)), options_(options), homes_(model.tensors.size()), copies_(model.tensors.size()) {}

  Result<Compiled> run() {
    out_.program.chip = chip_;
    out_.program.labels = labels_of(model_, options_.precision);
    const std::vector<std::size_t> parts = parts_of(model_);
    const std::size_t count = parts.empty() ? 0 : *std::max_element(parts.begin(), parts.end()) + 1;
    for (std::size_t part = 0; part < count; ++part) {
      std::vector<const Op*> chip_ops, host_ops;
      for (std::size_t i = 0; i < parts.size(); ++i)
        if (parts[i] == part && (model_.ops[i].host || writes(model_, model_.ops[i])))
          (model_.ops[i].host ? host_ops : chip_ops).push_back(&model_.ops[i]);
      if (!chip_ops.empty()) {
        SY_TRY([[maybe_unused]] const Done added, add_chip_part(chip_ops));
      }
      for (const Op* op : host_ops) add_step(*op);
    }
    finish_graph();
    note_steps();
    SY_TRY([[maybe_unused]] const Done planned, plan_buffers(out_.program));
    return std::move(out_);
  }

 private:
  bool is_output(TensorId id) const { return std::find(model_.outputs.begin(), model_.outputs.end(), id) != model_.outputs.end(); }

  /// The operators of one part as a model of their own: what others make are its inputs, what others read its outputs.
  graph::Graph part_graph(const std::vector<const Op*>& ops, std::vector<TensorId>& inputs, std::vector<TensorId>& outputs) const {
    graph::Graph g;
    g.name = model_.name;
    std::vector<TensorId> place(model_.tensors.size());
    std::set<std::size_t> made;
    for (const Op* op : ops)
      for (const TensorId id : op->results) made.insert(id.index());
    const auto placed = [&](TensorId id) {
      TensorId& to = place[id.index()];
      if (to.valid()) return to;
      graph::Tensor tensor = model_.tensor(id);
      if (tensor.role != graph::Role::constant) tensor.role = made.contains(id.index()) ? graph::Role::intermediate : graph::Role::input;
      to = TensorId(g.tensors.size());
      if (tensor.role == graph::Role::input) {
        g.inputs.push_back(to);
        inputs.push_back(id);
      }
      g.tensors.push_back(std::move(tensor));
      return to;
    };
    for (const Op* op : ops) {
      Op copy = *op;
      for (TensorId& id : copy.operands) id = placed(id);
      for (TensorId& id : copy.results) id = placed(id);
      g.ops.push_back(std::move(copy));
    }
    std::set<std::size_t> read_outside;
    for (const TensorId id : model_.outputs) read_outside.insert(id.index());
    for (const Op& op : model_.ops) {
      if (std::find(ops.begin(), ops.end(), &op) != ops.end()) continue;
      for (const TensorId id : op.operands) read_outside.insert(id.index());
    }
    for (const std::size_t t : made) {
      if (!read_outside.contains(t)) continue;
      g.outputs.push_back(place[t]);
      outputs.emplace_back(t);
    }
    return g;
  }

  Status add_chip_part(const std::vector<const Op*>& ops) {
    std::vector<TensorId> inputs, outputs;
    SY_TRY(Compiled part, compile(part_graph(ops, inputs, outputs), chip_, options_));
    std::vector<BufferId> buffers;
    for (program::Buffer& buffer : part.program.buffers) {
      if (buffer.role == program::BufferRole::input) {
        buffers.push_back(shared(inputs[static_cast<std::size_t>(buffer.index)], std::move(buffer)));
      } else if (buffer.role == program::BufferRole::output) {
        buffers.push_back(shared(outputs[static_cast<std::size_t>(buffer.index)], std::move(buffer)));
      } else {
        buffer.name = unique_name(buffer.name, buffer_names_);
        out_.program.buffers.push_back(std::move(buffer));
        buffers.emplace_back(out_.program.buffers.size() - 1);
      }
    }
    const auto base = out_.program.contexts.size();
    for (program::Context& context : part.program.contexts) add_context(std::move(context), buffers, base);
    add_graph(part.graph, inputs, outputs);
    const std::size_t first_tensor = out_.graph.tensors.size() - part.graph.tensors.size();
    const std::size_t first_op = out_.graph.ops.size() - part.graph.ops.size();
    for (ContextMap& map : part.contexts) {
      for (graph::OpId& id : map.ops) id = graph::OpId(id.index() + first_op);
      for (auto* list : {&map.reads, &map.writes})
        for (auto& [tensor, buffer] : *list) {
          tensor = TensorId(tensor.index() + first_tensor);
          buffer = buffers[buffer.index()];
        }
      out_.contexts.push_back(std::move(map));
    }
    out_.decisions.insert(out_.decisions.end(), part.decisions.begin(), part.decisions.end());
    program::Labels& labels = out_.program.labels;
    labels.lower_bound = std::max(labels.lower_bound, part.program.labels.lower_bound);
    labels.peak_bound = std::max(labels.peak_bound, part.program.labels.peak_bound);
    for (std::string& note : part.program.labels.notes)
      if (std::find(labels.notes.begin(), labels.notes.end(), note) == labels.notes.end()) labels.notes.push_back(std::move(note));
    return Done{};
  }

  /// Where a tensor lies that parts and steps share; `like` says how, for the first of them that is the chip's.
  BufferId shared(TensorId id, program::Buffer like) {
    BufferId& home = homes_[id.index()];
    const bool fresh = !home.valid();
    if (fresh) {
      home = BufferId(out_.program.buffers.size());
      out_.program.buffers.emplace_back();
    }
    program::Buffer& buffer = out_.program.buffers[home.index()];
    if (!fresh && on_chip_[home.index()]) return home;
    const std::string name = fresh ? unique_name(model_.tensor(id).name, buffer_names_) : buffer.name;
    buffer = std::move(like);
    buffer.name = name;
    buffer.role = program::BufferRole::intermediate;
    buffer.index = -1;
    buffer.lifetime = program::Lifetime::program;
    const auto number = [&](const std::vector<TensorId>& list) {
      const auto at = std::find(list.begin(), list.end(), id);
      return at == list.end() ? -1 : static_cast<int>(at - list.begin());
    };
    if (const int input = number(model_.inputs); input >= 0) {
      buffer.role = program::BufferRole::input;
      buffer.index = input;
    } else if (const int output = number(model_.outputs); output >= 0) {
      buffer.role = program::BufferRole::output;
      buffer.index = output;
    }
    on_chip_[home.index()] = true;
    return home;
  }

  /// The same for a step of the host: in the tensor's own format, as long as the chip has nothing to do with it.
  BufferId of_host(TensorId id) {
    if (homes_[id.index()].valid()) return homes_[id.index()];
    const graph::Tensor& tensor = model_.tensor(id);
    program::Buffer buffer;
    buffer.memory = chip::off_chip_memory(*chip_);
    buffer.format = tensor.format;
    buffer.shape = tensor.shape;
    for (std::size_t d = 0; d < tensor.shape.size(); ++d) buffer.order.push_back(static_cast<int>(d));
    const BufferId home = shared(id, std::move(buffer));
    on_chip_[home.index()] = false;
    if (tensor.role == graph::Role::constant) {
      program::Buffer& made = out_.program.buffers[home.index()];
      made.role = program::BufferRole::constant;
      made.lifetime = program::Lifetime::persistent;
      made.constant = tensor.constant;
    }
    return home;
  }

  void add_context(program::Context context, const std::vector<BufferId>& buffers, std::size_t base) {
    const auto renumber = [&](std::optional<program::BufferAccess>& access) {
      if (access) access->buffer = buffers[access->buffer.index()];
    };
    for (program::Actor& actor : context.actors) {
      renumber(actor.source);
      renumber(actor.destination);
      for (program::Port& port : actor.ports) renumber(port.place);
    }
    for (auto* list : {&context.after, &context.early_after}) {
      for (ContextId& id : *list) id = ContextId(id.index() + base);
      const bool early = list == &context.early_after;
      if (early && std::none_of(context.actors.begin(), context.actors.end(), [](const program::Actor& a) { return a.early; })) continue;
      list->insert(list->begin(), steps_.begin(), steps_.end());
    }
    context.name = unique_name(context.name, context_names_);
    out_.program.contexts.push_back(std::move(context));
  }

  void add_step(const Op& op) {
    program::Context context;
    context.name = unique_name(op.name, context_names_);
    context.ops = op.nodes;
    context.host = program::HostStep{*op.host, {}, {}};
    for (const TensorId id : op.operands) context.host->reads.push_back(of_host(id));
    for (const TensorId id : op.results) context.host->writes.push_back(of_host(id));
    for (std::size_t c = 0; c < out_.program.contexts.size(); ++c) context.after.emplace_back(c);
    steps_.emplace_back(out_.program.contexts.size());
    kinds_.insert(op.host->kind);
    out_.program.contexts.push_back(std::move(context));
    out_.contexts.emplace_back();
    out_.decisions.push_back({"host", fmt::format("{} ({}) runs on the host: no unit of {} can serve it", op.name, op.kind, chip_->name)});
  }

  void add_graph(const graph::Graph& part, const std::vector<TensorId>& inputs, const std::vector<TensorId>& outputs) {
    const std::size_t first = out_.graph.tensors.size();
    const auto here = [&](TensorId id) { return TensorId(id.index() + first); };
    out_.graph.tensors.insert(out_.graph.tensors.end(), part.tensors.begin(), part.tensors.end());
    for (Op op : part.ops) {
      for (auto* list : {&op.operands, &op.results})
        for (TensorId& id : *list) id = here(id);
      out_.graph.ops.push_back(std::move(op));
    }
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (!copies_[inputs[i].index()].valid()) copies_[inputs[i].index()] = here(part.inputs[i]);
    for (std::size_t i = 0; i < outputs.size(); ++i) copies_[outputs[i].index()] = here(part.outputs[i]);
  }

  /// Inputs and outputs in the model's order; those that only the host touches have no part that they would come from.
  void finish_graph() {
    out_.graph.name = model_.name;
    const auto copied = [&](TensorId id) {
      TensorId& copy = copies_[id.index()];
      if (!copy.valid()) {
        copy = TensorId(out_.graph.tensors.size());
        out_.graph.tensors.push_back(model_.tensor(id));
      }
      return copy;
    };
    for (const TensorId id : model_.inputs) out_.graph.inputs.push_back(copied(id));
    for (const TensorId id : model_.outputs) out_.graph.outputs.push_back(copied(id));
    // Every input and output has its number, whether or not something touches it.
    for (const auto* list : {&model_.inputs, &model_.outputs})
      for (const TensorId id : *list) of_host(id);
  }

  void note_steps() {
    if (steps_.empty()) return;
    out_.program.labels.notes.push_back(fmt::format("{} step{} of the host: {}; what the host computes takes no time here", steps_.size(),
                                                    steps_.size() == 1 ? "" : "s", fmt::join(kinds_, ", ")));
  }

  const graph::Graph& model_;
  std::shared_ptr<const chip::Chip> chip_;
  CompileOptions options_;
  Compiled out_;
  std::vector<BufferId> homes_;          ///< by tensor of the model
  std::map<std::size_t, bool> on_chip_;  ///< by buffer that is shared: a part of the chip has said how it lies
  std::vector<TensorId> copies_;         ///< by tensor of the model: in the graph that was put together
  std::vector<ContextId> steps_;
  std::set<std::string> kinds_, buffer_names_, context_names_;
};

}  // namespace

bool has_host_work(const graph::Graph& model) {
  return std::any_of(model.ops.begin(), model.ops.end(), [](const Op& op) { return op.host.has_value(); }) ||
         std::none_of(model.ops.begin(), model.ops.end(), [&](const Op& op) { return writes(model, op); });
}

graph::Graph give_to_host(graph::Graph model, numerics::Format format) {
  const auto concerns = [&](const std::vector<TensorId>& ids) {
    return std::any_of(ids.begin(), ids.end(), [&](TensorId id) { return model.tensor(id).format == format; });
  };
  for (Op& op : model.ops) {
    if (op.host || op.results.size() != 1 || !(concerns(op.operands) || concerns(op.results)) || !is_map(model, op)) continue;
    const numerics::Nest& nest = op.nests[0];
    std::vector<TensorId> operands;
    for (const numerics::Access& read : nest.reads) operands.push_back(op.operands[static_cast<std::size_t>(read.slot)]);
    op.host = numerics::HostCall{"Map",
                                 {{"expression", numerics::print_expression(nest.expression)},
                                  {"format", std::string(numerics::format_name(model.tensor(op.results[0]).format))}}};
    op.operands = std::move(operands);
    op.nests.clear();
  }
  return model;
}

Result<Compiled> compile_around_host(const graph::Graph& model, std::shared_ptr<const chip::Chip> chip, const CompileOptions& options) {
  if (options.mappings || options.dump_mappings)
    return fail(FailureKind::unsupported, "mapping/impossible",
                fmt::format("'{}' has steps of the host: mapping files name the kernels of a model that is compiled as one", model.name),
                "leave out --mapping and --dump-mapping");
  return Assembler(model, std::move(chip), options).run();
}

}  // namespace switchyard::compiler
