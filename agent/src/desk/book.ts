import { join } from 'node:path';
import {
  decodeSettings,
  decodeSettingsBody,
  encodeSettings,
  FormatError,
  type Settings,
  type SettingsOutcome,
} from '@aliquot/proto';
import { printable } from '@aliquot/shared/cli/format';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { SealedBox } from '@aliquot/shared/crypto/sealed-box';
import {
  ensureDirectory,
  readFileIfThere,
  writeFileDurably,
} from '@aliquot/shared/durable/durable';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import {
  judgeSettings,
  type OpenSettings,
  openSettings,
  type SettingsOwner,
  type SettingsWay,
  sealDetail,
} from '@aliquot/shared/keys/settings';
import { SettingsError, type SettingsErrorCode } from '@aliquot/shared/keys/settings-errors';
import type { Clock, Random } from '@aliquot/shared/ports';
import { Serial } from '@aliquot/shared/serial';
import { type CoveredFolder, type LostCover, lostCover } from '@aliquot/shared/settings/compare';
import type { Mistake } from '@aliquot/shared/settings/text';
import { z } from 'zod';
import type { AgentIdentity } from '../identity/identity.ts';
import { type DeskText, type Effective, effectiveSettings } from './effective.ts';

const MAX_FILE_BYTES = 1024 * 1024;
/** Folders without cover that are remembered until somebody has seen them. */
const MAX_UNCOVERED = 1000;

const schema = z.strictObject({
  version: z.literal(1),
  settings: z.base64().optional(),
  way: z.enum(['collector', 'bundle']).optional(),
  refused: z
    .strictObject({ sequence: z.number(), code: z.string(), message: z.string(), atMs: z.number() })
    .optional(),
  uncovered: z.array(
    z.strictObject({
      path: z.string(),
      patterns: z.array(z.string()),
      sequence: z.number(),
      sinceMs: z.number(),
    }),
  ),
});

/** Settings that were refused last: remembered until others are in force. */
export type RefusedSettings = NonNullable<z.output<typeof schema>['refused']>;

/** A folder that lost its cover by settings, until a person has seen that. */
export type Uncovered = z.output<typeof schema>['uncovered'][number];

/** What becomes of settings, for the desk that sent them. */
export interface DeskAnswer {
  readonly sequence: number;
  readonly outcome: SettingsOutcome;
  readonly code: SettingsErrorCode | '';
  readonly detail: SealedBox | undefined;
}

export interface DeskParts {
  readonly port: FilePort;
  readonly clock: Clock;
  readonly random: Random;
  readonly identity: Pick<AgentIdentity, 'descriptor' | 'certificate' | 'boxKey'>;
  /**
   * The text of `agent.yaml`, which may add to what the desk says; undefined when it is not there.
   */
  readonly ownText: () => Promise<string | undefined>;
}

/**
 * The desk's settings of this PC: judged, kept durably, and only then in force. What is refused is
 * remembered, with why. What nobody judged right is never kept: so a file that was altered here is
 * settings that nobody signed, and counts for nothing.
 */
export class DeskBook {
  readonly #parts: DeskParts;
  readonly #path: string;
  readonly #owner: SettingsOwner;
  readonly #listeners = new Set<() => void>();
  #given: Settings | undefined;
  #way: SettingsWay = 'collector';
  #open: OpenSettings | undefined;
  #refused: RefusedSettings | undefined;
  #uncovered: readonly Uncovered[] = [];
  readonly #serial = new Serial();

  private constructor(parts: DeskParts, path: string) {
    this.#parts = parts;
    this.#path = path;
    const { descriptor, certificate, boxKey } = parts.identity;
    this.#owner = { vault: descriptor, agentId: certificate.enrolment.agentId, boxKey };
  }

  static path(dataDir: string): string {
    return join(dataDir, 'identity', 'settings.json');
  }

