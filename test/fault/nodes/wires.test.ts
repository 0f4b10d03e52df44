/**
 * Wires that break or lie. Whatever happens in between: a write is acknowledged only when the node has exactly these
 * bytes, a read never yields a wrong byte or ends early, errors have their kind, and no socket is left behind.
 */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { LIMITS } from '../../../src/base/limits.ts';
import { digest } from '../../../src/nodes/digest-tree.ts';
import { NodeError } from '../../../src/nodes/protocol.ts';
import {
  chunksOf,
  clientTo,
  intentOf,
  nodeAndClient,
  randomBlob,
  readBlob,
  writeBlob,
} from '../../integration/nodes/fixture.ts';
import { flipAt, wireTo } from './proxy.ts';

const MIB = 1024 * 1024;
const oneOf =
  (...kinds: string[]) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof NodeError, String(error));
    assert.ok(kinds.includes(error.kind), `${error.kind}: ${error.message}`);
    return true;
  };

async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 200; i += 1) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  assert.fail('the condition was never met');
}

describe('a cut wire', () => {
  for (const size of [4_096, 3 * MIB]) {
    it(`leaves nothing of a write of ${size} bytes, wherever it is cut`, async () => {
      await using running = await nodeAndClient();
      for (const cutToNodeAfter of [0, 1, 300, 600, 700, size >> 1, size, size + 100]) {
        await using wire = await wireTo(running.node.port, { cutToNodeAfter });
        const client = clientTo(wire.port);
        const blob = randomBlob(size);
        await assert.rejects(writeBlob(client, blob), oneOf('unreachable'));
        assert.equal(await running.client.stat(blob.id), null, `cut after ${cutToNodeAfter}`);
        await client.close();
        await eventually(() => wire.open() === 0);
      }
      await eventually(async () => (await readdir(join(running.folder, 'tmp'))).length === 0);
      assert.equal((await running.client.status()).blobs, 0);
    });

    it(`never lets a read of ${size} bytes look whole`, async () => {
      await using running = await nodeAndClient();
      const blob = randomBlob(size);
      await writeBlob(running.client, blob);
      for (const cutToClientAfter of [0, 1, 100, 250, 300, size >> 1, size, size + 100]) {
        await using wire = await wireTo(running.node.port, { cutToClientAfter });
        const client = clientTo(wire.port);
        await assert.rejects(readBlob(client, blob), oneOf('unreachable'));
        await client.close();
        await eventually(() => wire.open() === 0);
      }
    });
  }

  it('leaves the outcome of a write open when only the answer is lost, and the same write again settles it', async () => {
    await using running = await nodeAndClient();
    for (const size of [4_096, 1 * MIB]) {
      const blob = randomBlob(size);
      await using wire = await wireTo(running.node.port, {
        toClient: (piece) => (piece.includes(' 201 ') ? Buffer.alloc(0) : piece),
      });
      const client = clientTo(wire.port, {
        deadlines: { connectMs: 1_000, firstByteMs: 1_000, stallMs: 1_000 },
      });
      await assert.rejects(writeBlob(client, blob), oneOf('timeout'));
      await client.close();
      await writeBlob(running.client, blob);
      assert.ok((await readBlob(running.client, blob)).equals(blob.bytes));
    }
  });
});

describe('a wire that changes a byte', () => {
  it('towards the node: the write fails and the node keeps nothing', async () => {
    await using running = await nodeAndClient();
    for (const size of [4_096, 1 * MIB]) {
      for (const position of [5, 30, 100, 700, 1_500, 3_000, size - 1, size + 400]) {
        await using wire = await wireTo(running.node.port, { toNode: flipAt(position) });
        const client = clientTo(wire.port, {
          deadlines: { connectMs: 1_000, firstByteMs: 1_000, stallMs: 1_000 },
        });
        const blob = randomBlob(size);
        await assert.rejects(
          writeBlob(client, blob),
          (error) => error instanceof NodeError,
          `byte ${position}`,
        );
        assert.equal(await running.client.stat(blob.id), null);
        await client.close();
      }
    }
  });

  it('towards the client: the read fails as corrupt and yields only what is right', async () => {
    await using running = await nodeAndClient();
    const blob = randomBlob(3 * LIMITS.chunkBytes);
    await writeBlob(running.client, blob);
    for (const position of [1_000, LIMITS.chunkBytes, 2 * LIMITS.chunkBytes + 1_000, 3 * LIMITS.chunkBytes]) {
      await using wire = await wireTo(running.node.port, { toClient: flipAt(position) });
      const client = clientTo(wire.port);
      const reader = await client.read(blob.id, blob, { firstChunk: 0, lastChunk: 2 });
      const chunks = chunksOf(blob.bytes);
      await assert.rejects(async () => {
        for (let i = 0; ; i += 1) {
          const chunk = await reader.next();
          assert.ok(chunk, 'the read ended as if it were whole');
          assert.ok(chunk.equals(chunks[i]!), 'a wrong byte');
        }
      }, oneOf('corrupt'));
      await client.close();
      await eventually(() => wire.open() === 0);
    }
  });

  it('in a control answer: the answer is not believed', async () => {
    await using running = await nodeAndClient();
    const blob = randomBlob(10);
    await writeBlob(running.client, blob);
    const lie = (piece: Buffer): Buffer =>
      Buffer.from(piece.toString('latin1').replace('"pending"', '"pendinG"'), 'latin1');
    await using wire = await wireTo(running.node.port, { toClient: lie });
    const client = clientTo(wire.port);
    await assert.rejects(client.inventory({ max: 5 }), oneOf('protocol'));
    await client.close();
  });
});

