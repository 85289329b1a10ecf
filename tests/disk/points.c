/* Kills a process, or fails it, at one chosen change to what lies below a folder, for one test. Of all calls that change
   something below `$POINTS_ROOT`, made while the file `$POINTS_ROOT.on` is there, the one with the number `$POINTS_AT`
   is never done: with `$POINTS_HOW` `kill` the process dies in its stead, of a write after half of it; with `fail` the
   call fails, as of a disk that is full or cannot sync. What a failed sync was to make durable is lost then: zeros stand
   in its place, and a later sync does not bring it back. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILES 4096
#define LONGEST 4096

/* How much of each open file a sync made durable. */
static off_t durable[FILES];
static atomic_int points;

static int is_point(const char *call, const char *path)
{
	char on[LONGEST];
	const char *root = getenv("POINTS_ROOT"), *at = getenv("POINTS_AT");
	if (root == NULL || at == NULL || strncmp(path, root, strlen(root)) != 0 || path[strlen(root)] != '/')
		return 0;
	if (snprintf(on, sizeof on, "%s.on", root) >= (int)sizeof on || access(on, F_OK) != 0)
		return 0;
	if (atomic_fetch_add(&points, 1) + 1 != atoi(at))
		return 0;
	dprintf(2, "point %s: %s %s\n", at, call, path + strlen(root));
	return 1;
}

/* Ends the process where it is to be killed. */
static int fails(int fault)
{
	const char *how = getenv("POINTS_HOW");
	if (how == NULL || strcmp(how, "fail") != 0)
		for (;;)
			raise(SIGKILL);
	errno = fault;
	return -1;
}

static int is_point_of_file(const char *call, int file)
{
	char link[64], path[LONGEST];
	snprintf(link, sizeof link, "/proc/self/fd/%d", file);
	ssize_t length = readlink(link, path, sizeof path - 1);
	if (length < 0)
		return 0;
	path[length] = 0;
	return is_point(call, path);
}

static int opened(const char *path, int flags, mode_t mode)
{
	if ((flags & O_CREAT) != 0 && is_point("create", path))
		return fails(ENOSPC);
	int file = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
	struct stat found;
	if (file >= 0 && file < FILES)
		durable[file] = fstat(file, &found) == 0 ? found.st_size : 0;
	return file;
}

int open(const char *path, int flags, ...)
{
	va_list rest;
	va_start(rest, flags);
	mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
	va_end(rest);
	return opened(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	va_list rest;
	va_start(rest, flags);
	mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
	va_end(rest);
	return opened(path, flags, mode);
}

ssize_t write(int file, const void *bytes, size_t count)
{
	if (is_point_of_file("write", file)) {
		syscall(SYS_write, file, bytes, count / 2);
		return fails(ENOSPC);
	}
	return syscall(SYS_write, file, bytes, count);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at)
{
	if (is_point_of_file("write", file)) {
		syscall(SYS_pwrite64, file, bytes, count / 2, at);
		return fails(ENOSPC);
	}
	return syscall(SYS_pwrite64, file, bytes, count, at);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t at)
{
	return pwrite64(file, bytes, count, at);
}

int ftruncate64(int file, off64_t length)
{
	if (is_point_of_file("truncate", file))
		return fails(EIO);
	return (int)syscall(SYS_ftruncate, file, length);
}

int ftruncate(int file, off_t length)
{
	return ftruncate64(file, length);
}

static void lose(int file)
{
	static const char zeros[1 << 16];
	struct stat found;
	if (file >= FILES || fstat(file, &found) != 0 || !S_ISREG(found.st_mode))
		return;
	for (off_t at = durable[file]; at < found.st_size; at += (off_t)sizeof zeros) {
		off_t left = found.st_size - at, most = (off_t)sizeof zeros;
		syscall(SYS_pwrite64, file, zeros, (size_t)(left < most ? left : most), at);
	}
}

static int synced(long call, int file)
{
	struct stat found;
	if (is_point_of_file("sync", file)) {
		int failed = fails(EIO);
		lose(file);
		errno = EIO;
		return failed;
	}
	int done = (int)syscall(call, file);
	if (done == 0 && file < FILES && fstat(file, &found) == 0)
		durable[file] = found.st_size;
	return done;
}

int fsync(int file)
{
	return synced(SYS_fsync, file);
}

int fdatasync(int file)
{
	return synced(SYS_fdatasync, file);
}

int rename(const char *from, const char *to)
{
	return is_point("rename", to) ? fails(EIO) : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlink(const char *path)
{
	return is_point("remove", path) ? fails(EIO) : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
	return is_point("remove", path) ? fails(EIO) : (int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}

int unlinkat(int folder, const char *path, int flags)
{
	int chosen = path[0] == '/' ? is_point("remove", path) : is_point_of_file("remove in", folder);
	return chosen ? fails(EIO) : (int)syscall(SYS_unlinkat, folder, path, flags);
}

int mkdir(const char *path, mode_t mode)
{
	return is_point("make", path) ? fails(ENOSPC) : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}
