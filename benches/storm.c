/*
 * Starts a command many times, and says what that took.
 *
 *   storm [-n COUNT] [-s SECONDS] [-w WIDTH] [-f none|pipe|tcp|relay] [-a] COMMAND [ARGUMENT...]
 *
 * WIDTH processes start COUNT commands between them, each one after another, with posix_spawn. -f puts one pipe or one
 * TCP connection on descriptors 0, 1 and 2 of every command; both ends belong to the storm, on high descriptors that
 * close on exec, and what the commands write is read and thrown away. With "relay" it is a pipe on 1 alone, and the storm
 * also has a connection of its own: it is what runs one command after another for somebody far away. -a adds the number of
 * the run as last argument. It ends early when -s SECONDS are over, and on SIGTERM to its process group.
 *
 * Prints "wall NS cpu NS failed N started N": cpu is user and system time of the storm and of all its commands.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* Of all spawners. */
static long *started;
/* CLOCK_MONOTONIC seconds; 0: none. */
static time_t end;
static volatile sig_atomic_t stopped;

static void stop(int number)
{
	stopped = number;
}

static int over(void)
{
	struct timespec now;
	return stopped || (end && clock_gettime(CLOCK_MONOTONIC, &now) == 0 && now.tv_sec >= end);
}

static void fail(const char *step)
{
	perror(step);
	exit(1);
}

static int high(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 100);
	if (copy < 0)
		fail("storm: descriptor");
	close(fd);
	return copy;
}

/* Two ends of a TCP connection over loopback. */
static void connection(int ends[2])
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof at;
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	ends[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (void *)&at, size) || listen(listener, 1) || getsockname(listener, (void *)&at, &size) ||
	    connect(ends[0], (void *)&at, size) || (ends[1] = accept(listener, 0, 0)) < 0)
		fail("storm: connection");
	close(listener);
}

static void drain(int fd)
{
	char buffer[4096];
	while (fd >= 0 && read(fd, buffer, sizeof buffer) > 0)
		;
}

/* One spawner's share of the storm; how many commands did not start. */
static long spawn_all(long count, long first, char **command, char **numbered, int far,
		      const posix_spawn_file_actions_t *actions)
{
	long failed = 0;
	char number[24];
	for (long i = 0; i < count && !over(); i++) {
		pid_t child;
		if (numbered) {
			snprintf(number, sizeof number, "%ld", first + i);
			*numbered = number;
		}
		if (posix_spawnp(&child, command[0], actions, 0, command, environ))
			failed++;
		else {
			__atomic_add_fetch(started, 1, __ATOMIC_RELAXED);
			waitpid(child, 0, 0);
		}
		drain(far);
	}
	return failed;
}

static long long nanoseconds(struct timeval time)
{
	return time.tv_sec * 1000000000LL + time.tv_usec * 1000LL;
}

static long long cpu(void)
{
	struct rusage own, theirs;
	getrusage(RUSAGE_SELF, &own);
	getrusage(RUSAGE_CHILDREN, &theirs);
	return nanoseconds(own.ru_utime) + nanoseconds(own.ru_stime) + nanoseconds(theirs.ru_utime) +
	       nanoseconds(theirs.ru_stime);
}

int main(int argc, char **argv)
{
	long count = 1000, width = 1, failed = 0, seconds = 0;
	int option, add = 0, ends[2] = {-1, -1};
	const char *form = "none";
	while ((option = getopt(argc, argv, "+n:s:w:f:a")) != -1) {
		if (option == 'n')
			count = atol(optarg);
		else if (option == 's')
			seconds = atol(optarg);
		else if (option == 'w')
			width = atol(optarg);
		else if (option == 'f')
			form = optarg;
		else if (option == 'a')
			add = 1;
		else
			return 64;
	}
	int words = argc - optind;
	if (words < 1 || width < 1)
		return 64;
	char **command = calloc(words + 2, sizeof *command);
	memcpy(command, argv + optind, words * sizeof *command);

	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	if (strcmp(form, "none")) {
		/* near: what the commands write to; far: where that comes out. */
		if (strcmp(form, "tcp") == 0)
			connection(ends);
		else if (pipe(ends))
			fail("storm: pipe");
		int relay = strcmp(form, "relay") == 0, both[2];
		if (relay) {
			connection(both);
			high(both[0]), high(both[1]);
		}
		int tcp = strcmp(form, "tcp") == 0, near = high(ends[tcp ? 0 : 1]), far = high(ends[tcp ? 1 : 0]);
		fcntl(far, F_SETFL, O_NONBLOCK);
		posix_spawn_file_actions_adddup2(&actions, near, 1);
		if (!relay) {
			posix_spawn_file_actions_adddup2(&actions, tcp ? near : far, 0);
			posix_spawn_file_actions_adddup2(&actions, near, 2);
		}
		ends[1] = far;
	}

	signal(SIGTERM, stop);
	started = mmap(0, sizeof *started, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (started == MAP_FAILED)
		fail("storm: memory");
	struct timespec from, to;
	clock_gettime(CLOCK_MONOTONIC, &from);
	if (seconds > 0)
		end = from.tv_sec + seconds;
	if (width == 1) {
		failed = spawn_all(count, 0, command, add ? command + words : 0, ends[1], &actions);
	} else {
		for (long i = 0; i < width; i++) {
			long first = count * i / width, next = count * (i + 1) / width;
			pid_t spawner = fork();
			if (spawner < 0)
				fail("storm: fork");
			if (spawner == 0) {
				prctl(PR_SET_PDEATHSIG, SIGKILL);
				_exit(spawn_all(next - first, first, command, add ? command + words : 0, ends[1], &actions) != 0);
			}
		}
		int status;
		while (wait(&status) > 0)
			failed += status != 0;
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("wall %lld cpu %lld failed %ld started %ld\n",
	       (to.tv_sec - from.tv_sec) * 1000000000LL + to.tv_nsec - from.tv_nsec, cpu(), failed, *started);
	return failed != 0;
}
