#include "switch.h"

#include <stdio.h>
#include <string.h>

#include "files.h"

/* So many bytes of `bad` are kept, the newest lines of it. */
#define BAD_BYTES 2048
#define LINE_BYTES 256

static const long waits_ms[] = SWITCH_WAITS_MS;

static void say(struct switch_state *state, const char *format, const char *one, const char *two) {
  char line[LINE_BYTES];
  if (state->say == NULL) return;
  snprintf(line, sizeof line, format, one, two);
  state->say(line);
}

/* A version is part of a path: letters, digits, `.`, `+` and `-`, and no `.` in front. */
static int is_version(const char *name) {
  static const char letters[] =
      "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.+-";
  size_t length = strlen(name);
  return length > 0 && length <= SWITCH_NAME && name[0] != '.' && strspn(name, letters) == length;
}

/* Copies a name that was checked, or that is empty. */
static void copy_name(char *to, const char *from) { snprintf(to, SWITCH_NAME + 1, "%s", from); }

/* Reads a file of one version. Returns 0 when it is absent, cannot be read, or names none. */
static int read_version(struct switch_state *state, const char *file, char *version) {
  char text[LINE_BYTES], name[LINE_BYTES];
  if (files_read(state->root, file, text, sizeof text) < 0) return 0;
  if (sscanf(text, "%255s", name) != 1 || !is_version(name)) return 0;
  copy_name(version, name);
  return 1;
}

/* Whether the line of `bad` at `line` is about this version. */
static int is_about(const char *line, const char *version) {
  size_t length = strlen(version);
  return strncmp(line, version, length) == 0 && (line[length] == ' ' || line[length] == '\n');
}

/* The next line of the text, or its end. */
static const char *after_line(const char *line) {
  const char *end = strchr(line, '\n');
  return end == NULL ? line + strlen(line) : end + 1;
}

/* Reads `bad`, empty when there is none. Returns 0 when it cannot be read. */
static int read_bad(struct switch_state *state, char *bad) {
  int length = files_read(state->root, "bad", bad, BAD_BYTES + 1);
  if (length == FILES_ABSENT) bad[0] = 0;
  return length >= 0 || length == FILES_ABSENT;
}

static int names(const char *bad, const char *version) {
  for (const char *line = bad; *line != 0; line = after_line(line))
    if (is_about(line, version)) return 1;
  return 0;
}

/* Writes `bad` without the lines of this version, and with a new one when there is a reason. */
static int write_bad(struct switch_state *state, const char *bad, const char *version,
                     const char *reason) {
  char text[BAD_BYTES + LINE_BYTES] = "", added[LINE_BYTES] = "";
  size_t used = 0;
  if (reason != NULL) snprintf(added, sizeof added, "%s %s\n", version, reason);
  while (strlen(bad) + strlen(added) > BAD_BYTES) bad = after_line(bad);
  for (const char *line = bad; *line != 0; line = after_line(line)) {
    size_t length = (size_t)(after_line(line) - line);
    if (is_about(line, version)) continue;
    memcpy(text + used, line, length);
    used += length;
  }
  memcpy(text + used, added, strlen(added) + 1);
  return files_write(state->root, "bad", text);
}

static int write_trial(struct switch_state *state, const char *to, const char *from, int starts) {
  char text[LINE_BYTES];
  snprintf(text, sizeof text, "%s %s %d\n", to, from, starts);
  return files_write(state->root, "trial", text);
}

/*
 * The trial is over, and `current` names what to start. What cannot be written now is remembered
 * for this process, and the next `switch_next` tries again.
 */
static void lose(struct switch_state *state, const char *to, const char *reason) {
  char bad[BAD_BYTES + 1];
  say(state, "version %s is given up: %s", to, reason);
  copy_name(state->given_up, to);
  state->reason = reason;
  state->ends_in_a_row = 0;
  if (read_bad(state, bad) && write_bad(state, bad, to, reason)) files_remove(state->root, "trial");
}

/* Reads `trial`. Returns 1, FILES_ABSENT, FILES_FAILED, or 0 when it is no trial of `current`. */
static int read_trial(struct switch_state *state, const char *current, char *to, int *starts) {
  char text[LINE_BYTES], name[LINE_BYTES], from[LINE_BYTES];
  int length = files_read(state->root, "trial", text, sizeof text);
  if (length < 0) return length;
  if (sscanf(text, "%255s %255s %d", name, from, starts) != 3) return 0;
  if (!is_version(name) || *starts < 0 || strcmp(from, current) != 0) return 0;
  copy_name(to, name);
  return strcmp(to, current) != 0;
}

