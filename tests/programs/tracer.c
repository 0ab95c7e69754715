/*
 * A command on a network socket that another process traces, and keeps where its execve(2) is done and it has not run yet.
 *
 *   tracer HOST PORT COMMAND [ARGUMENT...]
 *
 * Prints the command's process id when it is there, lets it go when a line is read, and then waits for its end.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void fail(const char *step)
{
	perror(step);
	_exit(1);
}

int main(int argc, char **argv)
{
	char line[8];
	if (argc < 4)
		return 64;
	int go[2];
	if (pipe(go))
		fail("pipe");
	pid_t child = fork();
	if (child == 0) {
		struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
		inet_pton(AF_INET, argv[1], &to.sin_addr);
		int s = socket(AF_INET, SOCK_STREAM, 0);
		if (s < 0 || connect(s, (void *)&to, sizeof to))
			fail("connect");
		for (int fd = 0; fd < 3; fd++)
			dup2(s, fd);
		close(s);
		if (read(go[0], line, 1) != 1)
			_exit(1);
		close(go[0]);
		close(go[1]);
		execvp(argv[3], argv + 3);
		_exit(1);
	}
	int status;
	long options = PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
	if (ptrace(PTRACE_SEIZE, child, 0, options))
		fail("seize");
	if (write(go[1], "x", 1) != 1)
		fail("write");
	if (waitpid(child, &status, __WALL) != child || status >> 8 != (SIGTRAP | PTRACE_EVENT_EXEC << 8))
		fail("wait");
	printf("held %d\n", child);
	fflush(stdout);
	if (!fgets(line, sizeof line, stdin))
		return 1;
	ptrace(PTRACE_DETACH, child, 0, 0);
	waitpid(child, &status, __WALL);
	return 0;
}
