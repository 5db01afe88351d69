/** P6: the last line of a command is true in every state, and what is missing comes first. */
import type { Output } from '@aliquot/shared/cli/output';
import { expect, test } from 'vitest';
import type { AgentEvent } from '../socket/protocol.ts';
import { presenter } from './present.ts';
import { statusText } from './status-text.ts';

const clock = { nowMs: () => Date.parse('2026-11-21T14:10:00Z') };

async function lineOf(event: AgentEvent): Promise<string> {
  let text = '';
  const say = (more = '') => {
    text += more;
  };
  const output: Output = {
    json: false,
    result: async (_record, line) => say(line),
    bytes: async () => undefined,
    note: say,
    progress: () => ({ update: () => undefined, done: () => undefined }),
  };
  await presenter(output, clock).emit(event);
  return text;
}

const backup = (fields: object): AgentEvent => ({
  event: 'summary',
  ...{
    files: 5,
    bytes: 5000,
    sentBytes: 1000,
    queued: 0,
    failed: 0,
    newFiles: 5,
    changed: 0,
    unchanged: 0,
    gone: 0,
    folders: 1,
    links: 0,
  },
  ...fields,
});
const nothing = { files: 0, bytes: 0, newFiles: 0, folders: 0, sentBytes: 0 };

test.each([
  [
    'all is captured and receipted',
    {},
    /^5 files, .*; everything captured is safe at the collector$/,
  ],
  [
    'some could not be captured',
    { failed: 2 },
    /^2 paths NOT PROTECTED; 5 files.*; what was captured is safe at the collector$/,
  ],
  [
    'none of seven could be',
    { ...nothing, failed: 7 },
    /^7 paths NOT PROTECTED; 0 files.*; nothing was captured$/,
  ],
  ['nothing was looked at', nothing, /^0 files.*; nothing was captured$/],
  [
    'it was interrupted',
    { interrupted: true, queued: 3 },
    /^ENDED EARLY.*; 3 versions queued, not yet safe; 5 files[^;]*; sent [^;]*$/,
  ],
  [
    'it was interrupted before anything',
    { ...nothing, interrupted: true },
    /^ENDED EARLY.*; nothing was captured$/,
  ],
  [
    'the collector cannot be reached',
    { queued: 5, unreached: true },
    /^5 versions queued, not yet safe; 5 files[^;]*; sent [^;]*$/,
  ],
  [
    'it cannot be reached, and nothing is new',
    { newFiles: 0, unchanged: 5, unreached: true },
    /could not be asked now$/,
  ],
])('a backup: %s', async (_when, fields, expected) => {
  const line = await lineOf(backup(fields));
  expect(line).toMatch(expected);
  if (Object.keys(fields).length > 0) expect(line).not.toContain('everything captured is safe');
});

const flush = (fields: object): AgentEvent => ({
  event: 'summary',
  ...{
    versions: 5,
    commits: 1,
    sentBytes: 1000,
    queued: 0,
    queuedBytes: 0,
    failed: 0,
    unprotected: 0,
    pending: 0,
  },
  ...fields,
});

test.each([
  ['all is sent', {}, /^sent 5 versions .*; nothing is queued: everything captured is safe$/],
  ['some stays queued', { queued: 2 }, /^2 versions still queued, not yet safe; sent/],
  [
    'something was never captured',
    { unprotected: 1 },
    /^1 path not protected, see aliquot-agent status; sent/,
  ],
  ['something is being captured', { pending: 3 }, /^3 results not yet captured; sent/],
])('a flush: %s', async (_when, fields, expected) => {
  expect(await lineOf(flush(fields))).toMatch(expected);
});

test('what never rests is not called unprotected', async () => {
  const problem = {
    event: 'problem',
    path: '/d/log',
    message: 'is still being written',
    since: '2026-11-21T14:00:00.000Z',
  };
  expect(await lineOf({ ...problem, code: 'unsettled' })).toMatch(
    /^not at rest since \d\d:\d\d: \/d\/log: is still/,
  );
  expect(await lineOf({ ...problem, code: 'unreadable' })).toMatch(/^not protected: \/d\/log/);
});

