import { describe, expect, it } from 'vitest';
import { toBase64 } from '../api/base64.ts';
import type { NameRow } from '../api/messages.ts';
import { differences } from './diff.ts';

function row(path: string, version: string, fields: Partial<NameRow> = {}): NameRow {
  return {
    agent: 'a',
    path: toBase64(Buffer.from(path)),
    platform: 'posix',
    kind: 'file',
    size: 1,
    mtimeNs: '0',
    mode: 0o644,
    linkTarget: '',
    class: 'default',
    completion: 'assumed',
    capturedAtMs: 0,
    versionTimeMs: 0,
    receivedAtMs: 0,
    fileId: Buffer.from(path).toString('hex').padEnd(64, '0').slice(0, 64),
    version,
    ...fields,
  };
}

async function* each(rows: readonly NameRow[]): AsyncGenerator<NameRow> {
  yield* rows;
}

async function diff(before: readonly NameRow[], after: readonly NameRow[]): Promise<string[]> {
  const lines: string[] = [];
  for await (const { change, row: changed } of differences(each(before), each(after))) {
    lines.push(`${change} ${Buffer.from(changed.path, 'base64').toString()}`);
  }
  return lines;
}

describe('diff', () => {
  it('names what came, changed and went', async () => {
    const before = [row('/kept', 'v1.0'), row('/changed', 'v1.1'), row('/gone', 'v1.2')];
    const after = [row('/kept', 'v1.0'), row('/changed', 'v2.0'), row('/new', 'v2.1')];
    expect(await diff(before, after)).toEqual(['M /changed', 'A /new', 'D /gone']);
  });

  it('does not call a folder changed because files in it came and went', async () => {
    const folder = { kind: 'directory', size: 0 } as const;
    expect(await diff([row('/run', 'v1.0', folder)], [row('/run', 'v2.0', folder)])).toEqual([]);
    expect(
      await diff([row('/run', 'v1.0', folder)], [row('/run', 'v2.0', { ...folder, mode: 0o700 })]),
    ).toEqual(['M /run']);
  });

  it('says nothing about equal states', async () => {
    expect(await diff([row('/a', 'v.0')], [row('/a', 'v.0')])).toEqual([]);
  });
});
