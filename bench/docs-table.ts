import { figures, limitsLine, type Report } from './report.ts';
import { systemNames } from './systems/system.ts';

/**
 * A row of docs/performance.md: our row's title, and what the newest peers reached on two quiet
 * cores of a comparable machine.
 */
interface Reference {
  readonly title: string;
  readonly restic: string;
  readonly borg: string;
  readonly rsync: string;
  readonly goal: string;
}

const reference = (
  title: string,
  restic: string,
  borg: string,
  rsync: string,
  goal: string,
): Reference => ({
  title,
  restic,
  borg,
  rsync,
  goal,
});

const small = (title: string, ...of: readonly [string, string, string, string]): Reference =>
  reference(`100,000 small files, ${title}`, ...of);

/**
 * restic 0.19.1 to its REST server, borg 1.4.5 with zstd,1 to `borg serve`, an rsync daemon:
 * medians of two runs on data of the same kind; the first backup of small files was measured again
 * later, with the same programs on one machine. In the order of the bench's own table, with its
 * titles.
 */
const references: readonly Reference[] = [
  reference('first backup', '32.5 s', '16.2 s', '3.4 s', "≤ 0.7 × borg's"),
  reference('first backup: processor, both sides', '62.7 s', '17.9 s', '4.4 s', '≤ 16 s'),
  reference('first backup: stored / raw', '0.568', '0.603', '1', '≤ 0.50'),
  reference('stored / raw, real files', '0.437', '0.417', '1', '≤ 0.355'),
  reference('nothing changed', '0.75 s', '1.03 s', '0.28 s', '≤ 0.5 s'),
  reference('nothing changed: through the service', '', '', '', '≤ 0.25 s'),
  reference('a little changed', '2.0 s', '2.4 s', '1.2 s', '≤ 1.2 s'),
  reference('a little changed: stored', '16 MB', '28 MB', '', '≤ 14 MB'),
  reference('a second PC, same data', '1.0 s', '1.3 s', '0.5 s', '≤ 2 s'),
  reference('a second PC, same data: stored', '', '', '', '+ 1 %'),
  reference('restore all, verified', '7.7 s', '9.6 s', '4.7 s', "≤ 0.85 × restic's"),
  reference('one 100 MiB file', '1.0 s', '1.3 s', '0.2 s', "≤ 0.9 × restic's"),
  reference('read and check all stored', '7.0 s', '8.2 s', '', "≤ 0.75 × restic's"),
  small('first', '7.8 s', '23.5 s', '6.7 s', "≤ 0.9 × restic's, ≤ 0.35 × borg's"),
  small('first: processor, both sides', '13.8 s', '27.7 s', '', "≤ 0.75 × restic's"),
  small('first: stored / raw', '0.482', '0.496', '', "≤ 0.985 × restic's, ≤ 0.96 × borg's"),
  small('first: nothing changed', '3.1 s', '7.2 s', '2.2 s', "≤ 0.4 × restic's"),
  small('first: through the service', '', '', '', "≤ 0.3 × restic's"),
  small('first: peak memory, client', '', '', '', '≤ 160 MiB'),
  small('first: peak memory, server', '', '', '', '≤ 160 MiB'),
  reference('small files, restore all', '', '', '', "≤ 1.5 × restic's"),
  reference('small files, check all', '', '', '', "≤ 1.2 × restic's"),
  reference('small files, a second PC: stored', '', '', '', '≤ 1.5 % of the first'),
  reference('small files, catalog: gathered', '', '', '', '≤ 50 bytes a file'),
  reference("small files, agent's index: gathered", '', '', '', '≤ 110 bytes a file'),
  reference("small files, agent's chain log", '', '', '', '≤ 70 bytes a file'),
  reference('small files, rows of the catalog', '', '', '', '≤ 1.1 rows a file'),
  reference("small files, rows of the agent's index", '', '', '', '≤ 0.1 rows a file'),
  reference('1 GiB, five appends', '17.0 s', '18.9 s', '11.7 s', '≤ 2.5 s'),
  reference('peak memory, client', '142 MiB', '144 MiB', '8 MiB', '≤ 160 MiB'),
  reference('peak memory, client: restoring', '262 MiB', '294 MiB', '', '≤ 160 MiB'),
  reference('peak memory, server', '14 MiB', '144 MiB', '8 MiB', '≤ 160 MiB'),
];

/** Titles that begin with blanks belong to the row above: here each gets a name of its own. */
function fullTitles(titles: readonly string[]): string[] {
  let above = '';
  return titles.map((title) => {
    if (!title.startsWith(' ')) above = title;
    return title.startsWith(' ') ? `${above}: ${title.trim()}` : title;
  });
}

const markdownRow = (cells: readonly string[]): string => `| ${cells.join(' | ')} |\n`;

/**
 * The part of docs/performance.md that a run of the bench fills; without one, what the others
 * reached and what is to be reached.
 */
export function figuresForDocs(report: Report | undefined): string {
  const systems = systemNames.filter((name) => report?.systems[name] !== undefined);
  const measured = report === undefined ? [] : figures(report.samples, systems);
  const titles = fullTitles(measured.map(({ title }) => title));
  const mine = new Map(titles.map((title, at) => [title, measured[at]?.cells ?? []]));
  const known = new Map(references.map((one) => [one.title, one]));
  // Ours in their order; what only we measured behind the row that it belongs to.
  const order = report === undefined ? references.map(({ title }) => title) : titles;
  const none = systems.map(() => '');
  let text = '';
  if (report !== undefined) {
    const { processor, cores, kernel, node } = report.machine;
    const runs = String(report.options['runs']);
    const scale = String(report.options['scale']);
    text += `Measured ${report.startedAt.slice(0, 10)}: medians of ${runs} interleaved runs at scale ${scale}, on ${cores} cores of ${processor}, Linux ${kernel}, Node ${node}. `;
    text += `Versions: ${systems.map((name) => `${name}: ${report.systems[name]}`).join('; ')}.\n\n`;
    if (report.limits !== undefined)
      text += `Limits of this machine: ${limitsLine(report.limits)}.\n\n`;
  }
  text += markdownRow([
    '',
    ...systems.map((name) => `**${name}**`),
    'to reach',
    'restic 0.19.1',
    'borg 1.4.5',
    'rsync',
  ]);
  text += markdownRow(['---', ...systems.map(() => '---'), '---', '---', '---', '---']);
  for (const title of order) {
    const { goal = '', restic = '', borg = '', rsync = '' } = known.get(title) ?? {};
    text += markdownRow([title, ...(mine.get(title) ?? none), goal, restic, borg, rsync]);
  }
  return text;
}
