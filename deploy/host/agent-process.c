/*
 * Which agent is started, with which command line and environment: the same for the service and for
 * a person's command.
 */
#include "host.h"
#include <shlobj.h>
#include <stdio.h>
#include <wchar.h>

BOOL rootFolder(wchar_t root[PATH_CHARS]) {
  DWORD length = GetModuleFileNameW(NULL, root, PATH_CHARS);
  if (length == 0 || length == PATH_CHARS) return FALSE;
  wchar_t *separator = wcsrchr(root, L'\\');
  if (separator == NULL) return FALSE;
  *separator = 0;
  return TRUE;
}

/*
 * The line of a small ASCII text that begins with `start`, without it. FALSE when there is none, or
 * it is longer than `chars`.
 */
static BOOL lineOf(const wchar_t *path, const char *start, wchar_t *line, size_t chars) {
  HANDLE file = CreateFileW(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                            OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, NULL);
  if (file == INVALID_HANDLE_VALUE) return FALSE;
  char bytes[4096] = "";
  DWORD read = 0;
  ReadFile(file, bytes, sizeof bytes - 1, &read, NULL);
  CloseHandle(file);
  const char *at = bytes;
  while (strncmp(at, start, strlen(start)) != 0) {
    at = strchr(at, '\n');
    if (at == NULL) return FALSE;
    at += 1;
  }
  at += strlen(start);
  size_t length = strcspn(at, "\r\n");
  if (length == 0 || length >= chars) return FALSE;
  for (size_t n = 0; n < length; n += 1) {
    if (at[n] < 0x20 || at[n] > 0x7e) return FALSE;
    line[n] = (wchar_t)at[n];
  }
  line[length] = 0;
  return TRUE;
}

BOOL firstLine(const wchar_t *path, wchar_t *line, size_t chars) {
  return lineOf(path, "", line, chars);
}

BOOL programData(wchar_t path[PATH_CHARS]) {
  return SUCCEEDED(SHGetFolderPathW(NULL, CSIDL_COMMON_APPDATA, NULL, SHGFP_TYPE_CURRENT, path));
}

BOOL defaultDataFolder(wchar_t path[PATH_CHARS]) {
  return programData(path) && SUCCEEDED(StringCchCatW(path, PATH_CHARS, L"\\Aliquot\\agent"));
}

/*
 * Variables that can make Node or OpenSSL load code. Further authorities for TLS are no code, and a
 * person may name them.
 */
static BOOL isDangerous(const wchar_t *variable) {
  static const wchar_t authorities[] = L"NODE_EXTRA_CA_CERTS=";
  if (_wcsnicmp(variable, authorities, ARRAYSIZE(authorities) - 1) == 0) return FALSE;
  return _wcsnicmp(variable, L"NODE_", 5) == 0 || _wcsnicmp(variable, L"OPENSSL_", 8) == 0;
}

/* What a service needs of the machine's environment; every other variable stays outside. */
static BOOL serviceMayHave(const wchar_t *variable) {
  static const wchar_t *const names[] = {
      L"ALIQUOT_DEBUG", L"CommonProgramFiles", L"COMPUTERNAME", L"ComSpec", L"NUMBER_OF_PROCESSORS", L"OS",
      L"PATHEXT", L"PROCESSOR_ARCHITECTURE", L"ProgramFiles", L"SystemDrive", L"TEMP", L"TMP",
      L"USERDOMAIN", L"USERNAME", L"USERPROFILE"};
  for (size_t at = 0; at < ARRAYSIZE(names); at += 1) {
    size_t length = wcslen(names[at]);
    if (_wcsnicmp(variable, names[at], length) == 0 && variable[length] == L'=') return TRUE;
  }
  return FALSE;
}

/*
 * An environment block to free(), or NULL. A service's is made anew: folders come from the system,
 * not from variables.
 */
static wchar_t *environmentFor(const wchar_t *root, BOOL service) {
  wchar_t *own = GetEnvironmentStringsW();
  if (own == NULL) return NULL;
  size_t chars = 8 * PATH_CHARS;
  for (const wchar_t *at = own; *at != 0; at += wcslen(at) + 1) chars += wcslen(at) + 1;
  wchar_t *block = calloc(chars, sizeof *block), *end = block;
  if (block != NULL) {
    for (const wchar_t *at = own; *at != 0; at += wcslen(at) + 1) {
      if (service ? !serviceMayHave(at) : isDangerous(at)) continue;
      wcscpy(end, at);
      end += wcslen(end) + 1;
    }
    wchar_t windows[MAX_PATH], data[PATH_CHARS];
    if (service && GetSystemWindowsDirectoryW(windows, MAX_PATH) != 0 && programData(data)) {
      end += wsprintfW(end, L"PATH=%s\\System32;%s;%s\\System32\\Wbem", windows, windows, windows) + 1;
      end += wsprintfW(end, L"ProgramData=%s", data) + 1;
      end += wsprintfW(end, L"SystemRoot=%s", windows) + 1;
      end += wsprintfW(end, L"windir=%s", windows) + 1;
      end += wsprintfW(end, L"ALIQUOT_HOST=1") + 1;
      end += wsprintfW(end, L"ALIQUOT_ROOT=%s", root) + 1;
    }
    *end = 0;
  }
  FreeEnvironmentStringsW(own);
  return block;
}

