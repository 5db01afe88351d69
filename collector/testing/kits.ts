import { readFile, writeFile } from 'node:fs/promises';
import type { OperatorPurpose } from '@aliquot/proto';
import { createKit, openKit, sealKit } from '@aliquot/shared/keys/kit';
import { newOperator, sealOperator } from '@aliquot/shared/keys/operator';
import { systemRandom } from '@aliquot/shared/ports';

/*
 * Kits with a weak passphrase function. Every command that takes a kit opens it, which costs half a
 * second on purpose; tests run many such commands, and their kits protect nothing.
 */
const weakCost = { logN: 4, r: 8, p: 1 };
const KEY_MS = 90 * 86_400_000;

/** A kit as `kit create` writes it, but for the cost. */
export async function writeWeakKit(
  file: string,
  vault: string,
  passphrase: string,
  { blind = false } = {},
): Promise<void> {
  const contents = createKit({ name: vault, blind, nowMs: Date.now() }, systemRandom);
  await writeFile(file, sealKit(contents, passphrase, systemRandom, weakCost), { mode: 0o600 });
}

/** An operator's key file as `operator add` writes it, for 90 days, but for the cost. */
export async function writeWeakKey(
  file: string,
  { kit, name, purposes }: { kit: string; name: string; purposes: readonly OperatorPurpose[] },
  passphrase: string,
): Promise<void> {
  const opened = await openKit(await readFile(kit, 'utf8'), passphrase);
  const issuedAtMs = Date.now();
  const terms = { name, purposes, issuedAtMs, expiresAtMs: issuedAtMs + KEY_MS };
  const contents = newOperator(opened, terms, systemRandom);
  const text = sealOperator(contents, passphrase, systemRandom, weakCost);
  await writeFile(file, text, { mode: 0o600 });
}

/** Seals what `kit create` wrote once more, for the same passphrase. */
export async function weaken(file: string, passphrase: string): Promise<void> {
  const { contents } = await openKit(await readFile(file, 'utf8'), passphrase);
  await writeFile(file, sealKit(contents, passphrase, systemRandom, weakCost), { mode: 0o600 });
}
