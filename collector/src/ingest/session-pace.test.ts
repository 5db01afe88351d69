import { expect, test } from 'vitest';
import { HandTimers } from '../../testing/front.ts';
import { SessionPace } from './session-pace.ts';

const FREE = 20;

const settled = () => new Promise((go) => setImmediate(go));

function paced() {
  const timers = new HandTimers();
  const pace = new SessionPace(timers);
  const said: string[] = [];
  const begin = (agent: string, name: string) => {
    void pace
      .begin(agent, () => said.push(`${name} waits`))
      .then((begins) => said.push(`${name} ${begins ? 'begins' : 'is let go'}`));
  };
  const begun = async (agent: string, count: number) => {
    for (let at = 0; at < count; at += 1) await pace.begin(agent, () => said.push('waits'));
  };
  const passed = async () => {
    timers.elapse();
    await settled();
    return said.splice(0);
  };
  return { begin, begun, passed, said };
}

test('P6 an agent whose network breaks twenty times in a row does not wait', async () => {
  const { begun, said } = paced();
  await begun('hplc-1', FREE);
  expect(said).toEqual([]);
});

test('P6 sessions that are begun without end begin one in each time, and nobody else waits', async () => {
  const { begin, begun, passed } = paced();
  await begun('evil', FREE);
  begin('evil', 'first');
  begin('evil', 'second');
  begin('honest', 'honest');
  await begun('other', FREE);
  expect(await passed()).toEqual(['first waits', 'second waits', 'honest begins', 'first begins']);
  expect(await passed()).toEqual(['second begins']);
  expect(await passed()).toEqual([]);
});

test('P6 no more of one agent wait than may be open: the oldest makes room', async () => {
  const { begin, begun, passed, said } = paced();
  await begun('evil', FREE);
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) begin('evil', name);
  await settled();
  expect(said.filter((text) => text.endsWith('is let go'))).toEqual(['a is let go', 'b is let go']);
  said.splice(0);
  expect(await passed()).toEqual(['c begins']);
});

test('an agent that was quiet for a while is as one that never came', async () => {
  const { begun, passed, said } = paced();
  await begun('hplc-1', FREE);
  for (let time = 0; time < FREE; time += 1) await passed();
  await begun('hplc-1', FREE);
  expect(said).toEqual([]);
});
