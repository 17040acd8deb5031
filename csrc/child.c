/* child.c - what runs between clone and exec. The memory is the parent's, who
   is suspended: nothing here allocates, locks or returns. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "kernel.h"
#include "spawn.h"

/* The stack is the parent's array, which a sanitizer must not mark. */
#define CHILD __attribute__((no_sanitize("address", "undefined")))

CHILD static _Noreturn void fail(const nn_job *job, enum nn_step step) {
  const nn_report report = {step, errno};
  ssize_t ignored = write(job->report, &report, sizeof report);
  (void)ignored;
  _exit(127);
}

/* Through the system call, because libc keeps its own signals from us, and
   they too may have been ignored by whoever started the host. A structure of
   zeros is SIG_DFL on every architecture. */
CHILD static void reset_signals(void) {
  const unsigned long by_default[8] = {0};
  for (int sig = 1; sig < NSIG; sig++)
    syscall(SYS_rt_sigaction, sig, by_default, NULL, (NSIG - 1) / 8);
}

CHILD static void leave_vrf(const nn_job *job) {
  int fd = open(job->vrf, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, "0", 1) != 1)
    fail(job, NN_STEP_VRF);
  close(fd);
}

/* A /sys of the network namespace takes the place of the old one, but only
   when it is there: where the kernel refuses it, as in some user namespaces,
   the old one stays. A read-only one must stay read-only. */
CHILD static void mount_sys(const nn_job *job) {
  struct statfs old;
  if (statfs("/sys", &old) != 0)
    return; /* none to replace */
  unsigned flags = old.f_flags & ST_RDONLY ? NN_MOUNT_ATTR_RDONLY : 0;
  int fs = (int)syscall(SYS_fsopen, "sysfs", NN_FSOPEN_CLOEXEC), mnt = -1;
  if (fs < 0 && errno == ENOSYS) { /* valgrind, for one: over the old one */
    mount(job->label, "/sys", "sysfs", flags != 0 ? MS_RDONLY : 0, NULL);
    return;
  }
  if (fs >= 0 &&
      syscall(SYS_fsconfig, fs, NN_FSCONFIG_SET_STRING, "source", job->label,
              0) == 0 &&
      syscall(SYS_fsconfig, fs, NN_FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
    mnt = (int)syscall(SYS_fsmount, fs, NN_FSMOUNT_CLOEXEC, flags);
  if (mnt < 0 && (errno == EPERM || errno == EACCES || errno == ENODEV))
    return;
  if (mnt < 0)
    fail(job, NN_STEP_SYSFS);
  umount2("/sys", MNT_DETACH);
  if (syscall(SYS_move_mount, mnt, "", AT_FDCWD, "/sys",
              NN_MOVE_MOUNT_F_EMPTY_PATH) != 0)
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

CHILD static void make_mounts(const nn_job *job) {
  if (unshare(CLONE_NEWNS) != 0)
    fail(job, NN_STEP_UNSHARE);
  if (mount("", "/", "none", MS_SLAVE | MS_REC, NULL) != 0)
    fail(job, NN_STEP_PROPAGATION);
  mount_sys(job);
  bind_etc(job);
}

/* Whether the search for a program goes on after this. */
CHILD static bool is_elsewhere(int err) {
  return err == ENOENT || err == ENOTDIR || err == ENAMETOOLONG ||
         err == ESTALE || err == ENODEV || err == ETIMEDOUT;
}

/* As execvp(3) does: a program found but not executable is remembered while
   the search goes on, and a file that is no program is given to the shell. */
CHILD static _Noreturn void execute(const nn_job *job) {
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
  const nn_job *job = arg;
  sigset_t none;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  int parent = getppid(); /* 0 if it is not in our process namespace */
  if (parent != job->parent && parent != 0)
    _exit(127); /* it died before the line above */
  reset_signals();
  if (syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) != 0)
    fail(job, NN_STEP_CLOSE);
  if (job->vrf != NULL)
    leave_vrf(job);
  if (setns(job->ns, CLONE_NEWNET) != 0)
    fail(job, NN_STEP_ENTER);
  if (job->mounts)
    make_mounts(job);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  execute(job);
}
