#include "support/quantity.h"

#include <gtest/gtest.h>

#include <set>

namespace switchyard {
namespace {

TEST(Quantity, ReadsUnits) {
  struct Case {
    const char* text;
    double value;
    Dimension dimension;
  };
  for (const Case& c : {
           Case{"128 GB/s", 128e9, Dimension::bytes_per_second},
           {"128GB/s", 128e9, Dimension::bytes_per_second},
           {"3.35 TB/s", 3.35e12, Dimension::bytes_per_second},
           {"64 GiB/s", 68719476736., Dimension::bytes_per_second},
           {"100 Gbit/s", 12.5e9, Dimension::bytes_per_second},
           {"1.2 GHz", 1.2e9, Dimension::hertz},
           {"900 MHz", 9e8, Dimension::hertz},
           {"3 MiB", 3145728, Dimension::bytes},
           {"64 GB", 64e9, Dimension::bytes},
           {"64 GiB", 68719476736., Dimension::bytes},
           {"256 kB", 256e3, Dimension::bytes},
           {"256 KiB", 262144, Dimension::bytes},
           {"2 TiB", 2199023255552., Dimension::bytes},
           {"12 B", 12, Dimension::bytes},
           {"0.8", 0.8, Dimension::ratio},
           {".5", 0.5, Dimension::ratio},
           {"95%", 0.95, Dimension::ratio},
           {"-1", -1, Dimension::ratio},
           {"+2e3", 2000, Dimension::ratio},
           {" 7 ", 7, Dimension::ratio},
           {"95 MAC/cycle", 95, Dimension::per_cycle},
           {"64 op/cycle", 64, Dimension::per_cycle},
           {"32 lane/cycle", 32, Dimension::per_cycle},
           {"64 B/cycle", 64, Dimension::bytes_per_cycle},
           {"20 cycles", 20, Dimension::cycles},
           {"1 cycle", 1, Dimension::cycles},
           {"1 ns", 1e-9, Dimension::seconds},
           {"110 us", 0.00011, Dimension::seconds},
           {"110 \xc2\xb5s", 0.00011, Dimension::seconds},
           {"5 ms", 5e-3, Dimension::seconds},
           {"2.5 s", 2.5, Dimension::seconds},
           {"30 ps", 30e-12, Dimension::seconds},
           {"128 TFLOPS", 128e12, Dimension::operations_per_second},
           {"128 TFLOP/s", 128e12, Dimension::operations_per_second},
           {"256 TOPS", 256e12, Dimension::operations_per_second},
           {"1 EFLOPS", 1e18, Dimension::operations_per_second},
           {"700 W", 700, Dimension::watts},
           {"3 mW", 3e-3, Dimension::watts},
           {"1.5 MW", 1.5e6, Dimension::watts},
           {"0.59 pJ", 0.59e-12, Dimension::joules},
           {"3 J", 3, Dimension::joules},
           {"31.2 pJ/B", 31.2e-12, Dimension::joules_per_byte},
           {"3.9 pJ/bit", 31.2e-12, Dimension::joules_per_byte},
           {"30000 USD", 30000, Dimension::money},
           {"814 mm2", 814, Dimension::area},
           {"500 um^2", 0.0005, Dimension::area},
       }) {
    const std::optional<ParsedQuantity> parsed = parse_quantity(c.text);
    ASSERT_TRUE(parsed.has_value()) << c.text;
    EXPECT_DOUBLE_EQ(parsed->value, c.value) << c.text;
    EXPECT_EQ(parsed->dimension, c.dimension) << c.text;
  }
}

TEST(Quantity, RefusesTheRest) {
  for (const char* text : {"",        " ",    "-",     ".",    "GB",    "x",        "1 KB",      "1 Gb",   "1 gb",    "1 GB/", "1 GB / s",
                           "1 GHZ",   "1 hz", "inf",   "nan",  "1e999", "1e308 GB", "--1",       "+-1",    "0x10",    "1,5",   "1 2",
                           "1 GB GB", "1 mB", "1 nHz", "1 ks", "1 k",   "1 M",      "1 Kicycle", "1 MiHz", "1 apples"}) {
    EXPECT_FALSE(parse_quantity(text).has_value()) << text;
  }
}

TEST(Quantity, NamesEveryDimensionByAnExampleOfIt) {
  std::set<std::string> names;
  for (int i = 0; i <= static_cast<int>(Dimension::area); ++i) {
    const auto dimension = static_cast<Dimension>(i);
    const std::string name = describe_dimension(dimension);
    EXPECT_TRUE(names.insert(name).second) << name;
    const std::size_t begin = name.find("e.g. ");
    ASSERT_NE(begin, std::string::npos) << name;
    const auto parsed = parse_quantity(name.substr(begin + 5, name.size() - begin - 6));
    ASSERT_TRUE(parsed.has_value()) << name;
    EXPECT_EQ(parsed->dimension, dimension) << name;
  }
}

}  // namespace
}  // namespace switchyard
