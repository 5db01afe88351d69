import { cpSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeBlock, decodeSignedCommit, type StoredPurged } from '@aliquot/proto';
import { openNames } from '@aliquot/shared/commit/open-names';
import { readCommit } from '@aliquot/shared/commit/rows';
import { boxKeyFromSecret } from '@aliquot/shared/crypto/box';
import { utf8 } from '@aliquot/shared/crypto/bytes';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { faultyFiles, type Step } from '@aliquot/shared/testing/faulty-files';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { expect, onTestFinished } from 'vitest';
import { PURGE_DELAY_MS } from '../../src/retention/brakes.ts';
import type { UnfitRecord } from '../../src/store/errors.ts';
import { StoredVault } from '../../src/store/stored-vault.ts';
import { content, StoreWorld, type WorldAgent, type WorldFile } from '../store/world.ts';
import { concernedBy, operatorCalled, purgeApproval, purgeOrder, sealedAnew } from './purges.ts';

/** A vault with one commit, of which two files may be purged from now on. */
export class PurgeLab {
  readonly world = new StoreWorld('erased');
  readonly dir = join(temporaryFolder(), 'vault');
  historyFileBytes: number | undefined;
  vault!: StoredVault;
  agent!: WorldAgent;
  commit!: { readonly leafIndex: number; readonly bytes: Uint8Array };
  /** What the commit relies on. */
  items!: WorldFile['items'];
  forms!: readonly StoredPurged[];
  approval!: ReturnType<typeof purgeApproval>;

  /** `begun`: before there is a commit; `before`: before the order. */
  static async make(
    before?: (lab: PurgeLab) => Promise<void>,
    begun?: (lab: PurgeLab) => Promise<void>,
    historyFileBytes?: number,
  ): Promise<PurgeLab> {
    const lab = new PurgeLab();
    lab.historyFileBytes = historyFileBytes;
    const { world } = lab;
    await lab.open();
    onTestFinished(() => lab.vault.close());
    await lab.vault.events.append(world.vaultAdded());
    lab.agent = await world.agent(lab.vault, 'hplc-1');
    await begun?.(lab);
    const names = ['/p/a', '/p/b', '/x', '/y'];
    const small = Object.fromEntries(names.map((name) => [name, utf8(`content of ${name}`)]));
    const large = lab.agent.file('/p/large', [content('large', 70_000)]);
    const files = [...lab.agent.small(small, { whole: true }), large];
    lab.items = files.flatMap(({ items }) => items);
    lab.commit = await lab.agent.back(lab.vault, files);
    await before?.(lab);
    const { lineageId } = lab.agent;
    const ids = ['/p/a', '/p/large'].map((path) => lab.agent.fileId(path));
    const [maria, ines] = [operatorCalled(world, 'maria'), operatorCalled(world, 'ines')];
    const head = lab.vault.log.treeHead();
    const order = purgeOrder(world, maria, { lineageId, files: ids, head });
    await lab.vault.purges.order(order);
    world.clock.now += PURGE_DELAY_MS;
    lab.forms = sealedAnew(world, order.purgeId, await concernedBy(lab.vault, order.purgeId));
    lab.approval = purgeApproval(world, ines, order.purgeId, lab.forms);
    return lab;
  }

  async open(dir = this.dir, files = nodeDisk): Promise<void> {
    this.vault = await this.opened(dir, files);
  }

  /** `told`: what a start passes over or puts right is added to it. */
  opened(dir: string, files = nodeDisk, told: UnfitRecord[] = []): Promise<StoredVault> {
    const { world } = this;
    const identity = { ...world.identity, catalogSecretKey: world.kit.catalogSecretKey };
    const onUnfit = (record: UnfitRecord) => void told.push(record);
    return StoredVault.inFolder(dir, identity, {
      ...world.ports({ files, historyFileBytes: this.historyFileBytes }),
      onUnfit,
    });
  }

  /** A copy of the vault's folder as it is now, whole. */
  async copied(): Promise<string> {
    await this.vault.close();
    const dir = join(temporaryFolder(), 'vault');
    cpSync(this.dir, dir, { recursive: true });
    await this.open();
    return dir;
  }

  approve(vault = this.vault): Promise<{ leafIndex: number }> {
    return vault.purges.approve(this.approval, this.forms);
  }

  async names(vault = this.vault): Promise<string[]> {
    const key = boxKeyFromSecret(this.world.kit.vaultSecretKey);
    const names = new Set<string>();
    for await (const { commit, live } of vault.reading.everyVersion(this.agent.lineageId)) {
      const slots = live.map((slot) => ({ slot }));
      const unread = () => expect.fail('a row does not open');
      for (const { list } of openNames(
        readCommit(commit),
        slots,
        { key, recipient: 'vault' },
        unread,
      ))
        names.add(Buffer.from(list.path).toString());
    }
    return [...names].sort();
  }

  /** How much of what opens rows of the commit as it came is in the vault's folder. */
  left(dir = this.dir): number {
    const all: Buffer[] = [];
    for (const entry of readdirSync(dir, { withFileTypes: true, recursive: true }))
      if (entry.isFile()) all.push(readFileSync(join(entry.parentPath, entry.name)));
    const disk = Buffer.concat(all);
    const { blocks } = decodeSignedCommit(this.commit.bytes);
    const opening = blocks.flatMap(({ block, listBox, readBox }) => {
      const { list, read } = decodeBlock(block);
      return [list, read, listBox, readBox];
    });
    return opening.filter((bytes) => disk.includes(Buffer.from(bytes))).length;
  }

  /** A copy of a folder as a crash at this step of what is done, or of a start, leaves it. */
  async crashed(
    isIt: (step: Step) => boolean,
    {
      of = this.dir,
      done = (vault: StoredVault): Promise<unknown> => this.approve(vault),
      inStart = false,
    } = {},
  ): Promise<string> {
    const dir = join(temporaryFolder(), 'vault');
    cpSync(of, dir, { recursive: true });
    let isOpen = inStart;
    let isMet = false;
    const files = faultyFiles(nodeFiles, (step) => {
      if (!isOpen || isMet || !isIt(step)) return undefined;
      isMet = true;
      return { crash: true };
    });
    const live = async (): Promise<void> => {
      const vault = await this.opened(dir, files);
      isOpen = true;
      try {
        if (!inStart) await done(vault);
      } finally {
        await vault.close().catch(() => undefined);
      }
    };
    await expect(live()).rejects.toThrow();
    expect(isMet).toBe(true);
    return dir;
  }
}
