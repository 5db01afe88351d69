/** What a process of simulated agents is told at its start, as JSON in its first argument. */
export interface FleetOrder {
  readonly url: string;
  /** The collector's certificate, `encodeSigned`, base64. */
  readonly certificate: string;
  readonly first: number;
  readonly count: number;
  /** About how often each agent sends a heartbeat and a small commit. */
  readonly heartbeatMs: number;
  readonly commitMs: number;
}

/** What it tells. */
export type FleetNews =
  | {
      readonly type: 'ready' | 'receipt';
      readonly agent: number;
      readonly atMs: number;
      readonly versions: number;
    }
  | {
      readonly type: 'setback';
      readonly agent: number;
      readonly atMs: number;
      readonly why: string;
    };

export const agentName = (number: number): string => `simulated-${number}`;
