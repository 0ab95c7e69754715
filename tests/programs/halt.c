/*
 * Stops one thread of another process, and no other, as a debugger does, until standard input ends.
 *
 *   halt PID NAME
 *
 * Prints "halted" when the thread called NAME stands still.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char path[300], name[32] = "";
	int thread = 0;
	if (argc != 3)
		return 64;
	snprintf(path, sizeof path, "/proc/%s/task", argv[1]);
	DIR *threads = opendir(path);
	for (struct dirent *entry; threads && (entry = readdir(threads));) {
		snprintf(path, sizeof path, "/proc/%s/task/%s/comm", argv[1], entry->d_name);
		FILE *f = fopen(path, "r");
		if (f && fgets(name, sizeof name, f) && (name[strcspn(name, "\n")] = 0, !strcmp(name, argv[2])))
			thread = atoi(entry->d_name);
		if (f)
			fclose(f);
	}
	if (!thread || ptrace(PTRACE_SEIZE, thread, 0, 0) || ptrace(PTRACE_INTERRUPT, thread, 0, 0) ||
	    waitpid(thread, 0, __WALL) != thread) {
		perror("halt");
		return 1;
	}
	puts("halted");
	fflush(stdout);
	while (getchar() != EOF)
		;
	ptrace(PTRACE_DETACH, thread, 0, 0);
	return 0;
}
