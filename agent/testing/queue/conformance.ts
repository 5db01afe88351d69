import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { QueueEvent } from '../../src/queue/log/events.ts';
import type { Queue } from '../../src/queue/queue.ts';
import { chainConformance } from './chain-conformance.ts';
import { epochsConformance } from './epochs-conformance.ts';
import { intakeConformance } from './intake-conformance.ts';
import { ledgerConformance } from './ledger-conformance.ts';
import { lossesConformance } from './losses-conformance.ts';
import { outboxConformance } from './outbox-conformance.ts';
import { referencesConformance } from './references-conformance.ts';
import { drainAll, put, sample } from './support.ts';

export interface QueueFactory {
  /** A new, empty queue. */
  make(): Promise<Queue>;
  /** Closes the queue and opens it again over what it left. */
  reopen(queue: Queue): Promise<Queue>;
  dispose(queue: Queue): Promise<void>;
  /** Whether what is only a cache outlasts an opening; nobody may rely on it. */
  readonly keepsCaches: boolean;
}

/**
 * What every `Queue` must do, as tests: a suite for each of its interfaces. A new implementation's
 * test file is its factory and one call.
 */
export function queueConformance(name: string, factory: QueueFactory): void {
  describe(`${name} as a Queue`, () => {
    let queue: Queue;
    beforeEach(async () => {
      queue = await factory.make();
    });
    afterEach(() => factory.dispose(queue));
    const current = (): Queue => queue;
    const reopen = async (): Promise<void> => {
      queue = await factory.reopen(queue);
    };

    describe('its intake', () => intakeConformance(current, reopen));
    describe('its ledger', () => ledgerConformance(current, reopen, factory));
    describe('its references', () => referencesConformance(current, reopen));
    describe('its losses', () => lossesConformance(current, reopen));
    describe('its outbox', () => outboxConformance(current, reopen));
    describe('its chain', () => chainConformance(current, reopen));
    describe('its epochs', () => epochsConformance(current, reopen));

    test('listeners hear of queued and receipted versions', async () => {
      const heard: QueueEvent['type'][] = [];
      const stop = queue.subscribe(({ type }) => heard.push(type));
      await put(queue, sample('/data/a'));
      await queue.sync();
      await drainAll(queue);
      stop();
      await put(queue, sample('/data/b'));
      await queue.sync();
      expect(heard).toEqual(['queued', 'receipted']);
    });
  });
}
