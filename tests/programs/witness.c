/*
 * Counts what the proc connector sends, beside the daemon: all events, unfiltered, into a buffer that does not overflow.
 *
 *   witness
 *
 * Prints "listening"; then answers each line on standard input with "EXECS DROPS", both since the start.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* SO_MEMINFO and SK_MEMINFO_DROPS, which older C libraries do not name. */
enum { MEMINFO = 55, DROPS = 8, VARS = 9 };

int main(void)
{
	int s = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_CONNECTOR), room = 128 << 20;
	struct sockaddr_nl me = {.nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC};
	if (s < 0 || bind(s, (void *)&me, sizeof me) || setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room)) {
		perror("witness");
		return 1;
	}
	char message[NLMSG_SPACE(sizeof(struct cn_msg) + 4)] __attribute__((aligned(8))) = {0};
	struct nlmsghdr *header = (void *)message;
	struct cn_msg *control = NLMSG_DATA(header);
	header->nlmsg_len = NLMSG_LENGTH(sizeof *control + 4);
	header->nlmsg_type = NLMSG_DONE;
	control->id.idx = CN_IDX_PROC;
	control->id.val = CN_VAL_PROC;
	control->len = 4;
	*(uint32_t *)control->data = PROC_CN_MCAST_LISTEN;
	if (send(s, message, header->nlmsg_len, 0) < 0) {
		perror("witness: send");
		return 1;
	}
	puts("listening");
	fflush(stdout);
	unsigned long execs = 0;
	char line[16];
	while (fgets(line, sizeof line, stdin)) {
		char event[512] __attribute__((aligned(8)));
		while (recv(s, event, sizeof event, MSG_DONTWAIT) > 0) {
			uint32_t what;
			memcpy(&what, event + 36, sizeof what);
			execs += what == 2; /* PROC_EVENT_EXEC */
		}
		uint32_t memory[VARS];
		socklen_t length = sizeof memory;
		if (errno != EAGAIN || getsockopt(s, SOL_SOCKET, MEMINFO, memory, &length))
			return 1;
		printf("%lu %u\n", execs, memory[DROPS]);
		fflush(stdout);
	}
	*(uint32_t *)control->data = PROC_CN_MCAST_IGNORE;
	send(s, message, header->nlmsg_len, 0);
	return 0;
}
