/*
 * The least that hears of every exec and looks: what no listener of this kind can go below.
 *
 *   floor hear      listens to the proc connector (execs only, by its filter), and does nothing more
 *   floor look      also, of each process, takes a duplicate of descriptors 0, 1 and 2, asks what they are, and closes them
 *   floor answer    is asked by fanotify before each exec on the filesystem of /, but not for the dynamic loader, and says yes at
 *                   once, whatever it is
 *   floor hold      also takes the duplicates and asks what they are, before it says yes; it closes them afterwards
 *
 * In a real-time thread, with its memory locked, as tetherd does. Prints "ready" when it listens, and ends on SIGTERM.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BATCH = 32, SIZE = 128 };

static void fail(const char *step)
{
	perror(step);
	exit(1);
}

static int listener(void)
{
	int connector = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_CONNECTOR);
	struct sockaddr_nl at = {.nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC};
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NLMSG_HDRLEN + sizeof(struct cn_msg)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __builtin_bswap32(PROC_EVENT_EXEC), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, -1),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog filter = {sizeof code / sizeof *code, code};
	struct {
		struct nlmsghdr head;
		struct cn_msg message;
		enum proc_cn_mcast_op order;
	} __attribute__((packed)) listen = {
		{sizeof listen, NLMSG_DONE, 0, 0, 0},
		{{CN_IDX_PROC, CN_VAL_PROC}, 0, 0, sizeof listen.order, 0},
		PROC_CN_MCAST_LISTEN,
	};
	if (connector < 0 || bind(connector, (void *)&at, sizeof at) ||
	    setsockopt(connector, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) ||
	    send(connector, &listen, sizeof listen, 0) < 0)
		fail("floor: connector");
	return connector;
}

/* What has to be closed: from this number on, four at most. */
static int look(pid_t process)
{
	int handle = syscall(SYS_pidfd_open, process, 0);
	for (int fd = 0; fd < 3; fd++) {
		struct stat found;
		int duplicate = syscall(SYS_pidfd_getfd, handle, fd, 0);
		if (duplicate >= 0 && fstat(duplicate, &found))
			fail("floor: fstat");
	}
	return handle;
}

/* Nothing else is opened here between a look and its end, so these are one range. */
static void end(int handle)
{
	if (handle >= 0)
		syscall(SYS_close_range, handle, handle + 3, 0);
}

static void hear(int looks)
{
	static char data[BATCH][SIZE];
	struct iovec places[BATCH];
	struct mmsghdr heads[BATCH] = {0};
	int connector = listener();
	for (int i = 0; i < BATCH; i++) {
		places[i] = (struct iovec){data[i], SIZE};
		heads[i].msg_hdr.msg_iov = &places[i];
		heads[i].msg_hdr.msg_iovlen = 1;
	}
	puts("ready");
	fflush(stdout);
	for (;;) {
		int count = recvmmsg(connector, heads, BATCH, MSG_WAITFORONE, 0);
		for (int i = 0; i < count && looks; i++) {
			struct proc_event event;
			memcpy(&event, data[i] + NLMSG_HDRLEN + sizeof(struct cn_msg), sizeof event);
			end(look(event.event_data.exec.process_tgid));
		}
	}
}

static void answer(int looks)
{
	int group = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC | FAN_UNLIMITED_QUEUE, O_RDONLY | O_CLOEXEC);
	if (group < 0 || fanotify_mark(group, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_OPEN_EXEC_PERM, AT_FDCWD, "/"))
		fail("floor: fanotify");
	/* One of them is there. */
	const char *loaders[] = {"/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"};
	for (int i = 0; i < 2; i++)
		fanotify_mark(group, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY, FAN_OPEN_EXEC_PERM,
			      AT_FDCWD, loaders[i]);
	puts("ready");
	fflush(stdout);
	/* With a look one at a time: the event's descriptor has the number below those of the look. */
	static struct fanotify_event_metadata events[64];
	size_t size = looks ? sizeof events[0] : sizeof events;
	ssize_t got;
	while ((got = read(group, events, size)) > 0)
		for (struct fanotify_event_metadata *event = events; FAN_EVENT_OK(event, got);
		     event = FAN_EVENT_NEXT(event, got)) {
			struct fanotify_response yes = {event->fd, FAN_ALLOW};
			int handle = looks ? look(event->pid) : -1;
			if (write(group, &yes, sizeof yes) < 0)
				fail("floor: answer");
			end(handle);
			close(event->fd);
		}
}

int main(int argc, char **argv)
{
	struct sched_param priority = {1};
	if (argc != 2)
		return 64;
	mlockall(MCL_CURRENT | MCL_FUTURE);
	sched_setscheduler(0, SCHED_FIFO, &priority);
	if (strcmp(argv[1], "answer") == 0 || strcmp(argv[1], "hold") == 0)
		answer(strcmp(argv[1], "hold") == 0);
	else
		hear(strcmp(argv[1], "look") == 0);
	return 1;
}
