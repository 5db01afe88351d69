/** What a PC tells Prometheus, by a real socket. */
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { systemError } from '@aliquot/shared/testing/faulty-files';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { type Logger, pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openServiceBench } from '../../testing/service/bench.ts';
import { noEvents } from '../../testing/watch/no-events.ts';
import { fixedSources } from '../folder/source-set.ts';
import { serveMetrics } from '../service/metrics-server.ts';
import { Service } from '../service/service.ts';
import { type AgentFacts, agentMetrics, metricsText } from './metrics.ts';

const facts: AgentFacts = {
  counts: {
    files: 3,
    bytes: 3000,
    pending: 1,
    unsettled: 0,
    unprotected: 2,
    problems: [
      { code: 'root-missing', count: 1, sinceMs: 1 },
      { code: 'unreadable', count: 1, sinceMs: 1 },
    ],
  },
  queued: { entries: 4, bytes: 400 },
  usage: { freeBytes: 5000 },
  connected: true,
  lastScanEndedMs: 1_795_291_503_500,
};

async function serving(text: () => Promise<string>): Promise<string> {
  const server = await serveMetrics({ host: '127.0.0.1', port: 0 }, text);
  onTestFinished(() => server.close());
  return server.url;
}

function ask(
  url: string,
  options: { method?: string; host?: string } = {},
): Promise<{ status: number | undefined; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = options.host === undefined ? {} : { host: options.host };
    const asked = request(url, { method: options.method ?? 'GET', headers }, (answer) => {
      let body = '';
      answer.on('data', (data) => (body += data));
      answer.on('end', () => resolve({ status: answer.statusCode, body }));
    });
    asked.on('error', reject);
    asked.end();
  });
}

describe('a running service', () => {
  const start = async (port: number) => {
    const lab = await openServiceBench({ maxBytes: 1_000_000, minFreeBytes: 0, classes: {} });
    const tmpDir = temporaryFolder();
    const place = {
      platform: process.platform,
      runtimeDir: undefined,
      tmpDir,
      uid: process.getuid?.(),
    };
    const askPlace = {
      platform: process.platform,
      serviceRuntimeDir: tmpDir,
      runtimeDir: undefined,
    };
    const logged: { msg: string; url?: string }[] = [];
    const log: Logger = pino(
      { level: 'info' },
      { write: (line) => void logged.push(JSON.parse(line)) },
    );
    const agent = { ...lab.agent, host: lab.bench.host, sources: fixedSources([lab.bench.source]) };
    const metrics = { host: '127.0.0.1', port };
    const service = await Service.start({
      agent,
      events: noEvents,
      scanIntervalSeconds: 300,
      place,
      askPlace,
      metrics,
      log,
    });
    onTestFinished(async () => {
      await service.stop();
      await lab.close();
    });
    return { service, logged };
  };

  it('has the page while it runs', async () => {
    const { service, logged } = await start(0);
    const url = logged.find(({ msg }) => msg === 'metrics')?.url ?? '';
    await expect.poll(() => service.view.lastScan, { timeout: 240_000 }).toBeDefined();
    expect((await ask(url)).body).toMatch(/^aliquot_agent_unprotected_files 0$/m);
  });

  it('runs without it when the port is taken, and says so', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void taken.close());
    const { service, logged } = await start((taken.address() as AddressInfo).port);
    expect(logged.map(({ msg }) => msg)).toContainEqual(
      expect.stringContaining('choose another port in metrics.listen'),
    );
    await expect.poll(() => service.view.lastScan, { timeout: 240_000 }).toBeDefined();
  });
});

describe('the page of a PC', () => {
  it('has every metric with what it counts, in Prometheus’ text format', () => {
    const lines = metricsText(facts).trimEnd().split('\n');
    for (const { name, help } of agentMetrics) expect(lines).toContain(`# HELP ${name} ${help}`);
    for (const line of lines)
      expect(line).toMatch(
        /^(# HELP [a-z_]+ .+|# TYPE [a-z_]+ gauge|[a-z_]+(\{code="[a-z-]+"\})? \d+(\.\d+)?)$/,
      );
    expect(lines).toEqual(
      expect.arrayContaining([
        'aliquot_agent_connected 1',
        'aliquot_agent_queued_versions 4',
        'aliquot_agent_last_scan_timestamp_seconds 1795291503.5',
        'aliquot_agent_problems{code="root-missing"} 1',
      ]),
    );
  });

  it('is one answer for all who ask at once, and anew for who asks later', async () => {
    let made = 0;
    let go: () => void = () => undefined;
    const waiting = new Promise<void>((resolve) => {
      go = resolve;
    });
    const url = await serving(async () => {
      made += 1;
      await waiting;
      return `${made}\n`;
    });
    const both = Promise.all([ask(url), ask(url)]);
    await expect.poll(() => made).toBe(1);
    go();
    await both;
    expect((await ask(url)).status).toBe(200);
    expect(made).toBeLessThanOrEqual(3);
  });

  it('answers nothing else, nobody who came by another name, and no other method', async () => {
    const url = await serving(async () => 'fine\n');
    expect(await ask(url)).toEqual({ status: 200, body: 'fine\n' });
    expect((await ask(url, { host: 'localhost:9464' })).status).toBe(200);
    expect((await ask(url, { host: 'evil.example.org' })).status).toBe(403);
    expect((await ask(url, { host: '127.0.0.1.evil.example.org:80' })).status).toBe(403);
    expect((await ask(url, { method: 'POST' })).status).toBe(405);
    expect((await ask(url.replace('/metrics', '/'))).status).toBe(404);
  });

  it('says that it cannot say, when the disk fails under it', async () => {
    const url = await serving(() => Promise.reject(systemError('EIO', 'fdatasync', 'the queue')));
    expect((await ask(url)).status).toBe(503);
  });

  it('a port that is taken is an error of the caller’s, not of the process', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void taken.close());
    const { port } = taken.address() as AddressInfo;
    await expect(serveMetrics({ host: '127.0.0.1', port }, async () => '')).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
  });
});
