import type { VaultDescriptorBody } from '@aliquot/proto';
import type { CommitRecipient } from '@aliquot/shared/commit/commit';
import { newBoxKey } from '@aliquot/shared/crypto/box';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { describe, expect, it, onTestFinished } from 'vitest';
import { StoreWorld } from '../../../testing/store/world.ts';
import { StoredVault } from '../stored-vault.ts';

/** What a vault says to a first commit whose keys are wrapped for `recipients` only. */
async function answerTo(
  blind: boolean,
  recipients: (vault: VaultDescriptorBody, stranger: Uint8Array) => CommitRecipient[],
) {
  const world = new StoreWorld('gate', { blind });
  const store = await StoredVault.inFolder(temporaryFolder(), world.identity, world.ports());
  onTestFinished(() => store.close());
  await store.events.append(world.vaultAdded());
  const agent = await world.agent(store, 'hplc-1');
  const wrapped = recipients(world.descriptor, newBoxKey(world.random).publicKey);
  const outcome = await store.intake.commit(
    agent.agentId,
    agent.build([agent.directory('/d')], { recipients: wrapped }).bytes,
    world.clock.now,
  );
  expect(await store.intake.chainHead(agent.agentId, agent.chainId)).toEqual(
    outcome.type === 'accepted' ? expect.anything() : undefined,
  );
  return outcome;
}

const forVault = ({ vaultKey }: VaultDescriptorBody): CommitRecipient => ({
  recipient: 'vault',
  key: vaultKey,
});
const forCatalog = ({ catalogKey }: VaultDescriptorBody): CommitRecipient => ({
  recipient: 'catalog',
  key: catalogKey,
});
const forAgent = (key: Uint8Array): CommitRecipient => ({ recipient: 'agent', key });

describe('a commit that those who must open it could not open', () => {
  it.each([
    ['nobody', false, 'vault', () => []],
    [
      'the agent alone',
      false,
      'vault',
      (_: VaultDescriptorBody, key: Uint8Array) => [forAgent(key)],
    ],
    ['the catalog alone', false, 'vault', (vault: VaultDescriptorBody) => [forCatalog(vault)]],
    ['the vault alone', false, 'catalog', (vault: VaultDescriptorBody) => [forVault(vault)]],
    [
      'another vault',
      false,
      'vault',
      (vault: VaultDescriptorBody, key: Uint8Array) => [
        { ...forVault(vault), key },
        forCatalog(vault),
      ],
    ],
    [
      'another catalog',
      false,
      'catalog',
      (vault: VaultDescriptorBody, key: Uint8Array) => [
        forVault(vault),
        { ...forCatalog(vault), key },
      ],
    ],
    [
      'the catalog as if it were the vault',
      false,
      'vault',
      (v: VaultDescriptorBody) => [{ ...forVault(v), key: v.catalogKey }, forCatalog(v)],
    ],
    [
      'the catalog of a blind vault alone',
      true,
      'vault',
      (vault: VaultDescriptorBody) => [forCatalog(vault)],
    ],
  ] as const)('is refused: keys for %s', async (_who, blind, lacking, recipients) => {
    const message = expect.stringContaining(`cannot be opened with the ${lacking} key`);
    expect(await answerTo(blind, recipients)).toEqual({
      type: 'refused',
      code: 'bad-commit',
      message,
    });
  });

  it('is not one that the vault can open in a blind vault, where no catalog reads names', async () => {
    expect(await answerTo(true, (vault) => [forVault(vault)])).toMatchObject({ type: 'accepted' });
    expect(
      await answerTo(false, (vault, key) => [forVault(vault), forCatalog(vault), forAgent(key)]),
    ).toMatchObject({ type: 'accepted' });
  });
});
