/**
 * Node-to-node copies while something breaks: sources that die, stall or lie in mid-body, the target killed in the
 * middle, a disk that runs full. Nothing half is ever visible, what is copied verifies, and the same request may be made again.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { MemberId } from '../../../src/base/ids.ts';
import { type NodeClient, NodeError, type PullRequest } from '../../../src/nodes/protocol.ts';
import {
  blobOf,
  clientTo,
  HOST,
  intentOf,
  nodeAndClient,
  type Running,
  randomBlob,
  readBlob,
  scratchFolder,
  startTestNode,
  type TestBlob,
  writeBlob,
} from '../../integration/nodes/fixture.ts';
import { spawnNode } from './node-process.ts';
import { flipAt, type WireFaults, wireTo } from './proxy.ts';
import { smallDisk } from './small-disk.ts';

const MIB = 1024 * 1024;
const SOURCE = 'node-b11' as MemberId;
const SECOND = 'node-b12' as MemberId;
const at = (member: MemberId, port: number) => ({ member, address: HOST, port });
const wanted = ({ id, size, root }: TestBlob): PullRequest['blobs'][number] => ({
  id,
  size,
  root,
  state: 'confirmed',
  intent: intentOf(),
});
const source = (member: MemberId): Promise<Running> =>
  nodeAndClient({ node: { member }, client: { member } });
const until = async (done: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await done())) await new Promise((resolve) => setTimeout(resolve, 10));
};
async function has(client: NodeClient, blob: TestBlob): Promise<void> {
  assert.equal((await client.stat(blob.id))?.state, 'confirmed');
  assert.ok((await readBlob(client, blob)).equals(blob.bytes));
  assert.deepEqual(await client.check([blob.id]), []);
}

describe('a source in mid-body', () => {
  const broken: [string, WireFaults, string][] = [
    ['is cut', { cutToClientAfter: 2 * MIB }, 'unreachable'],
    ['lies', { toClient: flipAt(2 * MIB) }, 'corrupt'],
  ];
  for (const [name, faults, kind] of broken) {
    it(`${name}: nothing is kept of it, and the next one is asked`, async () => {
      await using good = await source(SECOND);
      await using bad = await source(SOURCE);
      await using target = await nodeAndClient();
      await using wire = await wireTo(bad.node.port, faults);
      const blob = randomBlob(4 * MIB);
      await writeBlob(good.client, blob);
      await writeBlob(bad.client, blob);
      const [alone] = await target.client.pull({ sources: [at(SOURCE, wire.port)], blobs: [wanted(blob)] });
      assert.deepEqual([alone?.outcome, alone?.kind], ['failed', kind], alone?.error ?? '');
      assert.equal(await target.client.stat(blob.id), null);
      assert.deepEqual(await readdir(join(target.folder, 'tmp')), []);
      const sources = [at(SOURCE, wire.port), at(SECOND, good.node.port)];
      const [result] = await target.client.pull({ sources, blobs: [wanted(blob)] });
      assert.equal(result?.outcome, 'pulled');
      await has(target.client, blob);
    });
  }

  for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
    it(`gets ${signal}: the next one is asked`, async () => {
      const folder = await scratchFolder();
      await using good = await source(SECOND);
      await using target = await nodeAndClient();
      await using dying = await spawnNode(folder, { member: SOURCE });
      const client = clientTo(dying.port, { member: SOURCE });
      const blob = randomBlob(16 * MIB);
      await writeBlob(client, blob);
      await writeBlob(good.client, blob);
      const pulling = target.client.pull({
        sources: [at(SOURCE, dying.port), at(SECOND, good.node.port)],
        blobs: [wanted(blob)],
        bytesPerSecondMax: 8 * MIB,
      });
      await until(async () => (await readdir(join(target.folder, 'tmp'))).length > 0);
      dying.child.kill(signal);
      const [result] = await pulling;
      assert.equal(result?.outcome, 'pulled', result?.error ?? '');
      await has(target.client, blob);
      await client.close();
      await rm(folder, { recursive: true, force: true });
    });
  }
});

describe('a source that is silent', () => {
  it('is not waited for again and again by one request', async () => {
    const folder = await scratchFolder();
    await using good = await source(SECOND);
    await using target = await nodeAndClient();
    await using silent = await spawnNode(folder, { member: SOURCE });
    const blobs = Array.from({ length: 200 }, () => randomBlob(100));
    for (const blob of blobs) await writeBlob(good.client, blob);
    const missing = Array.from({ length: 200 }, () => randomBlob(100));
    silent.child.kill('SIGSTOP');
    const first = at(SOURCE, silent.port);
    const startedAt = performance.now();
    const results = await target.client.pull({
      sources: [first, at(SECOND, good.node.port)],
      blobs: blobs.map(wanted),
    });
    assert.ok(results.every(({ outcome }) => outcome === 'pulled'));
    const failed = await target.client.pull({ sources: [first], blobs: missing.map(wanted) });
    assert.ok(failed.every(({ outcome, kind }) => outcome === 'failed' && kind === 'timeout'));
    // Each deadline is 2.5 s and eight blobs are under way at once: 400 of them would take two minutes.
    assert.ok(performance.now() - startedAt < 60_000);
    await rm(folder, { recursive: true, force: true });
  });
});

describe('a target that is killed', () => {
  it('in the middle of a pull: nothing half is visible, and the pull may be made again', async () => {
    const folder = await scratchFolder();
    await using from = await source(SOURCE);
    const large = randomBlob(24 * MIB);
    const small = Array.from({ length: 300 }, () => randomBlob(2_000));
    const blobs = [...small.slice(0, 150), large, ...small.slice(150)];
    for (const blob of blobs) await writeBlob(from.client, blob);
    const request: PullRequest = { sources: [at(SOURCE, from.node.port)], blobs: blobs.map(wanted) };
    {
      await using target = await spawnNode(folder);
      const client = clientTo(target.port);
      const failed = assert.rejects(
        client.pull({ ...request, bytesPerSecondMax: 6 * MIB }),
        (error) => error instanceof NodeError && error.kind === 'unreachable',
      );
      await until(async () => (await readdir(join(folder, 'tmp')).catch(() => [])).length > 0);
      await new Promise((resolve) => setTimeout(resolve, 300));
      await target.kill();
      await failed;
      await client.close();
    }
    await using target = await spawnNode(folder);
    const client = clientTo(target.port);
    assert.deepEqual(await readdir(join(folder, 'tmp')), []);
    assert.equal(await client.stat(large.id), null);
    const there = await client.inventory({ max: 1_000 });
    assert.ok(there.length >= 100 && there.length < 301, `${there.length} were copied before the kill`);
    assert.ok(there.every(({ state }) => state === 'confirmed'));
    const results = await client.pull(request);
    const had = results.filter(({ outcome }) => outcome === 'had').length;
    assert.equal(had, there.length);
    assert.equal(results.filter(({ outcome }) => outcome === 'pulled').length, blobs.length - had);
    for (const blob of blobs) await has(client, blob);
    assert.deepEqual(await client.digests(), await from.client.digests());
    await client.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('after the answer: everything is there', async () => {
    const folder = await scratchFolder();
    await using from = await source(SOURCE);
    const blobs = [randomBlob(10), randomBlob(90_000), randomBlob(2 * MIB)];
    for (const blob of blobs) await writeBlob(from.client, blob);
    {
      await using target = await spawnNode(folder);
      const client = clientTo(target.port);
      await client.pull({ sources: [at(SOURCE, from.node.port)], blobs: blobs.map(wanted) });
      await target.kill();
      await client.close();
    }
    await using target = await spawnNode(folder);
    const client = clientTo(target.port);
    for (const blob of blobs) await has(client, blob);
    await client.close();
    await rm(folder, { recursive: true, force: true });
  });
});

describe('a wire between caller and target', () => {
  it('that changes a byte of the answer is not believed, and that is cut calls the pull off', async () => {
    await using from = await source(SOURCE);
    await using target = await nodeAndClient();
    const blob = randomBlob(8 * MIB);
    await writeBlob(from.client, blob);
    const request: PullRequest = { sources: [at(SOURCE, from.node.port)], blobs: [wanted(blob)] };
    const lie = (piece: Buffer): Buffer =>
      Buffer.from(piece.toString('latin1').replace('"failed"', '"pulled"'), 'latin1');
    {
      await using wire = await wireTo(target.node.port, { toClient: lie });
      const client = clientTo(wire.port);
      const dead = { sources: [at(SOURCE, 1)], blobs: request.blobs };
      await assert.rejects(client.pull(dead), (error: NodeError) => error.kind === 'protocol');
      await client.close();
    }
    {
      const wire = await wireTo(target.node.port);
      const client = clientTo(wire.port);
      const failed = assert.rejects(
        client.pull({ ...request, bytesPerSecondMax: MIB }),
        (error: NodeError) => error.kind === 'unreachable',
      );
      await until(async () => (await readdir(join(target.folder, 'tmp'))).length > 0);
      await wire[Symbol.asyncDispose]();
      await failed;
      await client.close();
    }
    await until(async () => (await readdir(join(target.folder, 'tmp'))).length === 0);
    await new Promise((resolve) => setTimeout(resolve, 200)); // a file that got its name has its record soon after
    assert.equal(await target.client.stat(blob.id), null);
  });
});

describe('a target whose disk runs full', () => {
  it('says so, for what did not fit; what fitted is whole; and goes on when there is room', async (t) => {
    await using disk = await smallDisk(16);
    if (!disk) return t.skip('mounting a tmpfs is not permitted here');
    await using from = await source(SOURCE);
    const node = await startTestNode(join(disk.path, 'node'), { reserveBytes: 2 * MIB });
    const client = clientTo(node.port);
    try {
      const blobs = [...Array(40).keys()].map((i) => (i % 2 ? randomBlob(MIB) : blobOf(randomBytes(50_000))));
      for (const blob of blobs) await writeBlob(from.client, blob);
      const request: PullRequest = { sources: [at(SOURCE, from.node.port)], blobs: blobs.map(wanted) };
      const results = await client.pull(request);
      const failed = results.filter(({ outcome }) => outcome === 'failed');
      assert.ok(failed.length > 0 && failed.length < blobs.length);
      assert.ok(failed.every(({ kind }) => kind === 'full'));
      assert.deepEqual(await readdir(join(disk.path, 'node', 'tmp')), []);
      for (const [i, blob] of blobs.entries()) {
        if (results[i]!.outcome === 'pulled') await has(client, blob);
        else assert.equal(await client.stat(blob.id), null);
      }
      await client.setCondition({ state: 'serving', epoch: 9 as never }); // even now, durably
      disk.grow(48);
      await new Promise((resolve) => setTimeout(resolve, 300)); // the figure of free bytes is 200 ms old at most
      for (const { outcome } of await client.pull(request)) assert.notEqual(outcome, 'failed');
      assert.deepEqual(await client.digests(), await from.client.digests());
    } finally {
      await client.close();
      await node.close();
    }
  });
});
