/* The file operations of the switch: the same promises on POSIX and on Windows (files.c). */
#ifndef ALIQUOT_FILES_H
#define ALIQUOT_FILES_H

#include <stddef.h>

#define FILES_ABSENT (-1)
#define FILES_FAILED (-2)

/**
 * Reads a short text file of the folder (UTF-8), ended by 0. Returns its length, FILES_ABSENT, or
 * FILES_FAILED: it cannot be read, or is longer than `size - 1` bytes.
 */
int files_read(const char *folder, const char *name, char *text, size_t size);

/**
 * Replaces the file's content durably: `name.new` is written and flushed, renamed over `name`, and
 * the folder is flushed. Returns 1, or 0 when a step failed: then the file holds the old content
 * or the new one, whole, whatever happens next.
 */
int files_write(const char *folder, const char *name, const char *text);

/** Removes the file durably; one that is not there counts as removed. Returns 1, or 0 as above. */
int files_remove(const char *folder, const char *name);

#endif
