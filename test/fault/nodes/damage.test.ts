/** Bytes that change or vanish on the disk are found by the scrub, by check, by reads and at the start, and listed durably. */
import assert from 'node:assert/strict';
import { rm, truncate } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { type BlobId, type MemberId, newBlobId } from '../../../src/base/ids.ts';
import { LIMITS } from '../../../src/base/limits.ts';
import { type Damage, type NodeClient, NodeError } from '../../../src/nodes/protocol.ts';
import type { NodeOptions } from '../../../src/nodes/server.ts';
import {
  clientTo,
  HOST,
  intentOf,
  nodeAndClient,
  randomBlob,
  readBlob,
  scratchFolder,
  startTestNode,
  type TestBlob,
  writeBlob,
} from '../../integration/nodes/fixture.ts';
import { fileOf, flip, flipSmall } from './flip.ts';

const FAST = 1024 ** 3;
const byId = (a: { id: BlobId }, b: { id: BlobId }): number => (a.id < b.id ? -1 : 1);
const kinds = (found: readonly Damage[]) => found.map(({ id, kind }) => ({ id, kind }));
const expected = (found: readonly (readonly [TestBlob, Damage['kind']])[]) =>
  found.map(([{ id }, kind]) => ({ id, kind })).sort(byId);

async function roundOf(client: NodeClient): Promise<void> {
  const before = (await client.status()).scrub.lastRoundEndedAt;
  await client.scrub({ start: true, bytesPerSecondMax: FAST });
  while ((await client.status()).scrub.lastRoundEndedAt === before) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function withNode<T>(
  folder: string,
  use: (client: NodeClient) => Promise<T>,
  options: Partial<NodeOptions> = {},
): Promise<T> {
  const node = await startTestNode(folder, options);
  const client = clientTo(node.port);
  try {
    return await use(client);
  } finally {
    await client.close();
    await node.close();
  }
}

/** A folder with blobs, written and closed. */
async function written(blobs: readonly TestBlob[]): Promise<string> {
  const folder = await scratchFolder();
  await withNode(folder, async (client) => {
    for (const blob of blobs) await writeBlob(client, blob);
  });
  return folder;
}

describe('damage on a disk', () => {
  it('is found by a round of the scrub, in LMDB values and in files, and listed over restarts', async () => {
    const small = Array.from({ length: 20 }, () => randomBlob(5_000));
    const large = Array.from({ length: 6 }, () => randomBlob(LIMITS.chunkBytes + 10_000));
    const folder = await written([...small, ...large]);
    await flipSmall(folder, small[3]!);
    await flip(fileOf(folder, large[0]!), 5);
    await flip(fileOf(folder, large[1]!), LIMITS.chunkBytes + 9_999);
    await flip(fileOf(folder, large[2]!), LIMITS.chunkBytes + 10_040); // a chunk's digest
    await truncate(fileOf(folder, large[3]!), 1_000);
    const found = expected([
      [small[3]!, 'corrupt'],
      [large[0]!, 'corrupt'],
      [large[1]!, 'corrupt'],
      [large[2]!, 'corrupt'],
      [large[3]!, 'corrupt'],
      [large[4]!, 'missing'],
    ]);
    await withNode(folder, async (client) => {
      assert.deepEqual(await client.damage({ max: 10 }), []);
      await rm(fileOf(folder, large[4]!)); // under the running node
      await roundOf(client);
      const damage = await client.damage({ max: 10 });
      assert.deepEqual(kinds(damage), found);
      const { scrub, damaged, missingBlobs } = await client.status();
      assert.deepEqual([scrub.roundStartedAt, damaged, missingBlobs], [null, 6, 1]);
      assert.ok(scrub.blobs >= 25, 'the start may have missed the file before the scrub did');
      assert.deepEqual(await client.damage({ max: 2 }), damage.slice(0, 2));
      assert.deepEqual(await client.damage({ max: 9, after: damage[1]!.id }), damage.slice(2));
    });
    await withNode(folder, async (client) => {
      const damage = await client.damage({ max: 10 });
      assert.deepEqual(kinds(damage), found);
      await client.forgetDamage([...damage.map(({ id }) => id), newBlobId()]);
      assert.deepEqual(await client.damage({ max: 10 }), []);
      await roundOf(client);
      const corrupt = async () =>
        kinds(await client.damage({ max: 10 })).filter(({ kind }) => kind === 'corrupt');
      const again = found.filter(({ kind }) => kind === 'corrupt');
      assert.deepEqual(await corrupt(), again, 'what nobody repaired is found again');
      const removed = [small[3]!.id, large[0]!.id];
      await client.delete(removed);
      assert.deepEqual(
        await corrupt(),
        again.filter(({ id }) => !removed.includes(id)),
      );
    });
    await rm(folder, { recursive: true });
  });

  it('is found by check, of the blobs that it is asked about, and repaired by a pull', async () => {
    const source = 'node-b11' as MemberId;
    await using twin = await nodeAndClient({ node: { member: source }, client: { member: source } });
    const blobs = [
      randomBlob(100),
      randomBlob(5_000),
      randomBlob(300_000),
      randomBlob(300_000),
      randomBlob(70_000),
    ];
    const [sound, smallBad, largeBad, gone, unasked] = blobs as [
      TestBlob,
      TestBlob,
      TestBlob,
      TestBlob,
      TestBlob,
    ];
    const folder = await written(blobs);
    for (const blob of blobs) await writeBlob(twin.client, blob);
    await flipSmall(folder, smallBad);
    await flip(fileOf(folder, largeBad), 299_999);
    await flip(fileOf(folder, unasked), 1);
    await withNode(folder, async (client) => {
      await rm(fileOf(folder, gone));
      const unknown = newBlobId();
      const ids = [sound.id, smallBad.id, largeBad.id, gone.id, unknown];
      const bad = [
        [smallBad, 'corrupt'],
        [largeBad, 'corrupt'],
        [gone, 'missing'],
      ] as const;
      const found = await client.check(ids);
      assert.deepEqual(kinds(found), [
        ...bad.map(([{ id }, kind]) => ({ id, kind })),
        { id: unknown, kind: 'missing' },
      ]);
      assert.deepEqual(kinds(await client.damage({ max: 10 })), expected(bad));
      const results = await client.pull({
        sources: [{ member: source, address: HOST, port: twin.node.port }],
        blobs: blobs.map(({ id, size, root }) => ({ id, size, root, state: 'pending', intent: intentOf() })),
      });
      assert.deepEqual(
        results.map(({ outcome }) => outcome),
        ['had', 'pulled', 'pulled', 'pulled', 'had'],
      );
      assert.deepEqual(await client.damage({ max: 10 }), []);
      assert.equal((await client.status()).missingBlobs, 0);
      assert.deepEqual(await client.check([smallBad.id, largeBad.id, gone.id]), []);
      for (const blob of [smallBad, largeBad, gone]) {
        assert.ok((await readBlob(client, blob)).equals(blob.bytes));
      }
      assert.deepEqual(await client.digests(), await twin.client.digests());
      const tooMany = Array.from({ length: 101 }, newBlobId);
      await assert.rejects(client.check(tooMany), (error: NodeError) => error.kind === 'protocol');
    });
    await rm(folder, { recursive: true });
  });

  it('is found by a read that the disk does not serve, and by the start that misses a file', async () => {
    const [cut, gone, vanished] = [randomBlob(300_000), randomBlob(300_000), randomBlob(300_000)];
    const folder = await written([cut, gone, vanished]);
    await truncate(fileOf(folder, cut), 250_000);
    await rm(fileOf(folder, gone));
    await withNode(folder, async (client) => {
      // It counts as lost at once, and is listed when that is durable.
      while ((await client.damage({ max: 10 })).length === 0)
        await new Promise((resolve) => setTimeout(resolve, 20));
      assert.deepEqual(kinds(await client.damage({ max: 10 })), expected([[gone, 'missing']]));
      assert.equal((await client.status()).missingBlobs, 1);
      await rm(fileOf(folder, vanished));
      await assert.rejects(readBlob(client, cut), (error: NodeError) => error.kind === 'corrupt');
      await assert.rejects(readBlob(client, vanished), (error: NodeError) => error.kind === 'not-found');
      const found = expected([
        [cut, 'corrupt'],
        [gone, 'missing'],
        [vanished, 'missing'],
      ]);
      assert.deepEqual(kinds(await client.damage({ max: 10 })), found);
      assert.equal((await client.inventory({ max: 10 })).length, 1);
      assert.equal(
        (await client.digests()).reduce((sum, { count }) => sum + count, 0),
        1,
      );
    });
    await rm(folder, { recursive: true });
  });

  it('is not sought twice: a scrub that was interrupted goes on where it was', async () => {
    const blobs = Array.from({ length: 40 }, () => randomBlob(60_000)).sort(byId);
    const folder = await written(blobs);
    const slow = { scrubBytesPerSecondMax: 20 * 64_000 };
    const done = await withNode(
      folder,
      async (client) => {
        for (;;) {
          const { scrub } = await client.status();
          if (scrub.blobs >= 10) return scrub.blobs;
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      },
      slow,
    );
    assert.ok(done < 38, `${done} blobs: too fast to be interrupted`);
    await flipSmall(folder, blobs[1]!);
    await flipSmall(folder, blobs[39]!);
    await withNode(folder, async (client) => {
      assert.ok((await client.status()).scrub.blobs >= done);
      await client.scrub({ bytesPerSecondMax: FAST });
      while ((await client.status()).scrub.lastRoundEndedAt === null) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      assert.equal((await client.status()).scrub.blobs, 40);
      assert.deepEqual(kinds(await client.damage({ max: 10 })), expected([[blobs[39]!, 'corrupt']]));
      await roundOf(client);
      const both = expected([
        [blobs[1]!, 'corrupt'],
        [blobs[39]!, 'corrupt'],
      ]);
      assert.deepEqual(kinds(await client.damage({ max: 10 })), both);
    });
    await rm(folder, { recursive: true });
  });
});

describe('a removal', () => {
  it('by drop is durable in every state and no data request', async () => {
    const blobs = [randomBlob(10), randomBlob(300_000)];
    const folder = await written(blobs);
    await withNode(
      folder,
      async (client) => {
        await assert.rejects(client.delete([blobs[0]!.id]), (error) => error instanceof NodeError);
        await client.drop([...blobs.map(({ id }) => id), newBlobId()]);
        const { requests, blobs: left } = await client.status();
        assert.deepEqual([requests, left], [0, 0]);
      },
      { admitAtStart: false },
    );
    await withNode(folder, async (client) => assert.deepEqual(await client.inventory({ max: 10 }), []));
    await rm(folder, { recursive: true });
  });
});
