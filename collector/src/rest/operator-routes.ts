import { MAX_CARRIED_PART_BYTES } from '@aliquot/proto';
import { z } from 'zod';
import { takePart } from '../carry/part.ts';
import { carriedReceipts } from '../carry/receipts.ts';
import { MAX_POLICY_BODY_BYTES } from '../limits.ts';
import { addressesAnswer, setAddresses } from './addresses.ts';
import { agentRoutes } from './agent-routes.ts';
import { confirmClock } from './clock.ts';
import { gcAnswer, gcRecords, pauseGc } from './gc.ts';
import { holdRoutes } from './holds.ts';
import { logRoutes } from './log-routes.ts';
import { policyAnswer, promoteSettings, setPolicy } from './policy.ts';
import { purgeRoutes } from './purges.ts';
import { readingRoutes } from './reading-routes.ts';
import {
  keptFilesAnswer,
  publishRelease,
  releasesAnswer,
  removeRelease,
  takeReleasePart,
} from './releases.ts';
import { retentionRoutes } from './retention.ts';
import { bytesOf, type OperatorRoutes } from './routes.ts';
import { addVault, collectorAnswer, statsAnswer } from './vaults.ts';

/** `?ended=accept`: an operator lets in what an agent that was revoked or replaced had signed. */
const carryQuery = z
  .object({ ended: z.literal('accept').optional() })
  .transform(({ ended }) => ({ acceptEnded: ended === 'accept' }));
const policyQuery = z.object({ revision: z.coerce.number().int().positive().optional() });

/** Everything that the `aliquot` command asks, with the operator’s token. */
export function operatorRoutes(routes: OperatorRoutes): void {
  const { app, context, vault, stream } = routes;
  app.get('/collector', async () => collectorAnswer(context));
  app.post('/clock/confirm', async () => confirmClock(context));
  app.post('/vaults', async (request) => addVault(context, request.body));
  app.get('/vaults/:vault/stats', async (request) => statsAnswer(context, vault(request)));
  agentRoutes(routes);
  readingRoutes(routes);
  logRoutes(routes);
  holdRoutes(routes);
  purgeRoutes(routes);
  retentionRoutes(routes);
  app.get('/vaults/:vault/gc', async (request) => gcAnswer(vault(request)));
  app.post('/vaults/:vault/gc', async (request, reply) =>
    stream(reply, gcRecords(context, vault(request), request.body)),
  );
  app.post('/vaults/:vault/gc/pause', async (request) =>
    pauseGc(context, vault(request), request.body),
  );
  app.get('/vaults/:vault/policy', async (request) =>
    policyAnswer(context, vault(request), policyQuery.parse(request.query).revision),
  );
  app.post('/vaults/:vault/policy', { bodyLimit: MAX_POLICY_BODY_BYTES }, async (request) =>
    setPolicy(context, vault(request), request.body),
  );
  app.post('/vaults/:vault/policy/promote', async (request) =>
    promoteSettings(context, vault(request), request.body),
  );
  app.get('/vaults/:vault/addresses', async (request) => addressesAnswer(context, vault(request)));
  app.post('/vaults/:vault/addresses', async (request) =>
    setAddresses(context, vault(request), request.body),
  );
  app.post('/vaults/:vault/carry', { bodyLimit: MAX_CARRIED_PART_BYTES }, async (request) =>
    takePart(context, vault(request), bytesOf(request), carryQuery.parse(request.query)),
  );
  app.post('/vaults/:vault/carry/receipts', async (request, reply) =>
    stream(
      reply,
      await carriedReceipts(
        context,
        vault(request),
        bytesOf(request),
        carryQuery.parse(request.query),
      ),
    ),
  );
  app.get('/releases', async () => releasesAnswer(context));
  app.post('/releases/kept', async (request) => keptFilesAnswer(context, request.body));
  app.post('/releases/parts', async (request) =>
    takeReleasePart(context, request.query, bytesOf(request)),
  );
  app.post('/releases', async (request) => publishRelease(context, request.body));
  app.post('/releases/remove', async (request) => removeRelease(context, request.body));
}
