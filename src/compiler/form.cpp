#include "compiler/form.h"

namespace switchyard::compiler {

std::string form_of(const Kernel& kernel, const graph::Graph& g, const std::vector<std::vector<int>>& layouts,
                    const std::vector<Reach>& reach, std::int64_t reserved) {
  std::string form;
  const auto number = [&](std::int64_t v) { form.append(reinterpret_cast<const char*>(&v), sizeof v); };
  number(reserved);
  for (const Reach r : reach) form += static_cast<char>('a' + static_cast<int>(r));
  const auto index_of = [&](const std::vector<numerics::Affine>& index) {
    for (const auto& f : index) {
      number(f.constant);
      for (const auto& t : f.terms) number(t.variable), number(t.coefficient);
      form += ';';
    }
  };
  for (const KernelDim& d : kernel.dims) number(d.extent), number(d.parallel), number(d.reduction), number(d.single);
  if (kernel.band) number(kernel.band->row), number(kernel.band->column), number(kernel.band->past), number(kernel.band->beyond);
  for (const KernelOperand& o : kernel.operands) {
    form += '|';
    number(static_cast<int>(g.tensor(o.tensor).format)), number(o.write), number(o.epilogue);
    for (const KernelLookup& l : o.lookups) number(l.dimension), number(l.operand);
    number(o.picking);
    for (std::int64_t e : g.tensor(o.tensor).shape) number(e);
    for (int d : layouts[o.tensor.index()]) number(d);
    index_of(o.index);
  }
  for (const KernelLocal& l : kernel.locals) {
    form += '/';
    for (int d : l.dims) number(d);
  }
  for (const KernelStatement& s : kernel.statements) {
    form += '#' + numerics::print_expression(s.expression);
    for (int d : s.dims) number(d);
    number(static_cast<int>(s.combiner)), number(s.epilogue);
    for (const KernelAccess& r : s.reads) number(r.local), number(r.number);
  }
  return form;
}

std::string form_to_search(const Kernel& kernel, const graph::Graph& g, const std::vector<std::vector<int>>& layouts,
                           const std::vector<Reach>& reach, std::int64_t reserved, int search) {
  return std::string(1, static_cast<char>('0' + search)) + form_of(kernel, g, layouts, reach, reserved);
}

}  // namespace switchyard::compiler
