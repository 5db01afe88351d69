import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { nodeFlags } from '../../deploy/node-flags.ts';
import { names, nodeBuild, type Product, root } from './targets.ts';
import { below, file, type Tree, type TreeFile, tree } from './tree.ts';
import type { Order } from './version-folder.ts';

const read = (path: string) => readFileSync(join(root, 'deploy/linux', path), 'utf8');

/** The command that the service runs. */
const serving: Record<Product, string> = { agent: 'run', collector: 'serve' };
const titles: Record<Product, string> = { agent: 'Aliquot agent', collector: 'Aliquot collector' };

/** What the .deb and the .rpm of a product have in common, all by paths without the leading `/`. */
export interface LinuxPackage {
  readonly name: string;
  readonly version: string;
  readonly summary: string;
  readonly description: string;
  readonly files: Tree;
  /** The files that an administrator changes, and that a new version leaves alone. */
  readonly conffiles: readonly string[];
}

const words: Record<Product, { readonly summary: string; readonly description: string }> = {
  agent: {
    summary: 'backup of laboratory results: the agent for lab PCs',
    description:
      'Watches the folders that instruments write to, seals every finished result and sends it to the collector, over a network or carried by hand. What was captured survives the loss of its source, also while the collector cannot be reached. Runs as a service under its own user, which reads every file and changes none.',
  },
  collector: {
    summary: 'backup of laboratory results: the collector and the operator commands',
    description:
      'Keeps what the agents of the laboratories send, sealed so that only the holder of the recovery kit opens it, and holds the commands for operators: enrol, list, restore, check. Listens on this machine alone until it is told an address and a certificate.',
  },
};

/** The unit with its Node and flags filled in: one list of flags for launchers and units. */
export function unit(product: Product, nodeVersion: string): string {
  const lib = `/usr/lib/${names[product].package}`;
  const flags = nodeFlags(product, serving[product], nodeVersion).join(' ');
  const line = `${lib}/node ${flags} --openssl-config=${lib}/program/openssl.cnf ${lib}/program/main.js`;
  return read(`${product}/${product}.service`).replace('@EXEC@', line);
}

/** Everything that a Linux package of the product puts on a machine. */
export function linuxPackage(order: Order, content: Tree): LinuxPackage {
  const { product, version, target } = order;
  const { command, package: name } = names[product];
  const doc = `usr/share/doc/${name}`;
  const apart = (entry: TreeFile) =>
    entry.path.startsWith('licences/') || entry.path === 'sbom.json';
  const common = [
    ...below(
      `usr/lib/${name}`,
      content.filter((entry) => !apart(entry)),
    ),
    ...below(doc, content.filter(apart)),
    file(`${doc}/copyright`, copyright(name)),
    file(`usr/bin/${command}`, read(`${product}/command.sh`), true),
    file(
      `usr/lib/systemd/system/${name}.service`,
      unit(product, nodeBuild(target, order.node).version),
    ),
    file(`usr/lib/sysusers.d/${name}.conf`, `u ${name} - "${titles[product]}" /var/lib/${name}\n`),
    file(
      `usr/share/man/man1/${command}.1.gz`,
      gzipped(readFileSync(join(root, 'deploy/man', `${command}.1`))),
    ),
    file(`usr/share/bash-completion/completions/${command}`, completion(`${command}.bash`)),
    file(`usr/share/fish/vendor_completions.d/${command}.fish`, completion(`${command}.fish`)),
  ];
  const own =
    product === 'agent'
      ? [
          file('etc/aliquot-agent/agent.yaml', read('agent/agent.yaml')),
          file(`${doc}/examples/restore.conf`, read('agent/restore.conf')),
        ]
      : [file('etc/aliquot-collector/serve.conf', read('collector/serve.conf'))];
  const files = tree(common, own);
  const conffiles = files.map(({ path }) => path).filter((path) => path.startsWith('etc/'));
  return { name, version, ...words[product], files, conffiles };
}

const completion = (name: string) => readFileSync(join(root, 'deploy/completions', name));

/** As `gzip -9n` does it: no name and no time in it. */
export function gzipped(bytes: Buffer): Buffer {
  const packed = gzipSync(bytes, { level: 9 });
  packed[9] = 3; // made on Unix, wherever it was made
  return packed;
}

function copyright(name: string): string {
  return `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: Aliquot
Comment: What others wrote and this package carries is under their licences:
 /usr/share/doc/${name}/licences/NODE.txt for Node.js and its parts,
 /usr/share/doc/${name}/licences/THIRD-PARTY.txt for the libraries,
 /usr/share/doc/${name}/sbom.json for the list of all of them.

Files: *
Copyright: 2026 The Aliquot authors
License: Apache-2.0
 On Debian systems the full text of the Apache License, version 2.0, is in
 /usr/share/common-licenses/Apache-2.0; here it is also in
 /usr/share/doc/${name}/licences/LICENSE.
`;
}

/** A maintainer script out of `deploy/linux/KIND/NAME`, with what the product adds to it. */
export function maintainerScript(product: Product, path: string): string {
  const { command, package: name } = names[product];
  const optional = (part: string) => {
    try {
      return read(part).trimEnd();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
      throw error;
    }
  };
  return read(path)
    .replace('@REFUSE@', () => read('refuse-folder-install.sh').trimEnd())
    .replace('@FIRST@', () => optional(`${product}/first-start.sh`))
    .replace('@BEFORE@', () => optional(`${product}/before-removal.sh`))
    .replace('@PURGE@', () => optional(`${product}/purge.sh`))
    .replaceAll('@TITLE@', titles[product])
    .replaceAll('@COMMAND@', command)
    .replaceAll('@PACKAGE@', name)
    .replaceAll(/\n\n+/g, '\n');
}
