/*
 * A life of the switch for its tests, told by arguments: `drive ROOT EVENT...`, each event one of
 * `next`, `start`, `look`, `wait MS`, `end CODE`, `stop`, and `confirm`, as the agent does it.
 * Prints one line for each. Every file operation is counted and written to the file FILES_LOG.
 * Operation FILES_FAIL fails; from FILES_FULL on every write does, as on a full disk; FILES_CRASH
 * is where the process ends at once, before the operation.
 */
#define _DEFAULT_SOURCE 1

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../switch.h"

#define CRASHED 99

static int count;

static int number(const char *name) {
  const char *text = getenv(name);
  return text == NULL ? 0 : atoi(text);
}

int files_step(const char *operation, const char *name);

int files_step(const char *operation, const char *name) {
  FILE *log = fopen(getenv("FILES_LOG"), "a");
  count++;
  if (log != NULL) {
    fprintf(log, "%s %s\n", operation, name);
    fclose(log);
  }
  if (count == number("FILES_CRASH")) _exit(CRASHED);
  int full = number("FILES_FULL");
  int writes = strcmp(operation, "create") == 0 || strcmp(operation, "write") == 0;
  if (full > 0 && count >= full && writes) return 0;
  return count != number("FILES_FAIL");
}

static void say(const char *line) { printf("say %s\n", line); }

int main(int count_of, char **words) {
  static struct switch_state state;
  long long now = 0;
  state.root = words[1];
  state.say = say;
  setbuf(stdout, NULL);
  for (int at = 2; at < count_of; at++) {
    const char *event = words[at];
    if (strcmp(event, "next") == 0) {
      int found = switch_next(&state);
      printf("next %s%s\n", found ? state.version : "-", found && state.on_trial ? " trial" : "");
    } else if (strcmp(event, "start") == 0) {
      switch_started(&state, now);
    } else if (strcmp(event, "look") == 0) {
      printf("look %s\n", switch_look(&state, now) ? "end it" : "go on");
    } else if (strcmp(event, "wait") == 0) {
      now += atoll(words[++at]);
    } else if (strcmp(event, "end") == 0) {
      int code = atoi(words[++at]);
      printf("wait %lld\n", switch_ended(&state, code, 0, now));
    } else if (strcmp(event, "confirm") == 0) {
      /* What the agent on trial does, by its own durable write. */
      char path[4096];
      snprintf(path, sizeof path, "%s/confirmed", state.root);
      FILE *file = fopen(path, "w");
      if (file != NULL) {
        fprintf(file, "%s %d\n", state.version, state.starts);
        fclose(file);
      }
    } else if (strcmp(event, "stop") == 0) {
      switch_ended(&state, 0, 1, now);
    } else {
      return 2;
    }
  }
  return 0;
}
