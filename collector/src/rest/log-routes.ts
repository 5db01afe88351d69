import { MAX_DECISIONS_BYTES } from '../api/decisions.ts';
import { logPartQuery } from '../api/log-part.ts';
import { correctClock } from './clock.ts';
import { applyDecisions, decisionRecords } from './decisions.ts';
import { logAnswer, openEpoch } from './log.ts';
import { logProofsAnswer } from './log-proofs.ts';
import { leafRecords, policiesAnswer, purgesAnswer } from './proofs.ts';
import type { OperatorRoutes } from './routes.ts';

/** The log: its leaves, proofs and decisions. */
export function logRoutes({ app, context, vault, stream }: OperatorRoutes): void {
  app.get('/vaults/:vault/log', async (request) => logAnswer(context, vault(request)));
  app.get('/vaults/:vault/log/leaves', async (request, reply) =>
    stream(reply, leafRecords(vault(request), logPartQuery.parse(request.query))),
  );
  app.get('/vaults/:vault/log/policies', async (request) =>
    policiesAnswer(vault(request), logPartQuery.parse(request.query)),
  );
  app.get('/vaults/:vault/log/purges', async (request) =>
    purgesAnswer(vault(request), logPartQuery.parse(request.query)),
  );
  app.post('/vaults/:vault/log/proofs', async (request) =>
    logProofsAnswer(context, vault(request), request.body),
  );
  app.get('/vaults/:vault/log/decisions', async (request, reply) =>
    stream(reply, decisionRecords(vault(request), logPartQuery.parse(request.query))),
  );
  app.post('/vaults/:vault/log/decisions', { bodyLimit: MAX_DECISIONS_BYTES }, async (request) =>
    applyDecisions(context, vault(request), request.body),
  );
  app.post('/vaults/:vault/log/corrections', async (request) =>
    correctClock(context, vault(request), request.body),
  );
  app.post('/vaults/:vault/log/openings', async (request) =>
    openEpoch(context, vault(request), request.body),
  );
}
