/*
 * Puts a network socket on descriptors 0-2 and takes it off again, many times a second, and executes nothing meanwhile.
 *
 *   flicker HOST PORT MILLISECONDS ON OFF [COMMAND...]
 *
 * ON and OFF: how long it is there and away each time, in microseconds. Prints "flickering" on its own standard output
 * first. Then, with the socket on them, the command; without one it just ends.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void put(int what)
{
	for (int fd = 0; fd < 3; fd++)
		dup2(what, fd);
}

int main(int argc, char **argv)
{
	if (argc < 6)
		return 64;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
	inet_pton(AF_INET, argv[1], &to.sin_addr);
	int s = fcntl(socket(AF_INET, SOCK_STREAM, 0), F_DUPFD_CLOEXEC, 20);
	int null = fcntl(open("/dev/null", O_RDWR), F_DUPFD_CLOEXEC, 20);
	if (s < 0 || connect(s, (void *)&to, sizeof to))
		return 1;
	for (int fd = 3; fd < 20; fd++)
		close(fd);
	prctl(PR_SET_TIMERSLACK, 1);
	if (write(1, "flickering\n", 11) != 11)
		return 1;
	long long end = now() + atoll(argv[3]) * 1000000;
	struct timespec on = {0, atol(argv[4]) * 1000}, off = {0, atol(argv[5]) * 1000};
	while (now() < end) {
		put(s);
		nanosleep(&on, 0);
		put(null);
		nanosleep(&off, 0);
	}
	if (argc == 6)
		return 0;
	put(s);
	execvp(argv[6], argv + 6);
	return 1;
}
