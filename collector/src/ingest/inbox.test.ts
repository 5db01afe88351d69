import { describe, expect, it } from 'vitest';
import { Inbox } from './inbox.ts';

function flow() {
  const calls: string[] = [];
  return { calls, pause: () => void calls.push('pause'), resume: () => void calls.push('resume') };
}

describe('inbox', () => {
  it('hands messages on in order, those that wait and those that come later', async () => {
    const inbox = new Inbox(flow());
    inbox.push(Buffer.from('1'));
    inbox.push(Buffer.from('2'));
    expect(String(await inbox.next())).toBe('1');
    expect(String(await inbox.next())).toBe('2');
    const later = inbox.next();
    inbox.push(Buffer.from('3'));
    expect(String(await later)).toBe('3');
  });

  it('pauses the connection above the high mark and resumes it below the low one', async () => {
    const watched = flow();
    const inbox = new Inbox(watched, 4096, 2048);
    inbox.push(new Uint8Array(2000));
    expect(watched.calls).toEqual([]);
    inbox.push(new Uint8Array(2000));
    inbox.push(new Uint8Array(2000));
    expect(watched.calls).toEqual(['pause']);
    await inbox.next();
    expect(watched.calls).toEqual(['pause']);
    await inbox.next();
    await inbox.next();
    expect(watched.calls).toEqual(['pause', 'resume']);
  });

  it('counts empty messages, so that a flood of them pauses the connection too', () => {
    const watched = flow();
    const inbox = new Inbox(watched, 4096, 2048);
    for (let sent = 0; sent < 9; sent++) inbox.push(new Uint8Array(0));
    expect(watched.calls).toEqual(['pause']);
  });

  it('lets go of everything when closed', async () => {
    const inbox = new Inbox(flow());
    inbox.push(Buffer.from('1'));
    inbox.close();
    expect(await inbox.next()).toBeUndefined();
    inbox.push(Buffer.from('2'));
    expect(await inbox.next()).toBeUndefined();
  });

  it('wakes a waiting reader when closed', async () => {
    const inbox = new Inbox(flow());
    const waiting = inbox.next();
    inbox.close();
    expect(await waiting).toBeUndefined();
  });
});
