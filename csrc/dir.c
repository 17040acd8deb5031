/* dir.c - a directory read whole, with one system call for some thousand
   entries. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "netns.h"

#define TYPE "netns.dir"
#define CHUNK 32768 /* as libc asks for */

/* What getdents64(2) writes. */
struct entry {
  uint64_t ino;
  int64_t next;
  unsigned short length;
  unsigned char type;
  char name[];
};

nn_dir *nn_dir_push(lua_State *L) {
  nn_dir *dir = lua_newuserdata(L, sizeof *dir);
  memset(dir, 0, sizeof *dir);
  dir->fd = -1;
  luaL_setmetatable(L, TYPE);
  return dir;
}

void nn_dir_close(nn_dir *dir) {
  nn_close(&dir->fd);
  free(dir->names);
  free(dir->block);
  dir->names = NULL;
  dir->block = NULL;
  dir->count = 0;
}

/* All of what getdents64(2) has to say, into dir->block. */
static int read_block(nn_dir *dir, size_t *used) {
  size_t size = 0;
  *used = 0;
  for (;;) {
    if (size - *used < CHUNK / 2) {
      size = size == 0 ? CHUNK : size * 2;
      char *block = realloc(dir->block, size);
      if (block == NULL)
        return ENOMEM;
      dir->block = block;
    }
    long got =
        syscall(SYS_getdents64, dir->fd, dir->block + *used, size - *used);
    if (got <= 0)
      return got < 0 ? errno : 0;
    *used += (size_t)got;
  }
}

static bool is_dots(const char *name) {
  return name[0] == '.' &&
         (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int nn_dir_read(nn_dir *dir, const char *path) {
  size_t used = 0, entries = 0;
  dir->count = 0;
  dir->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir->fd < 0)
    return errno;
  int err = read_block(dir, &used);
  if (err != 0) {
    nn_dir_close(dir);
    return err;
  }
  for (size_t at = 0; at < used; entries++)
    at += ((struct entry *)(void *)(dir->block + at))->length;
  dir->names = calloc(entries + 1, sizeof *dir->names);
  if (dir->names == NULL)
    return ENOMEM;
  for (size_t at = 0; at < used;) {
    struct entry *entry = (void *)(dir->block + at);
    if (!is_dots(entry->name))
      dir->names[dir->count++] = entry->name;
    at += entry->length;
  }
  return 0;
}

void nn_dir_sort(nn_dir *dir) {
  if (dir->count > 1) /* qsort(3) takes no NULL, not even for none */
    qsort(dir->names, dir->count, sizeof *dir->names, by_name);
}

/* core.readdir(path): the entries of a directory, in no order. */
static int dir_readdir(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  nn_dir *dir = nn_dir_push(L);
  int err = nn_dir_read(dir, path);
  if (err != 0)
    return nn_fail(L, err, "%s", path);
  lua_createtable(L, (int)dir->count, 0);
  for (size_t i = 0; i < dir->count; i++) {
    lua_pushstring(L, dir->names[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  nn_dir_close(dir);
  return 1;
}

/* core.readlink(path): where a symbolic link leads. */
static int dir_readlink(lua_State *L) {
  char target[4096];
  const char *path = luaL_checkstring(L, 1);
  ssize_t len = readlink(path, target, sizeof target);
  if (len < 0)
    return nn_fail(L, errno, "%s", path);
  lua_pushlstring(L, target, (size_t)len);
  return 1;
}

static int dir_gc(lua_State *L) {
  nn_dir_close(luaL_checkudata(L, 1, TYPE));
  return 0;
}

void nn_open_dir(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"readdir", dir_readdir}, {"readlink", dir_readlink}, {NULL, NULL}};
  static const luaL_Reg none[] = {{NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", dir_gc}, {NULL, NULL}};
  nn_newtype(L, TYPE, none, meta);
  luaL_setfuncs(L, functions, 0);
}
