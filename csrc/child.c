/* child.c - what runs between clone and exec. The memory is the parent's, who
   is suspended: nothing here allocates or locks, and what it writes into the
   job is there when the parent goes on. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "kernel.h"
#include "spawn.h"

CHILD static _Noreturn void fail(nn_job *job, enum nn_step step) {
  job->step = step;
  job->err = errno;
  _exit(127);
}

/* The program's process group, and what ends it with the starter's process. */
CHILD static void join_group(nn_job *job) {
  if ((job->group == NN_GROUP_SESSION && setsid() < 0) ||
      (job->group == NN_GROUP_OWN && setpgid(0, 0) != 0))
    fail(job, NN_STEP_GROUP);
  int self = getpid(), who = job->group == NN_GROUP_CALLER ? self : -self;
  if (job->lifeline[0] >= 0 && !nn_lifeline_tie(job->lifeline, who))
    fail(job, NN_STEP_LIFELINE);
}

CHILD static void take_streams(nn_job *job) {
  for (int fd = 0; fd < 3; fd++)
    if (job->streams[fd] != fd && dup2(job->streams[fd], fd) < 0)
      fail(job, NN_STEP_STREAMS);
}

/* Through the system call, because libc keeps its own signals from us, and
   they too may have been ignored by whoever started the host. A structure of
   zeros is SIG_DFL on every architecture. */
CHILD void nn_reset_signals(void) {
  const unsigned long by_default[8] = {0};
  for (int sig = 1; sig < NSIG; sig++)
    syscall(SYS_rt_sigaction, sig, by_default, NULL, (NSIG - 1) / 8);
}

CHILD static void leave_vrf(nn_job *job) {
  int fd = open(job->vrf, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, "0", 1) != 1)
    fail(job, NN_STEP_VRF);
  close(fd);
}

