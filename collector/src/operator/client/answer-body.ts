import { CommandError } from '../../cli/command-error.ts';

/** The head of an answer, and a line between chunks: more than anything sends. */
const MAX_HEAD_BYTES = 16 * 1024;
const MAX_LINE_BYTES = 1024;
/** A chunk larger than this is no answer of ours. */
const MAX_CHUNK_BYTES = 2 ** 31;

type Part = 'status' | 'fields' | 'size' | 'chunk' | 'trailer' | 'rest' | 'done';

/**
 * Takes one answer of HTTP/1.1 (RFC 9112) apart as its bytes come, without a copy: for bodies that
 * are read into memory of our own. Error: `COMMAND_ANSWER` for anything that is no such answer.
 */
export class AnswerBody {
  status = 0;
  /** Whether another request may follow on the same connection. */
  isKept = true;
  #part: Part = 'status';
  #line = '';
  #headBytes = 0;
  #isChunked = false;
  /** As the head says, where it is not in chunks. */
  #length = 0;
  /** Bytes that are left of the chunk, or of the body. */
  #left = 0;

  /** Whether all of it has come. */
  get isDone(): boolean {
    return this.#part === 'done';
  }

  /** Views of what these bytes hold of the body. */
  *push(bytes: Buffer): Generator<Buffer, void, void> {
    let at = 0;
    while (at < bytes.length && this.#part !== 'done') {
      if (this.#left > 0) {
        const span = bytes.subarray(at, at + this.#left);
        at += span.length;
        this.#left -= span.length;
        yield span;
        if (this.#left === 0 && this.#part === 'rest') this.#part = 'done';
        continue;
      }
      const end = bytes.indexOf(0x0a, at);
      const next = end < 0 ? bytes.length : end + 1;
      const isHead = this.#part === 'status' || this.#part === 'fields';
      if (isHead) this.#headBytes += next - at;
      if (this.#headBytes > MAX_HEAD_BYTES || (!isHead && next - at > MAX_LINE_BYTES))
        throw strange();
      this.#line += bytes.toString('latin1', at, next);
      at = next;
      if (end < 0) {
        if (!isHead && this.#line.length > MAX_LINE_BYTES) throw strange();
        return;
      }
      const line = this.#line.trimEnd();
      this.#line = '';
      this.#take(line);
    }
    // Nothing was asked that this could belong to.
    if (at < bytes.length) throw strange();
  }

  #take(line: string): void {
    if (this.#part === 'status') {
      const status = /^HTTP\/1\.1 (\d{3})(?: |$)/.exec(line)?.[1];
      if (status === undefined) throw strange();
      this.status = Number(status);
      this.#part = 'fields';
    } else if (this.#part === 'fields') {
      if (line === '') this.#begin();
      else this.#field(line);
    } else if (this.#part === 'size') {
      const size = /^([0-9a-f]{1,8})(?:;|$)/i.exec(line)?.[1];
      this.#left = size === undefined ? MAX_CHUNK_BYTES + 1 : Number.parseInt(size, 16);
      if (this.#left > MAX_CHUNK_BYTES) throw strange();
      this.#part = this.#left === 0 ? 'trailer' : 'chunk';
    } else if (this.#part === 'chunk') {
      if (line !== '') throw strange();
      this.#part = 'size';
    } else if (line === '') this.#part = 'done';
  }

  #field(line: string): void {
    const [, name = '', value = ''] = /^([^:\s]+):\s*(.*)$/.exec(line) ?? [];
    if (name === '') throw strange();
    if (/^transfer-encoding$/i.test(name)) {
      if (!/^chunked$/i.test(value)) throw strange();
      this.#isChunked = true;
    } else if (/^content-length$/i.test(name)) {
      if (!/^\d{1,9}$/.test(value)) throw strange();
      this.#length = Number(value);
    } else if (/^connection$/i.test(name) && /close/i.test(value)) this.isKept = false;
  }

  #begin(): void {
    this.#left = this.#isChunked ? 0 : this.#length;
    this.#part = this.#isChunked ? 'size' : this.#left === 0 ? 'done' : 'rest';
  }
}

function strange(): CommandError {
  return new CommandError(
    'COMMAND_ANSWER',
    'what answers there does not speak as an Aliquot collector does: is the address right?',
  );
}
