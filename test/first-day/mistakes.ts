import { chmod, copyFile, mkdir, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type Finished, type ProgramName, run, Service } from '../../demo/programs.ts';
import type { AgentPlace, World } from '../world.ts';

/** What the mistakes are made in: a collector with one vault, one enrolled PC, one backed up folder. */
export interface Lab {
  readonly world: World;
  readonly agent: AgentPlace;
  /** The folder that is backed up; it holds `run.csv`. */
  readonly tree: string;
  readonly token: string;
}

export interface Mistake {
  /** What the person did. */
  readonly what: string;
  readonly make: (lab: Lab) => Promise<Finished>;
  readonly code: number;
  /** In the last line of standard error: what is wrong, and the way out. */
  readonly says: RegExp;
  /** The whole help is the answer, instead of one line. */
  readonly help?: boolean;
  /** Only where it can be made: some need an ordinary user, or none. */
  readonly unless?: () => boolean;
}

const asRoot = (): boolean => process.getuid?.() === 0;

/** An operator's command with the environment of somebody who did everything else right. */
const central = async (lab: Lab, args: readonly string[], changes: NodeJS.ProcessEnv = {}): Promise<Finished> =>
  run('aliquot', args, { ...lab.world.environment(), ALIQUOT_TOKEN: lab.token, ...changes });

const pc = (args: readonly string[]): Promise<Finished> => run('aliquot-agent', args);

