import type { SetPolicy } from '../../collector/src/retention/ruling.ts';
import { readPolicy } from '../../shared/src/settings/policy.ts';
import { inClear } from '../../shared/src/settings/retention.ts';
import { retentionTemplates } from '../../shared/src/settings/retention-templates.ts';

/** The rules of the template "raw", set long ago. */
export function templateRules(): SetPolicy {
  const read = readPolicy(retentionTemplates[0]?.text ?? '');
  const section = 'policy' in read ? read.policy.retention : undefined;
  if (section === undefined) throw new Error('the template has rules');
  const none = { lineages: new Uint8Array(0), sources: new Uint8Array(0) };
  return { revision: 1, setAtMs: 0, ...inClear(section, () => none) };
}
