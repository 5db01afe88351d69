import { userInfo } from 'node:os';
import { posix, win32 } from 'node:path';

/**
 * The one place where `aliquot` reads its environment (the passphrase is read by shared/cli, where
 * it is asked for).
 */
export interface Environment {
  /** `ALIQUOT_URL`: stands for `--url`. */
  readonly url: string | undefined;
  /** `ALIQUOT_TOKEN`: the operator's token itself, instead of `--token-file`. */
  readonly token: string | undefined;
  /** `ALIQUOT_KIT`: stands for `--kit`. */
  readonly kit: string | undefined;
  /** `ALIQUOT_TLS_CA`: stands for `--tls-ca`. */
  readonly tlsCa: string | undefined;
  /** `ALIQUOT_LOG_LEVEL`: how much `aliquot serve` logs; info unless set. */
  readonly logLevel: string | undefined;
  /**
   * `ALIQUOT_STATE`, or the platform's usual place: where this user's witness of the log is kept.
   * Undefined where there is no home.
   */
  readonly stateFolder: string | undefined;
  /** `USER`, on Windows `USERNAME`: who answers for a hold unless `--owner` says. */
  readonly user?: string | undefined;
  /** `PAGER`: what shows long lists on a terminal; less unless set. */
  readonly pager?: string | undefined;
}

/** Empty variables count as unset. */
export function readEnvironment(): Environment {
  return {
    url: process.env['ALIQUOT_URL'] || undefined,
    token: process.env['ALIQUOT_TOKEN'] || undefined,
    kit: process.env['ALIQUOT_KIT'] || undefined,
    tlsCa: process.env['ALIQUOT_TLS_CA'] || undefined,
    logLevel: process.env['ALIQUOT_LOG_LEVEL'] || undefined,
    stateFolder: process.env['ALIQUOT_STATE'] || usualStateFolder(process.platform, process.env),
    user: process.env['USER'] || process.env['USERNAME'] || loginName(),
    pager: process.env['PAGER'] || undefined,
  };
}

/**
 * Where programs keep what they remember: the XDG base directories, macOS' and Windows' own places.
 * Test only: the environment is one.
 */
export function usualStateFolder(
  platform: NodeJS.Platform,
  env: NodeJS.ProcessEnv,
): string | undefined {
  if (platform === 'win32')
    return env['LOCALAPPDATA'] ? win32.join(env['LOCALAPPDATA'], 'Aliquot', 'state') : undefined;
  const home = env['HOME'];
  if (platform === 'darwin')
    return home
      ? posix.join(home, 'Library', 'Application Support', 'Aliquot', 'state')
      : undefined;
  // The specification has relative paths ignored.
  if (env['XDG_STATE_HOME']?.startsWith('/')) return posix.join(env['XDG_STATE_HOME'], 'aliquot');
  return home ? posix.join(home, '.local', 'state', 'aliquot') : undefined;
}

/**
 * The environment that another program gets from us: all but the secrets in it, which are nobody
 * else's.
 */
export function environmentForOthers(): NodeJS.ProcessEnv {
  const { ALIQUOT_PASSPHRASE: _passphrase, ALIQUOT_TOKEN: _token, ...others } = process.env;
  return others;
}

/**
 * Services and jobs have no `USER`; a user that no list of users has, as in a container, no name.
 */
function loginName(): string | undefined {
  try {
    return userInfo().username || undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_SYSTEM_ERROR') return undefined;
    throw error;
  }
}
