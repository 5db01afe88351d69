import { readCommit } from '@aliquot/shared/commit/rows';
import type { DiskPort } from '@aliquot/shared/derived/level-port';
import type { JudgedState, Life, LifeStep } from '@aliquot/shared/testing/enumerate';
import type { SeededRandom } from '@aliquot/shared/testing/random';
import { BatchKeys } from '../../src/queue/log/batch-keys.ts';
import { fsckQueue } from '../../src/queue/log/fsck.ts';
import { queuePaths } from '../../src/queue/log/open-queue.ts';
import { openQueue } from '../../src/queue/open.ts';
import type { CommitSigner, QueuedCommit } from '../../src/queue/outbox/outbox.ts';
import type { Queue, QueueOptions } from '../../src/queue/queue.ts';
import {
  collect,
  putGone,
  putSlab,
  putTogether,
  queueOptions,
  receiptFor,
  type SampleFile,
  sampleFile,
  sampleSlab,
  testSigner,
} from './support.ts';

/**
 * A version that `sync` has returned for: the queue owes it to us until a receipt, and to the
 * collector for ever.
 */
interface Owed {
  readonly file: SampleFile;
  readonly gone: boolean;
}

const nameOf = (path: Uint8Array): string => Buffer.from(path).toString();

/**
 * One queue's life for the enumeration of faults, and what it has promised on the way (I-A1 to
 * I-A5): versions synced, commits signed, receipts taken. Times of capture tell versions of one
 * file apart.
 */
export class QueueLife implements Life<Queue> {
  readonly steps: LifeStep<Queue>[] = [];
  readonly #dir: string;
  readonly #random: SeededRandom;
  readonly #options: Partial<QueueOptions>;
  readonly #signer: CommitSigner;
  readonly #owed: Owed[] = [];
  /** Signed commits that somebody has seen, by sequence. */
  readonly #signed = new Map<number, Uint8Array>();
  /** Versions that were given up knowingly, by path and time of capture. */
  readonly #givenUp = new Set<string>();
  readonly #checks = new Map<string, (queue: Queue) => Promise<boolean>>();
  #receipted = 0;
  #captureTime = 1_767_323_000_000;

  constructor(dir: string, random: SeededRandom, options: Partial<QueueOptions> = {}) {
    this.#dir = dir;
    this.#random = random;
    this.#options = { segmentBytes: 4096, keptBytes: 6000, ...options };
    this.#signer = testSigner(random.derive('signer'));
  }

