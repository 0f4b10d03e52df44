/** How long a Patroni's word is trusted: never longer than the lock of which it speaks can last. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  leaderUntil,
  noteReading,
  type PatroniAnswer,
  type PatroniConfig,
  patroniProblem,
  type Readings,
} from '../../../src/launcher/patroni-word.ts';

const CONFIG: PatroniConfig = { ttlS: 30, loopWaitS: 10, synchronous: true, strict: true };
const LEADER: PatroniAnswer = {
  ...{ askedAt: 50_000, lock: true, primary: true, running: true, unlocked: false, syncStandby: false },
  ...{ timeline: 3, seenS: 1_000, dateS: 1_000 },
};
const after = (...words: [PatroniAnswer, PatroniConfig][]): Readings =>
  words.reduce((readings: Readings, [answer, config]) => noteReading(readings, answer, config), []);
const BEFORE = { ...LEADER, seenS: 990, dateS: 990 };
const later = (answer: PatroniAnswer) => leaderUntil(answer, after([BEFORE, CONFIG], [answer, CONFIG]));
const first = (answer: PatroniAnswer, config = CONFIG) => leaderUntil(answer, after([answer, config]));

describe("a leader's word", () => {
  it('lasts for the ttl less the age of the last renewal that is certain, counted from when it was asked', () => {
    // Seen just now, so renewed after the reading before, ten seconds ago: 30 - 10 - 2 s.
    assert.equal(later(LEADER), 50_000 + 18_000);
    assert.equal(later({ ...LEADER, dateS: 1_009 }), 50_000 + 9_000);
  });
  it('lasts less long while only one reading of the cluster is known', () => {
    assert.equal(first(LEADER), 50_000 + 8_000);
  });
  it('is none when the cluster was last read too long ago', () => {
    assert.equal(later({ ...LEADER, dateS: 1_018 }), null);
  });
  it('is none without the lock, in recovery, not running, unlocked, or by a clock that went back', () => {
    for (const change of [
      ...[{ lock: false }, { primary: false }, { running: false }, { unlocked: true }, { dateS: 999 }],
    ])
      assert.equal(later({ ...LEADER, ...change }), null, JSON.stringify(change));
  });
  it('counts from the reading before the last, when turns take longer than they should', () => {
    const before = { ...LEADER, seenS: 985 };
    assert.equal(leaderUntil(LEADER, after([before, CONFIG], [LEADER, CONFIG])), 50_000 + 13_000);
  });
  it('does not count on a longer ttl, or a shorter loop, before it has been in force for some turns', () => {
    const longer = { ...CONFIG, ttlS: 300, loopWaitS: 1 };
    const words = [0, 10, 20, 30].map((s) => ({ ...LEADER, seenS: 1_000 + s, dateS: 1_000 + s }));
    const [a, b, c, d] = words as [PatroniAnswer, PatroniAnswer, PatroniAnswer, PatroniAnswer];
    assert.equal(leaderUntil(a, after([a, CONFIG], [a, longer])), 50_000 + 8_000);
    assert.equal(leaderUntil(b, after([a, CONFIG], [b, longer])), 50_000 + 18_000);
    assert.equal(leaderUntil(d, after([a, CONFIG], [b, longer], [c, longer], [d, longer])), 50_000 + 288_000);
  });
  it('never outlives the lock, whenever its host is stopped', () => {
    const turns = fc.array(
      fc.record({
        readS: fc.double({ min: 0, max: 3, noNaN: true }),
        renewS: fc.double({ min: 0, max: 3, noNaN: true }),
      }),
      {
        minLength: 2,
        maxLength: 8,
      },
    );
    fc.assert(
      fc.property(
        turns,
        fc.nat({ max: 9_999 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (all, pick, offset) => {
          // A host whose clock is `offset` into a second; each turn begins 10 s after the former or when that one is over.
          let now = 1_000 + offset;
          let renewed = -Infinity;
          const asked: { at: number; seen: number; renewed: number }[] = [];
          for (const { readS, renewS } of all) {
            const begun = now;
            const seen = begun + readS;
            // Asked between the reading and the renewal, the worst moment, and late in the pause.
            asked.push({ at: seen + renewS, seen, renewed });
            renewed = seen;
            now = Math.max(begun + 10, seen + renewS);
            asked.push({ at: now, seen, renewed });
          }
          let readings: Readings = [];
          const words = asked.slice(1).map(({ at, seen, renewed: from }) => {
            const answer = { ...LEADER, askedAt: at * 1_000, seenS: Math.floor(seen), dateS: Math.floor(at) };
            readings = noteReading(readings, answer, CONFIG);
            return { until: leaderUntil(answer, readings), expires: (from + 30) * 1_000 };
          });
          const { until, expires } = words[pick % words.length]!;
          assert.ok(until === null || until <= expires, `${until} > ${expires}`);
        },
      ),
    );
  });
});

describe('a cluster of Patroni', () => {
  it('is followed in strict synchronous mode alone', () => {
    assert.equal(patroniProblem(CONFIG), null);
    assert.match(patroniProblem({ ...CONFIG, strict: false })!, /synchronous_mode_strict: off/);
    assert.match(patroniProblem({ ...CONFIG, synchronous: false })!, /synchronous_mode: off/);
  });
  it('needs a ttl that leaves time to trust somebody', () => {
    assert.match(patroniProblem({ ...CONFIG, ttlS: 20 })!, /give a ttl of 24 s or more/);
    assert.equal(patroniProblem({ ...CONFIG, ttlS: 20, loopWaitS: 2 }), null);
  });
});
