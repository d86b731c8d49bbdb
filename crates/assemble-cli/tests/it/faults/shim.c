// Loaded in front of the C library: fails calls that need space below a folder, and moves the clock.
//
//   FAULT_BELOW  the folder
//   FAULT_AT     the number of the first call that fails, counted from 1
//   FAULT_TIMES  how many fail from there on
//   FAULT_COUNT  a file that gets one byte for each call, so that its size is their number
//   FAULT_CLOCK  seconds to add to the time of day
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static atomic_long seen;
static long first, times, clock_offset;
static int count_to = -1;
static char below[PATH_MAX];

static int strikes(void) {
    long now = atomic_fetch_add(&seen, 1) + 1;
    if (count_to >= 0) syscall(SYS_write, count_to, "x", 1);
    return first > 0 && now >= first && now - first < times;
}

static int is_below(const char *path) {
    size_t n = strlen(below);
    return n && !strncmp(path, below, n) && (path[n] == '/' || !path[n]);
}

static int path_strikes(int folder, const char *path) {
    char whole[PATH_MAX * 2] = "", link[64];
    if (!path || !*below) return 0;
    if (*path != '/') {
        ssize_t n;
        if (folder == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
        else snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        n = readlink(link, whole, PATH_MAX);
        if (n < 0) return 0;
        whole[n] = '/';
        whole[n + 1] = 0;
    }
    strncat(whole, path, PATH_MAX - 1);
    return is_below(whole) && strikes();
}

static int file_strikes(int file) {
    char link[64], path[PATH_MAX];
    if (!*below) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return is_below(path) && strikes();
}

#define FULL(condition) do { if (condition) { errno = ENOSPC; return -1; } } while (0)
#define REAL(name) ({ static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name); real; })

ssize_t write(int f, const void *b, size_t n) { FULL(file_strikes(f)); return REAL(write)(f, b, n); }
ssize_t writev(int f, const struct iovec *v, int n) { FULL(file_strikes(f)); return REAL(writev)(f, v, n); }
ssize_t pwrite(int f, const void *b, size_t n, off_t o) { FULL(file_strikes(f)); return REAL(pwrite)(f, b, n, o); }
ssize_t pwrite64(int f, const void *b, size_t n, off64_t o) { FULL(file_strikes(f)); return REAL(pwrite64)(f, b, n, o); }
ssize_t copy_file_range(int a, off64_t *x, int b, off64_t *y, size_t n, unsigned g) {
    FULL(file_strikes(b));
    return REAL(copy_file_range)(a, x, b, y, n, g);
}
int ftruncate(int f, off_t n) { FULL(file_strikes(f)); return REAL(ftruncate)(f, n); }
int ftruncate64(int f, off64_t n) { FULL(file_strikes(f)); return REAL(ftruncate64)(f, n); }
int fsync(int f) { FULL(file_strikes(f)); return REAL(fsync)(f); }
int fdatasync(int f) { FULL(file_strikes(f)); return REAL(fdatasync)(f); }
int mkdir(const char *p, mode_t m) {
    struct stat there;
    FULL(stat(p, &there) && path_strikes(AT_FDCWD, p));
    return REAL(mkdir)(p, m);
}
int link(const char *a, const char *b) { FULL(path_strikes(AT_FDCWD, b)); return REAL(link)(a, b); }
int linkat(int d, const char *a, int e, const char *b, int g) {
    FULL(path_strikes(e, b));
    return REAL(linkat)(d, a, e, b, g);
}

#define MAKES(flags) ((flags) & O_CREAT || ((flags) & O_TMPFILE) == O_TMPFILE)
#define OPEN(name, ...) \
    mode_t mode = 0; \
    if (MAKES(flags)) { \
        va_list list; va_start(list, flags); mode = va_arg(list, mode_t); va_end(list); \
    }
int open(const char *p, int flags, ...) { OPEN(); FULL(MAKES(flags) && path_strikes(AT_FDCWD, p)); return REAL(open)(p, flags, mode); }
int open64(const char *p, int flags, ...) { OPEN(); FULL(MAKES(flags) && path_strikes(AT_FDCWD, p)); return REAL(open64)(p, flags, mode); }
int openat(int d, const char *p, int flags, ...) { OPEN(); FULL(MAKES(flags) && path_strikes(d, p)); return REAL(openat)(d, p, flags, mode); }
int openat64(int d, const char *p, int flags, ...) { OPEN(); FULL(MAKES(flags) && path_strikes(d, p)); return REAL(openat64)(d, p, flags, mode); }

int clock_gettime(clockid_t c, struct timespec *t) {
    int failed = REAL(clock_gettime)(c, t);
    if (!failed && c == CLOCK_REALTIME) t->tv_sec += clock_offset;
    return failed;
}
time_t time(time_t *t) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (t) *t = now.tv_sec;
    return now.tv_sec;
}

// Renames may be system calls of their own, past the C library: a filter sends them here.
static void on_call(int signal, siginfo_t *info, void *context) {
    (void)signal;
    ucontext_t *at = context;
    int old = AT_FDCWD, new = AT_FDCWD;
    const char *from, *to;
#if defined(__x86_64__)
    greg_t *r = at->uc_mcontext.gregs;
    int is_at = info->si_syscall != SYS_rename;
    old = is_at ? (int)r[REG_RDI] : AT_FDCWD;
    new = is_at ? (int)r[REG_RDX] : AT_FDCWD;
    from = (const char *)(is_at ? r[REG_RSI] : r[REG_RDI]);
    to = (const char *)(is_at ? r[REG_R10] : r[REG_RSI]);
#define RESULT r[REG_RAX]
#else
    unsigned long long *r = (unsigned long long *)at->uc_mcontext.regs;
    (void)info;
    old = (int)r[0], from = (const char *)r[1], new = (int)r[2], to = (const char *)r[3];
#define RESULT r[0]
#endif
    int before = errno;
    if (path_strikes(new, to)) RESULT = -ENOSPC;
    else RESULT = syscall(SYS_renameat2, old, from, new, to, 0) ? -errno : 0;
    errno = before;
}

#ifndef SYS_rename
#define SYS_rename SYS_renameat
#endif

__attribute__((constructor)) static void start(void) {
    const char *text;
    if ((text = getenv("FAULT_CLOCK"))) clock_offset = atol(text);
    if ((text = getenv("FAULT_AT"))) first = atol(text);
    times = (text = getenv("FAULT_TIMES")) ? atol(text) : 1;
    if ((text = getenv("FAULT_COUNT"))) count_to = (int)syscall(SYS_openat, AT_FDCWD, text, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (!(text = getenv("FAULT_BELOW"))) return;
    snprintf(below, sizeof below, "%s", text);
    struct sigaction action = {.sa_sigaction = on_call, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSYS, &action, NULL);
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rename, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) write(2, "no filter of renames\n", 21);
}
