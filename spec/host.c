/* host.c - somebody else's program with Lua inside.

     host [BEHAVIOUR...] THREADS SCRIPT [ARG...]

   runs a script in as many threads, each with a Lua state of its own, whose
   `arg[0]` is the script and `arg.thread` the number of the thread from 1 on;
   with 0 threads in the main thread, as `lua` does (the sanitizers' way to
   run Lua). If a script returns a function, the main thread calls it when the
   threads have ended. Exits with 0 if no script raised an error.

   What hosts do that a library must live with:

     ignore     ignores SIGCHLD
     nocldwait  has the kernel reap every child (SA_NOCLDWAIT)
     handler    has a SIGCHLD handler that reaps every child
     reaper     has a thread that reaps every child
     deaf       ignores and blocks every signal that it can
     open       has 100 descriptors that are not close-on-exec
     hidden     is not dumpable, as if it had changed its user
     old        hides from itself that the kernel tells the status of a process
                that somebody else has reaped, as before Linux 6.15

   and to Lua, as the functions of the table `host`, what Lua alone cannot. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compat.h"

#define MAX_THREADS 64
#define MAX_REAPED 65536
#define MIB ((size_t)1 << 20)

static char **arguments;

static void need(bool ok, const char *what) {
  if (!ok) {
    perror(what);
    exit(2);
  }
}

/* --- behaviours ---------------------------------------------------------- */

/* What the handler or the thread has reaped, in the order of its end. */
static struct {
  pid_t pid;
  int status;
} reaped[MAX_REAPED];
static atomic_int reaped_count;

static void note(pid_t pid, int status) {
  int i = atomic_load(&reaped_count);
  if (i == MAX_REAPED)
    return;
  reaped[i].pid = pid;
  reaped[i].status = status;
  atomic_store(&reaped_count, i + 1);
}

static void on_child(int sig) {
  int status, err = errno;
  pid_t pid;
  (void)sig;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
    note(pid, status);
  errno = err;
}

static _Noreturn void *reap_always(void *unused) {
  int status;
  pid_t pid;
  (void)unused;
  for (;;)
    if ((pid = waitpid(-1, &status, 0)) > 0)
      note(pid, status);
}

static void set_action(void (*handler)(int), int flags) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
  need(sigaction(SIGCHLD, &action, NULL) == 0, "sigaction");
}

static void be_ignoring(void) {
  set_action(SIG_IGN, 0);
}

static void be_nocldwait(void) {
  set_action(SIG_DFL, SA_NOCLDWAIT);
}

/* One thread at a time is in it: the main thread, since the others that this
   program starts block the signal. */
static void be_handler(void) {
  set_action(on_child, SA_RESTART | SA_NOCLDSTOP);
}

static void be_reaper(void) {
  pthread_t thread;
  need(pthread_create(&thread, NULL, reap_always, NULL) == 0, "thread");
}

/* Ignores through the system call: libc keeps two signals for itself, which
   whoever started the host may have ignored. */
static void be_deaf(void) {
  const unsigned long ignored[8] = {(unsigned long)SIG_IGN};
  sigset_t all;
  sigfillset(&all);
  for (int sig = 1; sig < NSIG; sig++)
    syscall(SYS_rt_sigaction, sig, ignored, NULL, (NSIG - 1) / 8);
  sigprocmask(SIG_SETMASK, &all, NULL);
}

static void be_open(void) {
  int pair[2];
  for (int i = 0; i < 20; i++) {
    need(open("/dev/null", O_RDWR) >= 0, "open");
    need(pipe(pair) == 0, "pipe");
    need(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
  }
}

static void be_hidden(void) {
  need(prctl(PR_SET_DUMPABLE, 0) == 0, "dumpable");
}

/* The ioctl, of whatever size, that asks a pidfd for what is known. */
static void be_old(void) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 4),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
               offsetof(struct seccomp_data, args[1])),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xffff),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xff0b, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOTTY),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  struct sock_fprog program = {sizeof code / sizeof *code, code};
  need(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "seccomp");
}

