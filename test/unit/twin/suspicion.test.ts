/** Suspicion: three misses in a row, cleared by one good answer; probes ask suspects alone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MemberId } from '../../../src/base/ids.ts';
import { startProbes } from '../../../src/twin/probe.ts';
import { MISS_WINDOW_MS, Suspicion } from '../../../src/twin/suspicion.ts';
import { seededRandom } from '../../world/seeded-random.ts';
import { VirtualClock } from '../../world/virtual-clock.ts';

const a = 'node-a11' as MemberId;
const b = 'node-b11' as MemberId;

test('the third miss in a row makes a suspect, once', () => {
  const suspicion = new Suspicion();
  assert.deepEqual(
    [1, 2, 3, 4].map((now) => suspicion.miss(a, now)),
    [false, false, true, false],
  );
  assert(suspicion.isSuspect(a));
  assert(!suspicion.isSuspect(b));
  assert.deepEqual(suspicion.suspects(), [a]);
});

test('a good answer clears suspect and count alike', () => {
  const suspicion = new Suspicion();
  suspicion.miss(a, 1);
  suspicion.miss(a, 2);
  assert.equal(suspicion.good(a, 3), false);
  suspicion.miss(a, 3);
  suspicion.miss(a, 4);
  assert(!suspicion.isSuspect(a));
  suspicion.miss(a, 5);
  assert.equal(suspicion.good(a, 6), true);
  assert(!suspicion.isSuspect(a));
});

test('misses far apart do not add up, and a suspect stays one however long', () => {
  const suspicion = new Suspicion();
  for (let round = 0; round < 10; round += 1) suspicion.miss(a, round * (MISS_WINDOW_MS + 1));
  assert(!suspicion.isSuspect(a));
  const now = 10 * (MISS_WINDOW_MS + 1);
  for (let miss = 0; miss < 3; miss += 1) suspicion.miss(a, now);
  suspicion.miss(a, now + 10 * MISS_WINDOW_MS);
  assert(suspicion.isSuspect(a));
});

test('silence counts from the last good answer, and a good spell from the first one after a miss', () => {
  const suspicion = new Suspicion();
  suspicion.watch(a, 100);
  assert.deepEqual(suspicion.pulse(a, 600), {
    isSuspect: false,
    silentMs: 500,
    goodAgoMs: null,
    goodForMs: 0,
  });
  suspicion.good(a, 1_000);
  suspicion.good(a, 2_000);
  assert.deepEqual(suspicion.pulse(a, 2_500), {
    isSuspect: false,
    silentMs: 500,
    goodAgoMs: 500,
    goodForMs: 1_500,
  });
  suspicion.miss(a, 3_000);
  suspicion.good(a, 4_000);
  assert.equal(suspicion.pulse(a, 4_500).goodForMs, 500);
});

test('after a pause of our own nobody is silent and nobody has missed', () => {
  const suspicion = new Suspicion();
  suspicion.good(a, 0);
  for (let miss = 0; miss < 3; miss += 1) suspicion.miss(a, 1_000);
  suspicion.watch(a, 60_000);
  assert.deepEqual(suspicion.pulse(a, 60_000), {
    isSuspect: false,
    silentMs: 0,
    goodAgoMs: 60_000,
    goodForMs: 0,
  });
});

test('probes ask suspects about once a second, and a good answer clears them', async () => {
  const clock = new VirtualClock();
  const suspicion = new Suspicion();
  const asked: MemberId[] = [];
  const cleared: MemberId[] = [];
  let isUp = false;
  const probes = startProbes({
    suspicion,
    clock,
    random: seededRandom(1),
    probe: async (member) => {
      asked.push(member);
      if (!isUp) throw new Error('down');
    },
    onCleared: (member) => cleared.push(member),
  });
  await clock.run(clock.sleep(10_000));
  assert.deepEqual(asked, []);
  for (let miss = 0; miss < 3; miss += 1) suspicion.miss(a, clock.monotonic());
  suspicion.miss(b, clock.monotonic());
  await clock.run(clock.sleep(10_000));
  assert(asked.length >= 7 && asked.length <= 14, `${asked.length} probes`);
  assert(asked.every((member) => member === a));
  isUp = true;
  await clock.run(clock.sleep(2_000));
  assert.deepEqual([cleared, suspicion.suspects()], [[a], []]);
  await clock.run(probes.close());
});

test('a probe that never answers is bounded, and does not hold up others or close()', async () => {
  const clock = new VirtualClock();
  const suspicion = new Suspicion();
  for (const member of [a, b]) for (let miss = 0; miss < 3; miss += 1) suspicion.miss(member, 0);
  const probes = startProbes({
    suspicion,
    clock,
    random: seededRandom(1),
    probe: (member) => (member === a ? new Promise(() => {}) : Promise.resolve()),
  });
  await clock.run(clock.sleep(5_000));
  assert.deepEqual(suspicion.suspects(), [a]);
  await clock.run(probes.close());
});
