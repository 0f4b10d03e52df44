/** Starts and ends of a whole store: clean, by force, in part; what was acknowledged is there after each. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { processesOf, type Store, startStore, untilNoneRuns } from '../../harness/store.ts';

const BUCKET = 'lifecycle';
const stores: Store[] = [];
after(async () => {
  for (const store of stores) if (processesOf(store.dataDir).length > 0) await store.kill();
});

async function begin(from?: Store): Promise<Store> {
  const store = await startStore({ nodesPerCenter: 1, ...(from ? { from } : {}) });
  stores.push(store);
  return store;
}

const client = (store: Store) =>
  new S3Client({
    endpoint: store.endpoint,
    region: store.region,
    credentials: { ...store.credentials },
    forcePathStyle: true,
  });

async function put(store: Store, key: string): Promise<void> {
  const s3 = client(store);
  await s3.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: `the bytes of ${key}` }));
  s3.destroy();
}

async function finds(store: Store, keys: readonly string[]): Promise<void> {
  const s3 = client(store);
  for (const key of keys) {
    const { Body } = await s3.send(new GetObjectCommand({ Bucket: BUCKET, Key: key }));
    assert.equal(await Body?.transformToString(), `the bytes of ${key}`);
  }
  s3.destroy();
}

describe('a store', () => {
  let store: Store;

  it('starts, shows its credentials and says where it answers', async () => {
    store = await begin();
    const { accessKeyId, secretAccessKey } = store.credentials;
    assert.match(
      store.stdout(),
      new RegExp(`access key ${accessKeyId}\nsecret key ${secretAccessKey}\nready `),
    );
    assert.match(store.catalogUrl, /^postgres:\/\/antipode_reader@127\.1\.\d+\.5:7432\/antipode$/);
    for (const file of ['cluster.key', 'master.key', 'root-credentials.json'])
      assert.ok(existsSync(join(store.dataDir, 'secrets', file)));
    const s3 = client(store);
    await s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
    s3.destroy();
    await put(store, 'first');
  });

  it('ends cleanly on SIGTERM: exit code 0, no process left', async () => {
    assert.equal(await store.stop({ keep: true }), 0);
    assert.deepEqual(processesOf(store.dataDir), []);
  });

  it('finds everything when it is started again, and does not show the credentials', async () => {
    const { credentials } = store;
    store = await begin(store);
    assert.deepEqual(store.credentials, credentials);
    assert.doesNotMatch(store.stdout(), /secret key/);
    await finds(store, ['first']);
    await put(store, 'second');
  });

  it('ends its members when the supervisor alone is killed, and starts again', async () => {
    process.kill(store.pid, 'SIGKILL');
    await untilNoneRuns(store.dataDir);
    store = await begin(store);
    await finds(store, ['first', 'second']);
    await put(store, 'third');
  });

  it('starts at once while members of a killed supervisor are still ending', async () => {
    process.kill(store.pid, 'SIGKILL');
    await store.exited;
    store = await begin(store);
    await finds(store, ['first', 'second', 'third']);
    await put(store, 'fourth');
  });

  it('starts again after everything was killed, and has every acknowledged write', async () => {
    await store.kill({ keep: true });
    store = await begin(store);
    await finds(store, ['first', 'second', 'third', 'fourth']);
  });

  it('starts again when only the Postgres servers are left of it', async () => {
    const members = store.pids();
    for (const pid of [store.pid, ...agents(store)]) process.kill(pid, 'SIGKILL');
    process.kill(members['gateway-1']!, 'SIGKILL');
    await store.exited;
    assert.ok(processesOf(store.dataDir).length > 0);
    store = await begin(store);
    await finds(store, ['first', 'fourth']);
  });

  it('starts a member again that was killed', async () => {
    for (const id of ['node-a11', 'gateway-1', 'directory-a5', 'directory-b5']) {
      const before = store.pids()[id]!;
      store.signal(id, 'SIGKILL');
      const until = performance.now() + 20_000;
      while ((store.pids()[id] ?? before) === before) {
        assert.ok(performance.now() < until, `${id} was not started again`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
    await eventually(() => finds(store, ['first', 'fourth']));
    await eventually(() => put(store, 'fifth'));
  });

  it('is ended by force on the second Ctrl-C, when a member hangs', async () => {
    store.signal('node-a11', 'SIGSTOP');
    process.kill(store.pid, 'SIGINT');
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    assert.ok(processesOf(store.dataDir).length > 0, 'the first one waits for the member');
    process.kill(store.pid, 'SIGINT');
    assert.equal(await store.exited, 1);
    assert.deepEqual(processesOf(store.dataDir), []);
    store = await begin(store);
    await finds(store, ['first', 'fifth']);
  });

  it('ends cleanly afterwards', async () => {
    assert.equal(await store.stop(), 0);
    assert.deepEqual(processesOf(store.dataDir), []);
  });
});

/** The agents' own processes, not their servers'. */
function agents(store: Store): number[] {
  const pids = JSON.parse(readFileSync(join(store.dataDir, 'run', 'pids.json'), 'utf8')) as Record<
    string,
    number
  >;
  return [pids['directory-a5']!, pids['directory-b5']!];
}

async function eventually(check: () => Promise<void>, ms = 20_000): Promise<void> {
  const until = performance.now() + ms;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}
