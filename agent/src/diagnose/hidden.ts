import { createHmac } from 'node:crypto';
import { win32 } from 'node:path';

/**
 * A path as a diagnosis shows it: which ones are the same can be seen, and what kind of file it is,
 * but no name.
 */
export interface HiddenPath {
  readonly path: string;
  /** How many names it has. */
  readonly depth: number;
  /** `.csv` and the like; empty for an ending that is in no list, for it could be a name. */
  readonly suffix: string;
}

const HASH_CHARS = 12;

/**
 * Endings that say what a file is and nothing else: of instruments, of what labs make of their
 * results, and of files that make trouble.
 */
const suffixes = new Set(
  (
    'baf bak bin ch cdf csv czi d dat db dcm dx fcs fid gz html ini j2k jcamp jdx jpg json lcd lck lif lnk lock log md mdb ms mth mzml nd2 ' +
    'npy ome oib pdf png ps ptw qgd raw rdx reg seq ser sp spc sqlite svs swp tar tdf temp tif tiff tmp txt uv vsi wiff wsp wdf xls xlsx xml xps yaml zip'
  ).split(' '),
);

/**
 * Hides names behind a salt that is forgotten with the diagnosis: nobody can try guesses against it
 * afterwards, and what two diagnoses hide cannot be compared.
 */
export class Hider {
  readonly #salt: Uint8Array;

  constructor(salt: Uint8Array) {
    this.#salt = salt;
  }

  /** Of POSIX or Windows, as text. */
  path(path: string): HiddenPath {
    const names = path.split(/[\\/]/).filter((name) => name !== '');
    const ending = win32.extname(path).slice(1);
    return {
      path: this.word(path),
      depth: names.length,
      suffix: suffixes.has(ending.toLowerCase()) ? `.${ending.toLowerCase()}` : '',
    };
  }

  /** Any other text. */
  word(text: string): string {
    return createHmac('sha256', this.#salt).update(text).digest('hex').slice(0, HASH_CHARS);
  }
}

/**
 * Settings whose texts are words of this program, times, or places on this PC: they name nobody.
 */
const plain = new Set([
  'logLevel',
  'priority',
  'from',
  'to',
  'days',
  'scanSchedule',
  'listen',
  'version',
  'window',
  'local',
]);

/**
 * Settings with every text hidden that a person chose. Numbers, switches and the settings' own
 * names stay.
 */
export function hideSettings(hider: Hider, value: unknown, key = ''): unknown {
  if (Array.isArray(value)) return value.map((one) => hideSettings(hider, one, key));
  if (typeof value === 'string') {
    if (plain.has(key)) return value;
    return /^(\/|[A-Za-z]:|\\\\)/.test(value) ? hider.path(value) : { text: hider.word(value) };
  }
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([name, inner]) => [
    key === 'classes' ? hider.word(name) : name,
    hideSettings(hider, inner, name),
  ]);
  return Object.fromEntries(entries);
}
