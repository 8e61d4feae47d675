// Emitter: what emit_context builds one context with. Its parts: emit.cpp (arrays, tokens, channels, the actors that compute),
// emit_sharing.cpp (operands that several components need alike), emit_send.cpp (results on their way to other scratchpads).
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "compiler/emit.h"
#include "program/parts.h"

namespace switchyard::compiler {

using numerics::Affine;
using program::Actor;
using program::ActorId;
using program::ActorKind;
using program::Channel;
using program::Port;
using program::Token;

/// Among the loops of an actor, which are dims, the loop over the rounds of a ring.
inline constexpr int kRounds = -1;
/// And a loop over tiles beside each other, which is the inner part of a dim's loop: each turn of it is another reader's.
inline constexpr int turns_of(int dim) { return -2 - dim; }

class Emitter {
 public:
  Emitter(const Machine& machine, const graph::Graph& g, const Kernel& kernel, const Mapping& mapping,
          const std::vector<std::vector<int>>& layouts, const std::vector<Reach>& reach, const std::vector<OperandHome>& homes,
          const std::vector<program::Buffer>& buffers, MessageCounts* counts)
      : machine_(machine),
        chip_(*machine.chip),
        g_(g),
        kernel_(kernel),
        mapping_(mapping),
        layouts_(layouts),
        reach_(reach),
        homes_(homes),
        buffers_(buffers),
        parts_(buffers),
        counts_(counts),
        ring_(ring_of(kernel, mapping, reach).ring) {
    for (const int d : mapping.order) {
      if (ring_ && d == ring_->dim) loops_.push_back(kRounds);
      if (!ring_ || d != ring_->dim || ring_->slice > 1) loops_.push_back(d);
    }
  }

  program::Context run();

 private:
  // -------------------------------------------------------------------------------------------------- instances and loops
  void make_array();

  /// The components that read a shared operand for the others: one for each value of the coordinates it depends on. Different operands take
  /// different places among those that share, so that the work of reading is spread. Returns the array's number.
  std::size_t make_readers(std::size_t operand, std::int64_t member = 0);

  /// First index of each dim's tile, over the coordinates and the given loops (dims, outermost first).
  [[nodiscard]] Affine offset(std::size_t d, const std::vector<int>& loops, std::size_t array = 0) const;

  [[nodiscard]] std::int64_t trips_of(int loop) const;
  /// The dim that a loop moves along; of rounds the ring's.
  [[nodiscard]] int dim_of(int loop) const { return loop == kRounds ? ring_->dim : loop < 0 ? turns_of(loop) : loop; }

  [[nodiscard]] std::vector<program::Loop> loops_of(const std::vector<int>& dims) const;

  [[nodiscard]] std::vector<bool> kept(const KernelOperand& o, std::vector<int> loops) const;

  [[nodiscard]] static std::vector<int> without(const std::vector<int>& loops, const std::vector<bool>& kept);

  // -------------------------------------------------------------------------------------------------------------- tokens
  [[nodiscard]] std::size_t number_of(const KernelOperand& o) const { return static_cast<std::size_t>(&o - kernel_.operands.data()); }

  [[nodiscard]] Token token_of(const KernelOperand& o) const;

  /// Index within the token: the tile's own indices, shifted so that falling coefficients stay inside.
  [[nodiscard]] std::vector<Affine> local_index(const KernelOperand& o) const;

  [[nodiscard]] program::BufferAccess access_of(const KernelOperand& o, const std::vector<int>& loops, std::size_t array) const;

  // ------------------------------------------------------------------------------------------------------------ channels
  /// Offsets are given when the storage of all contexts is planned (storage.h).
  void connect(const std::string& name, ActorId from, int from_port, ActorId to, int to_port, std::int64_t depth);

  /// Coordinates of the producer from the consumer's: the same ones, or those that a shared operand depends on.
  void relate(Channel& c, std::size_t from, std::size_t to) const;

  std::optional<program::Route> route(const chip::Mover& mover, bool from_memory, std::size_t array) const;

  // -------------------------------------------------------------------------------------------------------------- actors
  Actor move_actor(const std::string& name, const KernelOperand& o, const std::vector<int>& loops, std::size_t array = 0);

  /// Takes what a reader has read and sends it to all components that need it.
  Actor cast_actor(const std::string& name, const Actor& load, std::size_t readers) const;

  ActorId add(Actor actor);

  [[nodiscard]] std::string mover_name(std::size_t i) const;

  /// Nothing is computed and both boxes have one form: the mover's token goes straight back.
  [[nodiscard]] bool is_plain_move() const;

