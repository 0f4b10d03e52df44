/**
 * kill -9 of a node in the middle of many writes: after a restart on the same folder every acknowledged blob is there
 * and verifies, nothing unfinished is visible, and no temporary file is left.
 */
import assert from 'node:assert/strict';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { LIMITS } from '../../../src/base/limits.ts';
import { digest } from '../../../src/nodes/digest-tree.ts';
import { NodeError } from '../../../src/nodes/protocol.ts';
import {
  chunksOf,
  clientTo,
  intentOf,
  randomBlob,
  readBlob,
  scratchFolder,
  type TestBlob,
  writeBlob,
} from '../../integration/nodes/fixture.ts';
import { spawnNode } from './node-process.ts';

const KIB = 1024;
const isLarge = ({ size }: TestBlob): boolean => size > LIMITS.smallBlobBytesMax;

describe('a node that is killed in mid-write', () => {
  it('has every acknowledged blob afterwards, and nothing half', async () => {
    const folder = await scratchFolder();
    const acknowledged: TestBlob[] = [];
    const attempted: TestBlob[] = [];
    try {
      for (let round = 0; round < 3; round += 1) {
        await using node = await spawnNode(folder);
        const client = clientTo(node.port);
        let killed = false;
        const writer = async (size: number): Promise<void> => {
          while (!killed) {
            const blob = randomBlob(size);
            attempted.push(blob);
            try {
              await writeBlob(client, blob);
              acknowledged.push(blob);
            } catch (error) {
              assert.ok(
                error instanceof NodeError && ['unreachable', 'aborted'].includes(error.kind),
                String(error),
              );
              return;
            }
          }
        };
        const sizes = [
          ...Array(16).fill(4 * KIB),
          200 * KIB,
          200 * KIB,
          3_000 * KIB,
          9_000 * KIB,
        ] as number[];
        const writers = sizes.map(writer);
        await new Promise((resolve) => setTimeout(resolve, 400 + 150 * round));
        // However slow the disk is: enough to prove something, large ones among them.
        const until = performance.now() + 30_000;
        const isEnough = () => acknowledged.length > 20 * (round + 1) && acknowledged.some(isLarge);
        while (!isEnough() && performance.now() < until)
          await new Promise((resolve) => setTimeout(resolve, 20));
        killed = true;
        await node.kill();
        await Promise.all(writers);
        await client.close();
      }

      await using node = await spawnNode(folder);
      const client = clientTo(node.port);
      assert.ok(acknowledged.length > 50, `${acknowledged.length} blobs were acknowledged`);
      assert.ok(acknowledged.some(isLarge));
      assert.deepEqual(await readdir(join(folder, 'tmp')), []);
      for (const blob of acknowledged) assert.ok((await readBlob(client, blob)).equals(blob.bytes));
      const known = new Map(attempted.map((blob) => [blob.id, blob]));
      let count = 0;
      for (let after: TestBlob['id'] | undefined; ; ) {
        const page = await client.inventory(after ? { after, max: 1_000 } : { max: 1_000 });
        for (const entry of page) {
          const blob = known.get(entry.id);
          assert.ok(blob, 'the inventory names a blob that nobody wrote');
          assert.ok((await readBlob(client, blob)).equals(blob.bytes));
          count += 1;
        }
        if (page.length === 0) break;
        after = page.at(-1)!.id;
      }
      assert.ok(count >= acknowledged.length);
      await client.close();
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

describe('a node that is stopped (SIGSTOP)', () => {
  it('is a timeout within the deadlines, for every call, and serves again when it goes on', async () => {
    const folder = await scratchFolder();
    await using node = await spawnNode(folder);
    const deadlines = { connectMs: 1_000, firstByteMs: 1_500, stallMs: 1_500 };
    const client = clientTo(node.port, { deadlines });
    const patient = clientTo(node.port);
    try {
      const blob = randomBlob(6 * 1024 * KIB);
      const small = randomBlob(10);
      await writeBlob(patient, blob);
      await writeBlob(patient, small);
      const reader = await client.read(blob.id, blob, { firstChunk: 0, lastChunk: 23 });
      await reader.next();
      const writer = await client.write(randomBlob(1).id, blob.size, intentOf());

      node.child.kill('SIGSTOP');
      const timesOut = async (name: string, call: () => Promise<unknown>): Promise<void> => {
        const startedAt = performance.now();
        await assert.rejects(call, (error) => {
          assert.ok(error instanceof NodeError && error.kind === 'timeout', `${name}: ${String(error)}`);
          return true;
        });
        // The longest deadline is 2.5 s; the rest is patience with a crowded machine.
        assert.ok(performance.now() - startedAt < 20_000, name);
      };
      await Promise.all([
        timesOut('reader', async () => {
          while (await reader.next());
        }),
        timesOut('writer', async () => {
          for (const chunk of chunksOf(blob.bytes)) await writer.write(chunk, digest(chunk));
          await writer.finish(blob.root); // so much may fit into the buffers of the sockets
        }),
        timesOut('open read', () => readBlob(client, blob)),
        timesOut('open small read', () => readBlob(client, small)),
        timesOut('open write', () => client.write(randomBlob(1).id, blob.size, intentOf())),
        timesOut('one shot', () => writeBlob(client, randomBlob(10))),
        timesOut('status', () => client.status()),
        timesOut('stat', () => client.stat(blob.id)),
      ]);
      node.child.kill('SIGCONT');
      assert.ok((await readBlob(patient, blob)).equals(blob.bytes));
      await writeBlob(patient, randomBlob(10));
    } finally {
      node.child.kill('SIGCONT');
      await client.close();
      await patient.close();
      await node.kill();
      await rm(folder, { recursive: true, force: true });
    }
  });
});

/** Wide enough for a crowded machine; the pause is longer than any of them. */
const SHORT = { connectMs: 1_000, firstByteMs: 1_000, stallMs: 1_500 };
const PAUSE_MS = 2_500;

describe('a slow consumer and a slow producer', () => {
  it('are not a slow node: no deadline runs while no call is pending', async () => {
    const folder = await scratchFolder();
    await using node = await spawnNode(folder);
    const client = clientTo(node.port, { deadlines: SHORT });
    const patient = clientTo(node.port);
    try {
      const blob = randomBlob(24 * 1024 * KIB);
      await writeBlob(patient, blob);
      const reader = await client.read(blob.id, blob, { firstChunk: 0, lastChunk: 95 });
      const chunks: Buffer[] = [];
      for (let chunk = await reader.next(); chunk; chunk = await reader.next()) {
        chunks.push(chunk);
        if (chunks.length % 40 === 1) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
      assert.ok(Buffer.concat(chunks).equals(blob.bytes));
    } finally {
      await client.close();
      await patient.close();
      await node.kill();
      await rm(folder, { recursive: true, force: true });
    }
  });
});
