import { execFile } from 'node:child_process';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DemoService, mustRun, run } from '../demo/programs.ts';
import { type AgentPlace, World } from './world.ts';

/**
 * What a PC tells of itself to anyone who helps: enough to help, and no name of a file, a folder, a
 * person or a PC.
 */

let world: World;
let agent: AgentPlace;
let service: DemoService | undefined;
beforeEach(async () => {
  world = await World.open();
  process.env['RUNTIME_DIRECTORY'] = join(world.folder, 'run');
  agent = await world.agent('room-12-hplc');
});
afterEach(async () => {
  await service?.stop('SIGKILL');
  service = undefined;
  await world.close();
});

const secretNames = [
  'petersen',
  'compound-4711',
  'heidelberg',
  'secret-assay',
  'broken-pipe',
  'wip-drafts',
  'gone-drive',
  'room-12-hplc',
  'lab',
];
const contents = ['0.815 mg/l potassium', 'patient 4711 is ill'];

/**
 * Files that are well, files that are not, and settings with names in every place that takes any.
 */
async function fill(): Promise<void> {
  await world.write('data/heidelberg/compound-4711.csv', contents[0] ?? '');
  await world.write('data/heidelberg/secret-assay.D/acq.petersen', contents[1] ?? '');
  await promisify(execFile)('mkfifo', [join(world.folder, 'data/heidelberg/broken-pipe.petersen')]);
  const source = {
    path: join(world.folder, 'data/heidelberg'),
    quietPeriodSeconds: 0,
    exclude: ['wip-drafts*'],
    class: 'petersen',
  };
  const settings = {
    sources: [source, { path: join(world.folder, 'gone-drive') }],
    queue: { classes: { petersen: 0.5 } },
    courtesy: { pauseWhile: [{ process: 'petersen.exe' }] },
  };
  await writeFile(join(agent.data, 'agent.yaml'), JSON.stringify(settings));
}

async function diagnosed(
  ...more: string[]
): Promise<{ text: string; summary: string; diagnosis: Record<string, never> }> {
  const file = join(world.folder, `${(await readdir(world.folder)).length}.diagnosis`);
  const { stderr } = await mustRun('aliquot-agent', [
    'diagnose',
    '--out',
    file,
    '--data',
    agent.data,
    ...more,
  ]);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  const text = await readFile(file, 'utf8');
  return { text, summary: stderr, diagnosis: JSON.parse(text) as Record<string, never> };
}

/** Folders above the world are the test's own. */
function namesIn(text: string): string[] {
  const parts = world.folder.split('/').filter((part) => part.length > 3);
  return [...secretNames, ...contents, ...parts, hostname()].filter((name) =>
    new RegExp(`\\b${name}\\b`, 'i').test(text),
  );
}

describe('a diagnosis', () => {
  it('P3: of a running service says how it is, shows the log, and holds no name and no content', async () => {
    await fill();
    const log = join(world.folder, 'service.log');
    service = new DemoService('aliquot-agent', ['run', '--data', agent.data, '--log-file', log]);
    await service.event('running');
    // A receipt may come before the other source was looked at.
    for (const sentence of ['"receipt"', '"scan finished"'])
      while (!(await readFile(log, 'utf8')).includes(sentence))
        await new Promise((resolve) => setTimeout(resolve, 100));
    const { text, summary, diagnosis } = await diagnosed();
    expect(namesIn(text)).toEqual([]);
    expect(namesIn(summary.replaceAll(world.folder, ''))).toEqual([]);
    expect(diagnosis).toMatchObject({
      diagnosis: 1,
      versions: { agent: expect.stringContaining('aliquot-agent'), node: process.versions.node },
      status: { service: 'running', results: { safe: 2 } },
      settings: {
        sources: [{ quietPeriodSeconds: 0, path: { suffix: '' } }, {}],
        logLevel: 'info',
      },
      problemCounts: { special: 1, 'root-missing': 1 },
      disk: { freeBytes: expect.any(Number) },
      fsck: expect.any(Array),
      log: { known: true, leftOut: 0 },
    });
    const messages = (diagnosis['log'] as unknown as { lines: { msg?: string }[] }).lines.map(
      ({ msg }) => msg,
    );
    expect(messages).toEqual(expect.arrayContaining(['captured', 'receipt', 'scan finished']));
    expect(summary).toMatch(/problems: .*1 special/);
    expect(summary).toContain('Not in it: content, and names of files');
  });

  it('of a service that logs elsewhere shows what it wrote since its start', async () => {
    await fill();
    service = new DemoService('aliquot-agent', ['run', '--data', agent.data]);
    await service.event('running');
    await service.complained(/"receipt"/);
    const { text, diagnosis } = await diagnosed();
    expect(namesIn(text)).toEqual([]);
    expect(diagnosis['log']).toMatchObject({ known: true });
    expect((diagnosis['log'] as unknown as { lines: unknown[] }).lines.length).toBeGreaterThan(2);
  });

  it('P3: without a service is made by the command, with a log that is named, of which nothing but fixed words stays', async () => {
    await fill();
    const lines = [
      '{"level":"warn","time":"2026-11-29T10:00:00.000Z","code":"FILE_DENIED","msg":"cannot open /data/petersen/compound-4711.csv"}',
      '{"level":"error","time":"2026-11-29T10:00:01.000Z","error":"no petersen here","msg":"a scan failed; it is tried again","source":"/data/petersen"}',
      '{"level":"fatal","code":"UNEXPECTED","error":"petersen","stack":"Error: petersen\\n    at run (/home/petersen/aliquot/main.js:12:7)","msg":"x"}',
      'petersen wrote this by hand',
    ];
    const log = await world.write('old.log', `${lines.join('\n')}\n`);
    const { text, diagnosis } = await diagnosed('--log-file', log);
    expect(namesIn(text)).toEqual([]);
    expect(diagnosis['status']).toMatchObject({ service: 'stopped' });
    expect(diagnosis['log']).toEqual({
      known: true,
      leftOut: 1,
      lines: [
        { level: 'warn', time: '2026-11-29T10:00:00.000Z', code: 'FILE_DENIED' },
        {
          level: 'error',
          time: '2026-11-29T10:00:01.000Z',
          msg: 'a scan failed; it is tried again',
        },
        { level: 'fatal', code: 'UNEXPECTED', stack: ['run main.js:12:7'] },
      ],
    });
    expect((await diagnosed()).diagnosis['log']).toEqual({ known: false, leftOut: 0, lines: [] });
  });

  it('never takes the place of a file, and asks for a name', async () => {
    const file = await world.write('kept', 'kept');
    const there = await run('aliquot-agent', ['diagnose', '--out', file, '--data', agent.data]);
    expect(there).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(
        /is there already; name a new file with --out \[USAGE_INVALID\]\n$/,
      ),
    });
    expect(await readFile(file, 'utf8')).toBe('kept');
    expect((await run('aliquot-agent', ['diagnose', '--data', agent.data])).code).toBe(2);
  });
});