/*
 * Whether a version's name is only a name: it comes from a file, and must not lead out of the
 * folder of versions.
 */
static BOOL isVersionName(const wchar_t *version) {
  if (version[0] == 0 || version[0] == L'.') return FALSE;
  for (; *version != 0; version += 1) {
    BOOL plain = (*version >= L'0' && *version <= L'9') || (*version >= L'a' && *version <= L'z') ||
                 (*version >= L'A' && *version <= L'Z') || *version == L'.' || *version == L'-' || *version == L'+';
    if (!plain) return FALSE;
  }
  return TRUE;
}

BOOL startAgent(const struct start *start, PROCESS_INFORMATION *child) {
  wchar_t folder[PATH_CHARS], node[PATH_CHARS], path[PATH_CHARS], flags[512] = L"";
  SetLastError(ERROR_BAD_PATHNAME);
  if (!isVersionName(start->version)) return FALSE;
  if (FAILED(StringCchPrintfW(folder, PATH_CHARS, L"%ls\\versions\\%ls", start->root, start->version)) ||
      FAILED(StringCchPrintfW(node, PATH_CHARS, L"%ls\\node.exe", folder)) ||
      FAILED(StringCchPrintfW(path, PATH_CHARS, L"%ls\\program\\node-flags", folder)))
    return FALSE;
  /*
   * Which flags this Node knows was settled when the version was packaged; without them it runs
   * plainly.
   */
  lineOf(path, "* ", flags, ARRAYSIZE(flags));
  wchar_t *command = calloc(COMMAND_CHARS, sizeof *command), *environment = environmentFor(start->root, start->service);
  STARTUPINFOEXW startup = {0};
  HANDLE handles[2] = {start->input, start->output};
  /* Before it starts a thread, Node asks for its console's title; a console without one ends it. */
  const wchar_t *title = start->service ? L"--title=aliquot-agent" : L"";
  SIZE_T size = 0;
  DWORD error = ERROR_SUCCESS;
  startup.StartupInfo.cb = sizeof startup;
  InitializeProcThreadAttributeList(NULL, 1, 0, &size);
  startup.lpAttributeList = calloc(1, size);
  BOOL listed = startup.lpAttributeList != NULL && InitializeProcThreadAttributeList(startup.lpAttributeList, 1, 0, &size);
  if (command == NULL || environment == NULL || !listed ||
      FAILED(StringCchPrintfW(command, COMMAND_CHARS,
                              L"\"%ls\" %ls %ls \"--openssl-config=%ls\\program\\openssl.cnf\" \"%ls\\program\\main.js\" %ls",
                              node, flags, title, folder, folder, start->arguments))) {
    error = command == NULL || environment == NULL ? ERROR_NOT_ENOUGH_MEMORY : ERROR_FILENAME_EXCED_RANGE;
  } else {
    DWORD how = CREATE_UNICODE_ENVIRONMENT | CREATE_SUSPENDED | EXTENDED_STARTUPINFO_PRESENT;
    if (start->service) how |= CREATE_NO_WINDOW;
    if (start->input != NULL) {
      /* Only these two are inherited, so that closing our end of the pipe is its end. */
      UpdateProcThreadAttribute(startup.lpAttributeList, 0, PROC_THREAD_ATTRIBUTE_HANDLE_LIST, handles, sizeof handles,
                                NULL, NULL);
      startup.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
      startup.StartupInfo.hStdInput = start->input;
      startup.StartupInfo.hStdOutput = startup.StartupInfo.hStdError = start->output;
    }
    if (!CreateProcessW(node, command, NULL, NULL, start->input != NULL, how, environment,
                        start->service ? folder : NULL, &startup.StartupInfo, child)) {
      error = GetLastError();
    } else if (start->job != NULL && !AssignProcessToJobObject(start->job, child->hProcess)) {
      error = GetLastError();
      TerminateProcess(child->hProcess, HOST_FAILED);
      CloseHandle(child->hThread);
      CloseHandle(child->hProcess);
    } else {
      ResumeThread(child->hThread);
      CloseHandle(child->hThread);
    }
  }
  if (listed) DeleteProcThreadAttributeList(startup.lpAttributeList);
  free(startup.lpAttributeList);
  free(environment);
  free(command);
  SetLastError(error);
  return error == ERROR_SUCCESS;
}
