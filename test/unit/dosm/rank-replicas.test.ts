/** The order in which replicas are asked. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MemberId } from '../../../src/base/ids.ts';
import { type Replica, rankReplicas } from '../../../src/dosm/rank-replicas.ts';

const replica = (member: string, center: string, more: Partial<Replica> = {}): Replica => ({
  member: member as MemberId,
  center,
  isOnMap: true,
  isAbsent: false,
  isSuspect: false,
  hasFailed: false,
  ...more,
});
const rank = (replicas: Replica[], center: string | null = 'a', spread = 0) =>
  rankReplicas(replicas, center, spread).join(' ');

test('own center first, whichever it is and whatever the spread', () => {
  const replicas = [replica('a1', 'a'), replica('b1', 'b')];
  for (const spread of [0, 1, 255]) {
    assert.equal(rank(replicas, 'a', spread), 'a1 b1');
    assert.equal(rank(replicas, 'b', spread), 'b1 a1');
  }
});

test('outside the centers the spread chooses, so that both share the load', () => {
  const replicas = [replica('a1', 'a'), replica('b1', 'b')];
  assert.deepEqual([rank(replicas, null, 0), rank(replicas, null, 1)], ['a1 b1', 'b1 a1']);
});

test('off the map after on the map, suspects after both, failed ones last', () => {
  const replicas = [
    replica('failed', 'a', { hasFailed: true }),
    replica('suspect', 'a', { isSuspect: true }),
    replica('off', 'a', { isOnMap: false }),
    replica('far', 'b'),
    replica('near', 'a'),
  ];
  assert.equal(rank(replicas), 'near far off suspect failed');
});

test('a suspect is asked before one that failed in this read', () => {
  const replicas = [replica('a1', 'a', { hasFailed: true }), replica('b1', 'b', { isSuspect: true })];
  assert.equal(rank(replicas), 'b1 a1');
});

test('nothing in, nothing out', () => {
  assert.deepEqual(rankReplicas([], 'a', 3), []);
});
