/*
 * Runs a command on two pipes and copies between them and a connection, as a container runtime does with its client, or
 * an attacker's program that has taken the name of one.
 *
 *   relay HOST PORT COMMAND [ARGUMENT...]
 *
 * HOST is an IPv4 address. Ends when either side does, or 60 seconds after it was started.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SECONDS_MAX = 60 };

static _Noreturn void fail(const char *step)
{
	perror(step);
	_exit(1);
}

/* One piece from `from` to `to`; whether there was any. */
static int copy(int from, int to)
{
	char part[4096];
	ssize_t n = read(from, part, sizeof part);
	return n > 0 && write(to, part, n) == n;
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 64;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), in[2], out[2];
	if (inet_pton(AF_INET, argv[1], &to.sin_addr) != 1 || connect(s, (void *)&to, sizeof to))
		fail("connect");
	if (pipe(in) || pipe(out))
		fail("pipe");
	alarm(SECONDS_MAX);
	pid_t child = fork();
	if (child == 0) {
		if (dup2(in[0], 0) < 0 || dup2(out[1], 1) < 0 || dup2(out[1], 2) < 0)
			fail("dup2");
		close(in[0]);
		close(in[1]);
		close(out[0]);
		close(out[1]);
		execv(argv[3], argv + 3);
		fail("exec");
	}
	close(in[0]);
	close(out[1]);
	struct pollfd ends[] = {{.fd = s, .events = POLLIN}, {.fd = out[0], .events = POLLIN}};
	while (poll(ends, 2, -1) > 0) {
		if (ends[0].revents && !copy(s, in[1]))
			break;
		if (ends[1].revents && !copy(out[0], s))
			break;
	}
	kill(child, SIGKILL);
	waitpid(child, 0, 0);
	return 0;
}
