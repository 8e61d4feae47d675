// The exact text of the diagnostics of support/.
#include <gtest/gtest.h>

#include "support/document.h"
#include "support/file.h"

namespace switchyard {
namespace {

std::string said(const std::string& text) {
  const Result<Document> document = parse_document(text, "chip.yaml");
  return document ? "nothing" : format_failure(document.failure());
}

TEST(Document, SaysWhatIsWrong) {
  struct Case {
    const char* text;
    const char* message;
  };
  for (const Case& c : {
           Case{"name: x\nname: y\n",
                "chip.yaml:2:1: error: the key 'name' stands here twice [document/duplicate-key]\n"
                "  name: y\n"
                "  ^\n"
                "  hint: the first is in line 1\n"},
           {"a: &b 1\n",
            "chip.yaml:1:4: error: anchors (&name) are not allowed [document/alias]\n"
            "  a: &b 1\n"
            "     ^\n"
            "  hint: write the value out where it is used\n"},
           {"a: *b\n",
            "chip.yaml:1:4: error: aliases (*name) are not allowed [document/alias]\n"
            "  a: *b\n"
            "     ^\n"
            "  hint: write the value out where it is used\n"},
           {"a: !!int 1\n",
            "chip.yaml:1:4: error: tags (!name) are not allowed [document/tag]\n"
            "  a: !!int 1\n"
            "     ^\n"
            "  hint: quote the scalar to make it text\n"},
           {"[x]: 1\n",
            "chip.yaml:1:1: error: a key must be a scalar [document/syntax]\n"
            "  [x]: 1\n"
            "  ^\n"},
           {"a: 1\n---\nb: 1\n",
            "chip.yaml:2:1: error: a second document begins here [document/syntax]\n"
            "  ---\n"
            "  ^\n"
            "  hint: keep one document in a file\n"},
           {"a: \xff\n",
            "chip.yaml:1:4: error: the byte 0xff is not text [document/syntax]\n"
            "  hint: save the file as UTF-8\n"},
       }) {
    EXPECT_EQ(said(c.text), c.message);
  }
  EXPECT_TRUE(said(std::string(65, '['))
                  .starts_with("chip.yaml:1:65: error: collections stand more than 64 deep in each other "
                               "[document/too-deep]\n"))
      << said(std::string(65, '['));
  EXPECT_EQ(said(std::string((16 << 20) + 1, ' ')), "chip.yaml: error: the text has more than 16 MiB [document/too-large]\n");
}

TEST(File, SaysWhatIsWrong) {
  EXPECT_EQ(format_failure(read_document("/absent.yaml").failure()),
            "/absent.yaml: error: cannot read '/absent.yaml': No such file or directory [document/unreadable]\n");
  EXPECT_EQ(format_failure(read_file("/absent").failure()),
            "/absent: error: cannot read '/absent': No such file or directory [file/unreadable]\n");
  EXPECT_EQ(format_failure(read_file("/").failure()),
            "/: error: cannot read '/': it is a directory [file/unreadable]\n"
            "  hint: name a file inside it\n");
  EXPECT_EQ(format_failure(read_file("/dev/zero").failure()),
            "/dev/zero: error: cannot read '/dev/zero': it is not a regular file [file/unreadable]\n");
  EXPECT_EQ(format_failure(read_file(SWITCHYARD_SOURCE_DIR "/LICENSE", 10).failure()), SWITCHYARD_SOURCE_DIR
            "/LICENSE: error: '" SWITCHYARD_SOURCE_DIR "/LICENSE' holds more than the 10 bytes that are read [file/too-large]\n");
  EXPECT_EQ(format_failure(write_file("/absent/file", "").failure()),
            "/absent/file: error: cannot write '/absent/file': No such file or directory [file/unwritable]\n");
}

}  // namespace
}  // namespace switchyard