static const struct {
  const char *name;
  void (*start)(void);
} behaviours[] = {{"ignore", be_ignoring}, {"nocldwait", be_nocldwait},
                  {"handler", be_handler}, {"reaper", be_reaper},
                  {"deaf", be_deaf},       {"open", be_open},
                  {"hidden", be_hidden},   {"old", be_old}};

static bool behave(const char *name) {
  for (size_t i = 0; i < sizeof behaviours / sizeof *behaviours; i++)
    if (strcmp(behaviours[i].name, name) == 0) {
      behaviours[i].start();
      return true;
    }
  return false;
}

/* --- what scripts can do ------------------------------------------------- */

/* host.fork(): a process id, or 0 in the child */
static int host_fork(lua_State *L) {
  pid_t pid = fork();
  need(pid >= 0, "fork");
  lua_pushinteger(L, pid);
  return 1;
}

/* host.execute(argument…): becomes another program. */
static int host_execute(lua_State *L) {
  const char *argv[8] = {NULL};
  for (int i = 0; i < lua_gettop(L) && i < 7; i++)
    argv[i] = luaL_checkstring(L, i + 1);
  execvp(argv[0], (char *const *)argv);
  need(false, "execvp");
  return 0;
}

/* host.drop(): gives up all file systems and all privileges, as daemons do. */
static int host_drop(lua_State *L) {
  const char *nowhere = "/proc/self/fdinfo"; /* a directory without others */
  (void)L;
  need(chroot(nowhere) == 0 && chdir("/") == 0, "chroot");
  need(setgroups(0, NULL) == 0 && setgid(65534) == 0, "setgid");
  need(setuid(65534) == 0, "setuid"); /* the capabilities go with it */
  return 0;
}

/* host.chroot(path) */
static int host_chroot(lua_State *L) {
  need(chroot(luaL_checkstring(L, 1)) == 0 && chdir("/") == 0, "chroot");
  return 0;
}

/* host.child(code): starts a child of the host's own that exits with that, a
   little later; its process id. */
static int host_child(lua_State *L) {
  int code = (int)luaL_checkinteger(L, 1);
  pid_t pid = fork();
  need(pid >= 0, "fork");
  if (pid == 0) {
    usleep(1000);
    _exit(code);
  }
  lua_pushinteger(L, pid);
  return 1;
}

static int push_code(lua_State *L, int status) {
  lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
  return 1;
}

/* host.wait(pid): the exit status of a child; nil if there is none to have. */
static int host_wait(lua_State *L) {
  pid_t pid = (pid_t)luaL_checkinteger(L, 1);
  int status = 0;
  while (waitpid(pid, &status, 0) != pid)
    if (errno != EINTR)
      return 0;
  return push_code(L, status);
}

/* host.reaped(pid): the exit status that the handler or the thread has seen. */
static int host_reaped(lua_State *L) {
  pid_t pid = (pid_t)luaL_checkinteger(L, 1);
  for (int i = atomic_load(&reaped_count); i-- > 0;)
    if (reaped[i].pid == pid)
      return push_code(L, reaped[i].status);
  return 0;
}

/* host.grow(mib): makes the host so much larger, in small pages, which cost the
   most to copy; the memory. */
static int host_grow(lua_State *L) {
  size_t size = (size_t)luaL_checkinteger(L, 1) * MIB;
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  need(memory != MAP_FAILED, "mmap");
  madvise(memory, size, MADV_NOHUGEPAGE);
  memset(memory, 1, size);
  lua_pushlightuserdata(L, memory);
  return 1;
}

/* host.shrink(memory, mib): gives it back. */
static int host_shrink(lua_State *L) {
  need(munmap(lua_touserdata(L, 1), (size_t)luaL_checkinteger(L, 2) * MIB) == 0,
       "munmap");
  return 0;
}

static struct {
  pthread_mutex_t lock;
  pthread_cond_t complete;
  int threads, present;
  lua_Integer sum, result;
  unsigned round;
} meeting = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0, 0,
             0};

/* host.meet(integer): waits for all threads to call it; the sum of what they
   have brought. */
