/*
 * The host of the agent on Windows: one small program that the service manager starts, that
 * technicians call, and that setup lets register the service. It is our own because service
 * wrappers are taken for malware or need a runtime.
 */
#ifndef ALIQUOT_HOST_H
#define ALIQUOT_HOST_H

#define WIN32_LEAN_AND_MEAN
#define STRSAFE_NO_DEPRECATE
#include <windows.h>
#include <strsafe.h>

/* Program Files lies well below this; what would be longer is refused, never cut. */
#define PATH_CHARS 1024
/* The most that CreateProcess takes. */
#define COMMAND_CHARS 32768

#define SERVICE_NAME L"AliquotAgent"
#define SERVICE_TITLE L"Aliquot Agent"

/* A test build may let a second be shorter, so that five minutes need not be waited for. */
#ifndef SECOND_MS
#define SECOND_MS 1000
#endif

/* Exit codes of the host itself; a command of the agent keeps its own. */
enum { HOST_OK = 0, HOST_FAILED = 1, HOST_USAGE = 2 };

/*
 * The folder that this program lies in, without a separator at its end. FALSE when its path is too
 * long.
 */
BOOL rootFolder(wchar_t root[PATH_CHARS]);

/*
 * The first line of a small text file, which is plain ASCII. FALSE when it is missing, empty, or
 * longer than `chars`.
 */
BOOL firstLine(const wchar_t *path, wchar_t *line, size_t chars);

/* ProgramData as the system knows it: the environment of a service may name another folder. */
BOOL programData(wchar_t path[PATH_CHARS]);

/* Where the agent keeps its data unless `--data` says otherwise. */
BOOL defaultDataFolder(wchar_t path[PATH_CHARS]);

/* What one start of the agent needs. Handles that are NULL are this process's own. */
struct start {
  const wchar_t *root;
  const wchar_t *version;   /* folder name below versions */
  const wchar_t *arguments; /* as they stand on a command line, quoted where they must be */
  BOOL service;             /* a clean environment, no console, works in the version's folder */
  HANDLE input, output;     /* standard input; standard output and error */
  HANDLE job;               /* the child belongs to it before its first instruction */
};

/* Starts node of one version. FALSE, with GetLastError(), when that does not work. */
BOOL startAgent(const struct start *start, PROCESS_INFORMATION *child);

/* The first word after the program's name on this process's command line, and all that follows. */
const wchar_t *argumentsOf(const wchar_t *commandLine);

/* The value behind a `--name`, or NULL. */
const wchar_t *option(int argc, wchar_t **argv, const wchar_t *name);

/* Writes one line on standard error. */
void say(const wchar_t *format, ...);

/* Writes one line on standard output. */
void tell(const wchar_t *format, ...);

/* The system's own words for an error, without its line end. */
const wchar_t *systemWords(DWORD error);

/* `as-service`: what the service manager starts. */
int runService(int argc, wchar_t **argv);

/* `control register|unregister|start|stop|state`: for setup and `aliquot-agent service`. */
int control(int argc, wchar_t **argv);

#endif
