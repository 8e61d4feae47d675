#include "support/file.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <thread>

#include "support/sha256.h"

namespace switchyard {
namespace {

TEST(CheckWritable, TellsBeforeTheWork) {
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / ("switchyard_writable_" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  EXPECT_TRUE(check_writable((folder / "new.txt").string()).ok());
  EXPECT_FALSE(std::filesystem::exists(folder / "new.txt")) << "asking makes nothing";
  ASSERT_TRUE(write_file((folder / "old.txt").string(), "x").ok());
  EXPECT_TRUE(check_writable((folder / "old.txt").string()).ok());
  EXPECT_TRUE(check_writable("/dev/null").ok());
  for (const std::string& bad :
       {std::string(), folder.string(), (folder / "none/new.txt").string(), (folder / "old.txt/new.txt").string()}) {
    const Status status = check_writable(bad);
    ASSERT_FALSE(status.ok()) << bad;
    EXPECT_EQ(status.failure().diagnostics[0].code, "file/unwritable") << bad;
    EXPECT_FALSE(write_file(bad, "x").ok()) << bad;
  }
  std::filesystem::remove_all(folder);
}

std::string scratch(const char* name) { return testing::TempDir() + "/switchyard_file_test_" + name; }

std::string code(const Failure& failure) { return failure.diagnostics.at(0).code; }

TEST(File, WritesAndReads) {
  const std::string path = scratch("bytes");
  for (const std::string& bytes : {std::string(), std::string("a\0b\xff\n", 5), std::string(300000, 'x')}) {
    ASSERT_TRUE(write_file(path, bytes).ok());
    Result<std::string> back = read_file(path);
    ASSERT_TRUE(back.ok());
    EXPECT_EQ(back.value(), bytes);
    EXPECT_TRUE(read_file(path, bytes.size()).ok()) << "exactly the limit";
  }
  const Result<std::string> large = read_file(path, 299999);
  ASSERT_FALSE(large.ok());
  EXPECT_EQ(code(large.failure()), "file/too-large");
  std::remove(path.c_str());
}

TEST(File, RefusesWhatIsNoFile) {
  for (const std::string& path : {std::string("/"), std::string(), scratch("absent"), std::string("/dev/zero"), std::string("a\0b", 3)}) {
    const Result<std::string> bytes = read_file(path);
    ASSERT_FALSE(bytes.ok()) << path;
    EXPECT_EQ(code(bytes.failure()), "file/unreadable") << path;
    EXPECT_EQ(bytes.failure().kind, FailureKind::malformed);
  }
  EXPECT_EQ(read_file(scratch("absent")).failure().diagnostics.at(0).message,
            "cannot read '" + scratch("absent") + "': No such file or directory");
  const Status written = write_file("/nowhere/at/all", "x");
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(code(written.failure()), "file/unwritable");
  EXPECT_EQ(written.failure().kind, FailureKind::usage);
  EXPECT_FALSE(write_file("", "x").ok());
}

TEST(File, ReadsAPipeUpToTheLimit) {
  const std::string path = scratch("pipe");
  std::remove(path.c_str());
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const auto with_writer = [&](std::size_t limit) {
    std::thread writer([&] { (void)write_file(path, std::string(50000, 'p')); });
    Result<std::string> bytes = read_file(path, limit);
    writer.join();
    return bytes;
  };
  const Result<std::string> whole = with_writer(1 << 20);
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(whole.value(), std::string(50000, 'p'));
  const Result<std::string> cut = with_writer(49999);
  ASSERT_FALSE(cut.ok());
  EXPECT_EQ(code(cut.failure()), "file/too-large");
  std::remove(path.c_str());
}

TEST(File, IsReplacedWholeOrNotAtAll) {
  const std::string path = testing::TempDir() + "switchyard_replaced", link = path + "_link";
  std::remove(link.c_str());
  ASSERT_TRUE(write_file(path, "old").ok());
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);

  struct rlimit limit {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &limit), 0);
  const struct rlimit small { 1000, limit.rlim_max };
  signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);  // a disk that is full after 1000 bytes
  const Status failed = write_file(path, std::string(5000, 'n'));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(code(failed.failure()), "file/unwritable");
  EXPECT_EQ(read_file(path).value(), "old");
  EXPECT_FALSE(read_file(path + ".part").ok());

  ASSERT_EQ(::symlink(path.c_str(), link.c_str()), 0);
  ASSERT_TRUE(write_file(link, "new").ok());
  EXPECT_EQ(read_file(path).value(), "new") << "a link stays one";
  ASSERT_TRUE(write_file(path, "newer").ok());
  EXPECT_EQ(read_file(link).value(), "newer");
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640U);
  std::remove(link.c_str());
  std::remove(path.c_str());
}

TEST(Sha256, AgreesWithTheStandard) {
  // FIPS 180-2, appendix B.
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, GrowsByPieces) {
  Sha256 digest;
  digest.update("a");
  digest.update(std::span<const std::byte>());
  Sha256 moved = std::move(digest);
  moved.update("bc");
  EXPECT_EQ(moved.hex(), sha256_hex("abc"));
  EXPECT_THROW((void)moved.hex(), InternalError);
  EXPECT_THROW(moved.update("x"), InternalError);
}

}  // namespace
}  // namespace switchyard
