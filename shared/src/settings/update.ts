import { z } from 'zod';

/** What central IT says of releases; never in `agent.yaml`. */
export const updateSchema = z.strictObject(
  {
    version: z
      .string({ error: 'must be a release such as "0.2.0", in quotes' })
      .regex(/^\d{1,5}\.\d{1,5}\.\d{1,5}$/, 'must be a release such as "0.2.0", in quotes')
      .describe('The release that the PC is to run, as `"0.2.0"`.'),
    window: z
      .string({ error: 'must be hours of the day in quotes, such as "22:00-05:00"' })
      .regex(
        /^(?:[01]\d|2[0-3]):[0-5]\d-(?:[01]\d|2[0-3]):[0-5]\d$/,
        'must be hours of the day in quotes, such as "22:00-05:00"',
      )
      .optional()
      .describe(
        'When it may change over, by the PC’s clock: `"22:00-05:00"`; at any time unless given.',
      ),
  },
  { error: 'must be a map with "version"' },
);

const SHARE_ERROR = 'must be a share of the PCs in percent, from 1 to 99';

/**
 * The same in a section of the policy: for a share of the PCs only, which rises from roll-out to
 * roll-out.
 */
export const updateSectionSchema = updateSchema.extend({
  share: z
    .int(SHARE_ERROR)
    .min(1, SHARE_ERROR)
    .max(99, SHARE_ERROR)
    .optional()
    .describe(
      'In the policy: only so many in a hundred of the PCs that the section is for; the others keep what weaker sections say.',
    ),
});

/** Which release a PC is to run. */
export type UpdateSettings = z.output<typeof updateSchema>;
