import { readFile, writeFile } from 'node:fs/promises';
import { createKit, openKit, sealKit } from '@aliquot/shared/keys/kit';
import { systemRandom } from '@aliquot/shared/ports';

/*
 * Kits with a weak passphrase function. Every command that takes a kit opens it, which costs half a
 * second on purpose; tests run many such commands, and their kits protect nothing.
 */
const weakCost = { logN: 4, r: 8, p: 1 };

/** A kit as `kit create` writes it, but for the cost. */
export async function writeWeakKit(file: string, vault: string, passphrase: string): Promise<void> {
  const contents = createKit({ name: vault, blind: false, nowMs: Date.now() }, systemRandom);
  await writeFile(file, sealKit(contents, passphrase, systemRandom, weakCost), { mode: 0o600 });
}

/** Seals what `kit create` wrote once more, for the same passphrase. */
export async function weaken(file: string, passphrase: string): Promise<void> {
  const { contents } = await openKit(await readFile(file, 'utf8'), passphrase);
  await writeFile(file, sealKit(contents, passphrase, systemRandom, weakCost), { mode: 0o600 });
}
