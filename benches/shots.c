/*
 * Starts a command COUNT times, RATE a second, each on a TCP connection of its own over loopback.
 *
 *   shots COUNT RATE COMMAND [ARGUMENT...]
 *
 * The connection is on descriptors 0, 1 and 2. Prints one line for each: the command's own port and the time
 * (CLOCK_REALTIME, nanoseconds) that the new process took itself just before execve.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *step)
{
	perror(step);
	exit(1);
}

static long long now(clockid_t clock)
{
	struct timespec time;
	clock_gettime(clock, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 64;
	long count = atol(argv[1]), rate = atol(argv[2]);
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, own;
	socklen_t size = sizeof at;
	int low = socket(AF_INET, SOCK_STREAM, 0), listener = fcntl(low, F_DUPFD_CLOEXEC, 20);
	close(low);
	if (bind(listener, (void *)&at, size) || listen(listener, 16) || getsockname(listener, (void *)&at, &size))
		fail("shots: listen");
	long long *stamp = mmap(0, sizeof *stamp, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	long long next = now(CLOCK_MONOTONIC);
	for (long i = 0; i < count; i++) {
		low = socket(AF_INET, SOCK_STREAM, 0);
		int near = fcntl(low, F_DUPFD_CLOEXEC, 20);
		close(low);
		if (connect(near, (void *)&at, sizeof at) || getsockname(near, (void *)&own, &size))
			fail("shots: connect");
		int far = accept4(listener, 0, 0, SOCK_CLOEXEC);
		if (far < 0)
			fail("shots: accept");
		pid_t child = fork();
		if (child < 0)
			fail("shots: fork");
		if (child == 0) {
			for (int fd = 0; fd < 3; fd++)
				dup2(near, fd);
			*stamp = now(CLOCK_REALTIME);
			execv(argv[3], argv + 3);
			_exit(127);
		}
		waitpid(child, 0, 0);
		printf("%d %lld\n", ntohs(own.sin_port), *stamp);
		fflush(stdout);
		/* No TIME_WAIT is left behind. */
		struct linger reset = {1, 0};
		setsockopt(near, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
		close(near);
		close(far);
		next += 1000000000LL / rate;
		struct timespec until = {next / 1000000000LL, next % 1000000000LL};
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, 0);
	}
	return 0;
}
