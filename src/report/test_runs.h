// A run for tests of reports.
#pragma once

#include <string>

#include "report/run.h"

namespace switchyard::report {

inline RunReport sample_run() {
  RunReport r;
  r.model = {"resnet50", "aa", 120, 4'090'000'000, 25'557'032};
  r.chip = {"tx81", "bb", "TX81"};
  r.precision = "bf16";
  r.batch = 4;
  r.latency = Picoseconds(1'000'000'007);
  r.lower_bound = Picoseconds(500'000'000);
  r.peak_bound = Picoseconds(400'000'000);
  r.launch = Picoseconds(7);
  r.attribution = {Picoseconds(600'000'000), Picoseconds(300'000'000), Picoseconds(50'000'000),
                   Picoseconds(25'000'000),  Picoseconds(20'000'007),  Picoseconds(5'000'000)};
  r.utilization = {0.4, 0.03, 0.5, 0.1};
  for (int i = 0; i < 20; ++i) {
    ContextReport c;
    c.name = "context" + std::to_string(i);
    c.ops = {"a_very_long_operator_name_that_some_exporter_made_up/with/slashes/Conv_" + std::to_string(i), "Relu"};
    c.share = c.span = c.busy = Picoseconds(50'000'000);
    c.lower_bound = Picoseconds(25'000'000);
    c.attribution[i % 6] = c.share;
    r.contexts.push_back(c);
  }
  r.outputs = {{"logits", {4, 1000}, "fp32", std::string(64, 'c')}};
  r.check.executed = true;
  r.check.against = "reference";
  r.check.points = 5120;
  r.check.outputs = 20;
  r.check.rule = "256 points of every operator";
  r.assumptions = {{"/networks/noc/hop", "1 ns", "assumed"}, {"/memories/ddr/sustained", "0.8", "calibrated"}};
  r.notes = {"exp runs on the vector unit"};
  r.version = "0.1.0";
  r.argv = {"switchyard", "run"};
  return r;
}

}  // namespace switchyard::report
