/*
 * COUNT idle processes, as small as they can be. Prints "ready" when all are there and ends them all when its standard
 * input ends.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long count = argc > 1 ? atol(argv[1]) : 0;
	setpgid(0, 0);
	signal(SIGTERM, SIG_IGN);
	for (long i = 0; i < count; i++) {
		pid_t child = fork();
		if (child < 0) {
			perror("herd: fork");
			kill(0, SIGKILL);
		}
		if (child == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				pause();
		}
	}
	puts("ready");
	fflush(stdout);
	char byte;
	while (read(0, &byte, 1) > 0)
		;
	kill(0, SIGKILL);
}
