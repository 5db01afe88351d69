import type { Settings } from '@aliquot/proto';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { verifyAgent } from '@aliquot/shared/keys/certificates';
import { issueSettings } from '@aliquot/shared/keys/settings';
import { type CrashScenario, type Life, tortureOf } from '@aliquot/shared/testing/enumerate';
import {
  FIXTURE_TIME_MS,
  fixtureAgent,
  fixtureVault,
  seededRandom,
} from '@aliquot/shared/testing/keys/fixtures';
import type { TortureScenario } from '@aliquot/shared/testing/scenario';
import type { DeskBook } from '../../src/desk/book.ts';
import { openDesk } from '../../src/desk/open-desk.ts';

const vault = fixtureVault('enumeration of settings');
const agent = fixtureAgent(vault, 'hplc-1');
const { authorityKey, vaultId } = vault.descriptor;
const identity = {
  descriptor: vault.descriptor,
  certificate: verifyAgent(authorityKey, vaultId, agent.enrolment, agent.binding),
  boxKey: agent.boxKey,
};

/** Windows has other paths, and these need not be there. */
const folder = (name: string): string =>
  JSON.stringify(process.platform === 'win32' ? `C:\\data\\${name}` : `/data/${name}`);

function told(sequence: number, text: string): Settings {
  const terms = {
    sequence,
    issuedAtMs: FIXTURE_TIME_MS,
    expiresAtMs: FIXTURE_TIME_MS + 1000,
    groups: [],
  };
  const contents = { version: 1, text, answerKey: new Uint8Array(32).fill(5) } as const;
  const pc = { agentId: agent.agentId, boxKey: agent.boxKey.publicKey };
  return {
    settings: issueSettings(
      vault.authority,
      vault.descriptor,
      pc,
      terms,
      contents,
      seededRandom(`${sequence}`),
    ),
    certificate: undefined,
  };
}

/** What each step hands out: the second is wrong, the third takes a folder away. */
const handed: ReadonlyMap<number, Settings> = new Map([
  [1, told(1, `sources: [{path: ${folder('a')}}, {path: ${folder('b')}}]\n`)],
  [2, told(2, 'workers: none\n')],
  [3, told(3, `sources: [{path: ${folder('a')}}]\n`)],
  [4, told(4, `sources: [{path: ${folder('a')}}]\nworkers: 2\n`)],
]);

const open = (root: string, files: FilePort): Promise<DeskBook> =>
  openDesk(root, {
    port: files,
    clock: { nowMs: () => FIXTURE_TIME_MS },
    random: seededRandom('answers'),
    identity,
  });

/**
 * Settings, wrong ones, others by which a folder loses its cover, a person who has seen that, and
 * others again.
 */
export const settings: CrashScenario = {
  name: 'agent-settings',
  about:
    'every file call of taking settings, refusing some, and acknowledging what lost its cover fails, is cut short or is the last: what was said to be in force is, what was refused or lost its cover is remembered, and never anything else is in force',
  proves: ['P1', 'P5', 'P6'],
  begin: async (root): Promise<Life<FilePort>> => {
    let inForce = 0;
    let refused = false;
    let uncovered = 0;
    let seen = false;
    const take = (sequence: number) => async (files: FilePort) => {
      const given = handed.get(sequence);
      if (given === undefined) throw new Error(`no settings ${sequence}`);
      // whatever comes of it, those before need not be named any more
      if (sequence === 3) refused = false;
      const answer = await (await open(root, files)).take(given, 'collector');
      if (sequence === 2) refused = answer?.outcome === 'refused';
      else if (answer === undefined || answer.outcome === 'applied') inForce = sequence;
      else throw new Error(`settings ${sequence}: ${answer.code}`);
      if (sequence === 3) uncovered = 1;
    };
    return {
      open: async (files) => files,
      steps: [
        { name: 'settings', run: take(1) },
        { name: 'wrong ones', run: take(2) },
        { name: 'others, by which a folder loses its cover', run: take(3) },
        {
          name: 'a person has seen it',
          run: async (files) => {
            const book = await open(root, files);
            uncovered = 0;
            await book.acknowledge(book.uncovered.map(({ path }) => path));
            seen = true;
          },
        },
        { name: 'others again', run: take(4) },
      ],
      close: async () => undefined,
      judge: async (files) => {
        const book = await open(root, files);
        if (book.sequence < inForce)
          throw new Error(`P5: settings ${inForce} are forgotten, ${book.sequence} are in force`);
        if (
          book.sequence !== 0 &&
          book.sequence !== 1 &&
          book.sequence !== 3 &&
          book.sequence !== 4
        )
          throw new Error(`settings ${book.sequence} are in force, which are wrong`);
        if (refused && book.refused?.sequence !== 2)
          throw new Error('P6: that settings were refused is forgotten');
        if (book.uncovered.length < uncovered)
          throw new Error('P6: that a folder lost its cover is forgotten');
        if (seen && book.uncovered.length > 0)
          throw new Error('what a person has seen is named again');
      },
    };
  },
};

export const deskScenarios: readonly TortureScenario[] = [tortureOf(settings)];
