import type { Logger } from 'pino';
import type { Agent } from '../folder/agent.ts';
import { AddressBook } from '../identity/addresses.ts';
import { IdentityError } from '../identity/errors.ts';
import { succeed } from '../identity/succeed.ts';

type Waiting = Pick<Agent, 'port' | 'dataDir' | 'identity' | 'queue' | 'uplink'>;

/** Whether the collector's last word was that this PC waits for approval. */
export function waits({ uplink }: Pick<Waiting, 'uplink'>): boolean {
  return uplink.status().problem?.code === 'UPLINK_PENDING';
}

/**
 * For a PC that waits for approval: becomes the successor of the agent in whose place it was
 * approved. True when it did, and the folder must be opened again. A refusal goes to `onRefusal`;
 * without a connection, or once it has signed anything as itself, it stays as it is.
 */
export async function becomeSuccessor(
  agent: Waiting,
  onRefusal: (error: IdentityError) => void,
): Promise<boolean> {
  const { port, dataDir, identity, queue } = agent;
  if (!waits(agent) || queue.chain.head() !== undefined) return false;
  const addresses = await AddressBook.open(port, dataDir, identity);
  try {
    return await succeed({ port, dataDir, identity, addresses });
  } catch (error) {
    if (!(error instanceof IdentityError)) throw error;
    if (!error.retryable) onRefusal(error);
    return false;
  }
}

/**
 * Looks for that whenever the collector says that the service has to wait. `onSuccessor` is called
 * when the folder is another agent's. The answer ends it, and resolves when nothing of it writes
 * any more.
 */
export function onSuccession(
  agent: Waiting,
  log: Logger,
  onSuccessor: () => void,
): () => Promise<void> {
  let looking: Promise<void> | undefined;
  const refused = ({ code, message }: IdentityError): void =>
    log.error({ code, error: message }, 'this PC cannot take the place of another');
  const look = async (): Promise<void> => {
    if (await becomeSuccessor(agent, refused)) {
      log.info('this PC was approved in the place of another, and goes on as that one’s successor');
      onSuccessor();
    }
    looking = undefined;
  };
  const unsubscribe = agent.uplink.subscribe(({ type }) => {
    if (type === 'state' && looking === undefined && agent.uplink.status().state === 'pending')
      looking = look();
  });
  return async () => {
    unsubscribe();
    await looking;
  };
}
