import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeEventBody, type EventBody } from '@aliquot/proto';
import { openKit } from '@aliquot/shared/keys/kit';
import { verifyRevocation } from '@aliquot/shared/keys/revocation';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { aliquot, type CliOptions, type CliResult, serving } from '../../testing/cli.ts';
import { writeWeakKit } from '../../testing/kits.ts';

const PASSPHRASE = 'correct horse battery staple';
let dir: string;
let url: string;
let stop: () => Promise<CliResult>;
let token: string;
const at = (name: string) => join(dir, name);
const kit = () => at('lab.kit');
const tried = (args: readonly string[], more: CliOptions = {}) =>
  aliquot(args, { url, token, state: at('state'), ...more });

async function ok(...args: string[]): Promise<CliResult> {
  const result = await tried(args);
  expect([result.stderr, result.code]).toEqual([expect.not.stringMatching(/^aliquot:/m), 0]);
  return result;
}

/** The revocations that this operator's PC keeps, in their order. */
async function kept(): Promise<Extract<EventBody, { type: 'agentRevoked' }>[]> {
  const [book = ''] = await readdir(at('state/decisions'));
  const { decisions } = JSON.parse(await readFile(at(`state/decisions/${book}`), 'utf8')) as {
    decisions: { event: string }[];
  };
  return decisions
    .map(({ event }) => decodeEventBody(new Uint8Array(Buffer.from(event, 'base64'))))
    .filter((event) => event.type === 'agentRevoked');
}

beforeAll(async () => {
  vi.stubEnv('ALIQUOT_PASSPHRASE', PASSPHRASE);
  dir = await mkdtemp(join(tmpdir(), 'aliquot-revoke-'));
  expect((await aliquot(['init', '--data', at('data'), '--name', 'test'])).code).toBe(0);
  token = (await readFile(at('data/admin.token'), 'utf8')).trim();
  ({ url, stop } = await serving(['--data', at('data'), '--listen', '127.0.0.1:0']));
  await writeWeakKit(kit(), 'lab', PASSPHRASE);
  await ok('vault', 'add', '--kit', kit());
  for (const name of ['one', 'two', 'three'])
    await ok('enroll', name, '--kit', kit(), '--out', at(`${name}.bundle`));
});

afterAll(async () => {
  await stop();
  await rm(dir, { recursive: true, force: true });
  vi.unstubAllEnvs();
});

describe('agent revoke', () => {
  it('P4: signs with the kit, or with the key of an operator for agents, what anyone can verify then', async () => {
    const key = at('maria.key');
    await ok('operator', 'add', 'maria', '--purposes', 'agents', '--kit', kit(), '--out', key);
    const revoke = (...args: string[]) => ok('agent', 'revoke', ...args, '--json');
    expect((await revoke('one', '--kit', kit(), '--reason', 'stolen')).lines).toMatchObject([
      { event: 'revoked', agent: 'one', signedBy: 'authority' },
    ]);
    expect((await revoke('two', '--by', key)).lines).toMatchObject([{ signedBy: 'maria' }]);
    const { descriptor, authority } = await openKit(await readFile(kit(), 'utf8'), PASSPHRASE);
    const [one, two] = await kept();
    for (const event of [one, two]) {
      if (event?.revocation === undefined) throw new Error('nobody signed it');
      const { revocation, operator, agentId, reason } = event;
      const signed = { revocation, operator };
      expect(verifyRevocation(authority.publicKey, descriptor.vaultId, signed)).toMatchObject({
        agentId,
        reason,
      });
    }
    expect([one?.reason, one?.operator, two?.operator?.body.length]).toEqual([
      'stolen',
      undefined,
      expect.any(Number),
    ]);
    const states = (await ok('agents', '--json')).lines.map(({ state }) => state);
    expect(states).toEqual(['revoked', 'revoked', 'expected']);
  });

  it('P4: does not wait for a passphrase that nobody can give, and is signed when it is said again', async () => {
    vi.stubEnv('ALIQUOT_PASSPHRASE', undefined);
    const args = ['agent', 'revoke', 'three', '--json'];
    const refused = await tried([...args, '--kit', kit()]);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('USAGE_MISSING')]);
    const done = await tried(args, { kit: kit() });
    expect([done.code, done.stderr]).toEqual([
      0,
      expect.stringContaining('the revocation is not signed: a passphrase'),
    ]);
    expect(done.lines[0]).not.toHaveProperty('signedBy');
    vi.stubEnv('ALIQUOT_PASSPHRASE', PASSPHRASE);
    const again = await tried(args, { kit: kit() });
    expect(again.lines).toMatchObject([{ event: 'revoked', signedBy: 'authority' }]);
    const said = (await kept()).map(({ revocation }) => revocation !== undefined);
    expect(said).toEqual([true, true, false, true]);
  });
});
