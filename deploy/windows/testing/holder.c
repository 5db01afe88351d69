/*
 * holder.exe FOLDER LOG: does what a virus scanner does, at its worst. Every file that appears below FOLDER is opened for its holder alone (share mode 0)
 * and kept for a second, once for each time that it is made or written. LOG gets a line for each. Ends when the file LOG.stop is there.
 */
#define UNICODE
#include <stdio.h>
#include <windows.h>

#define MOST 20000
#define KEEP_MS 1000

static struct {
  wchar_t path[700];
  FILETIME seen;
  HANDLE held;
  ULONGLONG since;
} files[MOST];
static int count;
static FILE *out;

static void look(const wchar_t *folder) {
  wchar_t pattern[700];
  WIN32_FIND_DATAW found;
  _snwprintf(pattern, 700, L"%ls\\*", folder);
  HANDLE search = FindFirstFileW(pattern, &found);
  if (search == INVALID_HANDLE_VALUE) return;
  do {
    wchar_t path[700];
    if (!wcscmp(found.cFileName, L".") || !wcscmp(found.cFileName, L"..")) continue;
    _snwprintf(path, 700, L"%ls\\%ls", folder, found.cFileName);
    if (found.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) {
      look(path);
      continue;
    }
    int at = 0;
    while (at < count && wcscmp(files[at].path, path)) at++;
    if (at == count) {
      if (count == MOST) continue;
      wcscpy(files[count++].path, path);
    } else if (files[at].held || !CompareFileTime(&files[at].seen, &found.ftLastWriteTime)) {
      continue;
    }
    HANDLE held = CreateFileW(path, GENERIC_READ, 0, NULL, OPEN_EXISTING, 0, NULL);
    if (held == INVALID_HANDLE_VALUE) continue; /* in use: looked at again */
    files[at].held = held;
    files[at].since = GetTickCount64();
    files[at].seen = found.ftLastWriteTime;
    fprintf(out, "%ls\n", path);
    fflush(out);
  } while (FindNextFileW(search, &found));
  FindClose(search);
}

int main(int many, char **given) {
  wchar_t folder[700];
  char stop[700];
  if (many != 3) return 2;
  MultiByteToWideChar(CP_UTF8, 0, given[1], -1, folder, 700);
  out = fopen(given[2], "w");
  if (!out) return 1;
  snprintf(stop, 700, "%s.stop", given[2]);
  while (GetFileAttributesA(stop) == INVALID_FILE_ATTRIBUTES) {
    look(folder);
    for (int at = 0; at < count; at++) {
      if (files[at].held && GetTickCount64() - files[at].since >= KEEP_MS) {
        CloseHandle(files[at].held);
        files[at].held = NULL;
      }
    }
    Sleep(5);
  }
  return 0;
}