  /**
   * Reads what is kept. A damaged file stops nobody: it is forgotten, and the collector hands the
   * settings out again.
   */
  static async open(dataDir: string, parts: DeskParts): Promise<DeskBook> {
    const book = new DeskBook(parts, DeskBook.path(dataDir));
    const folder = join(dataDir, 'identity');
    await ensureDirectory(parts.port, folder);
    // What an earlier process wrote here, and died before it was durable, is about to be believed.
    await parts.port.syncDirectory(folder);
    const bytes = await readFileIfThere(parts.port, book.#path, MAX_FILE_BYTES);
    if (bytes === undefined) return book;
    try {
      const {
        settings,
        way = 'collector',
        refused,
        uncovered,
      } = schema.parse(JSON.parse(bytes.toString('utf8')));
      [book.#refused, book.#uncovered] = [refused, uncovered];
      if (settings !== undefined)
        book.#believe(decodeSettings(new Uint8Array(Buffer.from(settings, 'base64'))), way);
    } catch (error) {
      const damaged =
        error instanceof z.ZodError || error instanceof SyntaxError || error instanceof FormatError;
      if (!damaged && !(error instanceof SettingsError)) throw error;
    }
    return book;
  }

  /** As they were believed once; their terms were over or not then. */
  #believe(given: Settings, way: SettingsWay): void {
    this.#open = openSettings(this.#owner, given, way);
    [this.#given, this.#way] = [given, way];
  }

  /** Of the settings in force; 0: none from the desk. */
  get sequence(): number {
    return this.#open?.body.sequence ?? 0;
  }

  /** The settings in force; undefined: none from the desk. */
  get text(): DeskText | undefined {
    return this.#open && { sequence: this.#open.body.sequence, text: this.#open.contents.text };
  }

  /** The groups that the desk counts this PC in. */
  get groups(): readonly string[] {
    return this.#open?.body.groups ?? [];
  }

  get refused(): RefusedSettings | undefined {
    return this.#refused;
  }

  /** What was refused last, as it is said to central IT again. */
  lastRefusal(): DeskAnswer | undefined {
    if (this.#refused === undefined || this.#refused.sequence < 1) return undefined;
    const { sequence, code, message } = this.#refused;
    const answerKey = this.#open?.contents.answerKey;
    const detail =
      answerKey && sealDetail(answerKey, this.#owner, sequence, message, this.#parts.random);
    return { sequence, outcome: outcomeOf(code), code: code as SettingsErrorCode, detail };
  }

  get uncovered(): readonly Uncovered[] {
    return this.#uncovered;
  }

  /** What counts on this PC now. */
  async now(): Promise<Effective | { readonly mistakes: readonly Mistake[] }> {
    return this.effective(await this.#parts.ownText());
  }

  /** What counts on this PC with `own` as `agent.yaml`. */
  effective(own: string | undefined): Effective | { readonly mistakes: readonly Mistake[] } {
    return effectiveSettings(this.text, own);
  }

  /** Calls back when other settings are in force, or some were refused. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * Judges settings that reached this PC. When this resolves they are durable and in force, or
   * refused and remembered; undefined when they are in force already. Throws FormatError for what
   * is no settings at all.
   */
  take(given: Settings, way: SettingsWay): Promise<DeskAnswer | undefined> {
    return this.#serial.run(() => this.#take(given, way));
  }

  async #take(given: Settings, way: SettingsWay): Promise<DeskAnswer | undefined> {
    if (this.#given !== undefined && equalBytes(this.#given.settings.body, given.settings.body))
      return undefined;
    const { sequence } = decodeSettingsBody(given.settings.body);
    try {
      const judged = judgeSettings(
        this.#owner,
        given,
        way,
        this.sequence,
        this.#parts.clock.nowMs(),
      );
      await this.#enforce(given, way, judged);
      return { sequence, outcome: 'applied', code: '', detail: undefined };
    } catch (error) {
      if (!(error instanceof SettingsError)) throw error;
      return this.#refuse(sequence, error, given, way);
    }
  }

  async #enforce(given: Settings, way: SettingsWay, judged: OpenSettings): Promise<void> {
    const own = await this.#parts.ownText();
    const { sequence } = judged.body;
    const now = effectiveSettings({ sequence, text: judged.contents.text }, own);
    if ('mistakes' in now) throw invalid(sequence, now.mistakes);
    const before = this.effective(own);
    const lost = 'mistakes' in before ? [] : lostCover(foldersIn(before), foldersIn(now));
    const uncovered = this.#stillUncovered(foldersIn(now), lost, sequence);
    await this.#write(given, way, undefined, uncovered);
    [this.#given, this.#way, this.#open] = [given, way, judged];
    [this.#refused, this.#uncovered] = [undefined, uncovered];
    this.#tell();
  }

  /** What has lost its cover: what had before and is not covered again, and what loses it now. */
  #stillUncovered(
    folders: readonly CoveredFolder[],
    lost: readonly LostCover[],
    sequence: number,
  ): readonly Uncovered[] {
    const sinceMs = this.#parts.clock.nowMs();
    const older = this.#uncovered.filter(({ path, patterns }) =>
      lostCover([{ path, exclude: [] }], folders).some((loss) =>
        sameLoss(loss, { path, patterns }),
      ),
    );
    const fresh = lost.filter(({ path }) => !older.some((one) => one.path === path));
    return [
      ...older,
      ...fresh.map(({ path, patterns }) => ({ path, patterns: [...patterns], sequence, sinceMs })),
    ].slice(-MAX_UNCOVERED);
  }

  async #refuse(
    sequence: number,
    error: SettingsError,
    given: Settings,
    way: SettingsWay,
  ): Promise<DeskAnswer> {
    const { code, message } = error;
    const refused = {
      sequence,
      code,
      message: printable(message).slice(0, 1000),
      atMs: this.#parts.clock.nowMs(),
    };
    const same =
      this.#refused?.sequence === sequence &&
      this.#refused.code === code &&
      this.#refused.message === refused.message;
    if (!same) {
      await this.#write(this.#given, this.#way, refused, this.#uncovered);
      this.#refused = refused;
      this.#tell();
    }
    const answerKey = this.#answerKey(given, way);
    const detail =
      answerKey && sealDetail(answerKey, this.#owner, sequence, message, this.#parts.random);
    return { sequence, outcome: outcomeOf(code), code, detail };
  }

  /**
   * Who may learn the reason: the maker of the settings, if they are genuine at all, else the maker
   * of those in force.
   */
  #answerKey(given: Settings, way: SettingsWay): Uint8Array | undefined {
    try {
      return openSettings(this.#owner, given, way).contents.answerKey;
    } catch (error) {
      if (!(error instanceof SettingsError)) throw error;
      return this.#open?.contents.answerKey;
    }
  }

  /** A person has seen that these folders are without cover. */
  async acknowledge(paths: readonly string[]): Promise<void> {
    const left = this.#uncovered.filter(({ path }) => !paths.includes(path));
    if (left.length === this.#uncovered.length) return;
    await this.#write(this.#given, this.#way, this.#refused, left);
    this.#uncovered = left;
    this.#tell();
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  #write(
    given: Settings | undefined,
    way: SettingsWay,
    refused: RefusedSettings | undefined,
    uncovered: readonly Uncovered[],
  ): Promise<void> {
    const settings =
      given === undefined
        ? {}
        : { settings: Buffer.from(encodeSettings(given)).toString('base64'), way };
    const content = {
      version: 1,
      ...settings,
      ...(refused === undefined ? {} : { refused }),
      uncovered,
    };
    return writeFileDurably(
      this.#parts.port,
      this.#path,
      Buffer.from(`${JSON.stringify(content, undefined, 1)}\n`),
      { mode: 0o600 },
    );
  }
}

function outcomeOf(code: string): SettingsOutcome {
  return code === 'SETTINGS_UNKNOWN' ? 'cannot' : 'refused';
}

function sameLoss(a: LostCover, b: LostCover): boolean {
  return (
    a.path === b.path &&
    (a.patterns.length === 0 || b.patterns.every((pattern) => a.patterns.includes(pattern)))
  );
}

function foldersIn({ config }: Effective): readonly CoveredFolder[] {
  return config.sources.map(({ path, exclude }) => ({ path, exclude }));
}

/**
 * The words are those that `agent.yaml` gets; a key that is not known here may be of a newer
 * release.
 */
function invalid(sequence: number, mistakes: readonly Mistake[]): SettingsError {
  const lines = mistakes.map(({ line, message }) => `line ${line}: ${message}`);
  const unknown = mistakes.every((mistake) => mistake.unknown === true);
  return new SettingsError(
    unknown ? 'SETTINGS_UNKNOWN' : 'SETTINGS_INVALID',
    unknown
      ? `settings ${sequence} hold what this release of the agent does not know: ${lines.join('; ')}`
      : `settings ${sequence} have mistakes: ${lines.join('; ')}`,
  );
}
