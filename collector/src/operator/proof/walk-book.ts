import { join } from 'node:path';
import { hex } from '@aliquot/shared/crypto/bytes';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import {
  ensureDirectory,
  readFileIfThere,
  writeFileDurably,
} from '@aliquot/shared/durable/durable';
import { FileError } from '@aliquot/shared/durable/errors';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { z } from 'zod';
import { fromBase64, toBase64 } from '../../api/base64.ts';
import type { SavedWalk } from './log-walk.ts';

const count = z.number().int().min(0);
const schema = z.strictObject({
  version: z.literal(1),
  size: count,
  edge: z.array(z.base64()).max(64),
  agents: z.array(
    z.strictObject({
      agentId: z.string(),
      commits: count,
      newestLeaf: count,
      newestMs: z.number(),
      digest: z.base64(),
    }),
  ),
  corrections: z.array(z.strictObject({ leafIndex: count, leaf: z.base64() })),
});

/** 100,000 agents. */
const MAX_BYTES = 24 * 1024 * 1024;
const CHECK_DIGITS = 64;

/**
 * How far the leaves of a vault's log were walked over, and what they said, so that the next
 * command asks only for those that came since. A file in a folder beside the witness: lost, damaged
 * or of another release it costs one walk from the beginning.
 */
export class WalkBook {
  readonly #port: FilePort;
  readonly #folder: string;
  readonly #path: string;

  /** `name` is that of the vault and the collector. */
  constructor(port: FilePort, stateFolder: string, name: string) {
    this.#port = port;
    this.#folder = join(stateFolder, 'walk');
    this.#path = join(this.#folder, `${name}.json`);
  }

  /** Undefined where there is nothing that can be used. */
  async read(): Promise<SavedWalk | undefined> {
    try {
      const bytes = await readFileIfThere(this.#port, this.#path, MAX_BYTES);
      return bytes === undefined ? undefined : parsed(Buffer.from(bytes).toString('utf8'));
    } catch (error) {
      if (error instanceof FileError) return undefined;
      throw error;
    }
  }

  /** What cannot be kept is walked over again. */
  async write({ size, edge, agents, corrections }: SavedWalk): Promise<void> {
    const content = JSON.stringify({
      version: 1,
      size,
      edge: edge.map(toBase64),
      agents: [...agents].map(([agentId, { digest, ...total }]) => ({
        agentId,
        ...total,
        digest: toBase64(digest),
      })),
      corrections: corrections.map(({ leafIndex, leaf }) => ({ leafIndex, leaf: toBase64(leaf) })),
    });
    try {
      await ensureDirectory(this.#port, this.#folder);
      await writeFileDurably(this.#port, this.#path, Buffer.from(`${checkOf(content)}${content}`), {
        mode: 0o600,
      });
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
    }
  }
}

function parsed(text: string): SavedWalk | undefined {
  const content = text.slice(CHECK_DIGITS);
  if (text.slice(0, CHECK_DIGITS) !== checkOf(content)) return undefined;
  const stored = schema.safeParse(JSON.parse(content));
  if (!stored.success) return undefined;
  const { size, edge, agents, corrections } = stored.data;
  return {
    size,
    edge: edge.map(fromBase64),
    agents: new Map(
      agents.map(({ agentId, digest, ...total }) => [
        agentId,
        { ...total, digest: fromBase64(digest) },
      ]),
    ),
    corrections: corrections.map(({ leafIndex, leaf }) => ({ leafIndex, leaf: fromBase64(leaf) })),
  };
}

function checkOf(content: string): string {
  return hex(sha256(Buffer.from(content)));
}
