import { refusalError, UplinkError } from './errors.ts';
import type { Session } from './session.ts';

/**
 * Asks for the bytes of a release's file from `offset` on: as many as the collector sends at a
 * time, and the size of the whole. Nothing is believed of them here: TUF's lists judge them.
 */
export async function askReleasePart(
  session: Session,
  name: string,
  offset: number,
): Promise<{ readonly size: number; readonly bytes: Uint8Array }> {
  const { frame, body } = await session.ask((requestId) => ({
    type: 'releaseFetch',
    requestId,
    name,
    offset,
  }));
  if (frame.type === 'refused') throw refusalError(frame.code, frame.message);
  if (frame.type !== 'releaseData')
    throw new UplinkError(
      'UPLINK_PROTOCOL',
      `the collector sent a ${frame.type} frame for a release`,
    );
  return { size: frame.size, bytes: body.slice() };
}
