#include "support/document.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <random>

namespace switchyard {
namespace {

using ::testing::HasSubstr;

Node good(const std::string& text) {
  Result<Document> document = parse_document(text, "t.yaml");
  if (!document) {
    ADD_FAILURE() << text << "\n" << format_failure(document.failure());
    return {};
  }
  return document.value().root;
}

/// "line:column code" of every diagnostic; syntax errors without the column, which differs between versions of libfyaml.
std::string bad(const std::string& text) {
  Result<Document> document = parse_document(text, "t.yaml");
  if (document) return "good";
  EXPECT_EQ(document.failure().kind, FailureKind::malformed);
  std::string codes;
  for (const Diagnostic& d : document.failure().diagnostics) {
    EXPECT_EQ(d.location.file, "t.yaml");
    const std::string column = d.code == "document/syntax" ? "" : fmt::format(":{}", d.location.column);
    codes += (codes.empty() ? "" : " ") + fmt::format("{}{} {}", d.location.line, column, d.code);
  }
  return codes;
}

/// The tree without positions, one letter per kind.
std::string shape(const Node& node) {
  switch (node.kind) {
    case Node::Kind::null: return "n";
    case Node::Kind::scalar: return (node.quoted ? "q<" : "s<") + node.text + ">";
    case Node::Kind::sequence: {
      std::string text = "[";
      for (const Node& item : node.items) text += shape(item);
      return text + "]";
    }
    case Node::Kind::map: {
      std::string text = "{";
      for (const auto& [key, value] : node.entries) text += key + "=" + shape(value);
      return text + "}";
    }
  }
  return "?";
}

TEST(Document, ReadsYamlAndJson) {
  struct Case {
    const char* text;
    const char* tree;
  };
  for (const Case& c : {
           Case{"", "n"},
           {"# only a comment\n", "n"},
           {"a", "s<a>"},
           {"a: 1\nb: \"1\"\nc: '2'\n", "{a=s<1>b=q<1>c=q<2>}"},
           {"a:\nb: ~\nc: null\nd: 'null'\ne: ''\n", "{a=nb=nc=nd=q<null>e=q<>}"},
           {"- 1\n- [2, {x: 3}]\n-\n  y: 4\n", "[s<1>[s<2>{x=s<3>}]{y=s<4>}]"},
           {"{\"a\": [1, 2.5e3, \"x\\ny\", null, true], \"b\": {}}", "{a=[s<1>s<2.5e3>q<x\ny>ns<true>]b={}}"},
           {"{\n\t\"a\": 1,\n\t\"b\": [\n\t\t2\n\t]\n}\n", "{a=s<1>b=[s<2>]}"},
           {"a: 128 GB/s # fast\nb: x:y\n", "{a=s<128 GB/s>b=s<x:y>}"},
           {"a: |\n  one\n  two\nb: >\n  x\n  y\n", "{a=q<one\ntwo\n>b=q<x y\n>}"},
           {"a: one\n  two\n", "{a=s<one two>}"},
           {"\"k y\": 1\n3: 2\n", "{k y=s<1>3=s<2>}"},
           {"? long\n: value\n", "{long=s<value>}"},
           {"---\na: 1\n...\n", "{a=s<1>}"},
           {"%YAML 1.2\n---\na: 1\n", "{a=s<1>}"},
           {"\xef\xbb\xbf"
            "a: 1\n",
            "{a=s<1>}"},
           {"a: 1\r\nb: 2\r\n", "{a=s<1>b=s<2>}"},
           {"a: \xc3\xa9\n", "{a=s<\xc3\xa9>}"},
           {"on: yes\n", "{on=s<yes>}"},
       }) {
    EXPECT_EQ(shape(good(c.text)), c.tree) << c.text;
  }
}

TEST(Document, KnowsWhereEverythingStands) {
  const Node root = good("# head\nchip:\n  name: \"x\"\n  \xc3\xa9t\xc3\xa9: [1,  22]\n  deep: {k: v}\n  block: |\n    text\n");
  const Node* chip = root.find("chip");
  ASSERT_NE(chip, nullptr);
  const auto at = [](const Node& node) { return fmt::format("{}:{} key {}:{}", node.line, node.column, node.key_line, node.key_column); };
  EXPECT_EQ(at(root), "2:1 key 0:0");
  EXPECT_EQ(at(*chip), "3:3 key 2:1");
  EXPECT_EQ(at(*chip->find("name")), "3:9 key 3:3");
  const Node& list = *chip->find("\xc3\xa9t\xc3\xa9");
  EXPECT_EQ(at(list), "4:8 key 4:3");
  EXPECT_EQ(at(list.items.at(0)), "4:9 key 0:0");
  EXPECT_EQ(at(list.items.at(1)), "4:13 key 0:0");
  EXPECT_EQ(at(*chip->find("deep")->find("k")), "5:13 key 5:10");
  EXPECT_EQ(chip->find("absent"), nullptr);
  const Node absent = good("a: 1\n  \nb:\nc: [1, ]\n");
  EXPECT_EQ(at(*absent.find("b")), "3:1 key 3:1");
}

TEST(Document, RejectsWithAPlace) {
  struct Case {
    std::string text;
    const char* errors;
  };
  for (const Case& c : std::vector<Case>{
           {"a: 1\nb: 2\na: 3\n", "3:1 document/duplicate-key"},
           {"a: 1\na: 2\nb: {c: 1, c: 2}\n", "2:1 document/duplicate-key 3:11 document/duplicate-key"},
           {"a: 1\n\"a\": 2\n", "2:1 document/duplicate-key"},
           {"a: &x 1\nb: 2\n", "1:4 document/alias"},
           {"b: 1\na: &x\n", "2:4 document/alias"},
           {"a: *x\n", "1:4 document/alias"},
           {"a: !!str 1\n", "1:4 document/tag"},
           {"a: 1\n---\nb: 2\n", "2 document/syntax"},
           {"[a]: 1\n", "1 document/syntax"},
           {"a: [1, 2\n", "1 document/syntax"},
           {"a: b: c\n", "1 document/syntax"},
           {"a: 1\n  b: 2\n", "1 document/syntax"},
           {"a: \"x\n", "1 document/syntax"},
           {"{\"a\": 1", "1 document/syntax"},
           {"a: 1\nb: x\x01y\n", "2 document/syntax"},
           {"a: \xff\n", "1 document/syntax"},
           {std::string("a\0b", 3), "1 document/syntax"},
           {std::string(70, '['), "1:65 document/too-deep"},
           {std::string(70, '[') + std::string(70, ']'), "1:65 document/too-deep"},
           {std::string(17 << 20, ' '), "0:0 document/too-large"},
       }) {
    EXPECT_EQ(bad(c.text), c.errors) << c.text.substr(0, 100);
  }
}

TEST(Document, ShowsTheSourceLine) {
  const Result<Document> document = parse_document("x: 0\nchip: {a: 1, a: 2}\n", "c.yaml");
  ASSERT_FALSE(document.ok());
  EXPECT_EQ(format_failure(document.failure()),
            "c.yaml:2:14: error: the key 'a' stands here twice [document/duplicate-key]\n"
            "  chip: {a: 1, a: 2}\n"
            "               ^\n"
            "  hint: the first is in line 2\n");
}

TEST(Document, ReadsFiles) {
  const std::string path = testing::TempDir() + "/switchyard_document_test.yaml";
  std::FILE* file = std::fopen(path.c_str(), "wb");
  ASSERT_NE(file, nullptr);
  std::fputs("a: 1\nb: [2]\n", file);
  std::fclose(file);
  Result<Document> document = read_document(path);
  std::remove(path.c_str());
  ASSERT_TRUE(document.ok());
  EXPECT_EQ(shape(document.value().root), "{a=s<1>b=[s<2>]}");
  EXPECT_EQ(document.value().line_text(2), "b: [2]");
  EXPECT_EQ(document.value().line_text(4), "");
  const Result<Document> wide = parse_document("a: 1\nb: " + std::string(70000, 'x') + "\n", "wide.yaml");
  ASSERT_TRUE(wide.ok());
  EXPECT_EQ(wide.value().line_text(1), "a: 1");
  EXPECT_EQ(wide.value().line_text(2), "") << "a line that nobody can read, once per diagnostic";
  EXPECT_EQ(document.value().file, path);

  const Result<Document> absent = read_document(path + ".absent");
  ASSERT_FALSE(absent.ok());
  EXPECT_EQ(absent.failure().diagnostics.at(0).code, "document/unreadable");
}

TEST(Document, PrintsWhatItReads) {
  const std::string text =
      "chip: tx81\n"
      "note: \"1\"\n"
      "memories:\n"
      "  ddr: {bytes: 64 GiB, shape: null}\n"
      "  nested:\n"
      "    - [1, 2]\n"
      "    - a: [1]\n"
      "      b: {}\n"
      "    - - {x: 1}\n"
      "empty: []\n";
  EXPECT_EQ(print_yaml(good(text)), text);
}

/// Trees of awkward texts: parse(print(x)) == x.
class Trees {
 public:
  explicit Trees(unsigned seed) : random_(seed) {}
  Node tree(int depth) {
    Node node;
    const unsigned kind = random_() % (depth > 0 ? 6u : 3u);
    if (kind == 0) return node;
    if (kind < 3) {
      node.kind = Node::Kind::scalar;
      node.quoted = true;
      node.text = word();
    } else if (kind < 5) {
      node.kind = Node::Kind::map;
      for (unsigned i = random_() % 4; i > 0; --i) {
        std::string key = word() + std::to_string(i);
        node.entries.emplace_back(std::move(key), tree(depth - 1));
      }
    } else {
      node.kind = Node::Kind::sequence;
      for (unsigned i = random_() % 4; i > 0; --i) node.items.push_back(tree(depth - 1));
    }
    return node;
  }

