/*
 * The service host of a folder install on Linux and macOS: starts the version that the switch
 * names, ends it when it is asked to end, starts it again when it died (docs/releases.md).
 *
 *   ROOT/host run --data DIR …      starts ROOT/versions/VERSION/launcher run --data DIR …
 *
 * Its log is one line for each event on standard error. Exit codes: 0 asked to end, 1 it cannot
 * begin, 2 wrong usage.
 */
#define _DEFAULT_SOURCE 1
#define _DARWIN_C_SOURCE 1

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __APPLE__
#include <mach-o/dyld.h>
#endif
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "switch.h"

/* What starts a version, in its folder. */
#ifndef HOST_LAUNCHER
#define HOST_LAUNCHER "launcher"
#endif
/* How long a child may take to end after SIGTERM: a commit under way is finished. */
#ifndef HOST_STOP_MS
#define HOST_STOP_MS (30 * 1000L)
#endif
/* How often a version on trial is looked at. */
#ifndef HOST_LOOK_MS
#define HOST_LOOK_MS 1000L
#endif
/* What a shell says when a program cannot be started. */
#define CANNOT_START 127

static char root[PATH_MAX];
/* Signals arrive as bytes, so that none is missed between a look and a wait. */
static int signals[2];

static void say(const char *line) { fprintf(stderr, "aliquot-host: %s\n", line); }

static long long now_ms(void) {
  struct timespec now;
#ifdef __APPLE__
  clock_gettime(CLOCK_UPTIME_RAW, &now);
#else
  clock_gettime(CLOCK_MONOTONIC, &now);
#endif
  return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void on_signal(int number) {
  int error = errno;
  unsigned char byte = (unsigned char)number;
  /* A full pipe holds signals enough: each wakes the loop, and the loop looks at everything. */
  if (write(signals[1], &byte, 1) < 0) errno = 0;
  errno = error;
}

static int find_root(void) {
  char path[PATH_MAX];
#ifdef __APPLE__
  uint32_t size = sizeof path;
  if (_NSGetExecutablePath(path, &size) != 0) return 0;
#else
  ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
#endif
  if (realpath(path, root) == NULL) return 0;
  char *slash = strrchr(root, '/');
  if (slash == NULL || slash == root) return 0;
  *slash = 0;
  return 1;
}

/*
 * Two hosts of one folder would switch against each other. The lock ends with the process. It is on
 * a file that only the service's user can open: whoever can read a folder can lock it, and so would
 * keep the service from starting. Where a full disk has no room for the file, the folder must do.
 */
static int lock_root(void) {
  char path[PATH_MAX + sizeof "/lock"];
  snprintf(path, sizeof path, "%s/lock", root);
  int place = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (place < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EROFS))
    place = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return place >= 0 && flock(place, LOCK_EX | LOCK_NB) == 0;
}

/* A pipe of which a child inherits nothing. */
static int private_pipe(int ends[2]) {
  if (pipe(ends) != 0) return 0;
  for (int at = 0; at < 2; at++) fcntl(ends[at], F_SETFD, FD_CLOEXEC);
  return 1;
}

/* In the child: runs the version's launcher, or ends with CANNOT_START. */
static void become(const char *version, char **words, int input) {
  char path[PATH_MAX + 2 * SWITCH_NAME];
  snprintf(path, sizeof path, "%s/versions/%s/" HOST_LAUNCHER, root, version);
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  dup2(input, STDIN_FILENO);
#ifdef __linux__
  /* One that hangs would not see its input end, and keep the data folder from the next. */
  prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
  setenv("ALIQUOT_HOST", "1", 1);
  setenv("ALIQUOT_ROOT", root, 1);
  words[0] = path;
  execv(path, words);
  fprintf(stderr, "aliquot-host: %s cannot be started: %s\n", path, strerror(errno));
  _exit(CANNOT_START);
}

