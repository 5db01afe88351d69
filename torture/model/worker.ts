/** Takes explorations by their numbers, one after the other. */
import { parentPort } from 'node:worker_threads';
import { explorations } from './explored.ts';

parentPort?.on('message', (number: number) => {
  parentPort?.postMessage(explorations[number]?.());
});
