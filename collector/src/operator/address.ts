import {
  type CollectorAddress,
  type CollectorAddressesBody,
  FormatError,
  isCollectorUrl,
  MAX_ADDRESSES,
  type Signed,
} from '@aliquot/proto';
import { UsageError } from '@aliquot/shared/cli/errors';
import { writeFileDurably } from '@aliquot/shared/durable/durable';
import { addressesFile } from '@aliquot/shared/keys/addresses-file';
import { issueAddresses, verifyAddresses } from '@aliquot/shared/keys/certificates';
import type { OpenKit } from '@aliquot/shared/keys/kit';
import type { Command } from 'commander';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { inspectedVault } from './choose-vault.ts';
import { CollectorClient } from './client/collector-client.ts';
import type { VaultClient } from './client/vault-client.ts';
import { registerClock } from './clock.ts';
import { peerChainAt } from './http-client.ts';
import { refuseExisting } from './kit.ts';
import { openKitFile } from './kit-file.ts';
import { provedVault } from './open-vault.ts';
import {
  type CollectorOptions,
  endpointOf,
  type KitOptions,
  withCollector,
  withExample,
  withJson,
  withKit,
  withNotes,
} from './options.ts';
import { tlsTrustOf } from './tls-trust.ts';

interface AddressOptions extends CollectorOptions, KitOptions {
  readonly out?: string;
  readonly json?: boolean;
}

export function registerAddress(program: Command, context: CommandContext): void {
  const collector = program.command('collector').description('The collector itself.');
  const address = collector
    .command('address')
    .description('Where agents find it: signed with the kit, handed to every agent.');
  for (const parent of [collector, address]) withExample(parent, 'aliquot collector address show');
  registerClock(collector, context);
  const set = address
    .command('set')
    .description('Tell every agent where the collector is, now or soon.')
    .argument('<URL...>', 'https addresses, in order; they take the place of those set before')
    .option('--out <FILE>', 'also write them, signed, to a file for PCs that miss the change');
  withJson(withKit(withCollector(set), 'needed'));
  withNotes(
    set,
    'Agents try them in this order, at once, and keep those that they know beside them: so set new ones before a move, and see with `aliquot collector address show` who came. A PC that is off meanwhile takes the file of --out.',
    'A self-signed certificate, or an authority that PCs do not know, is given with --tls-ca. For a renewal the present and the next one stand in that file, one after the other.',
  );
  withExample(
    set,
    'aliquot collector address set https://backup.lab.example:8480 --kit lab.kit',
    'aliquot collector address set https://new.lab:8480 https://old.lab:8480 --kit lab.kit --tls-ca ca.pem --out lab.addresses',
  );
  set.action(async (urls: string[], options: AddressOptions) =>
    setAddresses(context, urls, options),
  );

  const show = address
    .command('show')
    .description('The addresses that agents are given, and how many agents are connected at each.');
  withJson(withCollector(show));
  withExample(show, 'aliquot collector address show');
  show.action(async (options: AddressOptions) => showAddresses(context, options));
}

async function setAddresses(
  context: CommandContext,
  given: readonly string[],
  options: AddressOptions,
): Promise<void> {
  const output = outputOf(context, options);
  const urls = given.map(agentUrl);
  const twice = urls.find((url, at) => urls.indexOf(url) !== at);
  if (twice !== undefined)
    throw new UsageError('USAGE_INVALID', `${twice} is named twice; name each address once`);
  if (urls.length > MAX_ADDRESSES)
    throw new UsageError(
      'USAGE_INVALID',
      `${urls.length} addresses are more than the ${MAX_ADDRESSES} that agents take; leave out those that are out of use`,
    );
  if (options.out !== undefined) await refuseExisting(context, options.out);
  const endpoint = await endpointOf(context, options);
  const kit = await openKitFile(context, options);
  const collector = await CollectorClient.connect(endpoint);
  const vault = await provedVault(context, collector, kit.descriptor);
  const answering: string[] = [];
  const addresses: CollectorAddress[] = [];
  for (const url of urls) {
    const seen = await peerChainAt(url, endpoint.tlsCa);
    if (seen !== undefined) answering.push(url);
    addresses.push({
      url,
      ...(url.startsWith('https:') ? tlsTrustOf(seen, endpoint.tlsCa) : { tlsCa: '', tlsPins: [] }),
    });
  }
  const known = await presentOf(vault);
  const revision = Math.max(Math.floor(context.clock.nowMs()), (known?.body.revision ?? 0) + 1);
  const body: CollectorAddressesBody = {
    version: 1,
    vaultId: kit.descriptor.vaultId,
    revision,
    addresses,
  };
  const signed = signedBy(kit, body);
  await vault.setAddresses(signed);
  if (options.out !== undefined)
    await writeFileDurably(context.files, options.out, Buffer.from(addressesFile(signed, body)), {
      createOnly: true,
    });
  for (const url of urls) {
    if (answering.includes(url)) continue;
    output.note(
      `nothing answers at ${url} from here now; agents try it all the same, and again whenever their connection ends`,
    );
  }
  const file =
    options.out === undefined
      ? ''
      : `\nFor a PC that misses it: aliquot-agent address set ${options.out} --data DIR`;
  await output.result(
    {
      event: 'addresses',
      revision,
      addresses: addresses.map(addressJson),
      file: options.out ?? null,
    },
    `Agents are given: ${urls.join(', ')}. Those that are connected have them now, the others get them when they come.${file}`,
  );
}

