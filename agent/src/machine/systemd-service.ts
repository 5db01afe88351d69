import { posix } from 'node:path';
import { removeDurably, writeFileDurably } from '@aliquot/shared/durable/durable';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { MachineError } from './errors.ts';
import { dataOf, type Ran, type RunTool, refusal, type ServiceManager } from './service-manager.ts';

const name = 'aliquot-agent.service';
const ownUnit = `/etc/systemd/system/${name}`;
const asAdministrator = 'put sudo before the command';

/**
 * The service under systemd. A package brings its unit, which is enabled; a folder install (`root`) gets one written to
 * /etc/systemd/system, which `uninstall` removes again. Nothing else in there is touched.
 */
export function systemdService(root: string | undefined, port: FilePort, run: RunTool): ServiceManager {
  const systemctl = async (what: string, ...args: readonly string[]): Promise<Ran> => {
    const ran = await run('systemctl', args);
    // A container, or a system that was begun by something else, may have the tool and nobody who answers it.
    if (ran.code === undefined || /connect to bus|not been booted with systemd/.test(ran.err))
      throw new MachineError(
        'MACHINE_NO_MANAGER',
        'this system has no systemd; let its own service manager run: aliquot-agent run --data DIR',
      );
    if (ran.code !== 0) throw refusal(what, ran, asAdministrator);
    return ran;
  };
  const shown = async (): Promise<Map<string, string>> => {
    const { out } = await systemctl('ask for the service', 'show', name, '--property=LoadState,ActiveState,FragmentPath,ExecStart');
    return new Map(out.split('\n').map((line) => [line.split('=', 1)[0] ?? '', line.slice(line.indexOf('=') + 1)]));
  };
  const isOurs = (path: string | undefined) => path === undefined || path === '' || path === ownUnit;
  const installed = async (): Promise<void> => {
    if ((await shown()).get('LoadState') !== 'loaded')
      throw new MachineError('MACHINE_NO_SERVICE', 'no service is installed; run: aliquot-agent service install');
  };
  return {
    async install({ data, account }) {
      const fragment = (await shown()).get('FragmentPath');
      if (isOurs(fragment)) {
        if (root === undefined)
          throw new MachineError('MACHINE_NO_MANAGER', 'this is no installed package; install one, or run: aliquot-agent run --data DIR');
        await writeFileDurably(port, ownUnit, Buffer.from(unitText(root, data, account)), { mode: 0o644 });
        await systemctl('read the unit', 'daemon-reload');
      } else if (account !== undefined) {
        throw new MachineError('MACHINE_REFUSED', `the package's unit says as whom it runs; change that with: systemctl edit ${name}`);
      }
      await systemctl('enable the service', 'enable', name);
    },
    async uninstall() {
      const properties = await shown();
      if (properties.get('LoadState') !== 'loaded') return;
      await systemctl('stop and disable the service', 'disable', '--now', name);
      if (properties.get('FragmentPath') !== ownUnit) return; // the package's: it goes with the package
      await removeDurably(port, ownUnit);
      await systemctl('read the units', 'daemon-reload');
    },
    async start() {
      await installed();
      await systemctl('start the service', 'start', name);
    },
    async stop() {
      await installed();
      await systemctl('stop the service', 'stop', name);
    },
    async state() {
      const properties = await shown();
      if (properties.get('LoadState') !== 'loaded') return { state: 'absent' };
      const active = properties.get('ActiveState');
      const state = active === 'active' ? 'running' : active === 'inactive' || active === 'failed' ? 'stopped' : 'changing';
      return { state, ...dataOf(/argv\[\]=([^;]*)/.exec(properties.get('ExecStart') ?? '')?.[1] ?? '') };
    },
  };
}

/** systemd reads `%` as the begin of a specifier and `"` as a quote; a path with either would not be that path. */
const quoted = (path: string) => `"${path.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%').replaceAll('$', '$$$$')}"`;

/** The unit of a folder install: its host switches between versions, and may write in its own folder for that. */
function unitText(root: string, data: string, account: string | undefined): string {
  return `# Written by aliquot-agent service install; aliquot-agent service uninstall removes it.
[Unit]
Description=Aliquot agent: keeps every result that this PC's instruments write
After=network.target
StartLimitIntervalSec=0

[Service]
ExecStart=${quoted(posix.join(root, 'host'))} run --data ${quoted(data)}
${account === undefined ? '' : `User=${account}\n`}Restart=always
RestartSec=5
TimeoutStopSec=45
KillMode=mixed
RuntimeDirectory=aliquot-agent
RuntimeDirectoryMode=0755
RuntimeDirectoryPreserve=no
NoNewPrivileges=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
`;
}
