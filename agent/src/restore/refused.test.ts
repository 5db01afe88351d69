import { RestoreError } from '@aliquot/shared/restore/errors';
import { describe, expect, it } from 'vitest';
import { withDropIn } from './refused.ts';

const refused = (errno: string) =>
  new RestoreError('RESTORE_TARGET', 'cannot restore /data', {
    cause: Object.assign(new Error(errno), { code: errno, errno: -1, syscall: 'mkdir' }),
  });

describe('a restore that the system refuses', () => {
  it.each(['EROFS', 'EACCES', 'EPERM'])(
    'names the drop-in that lets a service write there (%s)',
    (errno) => {
      expect(withDropIn(refused(errno), 'linux')).toMatchObject({
        code: 'RESTORE_TARGET',
        message: expect.stringMatching(
          /^cannot restore \/data; .*systemctl edit aliquot-agent: \[Service\] ReadWritePaths=FOLDER/,
        ),
      });
    },
  );

  it('says nothing of drop-ins for another error, or where there is no systemd', () => {
    const full = refused('ENOSPC');
    expect(withDropIn(full, 'linux')).toBe(full);
    const onWindows = refused('EACCES');
    expect(withDropIn(onWindows, 'win32')).toBe(onWindows);
    const other = new TypeError('not a system error');
    expect(withDropIn(other, 'linux')).toBe(other);
  });
});