/* A mount of the network namespace's /sys that is nowhere yet; -1 and errno. */
CHILD static int new_sys(const nn_job *job, unsigned flags) {
  int fs = (int)syscall(SYS_fsopen, "sysfs", NN_FSOPEN_CLOEXEC), mnt = -1;
  if (fs >= 0 &&
      syscall(SYS_fsconfig, fs, NN_FSCONFIG_SET_STRING, "source", job->label,
              0) == 0 &&
      syscall(SYS_fsconfig, fs, NN_FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
    mnt = (int)syscall(SYS_fsmount, fs, NN_FSMOUNT_CLOEXEC, flags);
  nn_close(&fs);
  return mnt;
}

/* It takes the place of the old /sys, but only when it is there: where the
   kernel refuses it, as in some user namespaces, the old one stays. A read-only
   one must stay read-only. */
CHILD static void mount_sys(nn_job *job) {
  struct statfs old;
  if (statfs("/sys", &old) != 0)
    return; /* none to replace */
  bool read_only = old.f_flags & ST_RDONLY;
  int mnt = new_sys(job, read_only ? NN_MOUNT_ATTR_RDONLY : 0);
  if (mnt < 0 && errno == ENOSYS) { /* valgrind, for one: over the old one */
    mount(job->label, "/sys", "sysfs", read_only ? MS_RDONLY : 0, NULL);
    return;
  }
  if (mnt < 0 && (errno == EPERM || errno == EACCES || errno == ENODEV))
    return;
  if (mnt < 0)
    fail(job, NN_STEP_SYSFS);
  umount2("/sys", MNT_DETACH);
  long moved = syscall(SYS_move_mount, mnt, "", AT_FDCWD, "/sys",
                       NN_MOVE_MOUNT_F_EMPTY_PATH);
  nn_close(&mnt);
  if (moved != 0)
    fail(job, NN_STEP_SYSFS);
}

/* strerror(3) may look for a translation. */
CHILD static const char *describe(int err) {
#ifdef __GLIBC__
  const char *text = strerrordesc_np(err);
#else
  const char *text = strerror(err); /* musl's is a table */
#endif
  return text != NULL ? text : "unknown error";
}

CHILD static void say(const char *text) {
  ssize_t ignored = write(STDERR_FILENO, text, strlen(text));
  (void)ignored;
}

/* The files of /etc/netns/NAME over those of /etc. One without its counterpart
   is reported as `ip` does, and the rest bound all the same. */
CHILD static void bind_etc(const nn_job *job) {
  for (const nn_bind *bind = job->binds; bind->source != NULL; bind++)
    if (mount(bind->source, bind->target, "none", MS_BIND, NULL) != 0) {
      const char *reason = describe(errno);
      say(bind->complaint);
      say(reason);
      say("\n");
    }
}

CHILD static void make_mounts(nn_job *job) {
  if (unshare(CLONE_NEWNS) != 0)
    fail(job, NN_STEP_UNSHARE);
  if (mount("", "/", "none", MS_SLAVE | MS_REC, NULL) != 0)
    fail(job, NN_STEP_PROPAGATION);
  mount_sys(job);
  if (job->keeper >= 0) /* refused where parts of /proc are covered: it stays */
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
  bind_etc(job);
}

/* A copy of the template's mounts, which are few. Entering a mount namespace
   moves root and working directory to its own. */
CHILD static void copy_template(nn_job *job) {
  if (setns(job->template, CLONE_NEWNS) != 0 || fchdir(job->root) != 0 ||
      chroot(".") != 0 || unshare(CLONE_NEWNS) != 0)
    fail(job, NN_STEP_TEMPLATE);
}

CHILD static void change_directory(nn_job *job) {
  if ((job->base != NULL && chdir(job->base) != 0) ||
      (job->cwd != NULL && chdir(job->cwd) != 0))
    fail(job, NN_STEP_CWD);
}

/* Whether the search for a program goes on after this. */
CHILD static bool is_elsewhere(int err) {
  return err == ENOENT || err == ENOTDIR || err == ENAMETOOLONG ||
         err == ESTALE || err == ENODEV || err == ETIMEDOUT;
}

/* As execvp(3) does: a program found but not executable is remembered while
   the search goes on, and a file that is no program is given to the shell. */
CHILD static _Noreturn void execute(nn_job *job) {
  int err = ENOENT;
  for (const char **program = job->programs; *program != NULL; program++) {
    execve(*program, job->argv, job->env);
    if (errno == ENOEXEC) {
      job->shell[1] = (char *)*program;
      execve(job->shell[0], job->shell, job->env);
    }
    if (errno == EACCES)
      err = EACCES;
    else if (!is_elsewhere(errno)) {
      err = errno;
      break;
    }
  }
  errno = err;
  fail(job, NN_STEP_EXEC);
}

CHILD int nn_child(void *arg) {
  nn_job *job = arg;
  sigset_t none;
  join_group(job);
  nn_reset_signals();
  take_streams(job);
  if (syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) != 0)
    fail(job, NN_STEP_CLOSE);
  if (job->vrf != NULL)
    leave_vrf(job);
  if (setns(job->ns, CLONE_NEWNET) != 0)
    fail(job, NN_STEP_ENTER);
  if (job->mounts)
    make_mounts(job);
  else if (job->template >= 0)
    copy_template(job);
  change_directory(job);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  execute(job);
}

/* The names are many, and so their mounts slow to copy: those that are there
   go, and those to come stay outside. */
CHILD static void forget_names(void) {
  static const char *const above[] = {"/run", "/"};
  while (umount2(NN_RUN_DIR, MNT_DETACH) == 0)
    ;
  for (int i = 0; i < 2; i++)
    if (mount("", above[i], "none", MS_PRIVATE, NULL) == 0)
      return;
}

/* Shares the descriptors of the parent, who so gets what is kept. */
CHILD int nn_template_child(void *arg) {
  nn_job *job = arg;
  if (setns(job->ns, CLONE_NEWNET) != 0)
    fail(job, NN_STEP_ENTER);
  make_mounts(job);
  forget_names();
  job->kept[0] = open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC);
  if (job->kept[0] >= 0)
    job->kept[1] = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (job->kept[1] < 0) {
    nn_close(&job->kept[0]);
    fail(job, NN_STEP_KEEP);
  }
  _exit(0);
}
