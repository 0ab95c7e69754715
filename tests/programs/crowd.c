/*
 * COUNT processes that inherit every descriptor of this one and wait; then the command, in this very process's place.
 *
 *   crowd COUNT COMMAND [ARGUMENT...]
 *
 * The crowd ends with the process that was this one. It is no kin of the command: each is adopted by whoever adopts.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc < 3)
		return 64;
	long count = atol(argv[1]);
	int self = syscall(SYS_pidfd_open, getpid(), 0);
	pid_t starter = fork();
	if (starter == 0) {
		for (long i = 0; i < count; i++) {
			pid_t one = fork();
			if (one < 0) {
				perror("crowd: fork");
				_exit(1);
			}
			if (one == 0) {
				struct pollfd end = {self, POLLIN, 0};
				poll(&end, 1, 120000);
				_exit(0);
			}
		}
		_exit(0);
	}
	int status;
	waitpid(starter, &status, 0);
	close(self);
	if (status)
		return 1;
	execvp(argv[2], argv + 2);
	perror("crowd: exec");
	return 1;
}
