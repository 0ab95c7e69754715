/*
 * The first process of a container: sleeps, and on SIGUSR1 starts a command on a TCP connection of its own over the
 * container's loopback.
 *
 *   cell COMMAND [ARGUMENT...]
 */
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int shoot(char **command)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof at;
	int listener = socket(AF_INET, SOCK_STREAM, 0), near = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (void *)&at, size) || listen(listener, 1) || getsockname(listener, (void *)&at, &size) ||
	    connect(near, (void *)&at, size))
		return 1;
	int far = accept(listener, 0, 0);
	pid_t child = fork();
	if (child == 0) {
		for (int fd = 0; fd < 3; fd++)
			dup2(near, fd);
		close(listener);
		close(far);
		close(near);
		execv(command[0], command);
		_exit(127);
	}
	waitpid(child, 0, 0);
	struct linger reset = {1, 0};
	setsockopt(near, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	close(near);
	close(far);
	close(listener);
	return child < 0;
}

int main(int argc, char **argv)
{
	sigset_t wanted;
	int number;
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGUSR1);
	sigaddset(&wanted, SIGTERM);
	sigprocmask(SIG_BLOCK, &wanted, 0);
	while (argc > 1 && sigwait(&wanted, &number) == 0 && number == SIGUSR1)
		if (shoot(argv + 1))
			return 1;
	return 0;
}
