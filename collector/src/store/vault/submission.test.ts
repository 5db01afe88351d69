import type { LineageId } from '@aliquot/proto';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { expect, onTestFinished, test, vi } from 'vitest';
import { content, StoreWorld } from '../../../testing/store/world.ts';
import { UnprovedPages } from '../catalog/unproved-pages.ts';
import { StoredVault } from '../stored-vault.ts';
import { verifySubmission } from './commit-gate.ts';
import { CoreKeeper } from './core-keeper.ts';
import { diskMedia } from './media.ts';
import { Submission } from './submission.ts';

test('I-C23 what a walk has seen holds while another lineage is swept, and no longer when its own is', async () => {
  const world = new StoreWorld('walk');
  const dir = temporaryFolder();
  const store = await StoredVault.inFolder(dir, world.identity, world.ports());
  await store.events.append(world.vaultAdded());
  const agent = await world.agent(store, 'hplc-1');
  const other = await world.agent(store, 'ms-2');
  const file = agent.file('/a', [content('a'), content('b')]);
  await store.intake.putChunks(agent.lineageId, file.items);
  await store.close();

  const media = diskMedia(dir, world.descriptor.vaultId, world.ports());
  const keeper = await CoreKeeper.open(media, world.descriptor, undefined);
  onTestFinished(() => keeper.close());
  const { items, registry } = await keeper.ready();
  const certificate = registry.certificate(agent.agentId);
  if (certificate === undefined) throw new Error('it has enrolled');
  const { bytes } = agent.build([file.draft]);
  const commit = verifySubmission(bytes, world.descriptor, certificate);
  if ('type' in commit) throw new Error(commit.message);
  const submission = new Submission(commit, bytes, keeper.uploads, new UnprovedPages());
  const walked = () => keeper.do((core) => submission.walked(core, agent.lineageId));
  const sweep = (lineageId: LineageId, ids = file.items.map(({ id }) => id)) => {
    const swept = { lineageId, gcEpoch: 1, ids, unwalked: [], isEnd: false, timeMs: 0 };
    return keeper.do((core) => core.appendSwept(swept));
  };

  expect(await walked()).toEqual({ type: 'done' });
  const asked = vi.spyOn(items, 'owned');
  await sweep(other.lineageId);
  expect(await walked()).toEqual({ type: 'done' });
  expect(asked).not.toHaveBeenCalled();
  await sweep(agent.lineageId);
  expect(await walked()).toMatchObject({ type: 'missing' });
});
