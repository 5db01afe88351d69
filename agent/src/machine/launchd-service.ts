import { posix } from 'node:path';
import { exists, removeDurably, writeFileDurably } from '@aliquot/shared/durable/durable';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { MachineError } from './errors.ts';
import { dataOf, type Ran, type RunTool, refusal, type ServiceManager } from './service-manager.ts';

const LABEL = 'org.aliquot.agent';
const PLIST_PATH = `/Library/LaunchDaemons/${LABEL}.plist`;
const AS_ADMINISTRATOR = 'put sudo before the command';

/**
 * The service under launchd, as a daemon of the machine. Written from Apple's manual pages; not
 * proven on a Mac yet.
 */
export function launchdService(
  root: string | undefined,
  port: FilePort,
  run: RunTool,
): ServiceManager {
  const launchctl = async (what: string, ...args: readonly string[]): Promise<Ran> => {
    const ran = await run('launchctl', args);
    if (ran.code === undefined)
      throw new MachineError(
        'MACHINE_NO_MANAGER',
        'there is no launchctl here; run: aliquot-agent run --data DIR',
      );
    if (ran.code !== 0) throw refusal(what, ran, AS_ADMINISTRATOR);
    return ran;
  };
  const isLoaded = async () => (await run('launchctl', ['print', `system/${LABEL}`])).code === 0;
  const installed = async (): Promise<void> => {
    if (!(await exists(port, PLIST_PATH)))
      throw new MachineError(
        'MACHINE_NO_SERVICE',
        'no service is installed; run: sudo aliquot-agent service install',
      );
  };
  return {
    async install({ data, account }) {
      if (root === undefined)
        throw new MachineError(
          'MACHINE_NO_MANAGER',
          'this is no installed package; install one, or run: aliquot-agent run --data DIR',
        );
      // No package for macOS brings the host yet, which nothing here can compile for it.
      const host = posix.join(root, 'host');
      const program = (await exists(port, host)) ? host : posix.join(root, 'bin', 'aliquot-agent');
      await writeFileDurably(port, PLIST_PATH, Buffer.from(plistText(program, data, account)), {
        mode: 0o644,
      });
    },
    async uninstall() {
      if (await isLoaded()) await launchctl('stop the service', 'bootout', `system/${LABEL}`);
      if (await exists(port, PLIST_PATH)) await removeDurably(port, PLIST_PATH);
    },
    async start() {
      await installed();
      if (!(await isLoaded()))
        await launchctl('start the service', 'bootstrap', 'system', PLIST_PATH);
    },
    async stop() {
      await installed();
      if (await isLoaded()) await launchctl('stop the service', 'bootout', `system/${LABEL}`);
    },
    async state() {
      if (!(await exists(port, PLIST_PATH))) return { state: 'absent' };
      const { code, out } = await run('launchctl', ['print', `system/${LABEL}`]);
      return {
        state: code === 0 ? 'running' : 'stopped',
        ...dataOf(out.replace(/--data\s+/, '--data ')),
      };
    },
  };
}

function plistText(program: string, data: string, account: string | undefined): string {
  const text = (value: string) =>
    value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  const words = [program, 'run', '--data', data]
    .map((word) => `    <string>${text(word)}</string>`)
    .join('\n');
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>${LABEL}</string>
  <key>ProgramArguments</key>
  <array>
${words}
  </array>
${account === undefined ? '' : `  <key>UserName</key>\n  <string>${text(account)}</string>\n`}  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <true/>
  <key>ProcessType</key>
  <string>Background</string>
  <key>LowPriorityIO</key>
  <true/>
  <key>ExitTimeOut</key>
  <integer>45</integer>
</dict>
</plist>
`;
}
