/** One point of the curve: what so many files cost. */
export interface GrowthStep {
  readonly scale: number;
  readonly files: number;
  readonly bytes: number;
  readonly firstSeconds: number;
  readonly unchangedSeconds: number;
  readonly agentPeakBytes: number;
  readonly collectorPeakBytes: number;
  readonly collectorRestBytes: number;
  readonly chunks: number;
  readonly catalogBytes: number;
  readonly storedBytes: number;
}

export interface GrowthReport {
  readonly version: 1;
  readonly node: string;
  readonly steps: readonly GrowthStep[];
}

interface Curve {
  readonly name: string;
  readonly colour: string;
  value(step: GrowthStep): number;
}

interface Panel {
  readonly title: string;
  readonly unit: string;
  readonly curves: readonly Curve[];
  /** A line that the curve is to stay below, with its name. */
  readonly limit?: { readonly value: number; readonly name: string };
  /** Both axes in decades: cost in proportion is then a straight line at 45 degrees. */
  readonly decades: boolean;
}

const allPanels: readonly Panel[] = [
  {
    ...{
      title: 'Peak memory',
      unit: 'MiB',
      decades: false,
      limit: { value: 160, name: 'to stay below: 160' },
    },
    curves: [
      { name: 'agent', colour: '#0b62a4', value: ({ agentPeakBytes }) => agentPeakBytes / 2 ** 20 },
      {
        name: 'collector',
        colour: '#b3541e',
        value: ({ collectorPeakBytes }) => collectorPeakBytes / 2 ** 20,
      },
    ],
  },
  {
    ...{ title: 'Catalog', unit: 'bytes a chunk', decades: false },
    curves: [
      {
        name: 'catalog',
        colour: '#4b7f2b',
        value: ({ catalogBytes, chunks }) => catalogBytes / chunks,
      },
    ],
  },
  {
    ...{ title: 'Time', unit: 'seconds', decades: true },
    curves: [
      { name: 'first backup', colour: '#0b62a4', value: ({ firstSeconds }) => firstSeconds },
      {
        name: 'nothing changed',
        colour: '#8a2f6b',
        value: ({ unchangedSeconds }) => unchangedSeconds,
      },
    ],
  },
];

const WIDTH = 360;
const HEIGHT = 300;
const LEFT = 58;
const RIGHT = 24;
const TOP = 56;
const BOTTOM = 52;

/**
 * The curve as an SVG picture with three panels, over the number of files. Text is text, so that it
 * can be read aloud and searched.
 */
export function growthPicture({ steps }: GrowthReport): string {
  const width = WIDTH * allPanels.length;
  const about = `How cost grows with the number of files: ${allPanels.map(({ title, unit }) => `${title} in ${unit}`).join('; ')}`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${HEIGHT}" width="${width}" height="${HEIGHT}" role="img" aria-label="${about}" font-family="system-ui, sans-serif" font-size="12" fill="#222">`,
    `<rect width="${width}" height="${HEIGHT}" fill="#fff"/>`,
    ...allPanels.map(
      (panel, at) =>
        `<g transform="translate(${at * WIDTH} 0)">\n${drawPanel(panel, steps).join('\n')}\n</g>`,
    ),
    '</svg>\n',
  ].join('\n');
}

function drawPanel(panel: Panel, steps: readonly GrowthStep[]): string[] {
  const values = panel.curves.flatMap(({ value }) => steps.map(value));
  const ticks = panel.decades
    ? decades(values)
    : evenTicks(Math.max(...values, panel.limit?.value ?? 0));
  const [lowest = 0] = ticks;
  const highest = ticks.at(-1) ?? 1;
  const scaled = (value: number): number => (panel.decades ? Math.log10(value) : value);
  const y = (value: number): number =>
    HEIGHT -
    BOTTOM -
    ((scaled(value) - scaled(lowest)) / (scaled(highest) - scaled(lowest))) *
      (HEIGHT - TOP - BOTTOM);
  const least = Math.log10(Math.min(...steps.map(({ files }) => files)));
  const most = Math.log10(Math.max(...steps.map(({ files }) => files)));
  const x = (files: number): number =>
    LEFT + 12 + ((Math.log10(files) - least) / (most - least || 1)) * (WIDTH - LEFT - RIGHT - 24);
  const out = [
    `<text x="${LEFT}" y="20" font-size="14" font-weight="600">${panel.title}, ${panel.unit}</text>`,
  ];
  for (const tick of ticks) {
    out.push(
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at(y(tick))}" y2="${at(y(tick))}" stroke="#ddd"/>`,
    );
    out.push(
      `<text x="${LEFT - 6}" y="${at(y(tick) + 4)}" text-anchor="end">${tick.toLocaleString('en')}</text>`,
    );
  }
  for (const { files } of steps) {
    out.push(
      `<text x="${at(x(files))}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${files.toLocaleString('en')}</text>`,
    );
  }
  out.push(
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 12}" text-anchor="middle">files</text>`,
  );
  if (panel.limit !== undefined) {
    const level = at(y(panel.limit.value));
    out.push(
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${level}" y2="${level}" stroke="#a00" stroke-dasharray="4 3"/>`,
    );
    out.push(
      `<text x="${WIDTH - RIGHT}" y="${at(y(panel.limit.value) - 5)}" text-anchor="end" fill="#a00">${panel.limit.name}</text>`,
    );
  }
  for (const [index, { name, colour, value }] of panel.curves.entries()) {
    const points = steps.map((step) => [x(step.files), y(value(step))] as const);
    out.push(
      `<polyline points="${points.map(([px, py]) => `${at(px)},${at(py)}`).join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>`,
    );
    for (const [px, py] of points)
      out.push(`<circle cx="${at(px)}" cy="${at(py)}" r="3.5" fill="${colour}"/>`);
    const legend = LEFT + index * 120;
    out.push(
      `<circle cx="${legend + 5}" cy="38" r="4" fill="${colour}"/><text x="${legend + 14}" y="42">${name}</text>`,
    );
  }
  return out;
}

/** Powers of ten around the values. */
function decades(values: readonly number[]): number[] {
  const first = Math.floor(Math.log10(Math.min(...values)));
  const last = Math.max(first + 1, Math.ceil(Math.log10(Math.max(...values))));
  return Array.from({ length: last - first + 1 }, (_, step) =>
    Number((10 ** (first + step)).toPrecision(1)),
  );
}

/**
 * From 0 in steps of 1, 2 or 5 times a power of ten, at most six of them, past the largest value.
 */
function evenTicks(largest: number): number[] {
  const power = 10 ** Math.floor(Math.log10(largest / 5));
  const step =
    [1, 2, 5, 10].map((factor) => factor * power).find((size) => largest / size <= 6) ?? 10 * power;
  return Array.from({ length: Math.ceil((largest * 1.05) / step) + 1 }, (_, index) =>
    Number((index * step).toPrecision(6)),
  );
}

const at = (place: number): string => place.toFixed(1);
