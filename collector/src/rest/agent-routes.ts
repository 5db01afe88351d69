import { z } from 'zod';
import {
  acknowledgeProblems,
  agentLost,
  agentsAnswer,
  expectAgents,
  filesGone,
  revokeAgent,
} from './agents.ts';
import { diagnoseAgent } from './diagnosis.ts';
import { decideFork } from './forks.ts';
import { addGroup, approveAgent, endGroup } from './groups.ts';
import type { OperatorRoutes } from './routes.ts';

const groupPath = z.object({ vault: z.string(), group: z.string() });

/** What is asked about agents, and said of them. */
export function agentRoutes({ app, context, vault, agent }: OperatorRoutes): void {
  app.get('/vaults/:vault/agents', async (request) =>
    agentsAnswer(context, vault(request), request.headers.host),
  );
  app.post('/vaults/:vault/agents', async (request) =>
    expectAgents(context, vault(request), request.body),
  );
  app.post('/vaults/:vault/groups', async (request) =>
    addGroup(context, vault(request), request.body),
  );
  app.post('/vaults/:vault/groups/:group/end', async (request) =>
    endGroup(context, vault(request), groupPath.parse(request.params).group),
  );
  app.post('/vaults/:vault/approvals', async (request) =>
    approveAgent(context, vault(request), request.body),
  );
  app.post('/vaults/:vault/agents/:agent/revoke', async (request) =>
    revokeAgent(context, vault(request), agent(request), request.body),
  );
  app.post('/vaults/:vault/agents/:agent/lost', async (request) =>
    agentLost(context, vault(request), agent(request), request.body),
  );
  app.post('/vaults/:vault/agents/:agent/acknowledge', async (request) =>
    acknowledgeProblems(context, vault(request), agent(request)),
  );
  app.post('/vaults/:vault/agents/:agent/gone', async (request) =>
    filesGone(context, vault(request), agent(request), request.body),
  );
  app.post('/vaults/:vault/agents/:agent/fork', async (request) =>
    decideFork(context, vault(request), agent(request), request.body),
  );
  app.post('/vaults/:vault/agents/:agent/diagnosis', async (request) =>
    diagnoseAgent(context, vault(request), agent(request), request.body),
  );
}
