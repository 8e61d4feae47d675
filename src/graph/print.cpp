#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "graph/text.h"

namespace switchyard::graph {

namespace {

using numerics::Access;
using numerics::Nest;

class Printer {
 public:
  explicit Printer(const Graph& graph) : graph_(graph) {}

  std::string run() {
    line("switchyard graph 1");
    line("graph {}", quoted(graph_.name));
    for (const Tensor& t : graph_.tensors) {
      constexpr std::string_view kRoles[] = {"input", "constant", "intermediate"};
      line("{} {} {}{}", kRoles[static_cast<std::size_t>(t.role)], quoted(t.name), type(t.format, t.shape), t.trained ? "" : " untrained");
    }
    line("inputs{}", names(graph_.inputs));
    line("outputs{}", names(graph_.outputs));
    for (const Op& op : graph_.ops) print_op(op);
    return std::move(out_);
  }

 private:
  template <class... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
    out_ += '\n';
  }

  static std::string quoted(const std::string& name) {
    std::string text = "\"";
    for (const char c : name) {
      if (c == '"' || c == '\\') {
        text += '\\';
        text += c;
      } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
        fmt::format_to(std::back_inserter(text), "\\x{:02x}", static_cast<unsigned char>(c));
      } else {
        text += c;
      }
    }
    return text + '"';
  }
  static std::string type(numerics::Format format, const numerics::Shape& shape) {
    return fmt::format("{}[{}]", numerics::format_name(format), fmt::join(shape, ","));
  }
  static std::string number(double v) { return std::isnan(v) ? "nan" : fmt::format("{}", v); }
  [[nodiscard]] std::string names(const std::vector<TensorId>& ids) const {
    std::string text;
    for (const TensorId id : ids) text += " " + quoted(graph_.tensor(id).name);
    return text;
  }

  void print_op(const Op& op) {
    std::string nodes;
    for (const std::string& node : op.nodes) nodes += " " + quoted(node);
    line("op {} {}{}", quoted(op.name), quoted(op.kind), nodes.empty() ? nodes : " from" + nodes);
    int slot = 0;
    for (const TensorId id : op.operands) line("  operand {} {}", slot++, quoted(graph_.tensor(id).name));
    for (const TensorId id : op.results) line("  result {} {}", slot++, quoted(graph_.tensor(id).name));
    for (const Local& local : op.locals) line("  local {} {} {}", slot++, quoted(local.name), type(local.format, local.shape));
    if (op.host) {
      std::string attributes;
      for (const auto& [key, value] : op.host->attributes) attributes += fmt::format(" {} {}", quoted(key), quoted(value));
      line("  host {}{}", quoted(op.host->kind), attributes);
    }
    for (const Nest& nest : op.nests) print_nest(nest);
  }

  void print_nest(const Nest& nest) {
    constexpr std::string_view kKinds[] = {"", ":reduction", ":sequential"};
    std::string loops;
    std::vector<std::string> loop_names;
    for (const numerics::NestLoop& loop : nest.loops) {
      loops += fmt::format(" {}:{}{}", loop.name, loop.extent, kKinds[static_cast<std::size_t>(loop.kind)]);
      loop_names.push_back(loop.name);
    }
    line("  nest{}", loops);
    for (std::size_t r = 0; r < nest.reads.size(); ++r) line("    x{} = {}", r, access(nest.reads[r], loop_names));
    line("    {} = {} {}", access(nest.write, loop_names), numerics::combiner_name(nest.combiner),
         numerics::print_expression(nest.expression));
  }

  static std::string access(const Access& access, const std::vector<std::string>& loop_names) {
    std::string text = fmt::format("slot {}[", access.slot);
    for (std::size_t d = 0; d < access.index.size(); ++d) {
      if (d > 0) text += ", ";
      const auto lookup = std::find_if(access.lookups.begin(), access.lookups.end(),
                                       [&](const numerics::Lookup& l) { return static_cast<std::size_t>(l.dimension) == d; });
      text += lookup == access.lookups.end() ? numerics::print_affine(access.index[d], loop_names) : fmt::format("@x{}", lookup->read);
    }
    text += ']';
    if (access.fill) text += " fill " + number(*access.fill);
    return text;
  }

  const Graph& graph_;
  std::string out_;
};

}  // namespace

std::string print(const Graph& graph) { return Printer(graph).run(); }

}  // namespace switchyard::graph
