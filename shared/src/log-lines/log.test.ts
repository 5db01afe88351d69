import { describe, expect, it } from 'vitest';
import { openLog } from './log.ts';

function setUp(level = 'debug', journal = false) {
  const lines: string[] = [];
  const clock = { ms: Date.UTC(2026, 10, 21, 20, 15, 3, 123), nowMs: () => clock.ms };
  const target = {
    write(bytes: Buffer, done: (error: undefined, written: number) => void) {
      lines.push(...bytes.toString().split('\n').slice(0, -1));
      done(undefined, bytes.length);
    },
  };
  return { lines, clock, ...openLog({ level, target, clock, journal }) };
}

describe('the log of a service', () => {
  it('is one JSON object a line: the level as a word, the time in RFC 3339, the fields, the message', () => {
    const { log, lines } = setUp();
    log.info({ commit: 7 }, 'receipt');
    log.error({ code: 'X' }, 'a\nb');
    expect(lines).toEqual([
      '{"level":"info","time":"2026-11-21T20:15:03.123Z","commit":7,"msg":"receipt"}',
      '{"level":"error","time":"2026-11-21T20:15:03.123Z","code":"X","msg":"a\\nb"}',
    ]);
  });

  it('of a child has the same form, and leaves out what is below its level', () => {
    const { log, lines } = setUp('info');
    log.child({ agent: 'hplc-1' }).info('agent left');
    log.debug('nothing');
    expect(lines).toEqual([
      '{"level":"info","time":"2026-11-21T20:15:03.123Z","agent":"hplc-1","msg":"agent left"}',
    ]);
  });

  it('tells systemd’s journal the priority of each line', () => {
    const { log, lines } = setUp('trace', true);
    for (const level of ['fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const)
      log[level]('x');
    expect(lines.map((line) => line.slice(0, 4))).toEqual([
      '<2>{',
      '<3>{',
      '<4>{',
      '<6>{',
      '<7>{',
      '<7>{',
    ]);
  });

  it('writes only so many warnings of one code in a minute, says how many it left out, and leaves nothing else out', () => {
    const { log, lines, clock } = setUp();
    const session = log.child({ session: 1 });
    for (let count = 0; count < 500; count += 1) {
      log.warn({ code: 'INGEST_LIMIT' }, 'x');
      session.warn({ code: 'INGEST_LIMIT' }, 'x');
    }
    expect(lines).toHaveLength(60);
    log.warn({ code: 'INGEST_PROTOCOL' }, 'x');
    log.error({ code: 'INGEST_LIMIT' }, 'x');
    log.warn('x');
    expect(lines).toHaveLength(63);
    clock.ms += 60_000;
    log.info('x');
    expect(lines).toHaveLength(65);
    expect(JSON.parse(lines[63] ?? '')).toMatchObject({
      level: 'warn',
      code: 'INGEST_LIMIT',
      leftOut: 940,
    });
  });
});
