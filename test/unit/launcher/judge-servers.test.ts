/** Who of two servers that others run is trusted, and what `status` shows of them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MemberId, PairId } from '../../../src/base/ids.ts';
import {
  choosePrimary,
  describeServers,
  type KnownServer,
  type ServerWord,
} from '../../../src/launcher/judge-servers.ts';

const A = 'directory-a5' as MemberId;
const B = 'directory-b5' as MemberId;
const PAIR = { id: 'directory/5' as PairId, members: [A, B] as const };
const NOW = 1_000;

const leader = (timeline: number, until = NOW + 500): ServerWord => ({
  claim: { timeline, until },
  follows: false,
  problem: null,
});
const standby: ServerWord = { claim: null, follows: true, problem: null };
const silent: ServerWord = { claim: null, follows: false, problem: 'no answer' };
const words = (a: ServerWord, b: ServerWord) =>
  new Map([
    [A, a],
    [B, b],
  ]);
const chosen = (a: ServerWord, b: ServerWord, known: KnownServer | null = null) =>
  choosePrimary(PAIR.members, words(a, b), known, NOW);
const primaryOf = (...args: Parameters<typeof chosen>) => chosen(...args).primary?.member ?? null;

describe('the primary among servers of others', () => {
  it('is the one that says so, until its claim ends', () => {
    assert.deepEqual(chosen(standby, leader(2)), { primary: { member: B, timeline: 2 }, until: NOW + 500 });
    assert.equal(primaryOf(leader(2, NOW), standby), null);
  });
  it('is the one of the later timeline, when an old one still says so', () => {
    assert.equal(primaryOf(leader(2), leader(3)), B);
  });
  it('is nobody when two say so of one timeline', () => {
    const { primary, ...rest } = chosen(leader(2), leader(2));
    assert.equal(primary, null);
    assert.match((rest as { why: string }).why, /both servers/);
  });
  it('is none of an earlier timeline than was known, and of one timeline only one is', () => {
    const known = { member: B, timeline: 3 };
    assert.equal(primaryOf(leader(2), silent, known), null);
    assert.equal(primaryOf(leader(3), silent, known), null);
    assert.equal(primaryOf(leader(4), silent, known), A);
    assert.equal(primaryOf(silent, leader(3), known), B);
  });
});

describe('status of servers of others', () => {
  const shown = (a: ServerWord, b: ServerWord, known: KnownServer | null = null, single = false) =>
    describeServers(PAIR, words(a, b), chosen(a, b, known), known, single);
  it('is redundant with a primary and the standby that commits wait for', () => {
    const { directory, members } = shown(leader(2), standby);
    assert.equal(directory?.condition, 'redundant');
    assert.deepEqual(
      members.map((m) => m.condition),
      ['serving', 'serving'],
    );
  });
  it('is degraded without the standby, with its reason', () => {
    const { directory, members } = shown(leader(2), silent);
    assert.equal(directory?.condition, 'degraded');
    assert.equal(members[1]?.reason, 'no answer');
  });
  it('is lost when nobody is trusted any more', () => {
    const { directory, members } = shown(silent, standby, { member: A, timeline: 2 });
    assert.equal(directory?.condition, 'lost');
    assert.equal(directory?.primary, A);
    assert.ok(members.every((m) => m.condition === 'suspect'));
  });
  it('is degraded for ever with one server alone', () => {
    const alone = new Map([[A, leader(1)]]);
    const choice = choosePrimary(PAIR.members, alone, null, NOW);
    const { directory, members } = describeServers(PAIR, alone, choice, null, true);
    assert.equal(directory?.condition, 'degraded');
    assert.equal(directory?.synchronous, false);
    assert.equal(members[1]?.condition, 'failed-over');
    assert.match(members[1]?.reason ?? '', /kept once/);
  });
});
