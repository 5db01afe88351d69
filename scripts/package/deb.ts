import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipped, type LinuxPackage, maintainerScript } from './linux-tree.ts';
import { run } from './run.ts';
import { type Product, root, type Target } from './targets.ts';
import { file, type Tree, tree, writeFolder } from './tree.ts';

export const debArchitecture = { 'linux-x64': 'amd64', 'linux-arm64': 'arm64' } as const;
export type LinuxTarget = keyof typeof debArchitecture;
export const isLinux = (target: Target): target is LinuxTarget => target in debArchitecture;

const MAINTAINER = 'The Aliquot authors <aliquot@lists.aliquot.science>';
const NEEDS =
  'libc6 (>= 2.28), libgcc-s1, libstdc++6 (>= 9), adduser, init-system-helpers (>= 1.54)';

/** The .deb as dpkg-deb makes it. The same files and time give the same bytes. */
export function buildDeb(
  product: Product,
  made: LinuxPackage,
  target: LinuxTarget,
  seconds: number,
): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'aliquot-deb-'));
  try {
    const tree = join(folder, 'tree');
    writeFolder(tree, debTree(product, made, target, seconds));
    const out = join(folder, 'out.deb');
    // One thread: several would cut xz's blocks by how many there are.
    const how = ['--root-owner-group', '-Zxz', '-z9', '-Sextreme', '--threads-max=1'];
    run('dpkg-deb', [...how, '--build', tree, out], { SOURCE_DATE_EPOCH: String(seconds) });
    return readFileSync(out);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The package's files, and below DEBIAN/ what dpkg reads. */
function debTree(product: Product, made: LinuxPackage, target: LinuxTarget, seconds: number): Tree {
  const { name, version } = made;
  const changelog = `${name} (${version}) stable; urgency=medium\n\n  * Release ${version}: see CHANGELOG.md of the project.\n\n -- ${MAINTAINER}  ${rfc5322(seconds)}\n`;
  const overrides = join(root, `deploy/linux/${name}.lintian`);
  const files = [
    ...made.files,
    file(`usr/share/doc/${name}/changelog.gz`, gzipped(Buffer.from(changelog))),
    ...(existsSync(overrides)
      ? [file(`usr/share/lintian/overrides/${name}`, readFileSync(overrides))]
      : []),
  ].filter((entry) => !entry.path.startsWith('usr/lib/sysusers.d/')); // adduser makes the user
  const sums = tree(files)
    .filter((entry) => !entry.path.startsWith('etc/'))
    .map(({ path, bytes }) => `${createHash('md5').update(bytes).digest('hex')}  ${path}\n`);
  const scripts = ['preinst', 'postinst', 'prerm', 'postrm'];
  return tree(
    files,
    [
      file('DEBIAN/control', control(made, target, files)),
      file('DEBIAN/conffiles', made.conffiles.map((path) => `/${path}\n`).join('')),
      file('DEBIAN/md5sums', sums.join('')),
    ],
    scripts.map((script) =>
      file(`DEBIAN/${script}`, maintainerScript(product, `deb/${script}`), true),
    ),
  );
}

function control(
  { name, version, summary, description }: LinuxPackage,
  target: LinuxTarget,
  files: Tree,
): string {
  const kib = Math.ceil(files.reduce((total, { bytes }) => total + bytes.length, 0) / 1024);
  return [
    `Package: ${name}`,
    `Version: ${version}`,
    `Architecture: ${debArchitecture[target]}`,
    `Maintainer: ${MAINTAINER}`,
    `Installed-Size: ${kib}`,
    `Depends: ${NEEDS}`,
    'Section: utils',
    'Priority: optional',
    `Description: ${summary}`,
    ...wrapped(description, 76).map((line) => ` ${line}`),
    '',
  ].join('\n');
}

/** Lines of at most `width` characters, cut between words. */
export function wrapped(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}

/** `Sun, 29 Nov 2026 19:00:00 +0000`, as a Debian changelog has it. */
function rfc5322(seconds: number): string {
  return new Date(seconds * 1000).toUTCString().replace('GMT', '+0000');
}
