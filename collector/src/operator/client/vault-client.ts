import {
  asVaultId,
  type CollectorCertificateBody,
  decodeSigned,
  encodeSigned,
  type Signed,
  type VaultDescriptorBody,
} from '@aliquot/proto';
import { fromHex, hex } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { verifyCollectorCertificate, verifyDescriptor } from '@aliquot/shared/keys/certificates';
import { fromBase64, toBase64 } from '../../api/base64.ts';
import {
  addressesMessage,
  leafAnswer,
  type StatsAnswer,
  stats,
  type VaultInfo,
} from '../../api/messages.ts';
import { CommandError } from '../../cli/command-error.ts';
import { getOf, postTo, type ReachedCollector, type VaultPath } from './ask.ts';
import { DeskClient } from './desk-client.ts';
import { GcClient } from './gc-client.ts';
import { HoldsClient } from './holds-client.ts';
import { ItemLines } from './item-lines.ts';
import { LogClient } from './log-client.ts';
import { PurgesClient } from './purges-client.ts';
import { ReadingClient } from './reading-client.ts';
import { RetentionClient } from './retention-client.ts';
import { RosterClient } from './roster-client.ts';

/**
 * One vault of a running collector. Nothing that it returns is verified against a kit; that is for
 * the caller.
 */
export class VaultClient {
  readonly collector: ReachedCollector;
  readonly info: VaultInfo;
  readonly roster: RosterClient;
  readonly desk: DeskClient;
  readonly holds: HoldsClient;
  readonly purges: PurgesClient;
  readonly retention: RetentionClient;
  readonly gc: GcClient;
  readonly log: LogClient;
  readonly reading: ReadingClient;
  readonly content: ItemLines;
  /** Where the vault is: for other threads, which ask there by themselves. */
  readonly path: VaultPath;

  constructor(collector: ReachedCollector, info: VaultInfo) {
    this.collector = collector;
    this.info = info;
    this.path = {
      endpoint: collector.endpoint,
      base: `/v1/operator/vaults/${info.vaultId}`,
      name: info.name,
    };
    this.roster = new RosterClient(this.path);
    this.desk = new DeskClient(this.path);
    this.holds = new HoldsClient(this.path);
    this.purges = new PurgesClient(this.path);
    this.retention = new RetentionClient(this.path);
    this.gc = new GcClient(this.path);
    this.log = new LogClient(this.path);
    this.reading = new ReadingClient(this.path);
    this.content = new ItemLines(this.path);
  }

  get descriptor(): VaultDescriptorBody {
    const descriptor = verifyDescriptor(decodeSigned(fromBase64(this.info.descriptor)));
    if (hex(descriptor.vaultId) !== this.info.vaultId)
      throw new CommandError('COMMAND_ANSWER', 'the collector mixes up its vaults');
    return descriptor;
  }

  get signedCertificate(): Signed {
    return decodeSigned(fromBase64(this.info.certificate));
  }

  /**
   * The collector's certificate under the authority's key, and proof that it is for the collector
   * that answers.
   */
  certificate(authorityKey: Uint8Array): CollectorCertificateBody {
    const vaultId = asVaultId(fromHex(this.info.vaultId) ?? new Uint8Array(0));
    const body = verifyCollectorCertificate(authorityKey, vaultId, this.signedCertificate);
    if (!equalBytes(body.signKey, fromBase64(this.collector.info.signKey))) {
      throw new CommandError(
        'COMMAND_FOREIGN_COLLECTOR',
        `the collector at ${this.collector.endpoint.url} is not the one that vault ${this.info.name} was given to`,
      );
    }
    return body;
  }

  /** The collector's signed addresses, as the authority said; undefined while none were set. */
  async addresses(): Promise<Signed | undefined> {
    const { addresses } = (await getOf(this.path, addressesMessage, '/addresses')).value;
    return addresses === undefined ? undefined : decodeSigned(fromBase64(addresses));
  }

  /** How many agents are connected, by the host and port by which they came. */
  async connectedBy(): Promise<ReadonlyMap<string, number>> {
    const { connected } = (await getOf(this.path, addressesMessage, '/addresses')).value;
    return new Map(connected.map(({ host, agents }) => [host, agents]));
  }

  async setAddresses(addresses: Signed): Promise<void> {
    await postTo(this.path, leafAnswer, '/addresses', {
      addresses: toBase64(encodeSigned(addresses)),
    });
  }

  async stats(): Promise<StatsAnswer> {
    return (await getOf(this.path, stats, '/stats')).value;
  }
}
