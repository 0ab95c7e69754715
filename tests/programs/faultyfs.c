/*
 * A filesystem that fails now and then: what is below another directory, by libfuse's high-level interface.
 *
 *   faultyfs BACKING MOUNTPOINT SEED
 *
 * Stays in the foreground. While BACKING/.calm exists nothing fails. Else, by chance: writes that write less than all of it, or fail with
 * ENOSPC or EIO; syncs that fail with EIO, after half of which what was written since the last sync is zeroes (the kernel drops
 * dirty pages that it could not write); files that cannot be made (ENOSPC) or removed (EIO); reads that fail with EIO; and
 * times in which everything that changes something fails with EROFS. The page cache is left out: what is read is what is there.
 * One thread: the chances are those of SEED.
 */
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FILES 4096

static const char *backing;
static uint64_t state;
/* Changes left of a time in which nothing may be changed. */
static int frozen;
/* How long each open file was when it was last synced. */
static off_t synced[FILES];

static uint32_t chance(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state >> 32;
}

static int calm(void)
{
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s/.calm", backing);
	return access(path, F_OK) == 0;
}

static int one_in(uint32_t n)
{
	return chance() % n == 0;
}

/* Whether a change fails because the filesystem is read-only for a while. */
static int is_frozen(void)
{
	if (calm())
		return 0;
	if (frozen == 0 && one_in(400))
		frozen = 20;
	if (frozen == 0)
		return 0;
	frozen--;
	return 1;
}

static char *at(const char *path)
{
	static char whole[PATH_MAX];
	snprintf(whole, sizeof whole, "%s%s", backing, path);
	return whole;
}

static int answer(int outcome)
{
	return outcome < 0 ? -errno : outcome;
}

static int f_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	return answer(fi ? fstat(fi->fh, st) : lstat(at(path), st));
}

static int f_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t off, struct fuse_file_info *fi,
		     enum fuse_readdir_flags flags)
{
	DIR *directory = opendir(at(path));
	struct dirent *entry;
	(void)off, (void)fi, (void)flags;
	if (!directory)
		return -errno;
	while ((entry = readdir(directory)))
		if (strcmp(entry->d_name, ".calm"))
			fill(buf, entry->d_name, NULL, 0, 0);
	closedir(directory);
	return 0;
}

static int opened(int fd, struct fuse_file_info *fi)
{
	struct stat st;
	if (fd < 0)
		return -errno;
	if (fd >= FILES) {
		close(fd);
		return -EMFILE;
	}
	fi->fh = fd;
	fi->direct_io = 1;
	synced[fd] = fstat(fd, &st) ? 0 : st.st_size;
	return 0;
}

static int f_open(const char *path, struct fuse_file_info *fi)
{
	/* The kernel says where an append goes. */
	return opened(open(at(path), fi->flags & ~(O_APPEND | O_EXCL)), fi);
}

static int f_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	if (is_frozen())
		return -EROFS;
	if (!calm() && one_in(200))
		return -ENOSPC;
	return opened(open(at(path), (fi->flags & ~O_APPEND) | O_CREAT, mode), fi);
}

static int f_read(const char *path, char *buf, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)path;
	if (!calm() && one_in(2000))
		return -EIO;
	return answer(pread(fi->fh, buf, size, off));
}

static int f_write(const char *path, const char *buf, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)path;
	if (is_frozen())
		return -EROFS;
	if (!calm()) {
		if (one_in(400))
			return -ENOSPC;
		if (one_in(120))
			return -EIO;
		if (size > 1 && one_in(40))
			size = 1 + chance() % (size - 1);
	}
	return answer(pwrite(fi->fh, buf, size, off));
}

static int f_fsync(const char *path, int data, struct fuse_file_info *fi)
{
	struct stat st;
	(void)path, (void)data;
	if (fstat(fi->fh, &st))
		return -errno;
	if (!calm() && one_in(50)) {
		off_t from = synced[fi->fh];
		if (one_in(2) && st.st_size > from && ftruncate(fi->fh, from) == 0 && ftruncate(fi->fh, st.st_size) == 0)
			synced[fi->fh] = st.st_size;
		return -EIO;
	}
	synced[fi->fh] = st.st_size;
	return 0;
}

static int f_fsyncdir(const char *path, int data, struct fuse_file_info *fi)
{
	(void)path, (void)data, (void)fi;
	return !calm() && one_in(50) ? -EIO : 0;
}

static int f_release(const char *path, struct fuse_file_info *fi)
{
	(void)path;
	return answer(close(fi->fh));
}

static int f_unlink(const char *path)
{
	if (is_frozen())
		return -EROFS;
	return !calm() && one_in(20) ? -EIO : answer(unlink(at(path)));
}

static int f_rename(const char *from, const char *to, unsigned int flags)
{
	char whole[PATH_MAX];
	(void)flags;
	if (is_frozen())
		return -EROFS;
	snprintf(whole, sizeof whole, "%s%s", backing, from);
	return answer(rename(whole, at(to)));
}

static int f_mkdir(const char *path, mode_t mode)
{
	return is_frozen() ? -EROFS : answer(mkdir(at(path), mode));
}

static int f_rmdir(const char *path)
{
	return answer(rmdir(at(path)));
}

static int f_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
	if (is_frozen())
		return -EROFS;
	return answer(fi ? ftruncate(fi->fh, size) : truncate(at(path), size));
}

static int f_chmod(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	(void)fi;
	return answer(chmod(at(path), mode));
}

static int f_statfs(const char *path, struct statvfs *st)
{
	return answer(statvfs(at(path), st));
}

static void *f_init(struct fuse_conn_info *conn, struct fuse_config *config)
{
	(void)conn;
	config->attr_timeout = config->entry_timeout = config->negative_timeout = 0;
	config->nullpath_ok = 0;
	return NULL;
}

static const struct fuse_operations operations = {
	.init = f_init, .getattr = f_getattr, .readdir = f_readdir, .open = f_open, .create = f_create, .read = f_read,
	.write = f_write, .fsync = f_fsync, .fsyncdir = f_fsyncdir, .release = f_release, .unlink = f_unlink,
	.rename = f_rename, .mkdir = f_mkdir, .rmdir = f_rmdir, .truncate = f_truncate, .chmod = f_chmod,
	.statfs = f_statfs,
};

int main(int argc, char **argv)
{
	char *arguments[] = {argv[0], "-f", "-s", "-o", "fsname=faultyfs", argv[2]};
	if (argc != 4)
		return 64;
	backing = argv[1];
	state = strtoull(argv[3], NULL, 10) * 2 + 1;
	return fuse_main(6, arguments, &operations, NULL);
}
