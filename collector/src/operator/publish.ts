import { eraseDurably, writeFileDurably } from '@aliquot/shared/durable/durable';
import { endWith } from '@aliquot/shared/durable/unexpected';
import type { CommandContext } from '../cli/context.ts';

/**
 * Writes the bundle, then registers it, and takes it away again when the collector refuses. After a
 * crash in between there is a bundle that the collector does not expect, and it says so; the other
 * order could leave a name taken by a bundle that nobody has.
 */
export async function publish(
  context: CommandContext,
  file: string,
  text: string,
  register: () => Promise<void>,
): Promise<void> {
  await writeFileDurably(context.files, file, Buffer.from(text), { mode: 0o600, createOnly: true });
  try {
    await register();
  } catch (error) {
    // Its keys are those of the whole vault, so the bytes go too.
    await eraseDurably(context.files, file).catch(endWith);
    throw error;
  }
}
