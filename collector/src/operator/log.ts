import { decodeSigned, MAX_LOST_HEADS, type TreeHead } from '@aliquot/proto';
import { formatCounted, formatInstant } from '@aliquot/shared/cli/format';
import type { Output } from '@aliquot/shared/cli/output';
import { hex } from '@aliquot/shared/crypto/bytes';
import {
  issueEpochOpening,
  verifyCollectorCertificate,
  verifyEpochOpening,
} from '@aliquot/shared/keys/certificates';
import { verifyHead } from '@aliquot/shared/log/receipt';
import type { Command } from 'commander';
import { fromBase64 } from '../api/base64.ts';
import type { LogInfo } from '../api/log-messages.ts';
import { RestError } from '../api/rest-error.ts';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { chosenVault } from './choose-vault.ts';
import type { VaultClient } from './client/vault-client.ts';
import { applyAgain, type Healed, keepDecisions, tellAgain } from './decisions.ts';
import { type OpenVault, openUnwitnessed } from './open-vault.ts';
import {
  type CollectorOptions,
  type KitOptions,
  withCollector,
  withExample,
  withJson,
  withKit,
  withNotes,
} from './options.ts';
import { headText, type Witnessed, witnessed } from './witness.ts';
import type { SeenHead, Witness } from './witness-book.ts';

const REOPEN_ATTEMPTS = 10;
/** Agents in doubt that are named for a person; `--json` has all. */
const MAX_NAMED = 12;

type LogOptions = CollectorOptions & KitOptions & { readonly json?: boolean };

export function registerLog(program: Command, context: CommandContext): void {
  const log = program
    .command('log')
    .description("The vault's log: what was accepted, in order, and whether any of it was lost.");
  withExample(log, 'aliquot log status');
  const status = log
    .command('status')
    .description("The log's head, and the heads that agents hold and the log has lost.");
  withJson(withCollector(status));
  withNotes(
    status,
    'The last line says whether the log continues what this operator was shown before; that is kept in ALIQUOT_STATE, or in the usual folder for state of this user.',
  );
  withExample(status, 'aliquot log status');
  status.action(async (options: LogOptions) => statusCommand(context, options));

  const reopen = log
    .command('reopen')
    .description(
      'Heal a rollback: approve with the authority key that the log goes on from what the collector still has, naming what was lost. Agents then send their commits again.',
    );
  withJson(withKit(withCollector(reopen), 'needed'));
  withExample(reopen, 'aliquot log reopen --kit lab.kit');
  reopen.action(async (options: LogOptions) => reopenCommand(context, options));
}

async function statusCommand(context: CommandContext, options: LogOptions): Promise<void> {
  const output = outputOf(context, options, 'reads');
  const vault = await chosenVault(context, options);
  const { authorityKey } = vault.descriptor;
  const witness = await witnessed(context, vault);
  const info = await vault.log.info();
  const head = verifyHead(
    decodeSigned(fromBase64(info.head)),
    vault.certificate(authorityKey),
  ).head;
  const openings = info.openings.map((opening) =>
    verifyEpochOpening(authorityKey, vault.descriptor.vaultId, decodeSigned(fromBase64(opening))),
  );
  const lost = info.reported.map(({ agent, timeMs, head: reported }) => ({
    agent,
    reported: formatInstant(timeMs),
    size: reported.size,
    logEpoch: reported.logEpoch,
  }));
  const lines = [
    `vault      ${vault.info.name}`,
    `log epoch  ${head.logEpoch}`,
    `leaves     ${head.size}`,
    `root       ${hex(head.root)}`,
    ...openings.map(
      (opening) =>
        `reopened   epoch ${opening.logEpoch} from leaf ${opening.base.size} on, approved ${formatInstant(opening.approvedAtMs)}`,
    ),
    ...lost.map(
      (one) =>
        `ROLLED BACK  agent ${one.agent} holds a signed head of ${one.size} leaves that the log does not contain (reported ${one.reported})`,
    ),
    ...(lost.length > 0 ? ['heal it with `aliquot log reopen --kit KIT`'] : []),
    `witness    ${witnessText(witness)}`,
  ];
  await output.result(
    {
      vault: vault.info.name,
      logEpoch: head.logEpoch,
      size: head.size,
      root: hex(head.root),
      rolledBack: lost.length > 0,
      lost,
      witness: witnessJson(witness),
    },
    lines.join('\n'),
  );
  if (witness.failure !== undefined) throw witness.failure;
  await keepDecisions(context, vault);
}

function witnessText({ before, after, failure }: Witnessed): string {
  if (failure !== undefined)
    return failure.code === 'WITNESS_FORKED'
      ? 'TWO HISTORIES: see below'
      : 'ROLLED BACK: see below';
  if (before === undefined) return 'nothing was seen before';
  const seen = `continues ${headText(before.newest.head)}, seen ${formatInstant(before.newest.seenAtMs)}`;
  return after.contradicted === undefined
    ? seen
    : `${seen}; earlier TWO HISTORIES were told, the other is ${headText(after.contradicted.head)}`;
}

function witnessJson({ before, after, failure }: Witnessed): object {
  const plain = ({ head, seenAtMs }: SeenHead) => ({
    ...head,
    root: hex(head.root),
    seen: formatInstant(seenAtMs),
  });
  return {
    continues: failure === undefined,
    ...(failure === undefined ? {} : { code: failure.code }),
    ...(before === undefined ? {} : { before: plain(before.newest) }),
    ...(after.contradicted === undefined ? {} : { contradicted: plain(after.contradicted) }),
  };
}

