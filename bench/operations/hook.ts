/**
 * Counts what the programs do, by thread: loaded before a program that runs from its sources
 * (`node --import`), in all its threads. The counters are one piece of shared memory, so that a
 * thread which is terminated loses nothing; the main thread writes them down at its end.
 */
import crypto, { type BinaryLike, KeyObject } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire, registerHooks, syncBuiltinESMExports } from 'node:module';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import workers, {
  getEnvironmentData,
  isMainThread,
  setEnvironmentData,
  threadId,
} from 'node:worker_threads';
import { type ESTree, parseSync, Visitor } from 'vite';
import { type CountedOperation, operations, shownByte } from './operations.ts';

const root = join(import.meta.dirname, '..', '..');
const SHARED = 'aliquot operations';
const THREADS = 64;

if (isMainThread)
  setEnvironmentData(SHARED, new SharedArrayBuffer(THREADS * operations.length * 8));
const counters = new BigUint64Array(getEnvironmentData(SHARED) as SharedArrayBuffer);
const names = new Map([[0, 'main']]);
/** Rows that the main thread put and deleted, by the first byte of their keys. */
const kinds = new Map<string, number>();
const places = new Map(operations.map((name, at) => [name, threadId * operations.length + at]));

function count(operation: CountedOperation, times = 1): void {
  const place = places.get(operation) ?? 0;
  counters[place] = (counters[place] ?? 0n) + BigInt(times);
}
Object.assign(globalThis, { operationCounted: count });

/** Functions of ours that are counted by their names: what the platform does not see as one. */
const ours: Readonly<Record<string, Readonly<Record<string, CountedOperation>>>> = {
  'shared/src/crypto/primitives.ts': { hkdfSha256: 'HKDF' },
  'shared/src/content/zstd.ts': { compress: 'zstd, packed', unfold: 'zstd, unpacked' },
};

/** The text with a call at the start of each counted function that no other of them calls. */
function instrument(text: string, counted: Readonly<Record<string, CountedOperation>>): string {
  const starts: { readonly offset: number; readonly call: string }[] = [];
  const note = (name: string, { body }: ESTree.Function): void => {
    const operation = counted[name];
    if (operation !== undefined && body !== null)
      starts.push({ offset: body.start + 1, call: `operationCounted('${operation}');` });
  };
  new Visitor({
    FunctionDeclaration: (node) => note(node.id?.name ?? '', node),
    MethodDefinition: ({ key, value }) =>
      note(key.type === 'Identifier' ? key.name : '', value as ESTree.Function),
  }).visit(parseSync('source.ts', text).program);
  return starts
    .sort((a, b) => b.offset - a.offset)
    .reduce((done, { offset, call }) => done.slice(0, offset) + call + done.slice(offset), text);
}

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    const path = url.startsWith('file:') ? relative(root, fileURLToPath(url)) : '';
    const counted = ours[path];
    if (counted === undefined) return loaded;
    return { ...loaded, source: instrument(readFileSync(join(root, path), 'utf8'), counted) };
  },
});

/** Puts a function in the place of one of an object's, which it is given. */
function wrap<Of extends object, Name extends keyof Of>(
  of: Of,
  name: Name,
  make: (before: Of[Name]) => (...args: never[]) => unknown,
): void {
  of[name] = make(of[name]) as Of[Name];
}

const calling = (before: unknown, self: unknown, args: readonly unknown[]): unknown =>
  (before as (...all: unknown[]) => unknown).apply(self, [...args]);

function counting<Of extends object>(
  of: Of,
  name: keyof Of,
  operation: (...args: never[]) => CountedOperation | undefined,
): void {
  wrap(
    of,
    name,
    (before) =>
      function counted(this: unknown, ...args: unknown[]) {
        const found = (operation as (...all: unknown[]) => CountedOperation | undefined)(...args);
        if (found !== undefined) count(found);
        return calling(before, this, args);
      },
  );
}

const hashOf = (algorithm: string): CountedOperation =>
  algorithm.toLowerCase() === 'sha256' ? 'SHA-256' : 'other hashes';
