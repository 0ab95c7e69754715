/*
 * A relay with nothing on its descriptors: two processes give a socket and a pipe each to an io_uring, close everything
 * else, and copy by the ring alone. A shell is at the other ends of the pipes.
 *
 *   ringrelay PORT COMMAND [ARGUMENT...]
 *
 * Ends with 77 where the kernel has no io_uring.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { UNSUPPORTED = 77, ENTRIES = 4, CLOSED = 64 };

static struct io_uring_params params;
static struct io_uring_sqe *entries;
static char *submitted, *completed;
static int ring;

static void set_up(int from, int to)
{
	int prot = PROT_READ | PROT_WRITE, how = MAP_SHARED | MAP_POPULATE, files[2] = {from, to};
	ring = syscall(SYS_io_uring_setup, ENTRIES, &params);
	if (ring < 0)
		_exit(UNSUPPORTED);
	size_t sq = params.sq_off.array + params.sq_entries * sizeof(uint32_t);
	size_t cq = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
	submitted = mmap(0, sq, prot, how, ring, IORING_OFF_SQ_RING);
	completed = mmap(0, cq, prot, how, ring, IORING_OFF_CQ_RING);
	entries = mmap(0, params.sq_entries * sizeof *entries, prot, how, ring, IORING_OFF_SQES);
	if (submitted == MAP_FAILED || completed == MAP_FAILED || entries == MAP_FAILED)
		_exit(1);
	if (syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, files, 2))
		_exit(UNSUPPORTED);
	for (int fd = 0; fd < CLOSED; fd++)
		if (fd != ring)
			close(fd);
}

/* Reads from or writes to the file of that place in the ring. */
static int move(int operation, int place, char *bytes, unsigned length)
{
	static uint32_t tail;
	memset(entries, 0, sizeof *entries);
	entries->opcode = operation;
	entries->flags = IOSQE_FIXED_FILE;
	entries->fd = place;
	entries->addr = (uintptr_t)bytes;
	entries->len = length;
	entries->off = -1;
	((uint32_t *)(submitted + params.sq_off.array))[tail++ & (params.sq_entries - 1)] = 0;
	__atomic_store_n((uint32_t *)(submitted + params.sq_off.tail), tail, __ATOMIC_RELEASE);
	syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, 0, 0);
	uint32_t head = *(uint32_t *)(completed + params.cq_off.head);
	struct io_uring_cqe *all = (void *)(completed + params.cq_off.cqes);
	int result = all[head & (params.cq_entries - 1)].res;
	__atomic_store_n((uint32_t *)(completed + params.cq_off.head), head + 1, __ATOMIC_RELEASE);
	return result;
}

static void copy(int from, int to)
{
	char bytes[4096];
	set_up(from, to);
	for (;;) {
		int n = move(IORING_OP_READ, 0, bytes, sizeof bytes);
		if (n <= 0 || move(IORING_OP_WRITE, 1, bytes, n) != n)
			_exit(0);
	}
}

int main(int argc, char **argv)
{
	int in[2], out[2];
	if (argc < 3)
		return 64;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
	inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
	/* So that a missing io_uring is known before there is a connection. */
	ring = syscall(SYS_io_uring_setup, ENTRIES, &params);
	if (ring < 0)
		return UNSUPPORTED;
	close(ring);
	memset(&params, 0, sizeof params);
	int s = socket(AF_INET, SOCK_STREAM, 0);
	if (s < 0 || connect(s, (void *)&to, sizeof to) || pipe(in) || pipe(out))
		return 1;
	if (fork() == 0)
		copy(s, in[1]);
	if (fork() == 0)
		copy(out[0], s);
	dup2(in[0], 0);
	dup2(out[1], 1);
	dup2(out[1], 2);
	for (int fd = 3; fd < CLOSED; fd++)
		close(fd);
	execvp(argv[2], argv + 2);
	return 1;
}
