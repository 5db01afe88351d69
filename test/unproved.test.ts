import { systemRandom } from '@aliquot/shared/ports';
import { ClientHandshake } from '@aliquot/shared/session/handshake';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SessionTestAgent } from '../collector/testing/agent.ts';
import { upgradeRequest, webSocketFrame } from './hostile/raw-peer.ts';
import { renewing } from './hostile/renewing.ts';
import { HostileTarget } from './hostile/target.ts';

/**
 * Two thousand connections from the address of the agents, as behind a NAT or an unnamed proxy,
 * held, and renewed whenever they end, against the built collector.
 */

const HELD = 2000;

let target: HostileTarget;
let honest: SessionTestAgent;

beforeAll(async () => {
  target = await HostileTarget.open();
  honest = await target.agent('honest');
});

afterAll(() => target.close());

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;

describe.runIf(process.platform === 'linux')('2,000 connections of the same address', () => {
  it.each([
    ['that say nothing', ''],
    ['that begin a head', 'GET /healthz HT'],
    ['that become WebSockets', upgradeRequest()],
    ['that are answered', get('/healthz')],
    ['that are refused', get('/v1/operator/collector')],
    ['that are not found', upgradeRequest().replace('/v1/agent', '/nothing')],
    [
      'that send half of an enrolment',
      `POST /v1/enrol HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length: 16384\r\n\r\n${'x'.repeat(15_000)}`,
    ],
  ])('P6 %s keep neither an agent nor an operator out, each at his first attempt', getIn);

  it('P6 that begin a true handshake keep neither an agent nor an operator out', async () => {
    const { vaultId, authorityKey } = honest.bundle.descriptor;
    const hello = new ClientHandshake({ vaultId, authorityKey, random: systemRandom }).start();
    await getIn('hello', Buffer.concat([Buffer.from(upgradeRequest()), webSocketFrame(hello)]));
  });
});

async function getIn(name: string, says: string | Uint8Array): Promise<void> {
  const lift = await renewing(target.port, HELD, says);
  try {
    for (let round = 0; round < 3; round += 1) {
      await target.session(honest);
      await honest.backUp([{ path: `/data/${round}`, bytes: Buffer.from(`${name} ${round}`) }]);
      const asked = await target.world.tryAliquot(['agents', '--json']);
      expect(asked.code, asked.stderr).toBe(0);
    }
  } finally {
    lift();
  }
}
