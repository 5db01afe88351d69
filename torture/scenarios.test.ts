import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { pointsOf, wasHit } from './outside/strace.ts';
import { scenarioTable } from './scenario-table.ts';
import { scenarios } from './scenarios.ts';
import { Record } from './soak/record.ts';

const doc = readFileSync(join(import.meta.dirname, '../docs/reliability.md'), 'utf8');

describe('the scenarios of torture', () => {
  it('have names of their own, lower case with hyphens, and say in a sentence what they do', () => {
    expect(new Set(scenarios.map(({ name }) => name)).size).toBe(scenarios.length);
    for (const { name, about, proves } of scenarios) {
      expect(name).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/);
      expect([name, about.length > 40, proves.length > 0]).toEqual([name, true, true]);
    }
  });

  it('stand each in docs/reliability.md with the promises that they prove; npm run torture:docs writes that table', () => {
    expect(doc).toContain(
      `<!-- scenarios -->\n${scenarioTable(scenarios)}<!-- end of scenarios -->`,
    );
  });
});

describe('the judge of system calls', () => {
  const trace = [
    '10 openat(AT_FDCWD</>, "/opt/node/lib.js", O_RDONLY) = 17</opt/node/lib.js>',
    '11 openat(AT_FDCWD</>, "/t/case/agent/queue/1.seg", O_RDWR|O_CREAT, 0600) = 18</t/case/agent/queue/1.seg>',
    '11 pwrite64(18</t/case/agent/queue/1.seg>, ""..., 16, 0) = 16',
    '11 write(9<anon_inode:[eventfd]>, ""..., 8) = 8',
    '11 pwrite64(19</t/elsewhere>, ""..., 16, 0) = 16',
    '11 pwrite64(18</t/case/agent/queue/1.seg>, ""..., 30, 16 <unfinished ...>',
    '10 write(1<pipe:[1]>, ""..., 3) = 3',
    '11 <... pwrite64 resumed>) = 30',
    '11 rename("/t/case/agent/.aq-00.part", "/t/case/agent/lock.json") = 0',
    '10 +++ exited with 0 +++',
  ].join('\n');

  it('counts calls as strace does: of a thread, or of a file where pipes and modules are written and opened too', () => {
    expect(pointsOf(trace, '/t', ['/t/case/agent'])).toEqual([
      { syscall: 'openat', path: 'case/agent/queue/1.seg', when: 1 },
      { syscall: 'pwrite64', path: undefined, when: 1 },
      { syscall: 'pwrite64', path: undefined, when: 3 },
      { syscall: 'rename', path: undefined, when: 1 },
    ]);
  });

  it('believes a fault only when strace says that it happened to the data', () => {
    expect(wasHit(trace, ['/t/case/agent'], 'error=EIO')).toBe(false);
    expect(
      wasHit(
        '11 fsync(4</t/other>) = -1 EIO (Input/output error) (INJECTED)',
        ['/t/case/agent'],
        'error=EIO',
      ),
    ).toBe(false);
    expect(
      wasHit(
        '11 fsync(4</t/case/agent>) = -1 EIO (Input/output error) (INJECTED)',
        ['/t/case/agent'],
        'error=EIO',
      ),
    ).toBe(true);
    expect(wasHit(trace, ['/t/case/agent'], 'signal=KILL')).toBe(false);
    expect(wasHit('10 +++ killed by SIGKILL +++', ['/t/case/agent'], 'signal=KILL')).toBe(true);
  });
});

describe('the record of the soak', () => {
  const sha256 = '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824'; // of "hello"

  it('wants back what was told as captured and what lies there at the end, and nothing that was never written', () => {
    const record = new Record();
    const result = record.begin('/a', ['/a']);
    record.wrote('/a', Buffer.from('hello'));
    record.finish(result);
    expect(record.judge('/a', [])).toEqual([]);
    record.heardCaptured('/a', 4);
    expect(record.judge('/a', [])).toEqual([]);
    record.heardCaptured('/a', 5);
    expect(record.judge('/a', [])).toEqual(['/a: the state of 5 bytes did not come back']);
    record.touch(result);
    record.wrote('/a', Buffer.from('hello, world'));
    record.finish(result);
    expect(record.judge('/a', [sha256])).toEqual([]);
    record.requireAllPresent();
    expect(record.judge('/a', [sha256])).toEqual(['/a: the state of 12 bytes did not come back']);
    expect(record.judge('/a', ['00'])).toContain(
      '/a: a version came back that no instrument wrote: 00',
    );
  });

  it('takes what a file was for a moment while it was written, empty or cut between two calls, and does not want it back', () => {
    const record = new Record();
    const content = Buffer.alloc(1024 * 1024 + 1, 7);
    const hashOf = (bytes: number) =>
      createHash('sha256').update(content.subarray(0, bytes)).digest('hex');
    record.passes('/a', content, 0);
    record.wrote('/a', content);
    expect(record.judge('/a', [0, 512 * 1024, 1024 * 1024].map(hashOf))).toEqual([]);
    expect(record.judge('/a', [])).toEqual([]);
    expect(record.judge('/a', [hashOf(5)])).toHaveLength(1);
    expect(record.judge('/b', [hashOf(0)])).toHaveLength(1);
  });

  it('lets a collection take what was left and replaced before its terms, and nothing else', () => {
    let nowMs = 0;
    const record = new Record(() => nowMs);
    const result = record.begin('/a', ['/a']);
    record.wrote('/a', Buffer.from('hello'));
    record.finish(result);
    record.heardCaptured('/a', 5);
    nowMs = 10;
    record.touch(result);
    nowMs = 20;
    record.collects(5);
    // Deleted or changed, it is the last content until another comes.
    expect(record.judge('/a', [])).toHaveLength(1);
    record.wrote('/a', Buffer.from('hello, world'));
    record.finish(result);
    record.requireAllPresent();
    expect(record.counts).toMatchObject({ required: 2, mayBeGone: 1 });
    expect(record.judge('/a', [])).toEqual(['/a: the state of 12 bytes did not come back']);
    nowMs = 30;
    record.touch(result);
    record.wrote('/a', Buffer.from('later'));
    nowMs = 34;
    record.collects(5);
    expect(record.judge('/a', [])).toEqual(['/a: the state of 12 bytes did not come back']);
  });

  it('does not take a folder as told before all of it is, nor a file that is being changed', () => {
    const record = new Record();
    const result = record.begin('/r.D', ['/r.D/x', '/r.D/y']);
    record.wrote('/r.D/x', Buffer.from('hello'));
    record.wrote('/r.D/y', Buffer.from('hi'));
    record.heardCaptured('/r.D', 7);
    expect(record.counts.told).toBe(0);
    record.finish(result);
    record.heardCaptured('/r.D', 5);
    expect(record.counts.told).toBe(0);
    record.heardCaptured('/r.D', 7);
    expect(record.counts).toEqual({ files: 2, states: 2, told: 1, required: 2, mayBeGone: 0 });
    expect(record.finishedResults(true)).toEqual([result]);
    record.gone(result);
    expect(record.finishedResults(false)).toEqual([]);
    expect(record.judge('/r.D/x', [])).toHaveLength(1);
  });
});
