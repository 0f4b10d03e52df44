/** Who may stand in for whom, in which order, and what a write is planned onto: the pure decisions of failover. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { BlobId, MemberId, PairId } from '../../../src/base/ids.ts';
import { newBlobId } from '../../../src/base/ids.ts';
import { DURABILITIES } from '../../../src/ddm/catalog.ts';
import { handoffNodes, type NodeFacts, rankHandoffs, sideOf } from '../../../src/dosm/handoff.ts';
import { planWrite } from '../../../src/dosm/write-plan.ts';
import type { Pair } from '../../../src/twin/topology.ts';

const pairsOf = (count: number, weights: readonly number[] = []): Pair[] =>
  Array.from({ length: count }, (_, index) => ({
    id: `node/${11 + index}` as PairId,
    kind: 'node',
    members: [`node-a${11 + index}` as MemberId, `node-b${11 + index}` as MemberId],
    weight: weights[index] ?? 1,
  }));
const factsOf = (out: readonly string[], suspect: readonly string[] = []): NodeFacts => ({
  isServing: (member) => !out.includes(member),
  isSuspect: (member) => suspect.includes(member),
});
const blob = '00112233445566778899aabbccddeeff' as BlobId;
const targetsOf = (plan: ReturnType<typeof planWrite>) =>
  plan?.targets.map(({ home, member }) => (home === member ? member : `${member} for ${home}`)) ?? null;
const plan = (
  facts: NodeFacts,
  {
    count = 2,
    durability = 'two-copies',
  }: { count?: number; durability?: (typeof DURABILITIES)[number] } = {},
) => {
  const pairs = pairsOf(count);
  return planWrite(pairs[0]!, { pairs, facts, durability, blob });
};

test('handoff nodes are the others on the survivor’s side that serve, suspects at the end', () => {
  const pairs = pairsOf(5);
  const facts = factsOf(['node-b12'], ['node-b13']);
  const names = (survivor: string) =>
    handoffNodes(pairs, pairs[0]!, survivor as MemberId, facts).map(({ member }) => member);
  assert.deepEqual(names('node-b11'), ['node-b13', 'node-b14', 'node-b15']);
  const ranked = rankHandoffs(handoffNodes(pairs, pairs[0]!, 'node-b11' as MemberId, facts), blob);
  assert.deepEqual(ranked.at(-1), { member: 'node-b13', weight: 1, isSuspect: true });
  assert.deepEqual(names('node-a11'), ['node-a12', 'node-a13', 'node-a14', 'node-a15']);
  assert.deepEqual(names('node-b14'), ['node-b13', 'node-b15'], 'a handoff that survives alone');
  assert.deepEqual(names('node-c11'), []);
  assert.equal(sideOf(pairs, 'node-c11' as MemberId), null);
});

test('their order is fixed by the blob alone, spreads over blobs, and puts draining ones last', () => {
  const nodes = [1, 1, 2, 0].map((weight, index) => ({
    ...{ member: `node-b1${index}` as MemberId, weight, isSuspect: false },
  }));
  const first = new Map<string, number>();
  for (let index = 0; index < 4_000; index += 1) {
    const id = newBlobId();
    const ranked = rankHandoffs(nodes, id).map(({ member }) => member);
    const reversed = rankHandoffs([...nodes].reverse(), id).map(({ member }) => member);
    assert.deepEqual(reversed, ranked);
    assert.equal(ranked.at(-1), 'node-b13');
    first.set(ranked[0]!, (first.get(ranked[0]!) ?? 0) + 1);
  }
  assert(Math.abs(first.get('node-b10')! - 1_000) < 150, `${first.get('node-b10')}`);
  assert(Math.abs(first.get('node-b12')! - 2_000) < 200, `${first.get('node-b12')}`);
});

test('a whole pair takes both replicas, whatever the durability', () => {
  for (const durability of DURABILITIES)
    assert.deepEqual(targetsOf(plan(factsOf([]), { durability })), ['node-a11', 'node-b11']);
});

test('one member out or suspect: the other and a handoff on its side', () => {
  for (const facts of [factsOf(['node-a11']), factsOf([], ['node-a11'])]) {
    assert.deepEqual(targetsOf(plan(facts)), ['node-b11', 'node-b12 for node-a11']);
    assert.equal(plan(facts)!.isDoubtful, false);
  }
});

test('nobody to stand in: a suspect is tried at the end, a pair with a member out is passed over', () => {
  const suspect = plan(factsOf([], ['node-a11']), { count: 1 });
  assert.deepEqual(targetsOf(suspect), ['node-a11', 'node-b11']);
  assert(suspect!.isDoubtful);
  assert.equal(plan(factsOf(['node-a11']), { count: 1 }), null);
  assert.equal(plan(factsOf(['node-a11', 'node-b12'])), null);
  const suspects = plan(factsOf([], ['node-a11', 'node-b12']));
  assert.deepEqual(targetsOf(suspects), ['node-a11', 'node-b11'], 'a suspect twin before a suspect stranger');
  const last = plan(factsOf(['node-a11'], ['node-b12']));
  assert.deepEqual(targetsOf(last), ['node-b11', 'node-b12 for node-a11']);
  assert(suspects!.isDoubtful && last!.isDoubtful);
});

test('a survivor that is suspect is better than none, and tried last; a pair that is out takes nothing', () => {
  const doubtful = plan(factsOf(['node-a11'], ['node-b11']));
  assert.deepEqual(targetsOf(doubtful), ['node-b11', 'node-b12 for node-a11']);
  assert(doubtful!.isDoubtful);
  for (const durability of DURABILITIES)
    assert.equal(plan(factsOf(['node-a11', 'node-b11']), { durability }), null);
});

test('both-centers: both twins or none', () => {
  const durability = 'both-centers';
  assert.equal(plan(factsOf(['node-a11']), { durability }), null);
  const suspect = plan(factsOf([], ['node-a11']), { durability });
  assert.deepEqual(targetsOf(suspect), ['node-a11', 'node-b11']);
  assert(suspect!.isDoubtful);
});

test('one: whoever is trusted; the rest lags', () => {
  const durability = 'one';
  for (const facts of [factsOf(['node-a11']), factsOf([], ['node-a11'])]) {
    assert.deepEqual(targetsOf(plan(facts, { durability })), ['node-b11']);
    assert.deepEqual(plan(facts, { durability })!.lagging, ['node-a11']);
  }
});

test('whatever is out and suspect: a plan names each home once, two nodes at two-copies, and nobody who is out', () => {
  const members = pairsOf(4).flatMap((pair) => pair.members);
  fc.assert(
    fc.property(
      fc.subarray(members),
      fc.subarray(members),
      fc.constantFrom(...DURABILITIES),
      (out, suspect, durability) => {
        const pairs = pairsOf(4);
        const facts = factsOf(out, suspect);
        for (const pair of pairs) {
          const made = planWrite(pair, { pairs, facts, durability, blob });
          if (!made) continue;
          const nodes = made.targets.map(({ member }) => member);
          assert(nodes.every((member) => !out.includes(member)));
          assert.equal(new Set(nodes).size, nodes.length);
          assert.deepEqual(
            [...made.targets.map(({ home }) => home), ...made.lagging].sort(),
            [...pair.members].sort(),
          );
          if (durability === 'two-copies') assert.equal(nodes.length, 2);
          if (durability === 'both-centers') assert.deepEqual(nodes, pair.members);
          for (const { home, member } of made.targets)
            if (home !== member) {
              const survivor = pair.members.find((twin) => twin !== home)!;
              assert.equal(sideOf(pairs, member), sideOf(pairs, survivor));
              assert(!pair.members.includes(member));
              assert(made.isDoubtful || !suspect.includes(member));
            }
        }
      },
    ),
  );
});
