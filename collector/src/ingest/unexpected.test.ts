import { CommitError } from '@aliquot/shared/commit/errors';
import { nextUncaught } from '@aliquot/shared/testing/uncaught';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Front } from '../../testing/front.ts';

let front: Front;

beforeEach(async () => {
  front = await Front.open();
});

afterEach(async () => {
  await front.close();
});

const result = { path: '/data/a.csv', bytes: new Uint8Array(Buffer.from('result one')) };

describe('I-UNFORESEEN a fault of ours in one session', () => {
  it('ends the process, and the log says with which agent it was met', async () => {
    const agent = await front.agent('hplc-1');
    const { wire, done } = front.connect();
    await agent.open(wire);
    const fault = new TypeError('x is undefined');
    front.vault.intake.commit = () => Promise.reject(fault);
    const uncaught = nextUncaught();
    await agent.backUp([result]).catch(() => undefined);
    expect(await uncaught).toBe(fault);
    await done;
    const last = front.logged
      .map((line): Record<string, unknown> => JSON.parse(line))
      .find(({ code }) => code === 'UNEXPECTED');
    expect(last).toMatchObject({ agent: 'hplc-1' });
  });

  it('is not what an error with a code is, whoever throws it: that ends this session alone', async () => {
    const agent = await front.agent('hplc-1');
    const { wire, done } = front.connect();
    await agent.open(wire);
    front.vault.intake.commit = () =>
      Promise.reject(new CommitError('COMMIT_SIGNATURE', 'of another kind'));
    await agent.backUp([result]).catch(() => undefined);
    await done;
    const other = await front.agent('hplc-2');
    await other.open(front.connect().wire);
  });
});
