/** What reads find out, on its way to the catalog: once each, in batches, bounded, and never waited for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type MemberId, newBlobId, type PairId } from '../../../src/base/ids.ts';
import type { BlobRef, NewRepair } from '../../../src/ddm/catalog.ts';
import { Findings } from '../../../src/dosm/findings.ts';
import { VirtualClock } from '../../world/virtual-clock.ts';

const member = 'node-a11' as MemberId;
const blobs = (count: number): BlobRef[] =>
  Array.from({ length: count }, () => ({
    ...{ id: newBlobId(), size: 1, root: Buffer.alloc(32), pair: 'node/11' as PairId },
  }));

function rig(options: { queuedMax?: number } = {}) {
  const clock = new VirtualClock();
  const batches: (readonly NewRepair[])[] = [];
  const offMap: string[] = [];
  const catalog = {
    isAway: false,
    isStuck: false,
    async addRepairs(repairs: readonly NewRepair[]) {
      if (catalog.isStuck) await new Promise(() => {});
      if (catalog.isAway) throw new Error('away');
      batches.push(repairs);
    },
    async recordOffMap(blobId: string, holder: MemberId) {
      if (catalog.isAway) throw new Error('away');
      offMap.push(`${blobId} ${holder}`);
    },
  };
  const findings = new Findings({ catalog, clock, ...options });
  return { clock, batches, offMap, catalog, findings };
}

test('each finding goes once, in batches of at most a thousand', async () => {
  const { clock, batches, offMap, findings } = rig();
  const many = blobs(2_500);
  for (let round = 0; round < 3; round += 1)
    for (const blob of many) findings.onDamage({ blob, member, kind: 'missing' });
  findings.onFoundOffMap(many[0]!, 'node-b12' as MemberId);
  findings.onFoundOffMap(many[0]!, 'node-b12' as MemberId);
  assert.deepEqual([batches.length, offMap.length], [0, 0]);
  await clock.run(clock.sleep(5_000));
  assert.deepEqual(
    batches.map((batch) => batch.length),
    [1_000, 1_000, 500],
  );
  assert.deepEqual(batches[0]![0], { blobId: many[0]!.id, member, reason: 'missing', foundBy: 'read' });
  assert.deepEqual(offMap, [`${many[0]!.id} node-b12`]);
  assert.deepEqual(findings.counts, { sent: 2_501, dropped: 0 });
});

test('lost and corrupt overrule missing, and not the other way round', async () => {
  const { clock, batches, findings } = rig();
  const [first, second] = blobs(2);
  for (const kind of ['missing', 'lost', 'missing'] as const)
    findings.onDamage({ blob: first!, member, kind });
  for (const kind of ['corrupt', 'missing'] as const) findings.onDamage({ blob: second!, member, kind });
  await clock.run(clock.sleep(1_000));
  assert.deepEqual(
    batches.flat().map(({ reason }) => reason),
    ['lost', 'corrupt'],
  );
});

test('overflow and a directory that is away drop, and are counted', async () => {
  const { clock, batches, catalog, findings } = rig({ queuedMax: 5 });
  for (const blob of blobs(8)) findings.onDamage({ blob, member, kind: 'missing' });
  await clock.run(clock.sleep(1_000));
  assert.deepEqual([batches[0]!.length, findings.counts], [5, { sent: 5, dropped: 3 }]);
  catalog.isAway = true;
  findings.onDamage({ blob: blobs(1)[0]!, member, kind: 'missing' });
  findings.onFoundOffMap(blobs(1)[0]!, member);
  await clock.run(clock.sleep(1_000));
  assert.deepEqual(findings.counts, { sent: 5, dropped: 5 });
  catalog.isAway = false;
  findings.onDamage({ blob: blobs(1)[0]!, member, kind: 'missing' });
  await clock.run(clock.sleep(1_000));
  assert.equal(findings.counts.sent, 6);
});

test('close sends what is queued, takes no more, and is bounded', async () => {
  const { clock, batches, findings } = rig();
  findings.onDamage({ blob: blobs(1)[0]!, member, kind: 'missing' });
  await clock.run(findings.close(1_000));
  assert.deepEqual([batches.length, clock.monotonic()], [1, 0]);
  findings.onDamage({ blob: blobs(1)[0]!, member, kind: 'missing' });
  assert.equal(findings.counts.dropped, 1);
  const stuck = rig();
  stuck.catalog.isStuck = true;
  stuck.findings.onDamage({ blob: blobs(1)[0]!, member, kind: 'missing' });
  await stuck.clock.run(stuck.findings.close(1_000));
  assert.equal(stuck.clock.monotonic(), 1_000);
});
