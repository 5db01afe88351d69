/*
 * Which version of the program the service host starts (docs/releases.md, "The switch").
 *
 * Files in the install folder, each one short text that is replaced whole:
 *
 *   current    VERSION            the newest version that proved itself; setup writes the first
 *   staged     VERSION            written by the agent: unpacked and verified, please try it
 *   trial      TO FROM STARTS     written by the host: TO is on trial instead of FROM
 *   confirmed  TO STARTS          written by the agent on trial: session and heartbeat were good
 *   bad        VERSION REASON     lines written by the host: `died` or `no-session`
 *
 * An agent that ends with SWITCH_EXIT_STAGED asks for a trial of what is staged. The trial is won
 * when a child of it confirmed, and lived `trial_ms` from its start. It is lost when a child did
 * not confirm by then, or when SWITCH_STARTS children ended. `current` changes only when a trial is
 * won, so whatever happens in one, and whichever file operation fails or is the last one before
 * power fails, the version of before is named there, whole (docs/invariants.md, I-H1 to I-H5).
 *
 * Nothing here starts processes, sleeps or reads a clock: that is the host's part. A host sets for
 * its child ALIQUOT_HOST=1 and ALIQUOT_ROOT to the install folder, holds the other end of the
 * child's standard input, and closes it to make the child end.
 */
#ifndef ALIQUOT_SWITCH_H
#define ALIQUOT_SWITCH_H

/** The exit code with which an agent asks for a trial of the version that it staged. */
#define SWITCH_EXIT_STAGED 75
/** A version on trial is started so often; when the last of these ends too, the trial is lost. */
#define SWITCH_STARTS 3
/** How long a version on trial has for its session, and how long it must live. */
#ifndef SWITCH_TRIAL_MS
#define SWITCH_TRIAL_MS (10 * 60 * 1000L)
#endif
/** Waits before a child that ended by itself is started again: first, second, every further time. */
#ifndef SWITCH_WAITS_MS
#define SWITCH_WAITS_MS { 5 * 1000L, 30 * 1000L, 5 * 60 * 1000L }
#endif
/** The longest name of a version, and what holds it with its end. */
#define SWITCH_NAME 64

struct switch_state {
  /** The install folder: absolute, UTF-8. */
  const char *root;
  /** Takes one line for the host's log, without its end; may be null. */
  void (*say)(const char *line);
  /** What `switch_next` chose. */
  char version[SWITCH_NAME + 1];
  /** Not 0 while the child is one on trial: the host then calls `switch_look` every second. */
  int on_trial;

  /* Kept between the calls; of no concern to the host. Begins as zeros. */
  char from[SWITCH_NAME + 1];
  char given_up[SWITCH_NAME + 1];
  const char *reason;
  long long started_ms;
  int starts;
  int ends_in_a_row;
};

/**
 * Chooses the version to start, into `version`; called before every start. Finishes what a crash
 * interrupted. Returns 0 when no version can be named, because `current` cannot be read: the host
 * waits as after a child that died (`switch_ended`) and asks again.
 */
int switch_next(struct switch_state *state);

/** The child was started at `now_ms`, of a clock that only goes up, and stands while the PC sleeps. */
void switch_started(struct switch_state *state, long long now_ms);

/** Returns 1 when the child on trial has not proved itself in time: the host ends it. */
int switch_look(struct switch_state *state, long long now_ms);

/**
 * The child ended with this exit code (any other than 0 and SWITCH_EXIT_STAGED when it was killed,
 * or could not be started), `asked` when the host itself is stopping. Begins a trial where the
 * child asked for one. Returns how many milliseconds to wait before the next start.
 */
long long switch_ended(struct switch_state *state, int code, int asked, long long now_ms);

#endif
