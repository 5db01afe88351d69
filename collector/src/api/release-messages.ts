import {
  isReleaseFile,
  isReleaseVersion,
  MAX_RELEASE_FILE_BYTES,
  MAX_RELEASE_FILES,
} from '@aliquot/proto';
import { z } from 'zod';

/* What of the operator's REST interface is about releases of the agent: see `messages.ts`. */

const count = z.number().nonnegative();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
export const releasePartQuery = z.strictObject({
  sha256,
  offset: z.coerce.number().int().min(0).max(MAX_RELEASE_FILE_BYTES),
});
export const releasePartAnswer = z.object({ size: count });
const releaseName = z.string().refine(isReleaseFile);
const releaseFile = z.strictObject({
  name: releaseName,
  size: z.int().min(1).max(MAX_RELEASE_FILE_BYTES),
  sha256,
});
/** `targetsHash`: SHA-256 of the vendor's list that comes with it, for the log. */
export const publishRequest = z.strictObject({
  files: z.array(releaseFile).min(1).max(MAX_RELEASE_FILES),
  targetsHash: sha256,
});
export const publishAnswer = z.object({ versions: z.array(z.string()) });
export const keptFiles = z.object({ hashes: z.array(sha256).max(MAX_RELEASE_FILES) });
export const removeReleaseRequest = z.strictObject({
  version: z.string().refine(isReleaseVersion),
});
/** `whole`: every file of it is there. `expires`: when PCs stop believing the vendor's list. */
export const releaseList = z.object({
  releases: z.array(
    z.object({
      version: z.string(),
      platforms: z.array(z.string()),
      bytes: count,
      whole: z.boolean(),
      expires: z.string(),
    }),
  ),
});
export type ReleaseList = z.infer<typeof releaseList>;
