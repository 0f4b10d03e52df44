/** Several directories where one of them was away, or names what another one names. */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { systemClock } from '../../../src/base/clock.ts';
import type { BucketId, PairId } from '../../../src/base/ids.ts';
import { CatalogUnavailable } from '../../../src/ddm/catalog.ts';
import { openCatalog } from '../../../src/ddm/postgres-catalog.ts';
import { A11, B11, ClusterKit, clusterOf, epoch } from '../../contract/cluster-kit.ts';
import { blobOf, Kit, mustBeDone, newName, OWNER, reasonOf } from '../../contract/contract-kit.ts';
import { locatorOfAll, quiet, ROOT } from '../../harness/catalog.ts';
import { stopSharedServer, testDatabase } from '../../harness/postgres.ts';

after(stopSharedServer);

const THERE = 'directory/6' as PairId;
const TIMEOUTS = { waitMs: 300 };

async function open() {
  const primaries = [(await testDatabase()).app, (await testDatabase()).app];
  const locator = locatorOfAll(primaries);
  const away = new Set<PairId>();
  const sight = { ...locator, primary: (pair: PairId) => (away.has(pair) ? null : locator.primary(pair)) };
  const gateway = () =>
    openCatalog({ root: ROOT, locator: sight, log: quiet, clock: systemClock, timeouts: TIMEOUTS });
  const catalogs = [await gateway(), await gateway()] as const;
  const bucketIn = async (pair: PairId): Promise<{ id: BucketId; name: string }> => {
    for (;;) {
      const b = { name: newName(), owner: OWNER, region: 'r', objectLock: false };
      const bucket = mustBeDone(await catalogs[0].createBucket(b));
      if (bucket.directory === pair) return bucket;
    }
  };
  return { catalogs, away, bucketIn, close: () => Promise.all(catalogs.map((catalog) => catalog.close())) };
}

describe('several directories', () => {
  it('take no commit under an epoch that passed while one of them was away', async () => {
    const { catalogs, away, bucketIn, close } = await open();
    const kits = catalogs.map((catalog) => new ClusterKit(catalog));
    await catalogs[0].registerTopology(clusterOf());
    const { id } = await bucketIn(THERE);
    const put = (gateway: 0 | 1, e: number) => {
      const blob = blobOf(3);
      const content = { kind: 'blob', blob, intentAt: Date.now(), epoch: epoch(e) } as const;
      return kits[gateway]!.tryPut(id, 'k', { content });
    };
    mustBeDone(await put(1, 1));
    away.add(THERE);
    await assert.rejects(put(1, 1), CatalogUnavailable);
    await kits[0]!.changed(A11, 'failed-over', { mayReturn: true });
    away.delete(THERE);
    // The other gateway has heard nothing, and nobody has told the directory.
    assert.equal(reasonOf(await put(1, 1)), 'stale-epoch');
    mustBeDone(await put(1, 2));
    assert.equal((await catalogs[1].readConditions()).members.get(B11)?.state, 'serving');
    await close();
  });

  it('drop bytes with the last directory that names them, and none while one is away', async () => {
    const { catalogs, away, bucketIn, close } = await open();
    const [catalog] = catalogs;
    const kit = new Kit(catalog);
    const [moving, staying] = [await bucketIn(ROOT), await bucketIn(ROOT)];
    const blob = blobOf(5);
    await kit.put(moving.id, 'k', { size: 5, content: { kind: 'blob', blob, intentAt: Date.now() } });
    const { content } = (await catalog.findVersion(moving.id, 'k'))!;
    await kit.put(staying.id, 'k', { size: 5, content: { kind: 'share', content } });
    mustBeDone(await catalog.startBucketMove({ name: moving.name, to: THERE, decidedBy: 'test' }));
    await catalog.carryOnBucketMoves({ owner: 'test', signal: new AbortController().signal });

    mustBeDone(await kit.delete(staying.id, 'k'));
    assert.deepEqual(await kit.dying(), new Set());
    assert.equal(await kit.known(blob), 1);
    mustBeDone(await kit.delete(moving.id, 'k'));
    away.add(ROOT);
    await assert.rejects(kit.dying(), CatalogUnavailable);
    away.delete(ROOT);
    // Taken in vain before: nobody else gets it for a minute.
    assert.equal(await kit.known(blob), 1);
    await close();
  });
});
