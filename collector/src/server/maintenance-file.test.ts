import { expect, test } from 'vitest';
import { readMaintenance } from './maintenance-file.ts';

const PATH = '/data/maintenance.yaml';
const read = (text: string) => readMaintenance(text, PATH);

test('a plan says when runs are, or that there are none; what it does not say is as usual', () => {
  const collection = '47 3 * * 0';
  expect(read('retention: "5 4 * * 1-5"\n')).toEqual({ retention: '5 4 * * 1-5', collection });
  expect(read('retention: off\n')).toEqual({ retention: undefined, collection });
  expect(read('retention: "off"\n')).toEqual({ retention: undefined, collection });
  expect(read('collection: off\n')).toEqual({ retention: '17 2 * * *', collection: undefined });
  for (const text of ['', '# nothing\n', '{}\n'])
    expect(read(text)).toEqual({ retention: '17 2 * * *', collection });
});

test('a plan with mistakes is refused with their lines, and with what is accepted', () => {
  const says = (text: string): string => {
    try {
      read(text);
      return 'accepted';
    } catch (error) {
      return (error as Error).message;
    }
  };
  for (const when of ['daily', '"* * * *"', '"0 0 3 * * *"', '"99 * * * *"', '5', '[1]'])
    expect(says(`# when\nretention: ${when}\n`)).toMatch(
      /^\/data\/maintenance\.yaml:2:\d+: retention must be off, or five fields as cron has them/,
    );
  expect(says('retentoin: off\n')).toMatch(/^\/data\/maintenance\.yaml:1:1: .*retention/);
  expect(says('a: [\n')).toMatch(/^\/data\/maintenance\.yaml:\d/);
});
