import { parentPort, workerData } from 'node:worker_threads';
import { type SearchJob, search } from './search.ts';

/** One of the threads that share a search. */
parentPort?.postMessage(search(workerData as SearchJob));