static int host_meet(lua_State *L) {
  lua_Integer brought = luaL_checkinteger(L, 1);
  pthread_mutex_lock(&meeting.lock);
  unsigned round = meeting.round;
  meeting.sum += brought;
  if (++meeting.present == meeting.threads) {
    meeting.result = meeting.sum;
    meeting.sum = meeting.present = 0;
    meeting.round++;
    pthread_cond_broadcast(&meeting.complete);
  }
  while (round == meeting.round)
    pthread_cond_wait(&meeting.complete, &meeting.lock);
  lua_pushinteger(L, meeting.result); /* stays until all have met again */
  pthread_mutex_unlock(&meeting.lock);
  return 1;
}

static const luaL_Reg host[] = {{"execute", host_execute},
                                {"drop", host_drop}, {"chroot", host_chroot},
                                {"fork", host_fork}, {"child", host_child},
                                {"wait", host_wait}, {"reaped", host_reaped},
                                {"grow", host_grow}, {"shrink", host_shrink},
                                {"meet", host_meet}, {NULL, NULL}};

/* --- threads ------------------------------------------------------------- */

typedef struct script {
  lua_State *L; /* NULL if closed; else with a function to call */
  pthread_t thread;
  int number;
  bool ok;
} script;

static int traceback(lua_State *L) {
  const char *message = luaL_tolstring(L, 1, NULL);
#if LUA_VERSION_NUM >= 502
  luaL_traceback(L, L, message, 1);
#else
  (void)message;
#endif
  return 1;
}

static bool report(lua_State *L, int status) {
  if (status != LUA_OK)
    fprintf(stderr, "host: %s\n", lua_tostring(L, -1));
  return status == LUA_OK;
}

static bool load_script(lua_State *L) {
  if (!report(L, luaL_loadfile(L, arguments[0])))
    return false;
  for (int i = 1; arguments[i] != NULL; i++)
    lua_pushstring(L, arguments[i]);
  return true;
}

static void *run(void *argument) {
  script *self = argument;
  lua_State *L = self->L = luaL_newstate();
  int count = 0;
  luaL_openlibs(L);
  luaL_newlib(L, host);
  lua_setglobal(L, "host");
  lua_newtable(L);
  lua_pushinteger(L, self->number);
  lua_setfield(L, -2, "thread");
  for (; arguments[count] != NULL; count++) {
    lua_pushstring(L, arguments[count]);
    lua_rawseti(L, -2, count);
  }
  lua_setglobal(L, "arg");
  lua_pushcfunction(L, traceback);
  self->ok = load_script(L) && report(L, lua_pcall(L, count - 1, 1, 1));
  if (!self->ok || !lua_isfunction(L, -1)) {
    lua_close(L);
    self->L = NULL;
  }
  return NULL;
}

static void start(script *self) {
  sigset_t child, old;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  pthread_sigmask(SIG_BLOCK, &child, &old);
  need(pthread_create(&self->thread, NULL, run, self) == 0, "thread");
  pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* Goes on in this thread where the script's own has ended. */
static void finish(script *self) {
  if (self->L == NULL)
    return;
  self->ok = report(self->L, lua_pcall(self->L, 0, 0, 1));
  lua_close(self->L);
}

int main(int argc, char **argv) {
  script scripts[MAX_THREADS + 1] = {{NULL}};
  int first = 1, failed = 0;
  while (first < argc && behave(argv[first]))
    first++;
  int count = first + 1 < argc ? atoi(argv[first]) : -1;
  if (count < 0 || count > MAX_THREADS) {
    fprintf(stderr, "usage: host [BEHAVIOUR...] THREADS SCRIPT [ARG...]\n");
    return 2;
  }
  arguments = argv + first + 1;
  meeting.threads = count;
  if (count == 0)
    run(&scripts[0]);
  for (int i = 1; i <= count; i++) {
    scripts[i].number = i;
    start(&scripts[i]);
  }
  for (int i = 1; i <= count; i++)
    pthread_join(scripts[i].thread, NULL);
  for (int i = count > 0; i <= count; i++) {
    finish(&scripts[i]);
    failed += !scripts[i].ok;
  }
  return failed != 0;
}
