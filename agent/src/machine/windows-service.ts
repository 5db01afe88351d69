import { win32 } from 'node:path';
import { MachineError } from './errors.ts';
import { dataOf, type Ran, type RunTool, refusal, type ServiceManager } from './service-manager.ts';

/** The system and administrators everything, users reading and running. */
const mayUse = ['*S-1-5-18:(OI)(CI)F', '*S-1-5-32-544:(OI)(CI)F', '*S-1-5-32-545:(OI)(CI)RX'];
const AS_ADMINISTRATOR = 'open the command line with "Run as administrator"';

/**
 * The service of an install folder on Windows. Its host, two folders above the program's version,
 * is the one that registers it: the same for setup, this command and an upgrade
 * (`deploy/host/register.c`).
 */
export function windowsService(root: string, icacls: string, run: RunTool): ServiceManager {
  const host = win32.join(root, 'host.exe');
  const control = async (what: string, ...args: readonly string[]): Promise<Ran> => {
    const ran = await run(host, ['control', ...args]);
    if (ran.code === undefined)
      throw new MachineError(
        'MACHINE_NO_MANAGER',
        `${host} is not there, so this is no installed package; run the setup, or aliquot-agent run`,
      );
    if (ran.code !== 0) throw refusal(what, ran, AS_ADMINISTRATOR);
    return ran;
  };
  return {
    async install({ data, account }) {
      // Anyone who may write here becomes the system: an archive may have been unpacked anywhere.
      // Setup does the same.
      const closed = await run(icacls, [root, '/inheritance:r', '/grant:r', ...mayUse, '/Q']);
      if (closed.code !== 0) throw refusal(`close ${root} to others`, closed, AS_ADMINISTRATOR);
      await control(
        'install the service',
        'register',
        '--data',
        data,
        ...(account === undefined ? [] : ['--account', account]),
      );
    },
    async uninstall() {
      await control('remove the service', 'unregister');
    },
    async start() {
      await control('start the service', 'start');
    },
    async stop() {
      await control('stop the service', 'stop');
    },
    async state() {
      const { out } = await control('ask for the service', 'state');
      const [, word = '', commandLine = ''] = /^(\w+) ?(.*)/.exec(out) ?? [];
      if (word !== 'absent' && word !== 'stopped' && word !== 'running')
        return { state: 'changing', ...dataOf(commandLine) };
      return { state: word, ...dataOf(commandLine) };
    },
  };
}