counting(crypto, 'createHash', hashOf);
counting(crypto, 'hash', hashOf);
counting(crypto, 'createHmac', () => 'HMAC of the platform');
counting(crypto, 'hkdfSync', () => 'HKDF');
counting(crypto, 'createSecretKey', () => 'key objects');
counting(crypto, 'sign', () => 'signatures');
counting(crypto, 'verify', () => 'signatures proved');
const cipher = (algorithm: string, key: BinaryLike | KeyObject): CountedOperation => {
  if (!(key instanceof KeyObject)) count('ciphers with raw keys');
  return algorithm.endsWith('gcm') ? 'AES-GCM' : 'AES-CTR';
};
counting(crypto, 'createCipheriv', cipher);
counting(crypto, 'createDecipheriv', cipher);

const require = createRequire(join(root, 'proto/package.json'));
interface Protobuf {
  readonly Writer: { readonly prototype: { finish(): unknown } };
  Reader: { create(bytes: Uint8Array): unknown } & (new (bytes: Uint8Array) => object);
}
const protobuf = require('protobufjs/minimal') as Protobuf;
counting(protobuf.Writer.prototype, 'finish', () => 'protobuf, encoded');
counting(protobuf.Reader, 'create', () => 'protobuf, decoded');
protobuf.Reader = new Proxy(protobuf.Reader, {
  construct(reader, args) {
    count('protobuf, decoded');
    return Reflect.construct(reader, args) as object;
  },
});

interface LevelParts {
  _chainedBatch(...args: readonly unknown[]): {
    _put(key: Uint8Array, ...rest: readonly unknown[]): void;
    _del(key: Uint8Array, ...rest: readonly unknown[]): void;
  };
  _get(): void;
  _getMany(keys: readonly unknown[]): void;
  _iterator(...args: readonly unknown[]): {
    _nextv(...args: readonly unknown[]): Promise<unknown[]>;
  };
}
// LevelDB is native code: only the threads that open one load it.
if (isMainThread) {
  const { Level } = createRequire(join(root, 'shared/package.json'))('level') as {
    readonly Level: { readonly prototype: LevelParts };
  };
  counting(Level.prototype, '_get', () => 'LevelDB, keys asked for');
  counting(Level.prototype, '_getMany', (keys: readonly unknown[]) => {
    count('LevelDB, keys asked for', keys.length);
    return 'LevelDB, questions for many';
  });
  const counted = (type: 'put' | 'deleted', key: Uint8Array): void => {
    count(type === 'put' ? 'LevelDB, rows put' : 'LevelDB, rows deleted');
    const kind = `LevelDB, rows ${type}: ${shownByte(key[0] ?? 0)}`;
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  };
  wrap(
    Level.prototype,
    '_chainedBatch',
    (before) =>
      function chaining(this: unknown, ...args) {
        count('LevelDB, batches');
        const chain = calling(before, this, args) as ReturnType<LevelParts['_chainedBatch']>;
        const [put, del] = [chain._put.bind(chain), chain._del.bind(chain)];
        chain._put = (key, ...rest) => {
          counted('put', key);
          put(key, ...rest);
        };
        chain._del = (key, ...rest) => {
          counted('deleted', key);
          del(key, ...rest);
        };
        return chain;
      },
  );
  wrap(
    Level.prototype,
    '_iterator',
    (before) =>
      function iterating(this: unknown, ...args) {
        const iterator = calling(before, this, args) as ReturnType<LevelParts['_iterator']>;
        const next = iterator._nextv.bind(iterator);
        iterator._nextv = async (...more) => {
          const rows = await next(...more);
          count('LevelDB, rows read in order', rows.length);
          return rows;
        };
        return iterator;
      },
  );
}

// A worker with options of its own (the capture thread's) does not inherit this module.
const Worker = workers.Worker;
workers.Worker = class extends Worker {
  constructor(url: string | URL, options: workers.WorkerOptions = {}) {
    const execArgv = [...(options.execArgv ?? []), '--import', import.meta.url];
    super(url, options.execArgv === undefined ? options : { ...options, execArgv });
    names.set(this.threadId, options.name ?? `thread ${this.threadId}`);
  }
};
syncBuiltinESMExports();

if (isMainThread)
  process.on('exit', () => {
    const threads = [...names].map(([id, name]) => ({
      name,
      counts: Object.fromEntries([
        ...operations.map((operation, at) => [
          operation,
          Number(counters[id * operations.length + at] ?? 0n),
        ]),
        ...(id === 0 ? kinds : []),
      ]),
    }));
    writeFileSync(`${process.env['OPERATIONS_OUT']}-${process.pid}`, JSON.stringify(threads));
  });
