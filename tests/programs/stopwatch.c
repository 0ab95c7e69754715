/*
 * Tells the time of every exec and of every growth of a spool, beside the daemon and without its help.
 *
 *   stopwatch DIRECTORY
 *
 * Prints "listening"; then, as it happens, "exec PID NS" (the kernel's own time of the end of execve) and
 * "size FILE BYTES NS" (when that much of a file of the directory could be read), both in nanoseconds of the clock on
 * the wall. Ends with its standard input.
 */
#define _GNU_SOURCE
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Where a message has the kind of its event, its time, and the process, after its two headers. */
enum { WHAT = 36, TIME = 44, PROCESS = 56, EXEC = 2 };

static long long now(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int ask(int s, enum proc_cn_mcast_op op)
{
	char message[NLMSG_SPACE(sizeof(struct cn_msg) + 4)] __attribute__((aligned(8))) = {0};
	struct nlmsghdr *header = (void *)message;
	struct cn_msg *control = NLMSG_DATA(header);
	header->nlmsg_len = NLMSG_LENGTH(sizeof *control + 4);
	header->nlmsg_type = NLMSG_DONE;
	control->id.idx = CN_IDX_PROC;
	control->id.val = CN_VAL_PROC;
	control->len = 4;
	*(uint32_t *)control->data = op;
	return send(s, message, header->nlmsg_len, 0);
}

static void execs(int s)
{
	char event[512] __attribute__((aligned(8)));
	long long wall = now(CLOCK_REALTIME) - now(CLOCK_MONOTONIC);
	while (recv(s, event, sizeof event, MSG_DONTWAIT) > 0) {
		uint32_t what, pid;
		uint64_t at;
		memcpy(&what, event + WHAT, sizeof what);
		memcpy(&at, event + TIME, sizeof at);
		memcpy(&pid, event + PROCESS, sizeof pid);
		if (what == EXEC)
			printf("exec %u %lld\n", pid, (long long)at + wall);
	}
}

static void sizes(int watch)
{
	char events[16384] __attribute__((aligned(8)));
	ssize_t length = read(watch, events, sizeof events);
	for (char *at = events; at < events + length;) {
		struct inotify_event *event = (void *)at;
		struct stat of;
		at += sizeof *event + event->len;
		if (event->len && !strncmp(event->name, "findings-", 9) && !stat(event->name, &of))
			printf("size %s %lld %lld\n", event->name, (long long)of.st_size, now(CLOCK_REALTIME));
	}
}

int main(int count, char **arguments)
{
	int s = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_CONNECTOR), room = 32 << 20, watch = inotify_init1(IN_NONBLOCK);
	struct sockaddr_nl me = {.nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC};
	/* It must not be late because something else runs. */
	struct sched_param first = {.sched_priority = 1};
	if (count != 2 || chdir(arguments[1]) || inotify_add_watch(watch, ".", IN_MODIFY | IN_CREATE) < 0 || s < 0 ||
	    bind(s, (void *)&me, sizeof me) || setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) ||
	    ask(s, PROC_CN_MCAST_LISTEN) < 0) {
		perror("stopwatch");
		return 1;
	}
	sched_setscheduler(0, SCHED_FIFO, &first);
	puts("listening");
	fflush(stdout);
	struct pollfd waits[] = {{s, POLLIN, 0}, {watch, POLLIN, 0}, {0, POLLIN, 0}};
	while (poll(waits, 3, -1) > 0 && !waits[2].revents) {
		/* An exec is there before what comes of it. */
		execs(s);
		if (waits[1].revents)
			sizes(watch);
		fflush(stdout);
	}
	ask(s, PROC_CN_MCAST_IGNORE);
	return 0;
}
