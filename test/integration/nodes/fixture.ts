/** A node on a free port with a folder of its own, a client to it, and blobs to send. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../../src/base/clock.ts';
import { type BlobId, type MemberId, newBlobId, newWriteId } from '../../../src/base/ids.ts';
import { LIMITS } from '../../../src/base/limits.ts';
import { createNodeClient, type NodeClientOptions } from '../../../src/nodes/client.ts';
import { DigestTreeBuilder, digest } from '../../../src/nodes/digest-tree.ts';
import type { NodeClient, NodeDeadlines, WriteIntent } from '../../../src/nodes/protocol.ts';
import { type NodeOptions, type RunningNode, startNode } from '../../../src/nodes/server.ts';

export const MEMBER = 'node-a11' as MemberId;
export const SECRET = Buffer.alloc(32, 7);
export const HOST = '127.0.0.1';
/** Wider than the product's, so that a crowded machine does not fail a test that is not about time. */
export const PATIENT: NodeDeadlines = { connectMs: 5_000, firstByteMs: 20_000, stallMs: 20_000 };
export const SHORT: NodeDeadlines = { connectMs: 250, firstByteMs: 1_000, stallMs: 2_000 };

export const quietLog = { info: () => {}, warn: () => {}, error: () => {} };

export const scratchFolder = (): Promise<string> => mkdtemp(join(tmpdir(), 'antipode-node-'));

export const startTestNode = (dataDir: string, more: Partial<NodeOptions> = {}): Promise<RunningNode> =>
  startNode({
    member: MEMBER,
    host: HOST,
    port: 0,
    dataDir,
    secret: SECRET,
    log: quietLog,
    clock: systemClock,
    reserveBytes: 0,
    admitAtStart: true,
    scrubBytesPerSecondMax: 0,
    ...more,
  });

export const clientTo = (port: number, more: Partial<NodeClientOptions> = {}): NodeClient =>
  createNodeClient({
    member: MEMBER,
    address: HOST,
    port,
    secret: SECRET,
    deadlines: PATIENT,
    clock: systemClock,
    ...more,
  });

export interface Running extends AsyncDisposable {
  readonly folder: string;
  readonly node: RunningNode;
  readonly client: NodeClient;
}

/** A node and its client, both gone at the end of the block. */
export async function nodeAndClient(
  more: { node?: Partial<NodeOptions>; client?: Partial<NodeClientOptions> } = {},
): Promise<Running> {
  const folder = await scratchFolder();
  const node = await startTestNode(folder, more.node);
  const client = clientTo(node.port, more.client);
  return {
    folder,
    node,
    client,
    async [Symbol.asyncDispose]() {
      await client.close();
      await node.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export interface TestBlob {
  readonly id: BlobId;
  readonly bytes: Buffer;
  readonly size: number;
  readonly root: Buffer;
}

export const intentOf = (key = 'some/ключ', intentAt = Date.now()): WriteIntent => ({
  writeId: newWriteId(),
  intentAt,
  bucket: 'bucket',
  key,
});

export function chunksOf(bytes: Buffer): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += LIMITS.chunkBytes) {
    chunks.push(bytes.subarray(at, at + LIMITS.chunkBytes));
  }
  return chunks;
}

export function blobOf(bytes: Buffer, id = newBlobId()): TestBlob {
  const tree = new DigestTreeBuilder();
  for (const chunk of chunksOf(bytes)) tree.push(digest(chunk));
  return { id, bytes, size: bytes.length, root: tree.root() };
}

export const randomBlob = (size: number): TestBlob => blobOf(randomBytes(size));

export async function writeBlob(client: NodeClient, blob: TestBlob, intent = intentOf()): Promise<void> {
  const writer = await client.write(blob.id, blob.size, intent);
  for (const chunk of chunksOf(blob.bytes)) await writer.write(chunk, digest(chunk));
  await writer.finish(blob.root);
}

export async function readBlob(
  client: NodeClient,
  blob: Pick<TestBlob, 'id' | 'size' | 'root'>,
  range = { firstChunk: 0, lastChunk: Math.ceil(blob.size / LIMITS.chunkBytes) - 1 },
): Promise<Buffer> {
  const reader = await client.read(blob.id, blob, range);
  const chunks: Buffer[] = [];
  for (let chunk = await reader.next(); chunk; chunk = await reader.next()) chunks.push(chunk);
  reader.close();
  return Buffer.concat(chunks);
}
