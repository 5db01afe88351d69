import { MAX_AGENT_NAME_CHARS } from '@aliquot/proto';

/**
 * What a PC of a group is called unless somebody says otherwise: its host name up to the first dot,
 * in lower case, with a dash for what no agent's name may hold. Undefined when nothing is left.
 */
export function nameFromHost(hostName: string): string | undefined {
  const [first = ''] = hostName.split('.');
  const name = first
    .toLowerCase()
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .replace(/[^a-z0-9_-]+/g, '-')
    .replace(/^[_-]+|-+$/g, '')
    .slice(0, MAX_AGENT_NAME_CHARS);
  return name === '' ? undefined : name;
}
