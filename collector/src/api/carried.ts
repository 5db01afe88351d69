import { z } from 'zod';

const count = z.number().int().nonnegative();

/** What became of one commit of a carried queue. */
const carriedCommit = z.discriminatedUnion('type', [
  z.object({ type: z.literal('accepted'), leafIndex: count, repeated: z.boolean() }),
  /** Neither the file nor the collector holds these items. */
  z.object({ type: z.literal('missing'), count, first: z.string() }),
  z.object({ type: z.literal('refused'), code: z.string(), message: z.string() }),
]);
export type CarriedCommit = z.infer<typeof carriedCommit>;

/** The answer to one part; fewer outcomes than commits when one was not accepted. */
export const partAnswer = z.object({ agent: z.string(), commits: z.array(carriedCommit) });
export type PartAnswer = z.infer<typeof partAnswer>;
