import { withExample } from '@aliquot/shared/cli/help';
import type { Command } from 'commander';
import type { CommandContext } from '../cli/context.ts';
import type { ServeOptions } from './run-server.ts';

export function registerServe(program: Command, context: CommandContext): void {
  const serve = program
    .command('serve')
    .description(
      'Run the collector: agents, operators and monitors all use its one address. Prints a JSON line with the address when ready; logs go to standard error.',
    )
    .requiredOption('--data <DIR>', 'the folder that `aliquot init` made')
    .option('--listen <HOST:PORT>', 'where to listen; port 0 picks a free one', '127.0.0.1:8480')
    .option(
      '--tls-cert <FILE>',
      'certificate chain in PEM; needed on every address but loopback; a renewed one is taken by itself',
    )
    .option('--tls-key <FILE>', 'its private key in PEM')
    .option(
      '--trusted-proxy <ADDRESSES>',
      'proxies in front, as in 127.0.0.1,10.1.0.0/16: their X-Forwarded-For, or the PROXY protocol, says whom limits count',
    );
  withExample(
    serve,
    'aliquot serve --data /srv/aliquot',
    'aliquot serve --data /srv/aliquot --listen 0.0.0.0:8480 --tls-cert server.pem --tls-key server.key',
    'aliquot serve --data /srv/aliquot --listen 127.0.0.1:8481 --trusted-proxy 127.0.0.1',
  );
  serve.action(async (options: ServeOptions) =>
    (await import('./run-server.ts')).serveCommand(context, options),
  );
}
