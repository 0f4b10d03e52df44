/**
 * A pair of directories through everything that ends a primary, and a supervisor that is killed between the steps of a
 * promotion: afterwards one primary, and every acknowledged write. Clients retry as SDKs do.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, renameSync, rmSync, statfsSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { processesIn } from '../../src/launcher/postgres-processes.ts';
import { agentOf, antipode, decided, decisionsOf } from '../fault/launcher/promotion-kit.ts';
import { SdkClients } from '../fault/launcher/sdk-clients.ts';
import { smallDisk } from '../fault/nodes/small-disk.ts';
import { makeFolder, type Store, startStore, takeSubnets } from '../harness/store.ts';

const OPTIONS = { nodesPerCenter: 1, readyMs: 180_000, settings: { directoryDeadlineMs: 3_000 } };

let store: Store;
let clients: SdkClients;
const folderOf = (member: string) => join(store.dataDir, member, 'pg');
const primaryNow = (): string =>
  decisionsOf(store).findLast(({ what }) => what === 'promoted')?.member ?? 'directory-a5';
const twinOf = (member: string): string => (member === 'directory-a5' ? 'directory-b5' : 'directory-a5');

/** Until the pair is whole: the twin of `primary` has returned after the first `made` decisions. */
async function whole(made: number, primary: string): Promise<void> {
  await decided(store, made, 'promoted', primary);
  await clients.more(20);
  await decided(store, made, 'returned', twinOf(primary));
  await clients.more(20);
  assert.deepEqual(clients.wrong, []);
}

describe('a primary that ends, under clients', () => {
  before(async () => {
    store = await startStore(OPTIONS);
    clients = new SdkClients(store);
    await clients.start(3);
  });
  after(async () => {
    await clients.stop();
    await clients.checkAll();
    await store.stop();
  });

  const WAYS: Readonly<Record<string, (primary: string) => void>> = {
    'its server killed': (primary) => store.signal(primary, 'SIGKILL'),
    'its agent killed': (primary) => void process.kill(agentOf(store, primary), 'SIGKILL'),
    'its server stopped': (primary) => {
      for (const pid of processesIn(folderOf(primary))) process.kill(pid, 'SIGSTOP');
    },
    'server and agent stopped': (primary) => {
      for (const pid of [...processesIn(folderOf(primary)), agentOf(store, primary)])
        process.kill(pid, 'SIGSTOP');
    },
    'its folder removed under it': (primary) => {
      const [server] = processesIn(folderOf(primary));
      rmSync(folderOf(primary), { recursive: true });
      process.kill(server!, 'SIGKILL');
    },
  };
  for (const [name, end] of Object.entries(WAYS))
    it(`${name}: the twin takes over, and the old one returns`, async () => {
      await clients.more(20);
      const [made, old] = [decisionsOf(store).length, primaryNow()];
      end(old);
      await whole(made, twinOf(old));
    });

  it('moved there and back by an operator, again and again: no client sees an error', async () => {
    const errors = clients.errors.length;
    for (let round = 0; round < 4; round++) {
      const [made, old] = [decisionsOf(store).length, primaryNow()];
      const entered = await antipode(store, 'failover', 'enter', old);
      assert.equal(entered.code, 0, entered.out);
      assert.equal((await antipode(store, 'failover', 'leave', old)).code, 0);
      await whole(made, twinOf(old));
    }
    assert.equal(clients.errors.length, errors, clients.said());
  });

  it('both servers killed at once: one goes on, with everything', async () => {
    const made = decisionsOf(store).length;
    for (const member of ['directory-b5', 'directory-a5']) store.signal(member, 'SIGKILL');
    await clients.more(20, 120_000);
    const deadline = performance.now() + 90_000;
    for (;;) {
      const status = await antipode(store, 'status');
      if (status.code === 0) break;
      assert.ok(performance.now() < deadline, status.out);
      await sleep(500);
    }
    await clients.more(20);
    assert.ok(
      decisionsOf(store)
        .slice(made)
        .filter(({ what }) => what === 'promoted').length <= 1,
    );
    assert.deepEqual(clients.wrong, []);
  });

  it('shows what happened', async () => {
    const history = await antipode(store, 'failover', 'history');
    assert.match(history.out, /directory-b5 .*its Postgres has ended/);
    assert.match(history.out, /it has caught up/);
  });
});

