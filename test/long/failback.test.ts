/** The return of members and repair with real nodes, a real directory and the jobs of gateways. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { MemberId } from '../../src/base/ids.ts';
import { stopSharedServer } from '../harness/postgres.ts';
import { A11, B11, FailbackRig, type Gateway } from '../integration/dosm/failback-rig.ts';

after(stopSharedServer);

const KEYS = 16;
const sizeOf = (n: number) => [100, 5_000, 90_000, 700_000][n % 4]!;

async function fill(rig: FailbackRig, gateway: Gateway, prefix: string, count = KEYS): Promise<void> {
  for (let n = 0; n < count; n += 1) await rig.put(gateway, `${prefix}-${n}`, randomBytes(sizeOf(n)));
}
/** Deletes some, overwrites some, adds some, while a member is away. */
async function change(rig: FailbackRig, gateway: Gateway): Promise<void> {
  for (let n = 0; n < 4; n += 1) await rig.remove(`old-${n}`);
  for (let n = 4; n < 8; n += 1) await rig.put(gateway, `old-${n}`, randomBytes(sizeOf(n)));
  await fill(rig, gateway, 'new');
}
/** Until it serves, no data request has reached it. */
async function assertServesAfterSilence(rig: FailbackRig, member: MemberId): Promise<void> {
  const client = rig.clients.get(member)!;
  await rig.until(`${member} serves`, async () => {
    const { state, requests } = await client.status();
    if (state !== 'serving') assert.equal(requests, 0);
    return state === 'serving';
  });
}

test('a node that was away returns equal to its twin, and nothing waits; what was deleted stays deleted', async () => {
  await using rig = await FailbackRig.open();
  const gateway = rig.gateway('gateway-1');
  await fill(rig, gateway, 'old');
  await rig.away(A11);
  await change(rig, gateway);
  assert((await rig.catalog.countRepairs()).queued > 0);
  await rig.back(A11);
  await assertServesAfterSilence(rig, A11);
  await rig.assertWhole(gateway);
  for (let n = 0; n < 4; n += 1) assert.equal(await rig.get(gateway, `old-${n}`), null);
  const [resync] = await rig.catalog.listResyncs();
  assert.equal(resync?.phase, 'done');
  assert(resync.removedBlobs > 0 && resync.pulledBlobs > 0, JSON.stringify(resync));
});

test('an empty disk at the same address is filled', async () => {
  await using rig = await FailbackRig.open();
  const gateway = rig.gateway('gateway-1');
  await fill(rig, gateway, 'old');
  const before = (await rig.clients.get(A11)!.status()).storeId;
  await rig.away(A11);
  await change(rig, gateway);
  await rig.back(A11, { emptyDisk: true });
  await assertServesAfterSilence(rig, A11);
  await rig.assertWhole(gateway);
  const recorded = (await rig.catalog.readConditions()).members.get(A11)!.storeId;
  assert.notEqual(recorded, before);
  assert.equal(recorded, (await rig.clients.get(A11)!.status()).storeId);
});

test('its gateway is killed in the middle: another one takes over and ends it', async () => {
  await using rig = await FailbackRig.open();
  const slow = rig.gateway('gateway-1', { resyncBytesPerSecond: 60_000 });
  await fill(rig, slow, 'old');
  await rig.away(A11);
  await rig.back(A11, { emptyDisk: true });
  await rig.until('it pulls', async () =>
    (await rig.catalog.listResyncs()).some(({ phase, pulledBlobs }) => phase === 'pull' && pulledBlobs > 0),
  );
  await slow.kill();
  const second = rig.gateway('gateway-2');
  await rig.served(A11);
  const [resync] = await rig.catalog.listResyncs();
  assert.equal(resync?.owner, 'gateway-2');
  await rig.assertWhole(second);
});

test('its twin is killed in the middle: it stays out, and goes on when the twin is back', async () => {
  await using rig = await FailbackRig.open();
  const gateway = rig.gateway('gateway-1', { resyncBytesPerSecond: 60_000 });
  await fill(rig, gateway, 'old');
  await rig.away(A11);
  await rig.back(A11, { emptyDisk: true });
  await rig.until('it pulls', async () => (await rig.catalog.listResyncs()).some((r) => r.pulledBlobs > 0));
  await rig.nodes.get(B11)!.kill();
  await rig.until('it waits', async () =>
    (await rig.catalog.listResyncs()).some(({ lastError }) => lastError?.includes('node-b11') ?? false),
  );
  assert.equal(rig.stateOf(A11), 'resyncing');
  await rig.nodes.get(B11)!.start();
  await rig.tell(B11);
  await rig.served(A11);
  await rig.assertWhole(gateway);
});

test('a flipped byte is found by the scrub, listed, and copied anew', async () => {
  await using rig = await FailbackRig.open();
  const watching = rig.gateway('gateway-1', { repairMs: 3_600_000 });
  const blob = await rig.put(watching, 'key', randomBytes(700_000));
  const member = rig.topology.pairs.get(blob.pair)!.members[0];
  const file = await open(join(rig.folder, member, 'blobs', blob.id.slice(0, 2), blob.id), 'r+');
  await file.write(Buffer.from('wrong'), 0, 5, 300_000);
  await file.close();
  await rig.clients.get(member)!.scrub({ start: true, bytesPerSecondMax: 1_000_000_000 });
  await rig.until('it is listed', async () => (await rig.catalog.countRepairs()).queued === 1);
  const [repair] = await rig.catalog.listRepairs({ max: 1 });
  assert.deepEqual([repair?.member, repair?.reason, repair?.blob.id], [member, 'corrupt', blob.id]);
  await watching.kill();
  const gateway = rig.gateway('gateway-2');
  await rig.assertWhole(gateway);
  assert.deepEqual(await rig.clients.get(member)!.check([blob.id]), []);
});
