import { join } from 'node:path';
import {
  type BundleContents,
  type ChainId,
  decodeEnrolRequest,
  encodeEnrolAnswer,
} from '@aliquot/proto';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { sealBundle } from '@aliquot/shared/keys/bundle';
import {
  bindingHashOf,
  issueAddresses,
  issueEnrolAnswer,
  issueEnrolment,
  verifyAgent,
} from '@aliquot/shared/keys/certificates';
import { pathKeyFor } from '@aliquot/shared/keys/derive';
import { signHead, verifyHead } from '@aliquot/shared/log/receipt';
import { type CrashScenario, type Life, tortureOf } from '@aliquot/shared/testing/enumerate';
import { FIXTURE_TIME_MS, fixtureAgent, fixtureVault } from '@aliquot/shared/testing/keys/fixtures';
import type { TortureScenario } from '@aliquot/shared/testing/scenario';
import { enrol } from '../../src/identity/enrol.ts';
import type { HttpAnswer } from '../../src/identity/enrol-request.ts';
import { loadIdentity } from '../../src/identity/identity-file.ts';
import { TrustStore } from '../../src/uplink/trust.ts';

const vault = fixtureVault('enumeration of enrolments');

const kept: ReadonlySet<string> = new Set(['identity.json', 'addresses.json']);
const CHAIN = new Uint8Array(16).fill(9) as ChainId;

/** `replaces`: the bundle is for the successor of that agent. */
function bundleFor(name: string, replaces?: string): string {
  const agent = fixtureAgent(vault, name);
  const { authorityKey, vaultId } = vault.descriptor;
  const bodyOf = ({ enrolment, binding }: typeof agent) =>
    verifyAgent(authorityKey, vaultId, enrolment, binding).enrolment;
  const old = replaces === undefined ? undefined : bodyOf(fixtureAgent(vault, replaces));
  const { lineageId } = old ?? bodyOf(agent);
  const enrolment =
    old === undefined
      ? agent.enrolment
      : issueEnrolment(vault.authority, { ...bodyOf(agent), lineageId, replaces: old.agentId });
  const contents: BundleContents = {
    version: 1,
    url: 'http://127.0.0.1:9',
    tlsCa: '',
    tlsPins: [],
    descriptor: vault.kit.descriptor,
    collectorCertificate: vault.collectorCertificate,
    enrolment,
    enrolmentSeed: agent.enrolmentKey.seed,
    dedupSecrets: vault.kit.dedupSecrets,
    pathKey: pathKeyFor(vault.kit.pathSecret, { lineageId }),
    addresses: undefined,
    settings: undefined,
  };
  return sealBundle(contents);
}

/**
 * A collector's desk: binds the first keys that come, and refuses others, as the real one does for
 * ever.
 */
function desk() {
  const bound = new Map<string, string>();
  const post = async (_trust: unknown, _path: string, body: Uint8Array): Promise<HttpAnswer> => {
    const { enrolment, binding } = decodeEnrolRequest(body);
    const { vaultId, authorityKey } = vault.descriptor;
    const agent = verifyAgent(authorityKey, vaultId, enrolment, binding).enrolment;
    const keys = Buffer.from(binding.body).toString('hex');
    if (agent.name === 'nobody')
      return { status: 403, body: Buffer.from('{"code":"ENROL_UNKNOWN","message":"who?"}') };
    if ((bound.get(agent.name) ?? keys) !== keys)
      return { status: 409, body: Buffer.from('{"code":"ENROL_OTHER_KEYS","message":"used"}') };
    bound.set(agent.name, keys);
    const answer = issueEnrolAnswer(vault.collector, {
      version: 1,
      vaultId,
      agentId: agent.agentId,
      bindingHash: bindingHashOf(binding),
      enrolledAtMs: FIXTURE_TIME_MS,
      pending: false,
      head: { logEpoch: 0, size: 1, root: new Uint8Array(32) },
    });
    return {
      status: 200,
      body: encodeEnrolAnswer({ answer, collectorCertificate: vault.collectorCertificate }),
    };
  };
  return { post, bound };
}

async function namesIn(files: FilePort, folder: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of files.list(folder)) names.push(name.toString());
  return names;
}

