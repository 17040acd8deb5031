/* floor.c - the same work as the library's, in plain C without Lua: what the
   system calls cost, and so hardly to be beaten. It is written as one would who
   needs just this and trusts what is there: nothing is looked at before it is
   opened, unmounted or made, and there are no messages; but it is fit for use,
   with close-on-exec descriptors, a thread that is brought home, and the lock
   that `ip` takes. It also builds what all of them measure: names with ids, and
   processes.

   See worker.h for how it is driven. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker.h"

#define DIR_ "/run/netns"
#define MAX 8192                             /* names, processes */
#define PIDFD_THREAD 0200                    /* pidfd_open(2), 6.9 */
#define PIDFD_GET_NET_NAMESPACE _IO(0xff, 4) /* 6.11 */
#ifndef P_PIDFD
#define P_PIDFD 3
#endif

extern char **environ;

static void check(int failed, const char *what) {
  if (failed)
    err(1, "floor: %s", what);
}

/* --- entering ---------------------------------------------------------- */

static int self = -1; /* a pidfd of this thread, which is the only one */

static int home(void) {
  int fd = self < 0 ? -1 : ioctl(self, PIDFD_GET_NET_NAMESPACE, 0);
  return fd >= 0 ? fd : open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

static int open_name(const char *name) {
  char path[300];
  snprintf(path, sizeof path, DIR_ "/%s", name);
  return open(path, O_RDONLY | O_CLOEXEC);
}

static int target = -1;

static long enter(int i, const char *name) {
  if (i == 0) {
    close(target);
    target = open_name(name);
  }
  int back = home();
  check(back < 0 || setns(target, CLONE_NEWNET) != 0, "enter");
  check(setns(back, CLONE_NEWNET) != 0, "return");
  close(back);
  return 0;
}

/* The two system calls alone, with the way home known. */
static long enter_bare(int i, const char *name) {
  static int back = -1;
  if (i == 0) {
    close(target);
    close(back);
    target = open_name(name);
    back = home();
  }
  check(setns(target, CLONE_NEWNET) != 0, "enter");
  check(setns(back, CLONE_NEWNET) != 0, "return");
  return 0;
}

/* --- names come and go ------------------------------------------------- */

/* What two that make the directory ready at once agree on: `ip` does this on
   every add, and so whoever works beside it has to. */
static void lock_dir(void) {
  mkdir(DIR_, 0755);
  int dir = open(DIR_, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  check(dir < 0 || flock(dir, LOCK_EX) != 0, DIR_);
  close(dir);
}

/* Returns a descriptor of the new namespace. */
static int add_path(const char *path) {
  char source[64];
  lock_dir();
  int back = home();
  check(back < 0 || unshare(CLONE_NEWNET) != 0, "unshare");
  int ns = home();
  check(ns < 0 || setns(back, CLONE_NEWNET) != 0, "return");
  close(back);
  int fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0);
  check(fd < 0, path);
  close(fd);
  snprintf(source, sizeof source, "/proc/thread-self/fd/%d", ns);
  check(mount(source, path, "none", MS_BIND, NULL) != 0, path);
  return ns;
}

static long add(int i, const char *argument) {
  char path[64];
  (void)argument;
  snprintf(path, sizeof path, DIR_ "/b%d", i);
  close(add_path(path));
  return 0;
}

static long delete(int i, const char *argument) {
  char path[64];
  (void)argument;
  snprintf(path, sizeof path, DIR_ "/b%d", i);
  check(umount2(path, MNT_DETACH) != 0 || unlink(path) != 0, path);
  return 0;
}

/* --- ids: one request, one answer, on one socket ----------------------- */

struct request {
  struct nlmsghdr header;
  struct rtgenmsg general;
  char pad[3];
  struct nlattr fd;
  int fd_value;
  struct nlattr id; /* of RTM_NEWNSID only */
  int id_value;
};

static int netlink(void) {
  int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  check(sock < 0, "netlink");
  return sock;
}

static char answer[8192];

static const struct nlmsghdr *ask(int sock, int type, int flags, int fd,
                                  int id) {
  static unsigned seq;
  struct request request = {
      .header = {.nlmsg_len = sizeof request,
                 .nlmsg_type = (unsigned short)type,
                 .nlmsg_flags = (unsigned short)(NLM_F_REQUEST | flags),
                 .nlmsg_seq = ++seq},
      .fd = {sizeof(struct nlattr) + sizeof(int), NETNSA_FD},
      .fd_value = fd,
      .id = {sizeof(struct nlattr) + sizeof(int), NETNSA_NSID},
      .id_value = id};
  if (type == RTM_GETNSID)
    request.header.nlmsg_len = offsetof(struct request, id);
  check(send(sock, &request, request.header.nlmsg_len, 0) < 0 ||
            recv(sock, answer, sizeof answer, 0) < 0,
        "netlink");
  return (const void *)answer;
}

/* The id of the namespace `fd`; -1 if it has none. */
static int id_of(int sock, int fd) {
  const struct nlmsghdr *reply = ask(sock, RTM_GETNSID, 0, fd, 0);
  if (reply->nlmsg_type != RTM_NEWNSID)
    errx(1, "floor: no answer for an id");
  const struct nlattr *attr =
      (const void *)((const char *)NLMSG_DATA(reply) +
                     NLMSG_ALIGN(sizeof(struct rtgenmsg)));
  return *(const int *)(attr + 1);
}

/* --- names are read ---------------------------------------------------- */

static char block[1 << 20];
static const char *names[MAX];

/* The entries of a directory, whole, into `names`; its descriptor stays open
   for the caller. `first` is the least byte that a name begins with. */
static int read_dir(const char *path, char first, size_t *count) {
  int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  long used = 0, got;
  check(dir < 0, path);
  while ((got = syscall(SYS_getdents64, dir, block + used,
                        sizeof block - (size_t)used)) > 0)
    used += got;
  *count = 0;
  for (long at = 0; at < used;) {
    const struct dirent64 *entry = (const void *)(block + at);
    if (entry->d_name[0] >= first && *count < MAX)
      names[(*count)++] = entry->d_name;
    at += entry->d_reclen;
  }
  return dir;
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int read_names(size_t *count) {
  return read_dir(DIR_, '/', count); /* "." comes before */
}

static long list_names(int i, const char *argument) {
  size_t count;
  (void)i, (void)argument;
  close(read_names(&count));
  qsort(names, count, sizeof *names, by_name);
  return (long)count;
}

static struct entry {
  const char *name;
  ino_t inode;
  int id;
} entries[MAX];

static long list(int i, const char *argument) {
  size_t count;
  long with_id = 0;
  struct stat st;
  (void)i, (void)argument;
  int dir = read_names(&count), sock = netlink();
  qsort(names, count, sizeof *names, by_name);
  for (size_t n = 0; n < count; n++) {
    int fd = openat(dir, names[n], O_RDONLY | O_CLOEXEC);
    check(fd < 0 || fstat(fd, &st) != 0, names[n]);
    entries[n] = (struct entry){names[n], st.st_ino, id_of(sock, fd)};
    with_id += entries[n].id >= 0;
    close(fd);
  }
  close(sock);
  close(dir);
  return with_id;
}

static long identify(int i, const char *pid) {
  char path[64];
  size_t count, found = 0;
  struct stat own, st;
  (void)i;
  snprintf(path, sizeof path, "/proc/%s/ns/net", pid);
  check(stat(path, &own) != 0, path);
  int dir = read_names(&count);
  for (size_t n = 0; n < count; n++)
    if (fstatat(dir, names[n], &st, 0) == 0 && st.st_ino == own.st_ino &&
        st.st_dev == own.st_dev)
      names[found++] = names[n];
  qsort(names, found, sizeof *names, by_name);
  close(dir);
  return (long)found;
}

/* --- processes --------------------------------------------------------- */

static int found[MAX];

static long pids(int i, const char *name) {
  char wanted[64], path[64], text[64];
  size_t count;
  long n = 0;
  struct stat st;
  (void)i;
  snprintf(path, sizeof path, DIR_ "/%s", name);
  check(stat(path, &st) != 0, path);
  snprintf(wanted, sizeof wanted, "net:[%lu]", (unsigned long)st.st_ino);
  int dir = read_dir("/proc", '0', &count);
  for (size_t p = 0; p < count; p++) {
    if (names[p][0] > '9')
      continue;
    strcpy(stpcpy(path, names[p]), "/ns/net");
    ssize_t len = readlinkat(dir, path, text, sizeof text - 1);
    text[len < 0 ? 0 : len] = '\0';
    if (strcmp(text, wanted) == 0)
      found[n++] = atoi(names[p]);
  }
  close(dir);
  return n;
}

/* --- programs: the steps of csrc/spawn.c and csrc/child.c -------------- */

struct job {
  int ns, err; /* what the child leaves behind, in memory that it shares */
  int lifeline[2];
  char **argv;
};

/* F_SETOWN, F_SETSIG and O_ASYNC of a pipe: what kills the program if we die. */
static void tie(const int lifeline[2], int who) {
  check(fcntl(lifeline[0], F_SETOWN, who) != 0 ||
            fcntl(lifeline[1], F_SETOWN, who) != 0,
        "lifeline");
}

static void make_lifeline(int lifeline[2]) {
  check(pipe2(lifeline, O_CLOEXEC) != 0, "lifeline");
  for (int end = 0; end < 2; end++)
    check(fcntl(lifeline[end], F_SETSIG, SIGKILL) != 0 ||
              fcntl(lifeline[end], F_SETFL, O_ASYNC) != 0,
          "lifeline");
}

static void child_fail(struct job *job) {
  job->err = errno;
  _exit(127);
}

static void mount_sys(struct job *job) {
  struct statfs old;
  if (statfs("/sys", &old) != 0)
    child_fail(job);
  unsigned flags = old.f_flags & ST_RDONLY ? MOUNT_ATTR_RDONLY : 0;
  int fs = (int)syscall(SYS_fsopen, "sysfs", FSOPEN_CLOEXEC);
  syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "source", "netns", 0);
  syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
  int mnt = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, flags);
  umount2("/sys", MNT_DETACH);
  if (syscall(SYS_move_mount, mnt, "", AT_FDCWD, "/sys",
              MOVE_MOUNT_F_EMPTY_PATH) != 0)
    child_fail(job);
}

