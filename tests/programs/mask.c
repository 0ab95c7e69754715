/*
 * A program on a network socket that rewrites its own arguments and its name as fast as it can.
 *
 *   mask HOST PORT [ARGUMENT...]
 *
 * Connects, puts the socket on descriptors 0-2, executes itself with the arguments, and rewrites until its input ends.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int over(void)
{
	struct pollfd input = {0, POLLIN, 0};
	return poll(&input, 1, 0) > 0;
}

/* Fills the arguments with each pattern in turn, now with an end, now without; and moves where they end, if it may. */
static void rewrite(int argc, char **argv)
{
	static const char *patterns[] = {"A", "\n", "\x1b[2J", "\xff\xfe", "{\"finding\":", "\0x", "\xe2\x80\xae", "-c\0id\0"};
	static const int lengths[] = {1, 1, 4, 2, 11, 2, 3, 6};
	char *start = argv[0], *end = argv[argc - 1] + strlen(argv[argc - 1]);
	for (unsigned turn = 0; turn % 256 || !over(); turn++) {
		unsigned which = turn % (sizeof lengths / sizeof *lengths);
		for (char *at = start; at + lengths[which] < end; at += lengths[which])
			memcpy(at, patterns[which], lengths[which]);
		*end = turn & 1 ? 'x' : 0;
		prctl(PR_SET_NAME, patterns[which]);
		/* Where the kernel lets it (CAP_SYS_RESOURCE), there are no arguments for a while. */
		prctl(PR_SET_MM, PR_SET_MM_ARG_END, turn & 2 ? start : end, 0, 0);
	}
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "again")) {
		rewrite(argc, argv);
		return 0;
	}
	if (argc < 3)
		return 64;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
	inet_pton(AF_INET, argv[1], &to.sin_addr);
	int s = socket(AF_INET, SOCK_STREAM, 0);
	if (s < 0 || connect(s, (void *)&to, sizeof to))
		return 1;
	for (int fd = 0; fd < 3; fd++)
		dup2(s, fd);
	close(s);
	argv[1] = argv[0];
	argv[2] = "again";
	execv("/proc/self/exe", argv + 1);
	return 1;
}
