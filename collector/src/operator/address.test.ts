import { describe, expect, it } from 'vitest';
import { agentUrl } from './address.ts';

describe('an address for agents', () => {
  it.each([
    ['https://backup.lab:8480', 'https://backup.lab:8480'],
    ['https://backup.lab:8480//', 'https://backup.lab:8480'],
  ])('takes %s', (text, url) => {
    expect(agentUrl(text)).toBe(url);
  });

  it.each([
    // A scheme that was forgotten makes the host one.
    ['localhost:99', 'localhost:99'],
    ['backup.lab:8480', 'backup.lab:8480'],
    ['backup.lab', 'backup.lab'],
    ['ftp://backup.lab', 'ftp://backup.lab'],
    ['http://backup.lab:8480', 'http://backup.lab:8480'],
    ['https://user:secret@backup.lab', 'https://backup.lab'],
    ['user:secret@backup.lab:8480', 'backup.lab:8480'],
    ['https://backup.lab/?token=secret', 'https://backup.lab/'],
    ['', ''],
  ])('refuses %s, names it as it was typed, and no secret that stands in it', (text, shown) => {
    expect(() => agentUrl(text)).toThrow(`"${shown}" is no address for agents`);
  });
});
