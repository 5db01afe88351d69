import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { DemoService, Finished, JsonLine, ProgramName } from '../demo/programs.ts';
import { whyNoNamespaces } from './proxy/namespaces.ts';
import { LabNetwork, type LabPlace } from './week/lab-network.ts';
import { Transcript } from './week/transcript.ts';

/**
 * The week of a lab's IT, over TLS between two networks: nobody touches a PC that runs. With
 * `ALIQUOT_TRANSCRIPT=FILE` it writes the page that docs/ shows.
 */

const why = await whyNoNamespaces();
const pcs = ['hplc-1', 'ms-1', 'reader-1'] as const;

class Week {
  readonly network: LabNetwork;
  readonly transcript = new Transcript();
  #token = '';
  #url = 'https://backup.lab.test:8480';
  readonly services = new Map<string, DemoService>();
  server: DemoService | undefined;

  constructor(network: LabNetwork) {
    this.network = network;
  }

  at(name: string): string {
    return join(this.network.folder, name);
  }

  async readToken(): Promise<void> {
    this.#token = (await readFile(this.at('collector/admin.token'), 'utf8')).trim();
  }

  useUrl(url: string): void {
    this.#url = url;
  }

  #environment(): NodeJS.ProcessEnv {
    return {
      ALIQUOT_PASSPHRASE: 'spectral vineyard quorum 17',
      ALIQUOT_URL: this.#url,
      ALIQUOT_TOKEN: this.#token === '' ? undefined : this.#token,
      ALIQUOT_TLS_CA: this.at('ca.pem'),
      ALIQUOT_KIT: existsSync(this.at('core.kit')) ? this.at('core.kit') : undefined,
      ALIQUOT_STATE: this.at('operator'),
      RUNTIME_DIRECTORY: undefined,
      TZ: 'UTC',
    };
  }

  /** Types a command, which must end with 0, and keeps what it said for the page. */
  async type(
    where: LabPlace,
    line: string,
    more: { readonly quiet?: boolean; readonly code?: number } = {},
  ): Promise<Finished> {
    const [name = 'aliquot', ...args] = (line.match(/'[^']*'|\S+/g) ?? []).map((word) =>
      word.replace(/^'(.*)'$/, '$1'),
    );
    const finished = await this.network.run(where, name as ProgramName, args, this.#environment());
    if (more.quiet !== true) this.transcript.ran(where, line, finished);
    expect({
      line,
      code: finished.code,
      said: finished.code === 0 ? '' : finished.stdout + finished.stderr,
    }).toMatchObject({
      line,
      code: more.code ?? 0,
      said: '',
    });
    return finished;
  }

  async serve(certificate: string, host: string): Promise<void> {
    const line = `aliquot serve --data collector --listen ${host}:8480 --tls-cert ${certificate}.pem --tls-key ${certificate}.key`;
    const [, ...args] = line.split(' ');
    this.server = this.network.start('server', 'aliquot', args, this.#environment());
    const listening = await this.server.event('listening');
    this.transcript.ran('server', `${line} &`, {
      stdout: `${JSON.stringify(listening)}\n`,
      stderr: '',
    });
  }

  async unserve(): Promise<void> {
    if (this.server !== undefined) expect(await this.network.stop(this.server)).toBe(0);
    this.transcript.ran('server', 'kill %1', { stdout: '', stderr: '' });
  }

  async runAgent(pc: string, data: string): Promise<void> {
    const service = this.network.start(
      'lab',
      'aliquot-agent',
      ['run', '--data', data],
      this.#environment(),
    );
    await service.event('running');
    this.services.set(pc, service);
  }

  /** What `agents --json` says of one, when it is as wanted. */
  async agentWhen(name: string, wanted: (agent: JsonLine) => boolean): Promise<JsonLine> {
    for (;;) {
      const { lines } = await this.network.run(
        'server',
        'aliquot',
        ['agents', '--json'],
        this.#environment(),
      );
      const found = lines.find((line) => line['agent'] === name);
      if (found !== undefined && wanted(found)) return found;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  /** Waits until the collector has a file of an agent. */
  async arrived(agent: string, path: string): Promise<void> {
    for (;;) {
      // with --path it is an error while nothing matches
      const args = ['ls', '--agent', agent, '--json'];
      const { lines } = await this.network.run('server', 'aliquot', args, this.#environment());
      if (lines.some((line) => line['path'] === path)) return;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

describe.skipIf(why !== undefined)(
  `an ordinary week${why === undefined ? '' : ` (skipped: ${why})`}`,
  () => {
    it('is set up over TLS, renewed, moved, one PC is re-imaged, files come back, and no running PC is touched', async () => {
      const network = await LabNetwork.open();
      const week = new Week(network);
      const { transcript } = week;
      const data = (pc: string) => week.at(`pc/${pc}/data`);
      try {
        await network.certificate('backup-1', 'backup.lab.test');
        await network.certificate('backup-2', 'backup.lab.test');
        await network.certificate('vault', 'vault.lab.test');

        transcript.say(
          'Monday: the collector, with a certificate of the house’s authority (ALIQUOT_TLS_CA names it), and the recovery kit',
        );
        await week.type('server', "aliquot init --data collector --name 'Core facility'");
        await week.readToken();
        await week.serve('backup-1', 'backup.lab.test');
        await week.type('server', 'aliquot kit create --out core.kit --vault core');
        await week.type('server', 'aliquot vault add --kit core.kit');

        transcript.say('Three PCs: a bundle each, carried there, used once and deleted');
        for (const pc of pcs) {
          await week.type('server', `aliquot enroll ${pc} --kit core.kit --out ${pc}.bundle`, {
            quiet: pc !== 'hplc-1',
          });
          await week.type('lab', `aliquot-agent enroll ${pc}.bundle --data ${pc}`, {
            quiet: pc !== 'hplc-1',
          });
          await mkdir(data(pc), { recursive: true });
          await writeFile(join(data(pc), 'run-013.csv'), `first run of ${pc}\n`);
          const source = `  - {path: ${data(pc)}, quietPeriodSeconds: 1}`;
          await writeFile(
            week.at(`${pc}/agent.yaml`),
            `scanIntervalSeconds: 2\nsources:\n${source}\n`,
          );
          await week.runAgent(pc, pc);
        }
        for (const pc of pcs) await week.arrived(pc, join(data(pc), 'run-013.csv'));
        await week.type('server', 'aliquot agents');

        transcript.say('Tuesday: work goes on; a technician looks');
        await writeFile(join(data('hplc-1'), 'run-014.csv'), 'sample 4711\n');
        await week.arrived('hplc-1', join(data('hplc-1'), 'run-014.csv'));
        await week.type(
          'lab',
          `aliquot-agent status ${join(data('hplc-1'), 'run-014.csv')} --data hplc-1`,
        );

        transcript.say('Wednesday: the certificate is renewed, with a new key');
        await week.unserve();
        await week.serve('backup-2', 'backup.lab.test');
        for (const pc of pcs) await week.agentWhen(pc, ({ connected }) => connected === true);
        await writeFile(join(data('ms-1'), 'run-015.raw'), 'after the renewal\n');
        await week.arrived('ms-1', join(data('ms-1'), 'run-015.raw'));
        await week.type('server', 'aliquot agents');

        transcript.say(
          'Thursday: the collector moves to another machine and name; agents are given both before',
        );
        await week.type(
          'server',
          'aliquot collector address set https://vault.lab.test:8480 https://backup.lab.test:8480 --kit core.kit',
        );
        for (const pc of pcs) await week.agentWhen(pc, ({ connected }) => connected === true);
        await writeFile(join(data('reader-1'), 'plate-7.csv'), 'before the move\n');
        await week.arrived('reader-1', join(data('reader-1'), 'plate-7.csv'));
        await week.unserve();
        week.useUrl('https://vault.lab.test:8480');
        await week.serve('vault', 'vault.lab.test');
        for (const pc of pcs) await week.agentWhen(pc, ({ connected }) => connected === true);
        await writeFile(join(data('reader-1'), 'plate-8.csv'), 'after the move\n');
        await week.arrived('reader-1', join(data('reader-1'), 'plate-8.csv'));
        await week.type('server', 'aliquot agents');
        await week.type('server', 'aliquot diff --agent reader-1 --from yesterday --to latest');

        transcript.say(
          'Friday: the PC of the mass spectrometer was re-imaged; its successor goes on, and its files come back',
        );
        const ms = week.services.get('ms-1');
        if (ms !== undefined) await network.stop(ms);
        await rm(week.at('ms-1'), { recursive: true });
        await rm(data('ms-1'), { recursive: true });
        await week.type(
          'server',
          'aliquot enroll ms-1b --replaces ms-1 --kit core.kit --out ms-1b.bundle',
        );
        await week.type('lab', 'aliquot-agent enroll ms-1b.bundle --data ms-1b');
        await week.type('server', `aliquot restore --agent ms-1b --path ${data('ms-1')} --to back`);
        await mkdir(data('ms-1'), { recursive: true });
        for (const name of await readdir(join(week.at('back'), data('ms-1')))) {
          const bytes = await readFile(join(week.at('back'), data('ms-1'), name));
          await writeFile(join(data('ms-1'), name), bytes);
        }
        await writeFile(
          week.at('ms-1b/agent.yaml'),
          `scanIntervalSeconds: 2\nsources:\n  - {path: ${data('ms-1')}, quietPeriodSeconds: 1}\n`,
        );
        await week.runAgent('ms-1b', 'ms-1b');
        await writeFile(join(data('ms-1'), 'run-016.raw'), 'the successor’s first\n');
        await week.arrived('ms-1b', join(data('ms-1'), 'run-016.raw'));
        await week.type('server', 'aliquot ls --agent ms-1b');

        transcript.say(
          'A file is found by its name, in all versions of all PCs, and an earlier version given back',
        );
        await writeFile(
          join(data('hplc-1'), 'run-014.csv'),
          'sample 4711, reintegrated by mistake\n',
        );
        await week.agentWhen('hplc-1', ({ bytes }) => Number(bytes) > 50);
        await week.type('server', "aliquot find 'run-014*'");
        const found = await week.type('server', "aliquot find 'run-014*' --json", { quiet: true });
        const versions = found.lines.filter((line) => String(line['path']).endsWith('run-014.csv'));
        expect(versions).toHaveLength(2);
        await week.type(
          'server',
          `aliquot versions --agent hplc-1 --path ${join(data('hplc-1'), 'run-014.csv')}`,
        );
        const first = versions.find((line) => line['size'] === 'sample 4711\n'.length);
        await week.type(
          'server',
          `aliquot restore --agent hplc-1 --version ${String(first?.['version'])} --to first-version`,
        );
        expect(
          await readFile(join(week.at('first-version'), data('hplc-1'), 'run-014.csv'), 'utf8'),
        ).toBe('sample 4711\n');

        transcript.say('A technician has deleted a run, and gets it back at the PC');
        await rm(join(data('hplc-1'), 'run-013.csv'));
        await week.type(
          'lab',
          `aliquot-agent restore ${join(data('hplc-1'), 'run-013.csv')} --data hplc-1`,
        );
        const back = await readdir(join(week.at('pc/hplc-1'), 'Restored from backup'), {
          recursive: true,
        });
        expect(back.some((name) => name.endsWith('run-013.csv'))).toBe(true);

        transcript.say('The end of the week');
        await week.agentWhen(
          'ms-1b',
          ({ problems }) => Array.isArray(problems) && problems.length === 0,
        );
        await week.type('server', 'aliquot agents');
        await week.type('server', 'aliquot agents --problems');
        await week.type('server', 'aliquot check');
        await week.type('server', 'aliquot stats');

        expect(transcript.lines.length).toBeGreaterThan(90);
        for (const line of transcript.lines)
          expect(line).not.toMatch(/UNEXPECTED|undefined|\[object/);
        const page = process.env['ALIQUOT_TRANSCRIPT'];
        if (page !== undefined)
          transcript.write(page, { [`${network.folder}/`]: '/srv/', [network.folder]: '/srv' });
      } finally {
        await network.close();
      }
    });
  },
);
