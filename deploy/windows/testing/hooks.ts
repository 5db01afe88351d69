/**
 * Loaded by `--import` in every process and thread of the rooms' tests on Windows: finds the rooms'
 * sources, the stand-in for vitest, and koffi's part for Windows (`ALIQUOT_TEST_KOFFI`), which `npm
 * ci` installs on Windows only.
 *
 * Seam: loaded by its path.
 */
import { registerHooks } from 'node:module';
import { Socket } from 'node:net';
import { pathToFileURL } from 'node:url';

export const standIn = new URL('./vitest-stand-in.ts', import.meta.url).href;
const root = new URL('../../..', import.meta.url);

function instead(specifier: string): string | undefined {
  if (specifier === 'vitest') return standIn;
  const koffi = process.env['ALIQUOT_TEST_KOFFI'];
  if (specifier === '@koromix/koffi-win32-x64' && koffi !== undefined)
    return pathToFileURL(koffi).href;
  // Wine shows npm's links to the rooms as folders of their own in node_modules, where Node takes
  // no TypeScript.
  const [, room, rest = 'index'] = /^@aliquot\/(\w+)(?:\/(.+))?$/.exec(specifier) ?? [];
  const folder = rest.startsWith('testing/') ? '' : 'src/';
  return room === undefined ? undefined : new URL(`${room}/${folder}${rest}.ts`, root).href;
}

registerHooks({
  resolve: (specifier, context, next) => {
    const url = instead(specifier);
    return url === undefined ? next(specifier, context) : { url, shortCircuit: true };
  },
});

// Wine 8 lets no socket connect that was asked to keep alive before, as `fetch` asks: the
// connection ends with UNKNOWN. So anyone who asks early is served once it is connected. Wine 10
// needs none of it.
const { setKeepAlive } = Socket.prototype;
Socket.prototype.setKeepAlive = function (this: Socket, ...asked: unknown[]) {
  if (this.connecting) this.once('connect', () => Reflect.apply(setKeepAlive, this, asked));
  else Reflect.apply(setKeepAlive, this, asked);
  return this;
};