/** A refused bundle, the right one, and what the agent believes of its collector afterwards. */
export const enrolment: CrashScenario = {
  name: 'agent-enrolment',
  about:
    'every file call of an enrolment, of a refused one before it, of remembering heads, problems and addresses, and of enrolling again in place fails, is cut short or is the last: the same command goes on with the same keys, none are left behind, no remembered head or address is forgotten',
  proves: ['P1', 'P5'],
  begin: async (root, random): Promise<Life<FilePort>> => {
    const { post, bound } = desk();
    const clock = { nowMs: () => FIXTURE_TIME_MS + 1000 };
    const [refused, right, successor] = [
      bundleFor('nobody'),
      bundleFor('gcms-1'),
      bundleFor('gcms-2', 'gcms-1'),
    ];
    let enrolled = false;
    let told = 0;
    let anew = false;
    let revision = 0;
    let problem: string | undefined;
    const trustOf = async (files: FilePort) =>
      TrustStore.open(files, root, await loadIdentity(files, root));
    const remember = (size: number) => async (files: FilePort) => {
      const { vaultId } = vault.descriptor;
      const { collector, ...identity } = await loadIdentity(files, root);
      const trust = await TrustStore.open(files, root, { collector, ...identity });
      const head = { logEpoch: 0, size, root: new Uint8Array(32).fill(size) };
      const signed = signHead(vault.collector, {
        version: 1,
        vaultId,
        collectorId: collector.collectorId,
        timeMs: FIXTURE_TIME_MS,
        head,
      });
      await trust.remember(collector, vault.collectorCertificate, {
        head: verifyHead(signed, collector).head,
        signed,
        certificate: vault.collectorCertificate,
      });
      told = size;
    };
    const setProblem = (code: string | undefined) => async (files: FilePort) => {
      problem = undefined;
      await (await trustOf(files)).setProblem(
        code === undefined ? undefined : { code, message: 'told', sinceMs: 1 },
      );
      problem = code;
    };
    const learn = (next: number) => async (files: FilePort) => {
      const addresses = issueAddresses(vault.authority, {
        version: 1,
        vaultId: vault.descriptor.vaultId,
        revision: next,
        addresses: [{ url: `https://c${next}.lab`, tlsCa: '', tlsPins: [] }],
      });
      await (await trustOf(files)).addresses.learn(addresses);
      revision = next;
    };
    return {
      open: async (files) => files,
      steps: [
        {
          name: 'refused',
          run: async (files) => {
            const code = await enrol({
              bundle: refused,
              dataDir: root,
              port: files,
              clock,
              random,
              post,
            }).then(
              () => 'taken',
              (error: unknown) =>
                error instanceof Error && 'code' in error ? String(error.code) : String(error),
            );
            if (code !== 'ENROL_UNKNOWN') throw new Error(`the refused bundle: ${code}`);
          },
        },
        {
          name: 'enrol',
          run: async (files) => {
            await enrol({ bundle: right, dataDir: root, port: files, clock, random, post });
            enrolled = true;
          },
        },
        { name: 'a head', run: remember(2) },
        { name: 'a problem', run: setProblem('log-rolled-back') },
        { name: 'a later head', run: remember(3) },
        { name: 'the problem is over', run: setProblem(undefined) },
        { name: 'addresses', run: learn(5) },
        { name: 'newer addresses', run: learn(6) },
        {
          name: 'enrol anew in place',
          run: async (files) => {
            await enrol({
              bundle: successor,
              dataDir: root,
              port: files,
              clock,
              random,
              post,
              takesOver: CHAIN,
            });
            anew = true;
          },
        },
      ],
      close: async () => undefined,
      judge: async (files, { whole }) => {
        if (!enrolled) return;
        const identity = await loadIdentity(files, root);
        const keys = Buffer.from(identity.binding.body).toString('hex');
        const { name } = identity.certificate.enrolment;
        if (anew && name !== 'gcms-2') throw new Error('P1: the folder is not enrolled anew');
        if (bound.get(name) !== keys)
          throw new Error('P1: the keys of the folder are not those that are bound');
        const left = (await namesIn(files, join(root, 'identity'))).filter(
          (name) => !kept.has(name) && !name.endsWith('.part'),
        );
        // What was started over and broken off stays, for the same command to go on with.
        const begun = !anew && !whole && left.join() === 'enrolling.json';
        if (left.length > 0 && !begun) throw new Error(`${left} is left of the enrolment`);
        if (told === 0) return;
        const trust = await trustOf(files);
        if (trust.addresses.revision < revision)
          throw new Error(`P5: addresses of revision ${revision} are forgotten`);
        if ((trust.verified?.head.size ?? 0) < told)
          throw new Error(`P5: head ${told} is forgotten`);
        if (problem !== undefined && trust.problem?.code !== problem)
          throw new Error(`P6: the problem ${problem} is forgotten`);
        if (whole && trust.problem !== undefined)
          throw new Error('a problem that was over is back');
      },
    };
  },
};

export const identityScenarios: readonly TortureScenario[] = [tortureOf(enrolment)];
