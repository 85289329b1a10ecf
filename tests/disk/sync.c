/* A disk that accepts writes and cannot make them durable, for one test: while the file `$SYNC_FAULT.fail` is there,
   syncing what lies in a folder `log` fails with EIO; while `$SYNC_FAULT.hang` is there, it takes as long as that. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int told(const char *what)
{
	char path[4096];
	const char *base = getenv("SYNC_FAULT");
	if (base == NULL || snprintf(path, sizeof path, "%s.%s", base, what) >= (int)sizeof path)
		return 0;
	return access(path, F_OK) == 0;
}

static int in_log(int file)
{
	char link[64], path[4096];
	snprintf(link, sizeof link, "/proc/self/fd/%d", file);
	ssize_t length = readlink(link, path, sizeof path - 2);
	if (length < 0)
		return 0;
	memcpy(path + length, "/", 2);
	return strstr(path, "/log/") != NULL;
}

static int synced(long call, int file)
{
	if (in_log(file)) {
		while (told("hang"))
			usleep(20000);
		if (told("fail")) {
			errno = EIO;
			return -1;
		}
	}
	return (int)syscall(call, file);
}

int fsync(int file)
{
	return synced(SYS_fsync, file);
}

int fdatasync(int file)
{
	return synced(SYS_fdatasync, file);
}
