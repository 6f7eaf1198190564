/* Preloaded into the command: does something at the n-th call that changes the names of files or makes them durable.

   WARPFRAME_POINT=N:WHEN:SIGNAL sends the process the signal number SIGNAL before (WHEN is 0) or after (1) the N-th call.
   WARPFRAME_POINTS=FILE writes the number of calls to FILE at the end of the process.
   WARPFRAME_NO_EXCHANGE makes the exchange of two names fail with EINVAL, as in file systems without it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static atomic_int calls;

static void reach(int call, int when) {
    const char *point = getenv("WARPFRAME_POINT");
    int at, at_when, signal;
    if (!point || sscanf(point, "%d:%d:%d", &at, &at_when, &signal) != 3 || at != call || at_when != when)
        return;
    kill(getpid(), signal);
    /* The process handles the signal in another thread. */
    struct timespec moment = {0, 50 * 1000 * 1000};
    nanosleep(&moment, NULL);
}

__attribute__((destructor)) static void report(void) {
    const char *path = getenv("WARPFRAME_POINTS");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (file) {
        fprintf(file, "%d", atomic_load(&calls));
        fclose(file);
    }
}

#define CALL(name, parameters, arguments)                  \
    static int(*real) parameters;                          \
    if (!real)                                             \
        real = (int(*) parameters)dlsym(RTLD_NEXT, #name); \
    int call = atomic_fetch_add(&calls, 1) + 1;            \
    reach(call, 0);                                        \
    int result = real arguments;                           \
    int error = errno;                                     \
    reach(call, 1);                                        \
    errno = error;                                         \
    return result;

#define POINT(name, parameters, arguments)  \
    int name parameters {                   \
        CALL(name, parameters, arguments)   \
    }

POINT(rename, (const char *from, const char *to), (from, to))
POINT(renameat, (int a, const char *from, int b, const char *to), (a, from, b, to))
POINT(link, (const char *from, const char *to), (from, to))
POINT(linkat, (int a, const char *from, int b, const char *to, int flags), (a, from, b, to, flags))
POINT(fsync, (int file), (file))
POINT(fdatasync, (int file), (file))
POINT(unlink, (const char *path), (path))
POINT(unlinkat, (int folder, const char *path, int flags), (folder, path, flags))
POINT(rmdir, (const char *path), (path))
POINT(mkdir, (const char *path, mode_t mode), (path, mode))

int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
    if (flags == RENAME_EXCHANGE && getenv("WARPFRAME_NO_EXCHANGE")) {
        errno = EINVAL;
        return -1;
    }
    CALL(renameat2, (int, const char *, int, const char *, unsigned), (a, from, b, to, flags))
}
