/*
 * Work of normal priority, pinned to one processor, for the fairness measurement.
 *
 *   fairness spin CPU SECONDS    counts as fast as it can; prints the count
 *   fairness tick CPU SECONDS    wakes every millisecond; prints the wake-ups and the longest gap between two, in us
 *   fairness storm CPU SECONDS   starts /bin/true over and over; prints how many
 *   fairness tied CPU SECONDS    the same with a network socket on fds 0-2, so that each is read as a whole
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static long long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* A connection to ourselves, above fd 2; -1 if there is none. */
static int connection(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof at;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (void *)&at, sizeof at) || listen(listener, 1) ||
	    getsockname(listener, (void *)&at, &length) || connect(s, (void *)&at, sizeof at))
		return -1;
	return fcntl(s, F_DUPFD_CLOEXEC, 20);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 64;
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(atoi(argv[2]), &set);
	if (sched_setaffinity(0, sizeof set, &set))
		return 1;
	long long end = now() + atoi(argv[3]) * 1000000000LL, before = now(), longest = 0;
	unsigned long count = 0;
	char *command[] = {"/bin/true", NULL};
	struct timespec millisecond = {0, 1000000};
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	if (!strcmp(argv[1], "tied")) {
		int s = connection();
		if (s < 0)
			return 1;
		for (int fd = 0; fd < 3; fd++)
			posix_spawn_file_actions_adddup2(&actions, s, fd);
	}
	while (before < end) {
		if (!strcmp(argv[1], "spin")) {
			for (volatile int i = 0; i < 1000; i++)
				;
		} else if (!strcmp(argv[1], "tick")) {
			nanosleep(&millisecond, NULL);
		} else {
			pid_t child;
			if (posix_spawn(&child, command[0], &actions, NULL, command, environ) || waitpid(child, NULL, 0) < 0)
				return 1;
		}
		count++;
		long long t = now();
		longest = t - before > longest ? t - before : longest;
		before = t;
	}
	printf("%lu %lld\n", count, longest / 1000);
	return 0;
}
