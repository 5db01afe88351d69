import { faultsOfHelp, helpPages } from '@aliquot/shared/testing/help-pages';
import { describe, expect, it } from 'vitest';
import { buildProgram } from './program.ts';

describe('the help of aliquot', async () => {
  // Help needs nothing of what commands run with.
  it.each(helpPages(await buildProgram({} as never)))('$name is in the house’s style', (page) => {
    expect(faultsOfHelp(page)).toEqual([]);
  });
});
