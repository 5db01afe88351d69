/**
 * Reads an access control list as Windows writes it in words (SDDL): who, beside the system,
 * administrators and one's own account, may read or change what it protects. Pure, so that it is
 * proved on every platform. Source: Microsoft, "Security Descriptor String Format".
 */

/** An account that a list lets in, or that may let itself in. */
export interface Stranger {
  /** As the list names him: a SID (`S-1-5-…`) or one of the two-letter names of SDDL (`BU`). */
  readonly sid: string;
  /** `owner`: may rewrite the list at any time. `inherited`, `explicit`: where the list says so. */
  readonly by: 'owner' | 'inherited' | 'explicit';
}

/**
 * The system, administrators, what installs Windows, one's own rights as creator or owner, services
 * under their own name.
 */
const TRUSTED = /^(SY|BA|CO|OW|S-1-3-0|S-1-3-4|S-1-5-18|S-1-5-32-544|S-1-5-80-[0-9-]+)$/;

/**
 * Rights that give away nothing: to look at attributes and the list itself, to pass through, to
 * wait.
 */
const HARMLESS = 0x2000_0000 | 0x10_0000 | 0x2_0000 | 0x80 | 0x20 | 0x8;

const rightsByName: Readonly<Record<string, number>> = {
  GA: 0x1000_0000,
  GX: 0x2000_0000,
  GW: 0x4000_0000,
  GR: 0x8000_0000,
  RC: 0x2_0000,
  SD: 0x1_0000,
  WD: 0x4_0000,
  WO: 0x8_0000,
  RP: 0x10,
  WP: 0x20,
  CC: 0x1,
  DC: 0x2,
  LC: 0x4,
  SW: 0x8,
  LO: 0x80,
  DT: 0x40,
  CR: 0x100,
  FA: 0x1f_01ff,
  FR: 0x12_0089,
  FW: 0x12_0116,
  FX: 0x12_00a0,
};

/**
 * Anyone who the description lets in beside `own` (this account as SDDL names it) and those who are
 * always let in. Each once.
 */
export function strangersIn(sddl: string, own: string): readonly Stranger[] {
  const strangers = new Map<string, Stranger>();
  const add = (sid: string, by: Stranger['by']): void => {
    if (sid !== own && !TRUSTED.test(sid) && !strangers.has(sid)) strangers.set(sid, { sid, by });
  };
  const owner = /^O:(S-1-[0-9-]+|[A-Z]{2})/.exec(sddl)?.[1];
  if (owner !== undefined) add(owner, 'owner');
  const list = /D:([A-Z_]*)((?:\([^)]*\))*)/.exec(sddl);
  // No list at all means that everybody may do everything; an empty one that nobody may do
  // anything.
  if (list === null || list[1]?.includes('NO_ACCESS_CONTROL')) add('WD', 'explicit');
  for (const [, entry = ''] of (list?.[2] ?? '').matchAll(/\(([^)]*)\)/g)) {
    const [type = '', flags = '', rights = '', , , sid = ''] = entry.split(';');
    // Whatever allows (A, and under a condition XA, OA, ZA): what an entry denies is not weighed
    // against it, so nothing is missed.
    if (/^(A|XA|OA|ZA)$/.test(type) && (maskOf(rights) & ~HARMLESS) !== 0)
      add(sid, flags.includes('ID') ? 'inherited' : 'explicit');
  }
  return [...strangers.values()];
}

function maskOf(rights: string): number {
  if (/^0x/i.test(rights)) return Number.parseInt(rights, 16) | 0;
  // Any other name may mean anything: it counts as a right that matters.
  return (rights.match(/../g) ?? []).reduce((mask, name) => mask | (rightsByName[name] ?? 1), 0);
}

/**
 * What icacls calls the members of a protected list: full rights for the folder and everything that
 * will be in it.
 */
const INSIDE = '(OI)(CI)F';

/**
 * The command that closes a folder again, on one line, for a person to copy. `sids` are whole SIDs.
 */
export function closingCommand(
  folder: string,
  own: string,
  strangers: readonly { readonly sid: string; readonly by: Stranger['by'] }[],
): string {
  const owner = strangers.some(({ by }) => by === 'owner')
    ? `icacls "${folder}" /setowner *S-1-5-32-544 /T && `
    : '';
  const removed = strangers
    .filter(({ by }) => by === 'explicit')
    .map(({ sid }) => ` /remove:g *${sid}`);
  const granted = [...new Set(['S-1-5-18', 'S-1-5-32-544', own])].map(
    (sid) => ` *${sid}:${INSIDE}`,
  );
  return `${owner}icacls "${folder}" /inheritance:r${removed.join('')} /grant:r${granted.join('')}`;
}

/**
 * The list of a folder or file that only the system, administrators and this account may open, and
 * what is made in it likewise.
 */
export function closedList(own: string): string {
  return `D:P${[...new Set(['SY', 'BA', own])].map((sid) => `(A;OICI;FA;;;${sid})`).join('')}`;
}
