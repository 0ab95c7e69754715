/*
 * COUNT idle processes, as small as they can be.
 *
 *   herd COUNT [netns]
 *
 * With "netns" each has a network namespace of its own. Prints "ready" when all are there, and ends them all when its
 * standard input ends.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long count = argc > 1 ? atol(argv[1]) : 0;
	int netns = argc > 2, failed = 0;
	int input = fcntl(0, F_DUPFD_CLOEXEC, 3), null = open("/dev/null", O_RDWR);
	dup2(null, 0);
	setsid();
	signal(SIGTERM, SIG_IGN);
	for (long i = 0; i < count && !failed; i++) {
		if (netns && unshare(CLONE_NEWNET)) {
			perror("herd: unshare");
			failed = 1;
		}
		pid_t child = fork();
		if (child < 0) {
			perror("herd: fork");
			failed = 1;
		}
		if (child == 0) {
			signal(SIGTERM, SIG_DFL);
			dup2(null, 1);
			dup2(null, 2);
			close(input);
			for (;;)
				pause();
		}
	}
	char byte;
	if (!failed) {
		puts("ready");
		fflush(stdout);
		while (read(input, &byte, 1) > 0)
			;
	}
	signal(SIGCHLD, SIG_IGN);
	kill(0, SIGTERM);
	while (wait(0) > 0)
		;
	return failed;
}
