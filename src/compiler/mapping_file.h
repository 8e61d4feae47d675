// Mapping file: an engineer's own mappings, kernel by kernel, and the compiler's own written down in the same form
// (docs/formats/mapping.md).
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "compiler/lesser.h"
#include "compiler/mapping.h"
#include "compiler/merge.h"
#include "compiler/partition.h"
#include "compiler/reduction.h"
#include "support/document.h"
#include "support/result.h"

namespace switchyard::compiler {

/// A file as read: its structure is right, its names are looked up when a kernel is at hand.
class MappingFile {
 public:
  struct Value {
    std::int64_t value = 0;
    Location at;
  };
  struct Named {
    std::string name;
    Value value;
  };
  struct Name {
    std::string text;
    Location at;
  };
  /// Where an operand lies. handed: a kernel on another unit of the component makes or uses it tile by tile.
  enum class Lies : std::uint8_t { memory, scratchpads, handed };
  struct Operand {
    Name tensor;
    std::optional<Sharing> sharing;
    std::optional<Value> depth;
    std::optional<bool> resident;
    std::optional<Lies> lies;
  };
  /// What one entry says. What it does not say: one instance, tiles as large as the instance's share, loops in the kernel's order with the
  /// reductions innermost, operands double-buffered and not shared.
  struct Entry {
    Name kernel;                         ///< a name, or a pattern with * and ?
    std::optional<std::int64_t> nth;     ///< among kernels of one name, from 1
    std::optional<Name> unit, epilogue;  ///< names of units
    std::vector<Named> split, tile, trips;
    std::optional<std::vector<Name>> order;
    std::optional<Value> accumulators, slices;
    std::optional<bool> overlap;
    std::optional<Value> readers;
    std::optional<Name> dealt;                     ///< the loop whose tiles go to instances in turns
    std::optional<Name> stream;                    ///< the outermost loop: results are handed on step by step of it
    std::optional<std::vector<Value>> components;  ///< that do the work; none: the first ones
    std::vector<Operand> operands;
  };

  /// Failures (malformed), all located and listed: mapping/shape, mapping/unknown-key, mapping/value, and those of a document.
  static Result<MappingFile> parse(std::string text, std::string file);
  static Result<MappingFile> read(const std::string& path);

  /// The entry for a kernel, `nth` among those of its name from 1: one with its very name before patterns, earlier ones before later ones.
  [[nodiscard]] const Entry* find(const std::string& kernel, std::int64_t nth) const;
  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }
  /// The corner of the array that does all the work, where the file says so.
  [[nodiscard]] const std::optional<std::vector<Value>>& within() const { return within_; }
  /// By component instance: where what the other keys put there goes, where the file says so.
  [[nodiscard]] const std::optional<std::vector<Value>>& placement() const { return placement_; }
  /// Kernels that are one context, by name; every other one is a context of its own.
  [[nodiscard]] const std::vector<std::vector<Name>>& contexts() const { return contexts_; }
  /// Kernels along whose rows attention goes over blocks of keys.
  [[nodiscard]] const std::vector<Name>& streamed() const { return streamed_; }
  /// The lesser machine that the program was made for, where the file says so.
  [[nodiscard]] const std::optional<Name>& made_for() const { return made_for_; }
  /// Channels of what is fetched early are as deep as they can be, rather than begun early.
  [[nodiscard]] bool deep() const { return deep_; }
  /// Products of one tensor that become one, by the name of that one, where the file says which.
  [[nodiscard]] const std::optional<std::vector<Name>>& merged() const { return merged_; }
  /// Operators whose longest reduction is cut, and into how many parts.
  [[nodiscard]] const std::vector<Named>& reductions() const { return reductions_; }
  [[nodiscard]] Diagnostic diagnose(std::string code, std::string message, const Location& at, std::string hint = {}) const;

 private:
  Document document_;
  std::vector<Entry> entries_;
  std::optional<std::vector<Value>> within_, placement_;
  std::vector<std::vector<Name>> contexts_;
  std::vector<Name> streamed_;
  std::optional<Name> made_for_;
  bool deep_ = false;
  std::optional<std::vector<Name>> merged_;
  std::vector<Named> reductions_;
};