const states = { total: 8, safe: 8, queued: 0, open: 0, capturing: 0, settling: 0, problem: 0 };
const status = (fields: object): AgentEvent => ({
  event: 'status',
  service: 'running',
  agent: 'pc',
  vault: 'lab',
  collector: 'https://c',
  connection: 'ready',
  rolledBack: false,
  queue: { entries: 0, bytes: 0, freeBytes: 1e9, full: false, waiting: { files: 0, bytes: 0 } },
  lastReceipt: { at: '2026-11-21T14:06:00.000Z', commit: 3, copies: 1 },
  lastScan: '2026-11-21T14:06:10.000Z',
  scanning: false,
  sources: [{ path: '/d' }],
  results: states,
  ...{
    pending: 0,
    allSafe: false,
    safeAsOf: '2026-11-21T14:06:00.000Z',
    bytes: 2048,
    problems: 0,
    unsettled: 0,
    lost: 0,
  },
  ...fields,
});
const open = { ...states, safe: 5 };

test.each([
  ['all is safe', { allSafe: true }, /^All 8 results are safe \(2\.0 KiB\)\.$/],
  [
    'all is safe, and the collector does not answer',
    { allSafe: true, connectionProblem: { code: 'UPLINK_UNREACHABLE', message: 'away' } },
    /, but there is trouble:$/,
  ],
  [
    'nothing is there',
    { results: { ...states, total: 0, safe: 0 }, allSafe: true },
    /^Nothing has been backed up yet\.$/,
  ],
  [
    'three are in between',
    { results: { ...open, capturing: 1, settling: 2 }, pending: 3 },
    /^Safe as of \d\d:\d\d; 3 not yet: 1 being captured, 2 still being written\.$/,
  ],
  [
    'more are in the making than can be listed',
    { pending: 70_000, results: { ...states, total: 8, safe: 8 } },
    /^8 of 8 results safe: 70,000 still being written\.$/,
  ],
  [
    'one is not protected, and two wait to be sent',
    { results: { ...open, problem: 1, queued: 2 }, problems: 1 },
    /^Safe as of \d\d:\d\d; 3 not yet: 1 NOT PROTECTED, 2 to be sent\.$/,
  ],
  [
    'a folder result is not whole',
    { results: { ...open, safe: 7, open: 1 } },
    /^Safe as of .*; 1 not yet: 1 not complete\.$/,
  ],
  ['a version is lost', { lost: 1 }, /^1 version LOST; 8 of 8 results safe\.$/],
  [
    'versions are lost, and one is being captured',
    { lost: 10, results: { ...open, safe: 7, capturing: 1 }, pending: 1 },
    /^10 versions LOST; safe as of \d\d:\d\d; 1 not yet: 1 being captured\.$/,
  ],
  [
    'a version is lost, and the collector lost something',
    { lost: 1, rolledBack: true },
    /^1 version LOST; of 8 results 8 were safe; the collector has lost some/,
  ],
  [
    'the collector lost something',
    { rolledBack: true },
    /^Of 8 results 8 were safe; the collector has lost some/,
  ],
  [
    'the service is stopped',
    { service: 'stopped', lastScan: null },
    /^All 8 results that are known are safe as of .*; what came since is not known\.$/,
  ],
  [
    'the service is stopped, and some wait to be sent',
    { service: 'stopped', lastScan: null, results: { ...open, queued: 3 } },
    /^Safe as of \d\d:\d\d; 3 not yet: 3 to be sent; what came since is not known\.$/,
  ],
  [
    'nothing was looked at yet',
    { safeAsOf: null, lastScan: null, results: { ...states, total: 0, safe: 0 } },
    /^Nothing has been looked at yet\.$/,
  ],
])('status: %s', (_when, fields, expected) => {
  expect(statusText(status(fields), clock.nowMs()).split('\n')[0]).toMatch(expected);
});
