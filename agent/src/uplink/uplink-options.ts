import type { Timers } from '@aliquot/shared/ports';
import type { Diagnostics } from './diagnosis-answer.ts';
import type { Probe } from './lookout.ts';
import type { SendingPace } from './session-parts.ts';
import type { Connect } from './socket.ts';
import type { Recover } from './uplink.ts';
import type { UplinkParts } from './uplink-parts.ts';

/** What an uplink is made of. */
export interface UplinkOptions extends Omit<UplinkParts, 'welcome'> {
  readonly recover?: Recover;
  /** Who makes the diagnoses that operators ask for; without it, there are none. */
  readonly diagnostics?: Diagnostics | undefined;
  /** Says when items may be sent; without it, at once. */
  readonly courtesy?: SendingPace;
  readonly timers?: Timers;
  readonly connect?: Connect;
  readonly probe?: Probe;
}
