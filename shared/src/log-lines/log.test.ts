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

  const HUNDREDS = Array.from({ length: 500 }, (_, index) => index);
  const leftOut = (lines: readonly string[]) =>
    lines.map((line) => JSON.parse(line)).filter((line) => 'leftOut' in line);

  it('writes only so many lines with one code in a minute, says how many it left out, and leaves nothing else out', () => {
    const { log, lines, clock } = setUp();
    const session = log.child({ session: 1 });
    for (const _ of HUNDREDS) {
      log.warn({ code: 'INGEST_LIMIT' }, 'x');
      session.warn({ code: 'INGEST_LIMIT' }, 'x');
    }
    expect(lines).toHaveLength(60);
    log.warn({ code: 'INGEST_PROTOCOL' }, 'x');
    log.error({ code: 'INGEST_LIMIT' }, 'x');
    for (const _ of HUNDREDS) log.warn('x');
    for (const _ of HUNDREDS) log.info('x');
    expect(lines).toHaveLength(1062);
    clock.ms += 60_000;
    log.info('x');
    expect(lines).toHaveLength(1064);
    expect(JSON.parse(lines[1062] ?? '')).toMatchObject({
      level: 'warn',
      of: 'warn',
      code: 'INGEST_LIMIT',
      leftOut: 940,
    });
  });

  it.each(['debug', 'info', 'warn', 'error'] as const)(
    'writes only so many lines of one sentence that one agent causes, on level %s too, whatever stands in them',
    (level) => {
      const { log, lines, clock } = setUp();
      const evil = log.child({ vault: 'v', agent: 'evil' });
      for (const index of HUNDREDS) {
        evil[level]({ software: `${index}` }, 'agent connected');
        evil[level]('agent left');
        log[level]({ vault: 'v', agent: 'evil' }, 'agent left');
      }
      expect(lines).toHaveLength(120);
      // Nobody else is hidden by it: not another agent, nor an operator's act on this one.
      log.child({ vault: 'v', agent: 'honest' })[level]('agent left');
      log.warn({ vault: 'v', agent: 'evil' }, 'agent revoked');
      expect(lines).toHaveLength(122);
      clock.ms += 60_000;
      evil[level]('agent left');
      expect(lines).toHaveLength(125);
      expect(leftOut(lines)).toMatchObject([
        { level: 'warn', of: level, said: 'agent connected', agent: 'evil', leftOut: 440 },
        { level: 'warn', of: level, said: 'agent left', agent: 'evil', leftOut: 940 },
      ]);
    },
  );

  it('writes only so many debug lines of one sentence, which anybody’s requests cause', () => {
    const { log, lines } = setUp();
    for (const index of HUNDREDS) log.debug({ route: `/${index}` }, 'request');
    expect(lines).toHaveLength(60);
  });

  it('says at its end how many lines were left out in the minute that is not over', async () => {
    const { log, lines, end } = setUp();
    for (const _ of HUNDREDS) log.warn({ code: 'INGEST_LIMIT' }, 'x');
    await end();
    expect(leftOut(lines)).toMatchObject([{ code: 'INGEST_LIMIT', leftOut: 440 }]);
  });
});
