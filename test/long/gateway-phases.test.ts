/**
 * The gateway of a whole store is killed in every phase of a write. What was acknowledged stays, what was not is whole or
 * absent, the client's retry succeeds, and after the grace the nodes have exactly what the catalog names.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { request } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import {
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import pg from 'pg';
import { readPasswords } from '../../src/launcher/secrets.ts';
import type { NodeClient } from '../../src/nodes/protocol.ts';
import { antipode, nodeClientOf } from '../fault/store/cluster-kit.ts';
import {
  BUCKET,
  bytesOf,
  clientOf,
  filesOf,
  getInSteps,
  MIB,
  sha256,
  until,
} from '../fault/store/store-kit.ts';
import { auditOf } from '../harness/audit.ts';
import { signalTree } from '../harness/process-tree.ts';
import { type Store, startStore } from '../harness/store.ts';

const NODES = ['node-a11', 'node-b11'] as const;
const PRIMARY = 'directory-a5';
const STANDBY = 'directory-b5';
const SIZE = 3 * MIB;
const PART = 5 * MIB;
const NOTICE_MS = 600;
const SETTINGS = {
  // Every first attempt of a phase must become reapable within the test, and no commit be late on a crowded machine.
  ...{ intentMs: 12_000, pendingGraceMs: 500, reapIntervalMs: 400 },
  ...{ blobGraceMs: 500, reclaimIntervalMs: 400 },
  // What is stopped here for a moment is nobody's failure.
  ...{ directoryDeadlineMs: 60_000, monitor: { failAfterMs: 60_000 } },
  nodeDeadlines: { connectMs: 3_000, firstByteMs: 10_000, stallMs: 10_000 },
};

type Ended = number | 'cut';
interface Put {
  readonly key: string;
  readonly bytes: Buffer;
  readonly ended: Promise<Ended>;
  finish(): void;
}
interface Upload {
  readonly key: string;
  readonly bytes: Buffer;
  complete(): Promise<string | undefined>;
}

const oldBytes = (key: string) => bytesOf(`old ${key}`, SIZE);
const newBytes = (key: string) => bytesOf(`new ${key}`, SIZE);
const md5 = (bytes: Buffer) => createHash('md5').update(bytes).digest('hex');

describe('a gateway that is killed in the middle of a write', () => {
  let store: Store;
  let s3: S3Client;
  let sql: pg.Client;
  let nodes: NodeClient[];
  /** What every key is known to hold, by digest. */
  const acknowledged = new Map<string, string>();

  before(async () => {
    store = await startStore({ nodesPerCenter: 1, settings: SETTINGS });
    s3 = clientOf(store);
    await s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
    const { hostname: host, port } = new URL(store.catalogUrl);
    const password = readPasswords(`${store.dataDir}/secrets`).superuser;
    sql = new pg.Client({ host, port: Number(port), database: 'antipode', user: 'postgres', password });
    sql.on('error', () => {});
    await sql.connect();
    nodes = NODES.map((member) => nodeClientOf(store, member));
  });
  after(async () => {
    s3?.destroy();
    await sql?.end().catch(() => {});
    await Promise.all((nodes ?? []).map((node) => node.close()));
    await store?.kill();
  });

  const temporaries = () =>
    NODES.flatMap((member) => filesOf(`${store.dataDir}/${member}`)).filter((file) =>
      file.includes('/store/tmp/'),
    ).length;
  const inventories = () =>
    Promise.all(
      nodes.map(async (node) =>
        (await node.inventory({ max: 1_000 })).map(({ id, size, root, state }) => ({
          ...{ id, size, state },
          root: root.toString('hex'),
        })),
      ),
    );
  const rows = async (text: string, values: unknown[] = []) =>
    (await sql.query<Record<string, unknown>>(text, values)).rows;

  async function put(key: string, bytes: Buffer): Promise<void> {
    await s3.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: bytes }));
    acknowledged.set(key, sha256(bytes));
  }

  /** Two PUTs, one over an object and one of a new key, which send their headers and `sent` bytes. */
  async function begin(phase: string, sent: number): Promise<Put[]> {
    const keys = [`${phase}/over`, `${phase}/new`];
    await put(keys[0]!, oldBytes(keys[0]!));
    return Promise.all(keys.map((key) => startPut(s3, key, newBytes(key), sent)));
  }

  /** As `begin`, with both half on its way to both nodes. */
  async function beginHalf(phase: string): Promise<Put[]> {
    const others = temporaries();
    const puts = await begin(phase, SIZE / 2);
    await until(
      () => temporaries() >= others + 2 * puts.length,
      'both halves are on their way to both nodes',
    );
    return puts;
  }

  async function beginUpload(key: string): Promise<Upload> {
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket: BUCKET, Key: key }));
    const parts = [bytesOf(`${key} 1`, PART), bytesOf(`${key} 2`, MIB)];
    const Parts: { PartNumber: number; ETag: string | undefined }[] = [];
    for (const [index, Body] of parts.entries()) {
      const part = { Bucket: BUCKET, Key: key, UploadId, PartNumber: index + 1 };
      Parts.push({
        PartNumber: index + 1,
        ETag: (await s3.send(new UploadPartCommand({ ...part, Body }))).ETag,
      });
    }
    const done = { Bucket: BUCKET, Key: key, UploadId, MultipartUpload: { Parts } };
    const complete = async () => (await s3.send(new CompleteMultipartUploadCommand(done))).ETag;
    return { key, bytes: Buffer.concat(parts), complete };
  }

  /** The backends of commits that wait in the primary for `event`. */
  async function waiting(event: string, statement: string): Promise<unknown[]> {
    // A transaction sees the activity of its first look.
    await rows('SELECT pg_stat_clear_snapshot()');
    const found = await rows(
      `SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%' || $2 || '%'
       AND (wait_event = $1 OR wait_event_type = $1) AND application_name = 'antipode'`,
      [event, statement],
    );
    return found.map(({ pid }) => pid);
  }

  /** SIGKILL; `resume` lets the catalog go on; resolves when the supervisor's next gateway serves and nothing of the old one runs. */
  async function killGateway(resume: () => Promise<void> | void = () => {}): Promise<void> {
    const pid = store.pids()['gateway-1'];
    process.kill(pid!, 'SIGKILL');
    const killedAt = new Date();
    await resume();
    await until(async () => {
      const left = await rows(
        `SELECT FROM pg_stat_activity WHERE application_name = 'antipode' AND backend_start < $1`,
        [killedAt],
      );
      return left.length === 0;
    }, 'the old connections are gone');
    await until(async () => {
      if (store.pids()['gateway-1'] === pid) return false;
      return fetch(`${store.endpoint}/-/ready`).then(
        (answer) => answer.ok,
        () => false,
      );
    }, 'the supervisor has started another gateway');
  }

  /** A GET: whole, with status 200, or 404; the listing says the same. @returns the digest, or null */
  async function look(key: string): Promise<string | null> {
    const got = await getInSteps(s3, key);
    const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: BUCKET, Prefix: key }));
    const listed = Contents.map(({ Key, Size, ETag }) => [Key, Size, ETag]);
    assert.equal(got.cut, false, `${key} is cut short`);
    if (got.status === 404) {
      assert.deepEqual(listed, [], `${key} is listed and not found`);
      return null;
    }
    assert.equal(got.status, 200, key);
    const etag = key.endsWith('/parts') ? Contents[0]?.ETag : `"${md5(got.bytes)}"`;
    assert.deepEqual(listed, [[key, got.bytes.length, etag]], `${key}: the list and GET differ`);
    return sha256(got.bytes);
  }

  /** Whether each is there, which must be as `expected` says where that is certain; then the client's retry. */
  async function settle(puts: readonly Put[], expected?: 'old' | 'new'): Promise<boolean[]> {
    const isNew: boolean[] = [];
    for (const { key, bytes, ended } of puts) {
      const status = await ended;
      assert.ok(status === 200 || status === 'cut', `${key}: ${status}`);
      const certain = status === 200 ? 'new' : expected;
      const found = await look(key);
      const [before, now] = [acknowledged.get(key) ?? null, sha256(bytes)];
      assert.ok(found === before || found === now, `${key} is neither the old nor the new object`);
      if (certain) assert.equal(found === now ? 'new' : 'old', certain, `${key}, whose client saw ${status}`);
      isNew.push(found === now);
      // Nobody repeats what was acknowledged: that blob itself must outlive the grace.
      if (status === 200) acknowledged.set(key, now);
      else await put(key, bytes);
      assert.equal(await look(key), now, `${key} after the retry`);
    }
    return isNew;
  }

  /** The client repeats what it had no answer to. */
  async function repeat(upload: Upload, expected: 'absent' | 'whole'): Promise<void> {
    const whole = sha256(upload.bytes);
    assert.equal(await look(upload.key), expected === 'whole' ? whole : null, upload.key);
    const first = await upload.complete();
    assert.match(first!, /^"[0-9a-f]{32}-2"$/);
    assert.equal(await upload.complete(), first, 'a repeated completion has the first result');
    assert.equal(await look(upload.key), whole);
    acknowledged.set(upload.key, whole);
  }

  it('before the first byte of the body, or in the middle of it', async () => {
    const puts = [...(await begin('headers', 0)), ...(await beginHalf('body'))];
    await killGateway();
    for (const { ended } of puts) assert.equal(await ended, 'cut');
    await settle(puts, 'old');
    await until(() => temporaries() === 0, 'the nodes drop the halves');
  });

  it('when the bytes are on the nodes and the commit is not decided', async () => {
    const upload = await beginUpload('undecided/parts');
    const puts = await beginHalf('undecided');
    let completed: Promise<Ended>;
    await rows('BEGIN');
    try {
      await rows('LOCK TABLE antipode.version IN EXCLUSIVE MODE');
      completed = upload.complete().then(
        () => 200,
        () => 'cut' as const,
      );
      for (const one of puts) one.finish();
      const held = async () =>
        Promise.all(['complete_upload', 'commit_batch'].map((name) => waiting('Lock', name)));
      await until(
        async () => temporaries() === 0 && (await held()).every((backends) => backends.length > 0),
        'the bytes are on the nodes and the commits wait',
      );
      // Long enough for what nodes would be told too early: notices are collected for a moment.
      await sleep(NOTICE_MS);
      await killGateway(async () => {
        for (const pid of (await held()).flat()) await rows('SELECT pg_terminate_backend($1)', [pid]);
        await rows('ROLLBACK');
      });
    } finally {
      await rows('ROLLBACK');
    }
    assert.equal(await completed, 'cut');
    await settle(puts, 'old');
    await repeat(upload, 'absent');
  });

  it('when the commit is sent and the catalog stands still', async () => {
    const puts = await beginHalf('sent');
    const before = (await inventories())[0]!.length;
    const primary = store.pids()[PRIMARY]!;
    signalTree(primary, 'SIGSTOP');
    try {
      for (const one of puts) one.finish();
      await until(
        async () => (await inventories()).every((ids) => ids.length >= before + puts.length),
        'the bytes are on the nodes',
      );
      await killGateway(() => signalTree(primary, 'SIGCONT'));
    } finally {
      signalTree(primary, 'SIGCONT');
    }
    await settle(puts);
  });

  it('when the commit is decided and waits for its twin', async () => {
    const upload = await beginUpload('decided/parts');
    const puts = await beginHalf('decided');
    const standby = store.pids()[STANDBY]!;
    signalTree(standby, 'SIGSTOP');
    let completed: Promise<Ended>;
    try {
      completed = upload.complete().then(
        () => 200,
        () => 'cut' as const,
      );
      for (const one of puts) one.finish();
      for (const statement of ['complete_upload', 'commit_batch'])
        await until(async () => (await waiting('SyncRep', statement)).length > 0, `${statement} waits`);
      await killGateway(() => signalTree(standby, 'SIGCONT'));
    } finally {
      signalTree(standby, 'SIGCONT');
    }
    assert.equal(await completed, 'cut');
    assert.ok((await settle(puts)).includes(true), 'a commit that was decided is lost');
    await repeat(upload, 'whole');
  });

  it('right after the answer', async () => {
    const puts = await beginHalf('answered');
    for (const one of puts) one.finish();
    assert.equal(await Promise.race(puts.map(({ ended }) => ended)), 200);
    await killGateway();
    await settle(puts);
  });

  it('and leaves nothing behind after the grace', async () => {
    await until(
      async () => {
        const found = await rows('SELECT id FROM antipode.blob');
        const named = found.map(({ id }) => `${String(id).replaceAll('-', '')} confirmed`).toSorted();
        const kept = (await inventories()).map((entries) => entries.map(({ id, state }) => `${id} ${state}`));
        return kept.every((entries) => isDeepStrictEqual(entries.toSorted(), named));
      },
      'each node has what the catalog names and nothing else',
      // A gateway that was killed between taking a dead blob and forgetting it keeps it for its lease (a minute).
      120_000,
    );
    const [a, b] = await inventories();
    assert.deepEqual(a, b);
    assert.equal(temporaries(), 0);
    const { code, stdout } = await antipode(store, 'verify', '--deep');
    assert.match(stdout, new RegExp(`^${acknowledged.size} objects, .*: 0 exceptions, 0 unknown\n$`));
    assert.equal(code, 0);
    assert.deepEqual(await auditOf(rows), {});
    const { Uploads = [] } = await s3.send(new ListMultipartUploadsCommand({ Bucket: BUCKET }));
    assert.deepEqual(Uploads, []);
    for (const [key, digest] of acknowledged) assert.equal(await look(key), digest, key);
  });
});

/** A PUT whose headers the gateway has read (it asks for the body), and `sent` bytes of it are sent. */
async function startPut(s3: S3Client, key: string, bytes: Buffer, sent: number): Promise<Put> {
  const url = await getSignedUrl(s3, new PutObjectCommand({ Bucket: BUCKET, Key: key }), { expiresIn: 900 });
  const headers = { 'content-length': bytes.length, expect: '100-continue' };
  const req = request(url, { method: 'PUT', agent: false, headers });
  const ended = new Promise<Ended>((done) => {
    req.once('response', (response) => {
      response.resume();
      response.once('error', () => {});
      done(response.statusCode!);
    });
    req.on('error', () => done('cut'));
  });
  const asked = new Promise<void>((done) => req.once('continue', () => done()));
  req.flushHeaders();
  const early = await Promise.race([asked, ended]);
  if (early !== undefined) throw new Error(`${key}: ${early} before the body`);
  if (sent > 0) req.write(bytes.subarray(0, sent));
  return { key, bytes, ended, finish: () => req.end(bytes.subarray(sent)) };
}
