/**
 * `npm run model`: explores every state of some small worlds, and shows that each decision of the
 * protocol is needed. Ends with 1 when a world has a fault, or a mutant is not found.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { type Explored, explorations, saidOf } from './explored.ts';

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

const results: Explored[] = [];
let next = 0;

function work(): Promise<void> {
  const worker = new Worker(new URL('./worker.ts', import.meta.url));
  return new Promise((resolve, reject) => {
    const takeNext = (): void => {
      if (next < explorations.length) worker.postMessage(next);
      else void worker.terminate().then(() => resolve(), reject);
      next += 1;
    };
    worker.on('message', (explored: Explored) => {
      results.push(explored);
      print(saidOf(explored));
      takeNext();
    });
    worker.on('error', reject);
    takeNext();
  });
}

await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, work));
const of = (isMutant: boolean): Explored[] => results.filter((one) => one.isMutant === isMutant);
const states = of(false).reduce((sum, { found }) => sum + found.states, 0);
const found = of(true).filter(({ isGood }) => isGood).length;
print(
  `${of(false).length} worlds, ${states.toLocaleString('en-US')} states; ` +
    `${found} of ${of(true).length} mutants found`,
);
process.exit(results.every(({ isGood }) => isGood) ? 0 : 1);
