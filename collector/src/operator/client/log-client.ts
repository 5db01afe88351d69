import { encodeSigned, type Signed, type TreeHead } from '@aliquot/proto';
import { toBase64 } from '../../api/base64.ts';
import {
  type LogInfo,
  type LogProofs,
  leafAnswer,
  logInfo,
  logProofs,
} from '../../api/messages.ts';
import { getOf, postTo, type VaultPath } from './ask.ts';

/** A vault's log, as the collector tells of it. */
export class LogClient {
  readonly #path: VaultPath;

  constructor(path: VaultPath) {
    this.#path = path;
  }

  async info(): Promise<LogInfo> {
    return (await getOf(this.#path, logInfo, '/log')).value;
  }

  /** Proofs that the log continues heads that were seen before. */
  async proofs(heads: readonly TreeHead[]): Promise<LogProofs> {
    const asked = heads.map(({ logEpoch, size, root }) => ({
      logEpoch,
      size,
      root: toBase64(root),
    }));
    return (await postTo(this.#path, logProofs, '/log/proofs', { heads: asked })).value;
  }

  async openEpoch(opening: Signed): Promise<void> {
    await postTo(this.#path, leafAnswer, '/log/openings', {
      opening: toBase64(encodeSigned(opening)),
    });
  }
}
