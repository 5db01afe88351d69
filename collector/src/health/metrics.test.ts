import { sha256 } from '@aliquot/shared/crypto/primitives';
import { systemError } from '@aliquot/shared/testing/faulty-files';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Front } from '../../testing/front.ts';
import { buildServer } from '../rest/server.ts';
import { collectorMetrics } from './metrics.ts';

const TOKEN = 'test-operator-token-of-some-length';
let front: Front;
let app: FastifyInstance;

beforeEach(async () => {
  front = await Front.open();
  const store = new Proxy(front.store, {
    get: (target, name) => {
      if (name === 'adminTokenHash') return sha256(new Uint8Array(Buffer.from(TOKEN)));
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const { hub, health, clock, log, timers } = front;
  app = buildServer(
    { store, sessions: hub, health, clock, log, timers, software: 'test' },
    undefined,
  );
});

afterEach(async () => {
  await app.close();
  await front.close();
});

const scrape = () => app.inject({ url: '/metrics', headers: { authorization: `Bearer ${TOKEN}` } });

describe('what Prometheus gets', () => {
  it('needs the operator’s token, which is not in it', async () => {
    expect((await app.inject({ url: '/metrics' })).statusCode).toBe(401);
    const answer = await scrape();
    expect(answer.headers['content-type']).toContain('text/plain');
    expect(answer.body).not.toContain(TOKEN);
  });

  it('has every metric that the page names, each series once, in base units', async () => {
    await front.agent('hplc-1');
    front.files = { ...front.files, freeBytes: async () => 1000 };
    const lines = (await scrape()).body.split('\n');
    const series = lines
      .filter((line) => line.startsWith('aliquot_'))
      .map((line) => line.split(' ')[0]);
    expect(new Set(series).size).toBe(series.length);
    const names = new Set(series.map((line) => line?.split('{')[0]));
    expect(
      collectorMetrics
        .map(({ name }) => name)
        .filter((name) => !names.has(name) && name !== 'aliquot_collector_problems'),
    ).toEqual([]);
    for (const { name } of collectorMetrics) expect(name).toMatch(/^aliquot_[a-z_]+$/);
    expect(names.has('process_cpu_seconds_total')).toBe(false);
    expect(lines.some((line) => line.startsWith('process_cpu_seconds_total'))).toBe(true);
  });

  it('follows what is: an agent that is revoked and a problem that is mended leave no series behind', async () => {
    const agent = await front.agent('hplc-1');
    front.nowMs += 1000;
    expect((await scrape()).body).toContain(
      'aliquot_agent_connected{vault="lab",agent="hplc-1"} 0',
    );
    const { agentId } = agent.bundle.enrolment;
    await front.vault.events.append({
      type: 'agentRevoked',
      timeMs: front.nowMs,
      agentId,
      reason: 'x',
    });
    expect((await scrape()).body).not.toContain('hplc-1');
  });

  it('says nothing of a disk that does not answer, but that it does not', async () => {
    await app.close();
    const files = {
      ...front.files,
      freeBytes: () => Promise.reject(systemError('EIO', 'statfs', '/srv')),
    };
    front.files = files;
    const { hub, health, clock, log, timers, store } = front;
    app = buildServer(
      { store, sessions: hub, health, clock, log, timers, software: 'test' },
      undefined,
    );
    const answer = await app.inject({ url: '/healthz' });
    expect([answer.statusCode, answer.json()]).toEqual([
      503,
      { status: 'degraded', codes: ['disk-unreachable'] },
    ]);
    // Who starts it again when it hangs is told that it does not.
    const alive = await app.inject({ url: '/livez' });
    expect([alive.statusCode, alive.json()]).toEqual([200, { status: 'ok' }]);
  });
});
