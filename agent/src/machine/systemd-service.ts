import { posix } from 'node:path';
import { removeDurably, writeFileDurably } from '@aliquot/shared/durable/durable';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { MachineError } from './errors.ts';
import { dataOf, type Ran, type RunTool, refusal, type ServiceManager } from './service-manager.ts';

const NAME = 'aliquot-agent.service';
const OWN_UNIT = `/etc/systemd/system/${NAME}`;
const AS_ADMINISTRATOR = 'put sudo before the command';

/**
 * The service under systemd. A package brings its unit, which is enabled; a folder install (`root`)
 * gets one written to /etc/systemd/system, which `uninstall` removes again. Nothing else in there
 * is touched.
 */
export function systemdService(
  root: string | undefined,
  port: FilePort,
  run: RunTool,
): ServiceManager {
  const systemctl = async (what: string, ...args: readonly string[]): Promise<Ran> => {
    const ran = await run('systemctl', args);
    // A container, or a system that was begun by something else, may have the tool and nobody who
    // answers it.
    if (ran.code === undefined || /connect to bus|not been booted with systemd/.test(ran.err))
      throw new MachineError(
        'MACHINE_NO_MANAGER',
        'this system has no systemd; let its own service manager run: aliquot-agent run --data DIR',
      );
    if (ran.code !== 0) throw refusal(what, ran, AS_ADMINISTRATOR);
    return ran;
  };
  const shown = async (): Promise<Map<string, string>> => {
    const { out } = await systemctl(
      'ask for the service',
      'show',
      NAME,
      '--property=LoadState,ActiveState,FragmentPath,ExecStart',
    );
    return new Map(
      out
        .split('\n')
        .map((line) => [line.split('=', 1)[0] ?? '', line.slice(line.indexOf('=') + 1)]),
    );
  };
  const isOurs = (path: string | undefined) =>
    path === undefined || path === '' || path === OWN_UNIT;
  const installed = async (): Promise<void> => {
    if ((await shown()).get('LoadState') !== 'loaded')
      throw new MachineError(
        'MACHINE_NO_SERVICE',
        'no service is installed; run: aliquot-agent service install',
      );
  };
  return {
    async install({ data, account }) {
      const fragment = (await shown()).get('FragmentPath');
      if (isOurs(fragment)) {
        if (root === undefined)
          throw new MachineError(
            'MACHINE_NO_MANAGER',
            'this is no installed package; install one, or run: aliquot-agent run --data DIR',
          );
        await writeFileDurably(port, OWN_UNIT, Buffer.from(unitText(root, data, account)), {
          mode: 0o644,
        });
        await systemctl('read the unit', 'daemon-reload');
      } else if (account !== undefined) {
        throw new MachineError(
          'MACHINE_REFUSED',
          `the package's unit says as whom it runs; change that with: systemctl edit ${NAME}`,
        );
      }
      await systemctl('enable the service', 'enable', NAME);
    },
    async uninstall() {
      const properties = await shown();
      if (properties.get('LoadState') !== 'loaded') return;
      await systemctl('stop and disable the service', 'disable', '--now', NAME);
      // the package's: it goes with the package
      if (properties.get('FragmentPath') !== OWN_UNIT) return;
      await removeDurably(port, OWN_UNIT);
      await systemctl('read the units', 'daemon-reload');
    },
    async start() {
      await installed();
      await systemctl('start the service', 'start', NAME);
    },
    async stop() {
      await installed();
      await systemctl('stop the service', 'stop', NAME);
    },
    async state() {
      const properties = await shown();
      if (properties.get('LoadState') !== 'loaded') return { state: 'absent' };
      const active = properties.get('ActiveState');
      const state =
        active === 'active'
          ? 'running'
          : active === 'inactive' || active === 'failed'
            ? 'stopped'
            : 'changing';
      return {
        state,
        ...dataOf(/argv\[\]=([^;]*)/.exec(properties.get('ExecStart') ?? '')?.[1] ?? ''),
      };
    },
  };
}

/**
 * systemd reads `%` as the begin of a specifier and `"` as a quote; a path with either would not be
 * that path.
 */
const quoted = (path: string) =>
  `"${path.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%').replaceAll('$', '$$$$')}"`;

/**
 * The unit of a folder install: its host switches between versions, and may write in its own folder
 * for that. Confined as the packages' unit is (`deploy/linux/agent/agent.service`); where a restore
 * may write is a drop-in there, too.
 */
function unitText(root: string, data: string, account: string | undefined): string {
  return `# Written by aliquot-agent service install; aliquot-agent service uninstall removes it.
[Unit]
Description=Aliquot agent: brings this computer's results into safety
After=network.target
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=${quoted(posix.join(root, 'host'))} run --data ${quoted(data)}
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=5
TimeoutStopSec=60
KillMode=mixed
Environment=MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=131072 MALLOC_TRIM_THRESHOLD_=131072
UnsetEnvironment=NODE_OPTIONS NODE_PATH NODE_COMPILE_CACHE OPENSSL_CONF OPENSSL_MODULES OPENSSL_ENGINES
${account === undefined ? '' : `User=${account}\n`}UMask=0077
RuntimeDirectory=aliquot-agent
RuntimeDirectoryMode=0755
# Reads every file, whoever owns it; changes none but its own.
AmbientCapabilities=CAP_DAC_READ_SEARCH
CapabilityBoundingSet=CAP_DAC_READ_SEARCH
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths=${quoted(`-${data}`)} ${quoted(root)}
CPUWeight=20
IOSchedulingClass=idle
PrivateDevices=yes
DevicePolicy=closed
PrivateIPC=yes
PrivateMounts=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallFilter=setpriority
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
`;
}