  void emit_move();

  void emit_compute();

  /// How many components read each multicast operand, tile by tile in turns. Loops over these tiles become two, which `outer` is told, too.
  void take_turns(const std::vector<bool>& afterwards, std::vector<int>& outer);

  /// Each member of the ring reads its own slice. In the first round it works on that; in every round but the last it passes on what it
  /// has, and in the others it works on what the member before it has passed on.
  void pass_around(std::size_t i, ActorId user, const std::vector<int>& user_loops, const std::vector<bool>& kept);

  /// Slice (place - round) modulo the ring's size is no affine function: one mover stores the slices up to the member's own, a second one
  /// those beyond, each skipping what is not in the block. Blocks beside each other need movers of their own.
  void store_slices(std::size_t i, ActorId user, const std::vector<int>& user_loops, const std::vector<bool>& kept);

  /// The instances with one value of a coordinate, as an array of their own.
  std::size_t make_block(int split, std::int64_t block);

  /// Of the components that need an operand alike, each reads some of it from memory and sends it to all: those of its loops' innermost
  /// indices that are its own, in turns with the others', so that all of them read at any time, and what is needed first comes first.
  void share_out(std::size_t i, ActorId user, const std::vector<int>& user_loops, const std::vector<bool>& kept);

  /// A mover that carries what has been written to the parts of `to` that hold it, one message a firing; nothing when none does. It follows
  /// each firing of the writer, or sends all at the end where that is sooner: each message has its start-up.
  void send(std::size_t i, ActorId user, const std::vector<int>& user_loops, const std::vector<bool>& kept, program::BufferId to);

  /// A port whose tokens have no element.
  [[nodiscard]] static Port synchronising(std::string name, bool input, std::vector<bool> kept);

  /// Gives an actor that computes another port, and returns its number. Ports come before states in the numbering of slots: what names a
  /// state moves up.
  int add_output(ActorId id, Port done);

  /// Without its ports. `loops`: those of the writer that it follows; the others are over when it sends.
  [[nodiscard]] Actor send_actor(const KernelOperand& o, const std::vector<int>& loops, program::BufferId to) const;

  /// From the end of the computation to that of the last message, as far as the movers of one component go.
  [[nodiscard]] double sending_seconds(const Actor& a, std::int64_t messages) const;

  /// The most messages that one store of this mover takes, over its instances and firings; nothing when those are too many.
  [[nodiscard]] std::optional<std::int64_t> most_messages(Actor& a);
  [[nodiscard]] std::optional<std::int64_t> count_messages(Actor& a);

  [[nodiscard]] std::vector<program::Dim> dims_of(const std::vector<int>& loops) const;

  void add_port(Actor& actor, std::size_t i, const std::vector<int>& loops);

  /// Gives the mover of an operand with lookups the indices that say what it fetches, and each a mover that reads them.
  void pick(std::size_t i, ActorId mover, const std::vector<int>& loops);

  [[nodiscard]] Token local_token(const KernelLocal& l) const;

  /// Slots are ports, then states; local number 0 is the token `accumulator_port` in the epilogue's own actor.
  [[nodiscard]] program::Statement statement(const KernelStatement& s, int ports, int accumulator_port, program::Guard guard) const;

  const Machine& machine_;
  const chip::Chip& chip_;
  const graph::Graph& g_;
  const Kernel& kernel_;
  const Mapping& mapping_;
  const std::vector<std::vector<int>>& layouts_;
  const std::vector<Reach>& reach_;
  const std::vector<OperandHome>& homes_;
  const std::vector<program::Buffer>& buffers_;
  program::PartsOf parts_;
  MessageCounts* counts_;  ///< null: nobody keeps them
  std::optional<Ring> ring_;
  std::vector<int> loops_;  ///< of the actor that computes: dims, outermost first, and kRounds
  program::Context context_;
  struct Frame {  ///< of an array: which coordinate goes with each dim (-1: none), and how many there are
    std::vector<int> coordinate;
    int count = 0;
    std::int64_t block = 0;  ///< where the array is one block of the ring's dim: which
  };
  std::vector<Frame> frames_;                 ///< by array
  std::vector<std::pair<int, int>> port_of_;  ///< per operand: actor (0 main, 1 epilogue), port
  std::vector<std::int64_t> members_;         ///< per operand: components that read it for the others
  std::vector<std::int64_t> turns_;           ///< per dim: trips of the inner part of its loop; 1: it is one
};

}  // namespace switchyard::compiler
