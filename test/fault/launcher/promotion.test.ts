/** A real store whose primary directory is moved and killed, under clients that retry as SDKs do. The rest: test/long. */
import assert from 'node:assert/strict';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ChangeEventLine } from '../../../src/admin/changes-api.ts';
import { deadline, type Run, runCommand, runStart, type Store, startStore } from '../../harness/store.ts';
import { A, antipode, B, decided, decisionsOf } from './promotion-kit.ts';
import { SdkClients } from './sdk-clients.ts';

let store: Store;
let clients: SdkClients;
let follower: Run;
before(async () => {
  store = await startStore({ nodesPerCenter: 1, settings: { directoryDeadlineMs: 3_000 } });
  clients = new SdkClients(store);
  const { accessKeyId, secretAccessKey } = store.credentials;
  const flags = ['--follow', '--json', '--from', 'beginning', '--admin', store.adminEndpoint];
  follower = runCommand(['changes', ...flags], {
    env: { ANTIPODE_ACCESS_KEY: accessKeyId, ANTIPODE_SECRET_KEY: secretAccessKey },
  });
  await clients.start(3);
});
after(async () => {
  follower.child.kill('SIGKILL');
  await store.kill();
});

/** What somebody who follows the changes has been told by now. */
const followed = () =>
  follower
    .stdout()
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as ChangeEventLine);

describe('the primary directory', () => {
  it('moved by an operator: no client sees an error, and the old one returns as the standby', async () => {
    await clients.more(20);
    const entered = await antipode(store, 'failover', 'enter', A, '--reason', 'maintenance');
    assert.equal(entered.code, 0, entered.out);
    await clients.more(10);
    const status = await antipode(store, 'status');
    assert.equal(status.code, 1, 'lost redundancy shows');
    assert.match(status.out, /maintenance/);
    const again = await antipode(store, 'failover', 'enter', B);
    assert.equal(again.code, 1);
    assert.match(again.out, /directory-a5 is out/);
    assert.equal((await antipode(store, 'failover', 'leave', A)).code, 0);
    await decided(store, 0, 'returned', A);
    await clients.more(10);
    assert.equal(clients.errors.length, 0, clients.said());
    assert.deepEqual(clients.wrong, []);
  });

  it('killed: its twin goes on with everything that was acknowledged', async () => {
    const made = decisionsOf(store).length;
    store.signal(B, 'SIGKILL');
    await decided(store, made, 'promoted', A);
    await clients.more(20);
    await clients.stop();
    await clients.checkAll();
  });

  it('changed twice: who follows the changes has been told of all, each key in its order', async () => {
    const missing = () => {
      const told = new Set(followed().map(({ key }) => key));
      return clients.keys().filter((key) => !told.has(key));
    };
    for (const until = performance.now() + 60_000; missing().length > 0; await sleep(50))
      assert.ok(performance.now() < until, `not told: ${missing().join(' ')}\n${follower.stderr()}`);
    const changes = followed();
    assert.deepEqual(new Set(changes.map(({ type }) => type)), new Set(['change']));
    const last = new Map<string, number>();
    const seen = new Set<string>();
    for (const { event, key, number } of changes) {
      // Told again: at least once.
      if (seen.has(event)) continue;
      seen.add(event);
      assert.ok(number > (last.get(key ?? '') ?? 0), `${key}: ${number} after ${last.get(key ?? '')}`);
      last.set(key ?? '', number);
    }
  });

  it('with its folder gone and its twin out: the next start is refused in one line', async () => {
    await antipode(store, 'failover', 'enter', B);
    await store.stop({ keep: true });
    const folder = join(store.dataDir, A, 'pg');
    renameSync(folder, `${folder}.away`);
    const run = runStart(store.dataDir, store.subnets);
    assert.equal(await deadline(run.exited, 30_000, 'it did not end'), 2, run.stderr());
    assert.match(run.stderr(), /^antipode: .*directory-a5 is missing, and directory-b5 was out.*\n$/);
  });
});
