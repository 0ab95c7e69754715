/*
 * Mounts and unmounts as fast as it can, in this process's mount namespace.
 *
 *   mounts DIRECTORY MILLISECONDS
 *
 * In DIRECTORY, which must be a mount of its own that propagates nowhere: now a tmpfs, now a bind mount of DIRECTORY itself;
 * up to 64 at one time. Prints how many there were.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>

enum { AT_ONCE = 64 };

static long long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
	char path[AT_ONCE][512];
	long done = 0;
	if (argc != 3)
		return 64;
	for (int i = 0; i < AT_ONCE; i++) {
		snprintf(path[i], sizeof path[i], "%s/%d", argv[1], i);
		mkdir(path[i], 0700);
	}
	for (long long end = now() + atol(argv[2]); now() < end;) {
		int mounted = 0;
		for (; mounted < AT_ONCE; mounted++) {
			int failed = mounted % 2 ? mount(argv[1], path[mounted], 0, MS_BIND, 0)
						 : mount("none", path[mounted], "tmpfs", 0, "size=64k");
			if (failed) {
				perror("mounts: mount");
				return 1;
			}
		}
		done += mounted;
		while (mounted--)
			umount2(path[mounted], MNT_DETACH);
	}
	printf("mounts %ld\n", done);
	return 0;
}
