/* Counts what an audio thread must not do: allocate, lock, enter the kernel.

   A process is started with this library in LD_PRELOAD, so that calls of the functions below come here
   first, whoever makes them. They are counted only on the thread that `open_thread` starts, and only
   while it is inside the callback. That thread is sealed by seccomp as well: a system call is not made
   but trapped and counted. To wait (pthread_cond_wait and the like) is a system call, so it is counted, too. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAMES(X) \
    X(malloc) X(calloc) X(realloc) X(free) X(posix_memalign) X(aligned_alloc) X(memalign) X(mmap) X(munmap) \
    X(pthread_mutex_lock) X(pthread_mutex_trylock) X(pthread_rwlock_rdlock) X(pthread_rwlock_wrlock) \
    X(pthread_spin_lock) X(sem_wait) X(sem_trywait) X(sem_post) X(system_calls)
#define PLACE(name) AT_##name,
#define TEXT(name) #name "\n"
enum { NAMES(PLACE) COUNT };

const char names[] = NAMES(TEXT);
long counts[COUNT];
int last_system_call = -1;

static __thread int watching;

/* --- what is counted ---------------------------------------------------------------------------- */

/* glibc's own names for the allocator: dlsym may allocate. */
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t), __libc_free(void *);

#define SEEN(name) do { if (watching) counts[AT_##name]++; } while (0)

void *malloc(size_t size) { SEEN(malloc); return __libc_malloc(size); }
void *calloc(size_t n, size_t size) { SEEN(calloc); return __libc_calloc(n, size); }
void *realloc(void *p, size_t size) { SEEN(realloc); return __libc_realloc(p, size); }
void free(void *p) { SEEN(free); __libc_free(p); }
void *memalign(size_t align, size_t size) { SEEN(memalign); return __libc_memalign(align, size); }
void *aligned_alloc(size_t align, size_t size) { SEEN(aligned_alloc); return __libc_memalign(align, size); }
int posix_memalign(void **p, size_t align, size_t size)
{
    SEEN(posix_memalign);
    return (*p = __libc_memalign(align, size)) ? 0 : ENOMEM;
}

#define WATCH(type, name, parameters, arguments) \
    type name parameters \
    { \
        static type (*real) parameters; \
        SEEN(name); \
        if (!real) real = (type(*) parameters)dlsym(RTLD_NEXT, #name); \
        return real arguments; \
    }

WATCH(void *, mmap, (void *p, size_t n, int access, int flags, int file, off_t at), (p, n, access, flags, file, at))
WATCH(int, munmap, (void *p, size_t n), (p, n))
WATCH(int, pthread_mutex_lock, (pthread_mutex_t *m), (m))
WATCH(int, pthread_mutex_trylock, (pthread_mutex_t *m), (m))
WATCH(int, pthread_rwlock_rdlock, (pthread_rwlock_t *l), (l))
WATCH(int, pthread_rwlock_wrlock, (pthread_rwlock_t *l), (l))
WATCH(int, pthread_spin_lock, (pthread_spinlock_t *l), (l))
WATCH(int, sem_wait, (sem_t *s), (s))
WATCH(int, sem_trywait, (sem_t *s), (s))
WATCH(int, sem_post, (sem_t *s), (s))

/* --- the thread --------------------------------------------------------------------------------- */

typedef int callback_type(const void *, void *, unsigned long, const void *, unsigned long, void *);

static struct {
    callback_type *callback;
    const char *in;
    char *out;
    const unsigned long *frames;
    long count;
    size_t in_step, out_step; /* bytes a frame */
    unsigned long flags;
    void *user;
} job;
static atomic_int working, sealed = -1;

static void trapped(int number, siginfo_t *info, void *context)
{
    counts[AT_system_calls]++;
    last_system_call = info->si_syscall;
}

static int seal(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 0, 1), /* the way out of `trapped` */
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
    };
    struct sock_fprog program = {sizeof rules / sizeof *rules, rules};
    struct sigaction action = {.sa_sigaction = trapped, .sa_flags = SA_SIGINFO};
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, SIGSYS);
    if (pthread_sigmask(SIG_BLOCK, &all, NULL) || sigaction(SIGSYS, &action, NULL) ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        return errno;
    return 0;
}

static void mark(const char *text)
{
    syscall(SYS_write, -1, text, strlen(text)); /* fails; it is there to be seen by strace */
}

static void *run(void *wanted)
{
    void *volatile first = malloc(64); /* a thread's first one maps memory; later ones may not have to */
    free(first);
    atomic_store(&sealed, wanted ? seal() : 0);
    for (;;) {
        while (!atomic_load(&working)) /* sealed: all it can do is look */
            ;
        if (!wanted)
            mark("begin");
        for (long i = 0; i < job.count; i++) {
            watching = 1;
            job.callback(job.in, job.out, job.frames[i], NULL, job.flags, job.user);
            watching = 0;
            job.in += job.frames[i] * job.in_step;
            job.out += job.frames[i] * job.out_step;
        }
        if (!wanted)
            mark("end");
        atomic_store(&working, 0);
    }
    return NULL;
}

/* Start the thread, sealed or not; returns 0, or the error of seccomp. It ends with the process. */
int open_thread(int with_seal)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, run, with_seal ? &job : NULL);
    while (!error && atomic_load(&sealed) < 0)
        usleep(100);
    return error ? error : atomic_load(&sealed);
}

/* Have the callback called `count` times there, with blocks of `frames`, one after the other. */
void begin_calls(callback_type *callback, const void *in, void *out, const unsigned long *frames, long count,
                 size_t in_step, size_t out_step, unsigned long flags, void *user)
{
    job.callback = callback;
    job.in = in, job.out = out, job.frames = frames, job.count = count;
    job.in_step = in_step, job.out_step = out_step, job.flags = flags, job.user = user;
    atomic_store(&working, 1);
}

/* Wait until they are done. */
void end_calls(void)
{
    while (atomic_load(&working))
        usleep(100);
}
