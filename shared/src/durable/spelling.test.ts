import { expect, it } from 'vitest';
import { type NameOnDisk, spelledAsOnDisk } from './spelling.ts';

const names = [
  'C:\\ProgramData',
  'C:\\ProgramData\\Aliquot',
  'C:\\Data',
  'C:\\Data\\Läufe',
  '\\\\srv\\lab\\HPLC',
];
const short: Readonly<Record<string, string>> = { 'C:\\PROGRA~3': 'ProgramData' };
const onDisk: NameOnDisk = async (path) =>
  (short[path] ?? names.find((name) => name.toLowerCase() === path.toLowerCase()))
    ?.split('\\')
    .at(-1);

it.each([
  ['c:\\programdata', 'C:\\ProgramData'],
  ['C:\\PROGRA~3\\ALIQUOT', 'C:\\ProgramData\\Aliquot'],
  ['c:\\DATA\\läufe', 'C:\\Data\\Läufe'],
  ['c:\\data\\New\\Läufe', 'C:\\Data\\New\\Läufe'],
  ['d:\\Gone', 'D:\\Gone'],
  ['c:\\', 'C:\\'],
  ['c:\\data\\r*n', 'C:\\Data\\r*n'],
  ['\\\\srv\\lab\\hplc', '\\\\srv\\lab\\HPLC'],
  ['\\\\srv\\lab', '\\\\srv\\lab'],
  ['/data/run', '/data/run'],
])('%s is spelled as the disk does: %s', async (typed, spelled) => {
  expect(await spelledAsOnDisk(typed, onDisk)).toBe(spelled);
});

it('nothing is asked for below what is not there', async () => {
  const asked: string[] = [];
  await spelledAsOnDisk('D:\\a\\b\\c', async (path) => {
    asked.push(path);
    return undefined;
  });
  expect(asked).toEqual(['D:\\a']);
});
