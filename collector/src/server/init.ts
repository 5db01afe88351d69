import { hostname } from 'node:os';
import { join } from 'node:path';
import { withExample, withJson } from '@aliquot/shared/cli/help';
import { hex } from '@aliquot/shared/crypto/bytes';
import type { Command } from 'commander';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { initCollector } from '../store/collector.ts';

interface InitOptions {
  readonly data: string;
  readonly name?: string;
  readonly json?: boolean;
}

export function registerInit(program: Command, context: CommandContext): void {
  const init = program
    .command('init')
    .description(
      'Make a collector in an empty folder: its identity, its store, and admin.token for the first operator.',
    )
    .requiredOption(
      '--data <DIR>',
      'the folder: new or empty, on the disk that shall hold the backups',
    )
    .option(
      '--name <TEXT>',
      "the collector's name, as operators will see it; this machine's name unless given",
    );
  withJson(init);
  withExample(init, "aliquot init --data /srv/aliquot --name 'Backup of the analytics lab'");
  init.action(async (options: InitOptions) => {
    const output = outputOf(context, options);
    const { files, clock, random } = context;
    const store = await initCollector(
      options.data,
      { name: options.name ?? hostname() },
      { files, clock, random },
    );
    const collectorId = hex(store.collectorId);
    const tokenFile = join(options.data, 'admin.token');
    await store.close();
    await output.result(
      { event: 'collector', data: options.data, name: store.name, collectorId, tokenFile },
      `Collector ${store.name} made in ${options.data}.\n` +
        `id     ${collectorId}  (compare it when you add a vault: --collector ${collectorId})\n` +
        `token  ${tokenFile}  (for operators only)\n` +
        `Next: aliquot serve --data ${options.data}`,
    );
  });
}
