import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { signFile } from './sign.ts';
import { root } from './targets.ts';

/** [MS-OLEPS] FMTID_SummaryInformation, as it stands in the file. */
const SUMMARY = Buffer.from('e0859ff2f94f6810ab9108002b27b3d9', 'hex');
const PACKAGE_CODE = 9;
const CREATED = 12;
const SAVED = 13;
const TEXT = 30;
const FILETIME = 64;
/** From 1601 to 1970, in seconds. */
const EPOCH_1601 = 11_644_473_600n;

/**
 * The MSI of the agent, made by wixl around a setup (`deploy/windows/agent.wxs`). Its ids come from
 * the setup's bytes and its times from `seconds`, because wixl takes chance and the clock for them:
 * twice gives the same bytes. Throws with wixl's words.
 */
export function buildMsi(setup: Buffer, version: string, seconds: number): Buffer {
  const work = mkdtempSync(join(tmpdir(), 'aliquot-msi-'));
  try {
    writeFileSync(join(work, 'aliquot-agent-setup.exe'), setup);
    utimesSync(join(work, 'aliquot-agent-setup.exe'), seconds, seconds); // stands in the cabinet
    copyFileSync(join(root, 'deploy/windows/agent.wxs'), join(work, 'agent.wxs'));
    const numbers = version.split(/[.+-]/).slice(0, 3).join('.');
    const defines = {
      PRODUCT: idOf('product', setup),
      PACKAGE: idOf('package', setup),
      NUMBERS: numbers,
      VERSION: version,
    };
    const { error, status, stderr } = spawnSync(
      'wixl',
      [
        '-a',
        'x64',
        '-o',
        'agent.msi',
        ...Object.entries(defines).flatMap(([name, value]) => ['-D', `${name}=${value}`]),
        'agent.wxs',
      ],
      { cwd: work, encoding: 'utf8' },
    );
    if (error !== undefined)
      throw new Error("there is no wixl; install Debian's wixl (apt-get install wixl)");
    if (status !== 0) throw new Error(`wixl: ${stderr}`);
    const out = join(work, 'agent.msi');
    writeFileSync(out, withoutChance(readFileSync(out), idOf('package', setup), seconds));
    signFile(out);
    return readFileSync(out);
  } finally {
    rmSync(work, { recursive: true });
  }
}

/**
 * A GUID that names these bytes for one purpose: a name-based one of SHA-256, as RFC 9562 section
 * 5.8 lets one make it.
 */
function idOf(purpose: string, setup: Buffer): string {
  const hash = createHash('sha256').update(`${purpose}\0`).update(setup).digest();
  hash.writeUInt8((hash.readUInt8(6) & 0x0f) | 0x80, 6);
  hash.writeUInt8((hash.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = hash.toString('hex').toUpperCase();
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20, 32),
  ].join('-');
}

/**
 * Replaces package code and times in the summary, value for value: their places and lengths stay.
 */
function withoutChance(msi: Buffer, id: string, seconds: number): Buffer {
  const at = msi.indexOf(SUMMARY);
  if (at < 0) throw new Error('wixl wrote an MSI without a summary');
  // its offset counts from the stream's begin
  const section = at - 28 + msi.readUInt32LE(at + SUMMARY.length);
  const values = new Map<number, number>();
  for (let index = 0; index < msi.readUInt32LE(section + 4); index += 1)
    values.set(
      msi.readUInt32LE(section + 8 + 8 * index),
      section + msi.readUInt32LE(section + 12 + 8 * index),
    );
  const place = (property: number, type: number): number => {
    const value = values.get(property);
    if (value === undefined || msi.readUInt32LE(value) !== type)
      throw new Error(`the summary of wixl's MSI has no property ${property} of type ${type}`);
    return value + 4;
  };
  msi.write(`{${id}}\0`, place(PACKAGE_CODE, TEXT) + 4, 'latin1');
  for (const property of [CREATED, SAVED])
    msi.writeBigUInt64LE((BigInt(seconds) + EPOCH_1601) * 10_000_000n, place(property, FILETIME));
  return msi;
}