describe('giving up', () => {
  it('frees sockets and temporary files: abort, close, signal, in every state', async () => {
    await using running = await nodeAndClient();
    await using wire = await wireTo(running.node.port);
    const client = clientTo(wire.port);
    const blob = randomBlob(4 * MIB);
    const chunks = chunksOf(blob.bytes);

    const untouched = await client.write(blob.id, blob.size, intentOf());
    untouched.abort(new Error('enough'));
    const begun = await client.write(blob.id, blob.size, intentOf());
    await begun.write(chunks[0]!, digest(chunks[0]!));
    begun.abort(new Error('enough'));
    await assert.rejects(begun.write(chunks[1]!, digest(chunks[1]!)), oneOf('aborted'));
    begun.abort(new Error('again'));

    const signalled = new AbortController();
    const third = await client.write(blob.id, blob.size, intentOf(), { signal: signalled.signal });
    signalled.abort(new Error('the client left'));
    await assert.rejects(third.write(chunks[0]!, digest(chunks[0]!)), oneOf('aborted'));
    await assert.rejects(
      client.write(blob.id, blob.size, intentOf(), { signal: AbortSignal.abort() }),
      oneOf('aborted'),
    );
    const small = randomBlob(100);
    const oneShot = await client.write(small.id, 100, intentOf());
    await oneShot.write(small.bytes, digest(small.bytes));
    oneShot.abort(new Error('enough'));
    await assert.rejects(oneShot.finish(small.root), oneOf('aborted'));

    await writeBlob(running.client, blob);
    const reader = await client.read(blob.id, blob, { firstChunk: 0, lastChunk: 15 });
    await reader.next();
    reader.close();
    await assert.rejects(reader.next(), oneOf('aborted'));
    const waiting = await client.read(blob.id, blob, { firstChunk: 0, lastChunk: 15 });
    waiting.close();

    // The pool opens an idle connection in place of one that was cut: one for each pool, two sockets each.
    await eventually(() => wire.open() <= 4);
    await eventually(async () => (await readdir(join(running.folder, 'tmp'))).length === 0);
    await client.close();
    await client.close();
    await eventually(() => wire.open() === 0);
    await assert.rejects(client.status(), oneOf('aborted'));
  });

  it('ends what is under way when the client is closed', async () => {
    await using running = await nodeAndClient();
    await using wire = await wireTo(running.node.port);
    const client = clientTo(wire.port);
    const blob = randomBlob(4 * MIB);
    const writer = await client.write(blob.id, blob.size, intentOf());
    await client.close();
    await assert.rejects(writer.finish(blob.root), oneOf('aborted'));
    await eventually(() => wire.open() === 0);
  });

  it('says unreachable when nobody listens, and when the node ends', async () => {
    await using running = await nodeAndClient();
    const blob = randomBlob(4 * MIB);
    await writeBlob(running.client, blob);
    const reader = await running.client.read(blob.id, blob, { firstChunk: 0, lastChunk: 15 });
    const writer = await running.client.write(randomBlob(1).id, blob.size, intentOf());
    await running.node.close();
    await assert.rejects(async () => {
      while (await reader.next());
    }, oneOf('unreachable'));
    await assert.rejects(writer.finish(blob.root), oneOf('unreachable'));
    await assert.rejects(running.client.status(), oneOf('unreachable'));
    await assert.rejects(running.client.write(blob.id, blob.size, intentOf()), oneOf('unreachable'));
  });
});
