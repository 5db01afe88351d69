import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LinuxTarget, wrapped } from './deb.ts';
import { type LinuxPackage, maintainerScript } from './linux-tree.ts';
import { run } from './run.ts';
import type { Product } from './targets.ts';
import { foldersOf, writeFolder } from './tree.ts';

export const rpmArchitecture: Record<LinuxTarget, string> = {
  'linux-x64': 'x86_64',
  'linux-arm64': 'aarch64',
};

/** The .rpm as rpmbuild makes it. The same files and time give the same bytes. */
export function buildRpm(
  product: Product,
  made: LinuxPackage,
  target: LinuxTarget,
  seconds: number,
): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'aliquot-rpm-'));
  try {
    const tree = join(folder, 'tree');
    writeFolder(tree, made.files);
    writeFileSync(join(folder, 'package.spec'), spec(product, made, tree));
    const buildRoot = join(folder, 'root');
    mkdirSync(buildRoot);
    const defined = [
      `_topdir ${folder}/top`,
      `_rpmdir ${folder}/out`,
      `_tmppath ${folder}`,
      `_dbpath ${folder}/db`,
    ];
    const args = ['-bb', '--quiet', '--target', rpmArchitecture[target], '--buildroot', buildRoot];
    run(
      'rpmbuild',
      [...args, ...defined.flatMap((line) => ['--define', line]), join(folder, 'package.spec')],
      {
        SOURCE_DATE_EPOCH: String(seconds),
      },
    );
    const out = join(folder, 'out', rpmArchitecture[target]);
    const [name] = existsSync(out) ? readdirSync(out) : [];
    if (name === undefined) throw new Error('rpmbuild made no package');
    return readFileSync(join(out, name));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function spec(product: Product, made: LinuxPackage, tree: string): string {
  const { name, version, summary, description, files, conffiles } = made;
  const script = (part: string) => maintainerScript(product, `rpm/${part}`);
  const listed = files.map(({ path }) =>
    conffiles.includes(path) ? `%config(noreplace) "/${path}"` : `"/${path}"`,
  );
  // Its own folders go with it; those that it shares with others stay.
  const folders = foldersOf(files)
    .filter((path) => path.split('/').includes(name))
    .map((path) => `%dir "/${path}"`);
  return `Name: ${name}
Version: ${version.replace('-', '~')}
Release: 1
Summary: ${summary}
License: Apache-2.0
Requires(pre): /usr/sbin/useradd, /usr/sbin/groupadd
Requires: /usr/bin/setpriv
AutoProv: no

# Node stays as it was packed for every format, and nothing here knows this machine or this hour.
%define __os_install_post %{nil}
%define debug_package %{nil}
%define _build_id_links none
%define _buildhost reproducible
%define use_source_date_epoch_as_buildtime 1
%define clamp_mtime_to_source_date_epoch 1
%define source_date_epoch_from_changelog 0
%define _binary_payload w19.zstdio

%description
${wrapped(description, 76).join('\n')}

%install
cp -a "${tree}/." "%{buildroot}/"

%pre
${script('pre')}
%post
${script('post')}
%preun
${script('preun')}
%postun
${script('postun')}
%files
%defattr(-, root, root, 0755)
${folders.join('\n')}
${listed.join('\n')}
`;
}
