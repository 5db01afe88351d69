import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { UsageError } from '@aliquot/shared/cli/errors';
import type { Output } from '@aliquot/shared/cli/output';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { exists, readFileIfThere } from '@aliquot/shared/durable/durable';
import { FolderError } from '@aliquot/shared/durable/errors';
import {
  checkDataFolder,
  createDataFolder,
  type DataFolder,
  openDataFolder,
} from '@aliquot/shared/folder/data-folder';
import { type AnyBundle, openAnyBundle } from '@aliquot/shared/keys/bundle';
import { systemClock, systemRandom } from '@aliquot/shared/ports';
import { openDesk } from '../desk/open-desk.ts';
import { enrol } from '../identity/enrol.ts';
import { type AgentIdentity, enrolmentOf } from '../identity/identity.ts';
import { identityPaths } from '../identity/identity-file.ts';
import { waitsForApproval } from '../uplink/errors.ts';
import { TrustStore } from '../uplink/trust.ts';
import { presenter } from './present.ts';

const MAX_BUNDLE_BYTES = 1 << 20;

export interface EnrollOptions {
  readonly data: string;
  /** What this PC is to be called, instead of its host name; for the bundle of a group. */
  readonly name?: string;
}

/**
 * `enroll BUNDLE`: makes the data folder (mode 0700) and enrols this PC. Run again after a crash in
 * between, it goes on where it was. Errors: those of `enrol`, and `USAGE_INVALID` for a bundle that
 * is not there.
 */
export async function enroll(
  bundlePath: string,
  { data: dataOption, name }: EnrollOptions,
  output: Output,
): Promise<void> {
  const path = resolve(bundlePath);
  if ((await exists(nodeDisk, path)) && (await nodeDisk.stat(path)).kind === 'directory')
    throw new UsageError(
      'USAGE_INVALID',
      `${bundlePath} is a folder; name the bundle, the file that central IT sent`,
    );
  const bundle = await readFileIfThere(nodeDisk, path, MAX_BUNDLE_BYTES);
  if (bundle === undefined)
    throw new UsageError(
      'USAGE_INVALID',
      `there is no bundle at ${bundlePath}; central IT makes one: aliquot enroll NAME --kit KIT --out BUNDLE`,
    );
  // a file that is no bundle must not leave a folder behind
  const opened = openAnyBundle(bundle.toString('utf8'));
  const dataDir = resolve(dataOption);
  // Loaded here: mostly the folder is new.
  const isEnrolled = await exists(nodeDisk, identityPaths(dataDir).identity);
  const takesOver = isEnrolled
    ? await (await import('./hand-over.ts')).handOver(dataDir, opened, output)
    : undefined;
  const folder = await openOrCreate(dataDir);
  try {
    // it may have been made, empty, by somebody with a wider mode
    await nodeDisk.chmod(dataDir, 0o700);
    let pending = false;
    const identity = await enrol({
      ...{
        bundle: bundle.toString('utf8'),
        dataDir,
        port: nodeDisk,
        clock: systemClock,
        random: systemRandom,
        takesOver,
      },
      name: { asked: name, host: hostname() },
      onPending: () => {
        pending = true;
      },
    });
    const trust = await TrustStore.open(nodeDisk, dataDir, identity);
    await takeFirst(opened, identity, dataDir, output);
    // What stood against the agent that was here before does not stand against this one.
    if (takesOver !== undefined) await trust.setProblem(undefined);
    const { name: agent, selfRestore } = enrolmentOf(identity);
    if (pending)
      await trust.setProblem({
        code: 'UPLINK_PENDING',
        message: waitsForApproval(agent),
        sinceMs: systemClock.nowMs(),
      });
    const { emit } = presenter(output);
    await emit({
      event: 'enrolled',
      agent,
      vault: identity.descriptor.name,
      collector: trust.addresses.likely.url,
      selfRestore,
      data: dataDir,
      tookOver: takesOver !== undefined,
      pending: trust.problem?.code === 'UPLINK_PENDING',
    });
    const other = opened.group === undefined ? '' : ' (other PCs may still need a copy of it)';
    output.note(`${bundlePath} is of no more use here and still a secret; delete it${other}`);
  } finally {
    await folder.release();
  }
}

/**
 * The bundle's settings, so that a first start needs nobody. A bundle whose settings cannot be used
 * is a bundle anyway.
 */
async function takeFirst(
  { settings }: AnyBundle,
  identity: AgentIdentity,
  dataDir: string,
  output: Output,
): Promise<void> {
  if (settings === undefined) return;
  const desk = await openDesk(dataDir, {
    port: nodeDisk,
    clock: systemClock,
    random: systemRandom,
    identity,
  });
  const answer = await desk.take(settings, 'bundle');
  if (answer !== undefined && answer.outcome !== 'applied')
    output.note(
      `the settings in the bundle are not used: ${desk.refused?.message ?? answer.code}; central IT can send others`,
    );
}

async function openOrCreate(dataDir: string): Promise<DataFolder> {
  try {
    await checkDataFolder(nodeDisk, dataDir, 'aliquot-agent');
  } catch (error) {
    if (error instanceof FolderError && error.code === 'FOLDER_MISSING')
      return createDataFolder(nodeDisk, dataDir, 'aliquot-agent');
    throw error;
  }
  return openDataFolder(nodeDisk, dataDir, 'aliquot-agent');
}
