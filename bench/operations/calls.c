/*
 * Counts what a program asks of the C library, by thread: loaded before it (LD_PRELOAD). When the
 * program ends by itself, one line a thread is written to the file that CALLS_OUT begins.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MALLOCS, SYNCS, KINDS };
enum { THREADS = 512, NAME_BYTES = 16, LOOK_EVERY = 64 };

struct thread {
  long id;
  char name[NAME_BYTES];
  uint64_t counts[KINDS];
};

static struct thread threads[THREADS];
static atomic_int known;
static __thread struct thread *mine;

static void count(int kind) {
  if (mine == NULL) {
    int at = atomic_fetch_add(&known, 1);
    mine = &threads[at < THREADS ? at : THREADS - 1];
    mine->id = syscall(SYS_gettid);
  }
  /* A thread gets its name a moment after it began. */
  if (mine->counts[kind]++ % LOOK_EVERY == 0) prctl(PR_GET_NAME, mine->name);
}

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

void *malloc(size_t bytes) {
  count(MALLOCS);
  return __libc_malloc(bytes);
}

void *calloc(size_t items, size_t bytes) {
  count(MALLOCS);
  return __libc_calloc(items, bytes);
}

void *realloc(void *before, size_t bytes) {
  count(MALLOCS);
  return __libc_realloc(before, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes) {
  count(MALLOCS);
  return __libc_memalign(alignment, bytes);
}

int posix_memalign(void **made, size_t alignment, size_t bytes) {
  count(MALLOCS);
  *made = __libc_memalign(alignment, bytes);
  return *made == NULL ? ENOMEM : 0;
}

int fsync(int file) {
  count(SYNCS);
  return (int)syscall(SYS_fsync, file);
}

int fdatasync(int file) {
  count(SYNCS);
  return (int)syscall(SYS_fdatasync, file);
}

__attribute__((destructor)) static void write_down(void) {
  const char *beginning = getenv("CALLS_OUT");
  char path[4096];
  if (beginning == NULL) return;
  snprintf(path, sizeof path, "%s-%d", beginning, (int)getpid());
  FILE *out = fopen(path, "w");
  if (out == NULL) return;
  int all = atomic_load(&known);
  for (int at = 0; at < all && at < THREADS; at += 1)
    fprintf(out, "%ld\t%.*s\t%llu\t%llu\n", threads[at].id, NAME_BYTES, threads[at].name,
            (unsigned long long)threads[at].counts[MALLOCS],
            (unsigned long long)threads[at].counts[SYNCS]);
  fclose(out);
}
