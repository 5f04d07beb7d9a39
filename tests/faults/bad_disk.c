/* A disk that fails at a chosen moment: preloaded, it stands between a program and the calls that change files.

   Only what is below one folder is counted, and only after `arm_bad_disk`. Calls are counted from one; at the chosen one
   the disk does what it was told, with the C library's own calls, so that SQLite and Python see nothing unusual else. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum action {
    WORK,        /* only keep the log */
    FULL,        /* from then on nothing grows; the call itself writes what half of the room was left for */
    FAIL_ONCE,   /* that call fails, and the next ones do not */
    KILL_BEFORE, /* the process is killed instead of the call */
    KILL_WITHIN, /* half of the bytes are written, then the process is killed */
    KILL_AFTER,  /* the process is killed as the call returns */
};

static char folder[PATH_MAX];
static long chosen;
static enum action action;
static int log_fd = -1;
static atomic_long calls;

void arm_bad_disk(const char *below, long call, int what, const char *log)
{
    snprintf(folder, sizeof folder, "%s/", below);
    chosen = call;
    action = what;
    log_fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
}

static void kill_self(void)
{
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;)
        pause();
}

enum answer { PASS, FAIL, HALF, DIE_AFTER };

static enum answer ask_about(const char *call, const char *path, int grows)
{
    if (!folder[0] || strncmp(path, folder, strlen(folder)) != 0)
        return PASS;
    long number = ++calls;
    char line[PATH_MAX + 32];
    int length = snprintf(line, sizeof line, "%s %s\n", call, path + strlen(folder));
    syscall(SYS_write, log_fd, line, length);
    if (action == FULL && grows && number >= chosen)
        return number == chosen ? HALF : FAIL;
    if (number != chosen)
        return PASS;
    switch (action) {
    case FAIL_ONCE:
        return FAIL;
    case KILL_BEFORE:
        kill_self();
    case KILL_WITHIN:
        return HALF;
    case KILL_AFTER:
        return DIE_AFTER;
    default:
        return PASS;
    }
}

static enum answer ask(const char *call, int fd, int grows)
{
    char link[64], path[PATH_MAX];
    if (!folder[0])
        return PASS;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    if (length < 0)
        return PASS;
    path[length] = 0;
    return ask_about(call, path, grows);
}

#define REAL(name) static __typeof__(name) *real; if (!real) real = dlsym(RTLD_NEXT, #name)

/* `bytes` is how many the call would write. */
#define WRITING(call, fd, bytes, whole, half)                                                                         \
    switch (ask(call, fd, 1)) {                                                                                       \
    case FAIL:                                                                                                        \
        errno = ENOSPC;                                                                                               \
        return -1;                                                                                                    \
    case HALF:                                                                                                        \
        if (action == FULL && (bytes) < 2) {                                                                          \
            errno = ENOSPC;                                                                                           \
            return -1;                                                                                                \
        }                                                                                                             \
        ssize_t written = half;                                                                                       \
        if (action != FULL)                                                                                           \
            kill_self();                                                                                              \
        return written;                                                                                               \
    case DIE_AFTER:                                                                                                   \
        (void)!(whole);                                                                                               \
        kill_self();                                                                                                  \
    default:                                                                                                          \
        return whole;                                                                                                 \
    }

/* What is done whole or not at all. */
#define DOING(answer, error, whole)                                                                                   \
    switch (answer) {                                                                                                 \
    case FAIL:                                                                                                        \
        errno = error;                                                                                                \
        return -1;                                                                                                    \
    case HALF:                                                                                                        \
        if (action == FULL) {                                                                                         \
            errno = error;                                                                                            \
            return -1;                                                                                                \
        }                                                                                                             \
        kill_self();                                                                                                  \
    case DIE_AFTER:                                                                                                   \
        (void)!(whole);                                                                                               \
        kill_self();                                                                                                  \
    default:                                                                                                          \
        return whole;                                                                                                 \
    }

ssize_t write(int fd, const void *bytes, size_t count)
{
    REAL(write);
    WRITING("write", fd, count, real(fd, bytes, count), real(fd, bytes, count / 2))
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset)
{
    REAL(pwrite);
    WRITING("write", fd, count, real(fd, bytes, count, offset), real(fd, bytes, count / 2, offset))
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset)
{
    REAL(pwrite64);
    WRITING("write", fd, count, real(fd, bytes, count, offset), real(fd, bytes, count / 2, offset))
}

static int grows_to(int fd, off64_t length)
{
    struct stat status;
    return fstat(fd, &status) == 0 && length > status.st_size;
}

int ftruncate(int fd, off_t length)
{
    REAL(ftruncate);
    DOING(ask("truncate", fd, grows_to(fd, length)), ENOSPC, real(fd, length))
}

int ftruncate64(int fd, off64_t length)
{
    REAL(ftruncate64);
    DOING(ask("truncate", fd, grows_to(fd, length)), ENOSPC, real(fd, length))
}

int fsync(int fd)
{
    REAL(fsync);
    DOING(ask("sync", fd, 0), EIO, real(fd))
}

int fdatasync(int fd)
{
    REAL(fdatasync);
    DOING(ask("sync", fd, 0), EIO, real(fd))
}

int rename(const char *old, const char *new)
{
    REAL(rename);
    DOING(ask_about("rename", new, 0), ENOSPC, real(old, new))
}

int unlink(const char *path)
{
    REAL(unlink);
    DOING(ask_about("unlink", path, 0), EIO, real(path))
}

int mkdir(const char *path, mode_t mode)
{
    REAL(mkdir);
    DOING(ask_about("mkdir", path, 1), ENOSPC, real(path, mode))
}

static enum answer ask_to_open(const char *path, int flags)
{
    /* Opening what is there takes no room. */
    if (!(flags & O_CREAT) || syscall(SYS_faccessat, AT_FDCWD, path, F_OK) == 0)
        return PASS;
    return ask_about("create", path, 1);
}

#define MODE(flags)                                                                                                   \
    va_list rest;                                                                                                     \
    va_start(rest, flags);                                                                                            \
    mode_t mode = (flags) & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;                                         \
    va_end(rest)

int open(const char *path, int flags, ...)
{
    REAL(open);
    MODE(flags);
    DOING(ask_to_open(path, flags), ENOSPC, real(path, flags, mode))
}

int open64(const char *path, int flags, ...)
{
    REAL(open64);
    MODE(flags);
    DOING(ask_to_open(path, flags), ENOSPC, real(path, flags, mode))
}
