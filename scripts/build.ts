/** `npm run build`: generates and compiles all rooms, in order, through turbo's local cache. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname, '..');
const own = join(root, 'node_modules', 'node', 'bin');
const separator = process.platform === 'win32' ? ';' : ':';
const { status } = spawnSync(
  process.execPath,
  [
    join(root, 'node_modules', 'turbo', 'bin', 'turbo'),
    'run',
    'build',
    '--output-logs=errors-only',
  ],
  {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      // The tasks' own `node` is the project's, and nothing here talks to anybody.
      PATH: `${existsSync(own) ? own : dirname(process.execPath)}${separator}${process.env['PATH'] ?? ''}`,
      TURBO_TELEMETRY_DISABLED: '1',
      DO_NOT_TRACK: '1',
      TURBO_NO_UPDATE_NOTIFIER: '1',
    },
  },
);
process.exitCode = status ?? 1;
