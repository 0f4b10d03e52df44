/** Whatever is seen: what the judge may conclude from it, and what never. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { MemberId } from '../../../src/base/ids.ts';
import { allServing, type MemberCondition, type RecordedState } from '../../../src/twin/condition.ts';
import { admission, type Heard, judge, type Seen, type Stance } from '../../../src/twin/judge.ts';
import type { Pulse } from '../../../src/twin/suspicion.ts';
import { epoch, topologyOf, watchedOf } from './monitor-kit.ts';

const TIMINGS = { failAfterMs: 5_000, backAfterMs: 10_000, freshMs: 2_000, gatherMs: 1_500 };
const topologies = [topologyOf([11, 12]), topologyOf([11, 12, 13]), topologyOf([11, 12], 1)];

const ms = fc.integer({ min: 0, max: 20_000 });
const pulses: fc.Arbitrary<Pulse> = fc
  .record({ isSuspect: fc.boolean(), silentMs: ms, isHeard: fc.boolean(), goodForMs: ms })
  .map(({ isSuspect, silentMs, isHeard, goodForMs }) => ({
    isSuspect,
    silentMs,
    goodAgoMs: isHeard ? silentMs : null,
    goodForMs: isSuspect ? 0 : goodForMs,
  }));
const stores = fc.constantFrom('disk', 'other');
const heards: fc.Arbitrary<Heard | null> = fc.option(
  fc.record({ state: fc.constantFrom<Stance>('fenced', 'resyncing', 'serving'), storeId: stores }),
);
const conditions = fc.record({
  state: fc.constantFrom<RecordedState>('serving', 'serving', 'serving', 'failed-over', 'resyncing'),
  mayReturn: fc.boolean(),
  storeId: fc.option(stores),
});

const seens: fc.Arbitrary<Seen> = fc.constantFrom(...topologies).chain((topology) => {
  const watched = watchedOf(topology);
  const each = <T>(of: fc.Arbitrary<T>) =>
    fc.array(of, { minLength: watched.length, maxLength: watched.length });
  return fc.tuple(each(conditions), each(pulses), each(heards)).map(([states, seen, heard]) => {
    const all = allServing(topology);
    const at = <T>(list: readonly T[], member: MemberId): T =>
      list[watched.findIndex((w) => w.member === member)]!;
    const members = new Map(
      [...all.members].map(([id, was]): [MemberId, MemberCondition] => [id, { ...was, ...at(states, id) }]),
    );
    return {
      conditions: { ...all, epoch: epoch(9), members },
      watched,
      pulseOf: (member) => at(seen, member),
      heardOf: (member) => at(heard, member),
      timings: TIMINGS,
    };
  });
});

const stateIn = (seen: Seen, member: MemberId) => seen.conditions.members.get(member)!.state;

test('nobody who serves is taken out unless its twin serves and has just answered', () => {
  fc.assert(
    fc.property(seens, (seen) => {
      for (const { subject, to } of judge(seen)) {
        if (to !== 'failed-over') continue;
        const own = seen.watched.filter((w) =>
          subject.kind === 'member' ? w.member === subject.member : w.center === subject.center,
        );
        for (const w of own.filter(({ member }) => stateIn(seen, member) === 'serving')) {
          const twin = seen.pulseOf(w.twin);
          assert.equal(stateIn(seen, w.twin), 'serving');
          assert.ok(!twin.isSuspect && twin.goodAgoMs !== null && twin.goodAgoMs <= TIMINGS.freshMs);
          assert.equal(seen.heardOf(w.twin)?.state ?? 'serving', 'serving');
          assert.ok(!own.some((other) => other.member === w.twin), 'both members of a pair');
        }
      }
    }),
    { numRuns: 2_000 },
  );
});

test('who answers is taken out for one reason alone: another disk', () => {
  fc.assert(
    fc.property(seens, (seen) => {
      for (const { subject, to } of judge(seen)) {
        if (to !== 'failed-over' || subject.kind !== 'member') continue;
        const pulse = seen.pulseOf(subject.member);
        const { storeId } = seen.conditions.members.get(subject.member)!;
        const isForeign = storeId !== null && seen.heardOf(subject.member)?.storeId !== storeId;
        assert.ok(isForeign || (pulse.isSuspect && pulse.silentMs >= TIMINGS.failAfterMs));
      }
    }),
    { numRuns: 2_000 },
  );
});

test('a declaration names the epoch it was concluded under, and serving is never declared', () => {
  fc.assert(
    fc.property(seens, (seen) => {
      const declared = judge(seen);
      for (const { subject, to, expectedEpoch, mayReturn } of declared) {
        assert.notEqual(to, 'serving');
        if (subject.kind === 'center') {
          assert.deepEqual([declared.length, expectedEpoch, to], [1, 9, 'failed-over']);
          continue;
        }
        const pair = seen.watched.find((w) => w.member === subject.member)!.pair;
        assert.equal(expectedEpoch, seen.conditions.pairEpochs.get(pair));
        const was = seen.conditions.members.get(subject.member)!;
        if (to === 'resyncing') {
          assert.ok(was.state === 'failed-over' && was.mayReturn);
          assert.ok(seen.pulseOf(subject.member).goodForMs >= TIMINGS.backAfterMs);
        } else assert.equal(mayReturn, true);
      }
    }),
    { numRuns: 2_000 },
  );
});

test('nobody is told to serve who does not by the record, or whose disk is another', () => {
  fc.assert(
    fc.property(seens, fc.integer({ min: 1, max: 3 }), (seen, known) => {
      for (const w of seen.watched) {
        const heard = seen.heardOf(w.member);
        if (!heard) continue;
        const next = admission(seen.conditions, w, { ...heard, epoch: epoch(known) });
        const { state, storeId } = seen.conditions.members.get(w.member)!;
        if (next.do === 'tell') {
          assert.equal(next.epoch, seen.conditions.pairEpochs.get(w.pair));
          assert.equal(next.state === 'serving', state === 'serving');
          if (state === 'serving') assert.equal(heard.storeId, storeId);
        }
        if (next.do === 'adopt') assert.ok(state === 'serving' && storeId === null);
        if (known > 1) assert.equal(next.do, 'reload');
      }
    }),
    { numRuns: 2_000 },
  );
});
