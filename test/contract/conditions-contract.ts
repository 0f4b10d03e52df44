/** Conditions of members and centers: transitions, epochs, compare-and-set, history, weights. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { A11, A12, B11, B12, clusterOf, epoch, member, P11, P12, type WithCatalog } from './cluster-kit.ts';
import { mustBeDone, reasonOf } from './contract-kit.ts';

const detailOf = (outcome: { readonly outcome: string; readonly detail?: string }) => outcome.detail ?? '';

export function conditionsContract(fresh: WithCatalog): void {
  describe('conditions', () => {
    it(
      'begin with everybody serving at the first epoch, and are registered once',
      fresh(async (k, catalog) => {
        const conditions = await catalog.readConditions();
        assert.equal(conditions.epoch, 1);
        assert.deepEqual([...conditions.centers.keys()].sort(), ['a', 'b']);
        assert.deepEqual(
          [...conditions.members.keys()].sort(),
          ['directory-a5', 'directory-b5', A11, A12, B11, B12].sort(),
        );
        assert.deepEqual(Object.fromEntries(conditions.pairEpochs), {
          'directory/5': 1,
          [P11]: 1,
          [P12]: 1,
        });
        const first = conditions.members.get(A11)!;
        assert.partialDeepStrictEqual(first, { state: 'serving', mayReturn: true, storeId: null });
        const failed = await k.changed(A11, 'failed-over');
        await Promise.all([
          catalog.registerTopology(clusterOf([11, 12, 13])),
          catalog.registerTopology(clusterOf([11, 12, 13])),
        ]);
        const after = await catalog.readConditions();
        assert.deepEqual(after.members.get(A11), failed.members.get(A11));
        assert.equal(after.epoch, failed.epoch);
        assert.equal(after.members.get(member('node-b13'))?.state, 'serving');
        assert.equal(after.pairEpochs.get('node/13' as never), 1);
        assert.equal(after.pairEpochs.get(P11), 2);
      }),
    );

    it(
      'go round: serving, failed-over, resyncing, serving, each with a new epoch of cluster and pair',
      fresh(async (k, catalog) => {
        const failed = await k.changed(A11, 'failed-over', { mayReturn: true, expectedEpoch: epoch(1) });
        assert.partialDeepStrictEqual(failed.members.get(A11)!, {
          ...{ state: 'failed-over', why: 'why failed-over', decidedBy: 'tester', mayReturn: true },
        });
        assert.deepEqual(await k.epochs(), [2, 2, 1]);
        await k.changed(A11, 'resyncing', { expectedEpoch: epoch(2) });
        const back = await k.changed(A11, 'serving', { expectedEpoch: epoch(3), storeId: 'disk-1' });
        assert.partialDeepStrictEqual(back.members.get(A11)!, { state: 'serving', storeId: 'disk-1' });
        assert.deepEqual(await k.epochs(), [4, 4, 1]);
        await k.changed(B12, 'failed-over');
        assert.deepEqual(await k.epochs(), [5, 4, 5]);
        const events = await catalog.conditionHistory({ max: 3 });
        assert.deepEqual(
          events.map((e) => [e.subject, e.state, e.epoch, e.why, e.decidedBy]),
          [
            [B12, 'failed-over', 5, 'why failed-over', 'tester'],
            [A11, 'serving', 4, 'why serving', 'tester'],
            [A11, 'resyncing', 3, 'why resyncing', 'tester'],
          ],
        );
        assert.ok(Math.abs(events[0]!.at.getTime() - Date.now()) < 60_000);
        const older = await catalog.conditionHistory({ max: 10, before: events[2]!.id });
        assert.deepEqual(
          older.map((e) => [e.subject, e.state]),
          [[A11, 'failed-over']],
        );
      }),
    );

    it(
      'change by no other way',
      fresh(async (k) => {
        for (const to of ['resyncing', 'serving'] as const) {
          const refused = await k.change(A11, to);
          assert.equal(reasonOf(refused), to === 'serving' ? 'done' : 'not-allowed');
        }
        await k.changed(A11, 'failed-over', { mayReturn: true });
        const early = await k.change(A11, 'serving');
        assert.equal(reasonOf(early), 'not-allowed');
        assert.match(detailOf(early), /node-a11 is failed-over/);
        await k.changed(A11, 'resyncing');
        await k.changed(A11, 'failed-over', { mayReturn: true });
        assert.equal(reasonOf(await k.change('node-a99', 'failed-over')), 'no-such-subject');
        assert.equal(reasonOf(await k.change('center z', 'failed-over')), 'no-such-subject');
        const directory = await k.change('directory-a5', 'failed-over');
        assert.equal(reasonOf(directory), 'not-allowed');
        assert.match(detailOf(directory), /directory-a5 is a directory/);
        assert.deepEqual(await k.epochs(), [4, 4, 1]);
      }),
    );

    it(
      'are done at once where they are so already, and raise nothing',
      fresh(async (k, catalog) => {
        const once = await k.changed(A11, 'failed-over', { mayReturn: true });
        const twice = await k.changed(A11, 'failed-over', { mayReturn: true, why: 'again' });
        assert.deepEqual(twice, once);
        assert.equal((await catalog.conditionHistory({ max: 10 })).length, 1);
      }),
    );

    it(
      'go to the one of two deciders that is faster',
      fresh(async (k) => {
        const outcomes = await Promise.all(
          ['gateway-1', 'gateway-2', 'gateway-3'].map((decidedBy) =>
            k.change(A11, 'failed-over', { expectedEpoch: epoch(1), decidedBy, mayReturn: true }),
          ),
        );
        assert.deepEqual(outcomes.map(reasonOf).sort(), ['done', 'stale-epoch', 'stale-epoch']);
        assert.deepEqual(await k.epochs(), [2, 2, 1]);
        // The twin's pair is the same: who has not heard of the one cannot fail over the other.
        const late = await k.change(B11, 'failed-over', { expectedEpoch: epoch(1) });
        assert.equal(reasonOf(late), 'stale-epoch');
      }),
    );

    it(
      'never take the twin of what does not serve, but by force',
      fresh(async (k) => {
        await k.changed(A11, 'failed-over', { mayReturn: true });
        const refused = await k.change(B11, 'failed-over');
        assert.equal(reasonOf(refused), 'twin-not-serving');
        assert.match(detailOf(refused), /node-a11.*failed-over/);
        await k.changed(A11, 'resyncing');
        assert.match(detailOf(await k.change(B11, 'failed-over')), /node-a11.*resyncing/);
        await k.changed(B11, 'failed-over', { force: true });
        assert.deepEqual(await k.states(), { [A11]: 'resyncing', [B11]: 'failed-over' });
      }),
    );

    it(
      'let both twins go by no race',
      fresh(async (k) => {
        const outcomes = await Promise.all([k.change(A11, 'failed-over'), k.change(B11, 'failed-over')]);
        assert.deepEqual(outcomes.map(reasonOf).sort(), ['done', 'twin-not-serving']);
      }),
    );

    it(
      'that an operator entered wait for leave, and an operator can hold what detection entered',
      fresh(async (k, catalog) => {
        await k.changed(A11, 'failed-over');
        const refused = await k.change(A11, 'resyncing');
        assert.equal(reasonOf(refused), 'not-allowed');
        assert.match(detailOf(refused), /leave/);
        // Detection's word does not free it.
        await k.changed(A11, 'failed-over', { mayReturn: true });
        assert.equal(reasonOf(await k.change(A11, 'resyncing')), 'not-allowed');
        const subject = { kind: 'member', member: A11 } as const;
        const freed = mustBeDone(await catalog.allowReturn(subject, 'operator'));
        assert.equal(freed.members.get(A11)?.mayReturn, true);
        assert.deepEqual(await k.epochs(), [2, 2, 1]);
        const held = await k.changed(A11, 'failed-over', { why: 'disk swap', decidedBy: 'operator' });
        assert.partialDeepStrictEqual(held.members.get(A11)!, { mayReturn: false, why: 'disk swap' });
        assert.deepEqual(await k.epochs(), [2, 2, 1]);
        mustBeDone(await catalog.allowReturn(subject, 'operator'));
        mustBeDone(await catalog.allowReturn(subject, 'operator'));
        assert.deepEqual(
          (await catalog.conditionHistory({ max: 10 })).map((e) => [e.why, e.decidedBy]),
          [
            ...[
              ['may return', 'operator'],
              ['disk swap', 'operator'],
              ['may return', 'operator'],
            ],
            ['why failed-over', 'tester'],
          ],
        );
        await k.changed(A11, 'resyncing');
        const nobody = { kind: 'member', member: member('node-x1') } as const;
        assert.equal(reasonOf(await catalog.allowReturn(nobody, 'operator')), 'no-such-subject');
      }),
    );

    centersContract(fresh);

    it(
      'remember the data folder that serves',
      fresh(async (k, catalog) => {
        assert.equal(await catalog.adoptStore(A11, 'disk-1'), 'disk-1');
        assert.equal(await catalog.adoptStore(A11, 'disk-2'), 'disk-1');
        await k.changed(B12, 'failed-over', { mayReturn: true });
        assert.equal(await catalog.adoptStore(B12, 'disk-3'), null);
        assert.equal(await catalog.adoptStore(member('node-x1'), 'disk-4'), null);
        await k.changed(B12, 'resyncing', { storeId: 'disk-5' });
        assert.equal(await catalog.adoptStore(B12, 'disk-5'), null);
        await k.changed(B12, 'serving', { storeId: 'disk-6' });
        assert.equal(await catalog.adoptStore(B12, 'disk-7'), 'disk-6');
      }),
    );

    it(
      'keep weights that were set, and take the others from the configuration',
      fresh(async (_, catalog) => {
        assert.deepEqual(Object.fromEntries(await catalog.pairWeights()), { [P11]: 1, [P12]: 1 });
        assert.equal(reasonOf(await catalog.setPairWeight('node/99' as never, 2)), 'no-such-pair');
        assert.equal(reasonOf(await catalog.setPairWeight('directory/5' as never, 2)), 'no-such-pair');
        mustBeDone(await catalog.setPairWeight(P11, 0));
        await catalog.registerTopology(clusterOf([11, 12], 3));
        assert.deepEqual(Object.fromEntries(await catalog.pairWeights()), { [P11]: 0, [P12]: 3 });
        for (const weight of [-1, Number.NaN, Number.POSITIVE_INFINITY])
          await assert.rejects(catalog.setPairWeight(P11, weight), RangeError);
      }),
    );

    it(
      'name every pair of nodes that any gateway has registered, with its weight and its members',
      fresh(async (_, catalog) => {
        const memberAt = (center: 'a' | 'b', host: number) => ({
          ...{ id: member(`node-${center}${host}`), center },
          ...{ address: `10.${center === 'a' ? 1 : 2}.0.${host}`, port: 7100 },
        });
        const pairAt = (host: number, weight: number) => ({
          ...{ id: `node/${host}`, weight, members: [memberAt('a', host), memberAt('b', host)] },
        });
        assert.deepEqual(await catalog.knownPairs(), [pairAt(11, 1), pairAt(12, 1)]);
        await catalog.registerTopology(clusterOf([11, 12, 13], 2));
        mustBeDone(await catalog.setPairWeight(P12, 0));
        // A gateway that has not heard of the third one, and starts again.
        await catalog.registerTopology(clusterOf());
        const known = await catalog.knownPairs();
        assert.deepEqual(
          known.map(({ id, weight }) => [id, weight]),
          [
            ['node/11', 1],
            ['node/12', 0],
            ['node/13', 2],
          ],
        );
        assert.deepEqual(known[2], pairAt(13, 2));
      }),
    );
  });
}

function centersContract(fresh: WithCatalog): void {
  it(
    'of a center take all of its nodes, in one change, and end with the last that serves',
    fresh(async (k, catalog) => {
      await k.changed(A12, 'failed-over', { mayReturn: true });
      const stale = await k.change('center a', 'failed-over', { expectedEpoch: epoch(1) });
      assert.equal(reasonOf(stale), 'stale-epoch');
      await k.changed('center a', 'failed-over', { mayReturn: true, expectedEpoch: epoch(2) });
      const out = { [A11]: 'failed-over', [A12]: 'failed-over' };
      assert.deepEqual(await k.states(), { ...out, 'center a': 'failed-over' });
      assert.deepEqual(await k.epochs(), [3, 3, 2]);
      assert.deepEqual((await catalog.conditionHistory({ max: 2 })).map((e) => [e.subject, e.epoch]).sort(), [
        ['center a', 3],
        [A11, 3],
      ]);
      await k.changed('center a', 'failed-over', { mayReturn: true });
      assert.deepEqual(await k.epochs(), [3, 3, 2]);
      for (const to of ['resyncing', 'serving'] as const)
        assert.equal(reasonOf(await k.change('center a', to)), 'not-allowed');
      await k.changed(A11, 'resyncing');
      await k.changed(A11, 'serving');
      assert.deepEqual(await k.states(), { [A12]: 'failed-over', 'center a': 'failed-over' });
      await k.changed(A12, 'resyncing');
      await k.changed(A12, 'serving');
      assert.deepEqual(await k.states(), {});
      assert.deepEqual(
        (await catalog.conditionHistory({ max: 1 })).map((e) => [e.subject, e.state, e.epoch]),
        [['center a', 'serving', 7]],
      );
    }),
  );

  it(
    'of a center take none of its nodes where one twin does not serve',
    fresh(async (k) => {
      await k.changed(B12, 'failed-over');
      const refused = await k.change('center a', 'failed-over');
      assert.equal(reasonOf(refused), 'twin-not-serving');
      assert.match(detailOf(refused), /node-b12.*node-a12/);
      assert.deepEqual(await k.states(), { [B12]: 'failed-over' });
      assert.deepEqual(await k.epochs(), [2, 1, 2]);
      await k.changed('center a', 'failed-over', { force: true });
      assert.equal((await k.states())[A12], 'failed-over');
    }),
  );

  it(
    'of an only center never take both twins at once',
    fresh(async (k, catalog) => {
      const members = [1, 2].map((net) => ({
        ...{ kind: 'node' as const, address: `10.${net}.0.21`, port: 7100, id: `node-c${net}` },
      }));
      const twins = [{ name: '21', members: ['node-c1', 'node-c2'] as const }];
      const { buildTopology } = await import('../../src/twin/load.ts');
      const centers = [{ name: 'c', subnets: ['10.1.0.0/24', '10.2.0.0/24'] }];
      const config = { centers, members: members.map((m) => ({ ...m, center: 'c' })), twins };
      await catalog.registerTopology(buildTopology(config));
      const refused = await k.change('center c', 'failed-over');
      assert.equal(reasonOf(refused), 'twin-not-serving');
      assert.match(detailOf(refused), /node-c2, the twin of node-c1/);
    }),
  );

  it(
    'of a center that an operator enters also hold members that detection had entered',
    fresh(async (k, catalog) => {
      await k.changed(A11, 'failed-over', { mayReturn: true });
      await k.changed('center a', 'failed-over');
      assert.equal(reasonOf(await k.change(A11, 'resyncing')), 'not-allowed');
      mustBeDone(await catalog.allowReturn({ kind: 'center', center: 'a' }, 'operator'));
      for (const id of [A11, A12]) await k.changed(id, 'resyncing');
    }),
  );

  it(
    'of a center are said also when each of its nodes had failed over by itself',
    fresh(async (k) => {
      for (const id of [A11, A12]) await k.changed(id, 'failed-over');
      await k.changed('center a', 'failed-over');
      assert.equal((await k.states())['center a'], 'failed-over');
      assert.deepEqual(await k.epochs(), [4, 2, 3]);
    }),
  );
}
