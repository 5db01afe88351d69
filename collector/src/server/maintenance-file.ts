import { join } from 'node:path';
import { UsageError } from '@aliquot/shared/cli/errors';
import { printable } from '@aliquot/shared/cli/format';
import { readFileIfThere } from '@aliquot/shared/durable/durable';
import { MapReader } from '@aliquot/shared/settings/map-reader';
import { type Mistake, parseSettingsText } from '@aliquot/shared/settings/text';
import { validate } from 'node-cron';
import type { CommandContext } from '../cli/context.ts';

/** When a collector does by itself what nobody asks for (`DIR/maintenance.yaml`). */
export interface MaintenancePlan {
  /** Runs of retention; undefined: none. */
  readonly retention: Schedule | undefined;
  /** Collections; undefined: none. */
  readonly collection: Schedule | undefined;
}

/** Minute, hour, day of the month, month, day of the week, in UTC. */
export type Schedule = string;

const MAINTENANCE_FILE = 'maintenance.yaml';
/** At night, and not at the full hour, when everything else runs. */
const usualPlan: MaintenancePlan = { retention: '17 2 * * *', collection: '47 3 * * 0' };
/** More is no such file. */
const MAX_MAINTENANCE_BYTES = 16 * 1024;

const keys = ['retention', 'collection'] as const;
const OFF = 'off';
const FIELDS = 5;

/**
 * Reads the file. Error: `USAGE_CONFIG`, with every mistake, its line and what is accepted. Test
 * only: to be read without a folder.
 */
export function readMaintenance(text: string, path: string): MaintenancePlan {
  const parsed = parseSettingsText(text);
  if ('mistakes' in parsed) throw wrong(path, parsed.mistakes);
  const reader = new PlanReader(parsed);
  const plan = reader.read();
  if (reader.mistakes.length > 0) throw wrong(path, reader.mistakes);
  return plan;
}

class PlanReader extends MapReader {
  read(): MaintenancePlan {
    const value = this.lines.value ?? {};
    const top = this.map(value, [], keys);
    const of = (key: (typeof keys)[number]) => this.#schedule(top[key] ?? usualPlan[key], [key]);
    return { retention: of('retention'), collection: of('collection') };
  }

  #schedule(value: unknown, path: readonly string[]): Schedule | undefined {
    // YAML 1.1 reads the word as false.
    if (value === OFF || value === false || value === undefined) return undefined;
    const isSchedule =
      typeof value === 'string' && value.trim().split(/\s+/).length === FIELDS && validate(value);
    if (isSchedule) return value;
    this.say(
      path,
      `${path.join('.')} must be ${OFF}, or five fields as cron has them, in UTC: minute, hour, day, month, day of the week, such as "17 2 * * *"`,
    );
    return undefined;
  }
}

function wrong(path: string, mistakes: readonly Mistake[]): UsageError {
  const said = mistakes.map(({ line, column, message }) => {
    const place = column === undefined ? `${line}` : `${line}:${column}`;
    return `${path}:${place}: ${printable(message)}`;
  });
  return new UsageError('USAGE_CONFIG', said.join('; '));
}

/** The plan of a collector's folder; the usual one, where it has no such file. */
export async function maintenancePlan(
  { files }: Pick<CommandContext, 'files'>,
  data: string,
): Promise<MaintenancePlan> {
  const path = join(data, MAINTENANCE_FILE);
  const bytes = await readFileIfThere(files, path, MAX_MAINTENANCE_BYTES);
  return bytes === undefined ? usualPlan : readMaintenance(bytes.toString('utf8'), path);
}
