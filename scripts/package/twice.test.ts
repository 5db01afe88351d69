import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { buildDeb } from './deb.ts';
import { linuxPackage } from './linux-tree.ts';
import { buildRpm } from './rpm.ts';
import { file } from './tree.ts';

const folder = mkdtempSync(join(tmpdir(), 'aliquot-twice-'));
afterAll(() => rmSync(folder, { recursive: true }));

const has = (command: string) => spawnSync(command, ['--version']).status === 0;
/** What a skipped suite says beside its name. */
const note = (command: string) =>
  has(command) ? '' : ` (skipped: there is no \`${command}\` here)`;
const SECONDS = 1_700_000_000;
const content = [
  file('node', '#!/bin/sh\n', true),
  file('program/main.js', ''),
  file('licences/NODE.txt', ''),
  file('sbom.json', '{}'),
];
const made = (product: 'agent' | 'collector') =>
  linuxPackage({ product, target: 'linux-x64', version: '0.1.0' }, content);
const said = (command: string, ...args: string[]) =>
  spawnSync(command, args, { encoding: 'utf8' }).stdout;

describe.skipIf(!has('dpkg-deb'))(`a .deb${note('dpkg-deb')}`, () => {
  it('is the same when it is made twice, at whatever hour and in whatever folder', () => {
    const first = buildDeb('agent', made('agent'), 'linux-x64', SECONDS);
    expect(buildDeb('agent', made('agent'), 'linux-x64', SECONDS).equals(first)).toBe(true);
  });

  it('belongs to root, keeps the settings as conffiles, and says what it needs', () => {
    const path = join(folder, 'agent.deb');
    writeFileSync(path, buildDeb('agent', made('agent'), 'linux-x64', SECONDS));
    const lines = said('dpkg-deb', '--contents', path).trimEnd().split('\n');
    expect(lines.filter((line) => !/^[d-]rw.r-.r-. root\/root /.test(line))).toEqual([]);
    expect(
      lines.some(
        (line) => line.endsWith(' ./usr/bin/aliquot-agent') && line.startsWith('-rwxr-xr-x'),
      ),
    ).toBe(true);
    expect(said('dpkg-deb', '--info', path, 'conffiles')).toBe('/etc/aliquot-agent/agent.yaml\n');
    expect(said('dpkg-deb', '--field', path, 'Architecture')).toBe('amd64\n');
  });
});

describe.skipIf(!has('rpmbuild'))(`an .rpm${note('rpmbuild')}`, () => {
  it('is the same when it is made twice, at whatever hour and in whatever folder', () => {
    const first = buildRpm('collector', made('collector'), 'linux-x64', SECONDS);
    expect(buildRpm('collector', made('collector'), 'linux-x64', SECONDS).equals(first)).toBe(true);
  });

  it('takes its own folders with it when it goes, keeps the settings, and knows this machine by no name', () => {
    const path = join(folder, 'collector.rpm');
    writeFileSync(path, buildRpm('collector', made('collector'), 'linux-x64', SECONDS));
    const listed = said(
      'rpm',
      '-qp',
      '--queryformat',
      '%{BUILDHOST} %{BUILDTIME}\n[%{FILEFLAGS:fflags} %{FILENAMES}\n]',
      path,
    ).split('\n');
    expect(listed[0]).toBe(`reproducible ${SECONDS}`);
    expect(listed).toContain(' /usr/lib/aliquot-collector/program');
    expect(listed).toContain('cn /etc/aliquot-collector/serve.conf');
    expect(listed).not.toContain(' /usr/lib');
  });
});
