import { join } from 'node:path';
import { hex } from '@aliquot/shared/crypto/bytes';
import {
  ensureDirectory,
  exists,
  readFileIfThere,
  writeFileDurably,
} from '@aliquot/shared/durable/durable';
import { FileError } from '@aliquot/shared/durable/errors';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { z } from 'zod';
import { fromBase64, toBase64 } from '../api/base64.ts';
import type { CommandContext } from '../cli/context.ts';
import { outputOf } from '../cli/context.ts';
import type { SeenDecision } from './client/log-client.ts';
import type { VaultClient } from './client/vault-client.ts';

const count = z.number().int().min(0);
const schema = z.strictObject({
  version: z.literal(1),
  logEpoch: count,
  through: count,
  decisions: z.array(z.strictObject({ leafIndex: count, event: z.base64() })),
});

const MAX_BYTES = 256 * 1024 * 1024;

/** What this operator's PC has seen decided in a vault. */
export interface KeptDecisions {
  readonly logEpoch: number;
  /** Every decision among so many leaves of that epoch. */
  readonly through: number;
  /** In the order of their leaves. */
  readonly decisions: readonly SeenDecision[];
}

/**
 * What was decided about a vault, as its log had it: plain JSON in a folder beside the witness,
 * nothing secret. A collector whose disk was put back has lost what was decided since; this PC has
 * not.
 */
export class DecisionsBook {
  readonly path: string;
  readonly #port: FilePort;
  readonly #stateFolder: string;
  readonly #folder: string;

  private constructor(port: FilePort, stateFolder: string, name: string) {
    this.#port = port;
    this.#stateFolder = stateFolder;
    this.#folder = join(stateFolder, 'decisions');
    this.path = join(this.#folder, `${name}.json`);
  }

  /** Undefined where there is no state folder. */
  static of(context: CommandContext, vault: VaultClient): DecisionsBook | undefined {
    const { stateFolder } = context.environment;
    if (stateFolder === undefined) return undefined;
    const { vaultId, authorityKey } = vault.descriptor;
    const { collectorId } = vault.certificate(authorityKey);
    return new DecisionsBook(context.files, stateFolder, `${hex(vaultId)}-${hex(collectorId)}`);
  }

  /** Those of the same vault at other collectors, such as one that this one succeeds. */
  static async others(context: CommandContext, vault: VaultClient): Promise<DecisionsBook[]> {
    const own = DecisionsBook.of(context, vault);
    if (own === undefined || !(await exists(context.files, own.#folder))) return [];
    const names: string[] = [];
    for await (const { name } of context.files.list(own.#folder)) names.push(name.toString());
    return names
      .filter((name) => name.startsWith(`${hex(vault.descriptor.vaultId)}-`))
      .map((name) => new DecisionsBook(own.#port, own.#stateFolder, name.replace(/\.json$/, '')))
      .filter(({ path }) => path !== own.path);
  }

  /** Undefined when nothing was kept yet, or it is damaged, which is said. */
  async read(context: CommandContext): Promise<KeptDecisions | undefined> {
    const unusable = (why: string): undefined => {
      const says = `what was seen decided before cannot be read (${why}), so it is kept anew`;
      outputOf(context, {}).note(`${says}; ${this.path}`);
    };
    try {
      const bytes = await readFileIfThere(this.#port, this.path, MAX_BYTES);
      if (bytes === undefined) return undefined;
      const { logEpoch, through, decisions } = schema.parse(
        JSON.parse(Buffer.from(bytes).toString('utf8')),
      );
      return {
        logEpoch,
        through,
        decisions: decisions.map(({ leafIndex, event }) => ({
          leafIndex,
          event: fromBase64(event),
        })),
      };
    } catch (error) {
      if (error instanceof FileError) return unusable(error.message);
      if (error instanceof z.ZodError || error instanceof SyntaxError)
        return unusable('it is damaged');
      throw error;
    }
  }

  /** A home that cannot be written stops nothing; it is said. */
  async write(context: CommandContext, kept: KeptDecisions): Promise<void> {
    const { logEpoch, through } = kept;
    const decisions = kept.decisions.map(({ leafIndex, event }) => ({
      leafIndex,
      event: toBase64(event),
    }));
    const text = JSON.stringify({ version: 1, logEpoch, through, decisions });
    try {
      await ensureDirectory(this.#port, this.#folder);
      await writeFileDurably(this.#port, this.path, Buffer.from(`${text}\n`), { mode: 0o600 });
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      outputOf(context, {}).note(
        `what was decided could not be kept (${error.message}); set ALIQUOT_STATE to a folder that can be written`,
      );
    }
  }
}
