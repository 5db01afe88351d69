import { createHash } from 'node:crypto';
import { nativeLibraries } from '../lib/native-libraries.ts';
import { isLinux } from './deb.ts';
import { type Locked, lockedPackage } from './npm.ts';
import { systemOf, type Target } from './targets.ts';

/**
 * A part of a package: a name, a version, an SPDX licence, and the lock's integrity where npm has
 * one.
 */
export interface SbomPart {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly integrity?: string;
}

/** The packages that a bundle's `BUNDLED.txt` names, in its order. */
export function bundledParts(bundled: string, lock: string): readonly SbomPart[] {
  return bundled
    .split(`\n${'-'.repeat(80)}\n\n`)
    .map((section) => /^(?:This program contains .*\n\n)?(\S+) (\S+) \((.+)\)$/m.exec(section))
    .map((match) => {
      if (match === null)
        throw new Error('BUNDLED.txt has a section that begins with no name, version and licence');
      const [, name = '', version = '', license = ''] = match;
      const locked = lockedPackage(lock, name);
      return {
        name,
        version,
        license,
        ...(locked.version === version ? { integrity: locked.integrity } : {}),
      };
    });
}

/**
 * The list of parts of a package as CycloneDX 1.6. Made here and not by `@cyclonedx/cyclonedx-npm`,
 * which knows what is installed in the project's tree, not what the bundler took of it, and neither
 * Node nor the addons of another platform. The same parts give the same bytes.
 */
export function sbom(
  product: { readonly name: string; readonly version: string; readonly target: Target },
  node: Locked,
  parts: readonly SbomPart[],
): string {
  const npm = parts.map((part) => npmComponent(part));
  const libraries = nativeLibraries(systemOf(product.target)).map(({ name, version, license }) => ({
    type: 'library',
    'bom-ref': `${name}@${version}`,
    name,
    version,
    licenses: [{ license: { id: license } }],
  }));
  const platform = npmComponent({ ...node, license: 'MIT' }, 'platform');
  const components = [
    isLinux(product.target) ? { ...platform, ...withoutSymbols } : platform,
    ...npm,
    ...libraries,
  ];
  const self = `${product.name}@${product.version}-${product.target}`;
  const listed = {
    component: {
      type: 'application',
      'bom-ref': self,
      name: product.name,
      version: product.version,
      licenses: [{ license: { id: 'Apache-2.0' } }],
      properties: [{ name: 'aliquot:target', value: product.target }],
    },
  };
  return `${JSON.stringify(
    {
      bomFormat: 'CycloneDX',
      specVersion: '1.6',
      serialNumber: `urn:uuid:${uuidOf(JSON.stringify([listed, components]))}`,
      version: 1,
      metadata: listed,
      components,
      dependencies: [
        { ref: self, dependsOn: components.map((component) => component['bom-ref']).sort() },
      ],
    },
    null,
    2,
  )}\n`;
}

/** The hash of the part is that of npm's package; the file in it was changed by this alone. */
const withoutSymbols = {
  modified: true,
  pedigree: { notes: 'its table of symbols is taken off by strip of binutils (--strip-all)' },
};

function npmComponent(
  { name, version, license, integrity }: SbomPart,
  type: 'library' | 'platform' = 'library',
) {
  const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`;
  const simple = /^[A-Za-z0-9.+-]+$/.test(license);
  return {
    type,
    'bom-ref': purl,
    name,
    version,
    ...(integrity === undefined
      ? {}
      : {
          hashes: [
            {
              alg: 'SHA-512',
              content: Buffer.from(integrity.replace('sha512-', ''), 'base64').toString('hex'),
            },
          ],
        }),
    licenses: [simple ? { license: { id: license } } : { expression: license }],
    purl,
  };
}

/** A UUID (RFC 9562, version 8) that hangs on the content alone. */
function uuidOf(content: string): string {
  const bytes = createHash('sha256').update(content).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
