/** The tour that the README sends people on, with fewer files and shorter waits. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { after, before, it } from 'node:test';
import { type Store, startStore } from '../harness/store.ts';

const TOUR = resolve(import.meta.dirname, '../../scripts/tour.sh');
const RUN_MS = 180_000;
let store: Store;
before(async () => {
  store = await startStore({ settings: { monitor: { failAfterMs: 2_500, backAfterMs: 1_500 } } });
});
after(() => store?.stop());

it('ends well: a center is lost in the middle of a sync and comes back; the primary directory in that of another', async () => {
  const child = spawn('bash', [TOUR, '--data', store.dataDir], {
    env: { ...process.env, TOUR_FILES: '240' },
    timeout: RUN_MS,
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      said += chunk;
    });
  }
  const code = await new Promise((done) => child.once('close', done));
  assert.equal(code, 0, said);
  assert.match(said, /0 exceptions, 0 unknown/);
  assert.match(said, /center b\s+failed-over/);
  assert.match(said, /directory-b5 is the primary directory now/);
});
