// Graph: a model as structured operators (loop nests with affine accesses) over named tensors. It knows no hardware.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "numerics/host_call.h"
#include "numerics/nest.h"
#include "numerics/tensor.h"
#include "support/id.h"

namespace switchyard::graph {

using TensorId = Id<struct TensorTag>;
using OpId = Id<struct OpTag>;

enum class Role : std::uint8_t { input, constant, intermediate };

struct Tensor {
  std::string name;
  numerics::Format format = numerics::Format::fp32;
  numerics::Shape shape;
  Role role = Role::intermediate;
  numerics::ConstantPtr constant;  ///< role constant; may be null in a shape-only graph
  bool trained = true;             ///< counts as a parameter (false for running statistics, shape tables)
};

/// A temporary inside one operator (the row maximum of a softmax). Lives as slots after operands and results.
struct Local {
  std::string name;
  numerics::Format format = numerics::Format::fp32;
  numerics::Shape shape;
};

/// One operator: its nests run in order. Slot s of an access is operand s, then result s-|operands|, then local s-|operands|-|results|.
/// Lookups pick elements of operands only, by reads of integers that need no lookup themselves and stay inside; such a read has no `fill`.
/// Laws (verify): every element of every result is written by exactly one nest at exactly one point of its parallel loops; reads
/// without `fill` stay inside; operands are defined before; no result is read before the nest that writes it.
struct Op {
  std::string name;                ///< unique; the node's name for an imported model
  std::string kind;                ///< "Conv", "Softmax" ...: a label, nothing depends on it
  std::string origin;              ///< the operator that this is a step of, where a rewrite took one apart; the text of a graph has it not
  std::vector<std::string> nodes;  ///< the model nodes this operator serves
  std::vector<TensorId> operands;
  std::vector<TensorId> results;
  std::vector<Local> locals;
  std::vector<numerics::Nest> nests;
  std::optional<numerics::HostCall> host;  ///< no nests: what no unit can do; the results have the shapes it gives

  [[nodiscard]] int result_slot(int r) const { return static_cast<int>(operands.size()) + r; }
  [[nodiscard]] int local_slot(int l) const { return static_cast<int>(operands.size() + results.size()) + l; }
};

struct Graph {
  std::string name;
  std::vector<Tensor> tensors;
  std::vector<Op> ops;            ///< in topological order
  std::vector<TensorId> inputs;   ///< in the model's order, initialisers excluded
  std::vector<TensorId> outputs;  ///< in the model's order

  [[nodiscard]] const Tensor& tensor(TensorId id) const { return tensors[id.index()]; }
  [[nodiscard]] Tensor& tensor(TensorId id) { return tensors[id.index()]; }
};

/// Multiply-accumulates of all contractions (Conv, MatMul, Gemm).
std::int64_t mac_count(const Graph& graph);
/// Elements of all trained floating constants declared; one shared by several tensors counts once.
std::int64_t parameter_count(const Graph& graph);
/// Does any operator draw random numbers?
bool is_random(const Graph& graph);
/// Gives tensors and operators names of their own, after a rewrite: of equal ones the first keeps it, and steps of operators (Op::origin)
/// yield to all others.
void distinguish_names(Graph& graph);
/// The format of the first floating input, else the one that most floating elements have, else fp32.
numerics::Format prevailing_format(const Graph& graph);

}  // namespace switchyard::graph
