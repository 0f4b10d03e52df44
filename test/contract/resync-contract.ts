/** The lease and the progress of a member's resync. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { A11, B11, type ClusterKit, epoch, type WithCatalog } from './cluster-kit.ts';

async function startResync(k: ClusterKit, id: string) {
  await k.changed(id, 'failed-over', { mayReturn: true });
  return (await k.changed(id, 'resyncing')).epoch;
}

export function resyncContract(fresh: WithCatalog): void {
  const lease = { member: A11, owner: 'gateway-1', leaseMs: 60_000 };

  describe('a resync', () => {
    it(
      'is driven by one gateway at a time, and goes on with another',
      fresh(async (k, catalog) => {
        const at = await startResync(k, A11);
        const taken = await catalog.leaseResync({ ...lease, epoch: at });
        assert.partialDeepStrictEqual(taken!, {
          ...{ member: A11, epoch: at, phase: 'tombstones', owner: 'gateway-1', toPull: 0, pulledBytes: 0 },
        });
        const other = { ...lease, epoch: at, owner: 'gateway-2' };
        assert.equal(await catalog.leaseResync(other, { phase: 'audit' }), null);
        const progress = { phase: 'pull', comparedRanges: 3, toPull: 20, pulledBlobs: 4 } as const;
        await catalog.leaseResync({ ...lease, epoch: at }, { ...progress, pulledBytes: 5e12 });
        const given = await catalog.leaseResync(
          { ...lease, epoch: at, leaseMs: 0 },
          { pulledBlobs: 5, removedBlobs: 6, lag: 7, lastError: 'a node said "no"' },
        );
        const expected = { ...progress, pulledBytes: 5e12, pulledBlobs: 5, removedBlobs: 6, lag: 7 };
        assert.partialDeepStrictEqual(given!, { ...expected, lastError: 'a node said "no"' });
        const taking = await catalog.leaseResync(other);
        assert.partialDeepStrictEqual(taking!, { ...expected, owner: 'gateway-2' });
        assert.equal(await catalog.leaseResync({ ...lease, epoch: at }), null);
        assert.deepEqual(await catalog.listResyncs(), [taking]);
      }),
    );

    it(
      'goes to one of many that want it',
      fresh(async (k, catalog) => {
        const at = await startResync(k, A11);
        const owners = Array.from({ length: 6 }, (_, i) => `gateway-${i}`);
        const taken = await Promise.all(
          owners.map((owner) => catalog.leaseResync({ ...lease, epoch: at, owner })),
        );
        assert.equal(taken.filter((row) => row !== null).length, 1);
      }),
    );

    it(
      'is void under another epoch, and begins anew under the next',
      fresh(async (k, catalog) => {
        const at = await startResync(k, A11);
        await catalog.leaseResync({ ...lease, epoch: at }, { pulledBlobs: 9, lastError: 'x' });
        assert.equal(await catalog.leaseResync({ ...lease, epoch: epoch(at - 1) }), null);
        assert.equal(await catalog.leaseResync({ ...lease, epoch: epoch(at + 1) }), null);
        await k.changed(A11, 'failed-over', { mayReturn: true, why: 'gone again' });
        assert.equal(await catalog.leaseResync({ ...lease, epoch: at }, { pulledBlobs: 10 }), null);
        const [failed] = await catalog.listResyncs();
        assert.partialDeepStrictEqual(failed!, { phase: 'failed', pulledBlobs: 9, lastError: 'gone again' });
        const { epoch: next } = await k.changed(A11, 'resyncing');
        const anew = await catalog.leaseResync({ ...lease, epoch: next, owner: 'gateway-2' });
        assert.partialDeepStrictEqual(anew!, { phase: 'tombstones', pulledBlobs: 0, epoch: next });
        assert.equal(anew!.lastError, undefined);
        assert.equal(await catalog.leaseResync({ ...lease, epoch: at }, { phase: 'done' }), null);
      }),
    );

    it(
      'is done when the member serves; its owner may still say how it went',
      fresh(async (k, catalog) => {
        const at = await startResync(k, B11);
        const mine = { ...lease, member: B11, epoch: at };
        await catalog.leaseResync(mine, { phase: 'audit' });
        await k.changed(B11, 'serving');
        assert.equal((await catalog.listResyncs())[0]?.phase, 'done');
        const told = await catalog.leaseResync(mine, { phase: 'done', pulledBlobs: 3 });
        assert.partialDeepStrictEqual(told!, { phase: 'done', pulledBlobs: 3 });
        const other = { ...mine, owner: 'gateway-2' };
        assert.equal(await catalog.leaseResync(other, { phase: 'failed' }), null);
        assert.equal(await catalog.leaseResync(mine, { phase: 'pull' }), null);
      }),
    );
  });
}