/* Starts the version. Returns its process id, or -1; `input` gets the end that keeps it alive. */
static pid_t start(const char *version, char **words, int *input) {
  int ends[2];
  if (!private_pipe(ends)) return -1;
  pid_t child = fork();
  if (child == 0) become(version, words, ends[0]);
  close(ends[0]);
  if (child < 0) close(ends[1]);
  else *input = ends[1];
  return child;
}

/* Waits for a signal, at most so long (-1: for ever). Returns its number, or 0. */
static int wait_signal(long long ms) {
  struct pollfd ready = {.fd = signals[0], .events = POLLIN};
  unsigned char byte = 0;
  if (poll(&ready, 1, ms < 0 ? -1 : ms > INT_MAX ? INT_MAX : (int)ms) <= 0) return 0;
  return read(signals[0], &byte, 1) == 1 ? byte : 0;
}

static int is_stop(int number) { return number == SIGTERM || number == SIGINT; }

/* Serves one child until it ended. Returns its exit code, 256 and more for a signal. */
static int attend(struct switch_state *state, pid_t child, int input, int *asked) {
  long long kill_at = -1;
  for (;;) {
    int status = 0;
    if (waitpid(child, &status, WNOHANG) == child) {
      close(input);
      return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
    }
    long long wait = state->on_trial ? HOST_LOOK_MS : -1;
    if (kill_at >= 0) wait = kill_at > now_ms() ? kill_at - now_ms() : 0;
    int number = wait_signal(wait);
    /* SIGHUP reads the configuration again. */
    if (number == SIGHUP) kill(child, SIGHUP);
    if (is_stop(number)) *asked = 1;
    if (kill_at < 0 && (is_stop(number) || (!*asked && switch_look(state, now_ms())))) {
      kill(child, SIGTERM);
      kill_at = now_ms() + HOST_STOP_MS;
    } else if (kill_at >= 0 && now_ms() >= kill_at) {
      say("the program does not end by itself: killed");
      kill(child, SIGKILL);
      kill_at = now_ms() + HOST_STOP_MS;
    }
  }
}

/* Waits before the next start. Returns 1 when the host is asked to end meanwhile. */
static int pause_ms(long long ms) {
  long long until = now_ms() + ms;
  for (long long left = ms; left > 0; left = until - now_ms())
    if (is_stop(wait_signal(left))) return 1;
  return 0;
}

static int serve(char **words) {
  static struct switch_state state;
  int asked = 0;
  state.root = root;
  state.say = say;
  while (!asked) {
    int code = CANNOT_START;
    int input = -1;
    char line[128];
    pid_t child = -1;
    int named = switch_next(&state);
    switch_started(&state, now_ms());
    if (named) child = start(state.version, words, &input);
    if (child > 0) code = attend(&state, child, input, &asked);
    long long wait = switch_ended(&state, code, asked, now_ms());
    if (asked) break;
    snprintf(line, sizeof line, "the program ended (%s %d); it is started again in %lld s",
             code > 255 ? "signal" : "code", code > 255 ? code - 256 : code, wait / 1000);
    if (named && code != SWITCH_EXIT_STAGED) say(line);
    asked = pause_ms(wait);
  }
  return 0;
}

int main(int count, char **words) {
  const int handled[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  if (count < 2) {
    fprintf(stderr, "usage: host run [--data DIR] …   what the version in `current` is started with\n");
    return 2;
  }
  if (!find_root() || !private_pipe(signals)) {
    say("it cannot find the folder that it lies in");
    return 1;
  }
  for (int at = 0; at < 2; at++) fcntl(signals[at], F_SETFL, O_NONBLOCK);
  if (!lock_root()) {
    say("another host serves this folder, or it cannot be written: nothing was started");
    return 1;
  }
  for (size_t at = 0; at < sizeof handled / sizeof handled[0]; at++)
    sigaction(handled[at], &action, NULL);
  signal(SIGPIPE, SIG_IGN);
  return serve(words);
}