 private:
  std::string word() {
    static const std::vector<std::string> kPieces = {"a",
                                                     "B7",
                                                     " ",
                                                     ":",
                                                     ": ",
                                                     "#",
                                                     " #",
                                                     "-",
                                                     "- ",
                                                     "?",
                                                     ",",
                                                     "[",
                                                     "]",
                                                     "{",
                                                     "}",
                                                     "&",
                                                     "*",
                                                     "!",
                                                     "|",
                                                     ">",
                                                     "'",
                                                     "\"",
                                                     "%",
                                                     "@",
                                                     "`",
                                                     "\\",
                                                     "\n",
                                                     "\t",
                                                     "\x01",
                                                     "\x7f",
                                                     "\xc3\xa9",
                                                     "\xc2\x85",
                                                     "\xe2\x80\xa8",
                                                     "\xef\xbb\xbf",
                                                     "\xf0\x9f\x98\x80",
                                                     "null",
                                                     "~",
                                                     "---",
                                                     "...",
                                                     "0x1",
                                                     "1e3",
                                                     "<<",
                                                     "\r"};
    std::string text;
    for (unsigned i = random_() % 4; i > 0; --i) text += kPieces[random_() % kPieces.size()];
    if (random_() % 200 == 0) text.append(1200, 'k');
    return text;
  }
  std::mt19937 random_;
};

TEST(Document, RoundTripsAwkwardTrees) {
  for (unsigned seed = 0; seed < 3000; ++seed) {
    const Node tree = Trees(seed).tree(5);
    const std::string text = print_yaml(tree);
    Result<Document> back = parse_document(text, "t.yaml");
    ASSERT_TRUE(back.ok()) << "seed " << seed << "\n" << format_failure(back.failure()) << text;
    ASSERT_EQ(shape(back.value().root), shape(tree)) << "seed " << seed << "\n" << text;
  }
}

TEST(Document, RoundTripsPlainScalars) {
  for (const char* scalar : {"-1",  "-x", "?x",   ":x",   "a,b", "a, b", "[",  "x:y", "a#b", "128 GB/s", "50%", "a'b",   "a\"b", "x{y}",
                             "-.5", "<",  "a: b", "a #b", "- x", "x:",   "@a", "`",   "%x",  "=",        "~x",  "nullx", "....", "é"}) {
    Result<Document> first = parse_document(fmt::format("k: {}\nl: [1]\n", scalar), "t.yaml");
    if (!first) continue;  // not a plain scalar
    const std::string printed = print_yaml(first.value().root);
    EXPECT_EQ(shape(good(printed)), shape(first.value().root)) << scalar << "\n" << printed;
    // A caller may make a plain scalar of any text: it must at least keep the text.
    Node made;
    made.kind = Node::Kind::scalar;
    made.text = scalar;
    EXPECT_EQ(good(print_yaml(made)).text, scalar);
  }
}

TEST(Document, LongListsAreWrapped) {
  Node root, list, numbers;
  root.kind = Node::Kind::map;
  list.kind = numbers.kind = Node::Kind::sequence;
  for (int i = 0; i < 200; ++i) {
    Node& number = numbers.items.emplace_back();
    number.kind = Node::Kind::scalar;
    number.text = fmt::format("{}", i * i);
  }
  list.items = {numbers, numbers};
  root.entries = {{"places", numbers}, {"deeper", list}};
  const std::string text = print_yaml(root);
  EXPECT_EQ(shape(good(text)), shape(root)) << text;
  EXPECT_LT(std::count(text.begin(), text.end(), '\n'), 40) << text;
  for (std::size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos; at = end + 1) EXPECT_LT(end - at, 130u) << text;
}

TEST(Document, SurvivesDamage) {
  const std::string seed_text =
      "chip: tx81\nbase: \"x\\u00e9\"\nmemories:\n  - {name: ddr, bytes: 64 GiB, at: [0, 1]}\n  - name: 'spm'\n    note: |\n      text\n? "
      "a\n: >-\n  b\n"
      "--- &a !t *b\n";
  std::mt19937 random(7);
  for (int round = 0; round < 6000; ++round) {
    std::string text = seed_text;
    for (unsigned k = 1 + random() % 6; k > 0; --k) {
      const std::size_t at = random() % text.size();
      static constexpr std::string_view kBytes = "[]{}:,-?#&*!|>'\"%@ \n\t\r\\ab0\xc3\xe2\x80~.";
      switch (random() % 4) {
        case 0: text[at] = kBytes[random() % kBytes.size()]; break;
        case 1: text.insert(at, 1 + random() % 3, kBytes[random() % kBytes.size()]); break;
        case 2: text.erase(at, 1 + random() % 8); break;
        default: text.insert(at, text.substr(random() % text.size(), random() % 12)); break;
      }
      if (text.empty()) text = "x";
    }
    Result<Document> document = parse_document(text, "t.yaml");
    if (!document) {
      ASSERT_FALSE(document.failure().diagnostics.empty());
      EXPECT_FALSE(format_failure(document.failure()).empty());
    } else {
      ASSERT_EQ(shape(good(print_yaml(document.value().root))), shape(document.value().root)) << text << "\n==>\n"
                                                                                              << print_yaml(document.value().root);
    }
  }
}

TEST(Document, BoundsLargeInputs) {
  std::string many = "[";
  for (int i = 0; i < 1'100'000; ++i) many += "1,";
  EXPECT_THAT(bad(many + "1]"), HasSubstr("document/too-large"));
}

}  // namespace
}  // namespace switchyard
