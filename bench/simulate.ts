/**
 * Simulating a policy over versions of a vault: `npm run build && node
 * --conditions=aliquot-source bench/simulate.ts [--agents 20] [--files 100000] [--versions 5]
 * [--data DIR]`.
 *
 * Generated: a vault of small files of so many agents, each with so many versions of so many files,
 * sealed, signed and accepted as ever (`collection/versions.ts`); it is kept in DIR for the next
 * time. A process of its own opens it, and simulates the template "raw" through what `aliquot
 * policy simulate` asks. Figures are of that process: its peak is from its start on.
 */
import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { alone } from './collection/alone.ts';
import { templateRules } from './collection/rules.ts';
import { makeVersions, openVault, worldOf } from './collection/versions.ts';
import { dataFolder } from './options.ts';

const DAY_MS = 86_400_000;
const { values } = parseArgs({
  options: {
    agents: { type: 'string', default: '20' },
    files: { type: 'string', default: '100000' },
    versions: { type: 'string', default: '5' },
    data: { type: 'string', default: dataFolder() },
    of: { type: 'string' },
  },
});
const [agents, filesEach, versionsEach] = [values.agents, values.files, values.versions].map(
  Number,
) as [number, number, number];
const world = worldOf('versions');

if (values.of === undefined) {
  const dir = join(values.data, `versions-${agents}-${filesEach}-${versionsEach}`);
  if (!existsSync(dir)) await make(dir);
  await alone(import.meta.filename, ['--of', dir]);
} else await simulate(values.of);

async function make(dir: string): Promise<void> {
  const vault = await openVault(world, `${dir}.part`);
  const say = (line: string): void => console.error(`generated: ${line}`);
  await makeVersions(world, vault, { agents, filesEach, versionsEach }, say);
  await vault.close();
  renameSync(`${dir}.part`, dir);
}

async function simulate(dir: string): Promise<void> {
  const vault = await openVault(world, dir);
  const nowMs = world.clock.now + 500 * DAY_MS;
  const [began, used] = [performance.now(), process.cpuUsage()];
  const policies = [templateRules()];
  const figures = await vault.retention.simulate({ nowMs, horizonMs: nowMs, policies });
  const seconds = (performance.now() - began) / 1000;
  const { user, system } = process.cpuUsage(used);
  await vault.close();
  const kept = figures.kept.reduce((sum, { versions }) => sum + versions, 0);
  const all = kept + figures.going.versions;
  const spent = (user + system) / 1e6;
  console.log(
    `simulate: ${all} versions, of which ${figures.going.versions} would go: ${seconds.toFixed(1)} s (aim 60 for 10,000,000), ${spent.toFixed(1)} s of processor, ${((spent * 1e6) / all).toFixed(1)} µs a version`,
  );
}