function signedBy(kit: OpenKit, body: CollectorAddressesBody): Signed {
  try {
    return issueAddresses(kit.authority, body);
  } catch (cause) {
    // Every other limit was looked at before.
    if (!(cause instanceof FormatError) || cause.code !== 'FORMAT_LIMIT') throw cause;
    const way = 'give only the certificates that are needed, and fewer addresses';
    throw new UsageError(
      'USAGE_INVALID',
      `the file of --tls-ca is too large to go with each of ${body.addresses.length} addresses: ${way}`,
      { cause },
    );
  }
}

/** An address that agents may be given, without a slash behind it. */
export function agentUrl(text: string): string {
  const url = text.replace(/\/+$/, '');
  if (isCollectorUrl(url)) return url;
  // As it was typed, for that is to be mended; less what may be a secret.
  const shown = url.replace(/[?#].*$/s, '').replace(/^([a-z]+:\/\/)?[^/]*@/i, '$1');
  throw new UsageError(
    'USAGE_INVALID',
    `"${shown}" is no address for agents: give https://HOST:PORT without user and query; plain http is for the machine itself only`,
  );
}

/**
 * The collector's present addresses, proved by the vault's authority; undefined while none were
 * set.
 */
export async function presentOf(
  vault: VaultClient,
): Promise<{ readonly signed: Signed; readonly body: CollectorAddressesBody } | undefined> {
  const signed = await vault.addresses();
  if (signed === undefined) return undefined;
  const { authorityKey, vaultId } = vault.descriptor;
  return { signed, body: verifyAddresses(authorityKey, vaultId, signed) };
}

async function showAddresses(context: CommandContext, options: AddressOptions): Promise<void> {
  const output = outputOf(context, options);
  const vault = await inspectedVault(context, options);
  const present = await presentOf(vault);
  const connected = await vault.connectedBy();
  const all = [...connected.values()].reduce((sum, agents) => sum + agents, 0);
  if (present === undefined) {
    const none =
      'No addresses were set: each agent knows the one of its bundle. Set them with `aliquot collector address set URL --kit KIT`.';
    await output.result({ event: 'addresses', revision: 0, addresses: [], elsewhere: all }, none);
    return;
  }
  const { revision, addresses } = present.body;
  const counted = addresses.map((address) => ({
    address,
    agents: connected.get(new URL(address.url).host) ?? 0,
  }));
  const elsewhere = counted.reduce((rest, { agents }) => rest - agents, all);
  const lines = counted.map(
    ({ address, agents }) => `${addressText(address)}  ${agentCount(agents)} connected`,
  );
  if (elsewhere > 0) lines.push(`${agentCount(elsewhere)} connected at other addresses`);
  await output.result(
    {
      event: 'addresses',
      revision,
      addresses: counted.map(({ address, agents }) => ({
        ...addressJson(address),
        connected: agents,
      })),
      elsewhere,
    },
    lines.join('\n'),
  );
}

const agentCount = (agents: number): string => `${agents} ${agents === 1 ? 'agent' : 'agents'}`;

function addressJson({ url, tlsCa, tlsPins }: CollectorAddress): object {
  return {
    url,
    authority: tlsCa !== '',
    pins: tlsPins.map((pin) => Buffer.from(pin).toString('hex')),
  };
}

function addressText({ url, tlsCa, tlsPins }: CollectorAddress): string {
  if (url.startsWith('http:')) return url;
  const pins =
    tlsPins.length === 0
      ? ''
      : `, or ${tlsPins.length} pinned ${tlsPins.length === 1 ? 'key' : 'keys'}`;
  return `${url}  trusted by ${tlsCa === '' ? "the PC's own authorities" : 'the given authority'}${pins}`;
}
