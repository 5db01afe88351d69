import { foldersOf, modeOf, type Tree } from './tree.ts';

const BLOCK = 512;
/**
 * Field offsets and lengths of a ustar header (POSIX.1-1988, pax(1), "ustar Interchange Format").
 */
const field = { name: [0, 100], size: [124, 12], type: [156, 1], prefix: [345, 155] } as const;

/**
 * A tar archive of the files and their folders: ustar, owned by root, every time `seconds` (since
 * 1970). The same files give the same bytes. Throws for a path that ustar cannot hold.
 */
export function writeTar(files: Tree, seconds: number): Buffer {
  const parts: Buffer[] = [];
  const add = (path: string, mode: number, bytes: Buffer, type: '0' | '5') => {
    parts.push(header(path, mode, bytes.length, seconds, type), bytes);
    parts.push(Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK));
  };
  const folders = foldersOf(files).map((path) => ({ path, entry: undefined }));
  const all = [...folders, ...files.map((entry) => ({ path: entry.path, entry }))].sort((a, b) =>
    a.path < b.path ? -1 : 1,
  );
  for (const { path, entry } of all) {
    if (entry === undefined) add(`${path}/`, 0o755, Buffer.alloc(0), '5');
    else add(path, modeOf(entry), entry.bytes, '0');
  }
  parts.push(Buffer.alloc(2 * BLOCK));
  return Buffer.concat(parts);
}

function header(path: string, mode: number, size: number, seconds: number, type: string): Buffer {
  const { name, prefix } = splitPath(path);
  const bytes = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, length: number) =>
    bytes.write(value.toString(8).padStart(length - 1, '0'), at);
  bytes.write(name, field.name[0]);
  octal(mode, 100, 8);
  octal(0, 108, 8); // owner
  octal(0, 116, 8); // group
  octal(size, ...field.size);
  octal(seconds, 136, 12);
  bytes.write(' '.repeat(8), 148);
  bytes.write(type, field.type[0]);
  bytes.write('ustar\0' + '00', 257);
  bytes.write('root', 265);
  bytes.write('root', 297);
  bytes.write(prefix, field.prefix[0]);
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return bytes;
}

/** A path of more than 100 bytes goes into two fields, cut at a slash. */
function splitPath(path: string): { readonly name: string; readonly prefix: string } {
  if (Buffer.byteLength(path) <= field.name[1]) return { name: path, prefix: '' };
  for (let at = path.indexOf('/'); at > 0; at = path.indexOf('/', at + 1)) {
    const [prefix, name] = [path.slice(0, at), path.slice(at + 1)];
    if (
      name !== '' &&
      Buffer.byteLength(name) <= field.name[1] &&
      Buffer.byteLength(prefix) <= field.prefix[1]
    )
      return { name, prefix };
  }
  throw new Error(`${path} is too long for a tar archive`);
}

/**
 * The regular files of a tar archive as npm packs them: ustar, and pax headers for what is longer.
 */
export function readTar(archive: Buffer): ReadonlyMap<string, Buffer> {
  const files = new Map<string, Buffer>();
  const text = (head: Buffer, [at, length]: readonly [number, number]) => {
    const [value = ''] = head.toString('utf8', at, at + length).split('\0');
    return value;
  };
  let paxPath: string | undefined;
  for (let at = 0; ; ) {
    const head = archive.subarray(at, at + BLOCK);
    if (head[0] === 0) return files;
    const size = Number.parseInt(text(head, field.size).trim(), 8);
    const bytes = archive.subarray(at + BLOCK, at + BLOCK + size);
    if (!Number.isSafeInteger(size) || bytes.length !== size)
      throw new Error('the tar archive is cut or damaged');
    const type = text(head, field.type);
    if (type === 'x') {
      paxPath = /^\d+ path=(.*)$/m.exec(bytes.toString())?.[1];
    } else {
      const prefix = text(head, field.prefix);
      const path =
        paxPath ?? (prefix === '' ? text(head, field.name) : `${prefix}/${text(head, field.name)}`);
      if (type === '0' || type === '') files.set(path, bytes);
      paxPath = undefined;
    }
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
  }
}
