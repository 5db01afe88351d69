import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { nodeFlags } from '../../deploy/node-flags.ts';
import { wrapped } from './deb.ts';
import { gzipped, linuxPackage, maintainerScript, unit } from './linux-tree.ts';
import { names, nodeBuild, products, root } from './targets.ts';
import { file } from './tree.ts';

const folder = mkdtempSync(join(tmpdir(), 'aliquot-linux-'));
afterAll(() => rmSync(folder, { recursive: true }));

const version = nodeBuild('linux-x64').version;
const content = [
  file('node', 'node', true),
  file('program/main.js', ''),
  file('licences/NODE.txt', ''),
  file('sbom.json', '{}'),
];
const hasSystemd = spawnSync('systemd-analyze', ['--version']).status === 0;
const systemdNote = hasSystemd ? '' : ' (skipped: there is no `systemd-analyze` here)';

describe.each(products)('the Linux package of the %s', (product) => {
  const { package: name, command } = names[product];
  const made = linuxPackage({ product, target: 'linux-x64', version: '0.1.0' }, content);
  const paths = made.files.map(({ path }) => path);

  it('keeps to where the system looks, and its settings are the administrator’s', () => {
    expect(paths).toEqual(
      expect.arrayContaining([
        `usr/bin/${command}`,
        `usr/lib/${name}/node`,
        `usr/lib/systemd/system/${name}.service`,
      ]),
    );
    expect(paths).toContain(`usr/share/man/man1/${command}.1.gz`);
    expect(paths.filter((path) => !/^(etc|usr\/(bin|lib|share))\//.test(path))).toEqual([]);
    expect(made.conffiles).toEqual(paths.filter((path) => path.startsWith(`etc/${name}/`)));
    expect(made.conffiles).toHaveLength(1);
  });

  it('has licences and parts where distributions keep them', () => {
    expect(paths).toEqual(
      expect.arrayContaining([
        `usr/share/doc/${name}/copyright`,
        `usr/share/doc/${name}/licences/NODE.txt`,
      ]),
    );
    expect(
      paths.filter((path) => path.startsWith('usr/lib/') && /licences|sbom/.test(path)),
    ).toEqual([]);
  });

  it('has scripts that a shell reads, with nothing left to fill in', () => {
    for (const path of ['deb', 'rpm'].flatMap((kind) =>
      readdirSync(join(root, 'deploy/linux', kind)).map((script) => `${kind}/${script}`),
    )) {
      const script = maintainerScript(product, path);
      expect(script).not.toMatch(/@[A-Z]+@/);
      expect(script).toContain(name);
      expect(spawnSync('/bin/sh', ['-n'], { input: script, encoding: 'utf8' })).toMatchObject({
        status: 0,
        stderr: '',
      });
    }
    expect(
      spawnSync('/bin/sh', ['-n', join(root, 'deploy/linux', product, 'command.sh')], {
        encoding: 'utf8',
      }).stderr,
    ).toBe('');
  });

  it('starts Node with the flags that this Node knows, and no variable of the machine names code', () => {
    const text = unit(product, version);
    const flags = nodeFlags(product, product === 'agent' ? 'run' : 'serve', version);
    expect(text).toContain(`ExecStart=/usr/lib/${name}/node ${flags.join(' ')} --openssl-config=`);
    expect(unit(product, '22.18.0')).not.toContain('--external-memory-accounted-in-global-limit');
    expect(text).toMatch(/^UnsetEnvironment=.*\bNODE_OPTIONS\b.*\bOPENSSL_CONF\b/m);
  });

  it.skipIf(!hasSystemd)(
    `has a unit that systemd takes, and that it calls well confined${systemdNote}`,
    () => {
      const path = join(folder, `${name}.service`);
      // The program is not installed here; what is judged is all the rest.
      writeFileSync(path, unit(product, version).replace(`/usr/lib/${name}/node`, '/bin/true'));
      const analyze = (...args: string[]) =>
        spawnSync('systemd-analyze', [...args, path], { encoding: 'utf8' });
      expect(analyze('verify', '--man=no', '--recursive-errors=no')).toMatchObject({
        status: 0,
        stdout: '',
        stderr: '',
      });
      const { stdout } = analyze('security', '--offline=true', '--no-pager');
      const exposure = Number(/Overall exposure level for \S+: ([\d.]+)/.exec(stdout)?.[1]);
      expect(exposure).toBeLessThanOrEqual(product === 'agent' ? 2.0 : 1.3);
    },
  );
});

describe('the agent’s package', () => {
  it('watches nothing until somebody says so: its settings are all comments', () => {
    const settings = readFileSync(join(root, 'deploy/linux/agent/agent.yaml'), 'utf8');
    expect(settings.split('\n').filter((line) => line !== '' && !line.startsWith('#'))).toEqual([]);
  });

  it('is refused over a folder install, with the way out, and otherwise installs', () => {
    const units = mkdtempSync(join(folder, 'units-'));
    const script = maintainerScript('agent', 'deb/preinst').replaceAll(
      /\/(etc|usr\/local\/lib)\/systemd\/system|\/opt(?=\/)/g,
      units,
    );
    const install = () =>
      spawnSync('/bin/sh', ['-s', 'install'], { input: script, encoding: 'utf8' });
    expect(install()).toMatchObject({ status: 0, stderr: '' });
    writeFileSync(join(units, 'aliquot-agent.service'), '[Service]\nExecStart=/opt/a/host run\n');
    const refused = install();
    expect(refused.status).toBe(1);
    expect(refused.stderr).toMatch(
      /^aliquot-agent: this computer has a folder install.*service uninstall.*\[FOLDER_INSTALL\]\n$/,
    );
  });
});

describe('the purge of the agent’s package', () => {
  const script = readFileSync(join(root, 'deploy/linux/agent/purge.sh'), 'utf8');
  const purge = (parts: readonly string[]) => {
    const data = mkdtempSync(join(folder, 'purged-'));
    for (const part of parts) writeFileSync(join(data, part), '');
    const { stderr } = spawnSync('/bin/sh', ['-e'], {
      input: script.replaceAll('/var/lib/aliquot-agent', data),
      encoding: 'utf8',
    });
    return { isKept: existsSync(data), stderr };
  };

  it.each([['format.json'], ['identity'], ['queue']])(
    'P1: keeps what may be nowhere else, also where only %s is left',
    (part) => {
      expect(purge([part])).toEqual({
        isKept: true,
        stderr: expect.stringMatching(/^aliquot-agent: kept .*rm -r/),
      });
    },
  );

  it('takes a folder that no agent used, and one of which nothing waits', () => {
    expect(purge([])).toEqual({ isKept: false, stderr: '' });
    expect(purge(['format.json', 'identity', 'queue', 'nothing-waits'])).toEqual({
      isKept: false,
      stderr: '',
    });
  });
});

describe('small parts of packages', () => {
  it('gzip without a name and a time', () => {
    expect([...gzipped(Buffer.from('text')).subarray(0, 10)]).toEqual([
      0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3,
    ]);
    expect(gunzipSync(gzipped(Buffer.from('text'))).toString()).toBe('text');
  });

  it('descriptions are cut between words', () => {
    expect(wrapped('one two three', 7)).toEqual(['one two', 'three']);
  });
});
