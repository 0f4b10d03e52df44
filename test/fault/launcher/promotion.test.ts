/** A real store whose primary directory is moved and killed, under clients that retry as SDKs do. The rest: test/long. */
import assert from 'node:assert/strict';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { deadline, runStart, type Store, startStore } from '../../harness/store.ts';
import { A, antipode, B, decided, decisionsOf } from './promotion-kit.ts';
import { SdkClients } from './sdk-clients.ts';

let store: Store;
let clients: SdkClients;
before(async () => {
  store = await startStore({ nodesPerCenter: 1, settings: { directoryDeadlineMs: 3_000 } });
  clients = new SdkClients(store);
  await clients.start(3);
});
after(() => store.kill());

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
