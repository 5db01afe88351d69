import { basename, join } from 'node:path';
import {
  ensureDirectory,
  readFileIfThere,
  removeDurably,
  writeFileDurably,
} from '@aliquot/shared/durable/durable';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { isForeseen } from '@aliquot/shared/durable/unexpected';
import { type ReleasePart, releasePart } from '@aliquot/shared/release/targets';
import { UplinkError } from '../uplink/errors.ts';
import type { KeptLists } from './book.ts';
import { UpdateError } from './errors.ts';
import type { ReleaseSource } from './source.ts';

/** A file of a release as the vendor signed for it. */
export interface VendorFile<Part extends ReleasePart = ReleasePart> {
  readonly name: string;
  readonly length: number;
  /** In hexadecimal. */
  readonly sha256: string;
  readonly part: Part;
}

/** The vendor's lists, verified just now. */
export interface VendorLists {
  /** To be kept before anything is done with what they say. */
  readonly kept: KeptLists;
  /** What the vendor says about a file; undefined when the newest list does not name it. */
  find(name: string): Promise<VendorFile | undefined>;
}

export interface ListParts {
  readonly port: FilePort;
  /** A folder for tuf-js to work in; nothing in it is believed afterwards. */
  readonly scratch: string;
  /** What was verified last, or the root that this installation came with. */
  readonly kept: KeptLists;
  readonly source: ReleaseSource;
}

const roles = ['root', 'timestamp', 'snapshot', 'targets'] as const;
const MAX_LIST_BYTES = 2 * 1024 * 1024;
/** Never asked for: tuf-js wants addresses, and takes the last name of them. */
const BASE_URL = 'https://collector.invalid/metadata';

/**
 * Fetches and verifies the vendor's lists as TUF prescribes (specification 1.0.31, section 5.3 to
 * 5.6): new roots by the keys of the old one, nothing older than what was verified before, nothing
 * past its term. Errors: `UpdateError`, `UplinkError` where the session ended.
 */
export async function refreshLists({
  port,
  scratch,
  kept,
  source,
}: ListParts): Promise<VendorLists> {
  // Loaded here: an agent that is up to date has no use for them.
  const [{ Updater }, { DownloadHTTPError }] = await Promise.all([
    import('tuf-js'),
    import('tuf-js/dist/error.js'),
  ]);
  await ensureDirectory(port, scratch);
  for (const role of roles) {
    const text = kept[role];
    if (text === undefined) await removeDurably(port, join(scratch, `${role}.json`));
    else await writeFileDurably(port, join(scratch, `${role}.json`), Buffer.from(text));
  }
  let broken: UplinkError | undefined;
  const downloadBytes = async (url: string, maxLength: number): Promise<Buffer> => {
    const name = basename(url);
    try {
      const bytes = await source.whole(`metadata/${name}`, Math.min(maxLength, MAX_LIST_BYTES));
      if (bytes !== undefined) return bytes;
    } catch (error) {
      if (error instanceof UplinkError) broken = error;
      throw error;
    }
    throw new DownloadHTTPError(`the collector has no ${name}`, 404);
  };
  const downloadFile = (): Promise<never> =>
    Promise.reject(new Error('files of releases are fetched in parts'));
  const updater = new Updater({
    metadataDir: scratch,
    metadataBaseUrl: BASE_URL,
    fetcher: { downloadBytes, downloadFile },
  });
  try {
    await updater.refresh();
  } catch (error) {
    if (broken !== undefined) throw broken;
    throw refusalOf(error);
  }
  const read = async (role: (typeof roles)[number]): Promise<string> =>
    (await readFileIfThere(port, join(scratch, `${role}.json`), MAX_LIST_BYTES))?.toString(
      'utf8',
    ) ?? '';
  const [root, timestamp, snapshot, targets] = await Promise.all(roles.map(read));
  return {
    kept: { root: root ?? kept.root, timestamp, snapshot, targets },
    async find(name) {
      const target = await updater.getTargetInfo(name);
      const part = releasePart.safeParse(target?.custom);
      const sha256 = target?.hashes['sha256'];
      if (target === undefined || !part.success || sha256 === undefined) return undefined;
      return { name, length: target.length, sha256, part: part.data };
    },
  };
}

/**
 * tuf-js wraps its errors in text, so the text says which it was. Whatever it throws comes of bytes
 * that the collector gave: nothing here ends the process.
 */
function refusalOf(cause: unknown): unknown {
  if (isForeseen(cause)) return cause;
  const says = cause instanceof Error ? cause.message : String(cause);
  if (/^Failed to persist/.test(says))
    return new UpdateError(
      'UPDATE_NO_ROOM',
      'the lists of releases cannot be written: is the disk full?',
      { cause },
    );
  if (/is expired/.test(says)) {
    const way = "if this PC's clock is right, add the vendor's newest release: aliquot release add";
    return new UpdateError('UPDATE_EXPIRED', `the vendor's lists are past their term; ${way}`, {
      cause,
    });
  }
  if (/is less than current version|does(n't| not) match/.test(says)) {
    const way = 'the collector was put back, or hides releases: add the newest one again';
    return new UpdateError(
      'UPDATE_ROLLED_BACK',
      `the collector hands out older lists of releases than before; ${way}`,
      { cause },
    );
  }
  if (/the collector has no/.test(says))
    return new UpdateError(
      'UPDATE_ABSENT',
      'the collector has no releases; hand it one: aliquot release add',
      { cause },
    );
  const way = 'nothing of it is used; look at where the release on the collector is from';
  return new UpdateError(
    'UPDATE_FOREIGN',
    `the lists of releases are not the vendor's, or were altered; ${way}`,
    { cause },
  );
}
