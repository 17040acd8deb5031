/* stream.c - the standard streams of a program: what they are made of, and our
   ends of its pipes. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "netns.h"
#include "spawn.h"

/* Our end does not block if there is input for it, since poll(2) does not say
   how much may be written. */
static int open_pipe(nn_process *process, int fd) {
  int ends[2], ours = fd == STDIN_FILENO ? 1 : 0;
  if (pipe2(ends, O_CLOEXEC) != 0)
    return errno;
  process->streams[fd] = ends[ours];
  process->theirs[fd] = ends[!ours];
  if (fd == STDIN_FILENO && process->input != NULL &&
      fcntl(ends[ours], F_SETFL, O_NONBLOCK) != 0)
    return errno;
  return 0;
}

/* The descriptor of the file on top of the stack. One of ours, that writes, is
   not known to stdio, and noted in the file's user value. */
static int file_number(lua_State *L, luaL_Stream *file) {
  int fd = fileno(file->f), top = lua_gettop(L);
  if (fd < 0 && lua_getiuservalue(L, -1, 1) == LUA_TNUMBER)
    fd = (int)lua_tointeger(L, -1);
  lua_settop(L, top);
  return fd;
}

int nn_stream_open(lua_State *L, nn_process *process, int fd, int *source) {
  bool number = lua_type(L, -1) == LUA_TNUMBER;
  luaL_Stream *file = luaL_testudata(L, -1, LUA_FILEHANDLE);
  const char *word = number || file ? "" : luaL_optstring(L, -1, "inherit");
  int *theirs = &process->theirs[fd], err = 0;
  if (number) {
    *theirs = fcntl((int)lua_tointeger(L, -1), F_DUPFD_CLOEXEC, NN_FIRST_FD);
  } else if (file != NULL) {
    fflush(file->f); /* what was written before comes before */
    *theirs = fcntl(file_number(L, file), F_DUPFD_CLOEXEC, NN_FIRST_FD);
  } else if (strcmp(word, "null") == 0) {
    *theirs = open("/dev/null", O_RDWR | O_CLOEXEC);
  } else if (strcmp(word, "pipe") == 0) {
    err = open_pipe(process, fd);
  } else {
    *source = strcmp(word, "stdout") == 0 ? STDOUT_FILENO : fd; /* inherited */
    return 0;
  }
  if (err == 0)
    err = *theirs < 0 ? errno : nn_move_up(theirs);
  *source = *theirs;
  return err;
}

/* A program that does not read on is an error of the write, not the end of the
   host. The signal is blocked, and taken away if it was ours. */
ssize_t nn_write(int fd, const void *data, size_t length) {
  const struct timespec now = {0, 0};
  sigset_t signal, old, pending;
  sigemptyset(&signal);
  sigaddset(&signal, SIGPIPE);
  sigpending(&pending);
  pthread_sigmask(SIG_BLOCK, &signal, &old);
  ssize_t n = write(fd, data, length);
  int err = errno;
  if (n < 0 && err == EPIPE && !sigismember(&pending, SIGPIPE))
    while (sigtimedwait(&signal, NULL, &now) < 0 && errno == EINTR)
      ;
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  errno = err;
  return n;
}

/* Our end of a pipe that is written to. What is in the buffer at a fork is the
   parent's to write. */
typedef struct writer {
  int fd;
  pid_t user;
} writer;

static ssize_t cookie_write(void *cookie, const char *data, size_t length) {
  const writer *self = cookie;
  size_t done = 0;
  if (self->user != getpid()) {
    errno = EBADF;
    return 0;
  }
  while (done < length) {
    ssize_t n = nn_write(self->fd, data + done, length - done);
    if (n < 0 && errno != EINTR)
      break;
    done += n < 0 ? 0 : (size_t)n;
  }
  return (ssize_t)done; /* less than all is an error, errno says which */
}

static int cookie_close(void *cookie) {
  writer *self = cookie;
  int fd = self->fd;
  free(self);
  return close(fd);
}

static FILE *open_writer(int fd) {
  const cookie_io_functions_t quiet = {.write = cookie_write,
                                       .close = cookie_close};
  writer *self = malloc(sizeof *self);
  if (self == NULL)
    return NULL;
  *self = (writer){fd, getpid()};
  FILE *file = fopencookie(self, "w", quiet);
  if (file == NULL)
    free(self);
  else /* what is said to a program should reach it line by line */
    setvbuf(file, NULL, _IOLBF, BUFSIZ);
  return file;
}

static FILE *open_file(int fd, bool writes) {
  FILE *file = writes ? open_writer(fd) : fdopen(fd, "r");
  if (file == NULL)
    nn_close(&fd);
  return file;
}

#if LUA_VERSION_NUM >= 502

static int file_close(lua_State *L) {
  luaL_Stream *stream = luaL_checkudata(L, 1, LUA_FILEHANDLE);
  return luaL_fileresult(L, fclose(stream->f) == 0, NULL);
}

static luaL_Stream *new_file(lua_State *L) {
  luaL_Stream *stream = lua_newuserdata(L, sizeof *stream);
  stream->closef = NULL; /* closed, for now */
  luaL_setmetatable(L, LUA_FILEHANDLE);
  return stream;
}

static void set_file(luaL_Stream *stream, FILE *file) {
  stream->f = file;
  stream->closef = file != NULL ? file_close : NULL;
}

#else

/* Only the io library can make files that it knows: in 5.1 it finds what closes
   one in its environment, in LuaJIT there is a mark in front of it. So it opens
   one that there is everywhere, which then becomes another. */
static int borrow_file(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_getfield(L, -1, "io");
  lua_getfield(L, -1, "open");
  lua_pushliteral(L, "/");
  lua_pushliteral(L, "re");
  lua_call(L, 2, 3);
  if (lua_isnil(L, -3))
    errno = (int)lua_tointeger(L, -1);
  lua_pop(L, 2);
  luaL_checkudata(L, -1, LUA_FILEHANDLE);
  return 1;
}

static luaL_Stream *new_file(lua_State *L) {
  lua_pushcfunction(L, borrow_file);
  errno = 0;
  if (lua_pcall(L, 0, 1, 0) == LUA_OK)
    return lua_touserdata(L, -1);
  if (errno == 0) /* there is no io library */
    errno = ENOSYS;
  return NULL;
}

static void set_file(luaL_Stream *stream, FILE *file) {
  fclose(stream->f);
  stream->f = file; /* NULL: it is closed */
}

#endif

int nn_file_push(lua_State *L, int fd, bool writes) {
  luaL_Stream *stream = new_file(L);
  if (stream == NULL) {
    nn_close(&fd);
    lua_pop(L, 1);
    return errno;
  }
  lua_pushinteger(L, fd);
  lua_setiuservalue(L, -2, 1); /* see file_number() */
  FILE *file = open_file(fd, writes);
  int err = file == NULL ? errno : 0;
  set_file(stream, file);
  if (err != 0)
    lua_pop(L, 1);
  return err;
}
