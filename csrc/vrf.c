/* vrf.c - the association with a VRF, which `ip vrf exec` makes by a cgroup v2
   named .../vrf/NAME with a BPF program. It means nothing in another network
   namespace, so `ip netns exec` leaves the cgroup, and so do we. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "netns.h"

/* Reads a short file of /proc; 0 or an errno. */
static int read_file(const char *path, char *buffer, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : read(fd, buffer, size - 1);
  int err = n < 0 ? errno : 0;
  nn_close(&fd);
  buffer[n < 0 ? 0 : n] = '\0';
  return err;
}

/* Where cgroup v2 is mounted; 0, ENOENT if it is not, or another errno. */
static int cgroup2_mount(char *path, size_t size) {
  char line[4096], point[2048];
  FILE *file = fopen("/proc/thread-self/mountinfo", "re");
  if (file == NULL)
    return errno;
  int err = ENOENT;
  while (err == ENOENT && fgets(line, sizeof line, file) != NULL)
    if (strstr(line, " - cgroup2 ") != NULL &&
        sscanf(line, "%*s %*s %*s %*s %2047s", point) == 1)
      err = strlen(point) < size ? 0 : ENAMETOOLONG;
  if (err == ENOENT && ferror(file))
    err = EIO;
  fclose(file);
  if (err == 0)
    strcpy(path, point);
  return err;
}

/* In what /proc/PID/cgroup says, the cgroup from where cgroup v2 is mounted on;
   NULL if that is in no VRF. */
static char *vrf_cgroup(char *text) {
  char *own = strstr(text, "0::/");
  if (own == NULL || (own != text && own[-1] != '\n'))
    return NULL;
  own += strlen("0::");
  own[strcspn(own, "\n")] = '\0';
  return strstr(own, "/vrf/") != NULL ? own : NULL;
}

/* Reading the file takes a tenth of the time of starting a program. So the id
   of the last cgroup that was in no VRF is kept. */
int nn_vrf_exit(lua_State *L, char *path, size_t size) {
  const void *key = (const void *)nn_vrf_exit;
  char text[4096], mount[2048];
  const uint64_t cgroup = nn_cgroup(L); /* a string, as not every Lua has it */
  path[0] = '\0';
  lua_rawgetp(L, LUA_REGISTRYINDEX, key);
  const char *last = lua_tostring(L, -1);
  bool known = cgroup != 0 && last && memcmp(last, &cgroup, sizeof cgroup) == 0;
  lua_pop(L, 1);
  if (known)
    return 0;
  int err = read_file("/proc/thread-self/cgroup", text, sizeof text);
  if (err != 0) /* the kernel may have no cgroups */
    return err == ENOENT ? 0 : err;
  char *own = vrf_cgroup(text);
  if (own == NULL) {
    lua_pushlstring(L, (const char *)&cgroup, sizeof cgroup);
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
    return 0;
  }
  err = cgroup2_mount(mount, sizeof mount);
  if (err != 0) /* not mounted here, as in a container: there is no way out */
    return err == ENOENT ? 0 : err;
  strstr(own, "/vrf/")[strlen("/vrf")] = '\0'; /* the one above, as ip does */
  int len = snprintf(path, size, "%s%s/cgroup.procs", mount, own);
  return len < (int)size ? 0 : ENAMETOOLONG;
}