int switch_next(struct switch_state *state) {
  char current[SWITCH_NAME + 1], to[SWITCH_NAME + 1], bad[BAD_BYTES + 1];
  int starts = 0;
  state->on_trial = 0;
  if (!read_version(state, "current", current)) {
    say(state, "%s%s cannot be read, or names no version: nothing to start", "current", "");
    return 0;
  }
  copy_name(state->version, current);
  int trial = read_trial(state, current, to, &starts);
  if (trial == FILES_ABSENT) return 1;
  if (trial == FILES_FAILED) {
    say(state, "%s cannot be read: starting %s", "trial", current);
    return 1;
  }
  /* Of another version than `current`: won before, or setup has put another one there since. */
  if (trial == 0) {
    files_remove(state->root, "trial");
    return 1;
  }
  if (strcmp(to, state->given_up) == 0) {
    lose(state, to, state->reason);
    return 1;
  }
  if (!read_bad(state, bad)) {
    say(state, "%s cannot be read: starting %s", "bad", current);
    return 1;
  }
  if (names(bad, to)) {
    files_remove(state->root, "trial");
    return 1;
  }
  if (starts >= SWITCH_STARTS) {
    lose(state, to, "died");
    return 1;
  }
  /*
   * A start that is not counted could be repeated for ever. Of a version that ran already it is
   * the worst that can be known: it may be what fills the disk.
   */
  if (!write_trial(state, to, current, starts + 1)) {
    say(state, "the start of %s on trial cannot be counted: starting %s", to, current);
    if (starts > 0) lose(state, to, "died");
    return 1;
  }
  copy_name(state->version, to);
  copy_name(state->from, current);
  state->starts = starts + 1;
  state->on_trial = 1;
  say(state, "starting %s on trial, instead of %s", to, current);
  return 1;
}

void switch_started(struct switch_state *state, long long now_ms) { state->started_ms = now_ms; }

/* Whether this very child has confirmed; what cannot be read is asked again. */
static int is_confirmed(struct switch_state *state) {
  char text[LINE_BYTES], name[LINE_BYTES];
  int starts = 0;
  if (files_read(state->root, "confirmed", text, sizeof text) < 0) return 0;
  if (sscanf(text, "%255s %d", name, &starts) != 2) return 0;
  return strcmp(name, state->version) == 0 && starts == state->starts;
}

int switch_look(struct switch_state *state, long long now_ms) {
  char line[LINE_BYTES];
  if (!state->on_trial || now_ms - state->started_ms < SWITCH_TRIAL_MS) return 0;
  if (!is_confirmed(state)) {
    lose(state, state->version, "no-session");
    return 1;
  }
  snprintf(line, sizeof line, "%s\n", state->version);
  /* Where this fails the trial goes on, and the next look tries again. */
  if (!files_write(state->root, "current", line)) return 0;
  state->on_trial = 0;
  say(state, "version %s has proved itself, and stays; %s is kept", state->version, state->from);
  /* Both are without effect from here on, should they stay. */
  files_remove(state->root, "trial");
  files_remove(state->root, "confirmed");
  return 0;
}

/* Begins the trial of what is staged. Returns 0 when there is none, or it cannot be written. */
static int begin(struct switch_state *state) {
  char staged[SWITCH_NAME + 1], current[SWITCH_NAME + 1], bad[BAD_BYTES + 1];
  if (!read_version(state, "staged", staged) || !read_version(state, "current", current)) return 0;
  if (!read_bad(state, bad) || !files_remove(state->root, "confirmed")) return 0;
  /* The agent stages what was bad only when it was told to try it anew. */
  if (names(bad, staged) && !write_bad(state, bad, staged, NULL)) return 0;
  if (!files_remove(state->root, "staged")) return 0;
  if (strcmp(staged, current) == 0) return 1;
  if (strcmp(staged, state->given_up) == 0) state->given_up[0] = 0;
  return write_trial(state, staged, current, 0);
}

long long switch_ended(struct switch_state *state, int code, int asked, long long now_ms) {
  int last = (int)(sizeof waits_ms / sizeof waits_ms[0]) - 1;
  int lost = state->on_trial && strcmp(state->version, state->given_up) == 0;
  /* A stop that was asked for says nothing about the version: its start is not counted. */
  if (asked) {
    if (state->on_trial && !lost) {
      write_trial(state, state->version, state->from, state->starts - 1);
    }
    return 0;
  }
  if (lost) return 0;
  if (code == SWITCH_EXIT_STAGED && !state->on_trial && begin(state)) {
    state->ends_in_a_row = 0;
    return 0;
  }
  if (state->on_trial && state->starts >= SWITCH_STARTS) {
    lose(state, state->version, "died");
    return 0;
  }
  if (now_ms - state->started_ms >= SWITCH_TRIAL_MS) state->ends_in_a_row = 0;
  int turn = state->ends_in_a_row < last ? state->ends_in_a_row : last;
  state->ends_in_a_row++;
  return waits_ms[turn];
}
