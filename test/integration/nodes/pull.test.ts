/** Blobs copied node to node: verified, whole or not at all, from whichever source has them. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type Epoch, type MemberId, newBlobId } from '../../../src/base/ids.ts';
import { LIMITS } from '../../../src/base/limits.ts';
import { NodeError, type PullRequest, type WriteIntent } from '../../../src/nodes/protocol.ts';
import {
  clientTo,
  HOST,
  intentOf,
  nodeAndClient,
  type Running,
  randomBlob,
  readBlob,
  SHORT,
  type TestBlob,
  writeBlob,
} from './fixture.ts';

const SOURCE = 'node-b11' as MemberId;
const OTHER = 'node-b12' as MemberId;

const another = (member: MemberId): Promise<Running> =>
  nodeAndClient({ node: { member }, client: { member } });
const endpoint = (member: MemberId, running: Pick<Running, 'node'>) => ({
  member,
  address: HOST,
  port: running.node.port,
});
const wanted = (
  blob: TestBlob,
  more: Partial<PullRequest['blobs'][number]> = {},
): PullRequest['blobs'][number] => ({
  id: blob.id,
  size: blob.size,
  root: blob.root,
  state: 'confirmed',
  intent: intentOf(),
  ...more,
});
async function flip(running: Running, blob: TestBlob, position: number): Promise<void> {
  const file = await open(join(running.folder, 'blobs', blob.id.slice(0, 2), blob.id), 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, position);
  byte[0]! ^= 1;
  await file.write(byte, 0, 1, position);
  await file.close();
}
const kept = async (running: Running): Promise<string[]> => readdir(join(running.folder, 'tmp'));

describe('a pull', () => {
  it('copies blobs of every size, with the state and the intent that it is told', async () => {
    await using source = await another(SOURCE);
    await using target = await nodeAndClient({ node: { admitAtStart: false } });
    const { chunkBytes, smallBlobBytesMax } = LIMITS;
    const sizes = [1, smallBlobBytesMax, smallBlobBytesMax + 1, chunkBytes, chunkBytes + 1, 5_000_000];
    const blobs = sizes.map(randomBlob);
    for (const blob of blobs) await writeBlob(source.client, blob);
    const intents = blobs.map((_, i): WriteIntent => {
      const key = `ключ "handoffFor" ${i}`;
      return i % 2 ? { ...intentOf(key), handoffFor: 'node-a12' as MemberId } : intentOf(key);
    });
    const results = await target.client.pull({
      sources: [endpoint(SOURCE, source)],
      blobs: blobs.map((blob, i) =>
        wanted(blob, { intent: intents[i]!, state: i < 3 ? 'pending' : 'confirmed' }),
      ),
    });
    assert.deepEqual(
      results,
      blobs.map(({ id }) => ({ id, outcome: 'pulled' })),
    );
    for (const [i, blob] of blobs.entries()) {
      const entry = await target.client.stat(blob.id);
      assert.deepEqual(entry?.intent, intents[i]);
      assert.equal(entry?.state, i < 3 ? 'pending' : 'confirmed');
    }
    assert.equal((await source.client.status()).requests, blobs.length, 'copies are no data requests');
    await target.client.setCondition({ state: 'serving', epoch: 1 as Epoch });
    for (const blob of blobs) assert.ok((await readBlob(target.client, blob)).equals(blob.bytes));
    assert.deepEqual(await kept(target), []);
  });

  it('says what it had, confirms it where asked, and takes a handoff home', async () => {
    await using source = await another(SOURCE);
    await using target = await nodeAndClient();
    const [plain, handoff] = [randomBlob(10), randomBlob(100_000)];
    await writeBlob(target.client, plain);
    await writeBlob(target.client, handoff, { ...intentOf(), handoffFor: SOURCE });
    const ids = async (scope: 'home' | 'handoff') =>
      (await target.client.inventory({ max: 10, scope })).map(({ id }) => id);
    assert.deepEqual([await ids('home'), await ids('handoff')], [[plain.id], [handoff.id]]);
    const request = { sources: [endpoint(SOURCE, source)], blobs: [wanted(plain), wanted(handoff)] };
    for (let round = 0; round < 2; round += 1) {
      const results = await target.client.pull(request);
      assert.deepEqual(
        results.map(({ outcome }) => outcome),
        ['had', 'had'],
      );
      assert.equal((await target.client.stat(plain.id))?.state, 'confirmed');
      assert.deepEqual(await ids('home'), [plain.id, handoff.id].sort());
      assert.deepEqual(await ids('handoff'), []);
    }
  });

  it('goes on to the next source: dead, without the blob, corrupt, another secret', async () => {
    await using good = await another(SOURCE);
    await using bad = await another(OTHER);
    await using stranger = await nodeAndClient({
      node: { member: 'node-b13' as MemberId, secret: Buffer.alloc(32, 9) },
    });
    await using target = await nodeAndClient();
    const dead = { member: 'node-b14' as MemberId, address: HOST, port: 1 };
    const blobs = [randomBlob(3 * LIMITS.chunkBytes), randomBlob(100_000)];
    for (const blob of blobs) {
      await writeBlob(good.client, blob);
      await writeBlob(bad.client, blob);
      await flip(bad, blob, blob.size - 1);
    }
    const only = randomBlob(5);
    await writeBlob(good.client, only);
    const results = await target.client.pull({
      sources: [
        dead,
        endpoint('node-b13' as MemberId, stranger),
        endpoint(OTHER, bad),
        endpoint(SOURCE, good),
      ],
      blobs: [...blobs, only].map((blob) => wanted(blob)),
    });
    assert.deepEqual(
      results.map(({ outcome }) => outcome),
      ['pulled', 'pulled', 'pulled'],
    );
    for (const blob of [...blobs, only]) assert.ok((await readBlob(target.client, blob)).equals(blob.bytes));
  });

  it('fails with the last reason, and leaves nothing: no source alive, none with the blob, all corrupt', async () => {
    await using bad = await another(OTHER);
    await using target = await nodeAndClient();
    const dead = { member: SOURCE, address: HOST, port: 1 };
    const rotten = randomBlob(3 * LIMITS.chunkBytes);
    await writeBlob(bad.client, rotten);
    await flip(bad, rotten, 2 * LIMITS.chunkBytes + 5);
    const kindOf = async (sources: PullRequest['sources'], blob: TestBlob) => {
      const [result] = await target.client.pull({ sources, blobs: [wanted(blob)] });
      assert.equal(result?.outcome, 'failed');
      assert.equal(await target.client.stat(blob.id), null);
      return result.kind;
    };
    assert.equal(await kindOf([dead], rotten), 'unreachable');
    assert.equal(await kindOf([dead, endpoint(OTHER, bad)], rotten), 'corrupt');
    assert.equal(await kindOf([endpoint(OTHER, bad)], randomBlob(10)), 'not-found');
    assert.equal(await kindOf([endpoint(OTHER, bad)], { ...rotten, root: randomBytes(32) }), 'corrupt');
    assert.equal(await kindOf([], rotten), undefined);
    assert.deepEqual(await kept(target), []);
    assert.deepEqual(await target.client.inventory({ max: 10 }), []);
  });

  it('is a conflict where the id stands for other bytes, doubted or not', async () => {
    await using source = await another(SOURCE);
    await using target = await nodeAndClient();
    for (const size of [100, 100_000]) {
      const mine = randomBlob(size);
      const theirs = { ...randomBlob(size), id: mine.id };
      await writeBlob(target.client, mine);
      await writeBlob(source.client, theirs);
      for (const replace of [false, true]) {
        const [result] = await target.client.pull({
          sources: [endpoint(SOURCE, source)],
          blobs: [wanted(theirs, { replace })],
        });
        assert.equal(result?.kind, 'conflict');
      }
      assert.ok((await readBlob(target.client, mine)).equals(mine.bytes));
    }
  });

  it('replaces what does not verify, and only that; without a good source the damage is listed', async () => {
    await using source = await another(SOURCE);
    await using target = await nodeAndClient();
    const sound = randomBlob(100_000);
    const rotten = randomBlob(2 * LIMITS.chunkBytes);
    for (const blob of [sound, rotten]) {
      await writeBlob(target.client, blob);
      await writeBlob(source.client, blob);
    }
    await flip(target, rotten, 17);
    const blobs = [sound, rotten].map((blob) => wanted(blob, { replace: true }));
    const without = await target.client.pull({ sources: [{ member: OTHER, address: HOST, port: 1 }], blobs });
    assert.deepEqual(
      without.map(({ outcome, kind }) => [outcome, kind]),
      [
        ['had', undefined],
        ['failed', 'unreachable'],
      ],
    );
    assert.ok(await target.client.stat(rotten.id), 'what is here stays until there is better');
    const [damage] = await target.client.damage({ max: 10 });
    assert.deepEqual([damage?.id, damage?.kind], [rotten.id, 'corrupt']);
    // Known to be damaged: replaced even by a pull that does not doubt it.
    const results = await target.client.pull({
      sources: [endpoint(SOURCE, source)],
      blobs: [wanted(rotten)],
    });
    assert.equal(results[0]?.outcome, 'pulled');
    assert.ok((await readBlob(target.client, rotten)).equals(rotten.bytes));
    assert.deepEqual(await target.client.damage({ max: 10 }), []);
  });

  it('keeps to its rate, shows life meanwhile to a client with short deadlines, and can be called off', async () => {
    await using source = await another(SOURCE);
    await using target = await nodeAndClient();
    const impatient = clientTo(target.node.port, { deadlines: { ...SHORT, stallMs: 1_200 } });
    const blob = randomBlob(8 * LIMITS.chunkBytes);
    await writeBlob(source.client, blob);
    const request: PullRequest = {
      sources: [endpoint(SOURCE, source)],
      blobs: [wanted(blob)],
      bytesPerSecondMax: 3 * LIMITS.chunkBytes,
    };
    const caller = new AbortController();
    const slow = { ...request, bytesPerSecondMax: LIMITS.chunkBytes };
    const calledOff = impatient.pull(slow, caller.signal);
    while ((await kept(target)).length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    caller.abort(new Error('no longer wanted'));
    await assert.rejects(calledOff, (error: NodeError) => error.kind === 'aborted');
    while ((await kept(target)).length > 0) await new Promise((resolve) => setTimeout(resolve, 20));
    await new Promise((resolve) => setTimeout(resolve, 200)); // a file that got its name has its record soon after
    assert.equal(await target.client.stat(blob.id), null);

    const startedAt = performance.now();
    const [result] = await impatient.pull(request);
    assert.deepEqual(result, { id: blob.id, outcome: 'pulled' });
    // Eight chunks at three a second, the first at once.
    assert.ok(performance.now() - startedAt >= 2_300);
    await impatient.close();
  });

  it('takes a thousand small blobs in one request, and no more', async () => {
    await using source = await another(SOURCE);
    await using target = await nodeAndClient();
    const blobs = Array.from({ length: 1_000 }, () => randomBlob(200));
    await Promise.all(blobs.map((blob) => writeBlob(source.client, blob)));
    const sources = [endpoint(SOURCE, source)];
    const results = await target.client.pull({ sources, blobs: blobs.map((blob) => wanted(blob)) });
    assert.deepEqual(
      results.map(({ id, outcome }) => [id, outcome]),
      blobs.map(({ id }) => [id, 'pulled']),
    );
    assert.deepEqual(await target.client.digests(), await source.client.digests());
    const isProtocol = (error: unknown): boolean => error instanceof NodeError && error.kind === 'protocol';
    const tooMany = Array.from({ length: 1_001 }, () => wanted({ ...blobs[0]!, id: newBlobId() }));
    await assert.rejects(target.client.pull({ sources, blobs: tooMany }), isProtocol);
    const crowd = Array.from({ length: 17 }, () => sources[0]!);
    await assert.rejects(target.client.pull({ sources: crowd, blobs: [wanted(blobs[0]!)] }), isProtocol);
    const named = [{ ...sources[0]!, address: 'example.org' }];
    await assert.rejects(target.client.pull({ sources: named, blobs: [wanted(blobs[0]!)] }), isProtocol);
  });
});
