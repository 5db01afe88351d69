import { hex } from '@aliquot/shared/crypto/bytes';
import { z } from 'zod';
import { logPartQuery } from '../api/log-part.ts';
import { ContentReads } from '../ingest/content-reads.ts';
import type { VaultStore } from '../store/vault-store.ts';
import {
  everyVersionRecords,
  itemRecords,
  nameRecords,
  stateRecords,
  versionRecords,
} from './history.ts';
import { commitRecords, goneAnswer } from './proofs.ts';
import { memberRecords, resultRecords, resultVersionRecords } from './results.ts';
import { bytesOf, type OperatorRoutes } from './routes.ts';
import { versionByIdRecords } from './version-by-id.ts';

const filePath = z.object({ vault: z.string(), agent: z.string(), file: z.string() });
const resultPath = z.object({ vault: z.string(), agent: z.string(), result: z.string() });
const versionPath = z.object({
  vault: z.string(),
  agent: z.string(),
  version: z.string().regex(/^[0-9a-f]{4,16}(\.\d{1,7})?$/),
});
/** `?doubted=yes`: the items did not prove when they came. */
const itemsQuery = z
  .object({ doubted: z.literal('yes').optional() })
  .transform(({ doubted }) => doubted === 'yes');
const atQuery = z.object({ at: z.coerce.number().int().nonnegative().optional() });

/** What reads a history, its commits and its content. */
export function readingRoutes({ app, context, vault, agent, stream }: OperatorRoutes): void {
  app.get('/vaults/:vault/agents/:agent/state', async (request, reply) =>
    stream(reply, stateRecords(vault(request), agent(request), atQuery.parse(request.query).at)),
  );
  app.get('/vaults/:vault/agents/:agent/commits', async (request, reply) =>
    stream(reply, commitRecords(vault(request), agent(request), logPartQuery.parse(request.query))),
  );
  app.get('/vaults/:vault/agents/:agent/gone', async (request) =>
    goneAnswer(vault(request), agent(request), logPartQuery.parse(request.query)),
  );
  app.get('/vaults/:vault/agents/:agent/versions', async (request, reply) =>
    stream(reply, everyVersionRecords(vault(request), agent(request))),
  );
  app.get('/vaults/:vault/agents/:agent/versions/:file', async (request, reply) => {
    const { agent, file } = filePath.parse(request.params);
    return stream(reply, versionRecords(vault(request), agent, file));
  });
  app.get('/vaults/:vault/agents/:agent/results', async (request, reply) =>
    stream(reply, resultRecords(vault(request), agent(request), atQuery.parse(request.query).at)),
  );
  app.get('/vaults/:vault/agents/:agent/results/:result', async (request, reply) => {
    const { agent, result } = resultPath.parse(request.params);
    return stream(reply, resultVersionRecords(vault(request), agent, result));
  });
  app.get('/vaults/:vault/agents/:agent/results/:result/members', async (request, reply) => {
    const { agent, result } = resultPath.parse(request.params);
    const { at } = atQuery.parse(request.query);
    return stream(reply, memberRecords(vault(request), agent, result, at));
  });
  const reads = new Map<VaultStore, ContentReads>();
  const readsOf = (store: VaultStore): ContentReads => {
    const { log, timers } = context;
    const known =
      reads.get(store) ??
      new ContentReads('an operator', log.child({ vault: hex(store.descriptor.vaultId) }), timers);
    reads.set(store, known);
    return known;
  };
  app.addHook('onClose', () => {
    for (const one of reads.values()) one.end();
  });
  app.get('/vaults/:vault/agents/:agent/version/:version', async (request, reply) => {
    const { agent, version } = versionPath.parse(request.params);
    return stream(reply, versionByIdRecords(vault(request), agent, version));
  });
  app.post('/vaults/:vault/items', async (request, reply) => {
    const store = vault(request);
    return stream(
      reply,
      itemRecords(store, bytesOf(request), itemsQuery.parse(request.query), (items) =>
        readsOf(store).read(items),
      ),
    );
  });
  app.post('/vaults/:vault/names', async (request, reply) =>
    stream(reply, nameRecords(vault(request), request.body)),
  );
}
