import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { belowDescriptor } from './held-name.ts';

/**
 * Node takes times as a double of seconds, which near today is a grid of about 238 ns, and cuts the
 * rest off. A plain division may therefore land just below a whole millisecond and show the one
 * before it. This picks the grid point that shows the same microsecond and is nearest to the wish:
 * exactly the wish, when it was itself set by such a double.
 */
export function secondsForTime(ns: bigint): number | Date {
  if (ns < 0n) return new Date(Number(ns / 1_000_000n) - (ns % 1_000_000n === 0n ? 0 : 1));
  const plain = Number(ns) / 1e9;
  if (shownFor(plain) === ns) return plain;
  const step = 2 ** (Math.floor(Math.log2(Math.max(plain, 1))) - 52);
  let best = { seconds: plain, away: distance(shownFor(plain), ns) };
  for (const seconds of [plain + step, plain - step, plain + 2 * step, plain - 2 * step]) {
    const away = seconds < 0 ? best.away : distance(shownFor(seconds), ns);
    if (away < best.away) best = { seconds, away };
  }
  return best.seconds;
}

/** Whether a file shows exactly this time after `secondsForTime` was set. */
export function keptBy(seconds: number | Date, ns: bigint): boolean {
  return typeof seconds === 'number' ? shownFor(seconds) === ns : ns % 1_000_000n === 0n;
}

/** The nanoseconds that a file shows after its time was set to this many seconds. */
function shownFor(seconds: number): bigint {
  const whole = Math.trunc(seconds);
  return BigInt(whole) * 1_000_000_000n + BigInt(Math.trunc((seconds - whole) * 1e9));
}

/** How far apart two times are; another microsecond is farther than any distance within one. */
function distance(shown: bigint, wished: bigint): bigint {
  const away = shown < wished ? wished - shown : shown - wished;
  return shown / 1000n === wished / 1000n ? away : away + 1_000_000n;
}

/**
 * The number of Linux' utimensat, by Node's name of the processor; others are not worth a table.
 */
const callNumbers: Record<string, number> = { x64: 280, arm64: 88 };

/**
 * Node sets times as doubles of seconds only, and has no other call. Perl, which Linux systems come
 * with, calls the system by number: one process takes a line for each file (seconds, nanoseconds,
 * flags, the path in hexadecimal) and answers 1 or 0. The time of the last access stays as it is.
 */
const SCRIPT = `
$| = 1;
while (<STDIN>) {
  my ($seconds, $nanoseconds, $flags, $path) = split;
  my $name = pack("H*", $path);
  my $times = pack("q4", 0, 0x3ffffffe, $seconds, $nanoseconds);
  print syscall($ARGV[0] + 0, -100, $name, $times, $flags + 0) == 0 ? "1\\n" : "0\\n";
}`;
const NO_FOLLOW = 0x100;
/** The helper ends when nobody needed it for this long. */
const IDLE_MS = 2_000;

type Answer = (done: boolean) => void;

/** Sets times to the nanosecond, where this system can. */
class TimeSetter {
  readonly #number = process.platform === 'linux' ? callNumbers[process.arch] : undefined;
  #child: ChildProcessWithoutNullStreams | undefined;
  #missing = false;
  #waiting: Answer[] = [];
  #idle: NodeJS.Timeout | undefined;

  /** Whether the time is exactly set now; false where there is no helper, or the system refused. */
  set(path: Buffer, ns: bigint, follow: boolean): Promise<boolean> {
    const child = this.#start();
    if (child === undefined) return Promise.resolve(false);
    const nanoseconds = ((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
    const seconds = (ns - nanoseconds) / 1_000_000_000n;
    clearTimeout(this.#idle);
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      // A process that waits for an answer stays alive for it.
      this.#hold(child, true);
      child.stdin.write(
        `${seconds} ${nanoseconds} ${follow ? 0 : NO_FOLLOW} ${path.toString('hex')}\n`,
      );
    });
  }

  #start(): ChildProcessWithoutNullStreams | undefined {
    if (this.#child !== undefined || this.#number === undefined || this.#missing)
      return this.#child;
    // Nothing of our environment goes along: it may hold a passphrase, and could lead to another
    // perl or have it load more.
    const child = spawn('perl', ['-e', SCRIPT, String(this.#number)], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: {},
    });
    this.#child = child;
    let rest = '';
    child.stdout.setEncoding('latin1').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#waiting.shift()?.(line === '1');
      if (this.#waiting.length === 0) this.#rest(child);
    });
    const over = (): void => {
      if (this.#child === child) this.#child = undefined;
      for (const answer of this.#waiting.splice(0)) answer(false);
    };
    child.on('error', () => {
      this.#missing = true;
      over();
    });
    child.on('exit', (code) => {
      if (code !== 0) this.#missing = true;
      over();
    });
    // `exit` reports its end; a line that it did not take is answered there.
    child.stdin.on('error', () => undefined);
    child.stderr.resume();
    return child;
  }

  #rest(child: ChildProcessWithoutNullStreams): void {
    this.#hold(child, false);
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => {
      if (this.#child === child) this.#child = undefined;
      child.stdin.end();
    }, IDLE_MS);
    this.#idle.unref();
  }

  #hold(child: ChildProcessWithoutNullStreams, alive: boolean): void {
    for (const one of [child, child.stdin, child.stdout, child.stderr] as {
      ref?: () => void;
      unref?: () => void;
    }[]) {
      if (alive) one.ref?.();
      else one.unref?.();
    }
  }
}

const setter = new TimeSetter();

/** Sets the modification time of a name to the nanosecond. Whether it could; nothing is thrown. */
export function setTimeExactly(path: Buffer, ns: bigint): Promise<boolean> {
  return setter.set(path, ns, false);
}

/** The same for an open file. */
export function setTimeOfOpenExactly(descriptor: number, ns: bigint): Promise<boolean> {
  return setter.set(Buffer.from(belowDescriptor(descriptor) ?? ''), ns, true);
}
