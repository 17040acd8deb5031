/* host.c - somebody else's program with Lua inside.

     host THREADS SCRIPT [ARG...]

   runs a script in as many threads, each with a Lua state of its own, whose
   `arg[0]` is the script and `arg.thread` the number of the thread from 1 on;
   with 0 threads in the main thread, as `lua` does (the sanitizers' way to
   run Lua). Exits with 0 if no script raised an error. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#define MAX_THREADS 64

static char **arguments;

static int traceback(lua_State *L) {
  luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
  return 1;
}

/* Returns NULL if all went well. */
static void *run(void *number) {
  lua_State *L = luaL_newstate();
  void *failed = NULL;
  int count = 0;
  luaL_openlibs(L);
  lua_newtable(L);
  lua_pushinteger(L, *(int *)number);
  lua_setfield(L, -2, "thread");
  for (; arguments[count] != NULL; count++) {
    lua_pushstring(L, arguments[count]);
    lua_rawseti(L, -2, count);
  }
  lua_setglobal(L, "arg");
  lua_pushcfunction(L, traceback);
  int status = luaL_loadfile(L, arguments[0]);
  for (int i = 1; status == LUA_OK && i < count; i++)
    lua_pushstring(L, arguments[i]);
  if (status == LUA_OK)
    status = lua_pcall(L, count - 1, 0, 1);
  if (status != LUA_OK) {
    fprintf(stderr, "host: %s\n", lua_tostring(L, -1));
    failed = number;
  }
  lua_close(L);
  return failed;
}

int main(int argc, char **argv) {
  pthread_t threads[MAX_THREADS];
  int numbers[MAX_THREADS + 1] = {0};
  int count = argc > 2 ? atoi(argv[1]) : -1, failed = 0;
  if (count < 0 || count > MAX_THREADS) {
    fprintf(stderr, "usage: host THREADS SCRIPT [ARG...]\n");
    return 2;
  }
  arguments = argv + 2;
  if (count == 0)
    return run(&numbers[0]) != NULL;
  for (int i = 0; i < count; i++) {
    numbers[i] = i + 1;
    if (pthread_create(&threads[i], NULL, run, &numbers[i]) != 0)
      return 2;
  }
  for (int i = 0; i < count; i++) {
    void *result;
    pthread_join(threads[i], &result);
    failed += result != NULL;
  }
  return failed != 0;
}
