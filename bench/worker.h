/* worker.h - the loop of a benchmark process in C. It says "ready", and then
   does what each line of its input asks for,

     OPERATION COUNT [ARGUMENT]

   and answers with the microseconds that one of COUNT took and with what the
   last one returned (a number of names, of processes, or nothing to tell: 0).
   The other workers (ours.lua, peers.py, peers.go) speak the same. An operation
   that fails ends the worker. */
#ifndef WORKER_H
#define WORKER_H

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int total; /* how often the operation will be called: COUNT */

struct op {
  const char *name;
  long (*run)(int i, const char *argument); /* the i-th of `total` calls */
};

static double microseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int serve(const struct op *ops) {
  char line[512], name[32], argument[256];
  puts("ready");
  fflush(stdout);
  while (fgets(line, sizeof line, stdin) != NULL) {
    long result = 0;
    const struct op *op = ops;
    argument[0] = '\0';
    if (sscanf(line, "%31s %d %255s", name, &total, argument) < 2)
      errx(1, "bad line: %s", line);
    while (op->name != NULL && strcmp(op->name, name) != 0)
      op++;
    if (op->name == NULL)
      errx(1, "no operation %s", name);
    double start = microseconds();
    for (int i = 0; i < total; i++)
      result = op->run(i, argument);
    printf("%.3f %ld\n", (microseconds() - start) / total, result);
    fflush(stdout);
  }
  return 0;
}

#endif