/// The machine as far as the file lets it work: mapping/value where its array has no such corner.
Result<Machine> apply_array(const MappingFile& file, const Machine& machine);
/// What the machine that the program is made for has less of; nothing where the file does not say. mapping/value where `machine` has no
/// more.
Result<std::optional<Less>> apply_made_for(const MappingFile& file, const Machine& machine);
/// The file's placement, for program/relocate.h; empty where it has none. mapping/value where it is no permutation of working components.
Result<std::vector<std::uint32_t>> placement_of(const MappingFile& file, const Machine& machine);
/// Cuts the reductions that the file cuts, and says which: mapping/unknown-name, mapping/value.
Result<std::vector<ReductionCut>> apply_reductions(const MappingFile& file, const Machine& machine, graph::Graph& graph);
/// Products of one tensor become one as the file says, or else where their result has no more than `most` elements. Returns all that could.
/// mapping/unknown-name where the file names others, or has entries for kernels that there would be otherwise.
Result<std::vector<Merge>> apply_merges(const MappingFile& file, double most, graph::Graph& graph, std::vector<Decision>& decisions);
/// Entries whose kernel the model does not have: mapping/unknown-name.
Status check_kernels(const MappingFile& file, const std::vector<Kernel>& kernels);
/// Contexts as the file has them. mapping/unknown-name; mapping/value where kernels of one do not follow each other or are in two;
/// mapping/impossible where the machine joins none, or where one of them reads off chip what another one has written there. `program` has
/// one context per kernel.
Result<std::vector<Section>> sections_of(const MappingFile& file, const Machine& machine, const std::vector<Kernel>& kernels,
                                         const program::Program& program);
/// Softmax kernels whose attention does not go over blocks of keys, where the file names some that do. mapping/unknown-name.
Result<std::set<graph::OpId>> unstreamed_of(const MappingFile& file, const std::vector<Kernel>& kernels);
/// By kernel and operand: the file has it handed on tile by tile.
std::vector<std::vector<bool>> handed_of(const MappingFile& file, const graph::Graph& graph, const std::vector<Kernel>& kernels);
/// A kernel does not go over blocks of keys as the file says (mapping/impossible), and why.
Failure not_streamed(const MappingFile& file, const MappingFile::Name& kernel, const std::string& why);
/// A kernel does not hand on a tensor as the file says (mapping/impossible).
Failure not_handed(const MappingFile& file, const std::string& kernel, const std::string& tensor);
/// Those sections had to be cut before a kernel (mapping/impossible), and why.
Failure not_one_context(const MappingFile& file, const std::vector<Kernel>& kernels, const Section& cut);
/// Which of the tensors that could stay in scratchpads the file keeps off chip: their stays[t] becomes false. What is handed on stays.
void apply_places(const MappingFile& file, const graph::Graph& graph, const std::vector<Kernel>& kernels, std::vector<bool>& stays);
/// The mapping of kernels[k] as an entry has it, with storage and estimate. Failures: mapping/unknown-name (malformed), mapping/impossible
/// and compile/does-not-fit (unsupported).
Result<Mapping> apply_entry(const MappingFile& file, const MappingFile::Entry& entry, const Machine& machine, const graph::Graph& graph,
                            const Kernel& kernel, const std::vector<std::vector<int>>& layouts, const std::vector<Reach>& reach);

/// The `nth` of each kernel among those of its name, from 1.
std::vector<std::int64_t> numbers_among_namesakes(const std::vector<Kernel>& kernels);
/// What a mapping file says of a program.
struct Written {
  const Machine& machine;
  const graph::Graph& graph;
  const std::vector<Kernel>& kernels;
  const std::vector<Mapping>& mappings;   ///< by kernel
  const std::vector<Section>& sections;   ///< contexts
  std::vector<std::vector<Reach>> reach;  ///< by kernel and operand
  std::vector<std::uint32_t> placement;   ///< by component; empty: plain order
  std::vector<ReductionCut> cuts;
  std::vector<std::string> streamed;  ///< kernels along whose rows attention goes over blocks of keys
  std::string made_for;               ///< a lesser machine's name; empty: the machine as it is
  bool deep = false;
  const std::vector<Merge>& merges;
};
/// All of it as text of a mapping file. Read back it gives the same program.
std::string print_mapping_file(const Written& written);

}  // namespace switchyard::compiler
