// Chip: a machine in ten concepts, as read from one YAML file. Data only; queries in chip/query.h, reading in chip/read.h.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "numerics/expression.h"
#include "numerics/format.h"
#include "support/id.h"
#include "support/units.h"

namespace switchyard::chip {

using ComponentId = Id<struct ComponentTag>;  ///< index into Chip::components (a class of components)
using UnitId = Id<struct UnitTag>;
using MemoryId = Id<struct MemoryTag>;
using MoverId = Id<struct MoverTag>;
using NetworkId = Id<struct NetworkTag>;

enum class Confidence : std::uint8_t { measured, datasheet, paper, reported, derived, assumed, calibrated };

/// A number with its provenance. `value` is in base units: bytes, bytes/s, seconds, hertz, operations/cycle, ratios, joules, watts.
struct Number {
  double value = 0;
  std::optional<std::array<double, 2>> range;  ///< unknown is a range; value is then the nominal
  std::string text;                            ///< as written, with its unit
  std::string source;
  Confidence confidence = Confidence::assumed;
  std::string pointer;  ///< e.g. "/networks/noc/hop"
  bool operator==(const Number&) const = default;
};

/// 1. A class of components: a nested array of like instances. Instances are numbered row-major over `shape`.
struct Component {
  std::string name;
  ComponentId parent;                ///< none for the chip itself (always components[0], shape {})
  std::vector<std::int64_t> shape;   ///< {4,4}; {} is a single instance
  std::vector<std::uint32_t> holes;  ///< linear numbers of instances that are absent or defective
  std::vector<std::int64_t> clusters;
  bool operator==(const Component&) const = default;
};

/// Classes of work a unit can do. contract: sum of products; map: element-wise; reduce: max/min/sum over an axis.
enum class OpClass : std::uint8_t { contract, map, reduce };

enum class UnitKind : std::uint8_t { matrix, vector, transform };

/// 2. An engine that computes.
struct Unit {
  struct Rate {
    numerics::Format in = numerics::Format::fp32;
    numerics::Format accumulate = numerics::Format::fp32;  ///< contract: accumulator; map: the format each step is computed in
    Number per_cycle;                                      ///< MACs (contract) or lane operations (map, reduce) per cycle
    bool operator==(const Rate&) const = default;
  };
  std::string name;
  ComponentId in;
  UnitKind kind = UnitKind::matrix;
  std::vector<OpClass> ops;
  std::vector<Rate> rates;
  std::optional<Number> special_per_cycle;        ///< transcendental lane operations per cycle; default: as `rates`
  std::array<std::int64_t, 3> geometry{1, 1, 1};  ///< m, n, k of one step: extents are rounded up to these for time
  /// Of a systolic array: what stands still in it while the rest streams through. A fold is one filling of the array with that: it takes
  /// `load` cycles to bring it, `fill` until the last of what streams has passed all of the array, and `turn` until the next fold begins.
  struct Folds {
    enum class Stationary : std::uint8_t { none, first, second, result };  ///< factor, or the result
    Stationary stationary = Stationary::none;
    Number load, fill, turn;
    bool operator==(const Folds&) const = default;
  } folds;
  std::vector<std::string> epilogue;  ///< scalar operations applied on the way out at no cost ("add", "max")
  std::string clock;
  Number clock_hz;                                         ///< the named clock's
  Number startup_cycles;                                   ///< per firing
  std::int64_t queue_depth = 1;                            ///< commands that may be queued
  std::int64_t layout_block = 1;                           ///< operands' innermost dimension is padded to a multiple of this
  std::vector<std::pair<numerics::Format, Number>> peaks;  ///< stated dense peak of the whole chip, operations/s
  std::string peak_note;                                   ///< why the stated peak is not units * rate * clock
  Number sustained;    ///< 0..1: the share of a contraction's rate that kernels keep up; grids that run in waves only, as the next four
  Number step_cycles;  ///< the shortest step of one block: from operands' arrival to the multipliers and on
  struct Tiles {       ///< the blocks of results that kernels for this unit come in: every m with every n
    std::vector<std::int64_t> m, n;
    std::int64_t k = 0;                ///< bytes of an operand's row in one step
    std::int64_t least = 1, most = 1;  ///< of m times n
    bool turn = true;                  ///< n by m, too
    struct Scaled {
      std::int64_t most_rows = 0, m = 0, n = 0;
      bool operator==(const Scaled&) const = default;
    };
    std::vector<Scaled> scaled;  ///< the only tiles of kernels that scale sums of 8-bit floats: the first whose rows are enough; empty: any
    bool operator==(const Tiles&) const = default;
  } tiles;
  struct Vectors {  ///< kernels for few rows: no tiles, threads keep the sums of all rows and read the other factor once, as it streams
    std::vector<std::pair<numerics::Format, std::int64_t>> rows;  ///< the most, by format; none of formats that are not named
    std::vector<std::int64_t> columns;                            ///< of a block
    std::int64_t k = 0;                                           ///< bytes of an operand's row in one step
    bool operator==(const Vectors&) const = default;
  } vectors;
  std::vector<std::pair<numerics::ScalarOp, Number>> instructions;  ///< what an operation takes at the rate, where that is no single one
  std::vector<std::pair<numerics::Format, Number>> energy;  ///< joules per operation (two for a multiply-accumulate), all that it takes
  bool operator==(const Unit&) const = default;
};

enum class MemoryKind : std::uint8_t { scratchpad, cache, dram, registers };

/// 3. A memory. `bandwidth` is one instance's, `sustained` the share of it a stream can reach.
struct Memory {
  std::string name;
  ComponentId in;
  MemoryKind kind = MemoryKind::scratchpad;
  Number bytes;
  std::vector<std::array<std::int64_t, 2>> reserved;  ///< [begin, end) that tensors may not use
  Number bandwidth;
  Number sustained;                       ///< 0..1
  std::optional<Number> sustained_tiles;  ///< the same for kernels that read tiles of matrices; default: as `sustained`
  std::optional<Number> energy;           ///< joules of a byte that moves: with the units' and cost/tdp a limit to how much can
  Number latency;                         ///< seconds
  std::int64_t granule = 1;               ///< bytes: shorter contiguous runs cost as much as this
  std::int64_t alignment = 1;             ///< of allocations
  std::optional<MemoryId> backing;        ///< cache: what it caches
  std::optional<MemoryId> part_of;        ///< dram: a channel of that one; what it moves passes both
  std::optional<NetworkId> network;       ///< how components reach it
  std::vector<std::uint32_t> ports;       ///< component instances at which it enters a mesh (nearest by hops serves, ties by number)
  bool operator==(const Memory&) const = default;
};

/// 4. An engine that moves data. One transfer per firing; up to `outstanding` at once, their start-ups overlapping.
struct Mover {
  std::string name;
  ComponentId in;
  std::vector<MemoryId> from, to;
  std::optional<NetworkId> network;  ///< by which it reaches a memory of another component
  Number startup;                    ///< seconds per command
  Number bandwidth;                  ///< bytes/s of one engine
  std::int64_t count = 1;            ///< engines per component
  std::int64_t outstanding = 1;      ///< commands in flight per engine
  std::int64_t queue_depth = 1;
  std::int64_t dims = 4;       ///< levels of stride a descriptor holds
  std::int64_t multicast = 1;  ///< destinations of one command
  bool operator==(const Mover&) const = default;
};

enum class Topology : std::uint8_t { mesh2d, torus2d, ring, crossbar, tree, host };

/// 5. A network over the instances of one component class. Links are directed; crossbar: one link in and one out per component; tree: the
/// same, and one pair between the top and each component that contains them; host: the chip's link to its host.
struct Network {
  std::string name;
  ComponentId over;
  Topology topology = Topology::mesh2d;
  Number link;                 ///< bytes/s, one direction
  Number hop;                  ///< seconds per hop
  std::string routing = "xy";  ///< "xy": first along the last coordinate (columns), then along the first (rows)
  bool between_chips = false;
  int one_way = 0;              ///< torus, ring: links run towards higher (+1) or lower (-1) coordinates only; 0: both ways
  bool through_holes = false;   ///< the routers of holes work: routes pass them, and a memory may have its port there
  std::optional<Number> trunk;  ///< tree: bytes/s of a link between a container and the top; default: as `link`
  bool reduces = false;         ///< crossbar: sums what all send on the way
  /// Static circuits that a link carries one way, each with an equal share of its bandwidth; 0: none, links are shared by whoever comes.
  /// A context sets them: a circuit leads from one component, or memory's port, to several, and is its own all the way.
  std::int64_t circuits = 0;
  std::int64_t ends = 0;     ///< circuits that may begin at a component or port, and as many that may end there
  std::int64_t streams = 1;  ///< packet-switched streams that may share what is one circuit; 1: none may
  bool operator==(const Network&) const = default;
};

enum class SequencerKind : std::uint8_t { component_queues, grid };

/// Of a grid: what its kernels have in common, for which blocks that start together are a wave. Cycles are of `clock`.
struct Waves {
  std::string clock, load_clock;  ///< when little is multiplied, and when the multipliers are always busy
  Number clock_hz, load_hz;
  Number start;            ///< cycles of a kernel beside its blocks: launch, first access to memory, drain
  Number fill;             ///< cycles until a block's first step
  bool fill_once = false;  ///< blocks are persistent: the next tile's operands arrive while the one before is finished
  Number port, store;      ///< bytes per cycle into a component, and of results out of it
  Number rows;             ///< bytes of rows per cycle that a component takes in, in kernels that come back to each row they read
  Number wait;             ///< cycles of an access to memory that nothing hides
  std::int64_t share = 1;  ///< blocks that get an operand by one read, along either side of a tile
  Number combine;          ///< seconds more where reductions are cut into slices
  Number overlap;          ///< p of the norm in which components and memory overlap: large where they do perfectly
  /// Blocks of kernels that multiply twice (attention): their rows, of which a kernel has one, and the columns of a step at most. Where
  /// each head has one row alone, that of a cache, blocks are others. All rows of a block are computed, however few are there.
  struct Chains {
    std::vector<std::int64_t> rows, single_rows;
    std::int64_t columns = 0, single_columns = 0;
    bool operator==(const Chains&) const = default;
  } chains;
  bool operator==(const Waves&) const = default;
};

/// 6. Who issues work. component_queues: each component has a control core that fills its units' queues in program order.
/// grid: instances of a grid are dealt to the first free slot of a component.
struct Sequencer {
  SequencerKind kind = SequencerKind::component_queues;
  Number issue;                     ///< seconds of the control core per command
  Number launch;                    ///< seconds, host to chip
  bool launch_per_context = false;  ///< true: every context (kernel) pays it; false: once per program
  std::int64_t slots = 1;           ///< grid: resident instances per component at most
  std::optional<Waves> waves;       ///< grid: kernels are timed wave by wave, not event by event
  bool operator==(const Sequencer&) const = default;
};

/// 7. What it costs to change what is loaded.
struct ContextCost {
  Number switch_time;  ///< seconds
  Number bytes;        ///< per context; with `per`, of each of its instances that the context uses
  std::optional<ComponentId> per;
  std::optional<MemoryId> load_from;  ///< where configurations are kept
  std::int64_t resident = 1;          ///< contexts that may be loaded at once: with two, the next one's movers may start in the background
  bool keeps_scratchpads = false;     ///< what stands in scratchpads is still there after a switch
  bool operator==(const ContextCost&) const = default;
};

/// 8. Synchronisation of all components: alpha + beta * log2(n) seconds.
struct Sync {
  std::string name;
  Number alpha, beta;
  bool operator==(const Sync&) const = default;
};

/// 9. Formats the chip stores and computes in.
struct FormatSupport {
  std::vector<numerics::Format> native;
  std::string rounding = "nearest_even";
  bool subnormals = true;
  bool operator==(const FormatSupport&) const = default;
};

/// How the devices of a server exchange data. `ring`: round a ring, each to the next; `direct`: each to each, sums before they are
/// gathered; `one_shot`: each sends all it has to each; `in_network`: through a switch that sums.
enum class Way : std::uint8_t { ring, direct, one_shot, in_network };
struct Protocol {
  std::string name;
  std::vector<Way> ways;
  MoverId mover;               ///< its start-up is what a step takes beside its bytes, its bandwidth what one device keeps up
  Number start;                ///< seconds of the whole exchange beside its steps
  std::optional<Number> most;  ///< bytes of the result at most
  std::string library;         ///< whose it is
  bool operator==(const Protocol&) const = default;
};
struct Collectives {
  std::string of;    ///< name of the chip that its devices are
  ComponentId over;  ///< the devices
  NetworkId network;
  UnitId sums;                  ///< adds what arrives to what is there
  std::optional<MoverId> copy;  ///< moves a device's own part to where it belongs in the result; none: it is there already
  std::vector<Protocol> protocols;
  bool operator==(const Collectives&) const = default;
};

struct Chip {
  std::string name, family, title;
  std::vector<Component> components;  ///< [0] is the chip
  std::vector<Unit> units;
  std::vector<Memory> memories;
  std::vector<Mover> movers;
  std::vector<Network> networks;
  Sequencer sequencer;
  ContextCost context;
  std::vector<Sync> syncs;  ///< "barrier" is used between dependent contexts
  FormatSupport formats;
  std::map<std::string, Number> cost;      ///< 10. "static_power", "price" ...: W, USD, mm2, J/B
  std::optional<Collectives> collectives;  ///< of a server
  std::vector<std::pair<std::string, Number>> clocks;
  std::vector<Number> counts;                  ///< the whole numbers above that the file states, with their provenance
  std::map<std::string, std::string> sources;  ///< what the keys in Number::source stand for
  std::string text;                            ///< the resolved description (YAML): what programs embed and what sha256 names
  bool operator==(const Chip&) const = default;
};

}  // namespace switchyard::chip
