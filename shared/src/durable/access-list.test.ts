import { describe, expect, it } from 'vitest';
import { closedList, closingCommand, strangersIn } from './access-list.ts';

const ME = 'S-1-5-21-1-2-3-1001';
const CLOSED = `O:BAG:SYD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;${ME})`;

describe('an access control list', () => {
  it('lets in nobody else when it names the system, administrators, this account, and creators', () => {
    expect(strangersIn(CLOSED, ME)).toEqual([]);
    expect(strangersIn('O:SYD:PAI(A;OICI;FA;;;SY)(A;OICIIO;GA;;;CO)(A;;FA;;;OW)', 'SY')).toEqual(
      [],
    );
    expect(strangersIn(`O:BAD:P(A;OICI;FA;;;S-1-5-80-1-2-3-4-5)`, ME)).toEqual([]);
    expect(strangersIn(closedList(ME).replace('D:', 'O:BAD:'), ME)).toEqual([]);
  });

  it.each([
    ['Users, who may read', '(A;OICI;0x1200a9;;;BU)', 'BU'],
    ['Users, who may read, by letters', '(A;OICI;FR;;;BU)', 'BU'],
    ['Users, who may only add files', '(A;CI;0x2;;;BU)', 'BU'],
    ['Everyone, who may do everything', '(A;OICI;GA;;;WD)', 'WD'],
    ['who may rewrite the list', '(A;;WD;;;AU)', 'AU'],
    ['who is let in below this folder only', '(A;OICIIO;GR;;;AU)', 'AU'],
    ['a group of the domain', '(A;OICI;FA;;;S-1-5-21-9-9-9-1234)', 'S-1-5-21-9-9-9-1234'],
    ['who is let in under a condition', '(XA;OICI;FA;;;BU;(Member_of {SID(BA)}))', 'BU'],
    ['rights by a name that is not known', '(A;;QQ;;;IU)', 'IU'],
    ['generic reading by number', '(A;;0x80000000;;;IU)', 'IU'],
  ])('lets in %s', (_name, entry, sid) => {
    expect(strangersIn(CLOSED + entry, ME)).toEqual([{ sid, by: 'explicit' }]);
  });

  it('lets in nobody by rights that give nothing away, or by what it denies', () => {
    expect(strangersIn(`${CLOSED}(A;;0x1200a0;;;BU)(A;;FX;;;WD)(D;OICI;FA;;;WD)`, ME)).toEqual([]);
  });

  it('says where somebody comes from', () => {
    expect(strangersIn(`${CLOSED}(A;OICIID;FR;;;BU)`, ME)).toEqual([
      { sid: 'BU', by: 'inherited' },
    ]);
    expect(strangersIn(CLOSED.replace('O:BA', 'O:S-1-5-21-1-2-3-1002'), ME)).toEqual([
      { sid: 'S-1-5-21-1-2-3-1002', by: 'owner' },
    ]);
  });

  it('lets in everybody when there is none', () => {
    expect(strangersIn('O:BAG:SY', ME)).toEqual([{ sid: 'WD', by: 'explicit' }]);
    expect(strangersIn('O:BAG:SYD:NO_ACCESS_CONTROL', ME)).toEqual([{ sid: 'WD', by: 'explicit' }]);
    expect(strangersIn('O:BAG:SYD:P', ME)).toEqual([]);
  });

  it('is closed by one command, which takes away what stands in it and what it inherits', () => {
    expect(
      closingCommand('C:\\P D\\a', 'S-1-5-18', [{ sid: 'S-1-5-32-545', by: 'explicit' }]),
    ).toBe(
      'icacls "C:\\P D\\a" /inheritance:r /remove:g *S-1-5-32-545 /grant:r *S-1-5-18:(OI)(CI)F *S-1-5-32-544:(OI)(CI)F',
    );
    expect(closingCommand('C:\\a', ME, [{ sid: 'S-1-5-21-1-2-3-1002', by: 'owner' }])).toBe(
      `icacls "C:\\a" /setowner *S-1-5-32-544 /T && icacls "C:\\a" /inheritance:r /grant:r *S-1-5-18:(OI)(CI)F *S-1-5-32-544:(OI)(CI)F *${ME}:(OI)(CI)F`,
    );
  });
});
