import { hostRoot } from '../environment.ts';
import { type Install, installOf } from '../update/install.ts';

/** The release; package.json carries the same. */
const VERSION = '0.1.0';

/** How this program is installed, and which version runs. */
export function ownInstall(): Install {
  return installOf({ hostRoot: hostRoot(), execPath: process.execPath, version: VERSION });
}

/**
 * Program and version as the operator sees them, and whether a package manager brings the next one.
 */
export const software = softwareOf(ownInstall());

function softwareOf({ kind, version }: Install): string {
  return `aliquot-agent ${version}${kind === 'package' ? ' (package)' : ''}`;
}
