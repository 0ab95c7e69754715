/*
 * A command on a network socket whose memory nobody can look into: it waits for ever in a system call that has its
 * memory map locked, because the filesystem of a file that it had mapped and written to does not answer (hungfs).
 *
 *   hidden HOST PORT FILE
 *
 * Connects, puts the socket on descriptors 0-2, executes itself, and waits in mmap(2).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PAGE = 4096 };

static _Noreturn void fail(const char *step)
{
	perror(step);
	_exit(1);
}

int main(int argc, char **argv)
{
	if (argc == 2) { /* the second time */
		int file = open(argv[1], O_RDWR | O_CLOEXEC);
		if (file < 0)
			fail("open");
		char *page = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
		if (page == MAP_FAILED)
			fail("mmap");
		*page = 'x';
		/* The old mapping has to be written back first, with the map locked. */
		if (mmap(page, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
			fail("mmap again");
		/* A kernel that does not wait (6.1, which copies what is to be written). */
		char byte;
		while (read(0, &byte, 1) > 0)
			;
		return 0;
	}
	if (argc != 4)
		return 64;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
	inet_pton(AF_INET, argv[1], &to.sin_addr);
	int s = socket(AF_INET, SOCK_STREAM, 0);
	if (s < 0 || connect(s, (void *)&to, sizeof to))
		fail("connect");
	for (int fd = 0; fd < 3; fd++)
		if (dup2(s, fd) < 0)
			fail("dup2");
	if (s > 2)
		close(s);
	execl("/proc/self/exe", "hidden", argv[3], (char *)0);
	fail("exec");
}
