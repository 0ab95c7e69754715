/* hub PATH: a service with several clients, as an X server or a bus: takes connections on a UNIX socket, and keeps them. It says
 * "ready", and ends with its standard input. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);

    if (argc != 2 || strlen(argv[1]) >= sizeof(name.sun_path))
        return 64;
    strcpy(name.sun_path, argv[1]);
    if (listener < 0 || bind(listener, (struct sockaddr *)&name, sizeof(name)) < 0 || listen(listener, 8) < 0) {
        perror(argv[1]);
        return 71;
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct pollfd wait[2] = { { .fd = 0, .events = POLLIN }, { .fd = listener, .events = POLLIN } };

        if (poll(wait, 2, -1) < 0 || wait[0].revents)
            return 0;
        if (wait[1].revents && accept(listener, NULL, NULL) < 0)
            return 71;
    }
}
