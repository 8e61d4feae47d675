#include "support/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace switchyard {
namespace {

/// Closes a descriptor at the end of a scope; close() itself is checked where a write may still fail.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool close() {
    const int fd = fd_;
    fd_ = -1;
    return ::close(fd) == 0;
  }

 private:
  int fd_;
};

bool write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(file, bytes.data(), bytes.size());
    if (put < 0 && errno != EINTR) return false;
    if (put > 0) bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return true;
}

Failure unreadable(const std::string& path, const std::string& why, std::string hint = {}) {
  return fail(FailureKind::malformed, "file/unreadable", fmt::format("cannot read '{}': {}", path, why), std::move(hint), {path, 0, 0});
}

Failure unwritable(const std::string& path, const std::string& why) {
  return fail(FailureKind::usage, "file/unwritable", fmt::format("cannot write '{}': {}", path, why), {}, {path, 0, 0});
}

Failure too_large(const std::string& path, std::size_t limit) {
  return fail(FailureKind::malformed, "file/too-large", fmt::format("'{}' holds more than the {} bytes that are read", path, limit), {},
              {path, 0, 0});
}

}  // namespace

Result<std::string> read_file(const std::string& path, std::size_t limit) {
  if (path.empty()) return unreadable(path, "the name is empty");
  if (path.find('\0') != std::string::npos) return unreadable(path.substr(0, path.find('\0')), "the name holds a NUL byte");
  // Asked before opening: opening a device may already have an effect.
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return unreadable(path, std::strerror(errno));
  if (S_ISDIR(info.st_mode)) return unreadable(path, "it is a directory", "name a file inside it");
  if (!S_ISREG(info.st_mode) && !S_ISFIFO(info.st_mode)) return unreadable(path, "it is not a regular file");
  if (S_ISREG(info.st_mode) && static_cast<std::size_t>(info.st_size) > limit) return too_large(path, limit);

  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return unreadable(path, std::strerror(errno));
  std::string bytes;
  std::size_t used = 0;
  bytes.resize(std::min(limit, static_cast<std::size_t>(std::max<off_t>(info.st_size, 0))) + 1);
  while (true) {
    if (used == bytes.size()) bytes.resize(std::min(limit, std::max<std::size_t>(2 * used, 65536)) + 1);
    const ssize_t got = ::read(file.get(), bytes.data() + used, bytes.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return unreadable(path, std::strerror(errno));
    if (got == 0) break;
    used += static_cast<std::size_t>(got);
    if (used > limit) return too_large(path, limit);
  }
  bytes.resize(used);
  return bytes;
}

Status write_file(const std::string& path, std::string_view bytes) {
  if (path.empty()) return unwritable(path, "the name is empty");
  struct stat old {};
  const bool exists = ::lstat(path.c_str(), &old) == 0;
  // A device, a pipe, a link to elsewhere, a file with a second name: only what is there can be written.
  if (!exists || (S_ISREG(old.st_mode) && old.st_nlink == 1)) {
    const std::string part = path + ".part";
    Descriptor file(::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666));
    if (file.get() >= 0) {
      bool written = write_all(file.get(), bytes);
      if (written && exists) written = ::access(path.c_str(), W_OK) == 0 && ::fchmod(file.get(), old.st_mode & 07777) == 0;
      written = file.close() && written && ::rename(part.c_str(), path.c_str()) == 0;
      if (written) return Done{};
      const int why = errno;
      ::unlink(part.c_str());
      return unwritable(path, std::strerror(why));
    }
  }
  Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (file.get() < 0 || !write_all(file.get(), bytes) || !file.close()) return unwritable(path, std::strerror(errno));
  return Done{};
}

Status check_writable(const std::string& path) {
  if (path.empty()) return unwritable(path, "the name is empty");
  struct stat there {};
  if (::stat(path.c_str(), &there) == 0) {
    if (S_ISDIR(there.st_mode)) return unwritable(path, std::strerror(EISDIR));
    return ::access(path.c_str(), W_OK) == 0 ? Status(Done{}) : unwritable(path, std::strerror(errno));
  }
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  if (::stat(folder.c_str(), &there) != 0) return unwritable(path, std::strerror(errno));
  if (!S_ISDIR(there.st_mode)) return unwritable(path, std::strerror(ENOTDIR));
  return ::access(folder.c_str(), W_OK | X_OK) == 0 ? Status(Done{}) : unwritable(path, std::strerror(errno));
}

}  // namespace switchyard
