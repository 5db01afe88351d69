import { Noise } from './noise.ts';

/** The small files that instruments write beside their data. */
export type TextKind = 'csv' | 'txt' | 'xml';

const WORDS = [
  'acquisition baseline calibration channel column detector dilution eluent flow gradient injection instrument integration method operator',
  'peak plate position pressure pump quantitation retention sample sequence signal standard temperature threshold volume warning wavelength',
]
  .join(' ')
  .split(' ');

const digits = (noise: Noise, count: number): string =>
  String(noise.below(10 ** count)).padStart(count, '0');
const word = (noise: Noise): string => WORDS[noise.below(WORDS.length)] ?? '';

function csvLine(noise: Noise, line: number): string {
  const time = (line * 0.05).toFixed(2);
  return `${time},${digits(noise, 5)}.${digits(noise, 2)},${noise.below(40)}.${digits(noise, 3)},${word(noise)}\n`;
}

function txtLine(noise: Noise, line: number): string {
  const clock = `${String(8 + (line >> 10)).padStart(2, '0')}:${String((line >> 4) % 60).padStart(2, '0')}:${digits(noise, 2)}.${digits(noise, 3)}`;
  return `${clock} ${word(noise)} ${word(noise)} ${word(noise)} = ${digits(noise, 4)} (${word(noise)}, ${digits(noise, 6)})\n`;
}

/** A spectrum as mzML and its kin write it: numbers as base64, which hardly compresses. */
function xmlLine(noise: Noise, line: number): string {
  const peaks = Buffer.alloc(72);
  for (let at = 0; at < peaks.length; at += 4) peaks.writeInt32LE(noise.int(), at);
  const time = `${noise.below(60)}.${digits(noise, 3)}`;
  return `  <scan num="${line}" retentionTime="${time}" basePeak="${digits(noise, 6)}"><peaks>${peaks.toString('base64')}</peaks></scan>\n`;
}

const heads: Record<TextKind, (name: string) => string> = {
  csv: (name) => `# ${name}\ntime/min,signal/mAU,pressure/bar,event\n`,
  txt: (name) => `Report of ${name}\n\n`,
  xml: (name) => `<?xml version="1.0" encoding="utf-8"?>\n<result name="${name}">\n`,
};
const lines: Record<TextKind, (noise: Noise, line: number) => string> = {
  csv: csvLine,
  txt: txtLine,
  xml: xmlLine,
};

/**
 * One text file of exactly `bytes` bytes (cut in the middle of a line, as an instrument that is
 * still writing leaves it).
 */
export function textFile(kind: TextKind, name: string, seed: number, bytes: number): Buffer {
  const noise = new Noise(seed, name);
  let text = heads[kind](name);
  const line = lines[kind];
  for (let number = 0; text.length < bytes; number += 1) text += line(noise, number);
  return Buffer.from(text.slice(0, bytes), 'latin1');
}