/** Runs a program as a user who owns nothing here. */
const asNobody = (name: ProgramName, args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Finished> =>
  run(name, args, environment, ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']);

const within = (lab: Lab, name: string): string => join(lab.world.folder, name);

/** Words and way out of what goes wrong on the first day, in the order in which a day brings it. */
export const mistakes: readonly Mistake[] = [
  // ---- installing the collector
  { what: 'no command', make: (lab) => central(lab, []), code: 2, says: /--help/, help: true },
  { what: 'a misspelt command', make: (lab) => central(lab, ['agnets']), code: 2, says: /agnets.*Did you mean agents/i },
  { what: 'a misspelt option', make: (lab) => central(lab, ['ls', '--agnt', 'pc']), code: 2, says: /--agnt.*Did you mean --agent/i },
  {
    what: 'a command without its argument',
    make: (lab) => central(lab, ['enroll', '--out', 'x']),
    code: 2,
    says: /missing.*NAME.*--help/i,
  },
  {
    what: 'an option without its value',
    make: (lab) => central(lab, ['ls', '--agent']),
    code: 2,
    says: /--agent.*argument missing.*--help/,
  },
  { what: 'init without a folder', make: (lab) => central(lab, ['init']), code: 2, says: /--data.*--help/ },
  {
    what: 'init where something is',
    make: (lab) => central(lab, ['init', '--data', lab.tree]),
    code: 2,
    says: /holds something already.*new or empty folder/,
  },
  {
    what: 'init a second time',
    make: (lab) => central(lab, ['init', '--data', lab.world.collectorData]),
    code: 2,
    says: /(is a data folder|holds something) already.*new or empty/,
  },
  {
    what: 'init where this user may not write',
    make: (lab) => asNobody('aliquot', ['init', '--data', within(lab, 'closed/collector')]),
    code: 1,
    says: /permission denied.*run as another user/,
    unless: () => !asRoot(),
  },
  {
    what: 'serve before init',
    make: (lab) => central(lab, ['serve', '--data', within(lab, 'nothing')]),
    code: 2,
    says: /not a collector's data folder.*aliquot init/,
  },
  {
    what: 'serve of the agent’s folder',
    make: (lab) => central(lab, ['serve', '--data', lab.agent.data]),
    code: 2,
    says: /not a collector's data folder.*aliquot init/,
  },
  {
    what: 'serve in a second terminal',
    make: (lab) => central(lab, ['serve', '--data', lab.world.collectorData, '--listen', '127.0.0.1:0']),
    code: 1,
    says: /in use by a living process \(pid \d+\); stop it first/,
  },
  {
    what: 'serve on a port that is taken',
    make: async (lab) => {
      await central(lab, ['init', '--data', within(lab, 'second')]);
      const holder = createServer();
      const port = await new Promise<number>((resolve) => {
        holder.listen(0, '127.0.0.1', () => {
          const at = holder.address();
          resolve(typeof at === 'object' && at !== null ? at.port : 0);
        });
      });
      try {
        return await central(lab, ['serve', '--data', within(lab, 'second'), '--listen', `127.0.0.1:${port}`]);
      } finally {
        holder.close();
      }
    },
    code: 1,
    says: /another program uses that port.*--listen/,
  },
  {
    what: 'serve to the network without a certificate',
    make: (lab) => central(lab, ['serve', '--data', within(lab, 'second'), '--listen', '0.0.0.0:0']),
    code: 2,
    says: /--tls-cert/,
  },
  {
    what: 'a listen address without a port',
    make: (lab) => central(lab, ['serve', '--data', within(lab, 'second'), '--listen', '127.0.0.1']),
    code: 2,
    says: /--listen.*HOST:PORT|--listen.*127\.0\.0\.1:8480/,
  },
  {
    what: 'a port that is none',
    make: (lab) => central(lab, ['serve', '--data', within(lab, 'second'), '--listen', '127.0.0.1:99999']),
    code: 2,
    says: /--listen/,
  },
  {
    what: 'an address that this machine has not',
    make: (lab) =>
      central(lab, [
        'serve',
        '--data',
        within(lab, 'second'),
        '--listen',
        '203.0.113.9:18480',
        '--tls-cert',
        within(lab, 'tls.pem'),
        '--tls-key',
        within(lab, 'tls.key'),
      ]),
    code: 1,
    says: /no such address.*--listen/,
  },
  {
    what: 'a certificate that is not there',
    make: (lab) =>
      central(lab, ['serve', '--data', within(lab, 'second'), '--tls-cert', within(lab, 'no.pem'), '--tls-key', within(lab, 'tls.key')]),
    code: 2,
    says: /no\.pem/,
  },
  {
    what: 'a certificate with another key',
    make: (lab) =>
      central(lab, ['serve', '--data', within(lab, 'second'), '--tls-cert', within(lab, 'tls.pem'), '--tls-key', within(lab, 'other.key')]),
    code: 2,
    says: /cannot be used together.*belong together/,
  },
  {
    what: 'a certificate without its key',
    make: (lab) => central(lab, ['serve', '--data', within(lab, 'second'), '--tls-cert', within(lab, 'tls.pem')]),
    code: 2,
    says: /--tls-cert and --tls-key go together/,
  },

  // ---- reaching the collector
  { what: 'no address', make: (lab) => central(lab, ['agents'], { ALIQUOT_URL: undefined }), code: 2, says: /--url.*ALIQUOT_URL/ },
  {
    what: 'a wrong port',
    make: (lab) => central(lab, ['agents', '--url', 'http://127.0.0.1:9']),
    code: 1,
    says: /127\.0\.0\.1:9.*(aliquot serve|runs|reached)/,
  },
  {
    what: 'a host that is not known',
    make: (lab) => central(lab, ['agents', '--url', 'https://no-such-host.invalid:8480']),
    code: 1,
    says: /no-such-host\.invalid/,
  },
  {
    what: 'https where http is spoken',
    make: (lab) => central(lab, ['agents', '--url', lab.world.url.replace('http:', 'https:')]),
    code: 1,
    says: /http:|no TLS|not TLS/i,
  },
  {
    what: 'an address without a scheme',
    make: (lab) => central(lab, ['agents', '--url', lab.world.url.replace('http://', '')]),
    code: 2,
    says: /--url|http:\/\//,
  },
  { what: 'http over the network', make: (lab) => central(lab, ['agents', '--url', 'http://backup.example:8480']), code: 2, says: /https/ },
  {
    what: 'the address of something else',
    make: async (lab) => {
      const other = createServer((socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi'));
      const port = await new Promise<number>((resolve) => {
        other.listen(0, '127.0.0.1', () => {
          const at = other.address();
          resolve(typeof at === 'object' && at !== null ? at.port : 0);
        });
      });
      try {
        return await central(lab, ['agents', '--url', `http://127.0.0.1:${port}`]);
      } finally {
        other.close();
      }
    },
    code: 1,
    says: /no Aliquot collector|not an Aliquot|is no collector|not.*collector/i,
  },
  {
    what: 'no token',
    make: (lab) => central(lab, ['agents'], { ALIQUOT_TOKEN: undefined }),
    code: 2,
    says: /no operator token.*--token-file/,
  },
  {
    what: 'a wrong token',
    make: (lab) => central(lab, ['agents'], { ALIQUOT_TOKEN: 'A'.repeat(43) }),
    code: 1,
    says: /token.*admin\.token/,
  },
  {
    what: 'a token file that is not there',
    make: (lab) => central(lab, ['agents', '--token-file', within(lab, 'no.token')], { ALIQUOT_TOKEN: undefined }),
    code: 2,
    says: /no\.token/,
  },
  {
    what: 'the kit for the token',
    make: (lab) => central(lab, ['agents', '--token-file', lab.world.kit], { ALIQUOT_TOKEN: undefined }),
    code: 2,
    says: /token/,
  },
  {
    what: 'a token file that this user may not read',
    make: async (lab) => {
      await chmod(within(lab, 'closed'), 0o700);
      return asNobody('aliquot', ['agents', '--url', lab.world.url, '--token-file', within(lab, 'closed/admin.token')]);
    },
    code: 1,
    says: /permission denied/,
    unless: () => !asRoot(),
  },

  // ---- the kit
  { what: 'no kit', make: (lab) => central(lab, ['kit', 'verify']), code: 2, says: /--kit.*ALIQUOT_KIT/ },
  {
    what: 'a kit that is not there',
    make: (lab) => central(lab, ['kit', 'verify', '--kit', within(lab, 'no.kit')]),
    code: 2,
    says: /no\.kit/,
  },
  {
    what: 'a file that is no kit',
    make: (lab) => central(lab, ['kit', 'verify', '--kit', join(lab.tree, 'run.csv')]),
    code: 1,
    says: /no recovery kit|not a recovery kit/i,
  },
  {
    what: 'a bundle for the kit',
    make: (lab) => central(lab, ['kit', 'verify', '--kit', lab.agent.bundle]),
    code: 1,
    says: /BUNDLE.*not a.*kit|not a recovery kit/i,
  },
  {
    what: 'a kit that was cut short',
    make: async (lab) => {
      await copyFile(lab.world.kit, within(lab, 'short.kit'));
      await truncate(within(lab, 'short.kit'), 300);
      return central(lab, ['kit', 'verify', '--kit', within(lab, 'short.kit')]);
    },
    code: 1,
    says: /damaged|incomplete/,
  },
  {
    what: 'a wrong passphrase',
    make: (lab) => central(lab, ['kit', 'verify', '--kit', lab.world.kit], { ALIQUOT_PASSPHRASE: 'wrong horse battery staple' }),
    code: 1,
    says: /passphrase/,
  },
  {
    what: 'no passphrase and no terminal',
    make: (lab) => central(lab, ['kit', 'verify', '--kit', lab.world.kit], { ALIQUOT_PASSPHRASE: undefined }),
    code: 2,
    says: /ALIQUOT_PASSPHRASE/,
  },
  {
    what: 'a weak passphrase',
    make: (lab) => central(lab, ['kit', 'create', '--out', within(lab, 'new.kit')], { ALIQUOT_PASSPHRASE: 'password1' }),
    code: 2,
    says: /passphrase.*--weak-passphrase/,
  },
  {
    what: 'a passphrase with a blank at its end',
    make: (lab) =>
      central(lab, ['kit', 'create', '--out', within(lab, 'new.kit')], { ALIQUOT_PASSPHRASE: 'correct horse battery staple ' }),
    code: 2,
    says: /blank|space/,
  },
  {
    what: 'kit create over a kit',
    make: (lab) => central(lab, ['kit', 'create', '--out', lab.world.kit]),
    code: 1,
    says: /is there already and is not overwritten; choose another name/,
  },
  {
    what: 'kit create where no folder is',
    make: (lab) => central(lab, ['kit', 'create', '--out', within(lab, 'no/where.kit')]),
    code: 1,
    says: /no\/where\.kit|no\b.*folder/,
  },
  { what: 'vault add a second time', make: (lab) => central(lab, ['vault', 'add', '--kit', lab.world.kit]), code: 0, says: /^$|already/ },

  // ---- enrolling
  {
    what: 'an agent’s name with a blank',
    make: (lab) => central(lab, ['enroll', 'hplc 1', '--kit', lab.world.kit, '--out', within(lab, 'b')]),
    code: 2,
    says: /is no agent name.*letters, digits/,
  },
  {
    what: 'an agent’s name that is borne',
    make: (lab) => central(lab, ['enroll', 'pc', '--kit', lab.world.kit, '--out', within(lab, 'b')]),
    code: 1,
    says: /--replaces/,
  },
  {
    what: 'to replace an agent that is not there',
    make: (lab) => central(lab, ['enroll', 'pc-2', '--replaces', 'px', '--kit', lab.world.kit, '--out', within(lab, 'b')]),
    code: 1,
    says: /px/,
  },
  {
    what: 'a bundle over a file',
    make: (lab) => central(lab, ['enroll', 'pc-2', '--kit', lab.world.kit, '--out', lab.world.kit]),
    code: 1,
    says: /is there already and is not overwritten; choose another name/,
  },
  {
    what: 'an expiry that is none',
    make: (lab) => central(lab, ['enroll', 'pc-2', '--expires', 'tomorrow', '--kit', lab.world.kit, '--out', within(lab, 'b')]),
    code: 2,
    says: /--expires.*24h/,
  },
  {
    what: 'a bundle that is not there',
    make: (lab) => pc(['enroll', within(lab, 'no.bundle'), '--data', within(lab, 'a2')]),
    code: 2,
    says: /no bundle at.*aliquot enroll/,
  },
  {
    what: 'the kit for the bundle',
    make: (lab) => pc(['enroll', lab.world.kit, '--data', within(lab, 'a2')]),
    code: 1,
    says: /not an enrolment bundle/,
  },
  {
    what: 'the bundle’s folder for the bundle',
    make: (lab) => pc(['enroll', lab.world.folder, '--data', within(lab, 'a2')]),
    code: 2,
    says: /is a folder; name the bundle/,
  },
  {
    what: 'a used bundle on another PC',
    make: (lab) => pc(['enroll', lab.agent.bundle, '--data', within(lab, 'a2')]),
    code: 1,
    says: /bundle/,
  },

  // ---- the first backup
  { what: 'backup without a data folder', make: (lab) => pc(['backup', lab.tree]), code: 2, says: /--data/ },
  {
    what: 'backup before enrol',
    make: (lab) => pc(['backup', lab.tree, '--data', within(lab, 'nothing')]),
    code: 2,
    says: /not an agent's data folder.*aliquot-agent enroll/,
  },
  { what: 'backup of nothing', make: (lab) => pc(['backup', '--data', lab.agent.data]), code: 2, says: /missing.*path.*--help/i },
  {
    what: 'backup of a misspelt path',
    make: (lab) => pc(['backup', join(lab.tree, 'rnu'), '--data', lab.agent.data]),
    code: 2,
    says: /nothing to back up/,
  },
  {
    what: 'a pattern in quotes for a path',
    make: (lab) => pc(['backup', join(lab.tree, '*.csv'), '--data', lab.agent.data]),
    code: 2,
    says: /nothing to back up/,
  },
  {
    what: 'a Windows path on Linux',
    make: (lab) => pc(['backup', 'C:\\Data\\hplc', '--data', lab.agent.data]),
    code: 2,
    says: /nothing to back up/,
  },
  {
    what: 'backup of the agent’s own folder',
    make: (lab) => pc(['backup', lab.agent.data, '--data', lab.agent.data]),
    code: 2,
    says: /nothing to back up/,
  },
  {
    what: 'an exclude that takes everything',
    make: (lab) => pc(['backup', lab.tree, '--exclude', '*', '--data', lab.agent.data]),
    code: 3,
    says: /could not be protected/,
  },
  {
    what: 'a broken exclude',
    make: (lab) => pc(['backup', lab.tree, '--exclude', '[', '--data', lab.agent.data]),
    code: 2,
    says: /is not a path pattern|exclude/,
  },
  {
    what: 'backup while the collector is unplugged',
    make: async (lab) => {
      await lab.world.unserve();
      try {
        await writeFile(join(lab.tree, 'offline.csv'), 'while nobody listens');
        return await pc(['backup', lab.tree, '--data', lab.agent.data]);
      } finally {
        await lab.world.serve();
        await pc(['flush', '--data', lab.agent.data]);
      }
    },
    code: 3,
    says: /queued, not yet safe/,
  },
  {
    what: 'run without a configuration',
    make: (lab) => pc(['run', '--data', lab.agent.data]),
    code: 2,
    says: /nothing to watch.*agent\.yaml is not there/,
  },
  {
    what: 'run with a misspelt setting',
    make: async (lab) => {
      await writeFile(within(lab, 'wrong.yaml'), `sources: [{path: ${lab.tree}}]\nscanIntervalSecond: 5\n`);
      return pc(['run', '--data', lab.agent.data, '--config', within(lab, 'wrong.yaml')]);
    },
    code: 2,
    says: /1 mistake, named above/,
  },

  // ---- looking and giving back
  {
    what: 'ls of a misspelt agent',
    make: (lab) => central(lab, ['ls', '--agent', 'pcc']),
    code: 1,
    says: /pcc.*(did you mean pc|aliquot agents)/i,
  },
  {
    what: 'ls of a misspelt path',
    make: (lab) => central(lab, ['ls', '--agent', 'pc', '--path', join(lab.tree, 'rnu.csv')]),
    code: 1,
    says: /rnu\.csv/,
  },
  {
    what: 'versions of a file that never was',
    make: (lab) => central(lab, ['versions', '--agent', 'pc', '--path', '/data/never']),
    code: 1,
    says: /\/data\/never/,
  },
  {
    what: 'a time that is none',
    make: (lab) => central(lab, ['ls', '--agent', 'pc', '--at', 'last week']),
    code: 2,
    says: /--at cannot be "last week"; give/,
  },
  {
    what: 'a day that no month has',
    make: (lab) => central(lab, ['ls', '--agent', 'pc', '--at', '2026-02-30']),
    code: 2,
    says: /--at cannot be/,
  },
  {
    what: 'a time before everything',
    make: (lab) => central(lab, ['restore', '--kit', lab.world.kit, '--agent', 'pc', '--at', '2020-01-01', '--to', within(lab, 'r0')]),
    code: 1,
    says: /had no files|nothing/,
  },
  {
    what: 'restore without a place',
    make: (lab) => central(lab, ['restore', '--kit', lab.world.kit, '--agent', 'pc']),
    code: 2,
    says: /--to/,
  },
  {
    what: 'restore into a file',
    make: (lab) => central(lab, ['restore', '--kit', lab.world.kit, '--agent', 'pc', '--to', join(lab.tree, 'run.csv')]),
    code: 1,
    says: /run\.csv/,
  },
  {
    what: 'restore where this user may not write',
    make: (lab) =>
      asNobody('aliquot', ['restore', '--kit', within(lab, 'open.kit'), '--agent', 'pc', '--to', within(lab, 'closed/r')], {
        ...lab.world.environment(),
        ALIQUOT_TOKEN: lab.token,
        ALIQUOT_STATE: '/tmp/aliquot-nobody',
      }),
    code: 1,
    says: /permission denied|may not/,
    unless: () => !asRoot(),
  },
  {
    what: 'a version that is none',
    make: (lab) => central(lab, ['cat', '--kit', lab.world.kit, '--agent', 'pc', '--version', '0123456789abcdef.7']),
    code: 1,
    says: /0123456789abcdef\.7/,
  },
  {
    what: 'restore at the PC of a misspelt path',
    make: (lab) => pc(['restore', join(lab.tree, 'rnu.csv'), '--data', lab.agent.data]),
    code: 1,
    says: /check the spelling/,
  },
  {
    what: 'Ctrl-C while the service is asked to start',
    make: async (lab) => {
      await writeFile(within(lab, 'right.yaml'), `sources: [{path: ${lab.tree}}]\n`);
      const service = new Service('aliquot-agent', ['run', '--data', lab.agent.data, '--config', within(lab, 'right.yaml')]);
      await service.event('running');
      return { code: await service.stop('SIGINT'), stdout: '', stderr: '', lines: [] };
    },
    code: 0,
    says: /^$/,
  },
  {
    what: 'fsck of a folder that is none',
    make: (lab) => central(lab, ['fsck', '--data', lab.tree]),
    code: 2,
    says: /not a collector's data folder/,
  },
  {
    what: 'fsck of an agent’s folder by the other program',
    make: (lab) => central(lab, ['fsck', '--data', lab.agent.data]),
    code: 2,
    says: /not a collector's data folder/,
  },
];

/** Files that the mistakes need. */
export async function prepare(lab: Lab, openssl: (args: readonly string[]) => Promise<void>): Promise<void> {
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=localhost'];
  await openssl(['req', '-x509', ...ec, '-keyout', within(lab, 'tls.key'), '-out', within(lab, 'tls.pem')]);
  await openssl(['req', '-x509', ...ec, '-keyout', within(lab, 'other.key'), '-out', within(lab, 'other.pem')]);
  await mkdir(within(lab, 'closed'), { mode: 0o700 });
  await copyFile(join(lab.world.collectorData, 'admin.token'), within(lab, 'closed/admin.token'));
  await copyFile(lab.world.kit, within(lab, 'open.kit'));
  await chmod(within(lab, 'open.kit'), 0o644);
  await chmod(lab.world.folder, 0o755);
}
