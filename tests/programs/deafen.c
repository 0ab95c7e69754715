/*
 * Makes another process deaf to the proc connector: puts a filter that drops everything on each of its sockets that
 * listen to it, from outside, and locks it, so that the process cannot replace it on that socket.
 *
 *   deafen PID [keep]
 *
 * Prints how many sockets were newly made deaf. With "keep", goes on until the process has ended, so that each socket
 * that it opens is deaf a moment later.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int number_option(int s, int option)
{
	int value = -1;
	socklen_t length = sizeof value;
	return getsockopt(s, SOL_SOCKET, option, &value, &length) ? -1 : value;
}

/* Whether it is of the connector, and in one of its groups. */
static int listens(int s)
{
	struct sockaddr_nl at = {0};
	socklen_t length = sizeof at;
	return number_option(s, SO_DOMAIN) == AF_NETLINK && number_option(s, SO_PROTOCOL) == NETLINK_CONNECTOR &&
	       getsockname(s, (void *)&at, &length) == 0 && at.nl_groups != 0;
}

/* Makes what is not deaf yet deaf; how many that were, or -1. */
static int deafen(int process, const char *directory)
{
	struct sock_filter nothing[] = {{BPF_RET | BPF_K, 0, 0, 0}};
	struct sock_fprog filter = {1, nothing};
	int deaf = 0, locked = 1;
	DIR *open = opendir(directory);
	if (!open)
		return -1;
	for (struct dirent *entry; (entry = readdir(open));) {
		int s = entry->d_name[0] == '.' ? -1 : (int)syscall(SYS_pidfd_getfd, process, atoi(entry->d_name), 0);
		if (s < 0)
			continue;
		if (listens(s) && number_option(s, SO_LOCK_FILTER) == 0) {
			if (setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) ||
			    setsockopt(s, SOL_SOCKET, SO_LOCK_FILTER, &locked, sizeof locked)) {
				perror("deafen: filter");
				deaf = -1;
				break;
			}
			deaf++;
		}
		close(s);
	}
	closedir(open);
	return deaf;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fputs("usage: deafen PID [keep]\n", stderr);
		return 64;
	}
	char directory[64];
	snprintf(directory, sizeof directory, "/proc/%s/fd", argv[1]);
	int process = syscall(SYS_pidfd_open, atoi(argv[1]), 0), deaf;
	if (process < 0) {
		perror("deafen");
		return 1;
	}
	deaf = deafen(process, directory);
	while (argc > 2 && syscall(SYS_pidfd_send_signal, process, 0, 0, 0) == 0) {
		int more = deafen(process, directory);
		deaf += more > 0 ? more : 0;
		usleep(100);
	}
	printf("%d\n", deaf);
	return deaf < 0;
}
