import { faultsOfHelp, helpPages } from '@aliquot/shared/testing/help-pages';
import { describe, expect, it } from 'vitest';
import { agentProgram } from './program.ts';

describe('the help of aliquot-agent', () => {
  it.each(helpPages(agentProgram()))('$name is in the house’s style', (page) => {
    expect(faultsOfHelp(page)).toEqual([]);
  });
});
