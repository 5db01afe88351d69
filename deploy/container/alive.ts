/**
 * The health check of the container: ends with 0 when the collector in it answers, else with 1 and
 * a line that says what came instead. `node alive.ts [PORT]`. It asks over TLS without judging the
 * certificate, which is for another name, and in clear where there is no TLS.
 */
import { get as getPlain } from 'node:http';
import { get as getSecure } from 'node:https';

const PATIENCE_MS = 8_000;
const port = Number(process.argv[2] ?? 8480);

function asked(secure: boolean): Promise<string | undefined> {
  const options = { host: '127.0.0.1', port, path: '/livez', timeout: PATIENCE_MS, agent: false };
  return new Promise((resolve) => {
    const request = secure
      ? getSecure({ ...options, rejectUnauthorized: false })
      : getPlain(options);
    request.once('response', (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200 ? undefined : `HTTP ${answer.statusCode}`);
    });
    request.once('timeout', () =>
      request.destroy(new Error(`no answer within ${PATIENCE_MS / 1000} s`)),
    );
    request.once('error', (error) => resolve(error.message));
  });
}

const failures = [await asked(true)];
if (failures[0] !== undefined) failures.push(await asked(false));
if (!failures.includes(undefined)) {
  console.error(`no collector answers on port ${port}: ${failures.join('; ')}`);
  process.exitCode = 1;
}
