import { debugWanted } from './environment.ts';

/**
 * Lets stack traces name the sources instead of the bundle, where somebody asked to see them
 * (`ALIQUOT_DEBUG=1`). Call it before the program is loaded. Not always: reading the maps costs
 * each start some 30 ms, and a service memory for as long as it runs.
 */
export function nameSourcesInTraces(): void {
  if (debugWanted()) process.setSourceMapsEnabled(true);
}
