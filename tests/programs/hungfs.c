/*
 * A filesystem that hangs for one program only, as a network filesystem hangs whose server has gone.
 *
 *   hungfs MOUNTPOINT FILE NAME
 *
 * Mounts (FUSE, no library) a directory with one executable file "shell", whose content is FILE's. Answers every
 * process but those called NAME, which wait for ever, and never says that anything is written. Prints "mounted", and
 * "hung" or "held" when somebody begins to wait; when standard input ends, unmounts and ends, and those who wait get an
 * error.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static char *content;
static size_t size;
static int device;
static unsigned hung;

static void answer(const struct fuse_in_header *in, int error, const void *data, size_t length)
{
	struct fuse_out_header out = {.len = sizeof out + (error ? 0 : length), .error = -error, .unique = in->unique};
	struct iovec parts[2] = {{&out, sizeof out}, {(void *)data, error ? 0 : length}};
	if (writev(device, parts, 2) < 0 && errno != ENOENT)
		perror("hungfs: answer");
}

static struct fuse_attr attributes(uint64_t node)
{
	struct fuse_attr a = {.ino = node, .nlink = 1, .blksize = 4096};
	a.mode = node == 1 ? S_IFDIR | 0755 : S_IFREG | 0755;
	a.size = node == 1 ? 0 : size;
	return a;
}

/* Whether the process `pid` (a thread's id) is called `name`. */
static int is_called(unsigned pid, const char *name)
{
	char path[64], line[256];
	unsigned group = pid;
	snprintf(path, sizeof path, "/proc/%u/status", pid);
	FILE *f = fopen(path, "r");
	while (f && fgets(line, sizeof line, f))
		sscanf(line, "Tgid: %u", &group);
	if (f)
		fclose(f);
	snprintf(path, sizeof path, "/proc/%u/comm", group);
	f = fopen(path, "r");
	int same = f && fgets(line, sizeof line, f) && (line[strcspn(line, "\n")] = 0, !strcmp(line, name));
	if (f)
		fclose(f);
	return same;
}

static void serve(const struct fuse_in_header *in, const void *body, const char *name)
{
	if (in->opcode != FUSE_INIT && in->opcode != FUSE_READ && is_called(in->pid, name)) {
		if (!hung++)
			puts("hung"), fflush(stdout);
		return;
	}
	/* What a hung program may read of the page cache costs no request; its own reads hang as well. */
	if (in->opcode == FUSE_READ && in->pid && is_called(in->pid, name))
		return;
	switch (in->opcode) {
	case FUSE_INIT: {
		const struct fuse_init_in *i = body;
		struct fuse_init_out o = {.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION};
		o.max_readahead = i->max_readahead;
		o.max_write = 4096;
		o.max_background = 16;
		o.congestion_threshold = 12;
		answer(in, 0, &o, sizeof o);
		break;
	}
	case FUSE_LOOKUP: {
		/* Attributes are valid for no time, so that each stat(2) asks anew. */
		struct fuse_entry_out o = {.nodeid = 2, .generation = 1, .entry_valid = 1000, .attr = attributes(2)};
		answer(in, strcmp(body, "shell") ? ENOENT : 0, &o, sizeof o);
		break;
	}
	case FUSE_GETATTR: {
		struct fuse_attr_out o = {.attr = attributes(in->nodeid)};
		answer(in, 0, &o, sizeof o);
		break;
	}
	case FUSE_OPEN:
	case FUSE_OPENDIR: {
		struct fuse_open_out o = {.open_flags = 0};
		answer(in, 0, &o, sizeof o);
		break;
	}
	case FUSE_READ: {
		const struct fuse_read_in *r = body;
		size_t from = r->offset < size ? r->offset : size;
		size_t length = size - from < r->size ? size - from : r->size;
		answer(in, 0, content + from, length);
		break;
	}
	case FUSE_WRITE:
		puts("held"), fflush(stdout);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_FLUSH:
		answer(in, 0, 0, 0);
		break;
	default:
		answer(in, ENOSYS, 0, 0);
	}
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fputs("usage: hungfs MOUNTPOINT FILE NAME\n", stderr);
		return 64;
	}
	struct stat s;
	int file = open(argv[2], O_RDONLY);
	if (file < 0 || fstat(file, &s) || !(content = malloc(s.st_size)) || read(file, content, s.st_size) != s.st_size)
		return perror("hungfs: file"), 1;
	size = s.st_size;
	device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (device < 0)
		return perror("hungfs: /dev/fuse"), 77;
	char options[128];
	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", device);
	if (mount("hungfs", argv[1], "fuse", 0, options))
		return perror("hungfs: mount"), 77;
	puts("mounted");
	fflush(stdout);
	static char request[1 << 17] __attribute__((aligned(8)));
	struct pollfd both[2] = {{.fd = 0, .events = POLLIN}, {.fd = device, .events = POLLIN}};
	for (;;) {
		if (poll(both, 2, -1) < 0)
			break;
		if (both[1].revents & POLLIN) {
			ssize_t n = read(device, request, sizeof request);
			if (n >= (ssize_t)sizeof(struct fuse_in_header))
				serve((void *)request, request + sizeof(struct fuse_in_header), argv[3]);
			else if (n < 0 && errno == ENODEV)
				return 0;
		}
		if (both[0].revents) {
			char byte;
			if (read(0, &byte, 1) <= 0)
				break;
		}
	}
	umount2(argv[1], MNT_DETACH);
	return 0;
}
