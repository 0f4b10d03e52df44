/** Reaping and reclaiming on real nodes: what a gateway that died in mid-write leaves behind goes away. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import pino from 'pino';
import { systemClock } from '../../../src/base/clock.ts';
import type { BlobId } from '../../../src/base/ids.ts';
import type { BlobRef } from '../../../src/ddm/catalog.ts';
import { startJobs } from '../../../src/jobs/start.ts';
import { type Rig, startRig } from '../dosm/fixture.ts';

const SOON_MS = 20_000;

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + SOON_MS;
  while (!(await isTrue())) {
    assert(Date.now() < end, 'it did not happen in time');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function startSmallJobs(rig: Rig, known: ReadonlySet<BlobId>, dying: Map<BlobId, BlobRef>) {
  return startJobs({
    catalog: {
      knownBlobs: async (ids) => new Set(ids.filter((id) => known.has(id))),
      takeDyingBlobs: async (max) => [...dying.values()].slice(0, max).map((blob) => ({ blob })),
      forgetBlobs: async (ids) => {
        for (const id of ids) dying.delete(id);
      },
    },
    clients: new Map([...rig.sites].map(([member, { client }]) => [member, client])),
    topology: rig.topology,
    clock: systemClock,
    random: Math.random,
    log: pino({ level: 'silent' }),
    intervals: { reapMs: 50, reclaimMs: 50, intentMs: 0, pendingGraceMs: 0, batch: 2 },
  });
}

const statesOf = (rig: Rig, blob: BlobRef) =>
  Promise.all(rig.holders(blob).map(async ({ client }) => (await client.stat(blob.id))?.state ?? 'gone'));

test('named blobs are confirmed, orphans and dying blobs go, and their bytes with them', async () => {
  await using rig = await startRig(1);
  const blobs: BlobRef[] = [];
  for (const size of [10, 100_000, 2_000_000, 20, 200_000, 3_000_000])
    blobs.push(await rig.write(randomBytes(size)));
  const named = blobs.slice(0, 3);
  const orphans = blobs.slice(3);
  const known = new Set(named.map((blob) => blob.id));
  const dying = new Map<BlobId, BlobRef>();
  const jobs = startSmallJobs(rig, known, dying);
  for (const blob of named) {
    await until(async () => (await statesOf(rig, blob)).every((state) => state === 'confirmed'));
  }
  for (const blob of orphans) {
    await until(async () => (await statesOf(rig, blob)).every((state) => state === 'gone'));
  }
  const [, away] = rig.holders(named[0]!);
  away.proxy.refuse();
  for (const blob of named) dying.set(blob.id, blob);
  await until(async () => jobs.progress().reclaim.postponed > 0);
  assert.equal(dying.size, named.length);
  away.proxy.heal();
  await until(async () => dying.size === 0);
  await jobs.close();
  for (const { client } of rig.sites.values()) {
    assert.deepEqual(await client.inventory({ max: 10 }), []);
    assert.equal((await client.status()).storedBytes, 0);
  }
});
