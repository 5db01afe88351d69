import { execFile, execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodeFlags } from '../deploy/node-flags.ts';
import { pinnedNode } from '../scripts/lib/pinned-node.ts';
import { installAt, type TestNode } from './install.ts';

/**
 * The oldest Node that `engines` names, where npm has it for this machine, and the project's own.
 */
const nodeModules = join(import.meta.dirname, '../node_modules');
const nodes: TestNode[] = [join(nodeModules, 'node-oldest/bin/node'), pinnedNode().binary]
  .filter((binary) => existsSync(binary))
  .map((binary) => ({
    binary,
    version: execFileSync(binary, ['--version'], { encoding: 'utf8' }).trim().slice(1),
  }));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aliquot-nodes-'));
});
afterAll(() => rm(folder, { recursive: true }));

const run = promisify(execFile);

describe('the versions of Node', () => {
  it('the oldest that engines names is among those that are tried', ({ skip }) => {
    if (process.platform !== 'linux' || process.arch !== 'x64')
      skip('npm has the oldest one for Linux on x64 only');
    const { engines } = JSON.parse(readFileSync(join(nodeModules, '../package.json'), 'utf8')) as {
      engines: { node: string };
    };
    expect(nodes[0]?.version.startsWith(engines.node.slice(2))).toBe(true);
  });

  it.each(nodes)(
    '$version is started by every launcher, and takes the flags of every command',
    async (node) => {
      const launchers = await installAt(join(folder, node.version), node);
      // `serve` and `run` get to where they miss their folder: they were loaded with their flags.
      for (const [program, command] of [
        ['aliquot', 'serve'],
        ['aliquot-agent', 'run'],
      ] as const) {
        expect((await run(launchers[program], ['--version'])).stdout).toBe('0.1.0\n');
        await expect(
          run(launchers[program], [command, '--data', join(folder, 'none')]),
        ).rejects.toMatchObject({
          code: 2,
          stderr: expect.stringContaining('[FOLDER_MISSING]'),
        });
        // A program that Node takes with its flags says so itself: none is passed over.
        const room = program === 'aliquot' ? 'collector' : 'agent';
        const print = ['-p', 'process.execArgv.length'];
        expect(
          Number(
            (await run(node.binary, [...nodeFlags(room, command, node.version), ...print])).stdout,
          ),
        ).toBeGreaterThan(3);
      }
    },
  );
});
