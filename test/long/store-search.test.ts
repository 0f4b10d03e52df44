/**
 * Blobs moved by hand off their map, in whole stores, with each transport of the search: a GET finds and serves them, what
 * was found is carried home, `locate` shows the way; and what cannot be found while a center is out is 503, never 404.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { CreateBucketCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import type { BlobReport, LocateReport } from '../../src/admin/api.ts';
import { systemClock } from '../../src/base/clock.ts';
import { type MemberId, parseBlobId } from '../../src/base/ids.ts';
import { createNodeClient } from '../../src/nodes/client.ts';
import { BUCKET, bytesOf, clientOf, getInSteps, until } from '../fault/store/store-kit.ts';
import { type Store, startStore } from '../harness/store.ts';

const ANTIPODE = resolve(import.meta.dirname, '../../bin/antipode.js');
const NODES = ['node-a11', 'node-a12', 'node-b11', 'node-b12'] as const;
const SIZE = 300_000;

for (const transport of ['multicast', 'point-to-point', 'auto'] as const) {
  describe(`a store that searches by ${transport}`, () => {
    const first = transport === 'point-to-point' ? 'point-to-point' : 'multicast';
    let store: Store;
    let s3: S3Client;
    let nodes: Map<string, ReturnType<typeof createNodeClient>>;
    before(async () => {
      store = await startStore({ search: { transport, waitMs: 1_500 } });
      s3 = clientOf(store);
      await s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
      const secret = Buffer.from(
        readFileSync(join(store.dataDir, 'secrets', 'cluster.key'), 'utf8').trim(),
        'hex',
      );
      nodes = new Map(NODES.map((id) => [id, clientTo(id, store.subnets.octet, secret)]));
    });
    after(async () => {
      s3.destroy();
      for (const node of nodes.values()) await node.close();
      await store.kill();
    });

    const run = async (...args: string[]): Promise<string> => {
      const { accessKeyId, secretAccessKey } = store.credentials;
      const env = { ...process.env, ANTIPODE_ACCESS_KEY: accessKeyId, ANTIPODE_SECRET_KEY: secretAccessKey };
      const flags = ['--admin', store.adminEndpoint];
      return (await promisify(execFile)(process.execPath, [ANTIPODE, ...args, ...flags], { env })).stdout;
    };
    const locate = async (key: string, ...more: string[]): Promise<BlobReport> => {
      const text = await run('locate', `s3://${BUCKET}/${key}`, '--json', ...more);
      return (JSON.parse(text) as LocateReport).blobs[0]!;
    };
    /** A new object whose pair has its first member in failover order: where it is, and the two other nodes. */
    const put = async (key: string) => {
      const bytes = bytesOf(key, SIZE);
      await s3.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: bytes }));
      const blob = await locate(key);
      const { home, twin } = blob.map as { home: string; twin: string };
      const [otherA, otherB] = NODES.filter((id) => id !== home && id !== twin) as [string, string];
      return { bytes, id: parseBlobId(blob.id), home, twin, otherA, otherB };
    };
    /** Copies the blob from one node to another, node to node, and drops it where it was. */
    const move = async (id: ReturnType<typeof parseBlobId>, from: readonly string[], to: string) => {
      const holder = nodes.get(from[0]!)!;
      const entry = (await holder.stat(id))!;
      const [result] = await nodes.get(to)!.pull({
        sources: [{ member: holder.member, address: addressOf(from[0]!, store.subnets.octet), port: 7100 }],
        blobs: [{ ...entry, state: 'confirmed' }],
      });
      assert.equal(result?.outcome, 'pulled');
      for (const member of from) await nodes.get(member)!.drop([id]);
    };
    const failover = (verb: 'enter' | 'leave', ...subject: string[]) => run('failover', verb, ...subject);
    const isServing = (member: string) => async () => {
      const status = JSON.parse(
        await run('status', '--json').catch((error: { stdout: string }) => error.stdout),
      ) as { members: { id: string; condition: string }[] };
      return status.members.every(({ id, condition }) => !id.startsWith(member) || condition === 'serving');
    };

    it('serves what is in the center of the twin alone, records it, and carries it home', async () => {
      const { bytes, id, home, twin, otherB } = await put('in-twin-center');
      await move(id, [twin, home], otherB);
      const lost = await locate('in-twin-center');
      assert.deepEqual(
        lost.replicas.map(({ state }) => state),
        ['missing', 'missing'],
      );
      assert.deepEqual(
        lost.search.map(({ step, center, transport, answer, foundAt }) => [
          step,
          center,
          transport,
          answer,
          foundAt,
        ]),
        [['twin-center', 'b', first, 'found', [otherB]]],
      );
      const got = await getInSteps(s3, 'in-twin-center');
      assert.deepEqual([got.status, got.cut, got.bytes.equals(bytes)], [200, false, true]);
      await until(
        async () =>
          (await locate('in-twin-center')).replicas.filter((r) => r.state === 'present').length >= 2,
        'both replicas are back',
        60_000,
      );
    });

    it('serves it while a node is in failover, from the center of the twin and from the first', async () => {
      const near = await put('near');
      await move(near.id, [near.twin, near.home], near.otherB);
      await failover('enter', near.home);
      try {
        const got = await getInSteps(s3, 'near');
        assert.deepEqual([got.status, got.bytes.equals(near.bytes)], [200, true]);
        assert.equal((await nodes.get(near.home)!.status()).state, 'fenced');
      } finally {
        await failover('leave', near.home);
        await until(isServing(near.home), 'it serves again', 90_000);
      }
      const far = await put('far');
      await move(far.id, [far.home, far.twin], far.otherA);
      await failover('enter', far.home);
      try {
        const { search } = await locate('far');
        assert.deepEqual(
          search.map(({ step, answer, leftOut }) => [step, answer, leftOut]),
          [
            ['twin-center', 'nowhere', []],
            ['first-center', 'found', [far.home]],
          ],
        );
        const got = await getInSteps(s3, 'far');
        assert.deepEqual([got.status, got.bytes.equals(far.bytes)], [200, true]);
      } finally {
        await failover('leave', far.home);
        await until(isServing(far.home), 'it serves again', 90_000);
      }
    });

    it('answers 503, never 404, while a whole center is out and nobody else has it', async () => {
      const { id, home, twin, otherA } = await put('out');
      await move(id, [home, twin], otherA);
      await failover('enter', 'center', 'a');
      const requests = async () =>
        Promise.all([home, otherA].map(async (member) => (await nodes.get(member)!.status()).requests));
      const old = await requests();
      const got = await getInSteps(s3, 'out');
      assert.equal(got.status, 503);
      assert.ok(Number(got.retryAfter) > 0);
      const { search } = await locate('out');
      assert.deepEqual(
        search.map(({ step, center, transport, answer }) => [step, center, transport, answer]),
        [
          ['twin-center', 'b', first, 'nowhere'],
          ['first-center', 'a', 'none', 'left out'],
        ],
      );
      assert.match(await run('locate', `s3://${BUCKET}/out`), /first-center a +none +left out/);
      assert.deepEqual(await requests(), old);
      assert.equal((await getInSteps(s3, 'never-written')).status, 404);
      await failover('leave', 'center', 'a');
      await until(isServing('node-a'), 'center a serves again', 120_000);
    });
  });
}

const addressOf = (id: string, octet: number): string =>
  `127.${id.startsWith('node-a') ? 1 : 2}.${octet}.${id.slice(-2)}`;

const clientTo = (id: string, octet: number, secret: Buffer) =>
  createNodeClient({
    member: id as MemberId,
    address: addressOf(id, octet),
    port: 7100,
    secret,
    deadlines: { connectMs: 2_000, firstByteMs: 10_000, stallMs: 10_000 },
    clock: systemClock,
  });
