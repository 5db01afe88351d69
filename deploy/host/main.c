/*
 * host.exe (and its copy aliquot-agent.exe) by its first argument: `as-service` is for the service
 * manager, `control` for setup; anything else is a command of the agent's current version, run with
 * this console.
 */
#include "host.h"
#include <shellapi.h>
#include <stdarg.h>
#include <wchar.h>

static void print(DWORD where, const wchar_t *format, va_list values) {
  wchar_t line[2048];
  char bytes[sizeof line * 2];
  StringCchVPrintfW(line, ARRAYSIZE(line) - 2, format, values);
  StringCchCatW(line, ARRAYSIZE(line), L"\n");
  int length = WideCharToMultiByte(CP_UTF8, 0, line, -1, bytes, sizeof bytes, NULL, NULL);
  DWORD written;
  if (length > 1) WriteFile(GetStdHandle(where), bytes, (DWORD)length - 1, &written, NULL);
}

void say(const wchar_t *format, ...) {
  va_list values;
  va_start(values, format);
  print(STD_ERROR_HANDLE, format, values);
  va_end(values);
}

void tell(const wchar_t *format, ...) {
  va_list values;
  va_start(values, format);
  print(STD_OUTPUT_HANDLE, format, values);
  va_end(values);
}

const wchar_t *systemWords(DWORD error) {
  static wchar_t words[512];
  DWORD length = FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, NULL, error, 0, words,
                                ARRAYSIZE(words), NULL);
  while (length > 0 && (words[length - 1] <= L' ' || words[length - 1] == L'.')) words[--length] = 0;
  if (length == 0) StringCchPrintfW(words, ARRAYSIZE(words), L"error %lu", error);
  return words;
}

const wchar_t *argumentsOf(const wchar_t *commandLine) {
  /* The program's name knows no escapes: it ends at the next quote, or at the next blank. */
  BOOL quoted = FALSE;
  for (; *commandLine != 0 && (quoted || (*commandLine != L' ' && *commandLine != L'\t')); commandLine += 1)
    if (*commandLine == L'"') quoted = !quoted;
  while (*commandLine == L' ' || *commandLine == L'\t') commandLine += 1;
  return commandLine;
}

const wchar_t *option(int argc, wchar_t **argv, const wchar_t *name) {
  for (int at = 1; at + 1 < argc; at += 1)
    if (wcscmp(argv[at], name) == 0) return argv[at + 1];
  return NULL;
}

/* Ctrl-C is for the command that runs; this process waits for it and gives its exit code on. */
static BOOL WINAPI leaveToChild(DWORD event) {
  (void)event;
  return TRUE;
}

static int runCommand(void) {
  wchar_t root[PATH_CHARS], path[PATH_CHARS], version[64];
  if (!rootFolder(root) || FAILED(StringCchPrintfW(path, PATH_CHARS, L"%ls\\current", root))) {
    say(L"aliquot-agent: it lies in a folder with too long a name; install it elsewhere [HOST_PATH]");
    return HOST_FAILED;
  }
  if (!firstLine(path, version, ARRAYSIZE(version))) {
    say(L"aliquot-agent: %ls does not name a version; run the setup again to repair it [HOST_NO_VERSION]", path);
    return HOST_FAILED;
  }
  SetConsoleCtrlHandler(leaveToChild, TRUE);
  struct start start = {.root = root, .version = version, .arguments = argumentsOf(GetCommandLineW())};
  PROCESS_INFORMATION child;
  if (!startAgent(&start, &child)) {
    say(L"aliquot-agent: version %ls in %ls\\versions cannot be started (%ls); run the setup again to repair it [HOST_START]",
        version, root, systemWords(GetLastError()));
    return HOST_FAILED;
  }
  DWORD code = HOST_FAILED;
  WaitForSingleObject(child.hProcess, INFINITE);
  GetExitCodeProcess(child.hProcess, &code);
  return (int)code;
}

int wmain(int argc, wchar_t **argv) {
  /*
   * Libraries come from the system's folder only, whatever lies beside a caller's working folder.
   */
  SetDefaultDllDirectories(LOAD_LIBRARY_SEARCH_SYSTEM32);
  if (argc > 1 && wcscmp(argv[1], L"as-service") == 0) return runService(argc, argv);
  if (argc > 1 && wcscmp(argv[1], L"control") == 0) return control(argc - 1, argv + 1);
  return runCommand();
}
