/*
 * The service: starts the agent, starts it again when it dies, and ends it when the system says so.
 *
 * The agent is asked to stop by the end of its standard input, because Windows has no SIGTERM; it
 * has 30 seconds. It lives in a job that ends with this process, so that no agent without a host
 * keeps the data folder. What the agent writes on its two outputs goes into a file, because that is
 * all a crash leaves: its end goes into the event log.
 */
#include "host.h"
#include "messages.h"
#include "switch.h"
#include <wchar.h>

#define STOP_SECONDS 30
/* A checkpoint comes each second; the service manager may wait this long for it. */
#define HINT_MS 10000

static SERVICE_STATUS_HANDLE statusHandle;
static HANDLE stopAsked, eventSource;
static wchar_t root[PATH_CHARS], dataFolder[PATH_CHARS], outputPath[PATH_CHARS];
static const wchar_t *stopReason = L"";

static void report(DWORD state, DWORD exitCode) {
  static DWORD checkpoint;
  BOOL pending = state == SERVICE_START_PENDING || state == SERVICE_STOP_PENDING;
  SERVICE_STATUS status = {.dwServiceType = SERVICE_WIN32_OWN_PROCESS,
                           .dwCurrentState = state,
                           .dwControlsAccepted = state == SERVICE_RUNNING ? SERVICE_ACCEPT_STOP | SERVICE_ACCEPT_PRESHUTDOWN : 0,
                           .dwWin32ExitCode = exitCode == 0 ? NO_ERROR : ERROR_SERVICE_SPECIFIC_ERROR,
                           .dwServiceSpecificExitCode = exitCode,
                           .dwCheckPoint = pending ? ++checkpoint : 0,
                           .dwWaitHint = pending ? HINT_MS : 0};
  SetServiceStatus(statusHandle, &status);
}

/* One line for the event log, where an administrator looks first. */
static void logEvent(DWORD id, const wchar_t *format, ...) {
  wchar_t text[2048];
  const wchar_t *texts[1] = {text};
  va_list values;
  va_start(values, format);
  StringCchVPrintfW(text, ARRAYSIZE(text), format, values);
  va_end(values);
  WORD type = id >> 30 == 3 ? EVENTLOG_ERROR_TYPE : id >> 30 == 2 ? EVENTLOG_WARNING_TYPE : EVENTLOG_INFORMATION_TYPE;
  ReportEventW(eventSource, type, 0, id, NULL, 1, 0, texts, NULL);
}

/* What the switch between versions has to say. */
static void sayEvent(const char *line) { logEvent(EVENT_SWITCH, L"%hs.", line); }

static DWORD WINAPI onControl(DWORD asked, DWORD type, void *data, void *context) {
  (void)type, (void)data, (void)context;
  if (asked == SERVICE_CONTROL_INTERROGATE) return NO_ERROR;
  if (asked != SERVICE_CONTROL_STOP && asked != SERVICE_CONTROL_PRESHUTDOWN) return ERROR_CALL_NOT_IMPLEMENTED;
  stopReason = asked == SERVICE_CONTROL_STOP ? L"it was asked to." : L"Windows is shutting down.";
  report(SERVICE_STOP_PENDING, 0);
  SetEvent(stopAsked);
  return NO_ERROR;
}

/*
 * Lets the agent read what an instrument's access list hides from it. The child inherits it; Node
 * opens files with backup semantics in any case. An account without the privilege reads what it
 * may, and the agent names what it may not.
 */
static void readAsBackup(void) {
  HANDLE token;
  if (!OpenProcessToken(GetCurrentProcess(), TOKEN_ADJUST_PRIVILEGES, &token)) return;
  TOKEN_PRIVILEGES privileges = {.PrivilegeCount = 1, .Privileges = {{.Attributes = SE_PRIVILEGE_ENABLED}}};
  if (LookupPrivilegeValueW(NULL, L"SeBackupPrivilege", &privileges.Privileges[0].Luid))
    AdjustTokenPrivileges(token, FALSE, &privileges, 0, NULL, NULL);
  CloseHandle(token);
}

/*
 * A job whose processes end when its last handle, ours, is closed: also when this process is
 * killed.
 */
static HANDLE makeJob(void) {
  HANDLE job = CreateJobObjectW(NULL, NULL);
  JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {.BasicLimitInformation = {.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE}};
  if (job != NULL && SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits)) return job;
  if (job != NULL) CloseHandle(job);
  return NULL;
}

/* The agent's process and our end of its standard input. */
struct child {
  PROCESS_INFORMATION process;
  HANDLE input;
};