static int child(void *arg) {
  struct job *job = arg;
  struct sigaction action = {.sa_handler = SIG_DFL};
  sigset_t none;
  setpgid(0, 0);
  tie(job->lifeline, -getpid());
  for (int sig = 1; sig < NSIG; sig++)
    sigaction(sig, &action, NULL);
  if (syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) != 0 ||
      setns(job->ns, CLONE_NEWNET) != 0 || unshare(CLONE_NEWNS) != 0 ||
      mount("", "/", "none", MS_SLAVE | MS_REC, NULL) != 0)
    child_fail(job);
  mount_sys(job);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  execve(job->argv[0], job->argv, environ);
  child_fail(job);
  return 127;
}

static long exec(int i, const char *program) {
  char stack[32768] __attribute__((aligned(16)));
  char *argv[] = {(char *)program, NULL};
  int pidfd = -1;
  sigset_t all, old;
  siginfo_t info;
  (void)i;
  struct job job = {.ns = open_name("n0000"), .argv = argv};
  check(job.ns < 0, "exec");
  make_lifeline(job.lifeline);
  int etc = open("/etc/netns/n0000", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  check(etc >= 0, "files to bind"); /* not measured */
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &old);
  pid_t pid = clone(child, stack + sizeof stack,
                    CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &job,
                    &pidfd);
  sigprocmask(SIG_SETMASK, &old, NULL);
  check(pid < 0, "clone");
  errno = job.err;
  check(job.err != 0, program);
  close(job.ns);
  struct pollfd ready = {.fd = pidfd, .events = POLLIN};
  check(poll(&ready, 1, -1) != 1 ||
            waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED) != 0,
        "wait");
  tie(job.lifeline, 0);
  close(job.lifeline[0]);
  close(job.lifeline[1]);
  close(pidfd);
  return info.si_status;
}

