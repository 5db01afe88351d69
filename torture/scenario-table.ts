import type { TortureScenario } from '@aliquot/shared/testing/scenario';

/** The table of scenarios as it stands in docs/reliability.md, in the order in which they run. */
export function scenarioTable(scenarios: readonly TortureScenario[]): string {
  const rows = scenarios.map(({ name, proves, about }) => {
    const sentence = about.endsWith('.') ? about : `${about}.`;
    return `| \`${name}\` | ${proves.join(' ')} | ${sentence.replaceAll('|', '\\|')} |`;
  });
  return [
    '| scenario | proves | what is done, and what must hold |',
    '| --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}
