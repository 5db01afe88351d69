#define _DEFAULT_SOURCE 1
#define _DARWIN_C_SOURCE 1

#include "files.h"

#include <stdio.h>
#include <string.h>

#ifdef FILES_TEST
/* Only in tests: says which operation comes next; 0 makes it fail, or the process ends there. */
int files_step(const char *operation, const char *name);
#else
#define files_step(operation, name) ((void)(operation), (void)(name), 1)
#endif

#define PATH_BYTES 4096

static int join(char *path, const char *folder, const char *name, const char *ending) {
  int length = snprintf(path, PATH_BYTES, "%s/%s%s", folder, name, ending);
  return length > 0 && length < PATH_BYTES;
}

#ifdef _WIN32

#include <windows.h>

/* A virus scanner may hold a file for a moment: what it refuses is tried for two seconds. */
#define TRIES 20
#define PAUSE_MS 100

static int wide_path(wchar_t *wide, const char *folder, const char *name, const char *ending) {
  char path[PATH_BYTES];
  if (!join(path, folder, name, ending)) return 0;
  for (char *at = path; *at != 0; at++)
    if (*at == '/') *at = '\\';
  return MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, PATH_BYTES) > 0;
}

static int is_passing(DWORD error) {
  return error == ERROR_ACCESS_DENIED || error == ERROR_SHARING_VIOLATION ||
         error == ERROR_LOCK_VIOLATION;
}

/* Everything that reads, renames or removes these files gives them away to the others. */
static HANDLE open_patiently(const wchar_t *path, DWORD access, DWORD how) {
  HANDLE file = INVALID_HANDLE_VALUE;
  for (int tries = 0; tries < TRIES; tries++) {
    DWORD share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    file = CreateFileW(path, access, share, NULL, how, FILE_ATTRIBUTE_NORMAL, NULL);
    if (file != INVALID_HANDLE_VALUE || !is_passing(GetLastError())) break;
    Sleep(PAUSE_MS);
  }
  return file;
}

int files_read(const char *folder, const char *name, char *text, size_t size) {
  wchar_t path[PATH_BYTES];
  if (!files_step("read", name) || !wide_path(path, folder, name, "")) return FILES_FAILED;
  HANDLE file = open_patiently(path, GENERIC_READ, OPEN_EXISTING);
  if (file == INVALID_HANDLE_VALUE) {
    DWORD error = GetLastError();
    return error == ERROR_FILE_NOT_FOUND ? FILES_ABSENT : FILES_FAILED;
  }
  DWORD length = 0;
  int read = ReadFile(file, text, (DWORD)size, &length, NULL) && length < size;
  CloseHandle(file);
  if (!read) return FILES_FAILED;
  text[length] = 0;
  return (int)length;
}

static int write_new(const wchar_t *path, const char *name, const char *text) {
  if (!files_step("create", name)) return 0;
  HANDLE file = open_patiently(path, GENERIC_WRITE, CREATE_ALWAYS);
  if (file == INVALID_HANDLE_VALUE) return 0;
  DWORD length = (DWORD)strlen(text);
  DWORD done = 0;
  int written = files_step("write", name) && WriteFile(file, text, length, &done, NULL) &&
                done == length && files_step("flush", name) && FlushFileBuffers(file);
  return CloseHandle(file) && written;
}

static int rename_patiently(const wchar_t *old_path, const wchar_t *new_path) {
  for (int tries = 0; tries < TRIES; tries++) {
    DWORD flags = MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH;
    if (MoveFileExW(old_path, new_path, flags)) return 1;
    if (!is_passing(GetLastError())) return 0;
    Sleep(PAUSE_MS);
  }
  return 0;
}

int files_write(const char *folder, const char *name, const char *text) {
  wchar_t path[PATH_BYTES], new_path[PATH_BYTES];
  if (!wide_path(path, folder, name, "") || !wide_path(new_path, folder, name, ".new")) return 0;
  if (write_new(new_path, name, text) && files_step("rename", name) &&
      rename_patiently(new_path, path))
    return 1;
  DeleteFileW(new_path);
  return 0;
}

int files_remove(const char *folder, const char *name) {
  wchar_t path[PATH_BYTES];
  if (!files_step("remove", name) || !wide_path(path, folder, name, "")) return 0;
  for (int tries = 0; tries < TRIES; tries++) {
    if (DeleteFileW(path) || GetLastError() == ERROR_FILE_NOT_FOUND) return 1;
    if (!is_passing(GetLastError())) return 0;
    Sleep(PAUSE_MS);
  }
  return 0;
}

#else

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int files_read(const char *folder, const char *name, char *text, size_t size) {
  char path[PATH_BYTES];
  if (!files_step("read", name) || !join(path, folder, name, "")) return FILES_FAILED;
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return errno == ENOENT ? FILES_ABSENT : FILES_FAILED;
  size_t length = 0;
  ssize_t count = 1;
  while (count > 0 && length < size) {
    count = read(file, text + length, size - length);
    if (count > 0) length += (size_t)count;
  }
  close(file);
  if (count < 0 || length >= size) return FILES_FAILED;
  text[length] = 0;
  return (int)length;
}

static int write_new(const char *path, const char *name, const char *text) {
  if (!files_step("create", name)) return 0;
  int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return 0;
  size_t length = strlen(text);
#ifdef FILES_TEST
  /* A process that ends at the next step leaves half of the text. */
  int half = write(file, text, length / 2) == (ssize_t)(length / 2);
  int written = half && files_step("write", name) &&
                write(file, text + length / 2, length - length / 2) == (ssize_t)(length - length / 2);
#else
  int written = write(file, text, length) == (ssize_t)length;
#endif
  written = written && files_step("flush", name) && fsync(file) == 0;
  return close(file) == 0 && written;
}

static int flush_folder(const char *folder, const char *name) {
  if (!files_step("flush-folder", name)) return 0;
  int handle = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (handle < 0) return 0;
  int flushed = fsync(handle) == 0;
  close(handle);
  return flushed;
}

int files_write(const char *folder, const char *name, const char *text) {
  char path[PATH_BYTES], new_path[PATH_BYTES];
  if (!join(path, folder, name, "") || !join(new_path, folder, name, ".new")) return 0;
  if (!write_new(new_path, name, text) || !files_step("rename", name) ||
      rename(new_path, path) != 0) {
    unlink(new_path);
    return 0;
  }
  return flush_folder(folder, name);
}

int files_remove(const char *folder, const char *name) {
  char path[PATH_BYTES];
  if (!files_step("remove", name) || !join(path, folder, name, "")) return 0;
  if (unlink(path) != 0) return errno == ENOENT;
  return flush_folder(folder, name);
}

#endif
