/** A topology that grows under those who hold it: what joins, what stays, what never goes. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { PairId } from '../../../src/base/ids.ts';
import { rankPairs } from '../../../src/dosm/placement.ts';
import { joinTopology, setWeights } from '../../../src/twin/live-topology.ts';
import { id, topologyOf } from './monitor-kit.ts';

const pair = (host: number) => `node/${host}` as PairId;

describe('joinTopology', () => {
  it('takes in pairs with their members, into the very maps that were handed around', () => {
    const topology = topologyOf([11]);
    const { members, pairs } = topology;
    const joined = joinTopology(topology, topologyOf([11, 12]));
    assert.deepEqual(
      joined.map((p) => p.id),
      [pair(12)],
    );
    assert.deepEqual(pairs.get(pair(12))?.members, [id('node-a12'), id('node-b12')]);
    assert.equal(members.get(id('node-a12'))?.twin, 'node-b12');
    assert.equal(members.get(id('node-b12'))?.center, 'b');
    assert.deepEqual(joinTopology(topology, topologyOf([11, 12])), []);
  });

  it('leaves what is there as it is, and lets nothing go', () => {
    const topology = topologyOf([11, 12]);
    setWeights(topology, new Map([[pair(11), 0]]));
    const [member, own] = [topology.members.get(id('node-a11')), topology.pairs.get(pair(11))];
    joinTopology(topology, topologyOf([11, 13]));
    assert.equal(topology.members.get(id('node-a11')), member);
    assert.equal(topology.pairs.get(pair(11)), own);
    assert.deepEqual([...topology.pairs.keys()], [pair(11), pair(12), pair(13)]);
  });

  it('never shows a pair whose members are not there', () => {
    const topology = topologyOf([11]);
    const pairs = topology.pairs as Map<PairId, unknown>;
    const set = pairs.set.bind(pairs);
    pairs.set = (key, value) => {
      for (const member of (value as { members: readonly string[] }).members)
        assert(topology.members.has(id(member)), `${member} is not there`);
      return set(key, value);
    };
    assert.equal(joinTopology(topology, topologyOf([11, 12])).length, 1);
  });
});

describe('setWeights', () => {
  it('says whether anything changed, and knows nothing of pairs that have not joined', () => {
    const topology = topologyOf([11, 12]);
    assert.equal(setWeights(topology, new Map([[pair(11), 1]])), false);
    assert.equal(setWeights(topology, new Map([[pair(99), 5]])), false);
    assert.equal(setWeights(topology, new Map([[pair(11), 0]])), true);
    assert.equal(topology.pairs.has(pair(99)), false);
    const ranked = rankPairs([...topology.pairs.values()], { kind: 'object', bucket: 'b', key: 'k' });
    assert.deepEqual(ranked, [pair(12)], 'a pair of weight 0 takes no new blobs');
  });
});
