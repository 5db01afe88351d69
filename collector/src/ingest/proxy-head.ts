import { isIP } from 'node:net';

/** What a connection begins with that a proxy has passed on. */
export type ProxyHead =
  /** More bytes will tell. */
  | { readonly type: 'unfinished' }
  /** With something else. */
  | { readonly type: 'absent' }
  | { readonly type: 'malformed' }
  /**
   * So many bytes of it are the proxy's. `client`: the address of who spoke to it; undefined where
   * the proxy speaks for itself, or does not know.
   */
  | { readonly type: 'said'; readonly bytes: number; readonly client: string | undefined };

const TEXT = Buffer.from('PROXY ');
/** The longest line of version 1, with its end. */
const MAX_TEXT_BYTES = 107;
const LINE = /^PROXY (?:UNKNOWN(?: .*)?|(TCP[46]) ([\da-fA-F.:]+) [\da-fA-F.:]+ \d{1,5} \d{1,5})$/;

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n');
const FIXED_BYTES = 16;
/** Addresses, and what a proxy may tell beside them. */
const MAX_REST_BYTES = 4096;
const ipv4 = { family: 1, bytes: 12 } as const;
const ipv6 = { family: 2, bytes: 36 } as const;

/**
 * Reads the head of the PROXY protocol, version 1 or 2 (HAProxy, "The PROXY protocol"), as proxies
 * send it in front of what they pass through unopened.
 */
export function readProxyHead(bytes: Buffer): ProxyHead {
  if (begins(bytes, SIGNATURE))
    return bytes.length < FIXED_BYTES ? { type: 'unfinished' } : readBinary(bytes);
  if (!begins(bytes, TEXT)) return { type: 'absent' };
  const end = bytes.subarray(0, MAX_TEXT_BYTES).indexOf('\r\n');
  if (end < 0) return { type: bytes.length < MAX_TEXT_BYTES ? 'unfinished' : 'malformed' };
  const line = LINE.exec(bytes.toString('latin1', 0, end));
  if (line === null) return { type: 'malformed' };
  const [, family, client] = line;
  if (client !== undefined && family !== `TCP${isIP(client)}`) return { type: 'malformed' };
  return { type: 'said', bytes: end + 2, client };
}

function readBinary(bytes: Buffer): ProxyHead {
  const [version, command] = [bytes.readUInt8(12) >> 4, bytes.readUInt8(12) & 15];
  const family = bytes.readUInt8(13) >> 4;
  const rest = bytes.readUInt16BE(14);
  if (version !== 2 || command > 1 || rest > MAX_REST_BYTES) return { type: 'malformed' };
  const known = [ipv4, ipv6].find((one) => one.family === family);
  if (command === 1 && known !== undefined && rest < known.bytes) return { type: 'malformed' };
  if (bytes.length < FIXED_BYTES + rest) return { type: 'unfinished' };
  const client = command === 1 ? clientIn(bytes.subarray(FIXED_BYTES), family) : undefined;
  return { type: 'said', bytes: FIXED_BYTES + rest, client };
}

function clientIn(addresses: Buffer, family: number): string | undefined {
  if (family === ipv4.family) return addresses.subarray(0, 4).join('.');
  if (family !== ipv6.family) return undefined;
  const groups = Array.from({ length: 8 }, (_, at) => addresses.readUInt16BE(2 * at));
  return groups.map((group) => group.toString(16)).join(':');
}

/** Whether bytes begin as `as` does, as far as they have come. */
function begins(bytes: Buffer, as: Buffer): boolean {
  const length = Math.min(bytes.length, as.length);
  return bytes.subarray(0, length).equals(as.subarray(0, length));
}
