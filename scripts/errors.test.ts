import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { judgedByWords, swallowed } from './errors.ts';
import { readSources } from './lib/sources.ts';

const sources = readSources(join(import.meta.dirname, '..'));
const at = (text: string) => ({ path: 'agent/src/x.ts', text });
const lines = (text: string) => swallowed(at(text)).map(({ line }) => line);

describe('the search for swallowed errors', () => {
  it('finds none in the source', () => {
    expect(sources.flatMap(swallowed)).toEqual([]);
  });

  it.each([
    ['that looks at nothing', 'try { a(); } catch { b(); }'],
    ['that only logs', "try { a(); } catch (error) { log.warn({ error }, 'no'); }"],
    [
      'that only writes the message down',
      'try { a(); } catch (e) { says = e instanceof Error ? e.message : String(e); }',
    ],
    ['of a promise that nobody else awaits', 'a().catch(() => undefined);'],
    ['by the second function of then', 'a().then(b, () => 0);'],
  ])('finds a catch %s', (_, text) => {
    expect(lines(text)).toEqual([1]);
  });

  it.each([
    ['throws', 'try { a(); } catch { throw new B(); }'],
    ['looks at the kind', 'try { a(); } catch (error) { if (error instanceof A) b(); }'],
    ['hands the error on', 'try { a(); } catch (error) { endWith(error); }'],
    ['hands it to a function by name', 'a().catch(endWith);'],
    ['keeps a promise with a name from being unhandled', 'kept.catch(() => undefined);'],
    ['tidies up before it throws', 'try { a(); } catch (e) { b().catch(() => 0); throw e; }'],
    ['says why any error will do', 'try { a(); } catch { /* Any error: it is only a hint. */ }'],
  ])('lets a catch be that %s', (_, text) => {
    expect(lines(text)).toEqual([]);
  });

  it('leaves tests alone', () => {
    const path = 'agent/src/x.test.ts';
    expect(swallowed({ path, text: 'try { a(); } catch { b(); }' })).toEqual([]);
  });
});

describe('the search for errors that are judged by their words', () => {
  it('finds none in the source', () => {
    expect(sources.flatMap(judgedByWords)).toEqual([]);
  });

  it.each([
    'if (/full/.test(error.message)) a();',
    'if (/^E/.test(code)) a();',
    'const found = /x (y)/.exec(cause.message);',
    'const found = error.message.match(/x/);',
  ])('finds %s', (text) => {
    expect(judgedByWords(at(text))).toHaveLength(1);
  });

  it('lets other texts be read', () => {
    expect(judgedByWords(at('if (/x/.test(line)) a(); b.match(/x/);'))).toEqual([]);
  });
});
