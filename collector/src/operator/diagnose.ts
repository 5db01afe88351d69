import { askDiagnosis, DiagnosisError, openDiagnosis } from '@aliquot/shared/diagnosis/sealed';
import { summaryOf } from '@aliquot/shared/diagnosis/summary';
import { writeFileDurably } from '@aliquot/shared/durable/durable';
import type { Command } from 'commander';
import { fromBase64 } from '../api/base64.ts';
import { type CommandContext, outputOf } from '../cli/context.ts';
import { CollectorClient } from './client/collector-client.ts';
import { refuseExisting } from './kit.ts';
import { type ByOptions, openKeyFile, withKeyFile } from './operator-key.ts';
import {
  type CollectorOptions,
  endpointOf,
  withCollector,
  withExample,
  withJson,
  withNotes,
} from './options.ts';
import { certifiedAgent } from './verified.ts';

type DiagnoseOptions = CollectorOptions &
  ByOptions & { readonly out: string; readonly json?: boolean };

export function registerDiagnose(agents: Command, context: CommandContext): void {
  const diagnose = agents
    .command('diagnose')
    .description(
      'Ask a connected PC how it is, and write the answer into a file: without content, and without names of files.',
    )
    .argument('NAME', "the agent's name")
    .requiredOption('--out <FILE>', 'the file to write; an existing file is never overwritten');
  withJson(withCollector(withKeyFile(diagnose)));
  withNotes(
    diagnose,
    'The key file must be for `diagnose` (`aliquot operator add`). The answer is sealed to it: the collector hands it on and cannot read it. The log records who asked.',
    'At the PC itself `aliquot-agent diagnose` writes the same.',
  );
  withExample(diagnose, 'aliquot agents diagnose hplc-1 --by maria.key --out hplc-1.diagnosis');
  diagnose.action((name: string, _options: object, command: Command) =>
    ask(context, name, command.optsWithGlobals<DiagnoseOptions>()),
  );
}

async function ask(context: CommandContext, name: string, options: DiagnoseOptions): Promise<void> {
  const output = outputOf(context, options);
  await refuseExisting(context, options.out);
  const endpoint = await endpointOf(context, options);
  const { descriptor, signKey, signedCertificate, boxKey } = await openKeyFile(
    context,
    options,
    'diagnose',
  );
  const vault = (await CollectorClient.connect(endpoint)).vault({ vaultId: descriptor.vaultId });
  const info = await vault.roster.agent(name);
  const { agentId } = certifiedAgent({ descriptor }, info);
  const { request, body } = askDiagnosis(
    signKey,
    descriptor.vaultId,
    agentId,
    context.clock.nowMs(),
    context.random,
  );
  const { code, ephemeralKey, sealed } = await vault.desk.diagnose(info.agentId, {
    request,
    certificate: signedCertificate,
  });
  if (code === 'DIAGNOSIS_NOT_NOW')
    throw new DiagnosisError(
      'DIAGNOSIS_NOT_NOW',
      `${name} makes a diagnosis just now, or no service runs there that could; ask again`,
    );
  if (ephemeralKey === undefined || sealed === undefined)
    throw new DiagnosisError(
      'DIAGNOSIS_REFUSED',
      `${name} refuses to answer (${code}): look at its clock, and at the term of ${options.by}`,
    );
  const text = openDiagnosis(boxKey, body, {
    ephemeralKey: fromBase64(ephemeralKey),
    sealed: fromBase64(sealed),
  });
  for (const line of summaryOf(text)) output.note(line);
  await writeFileDurably(context.files, options.out, Buffer.from(text), {
    mode: 0o600,
    createOnly: true,
  });
  const bytes = Buffer.byteLength(text);
  await output.result(
    { event: 'diagnosis', agent: name, file: options.out, bytes },
    `written to ${options.out}`,
  );
}
