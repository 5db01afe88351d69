import type { AddressInfo } from 'node:net';
import { isLoopback } from '@aliquot/shared/cli/loopback';
import { endWith } from '@aliquot/shared/durable/unexpected';

const REQUEST_MS = 5_000;
const MAX_CONNECTIONS = 8;

export interface MetricsServer {
  /** `http://127.0.0.1:9464/metrics`. */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Answers `GET /metrics` on this PC's loopback with what `text` makes; questions that come together
 * share one answer. Only where the `Host` is the loopback's too, so that no web page in a browser
 * here can read it by a name of its own. Rejects when the port is taken.
 */
export async function serveMetrics(
  listen: { readonly host: string; readonly port: number },
  text: () => Promise<string>,
): Promise<MetricsServer> {
  // Loaded only where it is switched on: the service's memory is not to pay for it.
  const { createServer } = await import('node:http');
  let answering: Promise<string> | undefined;
  const server = createServer(
    { requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS },
    (request, response) => {
      const { host = '' } = request.headers;
      const end = (status: number, body: string): void => {
        response.writeHead(status, {
          'content-type': 'text/plain; version=0.0.4; charset=utf-8',
          connection: 'close',
        });
        response.end(request.method === 'HEAD' ? '' : body);
      };
      if (!isLoopback(host.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')))
        return end(403, 'only this PC may ask\n');
      if (request.method !== 'GET' && request.method !== 'HEAD')
        return end(405, 'only GET is answered\n');
      if (request.url?.split('?')[0] !== '/metrics') return end(404, 'there is only /metrics\n');
      answering ??= text().finally(() => {
        answering = undefined;
      });
      answering.then(
        (body) => end(200, body),
        (error: unknown) => {
          end(503, 'the agent cannot say how it is just now; its log says why\n');
          endWith(error);
        },
      );
    },
  );
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(listen, () => resolve());
  });
  const { address, port } = server.address() as AddressInfo;
  return {
    url: `http://${address.includes(':') ? `[${address}]` : address}:${port}/metrics`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
