/**
 * The codec alone, by kind of content: `node --conditions=aliquot-source bench/micro/codec.ts
 * [--corpus FOLDER] [--rounds N]`. zstd alone and the codec take turns on the same chunks (as a
 * vault with the usual sizes cuts them; each content once); ratios with the 16 bytes of sealing,
 * speeds in MB/s of plaintext per CPU second, the best round. FOLDER has one folder for each kind.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { Chunker } from '@aliquot/shared/content/chunker';
import { decode, ENCODER_VERSION, encode } from '@aliquot/shared/content/codec';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { Noise } from '../data/noise.ts';
import { textFile } from '../data/text.ts';
import { waveformBytes } from '../data/waveform.ts';

const { values } = parseArgs({
  options: {
    corpus: { type: 'string', default: '../shared/corpus' },
    rounds: { type: 'string', default: '3' },
  },
});
const ROUNDS = Number(values.rounds);
const params = { [constants.ZSTD_c_compressionLevel]: 1 };
const encoders = [
  {
    encode: (plain: Uint8Array): Uint8Array => zstdCompressSync(plain, { params }),
    decode: (encoded: Uint8Array): Uint8Array => zstdDecompressSync(encoded),
  },
  { encode: (plain: Uint8Array) => encode(plain, ENCODER_VERSION), decode },
] as const;
const SEAL_BYTES = 16;
const WAVEFORM_BYTES = 8 << 20;
const parameters = {
  chunkerVersion: 1,
  minChunkBytes: 64 << 10,
  averageChunkBytes: 256 << 10,
  maxChunkBytes: 1 << 20,
  encoderVersion: ENCODER_VERSION,
};

interface Kind {
  readonly name: string;
  /** All bytes of the kind's files, also those of content that is there twice. */
  rawBytes: number;
  readonly chunks: Uint8Array[];
}

const gear = new Int32Array(256);
const noise = new Noise(1, 'gear');
for (let value = 0; value < gear.length; value += 1) gear[value] = noise.int();
const seen = new Set<string>();

function take(kind: Kind, bytes: Uint8Array): void {
  kind.rawBytes += bytes.length;
  const chunker = new Chunker(gear, parameters);
  const cuts = chunker.push(bytes);
  if (chunker.pending > 0) cuts.push(bytes.length);
  let from = 0;
  for (const cut of cuts) {
    const chunk = new Uint8Array(bytes.subarray(from, cut));
    from = cut;
    const id = Buffer.from(sha256(chunk)).toString('base64');
    if (seen.has(id)) continue;
    seen.add(id);
    kind.chunks.push(chunk);
  }
}

function kindOf(name: string, files: Iterable<Uint8Array>): Kind {
  const kind: Kind = { name, rawBytes: 0, chunks: [] };
  for (const bytes of files) take(kind, bytes);
  return kind;
}

function* filesBelow(folder: string): Generator<Uint8Array> {
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) yield readFileSync(join(entry.parentPath, entry.name));
  }
}

function calibrated(bytes: Uint8Array): Uint8Array {
  const counts = new Int16Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 1);
  return new Uint8Array(Float32Array.from(counts, (count) => count / 4096).buffer);
}

interface Figures {
  encoded: number;
  encodePerCpuSecond: number;
  decodePerCpuSecond: number;
}

function cpuSeconds(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return Math.max(1, user + system) / 1e6;
}

function measure(
  chunks: readonly Uint8Array[],
  encoder: (typeof encoders)[number],
  best: Figures,
): void {
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  let encoded: Uint8Array[] = [];
  const encoding = cpuSeconds(() => {
    encoded = chunks.map((chunk) => encoder.encode(chunk));
  });
  const decoding = cpuSeconds(() => {
    for (const [at, chunk] of chunks.entries())
      encoder.decode(encoded[at] as Uint8Array, chunk.length);
  });
  best.encoded = encoded.reduce((sum, chunk) => sum + chunk.length + SEAL_BYTES, 0);
  best.encodePerCpuSecond = Math.max(best.encodePerCpuSecond, bytes / encoding);
  best.decodePerCpuSecond = Math.max(best.decodePerCpuSecond, bytes / decoding);
}

const kinds: Kind[] = [];
if (existsSync(values.corpus)) {
  for (const { name } of readdirSync(values.corpus, { withFileTypes: true }).filter((entry) =>
    entry.isDirectory(),
  )) {
    kinds.push(kindOf(name, filesBelow(join(values.corpus, name))));
  }
} else process.stderr.write(`${values.corpus} is not there: made data only\n`);
const corpusKinds = kinds.length;
for (const sigma of [4, 10, 16, 30, 48, 90])
  kinds.push(
    kindOf(`waveform, noise ${sigma}`, [waveformBytes(`codec ${sigma}`, 1, WAVEFORM_BYTES, sigma)]),
  );
kinds.push(
  kindOf('float32, noise 16', [
    calibrated(waveformBytes('codec float', 1, WAVEFORM_BYTES / 2, 16)),
  ]),
);
const small = (['csv', 'txt', 'xml'] as const).flatMap((text) =>
  Array.from({ length: 400 }, (_, at) =>
    textFile(text, `small ${at}`, 1, 1024 + ((at * 7919) % 7168)),
  ),
);
kinds.push(kindOf('text of 1 to 8 KiB', small));

const figures = kinds.map(() =>
  encoders.map((): Figures => ({ encoded: 0, encodePerCpuSecond: 0, decodePerCpuSecond: 0 })),
);
for (let round = 0; round < ROUNDS; round += 1) {
  for (const [at, kind] of kinds.entries()) {
    for (const [which, encoder] of encoders.entries())
      measure(kind.chunks, encoder, figures[at]?.[which] as Figures);
  }
}

const cells = (texts: readonly string[]): string =>
  `${(texts[0] ?? '').padEnd(22)}${texts
    .slice(1)
    .map((text) => text.padStart(9))
    .join('')}\n`;
const mb = (rate: number): string => (rate / 1e6).toFixed(0);
const row = (name: string, rawBytes: number, [first, second]: readonly Figures[]): string =>
  cells([
    name,
    (rawBytes / 1e6).toFixed(2),
    ((first?.encoded ?? 0) / rawBytes).toFixed(4),
    ((second?.encoded ?? 0) / rawBytes).toFixed(4),
    ...[first, second].flatMap((figure) => [
      mb(figure?.encodePerCpuSecond ?? 0),
      mb(figure?.decodePerCpuSecond ?? 0),
    ]),
  ]);
process.stdout.write(
  cells(['kind', 'raw MB', 'zstd', 'ratio', 'zstd enc', 'zstd dec', 'enc', 'dec']),
);
for (const [at, kind] of kinds.entries())
  process.stdout.write(row(kind.name, kind.rawBytes, figures[at] ?? []));
if (corpusKinds > 0) {
  const raw = kinds.slice(0, corpusKinds).reduce((sum, kind) => sum + kind.rawBytes, 0);
  const stored = encoders.map(
    (_, which) =>
      figures.slice(0, corpusKinds).reduce((sum, kind) => sum + (kind[which]?.encoded ?? 0), 0) /
      raw,
  );
  process.stdout.write(
    `\nwhole corpus: ${(raw / 1e6).toFixed(2)} MB, zstd ${stored[0]?.toFixed(4)}, codec ${stored[1]?.toFixed(4)}\n`,
  );
}
