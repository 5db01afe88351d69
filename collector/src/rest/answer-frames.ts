import type { ServerResponse } from 'node:http';
import { release } from '@aliquot/shared/crypto/bytes';
import type { FastifyReply } from 'fastify';

/** The media type of everything here that is not JSON, asked or answered (RFC 2046, 4.5.1). */
export const OCTETS = 'application/octet-stream';

/**
 * Answers with frames as they come, and gives each back as soon as it is written: those of items
 * have a mebibyte. Who goes away ends the source.
 */
export async function answerFrames(
  reply: FastifyReply,
  frames: AsyncIterable<Buffer>,
): Promise<FastifyReply> {
  reply.hijack();
  const { raw } = reply;
  raw.writeHead(200, { 'content-type': OCTETS });
  try {
    for await (const frame of frames) {
      if (!(await written(raw, frame))) return reply;
      release(frame);
    }
    raw.end();
  } catch (error) {
    raw.destroy();
    throw error;
  }
  return reply;
}

/** Whether all of it was given to the network; false when nobody is there any more. */
function written(raw: ServerResponse, bytes: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    const gone = (): void => resolve(false);
    raw.once('close', gone);
    raw.write(bytes, (error) => {
      raw.off('close', gone);
      resolve(error === undefined || error === null);
    });
  });
}
