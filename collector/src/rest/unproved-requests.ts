import type { FastifyInstance, FastifyReply } from 'fastify';
import { RestError, statusOf } from '../api/rest-error.ts';
import { MAX_ENROL_BODY_BYTES } from '../limits.ts';
import { OCTETS } from './answer-frames.ts';
import type { RestContext } from './context.ts';
import type { OperatorGate } from './operator-token.ts';

/**
 * Who does not show the operator's token gets one answer on a connection, which ends with it: so
 * nobody holds a place with what was answered, or has us work on many requests that he sent at
 * once. What no endpoint takes is answered before a body of it is read.
 */
export function answerOnce(app: FastifyInstance, context: RestContext, gate: OperatorGate): void {
  const asked = new WeakSet<object>();
  app.addHook('onRequest', (request, reply, done) => {
    const { socket } = request.raw;
    if (gate.admits(request.headers.authorization)) {
      context.door?.proved(socket);
      done();
    } else if (asked.has(socket)) {
      reply.hijack();
      socket.destroy();
    } else {
      asked.add(socket);
      reply.header('connection', 'close');
      const go = (): void => {
        context.door?.dismiss(socket);
        if (request.is404) noRoute(reply);
        else done();
      };
      if (context.door === undefined) go();
      else context.door.turn(request.raw, go);
    }
  });
  app.addHook('preHandler', (request, reply, done) => {
    context.door?.worksOn(request.raw.socket, () => !reply.raw.writableEnded);
    done();
  });
}

/** The answer to a request that no endpoint takes. */
export function noRoute(reply: FastifyReply): FastifyReply {
  const error = new RestError(
    'REST_NO_ROUTE',
    'no such endpoint: is the address right, without a path behind it, and are command and collector of the same release?',
  );
  return reply.code(statusOf(error.code)).send({ code: error.code, message: error.message });
}

/**
 * Bodies of enrolments, which anybody may send: bytes and nothing else, counted with all that
 * unproved connections have sent.
 */
export function takeEnrolBodies(app: FastifyInstance, context: RestContext): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    OCTETS,
    { parseAs: 'buffer', bodyLimit: MAX_ENROL_BODY_BYTES },
    (_request, body, done) => done(null, body),
  );
  app.addHook('onRequest', (_request, reply, done) => {
    const release = context.door?.bytes.reserve(MAX_ENROL_BODY_BYTES);
    if (release !== undefined) reply.raw.once('close', release);
    done();
  });
}
