/* ip.c - `ip`, run once for each operation, as a program without a library
   would: by posix_spawn(3), which is the cheapest way to start it (os.execute
   needs a shell besides), with the output to /dev/null. The names that end in
   -batch do all of the operations in one `ip -batch`, or in as few as can be.
 */
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

#define BATCH "/run/batch"

static FILE *start_lines(void) {
  FILE *lines = fopen(BATCH, "w");
  if (lines == NULL)
    err(1, BATCH);
  return lines;
}

/* Collects the lines, and runs them when it has the last one. */
static long batch(int i, const char *what) {
  static FILE *lines;
  if (i == 0)
    lines = start_lines();
  fprintf(lines, "netns %s %s\n", what, name_of(i));
  if (i < total - 1)
    return 0;
  fclose(lines);
  return IP("-batch", BATCH);
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

/* --- links --------------------------------------------------------------- */

static char *address_of(int i) {
  static char address[24];
  snprintf(address, sizeof address, "10.0.%d.%d/16", (i + 1) >> 8,
           (i + 1) & 255);
  return address;
}

static long lab(int i, const char *argument) {
  char port[16], *host = name_of(i);
  (void)argument;
  snprintf(port, sizeof port, "p%d", i);
  if (i == 0) {
    IP("netns", "add", "lan");
    IP("-n", "lan", "link", "add", "br0", "up", "type", "bridge");
  }
  IP("netns", "add", host);
  IP("-n", "lan", "link", "add", port, "up", "master", "br0", "type", "veth",
     "peer", "name", "eth0", "netns", host);
  IP("-n", host, "address", "add", address_of(i), "dev", "eth0");
  return IP("-n", host, "link", "set", "eth0", "up");
}

/* A batch is of one namespace, and `-n` is said once for all of its lines. So
   as few as can be are one that adds the names, one for all that is done from
   the bridge's, and one for each of the others. (`netns add` cannot be a line
   of the second: `-n` takes a mount namespace of its own.) */
static void make_all(void (*configure)(FILE *lines, int n)) {
  FILE *lines = start_lines();
  fputs("netns add lan\n", lines);
  for (int n = 0; n < total; n++)
    fprintf(lines, "netns add %s\n", name_of(n));
  fclose(lines);
  IP("-batch", BATCH);
  lines = start_lines();
  fputs("link add br0 up type bridge\n", lines);
  for (int n = 0; n < total; n++)
    fprintf(lines,
            "link add p%d up master br0 type veth peer name eth0 netns %s\n", n,
            name_of(n));
  fclose(lines);
  IP("-n", "lan", "-batch", BATCH);
  for (int n = 0; n < total; n++) {
    lines = start_lines();
    configure(lines, n);
    fclose(lines);
    IP("-n", name_of(n), "-batch", BATCH);
  }
}

static void configure_lab(FILE *lines, int n) {
  fprintf(lines, "address add %s dev eth0\nlink set eth0 up\n", address_of(n));
}

static long lab_batch(int i, const char *argument) {
  (void)argument;
  if (i == 0) /* then all is done */
    make_all(configure_lab);
  return 0;
}

/* It has no sysctls: "nodad" does for the address what the others have done for
   the namespace. */
static void configure_host(FILE *lines, int n) {
  fprintf(lines,
          "link set lo up\naddress add 10.0.0.%d/24 dev eth0\n"
          "address add fd00::%x/64 dev eth0 nodad\nlink set eth0 up\n",
          n + 1, n + 1);
}

static long make_switch(int i, const char *argument) {
  (void)argument;
  if (i == 0)
    make_all(configure_host);
  return 0;
}

static long lab_down(int i, const char *argument) {
  (void)argument;
  batch(i, "delete");
  return i < total - 1 ? 0 : IP("netns", "delete", "lan");
}

static long links(int i, const char *argument) {
  (void)i, (void)argument;
  return IP("-json", "link");
}

/* All that the library tells. */
static long links_all(int i, const char *argument) {
  (void)i, (void)argument;
  return IP("-json", "-details", "-statistics", "link");
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
                                  {"lab", lab},
                                  {"lab-batch", lab_batch},
                                  {"lab-down", lab_down},
                                  {"switch", make_switch},
                                  {"switch-down", lab_down},
                                  {"links", links},
                                  {"links-all", links_all},
                                  {NULL, NULL}};
  if (system("command -v ip >/dev/null") != 0)
    return puts("iproute2 is not installed") < 0;
  posix_spawn_file_actions_init(&quiet);
  posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
  return serve(ops);
}
