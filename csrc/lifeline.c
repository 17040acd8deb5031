/* lifeline.c - what ends a program with the process that started it: see
   spawn.h, and in fcntl(2) F_SETOWN, F_SETSIG and O_ASYNC. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "netns.h"
#include "spawn.h"

/* Both ends have to be ready to kill, since it is not said in which order they
   are closed at the end of a process. */
int nn_lifeline_open(int line[2]) {
  if (pipe2(line, O_CLOEXEC) != 0) {
    line[0] = line[1] = -1;
    return errno;
  }
  for (int end = 0; end < 2; end++) {
    /* what a host without stdout prints must not get into it */
    int err = nn_move_up(&line[end]);
    if (err == 0 && (fcntl(line[end], F_SETSIG, SIGKILL) != 0 ||
                     fcntl(line[end], F_SETFL, O_ASYNC) != 0))
      err = errno;
    if (err != 0) {
      nn_lifeline_close(line);
      return err;
    }
  }
  return 0;
}

bool nn_lifeline_tie(const int line[2], int who) {
  return fcntl(line[0], F_SETOWN, who) == 0 &&
         fcntl(line[1], F_SETOWN, who) == 0;
}

void nn_lifeline_cut(int line[2]) {
  if (line[0] >= 0)
    nn_lifeline_tie(line, 0);
  nn_lifeline_close(line);
}

void nn_lifeline_close(int line[2]) {
  nn_close(&line[0]);
  nn_close(&line[1]);
}