async function reopenCommand(context: CommandContext, options: LogOptions): Promise<void> {
  const output = outputOf(context, options);
  const open = await openUnwitnessed(context, options);
  for (let attempt = 1; ; attempt++) {
    try {
      return await reopen(context, output, open);
    } catch (error) {
      // Agents that lost nothing go on committing, so the log may grow between question and answer.
      if (
        !(error instanceof RestError) ||
        error.code !== 'REST_BAD_OPENING' ||
        attempt === REOPEN_ATTEMPTS
      )
        throw error;
    }
  }
}

async function reopen(
  context: CommandContext,
  output: Output,
  { kit, vault, collector }: OpenVault,
): Promise<void> {
  const { before, failure } = await witnessed(context, vault);
  // Before the log is opened for those who wait: who was revoked does not come in between.
  const { again, seen } = await applyAgain(context, vault);
  const info = await vault.log.info();
  const { head: base } = verifyHead(decodeSigned(fromBase64(info.head)), collector);
  // A head that no certified collector of this vault signed (this one, or one that it succeeds) was
  // not promised to anybody.
  const lost = distinct([
    // What this operator saw and the log does not continue was promised as well.
    ...promisedHere(before, failure !== undefined),
    ...info.reported.map(({ signedHead, certificate }) => {
      const issued = decodeSigned(fromBase64(certificate));
      const signer = verifyCollectorCertificate(
        kit.authority.publicKey,
        kit.descriptor.vaultId,
        issued,
      );
      return verifyHead(decodeSigned(fromBase64(signedHead)), signer).head;
    }),
  ]);
  await tellAgain(output, again);
  if (lost.length === 0) {
    if (again.length > 0) await keepDecisions(context, vault);
    await output.result(
      { event: 'reopened', opened: false },
      'Neither an agent nor this operator holds a head that the log does not contain; there is nothing to heal.',
    );
    return;
  }
  // Above every epoch that an agent has seen, an opening that was itself lost included.
  const logEpoch = Math.max(base.logEpoch, ...lost.map((head) => head.logEpoch)) + 1;
  const opening = issueEpochOpening(kit.authority, {
    version: 1,
    vaultId: kit.descriptor.vaultId,
    logEpoch,
    base,
    lost: lost.slice(0, MAX_LOST_HEADS),
    approvedAtMs: context.clock.nowMs(),
  });
  await vault.log.openEpoch(opening);
  await keepDecisions(context, vault);
  const newest = Math.max(...lost.map(({ size }) => size));
  const places = info.reported.map(({ leafIndex }) => leafIndex);
  const unseen = unseenOf(newest, lost, seen, Math.min(base.size, ...places));
  const doubted = unseen === 0 ? [] : await inDoubt(vault, info.reported, newest);
  if (unseen > 0)
    output.note(
      `of what was lost, this PC has not seen ${unseen === 1 ? 'the last leaf' : `the last ${unseen} leaves`}: whom did somebody revoke or approve then, what was set, said to be gone or decided about forks? Nobody can tell from here, so ask, run the same command where it was done, and revoke again who was revoked. ${doubtedText(doubted)}`,
    );
  const agents = [...new Set(info.reported.map((reported) => reported.agent))];
  await output.result(
    {
      event: 'reopened',
      opened: true,
      logEpoch,
      base: base.size,
      lostUpTo: lost[0]?.size,
      agents,
      unseen,
      doubted,
    },
    `The log goes on in epoch ${logEpoch} from ${base.size} leaves; agents hold heads of up to ${lost[0]?.size ?? 0}.\n` +
      `Agents send what was lost again by themselves when they connect (reported by ${agents.join(', ') || 'no agent yet'}); what they no longer have is named in their status.`,
  );
}

/**
 * How many leaves of the lost part this PC has not seen, about: at least one, unless it saw all.
 *
 * @param kept How many leaves there were, at most, before anything came behind them anew.
 */
function unseenOf(
  newest: number,
  lost: readonly TreeHead[],
  seen: Healed['seen'],
  kept: number,
): number {
  const newestEpoch = Math.max(...lost.map(({ logEpoch }) => logEpoch));
  const through = seen?.logEpoch === newestEpoch ? seen.through : 0;
  return through >= newest ? 0 : Math.max(1, newest - Math.max(through, kept));
}

/**
 * Names of agents that are let in, or would be, and may have been revoked in the part of the log
 * that is not known: all but those that were shown its newest head, which only an agent is.
 */
async function inDoubt(
  vault: VaultClient,
  reported: LogInfo['reported'],
  newest: number,
): Promise<string[]> {
  const shown = new Set(
    reported.filter(({ head }) => head.size === newest).map(({ agent }) => agent),
  );
  const { agents } = await vault.roster.list();
  return agents
    .filter(({ state, name }) => state !== 'revoked' && state !== 'replaced' && !shown.has(name))
    .map(({ name }) => name);
}

function doubtedText(doubted: readonly string[]): string {
  if (doubted.length === 0) return 'No agent that is let in now can have been revoked then.';
  const named = doubted.slice(0, MAX_NAMED).join(', ');
  const rest = doubted.length - MAX_NAMED;
  const others = rest > 0 ? `, and ${formatCounted(rest, 'other')}` : '';
  return `Perhaps it was one of these, which are let in: ${named}${others}.`;
}

/**
 * The head that this operator saw and the log does not continue: the newest one, or the one that
 * once contradicted it.
 */
function promisedHere(before: Witness | undefined, broken: boolean): TreeHead[] {
  const seen = broken ? before?.newest : before?.contradicted;
  return seen === undefined ? [] : [seen.head];
}

/** Newest first, each once. */
function distinct(heads: readonly TreeHead[]): TreeHead[] {
  const byRoot = new Map(
    heads.map((head) => [`${head.logEpoch} ${head.size} ${hex(head.root)}`, head]),
  );
  return [...byRoot.values()].toSorted((a, b) => b.logEpoch - a.logEpoch || b.size - a.size);
}
