import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Locked } from './npm.ts';

export const root = join(import.meta.dirname, '../..');

export const targets = [
  'win-x64',
  'linux-x64',
  'linux-arm64',
  'darwin-x64',
  'darwin-arm64',
] as const;
export type Target = (typeof targets)[number];

export const products = ['agent', 'collector'] as const;
export type Product = (typeof products)[number];

/** What the product's command is called, and its packages and folders. */
export const names: Record<Product, { readonly command: string; readonly package: string }> = {
  agent: { command: 'aliquot-agent', package: 'aliquot-agent' },
  collector: { command: 'aliquot', package: 'aliquot-collector' },
};

/**
 * A target in Node's words, `process.platform` and `process.arch`, as folders of addons are named.
 */
export const platform: Record<Target, string> = {
  'win-x64': 'win32-x64',
  'linux-x64': 'linux-x64',
  'linux-arm64': 'linux-arm64',
  'darwin-x64': 'darwin-x64',
  'darwin-arm64': 'darwin-arm64',
};

/** A target's system in Node's words, `process.platform`. */
export const systemOf = (target: Target): string => platform[target].split('-')[0] ?? '';

type Builds = Record<Target, readonly Locked[]>;

/**
 * The builds of Node that packages may carry, locked as npm locks; the first of a target is its
 * own.
 */
function nodeBuilds(): Builds {
  return JSON.parse(readFileSync(join(root, 'deploy/node-builds.json'), 'utf8'));
}

/** The build of Node for a target; throws for a version that is not locked for it. */
export function nodeBuild(target: Target, version?: string, builds: Builds = nodeBuilds()): Locked {
  const all = builds[target];
  const found = version === undefined ? all[0] : all.find((build) => build.version === version);
  if (found !== undefined) return found;
  const known = all.map((build) => build.version).join(', ');
  throw new Error(
    `deploy/node-builds.json locks no Node ${version} for ${target}, only ${known}: add its name, version and integrity there`,
  );
}
