import { formatTable, widthOf } from '@aliquot/shared/cli/format';

const WIDTH = 80;
const deskColumns: ReadonlySet<string> = new Set(['RELEASE', 'SETTINGS', 'GROUP']);

/**
 * Agents as one table where that fits a terminal, or else with a second one for what comes from the
 * desk, which is no column where no agent has it. The last column is the agent's name.
 */
export function agentTables(
  heads: readonly string[],
  rows: readonly (readonly string[])[],
): string[] {
  const fromDesk = heads.map((head) => deskColumns.has(head));
  const used = heads.map((_head, at) => !fromDesk[at] || rows.some((row) => row[at] !== '-'));
  const table = (shown: (at: number) => boolean, some = rows) => {
    const columns = (cells: readonly string[]) => cells.filter((_cell, at) => shown(at));
    return formatTable(columns(heads), some.map(columns));
  };
  const whole = table((at) => used[at] === true);
  if (whole.split('\n').every((line) => widthOf(line) <= WIDTH)) return [whole];
  const last = heads.length - 1;
  const told = rows.filter((row) => row.some((cell, at) => fromDesk[at] && cell !== '-'));
  const own = table((at) => !fromDesk[at]);
  return told.length === 0
    ? [own]
    : [own, '', table((at) => at === last || (fromDesk[at] === true && used[at] === true), told)];
}
