// Operators against ONNX Runtime, which shares nothing with this project: small models on every chip, in fp32. Those it has no model of
// must pass a case of ONNX's own (docs/operators.md, which another test holds to what passes).
#include <gtest/gtest.h>

#include <cstdlib>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "binary.h"
#include "model/onnx/operators.h"

namespace switchyard::tests {
namespace {

/// Operators of which a case of ONNX's own passes: rows | name | ... | passed |.
std::set<std::string> operators_with_cases() {
  std::set<std::string> names;
  std::istringstream page(text_of(SWITCHYARD_SOURCE_DIR "/docs/operators.md"));
  for (std::string line; std::getline(page, line);) {
    std::vector<std::string> cells;
    std::istringstream row(line);
    for (std::string cell; std::getline(row, cell, '|');) cells.push_back(cell);
    if (cells.size() < 7 || std::atoi(cells[6].c_str()) <= 0) continue;
    std::istringstream(cells[1]) >> line;
    names.insert(line);
  }
  return names;
}

TEST(Oracle, AgreesOnEveryOperator) {
  const char* python = std::getenv("SWITCHYARD_ORACLE");
  if (python == nullptr) GTEST_SKIP() << "ONNX Runtime is not there: $SWITCHYARD_ORACLE names no Python that has it";
  const Workbench bench;
  const std::string said = (bench.folder() / "operators").string();
  const std::string command = std::string("'") + python + "' '" SWITCHYARD_SOURCE_DIR "/tests/conformance/oracle_models.py' '" +
                              bench.folder().string() + "/models' >'" + said + "'";
  ASSERT_EQ(std::system(command.c_str()), 0);
  std::istringstream words(text_of(said));
  const std::set<std::string> asked{std::istream_iterator<std::string>(words), {}};
  const std::set<std::string> cases = operators_with_cases();
  EXPECT_GE(cases.size(), 100U);
  // No two libraries draw the same numbers: property/random_test.cpp judges these by their distribution.
  std::set<std::string> drawn;
  for (const model::onnx::Operator& o : model::onnx::random_operators()) drawn.emplace(o.name);
  for (const std::string& name : model::onnx::operator_names())
    EXPECT_TRUE(asked.contains(name) || cases.contains(name) || drawn.contains(name))
        << "no model has a node " << name << ", and no case of ONNX's own passes";
  int runs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(bench.folder() / "models")) {
    const std::string model = "'" + entry.path().string() + "'";
    for (const char* chip : {"tx81", "h100-sxm"}) {
      const Outcome outcome =
          bench.run("run " + model + " --chip " + chip + " --precision fp32 --inputs " + model + " --expect " + model + " --quiet");
      EXPECT_EQ(outcome.code, 0) << entry.path().filename() << " on " << chip << "\n" << outcome.err;
      ++runs;
    }
  }
  EXPECT_GE(runs, 200);
}

}  // namespace
}  // namespace switchyard::tests
