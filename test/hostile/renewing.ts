import { connect, type Socket } from 'node:net';

const AGAIN_MS = 20;
/** As many are begun at once: the kernel's own queue of connections is not what is tried. */
const AT_ONCE = 100;

/**
 * Holds so many connections from the agents' own address, each of which says this; one that ends is
 * begun again at once. Resolves when all were open; calling the answer lifts the siege.
 */
export async function renewing(
  port: number,
  count: number,
  says: string | Uint8Array,
): Promise<() => void> {
  const all = new Set<Socket>();
  let over = false;
  let opened = 0;
  let enough = (): void => undefined;
  const reached = new Promise<void>((resolve) => {
    enough = resolve;
  });
  const dial = (): void => {
    if (over) return;
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    all.add(socket);
    socket.once('connect', () => {
      opened += 1;
      if (opened === count) enough();
      socket.write(says);
    });
    socket.on('data', () => undefined);
    socket.on('end', () => socket.destroy());
    socket.on('error', () => undefined);
    socket.on('close', () => {
      all.delete(socket);
      setTimeout(dial, AGAIN_MS);
    });
  };
  for (let index = 0; index < count; index += 1) {
    dial();
    if (index % AT_ONCE === AT_ONCE - 1) await new Promise((go) => setTimeout(go, AGAIN_MS));
  }
  await reached;
  return () => {
    over = true;
    for (const socket of all) socket.destroy();
  };
}