  open(files: DiskPort): Promise<Queue> {
    return openQueue(this.#optionsOver(files));
  }

  close(queue: Queue): Promise<void> {
    return queue.close();
  }

  /**
   * Adds a step of any kind. What it promises, `check` looks at from then on, until a step of the
   * same `about` promises something else.
   */
  step(
    name: string,
    run: (queue: Queue) => Promise<void>,
    about?: string,
    check?: (queue: Queue) => Promise<boolean>,
  ): this {
    const step = async (queue: Queue) => {
      // Under way, neither the old nor the new holds for sure.
      if (about !== undefined) this.#checks.delete(about);
      await run(queue);
      if (about !== undefined && check !== undefined) this.#checks.set(about, check);
    };
    this.steps.push({ name, run: step });
    return this;
  }

  /** Captures files of so many chunks each, and syncs. */
  capture(...files: readonly (readonly [name: string, chunks: number, bytes?: number])[]): this {
    return this.step(`capture ${files.map(([name]) => name).join(' ')}`, async (queue) => {
      const made = files.map(([name, chunks, bytes]) => this.file(name, chunks, bytes));
      await putTogether(queue, made);
      await queue.sync();
      for (const file of made) this.#owed.push({ file, gone: false });
    });
  }

  /** Captures small files in one slab, and syncs. */
  captureSlab(...names: readonly string[]): this {
    return this.step(`capture the slab of ${names.join(' ')}`, async (queue) => {
      this.#captureTime += 1000;
      const paths = names.map((name) => `/data/${name}`);
      const made = sampleSlab(paths, 300, this.#captureTime);
      await putSlab(queue, made);
      await queue.sync();
      for (const file of made) this.#owed.push({ file, gone: false });
    });
  }

  gone(name: string): this {
    return this.step(`gone ${name}`, async (queue) => {
      const file = this.file(name, 0);
      await putGone(queue, file);
      await queue.sync();
      this.#owed.push({ file, gone: true });
    });
  }

  /** Signs one commit, or is given the one that waits. */
  sign(): this {
    return this.step('sign', async (queue) => {
      const commit = await queue.outbox.nextCommit(this.#signer);
      if (commit !== undefined) this.seen(commit);
    });
  }

  /** Takes receipts for everything that is queued. */
  drain(): this {
    return this.step('drain', async (queue) => {
      for (;;) {
        const commit = await queue.outbox.nextCommit(this.#signer);
        if (commit === undefined) return;
        this.seen(commit);
        const { signed, body } = receiptFor(commit);
        await queue.outbox.receipted(signed, body);
        this.#receipted = commit.sequence;
      }
    });
  }

  /**
   * The collector has lost what came after this commit. What is still in a segment stays there from
   * now on; the rest nobody can give.
   */
  unreceipt(sequence: number): this {
    return this.step(`unreceipt ${sequence}`, async (queue) => {
      for (const { file } of this.#owed) {
        const held = await queue.items.hasItems(file.items.map(({ id }) => id));
        if (held.includes(false)) this.#givenUp.add(versionOf(file));
      }
      this.#receipted = Math.min(this.#receipted, sequence);
      await queue.outbox.unreceipt(sequence);
    });
  }

  /** The first version of a commit can no longer be given by anybody, and a person sees that. */
  lose(sequence: number): this {
    const lost: string[] = [];
    this.step(`lose ${sequence}`, async (queue) => {
      const bytes = (await queue.outbox.signedCommit(sequence))?.bytes;
      const [first] = bytes === undefined ? [] : versionsIn(bytes);
      if (first !== undefined) this.#givenUp.add(first);
      await queue.losses.record(sequence, [0]);
      lost.push(...(await collect(queue.losses.list())).map(({ entry }) => String(entry)));
      expectThat(lost.length > 0, 'nothing is listed as lost');
    });
    return this.step('acknowledge the lost', async (queue) =>
      queue.losses.acknowledge((await collect(queue.losses.list())).map(({ entry }) => entry)),
    );
  }

  file(name: string, chunks: number, bytes = 300): SampleFile {
    this.#captureTime += 1000;
    const random = this.#random.derive(`${name} ${this.#captureTime}`);
    const parts = Array.from({ length: chunks }, () => random.bytes(bytes));
    return sampleFile(`/data/${name}`, parts, this.#captureTime);
  }

  /** A commit that the queue gave: the same bytes for ever (I-A4). */
  seen({ sequence, bytes }: QueuedCommit): void {
    const before = this.#signed.get(sequence);
    expectThat(
      before === undefined || Buffer.compare(before, bytes) === 0,
      `I-A4: commit ${sequence} has changed`,
    );
    this.#signed.set(sequence, bytes);
  }

  async judge(files: DiskPort, { whole, damaged }: JudgedState): Promise<void> {
    const options = this.#optionsOver(files);
    // Where bytes were altered: a start sets aside what repair cannot mend, and the next repair
    // removes what is set aside.
    for (let round = 0; damaged && round < 2; round += 1) {
      await collect(fsckQueue({ ...options, repair: true }));
      await (await openQueue(options)).close();
    }
    const findings = await collect(fsckQueue({ ...options, repair: damaged }));
    for (const { code, severity, what, where, repaired } of findings)
      expectThat(severity === 'note' || repaired, `fsck: ${code} ${what} (${where})`);
    const queue = await openQueue(options);
    try {
      await this.#judgePromises(queue);
      if (whole) await this.#judgeWhole(queue, files);
    } finally {
      await queue.close();
    }
  }

  async #judgePromises(queue: Queue): Promise<void> {
    for (const [sequence, bytes] of this.#signed) {
      const commit = await queue.outbox.signedCommit(sequence);
      expectThat(commit !== undefined, `I-A4: commit ${sequence} is gone`);
      expectThat(
        commit !== undefined && Buffer.compare(commit.bytes, bytes) === 0,
        `I-A4: commit ${sequence} has changed`,
      );
    }
    for (const [about, check] of this.#checks)
      expectThat(await check(queue), `${about}: not as promised`);
    expectThat(
      queue.outbox.receiptedSequence() >= this.#receipted,
      `I-A2: receipt ${this.#receipted} is forgotten`,
    );
    const receipted = new Set<string>();
    for (let sequence = 1; sequence <= queue.outbox.receiptedSequence(); sequence += 1) {
      const commit = await queue.outbox.signedCommit(sequence);
      for (const version of commit === undefined ? [] : versionsIn(commit.bytes))
        receipted.add(version);
    }
    const waiting = this.#owed.filter(
      ({ file }) => !receipted.has(versionOf(file)) && !this.#givenUp.has(versionOf(file)),
    );
    expectThat(
      queue.intake.pending().entries >= waiting.length,
      `I-A1: ${waiting.length} versions wait, ${queue.intake.pending().entries} are pending`,
    );
    for (const { file, gone } of waiting) {
      for (const { id, sealed } of gone ? [] : file.items) {
        const item = await queue.items.readItem(id);
        expectThat(
          item !== undefined && Buffer.compare(item.sealed, sealed) === 0,
          `I-A1: an item of ${nameOf(file.path)} is gone`,
        );
      }
    }
    for (const { file, gone } of newest(this.#owed)) {
      const known = await queue.ledger.known(file.path);
      // Receipted and dropped ones may be unknown after a rebuild (I-A5), and what was cut short
      // later may stand for a newer version.
      if (known === undefined || gone) continue;
      expectThat(
        known.capturedAtMs >= file.draft.capturedAtMs,
        `I-A1: an older state of ${nameOf(file.path)} is known`,
      );
    }
  }

  /**
   * Everything is sent: each version that was owed stands in a commit, those of one file in the
   * order of their capture; no key is left.
   */
  async #judgeWhole(queue: Queue, files: DiskPort): Promise<void> {
    expectThat(
      queue.intake.pending().entries === 0,
      `${queue.intake.pending().entries} versions are still pending`,
    );
    const sent = new Map<string, number>();
    let at = 0;
    for (let sequence = 1; ; sequence += 1) {
      const commit = await queue.outbox.signedCommit(sequence);
      if (commit === undefined) break;
      for (const version of versionsIn(commit.bytes)) {
        at += 1;
        if (!sent.has(version)) sent.set(version, at);
      }
    }
    const lastOf = new Map<string, number>();
    for (const { file } of this.#owed) {
      const place = sent.get(versionOf(file));
      if (place === undefined && this.#givenUp.has(versionOf(file))) continue;
      expectThat(
        place !== undefined,
        `P1: ${nameOf(file.path)} of ${file.draft.capturedAtMs} was never committed`,
      );
      expectThat(
        (place ?? 0) > (lastOf.get(nameOf(file.path)) ?? 0),
        `${nameOf(file.path)}: versions out of order`,
      );
      lastOf.set(nameOf(file.path), place ?? 0);
    }
    const keys = await BatchKeys.open(files, queuePaths(this.#dir).keys, this.#random);
    expectThat(
      keys.numbers.length === 0,
      `I-A3: keys ${keys.numbers.join(', ')} are left of what is signed`,
    );
  }

  #optionsOver(port: DiskPort): QueueOptions {
    return queueOptions(this.#dir, { random: this.#random, ...this.#options, port });
  }
}

function newest(owed: readonly Owed[]): Owed[] {
  return [...new Map(owed.map((one) => [nameOf(one.file.path), one])).values()];
}

function versionOf({ draft }: SampleFile): string {
  return `${Buffer.from(draft.fileId).toString('hex')} ${draft.capturedAtMs}`;
}

function versionsIn(commit: Uint8Array): string[] {
  const { rows } = readCommit(commit);
  return Array.from({ length: rows.count }, (_, slot) => {
    const entry = rows.entry(slot);
    if (entry === undefined) return '';
    return `${Buffer.from(entry.fileId).toString('hex')} ${entry.capturedAtMs}`;
  });
}

/** Not a test framework's: torture runs without one. */
export function expectThat(holds: boolean, says: string): void {
  if (!holds) throw new Error(says);
}