describe('a supervisor that is killed in a promotion', () => {
  before(async () => {
    store = await startStore(OPTIONS);
    clients = new SdkClients(store);
    await clients.start(2);
  });
  after(async () => {
    await clients.stop();
    await store.stop();
  });

  const promoted = (made: number) =>
    decisionsOf(store)
      .slice(made)
      .some(({ what }) => what === 'promoted');
  /** What shows that the step has been done. */
  const STEPS: Readonly<Record<string, (made: number, old: string) => boolean>> = {
    'when no process of the old primary is left': (_, old) => processesIn(folderOf(old)).length === 0,
    'when the promotion is on record': (made) => promoted(made),
    'when the twin has been promoted': (made, old) =>
      promoted(made) && !existsSync(join(folderOf(twinOf(old)), 'standby.signal')),
    'while the old one is seeded': (_, old) => existsSync(`${folderOf(old)}.new`),
    'when its old folder is set aside': (_, old) => existsSync(`${folderOf(old)}.aside`),
    'when it has returned': (made) =>
      decisionsOf(store)
        .slice(made)
        .some(({ what }) => what === 'returned'),
  };
  for (const [name, isDone] of Object.entries(STEPS))
    it(`${name}: the next start has one primary, and everything`, async () => {
      await clients.more(20);
      const [made, old] = [decisionsOf(store).length, primaryNow()];
      store.signal(old, 'SIGKILL');
      for (const until = performance.now() + 60_000; !isDone(made, old); await sleep(1))
        assert.ok(performance.now() < until, `${name}\n${store.stderr()}`);
      process.kill(store.pid, 'SIGKILL');
      await clients.stop();
      const { dataDir, subnets } = store;
      store = await startStore({ ...OPTIONS, from: { dataDir, subnets } });
      assert.match(store.catalogUrl, new RegExp(`@127\\.${primaryNow() === 'directory-a5' ? 1 : 2}\\.`));
      clients.moveTo(store);
      await clients.checkAll();
      await clients.start(2);
      await clients.more(20);
      if (promoted(made)) await decided(store, made, 'returned', old);
      assert.deepEqual(clients.wrong, []);
    });

  it('with the folder of the primary gone and its twin in: the next start promotes the twin', async () => {
    await clients.more(20);
    await clients.stop();
    const [made, old] = [decisionsOf(store).length, primaryNow()];
    const { dataDir, subnets } = store;
    await store.stop({ keep: true });
    renameSync(folderOf(old), `${folderOf(old)}.away`);
    store = await startStore({ ...OPTIONS, from: { dataDir, subnets } });
    clients.moveTo(store);
    await clients.checkAll();
    await clients.start(2);
    await whole(made, twinOf(old));
  });
});

describe('a primary whose disk runs full', () => {
  it('is replaced by its twin', async (t) => {
    const disk = await smallDisk(400);
    if (!disk) return t.skip('mounting a small disk is not allowed here');
    const dataDir = join(makeFolder(), 'data');
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    symlinkSync(disk.path, join(dataDir, 'directory-a5'));
    store = await startStore({ ...OPTIONS, from: { dataDir, subnets: await takeSubnets() } });
    try {
      clients = new SdkClients(store);
      await clients.start(2);
      await clients.more(20);
      const { bavail, bsize } = statfsSync(disk.path);
      writeFileSync(join(disk.path, 'ballast'), Buffer.alloc(bavail * bsize - 8 * 1024 * 1024));
      await decided(store, 0, 'promoted', 'directory-b5');
      await clients.more(20);
      await clients.stop();
      await clients.checkAll();
      rmSync(join(disk.path, 'ballast'));
      await decided(store, 0, 'returned', 'directory-a5');
    } finally {
      await store.stop();
      await disk[Symbol.asyncDispose]();
    }
  });
});
