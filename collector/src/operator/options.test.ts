import { describe, expect, it } from 'vitest';
import { aliquot } from '../../testing/cli.ts';

const TOKEN = 'aliquot-operator-secret';

describe('the address of the collector', () => {
  it.each([
    'http://collector.example:8480',
    'http://192.0.2.7:8480',
    'http://[2001:db8::7]:8480',
    'http://127.0.0.1.example',
  ])('P3: the token is not sent in clear to another machine: %s', async (url) => {
    const refused = await aliquot(['agents'], { url, token: TOKEN });
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/in clear.*https/);
    expect(refused.stderr).not.toContain(TOKEN);
  });

  it('a password in the address is refused and not repeated', async () => {
    const refused = await aliquot(['agents', '--url', 'https://:hunter2@collector.example'], {
      token: TOKEN,
    });
    expect(refused.code).toBe(2);
    expect(refused.stderr).not.toContain('hunter2');
  });

  it.each(['http://127.0.0.1:1', 'http://localhost:1', 'http://[::1]:1'])(
    'this machine may be spoken to without TLS: %s',
    async (url) => {
      expect((await aliquot(['agents'], { url, token: TOKEN })).stderr).toContain(
        'COMMAND_UNREACHABLE',
      );
    },
  );
});
