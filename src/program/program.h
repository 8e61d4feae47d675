// Program: everything the chip needs and nothing of the model but labels. The narrow waist: compilers end here, simulators
// start here. Semantics: docs/program.md. Data only; see program/{print,parse,verify}.h.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chip/chip.h"
#include "numerics/affine.h"
#include "numerics/host_call.h"
#include "numerics/nest.h"
#include "numerics/tensor.h"
#include "support/id.h"
#include "support/units.h"

namespace switchyard::program {

using BufferId = Id<struct BufferTag>;
using ContextId = Id<struct ContextTag>;
using ArrayId = Id<struct ArrayTag>;      ///< within one context
using ActorId = Id<struct ActorTag>;      ///< within one context
using ChannelId = Id<struct ChannelTag>;  ///< within one context

// ---------------------------------------------------------------------------------------------------------------- buffers

/// program: one invocation; persistent: loaded once, kept; kernel: what the stages of one kernel hand to each other, block by block, so
/// that it takes no memory.
enum class Lifetime : std::uint8_t { program, persistent, kernel };
enum class BufferRole : std::uint8_t { intermediate, input, output, constant };

/// How a buffer lies in a memory that every component of a class has (scratchpads). Instance i of the list, with coordinates c (row-major
/// over `shape`), holds the box that begins at start(c) and has `extent` indices, clipped to the buffer: its part. Parts may overlap: an
/// element then has several copies, and none where no part holds it. A part is dense over `extent` in the buffer's order, its innermost
/// dimension padded to a multiple of `pad` elements.
struct Spread {
  std::vector<std::int64_t> shape;        ///< coordinates are row-major over this
  std::vector<std::uint32_t> components;  ///< component instance of each
  std::vector<numerics::Affine> start;    ///< per dimension of the buffer; variables: the coordinates
  std::vector<std::int64_t> extent;
  std::int64_t pad = 1;
};

/// A tensor in an off-chip memory, or spread over scratchpads: a byte range, a logical shape and the order in which its dimensions lie in
/// memory. See program/spread.h for the parts of a spread buffer.
struct Buffer {
  std::string name;
  chip::MemoryId memory;
  numerics::Format format = numerics::Format::fp32;
  numerics::Shape shape;    ///< logical
  std::vector<int> order;   ///< physical order of the dimensions, slowest first: a permutation of 0..rank-1
  std::int64_t offset = 0;  ///< in the memory; of a spread buffer in each component's
  std::int64_t bytes = 0;   ///< allocated; at least elements * format bytes, or a part's where it is spread
  std::optional<Spread> spread;
  Lifetime lifetime = Lifetime::program;
  BufferRole role = BufferRole::intermediate;
  int index = -1;                  ///< input or output number
  numerics::ConstantPtr constant;  ///< role constant: its values, logical row-major, in `format`; null: shape-only
};

// ------------------------------------------------------------------------------------------------------ arrays and loops

/// Instances of a component class that work together. A listed array names its components in order; a grid (`dynamic`) is dealt to
/// the components by the chip's sequencer, in row-major order of its coordinates.
struct Array {
  std::string name;
  chip::ComponentId component;
  std::vector<std::int64_t> shape;        ///< coordinates are row-major over this
  std::vector<std::uint32_t> components;  ///< listed arrays: component instance of each array instance; empty when dynamic
  bool dynamic = false;
  std::vector<std::string> coordinate_names;  ///< for text only; empty: c0, c1 ... (see program/instance.h)
};

struct Loop {
  std::string name;
  std::int64_t trip = 1;
  numerics::LoopKind kind = numerics::LoopKind::parallel;
};

/// Index positions of a loop: [begin, end). Negative numbers count from the end; end == kToEnd is the end.
/// first = [0,1), not first = [1,end), last = [-1,end), not last = [0,-1).
struct IndexRange {
  static constexpr std::int64_t kToEnd = std::numeric_limits<std::int64_t>::max();
  int loop = -1;  ///< -1: everywhere
  std::int64_t begin = 0, end = kToEnd;
  bool operator==(const IndexRange&) const = default;
};
/// All of them must hold. Empty: always.
using Guard = std::vector<IndexRange>;

// -------------------------------------------------------------------------------------------------------- tokens and ports

/// What one token is: a box of elements, dense in `order`, its innermost dimension padded to a multiple of `pad` elements.
struct Token {
  numerics::Format format = numerics::Format::fp32;
  std::vector<std::int64_t> shape;
  std::vector<int> order;
  std::int64_t pad = 1;
  bool operator==(const Token&) const = default;
  [[nodiscard]] std::int64_t bytes() const;                 ///< padded: what a slot occupies
  [[nodiscard]] std::vector<std::int64_t> strides() const;  ///< elements, per logical dimension
};
/// False: no element, the token of a mover's port that only synchronises.
inline bool carries_data(const Token& token) {
  for (const std::int64_t extent : token.shape)
    if (extent == 0) return false;
  return true;
}

/// A port that peeks `peek` successive tokens and pops `pop` per step of `loop`. Over one sweep of the loop (trip n) the sequence has
/// pop*(n-1)+peek positions; the first `pad_before` and last `pad_after` are not tokens but the pad value where `pad_always`, or where
/// the relation of the feeding channel leaves the array (else they are tokens).
struct Window {
  int loop = 0;
  std::int64_t peek = 1, pop = 1;
  std::int64_t pad_before = 0, pad_after = 0;
  bool pad_always = false;
  double pad_value = 0;
};

/// A box of a buffer: dimension d starts at start[d] (variables: coordinates, loops) and has the token's extent, or `extent[d]` where a
/// mover has no port with data (it moves from buffer to buffer; both of its boxes state the same extent). Elements outside region[d] =
/// [begin, end) are not touched: loads supply `fill`, stores skip them. Of a spread buffer, what is read lies in the own component's part.
/// A mover's store goes to every copy; the elements that go to the same components are one message, and the index of `message` (a loop of
/// the mover; -1: there is one message) says which: program/spread.h.
struct BufferAccess {
  BufferId buffer;
  std::vector<numerics::Affine> start;
  std::vector<std::array<std::int64_t, 2>> region;
  double fill = 0;
  int message = -1;
  std::vector<std::int64_t> extent;  ///< empty: the token's
};

/// Where an actor takes or gives tokens. `kept`: the loops over which the token stays. Acquire when all kept loops are at their first
/// index; release or emit when all are at their last. Tokens are numbered by the iteration vector without the kept loops.
struct Port {
  std::string name;
  bool input = true;
  Token token;
  std::vector<bool> kept;        ///< one per loop
  Guard guard;                   ///< active only there
  std::optional<Window> window;  ///< inputs only
  /// Compute actors: the token is this box of a spread buffer, read or written where it lies, in the own component's part. Such a port has
  /// no channel, no storage of its own and never waits.
  std::optional<BufferAccess> place;
  /// Inputs of movers with a source: the token's one element, an integer, is where the source's box (one index long there, and starting at
  /// 0) begins in this dimension; negative ones count from the end. -1: a token like any other.
  int picks = -1;
};
/// Does the port of a mover carry what it moves, rather than synchronise or say where to find it?
inline bool moves_data(const Port& port) { return carries_data(port.token) && port.picks < 0; }

// ------------------------------------------------------------------------------------------------------------------ actors

/// One dimension of a compute body: a tile of `tile` indices starting at `offset` (affine in coordinates and loops) of `total`.
/// A firing covers min(tile, total - offset) of them; none when that is not positive.
struct Dim {
  std::string name;
  std::int64_t tile = 1;
  std::int64_t total = 1;
  numerics::Affine offset;  ///< variables: array coordinates, then loops
};

/// Private storage of an actor: an accumulator, a running maximum. Set to `initial` at the first index of all `kept` loops.
struct State {
  std::string name;
  Token token;
  double initial = 0;
  std::vector<bool> kept;
  chip::MemoryId memory;
  std::int64_t offset = 0, bytes = 0;  ///< where it lies in that memory, in each instance
};

/// One nest of a body. Its loops are dims of the actor, in this order (last fastest). Slots: ports, then states. An access of a port with
/// a window has one index more, the first: the position in the window. Indices are affine in the dims (local, from 0).
/// A write to a state combines with what is there; a write to a port starts from the combiner's identity.
struct Statement {
  Guard guard;
  std::vector<int> dims;
  std::vector<numerics::LoopKind> kinds;  ///< one per dim: parallel or reduction
  std::vector<numerics::Access> reads;    ///< Access::index variables are dims (of the actor, by number)
  numerics::Expression expression;
  numerics::Combiner combiner = numerics::Combiner::none;
  numerics::Access write;
  [[nodiscard]] bool is_contraction() const { return combiner == numerics::Combiner::add && expression.is_product_of_inputs(); }
  /// The reads that a contraction multiplies, in the order of the product.
  [[nodiscard]] std::array<const numerics::Access*, 2> factors() const {
    const auto read = [this](int node) { return &reads[static_cast<std::size_t>(expression.nodes[static_cast<std::size_t>(node)].a)]; };
    return {read(expression.nodes[2].a), read(expression.nodes[2].b)};
  }
};

/// How a transfer crosses a network: per array instance the component instances it passes, both ends included.
/// An empty path is the network's own route. Multicast (several consumers of one producer): one path per consumer instance, forming a tree.
struct Route {
  chip::NetworkId network;
  std::vector<std::vector<std::uint32_t>> paths;
};

enum class ActorKind : std::uint8_t { compute, move };

/// compute: bound to a unit of each of its array's components; runs its statements. move: bound to a mover; one transfer per firing, from
/// `source` or its input port, to `destination` or its output port.
struct Actor {
  std::string name;
  ActorKind kind = ActorKind::compute;
  ArrayId array;
  chip::UnitId unit;        ///< compute
  chip::MoverId mover;      ///< move
  std::vector<Loop> loops;  ///< outermost first
  std::vector<Port> ports;
  std::vector<Dim> dims;                            ///< compute
  std::vector<State> states;                        ///< compute
  std::vector<Statement> statements;                ///< compute
  std::optional<BufferAccess> source, destination;  ///< move
  std::optional<Route> route;                       ///< move: between the component and the buffer's memory, or to the consumer
  bool early = false;                               ///< move: starts when Context::early_after have ended, before its context
  std::vector<std::string> ops;                     ///< labels of the operators it serves
};

// ---------------------------------------------------------------------------------------------------------------- channels

/// Source coordinate d = sum of terms over the consumer's coordinates + constant, modulo `modulus` when that is positive.
/// Where it leaves the producer's array there is no channel. A consumer coordinate that appears nowhere means multicast.
struct Relation {
  struct Coordinate {
    numerics::Affine source;  ///< variables: the consumer's array coordinates
    std::int64_t modulus = 0;
  };
  std::vector<Coordinate> coordinates;  ///< one per dimension of the producer's array
};

struct Endpoint {
  ActorId actor;
  int port = -1;
};

/// Joins one output port to input ports of the same array (all consumers take every token and share the storage).
/// Storage is a ring of `depth` slots in `memory` of the consumer's component.
struct Channel {
  std::string name;
  Endpoint from;
  Guard from_guard;  ///< which of the port's tokens go here (over the producer's loops)
  struct Consumer {
    Endpoint end;
    IndexRange domain;  ///< which positions of the port's sequence come from here: over a loop's index, or window positions
  };
  std::vector<Consumer> to;
  Relation relation;  ///< consumers' coordinates -> producer's
  std::int64_t depth = 1;
  chip::MemoryId memory;
  std::int64_t offset = 0, bytes = 0;
  std::int64_t initial = 0;  ///< tokens there at the start, of value initial_value
  double initial_value = 0;
  bool operator_order = false;  ///< reserved for combiners of many producers
};

/// A static circuit over a network that has them: from one component, or the port of a memory, along a tree to others. All that a context
/// transfers between these ends takes it, one after the other.
struct Circuit {
  chip::NetworkId network;
  bool packets = false;                           ///< a stream of packets that shares what is one circuit with other such streams
  std::vector<std::vector<std::uint32_t>> paths;  ///< one to each receiver, in ascending order of these; both ends included
};

// ---------------------------------------------------------------------------------------------------------------- program

/// What the host does in place of a context of the chip: one operation on whole buffers, which it reads and writes over its link to the
/// chip.
struct HostStep {
  numerics::HostCall call;
  std::vector<BufferId> reads, writes;
};

/// What is resident at once: a kernel, a configuration, a section. Or, without arrays and actors, a step of the host.
struct Context {
  std::string name;
  std::optional<HostStep> host;
  std::vector<std::string> ops;  ///< labels
  std::vector<Array> arrays;
  std::vector<Actor> actors;  ///< where several share a unit, the earlier one goes first
  std::vector<Channel> channels;
  std::vector<Circuit> circuits;       ///< set with its configuration
  std::vector<ContextId> after;        ///< contexts that must have ended
  std::vector<ContextId> early_after;  ///< contexts that must have ended before its early actors start
  /// Of a grid: the reduction of each instance is dealt in so many slices, as instances of their own, which add to the same sums in order.
  std::int64_t slices = 1;
  /// Of a grid: a further stage of the kernel that the context before it begins or continues.
  bool continues = false;
  /// Of what a stage computes, only this is used: of row i of the last two dimensions the columns up to i + past, `window` of them at most
  /// (0: all). The rest has no effect on the result, and kernels skip blocks of it.
  struct Band {
    std::int64_t past = 0, window = 0;
    bool operator==(const Band&) const = default;
  };
  std::optional<Band> band;
  Picoseconds bound;            ///< no schedule of this context is faster
  Picoseconds work;             ///< what of it its units need, when all data are there: none of it can be done before the context starts
  std::int64_t compulsory = 0;  ///< bytes that must cross the chip's edge for it, before it starts or later
  Picoseconds exchange;         ///< then the devices of a server exchange what it made, which takes so long; nothing goes on beside
};

/// What reports say about the model; the simulators do not read it.
struct Labels {
  std::string model, model_sha256;
  std::int64_t ops = 0, macs = 0, parameters = 0;
  std::string precision;
  std::int64_t batch = 1;
  std::vector<std::string> input_formats, output_formats;  ///< declared by the model, in order
  std::vector<std::string> notes;                          ///< what the chip does not do natively, choices worth saying
  Picoseconds lower_bound, peak_bound;
};

/// Calls use(buffer, writes) for every buffer that a context touches.
template <class Use>
void for_each_buffer(const Context& context, Use&& use) {
  for (const Actor& actor : context.actors) {
    if (actor.source) use(actor.source->buffer, false);
    if (actor.destination) use(actor.destination->buffer, true);
    for (const Port& port : actor.ports)
      if (port.place) use(port.place->buffer, !port.input);
  }
  if (!context.host) return;
  for (const BufferId id : context.host->reads) use(id, false);
  for (const BufferId id : context.host->writes) use(id, true);
}

struct Program {
  std::shared_ptr<const chip::Chip> chip;
  Labels labels;
  std::vector<Buffer> buffers;
  std::vector<Context> contexts;  ///< in an order that respects `after`
};

/// Tokens a port takes or gives over one run of its actor, for one instance: product of the loops not kept, guards applied, windows
/// counted in positions. Shared by the verifier's laws and by engines sizing their tables.
std::int64_t token_count(const Actor& actor, const Port& port);
/// Index range with negative numbers resolved against n positions, clipped to [0, n].
std::array<std::int64_t, 2> resolve(const IndexRange& range, std::int64_t positions);

}  // namespace switchyard::program