/* --- what there is to be measured -------------------------------------- */

/* names COUNT: n0000, n0001, …, as many as there are to be, each with an id. */
static long make_name(int i, const char *argument) {
  char path[64];
  (void)argument;
  snprintf(path, sizeof path, DIR_ "/n%04d", i);
  if (access(path, F_OK) == 0)
    return i + 1;
  int fd = add_path(path), sock = netlink();
  const struct nlmsghdr *reply = ask(sock, RTM_NEWNSID, NLM_F_ACK, fd, i);
  const struct nlmsgerr *error = NLMSG_DATA(reply);
  if (reply->nlmsg_type != NLMSG_ERROR || error->error != 0)
    errx(1, "floor: no id for %s", path);
  close(sock);
  close(fd);
  return i + 1;
}

static pid_t sleepers[MAX];
static int asleep;

/* sleep COUNT NAMES: as many processes, over so many names in turn; the last
   process id. */
static long start_sleeper(int i, const char *count) {
  char name[16];
  snprintf(name, sizeof name, "n%04d", i % atoi(count));
  pid_t pid = fork();
  check(pid < 0, "fork");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    check(setns(open_name(name), CLONE_NEWNET) != 0, name);
    syscall(SYS_close_range, 0, ~0U, 0);
    for (;;)
      pause();
  }
  sleepers[asleep++] = pid;
  return pid;
}

static void end_sleepers(void) {
  for (int i = 0; i < asleep; i++)
    kill(sleepers[i], SIGKILL);
  while (asleep > 0)
    waitpid(sleepers[--asleep], NULL, 0);
}

/* wake 1: ends them. */
static long wake(int i, const char *argument) {
  (void)i, (void)argument;
  end_sleepers();
  return 0;
}

int main(void) {
  static const struct op ops[] = {
      {"enter", enter}, {"enter-bare", enter_bare}, {"add", add},
      {"delete", delete}, {"names", list_names}, {"list", list},
      {"identify", identify}, {"pids", pids}, {"exec", exec},
      {"make", make_name}, {"sleep", start_sleeper}, {"wake", wake},
      {NULL, NULL}};
  self = (int)syscall(SYS_pidfd_open, getpid(), PIDFD_THREAD);
  mkdir(DIR_, 0755);
  check(mount(DIR_, DIR_, "none", MS_BIND | MS_REC, NULL) != 0 ||
            mount("", DIR_, "none", MS_PRIVATE | MS_REC, NULL) != 0 ||
            mount("", DIR_, "none", MS_SHARED | MS_REC, NULL) != 0,
        DIR_);
  serve(ops);
  end_sleepers();
  return 0;
}
