import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import { frameRecords, RecordSplitter } from '../collector/src/api/record-stream.ts';

/** What a hostile collector makes of one answer; undefined leaves it as it is. */
export interface Edits {
  /** The path and query that the honest collector behind is asked for. */
  path?(path: string): string;
  /** The records of a streamed answer. */
  records?(path: string, records: readonly Buffer[]): readonly Uint8Array[];
  /** An answer in JSON. */
  json?(path: string, value: unknown): unknown;
}

/**
 * A hostile collector: stands in front of an honest one, at whose heads and proofs it cannot do
 * anything, and edits what it answers.
 */
export class AnswerProxy {
  edits: Edits = {};
  readonly #server: Server;
  #port = 0;

  private constructor(upstream: string) {
    this.#server = createServer((asked, reply) => {
      const parts: Buffer[] = [];
      asked.on('data', (part: Buffer) => parts.push(part));
      asked.on('end', () => {
        void this.#pass(upstream, asked, Buffer.concat(parts)).then(({ status, type, body }) => {
          reply.writeHead(status, { 'content-type': type, 'content-length': body.length });
          reply.end(body);
        });
      });
    });
  }

  static async open(upstream: string): Promise<AnswerProxy> {
    const proxy = new AnswerProxy(upstream);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    const address = proxy.#server.address();
    proxy.#port = typeof address === 'object' && address !== null ? address.port : 0;
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #pass(upstream: string, asked: IncomingMessage, sent: Buffer) {
    const wanted = asked.url ?? '/';
    const answer = await send(upstream, asked, this.edits.path?.(wanted) ?? wanted, sent);
    if (answer.status !== 200) return answer;
    if (answer.type.startsWith('application/json')) {
      const value: unknown = JSON.parse(answer.body.toString('utf8'));
      const edited = this.edits.json?.(wanted, value) ?? value;
      return { ...answer, body: Buffer.from(JSON.stringify(edited)) };
    }
    const { records } = this.edits;
    if (records === undefined) return answer;
    const splitter = new RecordSplitter(false);
    const came = [...splitter.push(answer.body)];
    if (!splitter.hasEnded) return answer;
    const framed: Buffer[] = [];
    for await (const part of frameRecords(each(records(wanted, came)), () => ({
      code: '',
      message: '',
    })))
      framed.push(part);
    return { ...answer, body: Buffer.concat(framed) };
  }
}

async function* each(records: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* records;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: Buffer;
}

function send(
  upstream: string,
  { method, headers }: IncomingMessage,
  path: string,
  body: Buffer,
): Promise<Answer> {
  const { hostname, port } = new URL(upstream);
  return new Promise((resolve, reject) => {
    const passed = request({ hostname, port, method, path, headers }, (answer) => {
      const parts: Buffer[] = [];
      answer.on('data', (part: Buffer) => parts.push(part));
      answer.on('end', () =>
        resolve({
          status: answer.statusCode ?? 500,
          type: answer.headers['content-type'] ?? '',
          body: Buffer.concat(parts),
        }),
      );
    });
    passed.on('error', reject);
    passed.end(body);
  });
}
