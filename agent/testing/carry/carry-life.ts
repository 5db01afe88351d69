import { join } from 'node:path';
import { splitCarriedFile } from '@aliquot/proto';
import { carriedBy } from '@aliquot/shared/carry/statements';
import { rowsIn } from '@aliquot/shared/commit/rows';
import { equalBytes, sha256 } from '@aliquot/shared/crypto/primitives';
import type { DiskPort } from '@aliquot/shared/derived/level-port';
import { readFileIfThere, readWholeFile } from '@aliquot/shared/durable/durable';
import { writeStreamDurably } from '@aliquot/shared/durable/write-stream';
import type { JudgedState, Life, LifeStep } from '@aliquot/shared/testing/enumerate';
import { FIXTURE_TIME_MS } from '@aliquot/shared/testing/keys/fixtures';
import type { SeededRandom } from '@aliquot/shared/testing/random';
import { exportQueue } from '../../src/carry/export-queue.ts';
import { importReceipts } from '../../src/carry/import-receipts.ts';
import { fsckQueue } from '../../src/queue/log/fsck.ts';
import { openQueue } from '../../src/queue/open.ts';
import type { Queue } from '../../src/queue/queue.ts';
import { TrustStore } from '../../src/uplink/trust.ts';
import { WebSocketUplink } from '../../src/uplink/ws-uplink.ts';
import { collect, put, queueOptions, type SampleFile, sample, vault } from '../queue/support.ts';
import { testIdentity } from '../uplink/test-agent.ts';
import { carryTo } from '../uplink/test-carrier.ts';
import { TestCollector } from '../uplink/test-collector.ts';

const MAX_FILE_BYTES = 1 << 20;

interface Carried {
  readonly queue: Queue;
  readonly uplink: WebSocketUplink;
  readonly files: DiskPort;
}

/**
 * An agent without a network, its stick, and a collector that does not crash: for every file
 * operation that goes wrong, what was captured is in the queue or at the collector, no receipt
 * counts that is not there, and no file of half an export or half an answer bears its final name.
 */
export class CarryLife implements Life<Carried> {
  readonly steps: LifeStep<Carried>[] = [];
  readonly #dir: string;
  readonly #random: SeededRandom;
  readonly #collector = new TestCollector(vault);
  readonly #captured: SampleFile[] = [];

  constructor(dir: string, random: SeededRandom) {
    this.#dir = dir;
    this.#random = random;
  }

  async open(files: DiskPort): Promise<Carried> {
    const identity = testIdentity('http://127.0.0.1:9');
    const queue = await openQueue(this.#options(files));
    const trust = await TrustStore.open(files, this.#dir, identity);
    const clock = { nowMs: () => FIXTURE_TIME_MS };
    const uplink = new WebSocketUplink({
      identity,
      queue,
      trust,
      clock,
      random: this.#random.derive('uplink'),
      software: 'test 1',
    });
    return { queue, uplink, files };
  }

  close({ queue }: Carried): Promise<void> {
    return queue.close();
  }

  capture(...names: readonly string[]): this {
    return this.#step(`capture ${names.join(' ')}`, async ({ queue }) => {
      for (const name of names) await put(queue, sample(name, 2));
      await queue.sync();
      this.#captured.push(...names.map((name) => sample(name, 2)));
    });
  }

  export(name: string): this {
    return this.#step(`export ${name}`, async ({ uplink, files }) => {
      await uplink.instead((parts) => exportQueue({ ...parts, port: files }, this.#path(name)));
    });
  }

  /** A person carries the file to the collector, and writes the receipts onto the stick. */
  carry(name: string, receipts: string): this {
    return this.#step(`carry ${name}`, async ({ files }) => {
      const answer = await carryTo(
        this.#collector,
        await readWholeFile(files, this.#path(name), MAX_FILE_BYTES),
      );
      await writeStreamDurably(files, this.#path(receipts), once(answer), { random: this.#random });
    });
  }

  import(receipts: string): this {
    return this.#step(`import ${receipts}`, async ({ uplink, files }) => {
      await uplink.instead((parts) =>
        importReceipts({ ...parts, port: files }, this.#path(receipts)),
      );
    });
  }

  async judge(files: DiskPort, { whole, damaged }: JudgedState): Promise<void> {
    const fsck = () =>
      collect(
        fsckQueue({
          port: files,
          dataDir: this.#dir,
          random: this.#random.derive('fsck'),
          repair: damaged,
        }),
      );
    // Where bytes were altered: a start sets aside what repair cannot mend, and the next repair
    // removes what is set aside.
    for (let round = 0; damaged && round < 2; round += 1) {
      await fsck();
      await (await openQueue(this.#options(files))).close();
    }
    const found = await fsck();
    const wrong = found.filter(({ severity, repaired }) => severity === 'error' && !repaired);
    expectThat(
      wrong.length === 0,
      `fsck: ${wrong.map(({ code, what }) => `${code} ${what}`).join('; ')}`,
    );
    for (const [name, key] of [
      ['q', testIdentity('http://127.0.0.1:9').signKey.publicKey],
      ['r', this.#collector.key.publicKey],
    ] as const)
      await this.#judgeFile(files, name, key);
    const queue = await openQueue(this.#options(files));
    try {
      const at = new Set(
        this.#collector.commits.flatMap(({ rows }) =>
          [...rowsIn(rows)].map(({ entry }) => hexOf(entry.fileId)),
        ),
      );
      const safe = queue.outbox.receiptedSequence();
      expectThat(
        safe <= this.#collector.commits.length,
        `I-A2: commit ${safe} counts as receipted and is not at the collector`,
      );
      for (const { draft, path } of this.#captured) {
        const known = await queue.ledger.known(path);
        expectThat(known !== undefined, `P1: ${Buffer.from(path).toString()} is forgotten`);
        if (known?.state === 'safe')
          expectThat(
            at.has(hexOf(draft.fileId)),
            `I-A2: ${Buffer.from(path).toString()} is said to be safe and is not`,
          );
      }
      if (whole)
        expectThat(
          queue.intake.pending().entries === 0,
          `${queue.intake.pending().entries} versions are queued after everything was carried`,
        );
    } finally {
      await queue.close();
    }
  }

  /** Whatever bears a final name is whole and signed. */
  async #judgeFile(files: DiskPort, kind: 'q' | 'r', key: Uint8Array): Promise<void> {
    for (const number of [1, 2]) {
      const bytes = await readFileIfThere(files, this.#path(`${kind}${number}`), MAX_FILE_BYTES);
      if (bytes === undefined) continue;
      const { trailer } = splitCarriedFile(bytes);
      const end = bytes.length - trailer.digest.length - trailer.signature.length;
      expectThat(
        equalBytes(sha256(bytes.subarray(0, end)), trailer.digest),
        `${kind}${number} is not whole`,
      );
      expectThat(
        carriedBy(kind === 'q' ? 'queue' : 'receipts', key, trailer),
        `${kind}${number} is not signed`,
      );
    }
  }

  #step(name: string, run: (carried: Carried) => Promise<void>): this {
    this.steps.push({ name, run });
    return this;
  }

  #path(name: string): string {
    return join(this.#dir, name);
  }

  #options(files: DiskPort) {
    return queueOptions(this.#dir, {
      port: files,
      chainId: testIdentity('http://127.0.0.1:9').chainId,
      segmentBytes: 4096,
    });
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, void> {
  yield bytes;
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function expectThat(holds: boolean, says: string): void {
  if (!holds) throw new Error(says);
}