describe('a diagnosis that an operator asks for', () => {
  const keyFor = async (name: string, purposes: string): Promise<string> => {
    const file = join(world.folder, `${name}.key`);
    const args = [
      'operator',
      'add',
      name,
      '--kit',
      world.kit,
      '--out',
      file,
      '--purposes',
      purposes,
    ];
    await mustRun('aliquot', args, world.environment());
    return file;
  };
  const ask = (key: string, out: string) =>
    world.tryAliquot([
      'agents',
      'diagnose',
      agent.name,
      '--by',
      key,
      '--out',
      join(world.folder, out),
    ]);

  it('P3: comes over the network, sealed to who asked, with the same in it; the log of the vault and the PC say who asked', async () => {
    await fill();
    const log = join(world.folder, 'service.log');
    service = new DemoService('aliquot-agent', ['run', '--data', agent.data, '--log-file', log]);
    await service.event('running');
    // A receipt may come before the other source was looked at.
    for (const sentence of ['"receipt"', '"scan finished"'])
      while (!(await readFile(log, 'utf8')).includes(sentence))
        await new Promise((resolve) => setTimeout(resolve, 100));
    const key = await keyFor('maria', 'diagnose');
    const asked = await ask(key, 'remote.diagnosis');
    expect({
      code: asked.code,
      errors: asked.stderr.split('\n').filter((line) => line.includes('[')),
    }).toEqual({ code: 0, errors: [] });
    expect(asked.stderr).toContain('Not in it: content, and names of files');
    const file = join(world.folder, 'remote.diagnosis');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const text = await readFile(file, 'utf8');
    expect(namesIn(text)).toEqual([]);
    expect(JSON.parse(text)).toMatchObject({
      status: { service: 'running', connection: 'ready', results: { safe: 2 } },
      log: { known: true },
    });
    expect(await readFile(log, 'utf8')).toMatch(
      /"operator":"maria","msg":"a diagnosis is given to an operator who asked"/,
    );
    expect((await ask(key, 'remote.diagnosis')).stderr).toMatch(/remote\.diagnosis.*\[/);
    expect((await ask(key, 'again.diagnosis')).code).toBe(0);
    // The questions in the log are what it makes of itself when it starts again, and what fsck
    // judges.
    await world.unserve();
    expect((await world.aliquot(['fsck', '--data', world.collectorData])).code).toBe(0);
  });

  it('is refused to a key for other purposes, and of a PC that is away', async () => {
    const settings = await ask(await keyFor('paul', 'settings'), 'a');
    expect(settings).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /the key of paul is for settings, not for diagnose.*\[OPERATOR_PURPOSE\]\n$/,
      ),
    });
    const away = await ask(await keyFor('maria', 'diagnose'), 'b');
    expect(away).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/room-12-hplc is not connected; .*\[REST_AGENT_AWAY\]\n$/),
    });
    expect((await readdir(world.folder)).filter((name) => ['a', 'b'].includes(name))).toEqual([]);
  });
});
