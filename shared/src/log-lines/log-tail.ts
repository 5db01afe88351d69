/** So much of a log a diagnosis shows. */
export const LOG_TAIL_BYTES = 2 << 20;

/** The last lines of a log, kept in memory: a journal is not the service's to read. */
export class LogTail {
  #lines: string[] = [];
  #length = 0;

  /** One line, with its line feed. */
  add(line: string): void {
    this.#lines.push(line);
    this.#length += line.length;
    if (this.#length <= LOG_TAIL_BYTES) return;
    // A quarter at once: to take them one by one would move the whole list for each line.
    let drop = 0;
    for (; this.#length > LOG_TAIL_BYTES * 0.75; drop += 1)
      this.#length -= this.#lines[drop]?.length ?? 0;
    this.#lines = this.#lines.slice(drop);
  }

  get text(): string {
    return this.#lines.join('');
  }
}
