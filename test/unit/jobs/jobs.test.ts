/** Reaping and reclaiming on fake nodes, a virtual clock and a catalog of two sets. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pino from 'pino';
import type { BlobId, MemberId } from '../../../src/base/ids.ts';
import { type BlobRef, CatalogUnavailable } from '../../../src/ddm/catalog.ts';
import { type JobsOptions, startJobs } from '../../../src/jobs/start.ts';
import { makeWorld, type World, writeRequest } from '../../world/world.ts';

const HOUR_MS = 3_600_000;

class TinyCatalog {
  readonly known = new Set<BlobId>();
  dying: BlobRef[] = [];
  isAway = false;
  asked = 0;
  readonly #assertHere = () => {
    this.asked += 1;
    if (this.isAway) throw new CatalogUnavailable('away');
  };
  knownBlobs = async (ids: readonly BlobId[]) => {
    this.#assertHere();
    return new Set(ids.filter((id) => this.known.has(id)));
  };
  takeDyingBlobs = async (max: number) => {
    this.#assertHere();
    return this.dying.slice(0, max).map((blob) => ({ blob }));
  };
  forgetBlobs = async (ids: readonly BlobId[]) => {
    this.#assertHere();
    this.dying = this.dying.filter((blob) => !ids.includes(blob.id));
  };
}

function start(world: World, catalog: TinyCatalog, more: Partial<JobsOptions> = {}) {
  return startJobs({
    catalog,
    clients: world.nodes,
    topology: world.topology,
    clock: world.clock,
    random: world.random,
    log: pino({ level: 'silent' }),
    ...more,
  });
}

async function writeBlobs(world: World, count: number): Promise<BlobRef[]> {
  const blobs: BlobRef[] = [];
  for (let index = 0; index < count; index += 1) {
    const placement = { kind: 'object', bucket: 'bucket', key: `key-${index}` } as const;
    const written = await world.clock.run(
      world.dosm.write(writeRequest(Buffer.from(`${index}`), { placement })),
    );
    blobs.push(written.blob);
  }
  return blobs;
}
const pass = (world: World, ms: number) => world.clock.run(world.clock.sleep(ms), 100 * HOUR_MS);
const statesOf = (world: World, blob: BlobRef) =>
  world.holders(blob).map((node) => node.blobs.get(blob.id)?.state ?? 'gone');

test('pending blobs: confirmed when a row names them, deleted when none does, neither before their time', async () => {
  const world = makeWorld(1);
  const catalog = new TinyCatalog();
  const [named, orphan] = (await writeBlobs(world, 2)) as [BlobRef, BlobRef];
  catalog.known.add(named.id);
  const jobs = start(world, catalog);
  await pass(world, 7 * HOUR_MS);
  assert.deepEqual(
    [statesOf(world, named), statesOf(world, orphan)],
    [
      ['pending', 'pending'],
      ['pending', 'pending'],
    ],
  );
  await pass(world, HOUR_MS);
  assert.deepEqual(statesOf(world, named), ['confirmed', 'confirmed']);
  assert.deepEqual(statesOf(world, orphan), ['gone', 'gone']);
  const { confirmed, deleted } = jobs.progress().reap;
  assert.deepEqual([confirmed, deleted], [2, 2]);
  await world.clock.run(jobs.close());
});

test('many pending blobs go in batches', async () => {
  const world = makeWorld(1);
  const catalog = new TinyCatalog();
  const blobs = await writeBlobs(world, 25);
  const kept = new Set(blobs.filter((_, index) => index % 2 === 0).map((blob) => blob.id));
  for (const id of kept) catalog.known.add(id);
  const jobs = start(world, catalog, { intervals: { batch: 4 } });
  await pass(world, 8 * HOUR_MS);
  for (const blob of blobs) {
    const state = kept.has(blob.id) ? 'confirmed' : 'gone';
    assert.deepEqual(statesOf(world, blob), [state, state]);
  }
  await world.clock.run(jobs.close());
});

test('with the catalog away nothing is deleted, and the job backs off', async () => {
  const world = makeWorld(1);
  const catalog = new TinyCatalog();
  catalog.isAway = true;
  const [orphan] = (await writeBlobs(world, 1)) as [BlobRef];
  const jobs = start(world, catalog);
  await pass(world, 7.5 * HOUR_MS);
  catalog.asked = 0;
  await pass(world, HOUR_MS);
  assert.deepEqual(statesOf(world, orphan), ['pending', 'pending']);
  assert(jobs.progress().reap.failures > 0);
  assert(catalog.asked < 30, `asked ${catalog.asked} times in an hour`);
  catalog.isAway = false;
  await pass(world, HOUR_MS);
  assert.deepEqual(statesOf(world, orphan), ['gone', 'gone']);
  await world.clock.run(jobs.close());
});

test('a node that does not answer does not hold up the others', async () => {
  const world = makeWorld(1, { pairs: 1 });
  const [orphan] = (await writeBlobs(world, 1)) as [BlobRef];
  const [first, second] = world.holders(orphan);
  first.faults = { stopped: true };
  const jobs = start(world, new TinyCatalog());
  await pass(world, 8 * HOUR_MS);
  assert.deepEqual(statesOf(world, orphan), ['pending', 'gone']);
  assert(jobs.progress().reap.nodesMissed > 0);
  first.faults = {};
  await pass(world, HOUR_MS);
  assert.equal(first.blobs.size + second.blobs.size, 0);
  await world.clock.run(jobs.close());
});

test('dying blobs are deleted on every holder, then forgotten; a holder that is away keeps the row', async () => {
  const world = makeWorld(1, { pairs: 3 });
  const catalog = new TinyCatalog();
  const blobs = await writeBlobs(world, 12);
  for (const blob of blobs) catalog.known.add(blob.id);
  catalog.dying = [...blobs];
  const away = world.holders(blobs[0]!)[1];
  away.faults = { down: true };
  const jobs = start(world, catalog);
  await pass(world, HOUR_MS);
  assert(catalog.dying.length > 0 && catalog.dying.length < blobs.length);
  for (const blob of catalog.dying) assert(world.holders(blob).includes(away));
  away.faults = {};
  await pass(world, HOUR_MS);
  assert.deepEqual(catalog.dying, []);
  for (const blob of blobs) assert.deepEqual(statesOf(world, blob), ['gone', 'gone']);
  assert.equal(jobs.progress().reclaim.reclaimed, blobs.length);
  await world.clock.run(jobs.close());
});

test('a replica off the map is deleted too; without a client for it the row stays', async () => {
  const world = makeWorld(1, { pairs: 2 });
  const catalog = new TinyCatalog();
  const [blob] = (await writeBlobs(world, 1)) as [BlobRef];
  const holders: readonly unknown[] = world.holders(blob);
  const other = [...world.nodes.values()].find((node) => !holders.includes(node))!;
  other.blobs.set(blob.id, world.holders(blob)[0].blobs.get(blob.id)!);
  catalog.known.add(blob.id);
  catalog.dying = [{ ...blob, offMap: [other.member, 'node-x99' as MemberId] }];
  const jobs = start(world, catalog);
  await pass(world, HOUR_MS);
  assert.equal(other.blobs.size, 0);
  assert.equal(catalog.dying.length, 1);
  catalog.dying = [{ ...blob, offMap: [other.member] }];
  await pass(world, HOUR_MS);
  assert.equal(catalog.dying.length, 0);
  await world.clock.run(jobs.close());
});

test('close ends jobs that sleep and jobs that run', async () => {
  const world = makeWorld(1);
  await writeBlobs(world, 1);
  const jobs = start(world, new TinyCatalog());
  await world.clock.run(jobs.close());
  for (const node of world.nodes.values()) node.faults = { stopped: true };
  const running = start(world, new TinyCatalog(), { intervals: { reapMs: 1, reclaimMs: 1 } });
  await pass(world, 10);
  const before = world.clock.monotonic();
  await world.clock.run(running.close());
  assert(world.clock.monotonic() - before < 5_000);
});
