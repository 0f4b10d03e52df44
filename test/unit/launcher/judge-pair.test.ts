/** What is done about a directory pair, from what is seen of it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { judgePair, type PairSight } from '../../../src/launcher/judge-pair.ts';

const level = { state: 'streaming', flushed: 1_000, replayed: 1_000, slot: 'reserved', synchronous: true };
const running = { state: 'running', since: 0, aliveAt: 100_000 } as const;
const well: PairSight = {
  now: 100_000,
  deadlineMs: 5_000,
  twinIn: true,
  mayReturn: true,
  primary: running,
  twin: running,
  replication: level,
  twinMovedAt: 100_000,
};
const judge = (changes: Partial<PairSight>) => judgePair({ ...well, ...changes });
const silent = { state: 'running', since: 0, aliveAt: 94_000 } as const;
const down = { state: 'down', since: 99_999, aliveAt: 0 } as const;
const starting = (since: number) => ({ state: 'starting', since, aliveAt: since }) as const;

describe('a pair whose twin is waited for', () => {
  it('is left alone while both are well', () => {
    assert.deepEqual(judge({}), { kind: 'none' });
  });
  it('loses its twin as soon as that has ended', () => {
    assert.equal(judge({ twin: down }).kind, 'leave-twin-out');
  });
  it('loses a twin that no longer answers, after the deadline and not before', () => {
    assert.equal(judge({ twin: { ...running, aliveAt: 95_001 } }).kind, 'none');
    assert.equal(judge({ twin: silent }).kind, 'leave-twin-out');
  });
  it('loses a twin that answers and makes no progress', () => {
    assert.equal(judge({ twinMovedAt: 94_000 }).kind, 'leave-twin-out');
  });
  it('does not blame the twin while the primary is silent', () => {
    const step = judge({ primary: silent, twin: silent, twinMovedAt: 0 });
    assert.equal(step.kind, 'restart-primary');
  });
  it('decides nothing about the twin while the primary is on its way up', () => {
    assert.equal(judge({ primary: starting(99_000), twin: down, twinMovedAt: 0 }).kind, 'none');
  });
  it('gives a starting twin its time, and no more', () => {
    assert.equal(judge({ twin: starting(90_000), twinMovedAt: 0 }).kind, 'none');
    assert.equal(judge({ twin: starting(70_000) }).kind, 'leave-twin-out');
  });
});

describe('a pair whose primary is in trouble', () => {
  it('gets its twin promoted, when that is in and answers', () => {
    for (const primary of [down, silent, starting(30_000), { ...running, diskFull: true }])
      assert.equal(judge({ primary }).kind, 'promote-twin');
  });
  it('waits for a word of a twin that was silent for a moment', () => {
    assert.equal(judge({ primary: down, twin: { ...running, aliveAt: 97_000 } }).kind, 'none');
    assert.equal(judge({ primary: down, twin: silent }).kind, 'restart-primary');
  });
  it('gets it started again, when its twin is out or does not run', () => {
    for (const twinIn of [true, false])
      assert.equal(judge({ primary: down, twin: down, twinIn }).kind, 'restart-primary');
    assert.equal(judge({ primary: down, twinIn: false }).kind, 'restart-primary');
    assert.equal(judge({ primary: down, twin: starting(99_000) }).kind, 'restart-primary');
  });
  it('is left alone with a full disk when its twin is no better, or not level', () => {
    const primary = { ...running, diskFull: true };
    assert.equal(judge({ primary, twin: { ...running, diskFull: true } }).kind, 'none');
    assert.equal(judge({ primary, replication: { ...level, flushed: 10_000_000 } }).kind, 'none');
  });
  it('gives it its time to start', () => {
    assert.equal(judge({ primary: starting(50_000) }).kind, 'none');
    assert.equal(judge({ primary: starting(-100_000), twinIn: false }).kind, 'none');
    assert.equal(judge({ primary: starting(-210_000), twinIn: false }).kind, 'restart-primary');
  });
});

describe('a pair whose twin is left out', () => {
  const out = (changes: Partial<PairSight>) => judge({ twinIn: false, ...changes });
  it('takes it back when it streams and is level', () => {
    assert.equal(out({}).kind, 'return-twin');
  });
  it('does not take it back while its disk is full, or before leave', () => {
    assert.equal(out({ twin: { ...running, diskFull: true } }).kind, 'none');
    assert.equal(out({ mayReturn: false }).kind, 'none');
    assert.equal(out({ mayReturn: false, twin: down }).kind, 'none');
  });
  it('does not take it back while it lags', () => {
    assert.equal(out({ replication: { ...level, flushed: 10_000_000 } }).kind, 'none');
  });
  it('does not take it back while it only catches up', () => {
    assert.equal(out({ replication: { ...level, state: 'catchup' } }).kind, 'none');
  });
  it('starts it again when it is down', () => {
    assert.deepEqual(out({ twin: down }), { kind: 'restart-twin', reseed: false, why: 'it is down' });
  });
  it('seeds it anew when the primary no longer has its WAL', () => {
    const step = out({ replication: { ...level, state: null, replayed: null, slot: 'lost' } });
    assert.ok(step.kind === 'restart-twin' && step.reseed);
  });
  it('seeds it anew when it runs for long and does not stream', () => {
    const replication = { ...level, state: null, replayed: null };
    const step = out({ replication, twinMovedAt: 85_000 });
    assert.ok(step.kind === 'restart-twin' && step.reseed);
    assert.equal(out({ replication, twinMovedAt: 95_000 }).kind, 'none');
  });
});
