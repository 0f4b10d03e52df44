/**
 * The lifecycle job among clients that write, tag, delete and undelete between any two of its calls, killed now and then, two
 * gateways in turn, on the model; by seeds. Nothing happens to a version that is not due at that very moment, and in the end
 * nothing is left that is due.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pino from 'pino';
import { type AccountId, type BucketId, newWriteId, type PairId } from '../../../src/base/ids.ts';
import { CatalogUnavailable } from '../../../src/ddm/catalog.ts';
import type { LifecycleSource, LifecycleTurn, LifecycleVersion } from '../../../src/ddm/lifecycle-source.ts';
import { applyLifecycles, newLifecycleCounts } from '../../../src/jobs/lifecycle/lifecycle.ts';
import { STORAGE_CLASSES } from '../../../src/lifecycle/classes.ts';
import { dueActions } from '../../../src/lifecycle/due.ts';
import { LIFECYCLE_SETTING, type LifecycleRule, lifecycleOf } from '../../../src/lifecycle/rules.ts';
import { ModelLifecycle } from '../../model/model-lifecycle.ts';
import { seededRandom } from '../../world/seeded-random.ts';

const SEEDS = 60;
const HOUR_MS = 3_600_000;
const OWNER = 'o' as AccountId;
const log = pino({ level: 'silent' });
const terms = { classes: STORAGE_CLASSES, transitionMinimumBytes: 100, dayMs: null };
const KEEP_ALL = 1_000;

const RULES: readonly Partial<LifecycleRule>[] = [
  { expiration: { days: 1 }, filter: { prefix: 'a' } },
  { expiration: { days: 2 }, filter: { tags: { t: '1' } } },
  { expiration: { expiredDeleteMarker: true } },
  { noncurrentExpiration: { days: 1, keepNewer: 2 } },
  { noncurrentExpiration: { days: 3 }, filter: { prefix: 'b' } },
  { transitions: [{ days: 1, storageClass: 'STANDARD_IA' }], filter: { sizeGreaterThan: 100 } },
  { noncurrentTransitions: [{ days: 1, storageClass: 'GLACIER_IR' }] },
];

class Schedule {
  readonly #random: () => number;
  #now = Date.UTC(2026, 0, 1, 5);
  readonly #catalog = new ModelLifecycle({ now: () => this.#now });
  readonly #buckets: BucketId[] = [];
  acted = 0;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#random() * from.length)]!;
  }

  async begin(): Promise<void> {
    for (const versioning of ['unversioned', 'enabled', 'suspended'] as const) {
      const made = await this.#catalog.createBucket({
        ...{ name: `bucket-${versioning}`, owner: OWNER, region: 'r', objectLock: false },
      });
      assert.equal(made.outcome, 'done');
      const { id } = made.value;
      if (versioning !== 'unversioned') await this.#catalog.setVersioning(id, versioning);
      this.#buckets.push(id);
      await this.#setRules(id);
    }
  }

  async #setRules(id: BucketId): Promise<void> {
    const some = RULES.filter(() => this.#random() < 0.6);
    const rules = some.map((rule, i) => ({
      id: `r${i}`,
      isEnabled: true,
      form: 'filter',
      filter: {},
      ...rule,
    }));
    const value = rules.length > 0 ? { rules, minimumSize: 'all_storage_classes_128K' } : null;
    await this.#catalog.setBucketSetting(id, LIFECYCLE_SETTING, value);
  }

  /** What a client does, or what time does. */
  async client(): Promise<void> {
    const catalog = this.#catalog;
    const bucketId = this.#pick(this.#buckets);
    const key = this.#pick(['a1', 'a2', 'b1', 'c1']);
    const named = { writeId: newWriteId(), bucketId, key };
    const tags = this.#pick<Record<string, string>>([{}, { t: '1' }]);
    const dice = this.#random();
    if (dice < 0.45) {
      const size = this.#pick([10, 1_000]);
      const attributes = { system: {}, user: {}, tags, storageClass: 'STANDARD' };
      const put = { ...named, owner: OWNER, size, etag: String(this.#random()), attributes };
      await catalog.putVersion({ ...put, content: { kind: 'empty' } });
    } else if (dice < 0.6) await catalog.deleteVersion({ ...named, owner: OWNER });
    else if (dice < 0.75) {
      const version = (await this.#versions(bucketId)).find((v) => v.key === key);
      if (version) await catalog.deleteVersion({ ...named, owner: OWNER, versionId: version.versionId });
    } else if (dice < 0.85) await catalog.setTags({ ...named, tags });
    else if (dice < 0.97) this.#now += Math.floor(this.#random() * 20 * HOUR_MS);
    else await this.#setRules(bucketId);
  }

  async #versions(bucketId: BucketId): Promise<readonly LifecycleVersion[]> {
    const turn = { bucketId } as LifecycleTurn;
    const all = { prefix: '', key: '', seq: Number.MAX_SAFE_INTEGER, max: 1_000, keep: KEEP_ALL };
    return (await this.#catalog.lifecyclePage(turn, all)).versions;
  }

  async #due(bucketId: BucketId, version: LifecycleVersion) {
    const { buckets } = await this.#catalog.listBuckets({ prefix: '', after: '', max: 10 });
    const rules = lifecycleOf(buckets.find(({ id }) => id === bucketId)!.settings)?.rules ?? [];
    return dueActions(rules, version, terms).filter(({ at }) => at <= this.#now);
  }

  /** The catalog as the job sees it. Whatever an action changes must have been due just before. */
  #source(killAfter: number): LifecycleSource {
    const catalog = this.#catalog;
    let left = killAfter;
    const call = async <T>(run: () => Promise<T>): Promise<T> => {
      left -= 1;
      if (left < 0) throw new CatalogUnavailable('killed');
      if (this.#random() < 0.5) await this.client();
      return run();
    };
    return {
      lifecyclePairs: () => catalog.lifecyclePairs(),
      takeLifecycle: (pair: PairId, owner, leaseMs) =>
        call(() => catalog.takeLifecycle(pair, owner, leaseMs)),
      saveLifecycle: (turn, leaseMs, save) => call(() => catalog.saveLifecycle(turn, leaseMs, save)),
      lifecyclePage: (turn, query) => call(() => catalog.lifecyclePage(turn, query)),
      applyLifecycle: (turn, commits) =>
        call(async () => {
          const before = await this.#versions(turn.bucketId);
          const due = new Map<LifecycleVersion, number>();
          for (const version of before) due.set(version, (await this.#due(turn.bucketId, version)).length);
          const results = await catalog.applyLifecycle(turn, commits);
          const after = new Map((await this.#versions(turn.bucketId)).map((v) => [`${v.key} ${v.seq}`, v]));
          for (const version of before) {
            const now = after.get(`${version.key} ${version.seq}`);
            const isSame =
              now && now.storageClass === version.storageClass && now.isLatest === version.isLatest;
            // One that became the latest again was below a delete marker that was due.
            if (isSame || now?.isLatest) continue;
            assert.ok(due.get(version)! > 0, `${version.key} ${version.versionId} was not due`);
            this.acted += 1;
          }
          return results;
        }),
    };
  }

  async gateway(owner: string, killAfter: number): Promise<void> {
    const settings = { pageMax: 3, batchMax: 2, actionsPerSecond: 1_000_000, spreadMs: 0 };
    const clock = { now: () => this.#now, monotonic: () => this.#now, sleep: async () => {} };
    const source = this.#source(killAfter);
    const common = { source, catalog: this.#catalog, owner, terms, settings, isOurs: () => true, log };
    const { signal } = new AbortController();
    const run = applyLifecycles({ ...common, clock, random: this.#random }, newLifecycleCounts(), signal);
    await run.catch((error) => {
      if (!(error instanceof CatalogUnavailable)) throw error;
    });
    // A lease of somebody who was killed runs out.
    if (this.#random() < 0.5) this.#now += 31_000;
  }

  /** Nobody else does anything any more: every day takes away what is due by then, until nothing is. */
  async end(): Promise<void> {
    this.client = async () => {};
    for (let day = 0; day < 8; day += 1) {
      this.#now += 25 * HOUR_MS;
      await this.gateway('g1', Number.POSITIVE_INFINITY);
    }
    for (const id of this.#buckets)
      for (const version of await this.#versions(id)) assert.deepEqual(await this.#due(id, version), []);
  }
}

test(`whatever clients do between its calls, by ${SEEDS} seeds`, async () => {
  let acted = 0;
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const schedule = new Schedule(seed);
    try {
      await schedule.begin();
      for (let round = 0; round < 25; round += 1) {
        for (let i = 0; i < 4; i += 1) await schedule.client();
        await schedule.gateway(`g${round % 2}`, round % 3 === 0 ? 40 : round);
      }
      await schedule.end();
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
    acted += schedule.acted;
  }
  assert.ok(acted > SEEDS * 5, `only ${acted} actions`);
});
