/* ip.c - `ip netns`, run once for each operation, as a program without a
   library would: by posix_spawn(3), which is the cheapest way to start it
   (os.execute needs a shell besides), with the output to /dev/null. The names
   that end in -batch do all of the operations in one `ip -batch`. */
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include "worker.h"

extern char **environ;

static posix_spawn_file_actions_t quiet;

static long ip(char *argv[]) {
  int status;
  pid_t pid;
  if (posix_spawnp(&pid, "ip", &quiet, NULL, argv, environ) != 0 ||
      waitpid(pid, &status, 0) != pid || status != 0)
    errx(1, "ip: failed");
  return 0;
}

#define IP(...) ip((char *[]){"ip", __VA_ARGS__, NULL})

static char *name_of(int i) {
  static char name[16];
  snprintf(name, sizeof name, "b%d", i);
  return name;
}

static long add(int i, const char *argument) {
  (void)argument;
  return IP("netns", "add", name_of(i));
}

static long delete(int i, const char *argument) {
  (void)argument;
  return IP("netns", "delete", name_of(i));
}

/* Collects the lines, and runs them when it has the last one. */
static long batch(int i, const char *what) {
  static FILE *lines;
  char path[] = "/run/batch";
  if (i == 0)
    lines = fopen(path, "w");
  if (lines == NULL)
    err(1, "%s", path);
  fprintf(lines, "netns %s %s\n", what, name_of(i));
  if (i < total - 1)
    return 0;
  fclose(lines);
  return IP("-batch", path);
}

static long add_batch(int i, const char *argument) {
  (void)argument;
  return batch(i, "add");
}

static long delete_batch(int i, const char *argument) {
  (void)argument;
  return batch(i, "delete");
}

static long list(int i, const char *argument) {
  (void)i, (void)argument;
  return IP("netns", "list");
}

static long identify(int i, const char *pid) {
  (void)i;
  return IP("netns", "identify", (char *)pid);
}

static long pids(int i, const char *name) {
  (void)i;
  return IP("netns", "pids", (char *)name);
}

static long exec(int i, const char *program) {
  (void)i;
  return IP("netns", "exec", "n0000", (char *)program);
}

int main(void) {
  static const struct op ops[] = {{"add", add},
                                  {"delete", delete},
                                  {"add-batch", add_batch},
                                  {"delete-batch", delete_batch},
                                  {"list", list},
                                  {"identify", identify},
                                  {"pids", pids},
                                  {"exec", exec},
                                  {NULL, NULL}};
  if (system("command -v ip >/dev/null") != 0)
    return puts("iproute2 is not installed") < 0;
  posix_spawn_file_actions_init(&quiet);
  posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
  return serve(ops);
}
