import { join } from 'node:path';
import {
  ensureDirectory,
  readFileIfThere,
  writeFileDurably,
} from '@aliquot/shared/durable/durable';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { z } from 'zod';

const MAX_BOOK_BYTES = 8 * 1024 * 1024;
/** A vendor who makes so many bad releases is no vendor. */
const MAX_BAD = 64;

const text = z.string().max(2 * 1024 * 1024);
const lists = z.object({
  root: text,
  timestamp: text.optional(),
  snapshot: text.optional(),
  targets: text.optional(),
});
/** The vendor's lists as they were verified last: what comes after must not be older. */
export type KeptLists = z.infer<typeof lists>;

const bad = z.object({
  version: z.string(),
  reason: z.string(),
  atMs: z.number(),
  withdrawn: z.boolean(),
});

const refusal = z.object({
  version: z.string(),
  code: z.string(),
  message: z.string(),
  atMs: z.number(),
});

const schema = z.object({
  version: z.literal(1),
  lists: lists.optional(),
  /** What the host was asked to try last, how often, and when. */
  asked: z.object({ version: z.string(), times: z.number(), atMs: z.number() }).optional(),
  bad: z.array(bad).max(MAX_BAD),
  refused: refusal.optional(),
});
type Pages = z.infer<typeof schema>;

/**
 * What an agent remembers of releases, in `update/book.json` of its data folder. Every change is
 * durable before anything follows from it.
 */
export class UpdateBook {
  readonly #port: FilePort;
  readonly #dir: string;
  #pages: Pages;

  private constructor(port: FilePort, dir: string, pages: Pages) {
    this.#port = port;
    this.#dir = dir;
    this.#pages = pages;
  }

  /**
   * A damaged book is started over from the vendor's root of this installation: a version that was
   * bad may then be tried once more.
   */
  static async open(port: FilePort, dataDir: string): Promise<UpdateBook> {
    const dir = join(dataDir, 'update');
    const bytes = await readFileIfThere(port, join(dir, 'book.json'), MAX_BOOK_BYTES);
    return new UpdateBook(port, dir, pagesOf(bytes) ?? { version: 1, bad: [] });
  }

  /** The folder for what is fetched. */
  get dir(): string {
    return this.#dir;
  }

  get pages(): Readonly<Pages> {
    return this.#pages;
  }

  async write(change: Partial<Omit<Pages, 'version'>>): Promise<void> {
    const pages = { ...this.#pages, ...change };
    pages.bad = pages.bad.slice(-MAX_BAD);
    await ensureDirectory(this.#port, this.#dir);
    await writeFileDurably(
      this.#port,
      join(this.#dir, 'book.json'),
      Buffer.from(`${JSON.stringify(pages)}\n`),
    );
    this.#pages = pages;
  }
}

function pagesOf(bytes: Buffer | undefined): Pages | undefined {
  try {
    return bytes === undefined ? undefined : schema.parse(JSON.parse(bytes.toString('utf8')));
  } catch (error) {
    if (error instanceof z.ZodError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