/*
 * Starts a version. Before the PC is enrolled there is no data folder, and this makes
 * none: making it, closed to others, is the agent's task. FALSE with the reason in `why`.
 */
static BOOL startChild(struct child *child, HANDLE job, const char *name, wchar_t *why, size_t whyChars) {
  wchar_t path[PATH_CHARS], version[SWITCH_NAME + 1], arguments[3 * PATH_CHARS];
  SECURITY_ATTRIBUTES inherited = {.nLength = sizeof inherited, .bInheritHandle = TRUE};
  HANDLE input = NULL, output = INVALID_HANDLE_VALUE;
  StringCchPrintfW(version, ARRAYSIZE(version), L"%hs", name);
  if (GetFileAttributesW(dataFolder) == INVALID_FILE_ATTRIBUTES) {
    StringCchPrintfW(why, whyChars, L"%ls is not there; enrol this PC: aliquot-agent enroll BUNDLE --data \"%ls\"",
                     dataFolder, dataFolder);
    return FALSE;
  }
  StringCchPrintfW(path, PATH_CHARS, L"%ls\\log", dataFolder);
  CreateDirectoryW(path, NULL); /* with the access list of the data folder */
  StringCchPrintfW(arguments, ARRAYSIZE(arguments), L"run --data \"%ls\" --log-file \"%ls\\agent.log\"", dataFolder, path);
  output = CreateFileW(outputPath, GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_DELETE, &inherited, CREATE_ALWAYS, FILE_ATTRIBUTE_NORMAL, NULL);
  BOOL fine = output != INVALID_HANDLE_VALUE && CreatePipe(&input, &child->input, &inherited, 0);
  if (fine) {
    SetHandleInformation(child->input, HANDLE_FLAG_INHERIT, 0);
    struct start start = {root, version, arguments, .service = TRUE, input, output, job};
    fine = startAgent(&start, &child->process);
  }
  if (!fine) StringCchPrintfW(why, whyChars, L"version %ls: %ls.", version, systemWords(GetLastError()));
  if (!fine && input != NULL) CloseHandle(child->input);
  if (input != NULL) CloseHandle(input);
  if (output != INVALID_HANDLE_VALUE) CloseHandle(output);
  return fine;
}

/* The last words of a child that died: the end of what it wrote, on one line. */
static void lastWords(wchar_t *words, size_t chars) {
  char bytes[1024] = "";
  DWORD read = 0;
  words[0] = 0;
  HANDLE file = CreateFileW(outputPath, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, OPEN_EXISTING, 0, NULL);
  if (file == INVALID_HANDLE_VALUE) return;
  LARGE_INTEGER size = {0}, from = {0};
  GetFileSizeEx(file, &size);
  from.QuadPart = size.QuadPart > (LONGLONG)sizeof bytes - 1 ? size.QuadPart - (LONGLONG)sizeof bytes + 1 : 0;
  SetFilePointerEx(file, from, NULL, FILE_BEGIN);
  ReadFile(file, bytes, sizeof bytes - 1, &read, NULL);
  CloseHandle(file);
  int length = MultiByteToWideChar(CP_UTF8, 0, bytes, (int)read, words, (int)chars - 1);
  words[length < 0 ? 0 : length] = 0;
  for (wchar_t *at = words; *at != 0; at += 1) if (*at < L' ') *at = L' ';
}

/*
 * Asks the child to end, and ends it after 30 seconds. TRUE when it ended by itself. The service
 * manager hears that this goes on, when it was it who asked.
 */
static BOOL stopChild(struct child *child, HANDLE job, BOOL serviceStops) {
  CloseHandle(child->input);
  child->input = NULL;
  for (int second = 0; second < STOP_SECONDS; second += 1) {
    if (serviceStops) report(SERVICE_STOP_PENDING, 0);
    if (WaitForSingleObject(child->process.hProcess, SECOND_MS) == WAIT_OBJECT_0) return TRUE;
  }
  TerminateJobObject(job, HOST_FAILED);
  WaitForSingleObject(child->process.hProcess, HINT_MS);
  return FALSE;
}

/* A clock that only goes up, and stands while the PC sleeps: a trial is not lost overnight. */
static long long awakeMs(void) {
  ULONGLONG ticks = 0;
  QueryUnbiasedInterruptTime(&ticks);
  return (long long)(ticks / 10000);
}

/*
 * Serves one child until it ended. Returns its exit code; `asked` is set when the service is to
 * stop.
 */
