/*
 * Starts a command many times, a given number at a time, and says how long that took.
 *
 *   storm COUNT WIDTH [HOST:PORT|-] COMMAND [ARGUMENT...]
 *
 * With HOST:PORT, the commands get one TCP connection on descriptors 0, 1 and 2. The storm itself has it on a high
 * descriptor that closes on exec, so that it is no command on that tether. An argument "%d" becomes the number of the run.
 * Prints: started N, failed N, nanoseconds N, longest N: the longest time between fork and a done execve, in
 * nanoseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int dial(char *where)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	char *colon = strrchr(where, ':');
	if (!colon)
		return -1;
	*colon = 0;
	to.sin_port = htons(atoi(colon + 1));
	inet_pton(AF_INET, where, &to.sin_addr);
	int low = socket(AF_INET, SOCK_STREAM, 0);
	if (low < 0 || connect(low, (void *)&to, sizeof to))
		return -1;
	int high = fcntl(low, F_DUPFD_CLOEXEC, 20);
	close(low);
	return high;
}

int main(int argc, char **argv)
{
	if (argc < 5) {
		fputs("usage: storm COUNT WIDTH [HOST:PORT|-] COMMAND [ARGUMENT...]\n", stderr);
		return 64;
	}
	long count = atol(argv[1]), width = atol(argv[2]), running = 0, failed = 0;
	char **command = argv + 4, **numbered = 0, number[24];
	for (char **a = command; *a; a++)
		if (!strcmp(*a, "%d"))
			numbered = a;
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	if (strcmp(argv[3], "-")) {
		int s = dial(argv[3]);
		if (s < 0) {
			perror("storm: connect");
			return 1;
		}
		for (int fd = 0; fd < 3; fd++)
			posix_spawn_file_actions_adddup2(&actions, s, fd);
	}
	struct timespec from, to, before, after;
	long long longest = 0;
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (long i = 0; i < count; i++) {
		pid_t child;
		if (running == width) {
			wait(0);
			running--;
		}
		if (numbered) {
			snprintf(number, sizeof number, "%ld", i);
			*numbered = number;
		}
		/* The parent goes on when the child has executed, or has failed to. */
		clock_gettime(CLOCK_MONOTONIC, &before);
		if (posix_spawnp(&child, command[0], &actions, 0, command, environ))
			failed++;
		else
			running++;
		clock_gettime(CLOCK_MONOTONIC, &after);
		long long took = (after.tv_sec - before.tv_sec) * 1000000000LL + after.tv_nsec - before.tv_nsec;
		if (took > longest)
			longest = took;
	}
	while (wait(0) > 0)
		;
	clock_gettime(CLOCK_MONOTONIC, &to);
	long long ns = (to.tv_sec - from.tv_sec) * 1000000000LL + to.tv_nsec - from.tv_nsec;
	printf("started %ld failed %ld nanoseconds %lld longest %lld\n", count - failed, failed, ns, longest);
	return failed > 0;
}
