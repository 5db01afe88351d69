import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { PurgeLab } from '../../testing/retention/purge-lab.ts';
import type { UnfitRecord } from './errors.ts';

test('I-C34 P6: a start that does a purge again passes over a commit whose own record has rotted, and its PC mends it', async () => {
  const lab = await PurgeLab.make();
  const old = await lab.copied();
  await lab.approve();
  // The history is put back to before the approval; what purges are kept stays.
  await lab.vault.close();
  cpSync(join(lab.dir, 'purges'), join(old, 'purges'), { recursive: true });
  rmSync(lab.dir, { recursive: true });
  cpSync(old, lab.dir, { recursive: true });
  const history = join(lab.dir, 'history', '00000001.history');
  const bytes = readFileSync(history);
  const at = bytes.indexOf(Buffer.from(lab.commit.bytes));
  expect(at).toBeGreaterThan(0);
  bytes.fill(0, at + 200, at + 260);
  writeFileSync(history, bytes);
  const told: UnfitRecord[] = [];
  lab.vault = await lab.opened(lab.dir, undefined, told);
  expect(told.map(({ type }) => type)).toContain('purges');
  expect(lab.vault.purges.all()[0]?.approved).toBeDefined();
  // Its PC is asked for it, and it is served as the purge left it.
  const { agentId, lineageId } = lab.agent;
  await lab.vault.intake.putChunks(lineageId, lab.items);
  const again = await lab.vault.intake.commit(agentId, lab.commit.bytes, lab.world.clock.now);
  expect(again).toMatchObject({ type: 'accepted', repeated: true });
  expect(await lab.names()).toEqual(['/p/b', '/x', '/y']);
  expect(lab.left()).toBe(0);
  await lab.vault.close();
  rmSync(join(lab.dir, 'catalog'), { recursive: true });
  await lab.open();
  expect(await lab.names()).toEqual(['/p/b', '/x', '/y']);
});