static DWORD attend(struct switch_state *state, struct child *child, HANDLE job, BOOL *asked) {
  HANDLE either[2] = {stopAsked, child->process.hProcess};
  DWORD code = HOST_FAILED, happened;
  do {
    happened = WaitForMultipleObjects(2, either, FALSE, state->on_trial ? SECOND_MS : INFINITE);
  } while (happened == WAIT_TIMEOUT && !switch_look(state, awakeMs()));
  *asked = happened == WAIT_OBJECT_0;
  if (happened != WAIT_OBJECT_0 + 1 && !stopChild(child, job, *asked))
    stopReason = L"it did not end within 30 seconds and was ended; nothing captured is lost.";
  GetExitCodeProcess(child->process.hProcess, &code);
  TerminateJobObject(job, HOST_FAILED); /* what it had started must not outlive it */
  CloseHandle(child->process.hProcess);
  if (child->input != NULL) CloseHandle(child->input);
  return code;
}

/*
 * Runs children, one after the other, of the versions that the switch names, until the service is
 * stopped.
 */
static void runChildren(HANDLE job) {
  static struct switch_state state;
  static char rootUtf8[PATH_CHARS * 3];
  wchar_t why[1500], told[1500] = L"";
  struct child child;
  WideCharToMultiByte(CP_UTF8, 0, root, -1, rootUtf8, sizeof rootUtf8, NULL, NULL);
  state.root = rootUtf8;
  state.say = sayEvent;
  for (DWORD ends = 0;; ends += 1) {
    DWORD code = HOST_FAILED;
    BOOL asked = FALSE, named = switch_next(&state) != 0, started = FALSE;
    switch_started(&state, awakeMs());
    if (!named) StringCchPrintfW(why, ARRAYSIZE(why), L"%ls\\current names no version; run the setup again to repair it.", root);
    else started = startChild(&child, job, state.version, why, ARRAYSIZE(why));
    if (started) {
      if (ends == 0) logEvent(EVENT_STARTED, L"%hs", state.version);
      else logEvent(EVENT_RETURNED, L"version %hs.", state.version);
      told[0] = 0;
      code = attend(&state, &child, job, &asked);
    } else if (wcscmp(told, why) != 0) {
      logEvent(EVENT_NOT_STARTED, L"%ls", why); /* once, not every five minutes */
      StringCchCopyW(told, ARRAYSIZE(told), why);
    }
    DWORD pause = (DWORD)switch_ended(&state, (int)code, asked, awakeMs());
    if (asked) return;
    if (started && code != SWITCH_EXIT_STAGED) {
      lastWords(why, ARRAYSIZE(why));
      logEvent(EVENT_DIED, L"exit code %lu; it is started again in %lu seconds. %ls", code, pause / SECOND_MS, why);
    }
    if (WaitForSingleObject(stopAsked, pause) == WAIT_OBJECT_0) return;
  }
}

static void WINAPI serviceMain(DWORD argc, wchar_t **argv) {
  (void)argc, (void)argv;
  eventSource = RegisterEventSourceW(NULL, SERVICE_NAME);
  stopAsked = CreateEventW(NULL, TRUE, FALSE, NULL);
  statusHandle = RegisterServiceCtrlHandlerExW(SERVICE_NAME, onControl, NULL);
  if (statusHandle == NULL || stopAsked == NULL) return;
  report(SERVICE_START_PENDING, 0);
  readAsBackup();
  HANDLE job = makeJob();
  if (job == NULL) {
    logEvent(EVENT_NOT_STARTED, L"no job object: %ls.", systemWords(GetLastError()));
    report(SERVICE_STOPPED, HOST_FAILED);
    return;
  }
  report(SERVICE_RUNNING, 0);
  runChildren(job);
  logEvent(EVENT_STOPPED, L"%ls", stopReason);
  CloseHandle(job);
  report(SERVICE_STOPPED, 0);
}

int runService(int argc, wchar_t **argv) {
  const wchar_t *data = option(argc, argv, L"--data");
  BOOL fine = data == NULL ? defaultDataFolder(dataFolder) : SUCCEEDED(StringCchCopyW(dataFolder, PATH_CHARS, data));
  if (!fine || !rootFolder(root) || FAILED(StringCchPrintfW(outputPath, PATH_CHARS, L"%ls\\log\\last-output.txt", dataFolder))) {
    say(L"aliquot-agent: the path of the program or of the data folder is too long [HOST_PATH]");
    return HOST_USAGE;
  }
  SERVICE_TABLE_ENTRYW table[] = {{(wchar_t *)SERVICE_NAME, serviceMain}, {NULL, NULL}};
  if (StartServiceCtrlDispatcherW(table)) return HOST_OK;
  say(L"aliquot-agent: as-service is for the service manager; start it with: aliquot-agent service start [HOST_USAGE]");
  return HOST_USAGE;
}
