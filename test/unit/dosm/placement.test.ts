/** Weighted rendezvous hashing: fixed for ever, fair by weight, and moving only what must move. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PairId } from '../../../src/base/ids.ts';
import { type Placement, placementText, rankPairs, unitHash } from '../../../src/dosm/placement.ts';

const KEYS = 20_000;
const pairsOf = (...weights: number[]) =>
  weights.map((weight, index) => ({ id: `node/${11 + index}` as PairId, weight }));
const objectAt = (index: number): Placement => ({ kind: 'object', bucket: 'bucket', key: `key/${index}` });
const firstChoices = (pairs: { id: PairId; weight: number }[]): PairId[] =>
  Array.from({ length: KEYS }, (_, index) => rankPairs(pairs, objectAt(index))[0]!);

test('the order is part of the format: these never change', () => {
  const pairs = pairsOf(1, 1, 2, 0.5);
  const order = (placement: Placement) => rankPairs(pairs, placement).join(' ');
  assert.equal(unitHash('node/11' as PairId, 'x'), 0.025375881942679368);
  assert.equal(order({ kind: 'object', bucket: 'b', key: 'k' }), 'node/13 node/11 node/12 node/14');
  assert.equal(order({ kind: 'part', uploadId: 'u', partNumber: 7 }), 'node/12 node/13 node/14 node/11');
});

test('every pair that takes new blobs stands in the order once; the order of the input does not matter', () => {
  const pairs = pairsOf(1, 0, 2, 3);
  for (let index = 0; index < 100; index += 1) {
    const ranked = rankPairs(pairs, objectAt(index));
    assert.deepEqual([...ranked].sort(), ['node/11', 'node/13', 'node/14']);
    assert.deepEqual(rankPairs(pairs.toReversed(), objectAt(index)), ranked);
  }
  assert.deepEqual(rankPairs(pairsOf(0, 0), objectAt(1)), []);
});

test('shares follow the weights', () => {
  const weights = [1, 1, 2, 4];
  const chosen = firstChoices(pairsOf(...weights));
  for (const [index, weight] of weights.entries()) {
    const expected = (KEYS * weight) / 8;
    const got = chosen.filter((pair) => pair === `node/${11 + index}`).length;
    assert(Math.abs(got - expected) < 5 * Math.sqrt(expected), `${got} for ${expected}`);
  }
});

test('a new pair takes its share and moves nothing else; a removed one scatters only its own', () => {
  const before = firstChoices(pairsOf(1, 1, 1));
  const after = firstChoices(pairsOf(1, 1, 1, 1));
  const moved = after.filter((pair, index) => pair !== before[index]);
  assert(moved.every((pair) => pair === 'node/14'));
  assert(Math.abs(moved.length - KEYS / 4) < 5 * Math.sqrt(KEYS / 4));
});

test('the next choice of a key whose pair is gone is the second of its order', () => {
  const pairs = pairsOf(1, 2, 3);
  for (let index = 0; index < 200; index += 1) {
    const [first, second] = rankPairs(pairs, objectAt(index));
    assert.equal(
      rankPairs(
        pairs.filter(({ id }) => id !== first),
        objectAt(index),
      )[0],
      second,
    );
  }
});

test('parts of one upload spread over the pairs', () => {
  const pairs = pairsOf(1, 1, 1, 1);
  const chosen = new Set(
    Array.from({ length: 40 }, (_, index) =>
      rankPairs(pairs, { kind: 'part', uploadId: 'u', partNumber: index + 1 }).at(0),
    ),
  );
  assert.equal(chosen.size, 4);
});

test('placement texts are unambiguous', () => {
  const texts = [
    placementText({ kind: 'object', bucket: 'a', key: 'b\0c' }),
    placementText({ kind: 'object', bucket: 'ab', key: 'c' }),
    placementText({ kind: 'object', bucket: 'a', key: 'bc' }),
    placementText({ kind: 'part', uploadId: 'a', partNumber: 1 }),
  ];
  assert.equal(new Set(texts).size, texts.length);
});
