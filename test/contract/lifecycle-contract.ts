/** What the lifecycle job does to a bucket, on any catalog that it can work with: only what is due, once, whoever is killed. */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import pino from 'pino';
import { systemClock } from '../../src/base/clock.ts';
import { type BucketId, newWriteId } from '../../src/base/ids.ts';
import { type Catalog, CatalogUnavailable, type PutDone, type PutVersion } from '../../src/ddm/catalog.ts';
import type { LifecycleSource } from '../../src/ddm/lifecycle-source.ts';
import {
  applyLifecycles,
  type LifecycleJobCounts,
  type LifecycleOptions,
  newLifecycleCounts,
} from '../../src/jobs/lifecycle/lifecycle.ts';
import { STORAGE_CLASSES } from '../../src/lifecycle/classes.ts';
import type { LifecycleRule } from '../../src/lifecycle/rules.ts';
import { ATTRIBUTES, Kit, mustBeDone } from './contract-kit.ts';

export interface LifecycleSubject {
  readonly catalog: Catalog & LifecycleSource;
  /** Everything that is there, and every lease, becomes so much older. */
  age(ms: number): Promise<void>;
}

/** Without bytes, whose intents would be too old for a catalog that has aged. */
class EmptyKit extends Kit {
  override put(id: BucketId, key: string, o: Partial<PutVersion> = {}) {
    return super.put(id, key, { content: { kind: 'empty' }, ...o });
  }
}

const DAY_MS = 24 * 3_600_000;
const log = pino({ level: 'silent' });

/** One run, with small pages. */
export async function runLifecycles(
  catalog: LifecycleSubject['catalog'],
  o: Partial<LifecycleOptions> = {},
): Promise<LifecycleJobCounts> {
  const counts = newLifecycleCounts();
  const { signal } = new AbortController();
  const terms = { classes: STORAGE_CLASSES, transitionMinimumBytes: 100, dayMs: null };
  // The next pass is 12 to 36 hours away, so that no test that runs at midnight sees two.
  const settings = { pageMax: 3, batchMax: 2, actionsPerSecond: 1_000_000, spreadMs: DAY_MS };
  const common = { source: catalog, catalog, owner: 'g1', terms, settings, isOurs: () => true, log };
  await applyLifecycles({ ...common, clock: systemClock, random: () => 0.5, ...o }, counts, signal);
  return counts;
}

export function lifecycleContract(subject: () => LifecycleSubject): void {
  const kit = () => new EmptyKit(subject().catalog);
  const ruled = new Set<BucketId>();
  afterEach(async () => {
    for (const id of ruled) await subject().catalog.setBucketSetting(id, 'lifecycle', null);
    ruled.clear();
  });
  const rule = (more: Partial<LifecycleRule>): LifecycleRule => ({
    ...{ id: 'r', isEnabled: true, form: 'filter', filter: {} },
    ...more,
  });
  const setRules = async (id: BucketId, ...rules: readonly Partial<LifecycleRule>[]) => {
    ruled.add(id);
    const named = rules.map((more, i) => rule({ id: `r${i}`, ...more }));
    const value = { rules: named, minimumSize: 'all_storage_classes_128K' };
    mustBeDone(await subject().catalog.setBucketSetting(id, 'lifecycle', value));
  };
  const run = (o: Partial<LifecycleOptions> = {}) => runLifecycles(subject().catalog, o);
  /** The catalog with some of what the job asks for replaced. */
  const withSource = (replaced: (source: LifecycleSource) => Partial<LifecycleSource>): LifecycleSource => {
    const { catalog } = subject();
    const names = [
      'lifecyclePairs',
      'takeLifecycle',
      'saveLifecycle',
      'lifecyclePage',
      'applyLifecycle',
    ] as const;
    const bound = Object.fromEntries(
      names.map((name) => [
        name,
        (...given: never[]) => (catalog[name] as (...g: never[]) => unknown)(...given),
      ]),
    ) as unknown as LifecycleSource;
    return { ...bound, ...replaced(bound) };
  };

  describe('lifecycle rules', () => {
    it('expire what is old enough and matches, and nothing else', async () => {
      const k = kit();
      const id = await k.bucket();
      for (const key of ['a/1', 'a/2', 'b/1']) await k.put(id, key);
      const tagged = { ...ATTRIBUTES, tags: { kind: 'log', other: 'x' } };
      await k.put(id, 'c/tagged', { attributes: tagged });
      await k.put(id, 'c/plain');
      await k.put(id, 'd/large', { size: 1_000 });
      await k.put(id, 'd/small', { size: 10 });
      await subject().age(2 * DAY_MS);
      await k.put(id, 'a/new');
      await setRules(
        id,
        { filter: { prefix: 'a/' }, expiration: { days: 1 } },
        { filter: { tags: { kind: 'log' } }, expiration: { days: 1 } },
        { filter: { prefix: 'd/', sizeGreaterThan: 10 }, expiration: { date: 0 } },
        { filter: { prefix: 'b/' }, expiration: { days: 1 }, isEnabled: false },
        { filter: { prefix: 'c/' }, expiration: { days: 30 } },
      );
      const counts = await run();
      assert.deepEqual(await k.keys(id), ['a/new', 'b/1', 'c/plain', 'd/small']);
      assert.equal(counts.expired, 4);
      assert.equal((await run()).scanned, 0, 'the day is done');
    });

    for (const versioning of ['enabled', 'suspended'] as const)
      it(`leave a delete marker where versioning is ${versioning}, and take it away when it is alone`, async () => {
        const k = kit();
        const id = await k.bucket({ versioning });
        await k.put(id, 'k');
        await subject().age(2 * DAY_MS);
        await setRules(id, { expiration: { days: 1 }, noncurrentExpiration: { days: 1 } });
        await run();
        const left = await k.versions(id);
        assert.equal(left.length, versioning === 'enabled' ? 2 : 1);
        assert.match(left[0]!, /!\*$/);
        assert.equal((await run()).expired, 0);
        await subject().age(2 * DAY_MS);
        await run();
        await subject().age(2 * DAY_MS);
        await run();
        assert.deepEqual(await k.versions(id), []);
      });

    it('remove noncurrent versions but the newest of them, and keep what is locked', async () => {
      const k = kit();
      const id = await k.bucket({ objectLock: true });
      const put: PutDone[] = [];
      for (let i = 0; i < 6; i += 1) put.push(await k.put(id, 'k'));
      const { catalog } = subject();
      const hold = { writeId: newWriteId(), bucketId: id, key: 'k', legalHold: true };
      mustBeDone(await catalog.setLegalHold({ ...hold, versionId: put[0]!.versionId }));
      await subject().age(3 * DAY_MS);
      await setRules(id, { noncurrentExpiration: { days: 2, keepNewer: 2 } });
      const counts = await run();
      assert.deepEqual([counts.removed, counts.kept], [2, 1]);
      const ids = [5, 4, 3, 0].map((i) => `k@${put[i]!.versionId}`);
      assert.deepEqual(
        await k.versions(id),
        ids.map((name, i) => (i === 0 ? `${name}*` : name)),
      );
    });

    it('move versions to colder classes, current and noncurrent', async () => {
      const k = kit();
      const id = await k.bucket({ versioning: 'enabled' });
      const large = { size: 1_000 };
      const old = await k.put(id, 'k', large);
      await k.put(id, 'k', large);
      await k.put(id, 'small');
      await subject().age(3 * DAY_MS);
      await setRules(id, {
        transitions: [{ days: 1, storageClass: 'STANDARD_IA' }],
        noncurrentTransitions: [{ days: 1, storageClass: 'GLACIER_IR' }],
      });
      assert.equal((await run()).transitioned, 2);
      const { catalog } = subject();
      const classOf = async (key: string, versionId?: string) =>
        (await catalog.findVersion(id, key, versionId))?.storageClass;
      assert.deepEqual(
        [await classOf('k'), await classOf('k', old.versionId), await classOf('small')],
        ['STANDARD_IA', 'GLACIER_IR', 'STANDARD'],
      );
    });

    it('abort uploads that were begun long enough ago', async () => {
      const k = kit();
      const id = await k.bucket();
      for (const key of ['u/1', 'u/2', 'u/3', 'u/4', 'v/1']) await k.upload(id, key);
      await subject().age(3 * DAY_MS);
      const young = await k.upload(id, 'u/5');
      await setRules(id, { filter: { prefix: 'u/' }, abortUploadsDays: 2 });
      assert.equal((await run()).aborted, 4);
      const query = { bucketId: id, prefix: '', delimiter: '', keyMarker: '', maxKeys: 10 };
      assert.deepEqual(Kit.names(await subject().catalog.listUploads(query)), [young.key, 'v/1']);
    });

    it('leave alone what was written, tagged or undeleted since they looked', async () => {
      const k = kit();
      const id = await k.bucket({ versioning: 'enabled' });
      const plain = await k.bucket();
      const { catalog } = subject();
      const tags = { kind: 'log' };
      await k.put(plain, 'overwritten');
      const retagged = await k.put(id, 'retagged', { attributes: { ...ATTRIBUTES, tags } });
      const undeleted = await k.put(id, 'undeleted');
      const marker = mustBeDone(await k.delete(id, 'undeleted'));
      await subject().age(3 * DAY_MS);
      await setRules(
        id,
        { filter: { tags }, expiration: { days: 1 } },
        { noncurrentExpiration: { days: 1 } },
      );
      await setRules(plain, { expiration: { days: 1 } });
      const source = withSource((real) => ({
        lifecyclePage: async (turn, query) => {
          const page = await real.lifecyclePage(turn, query);
          if (turn.bucketId === plain) await k.put(plain, 'overwritten');
          else {
            const change = { writeId: newWriteId(), bucketId: id, key: 'retagged', tags: {} };
            mustBeDone(await catalog.setTags(change));
            await k.delete(id, 'undeleted', { versionId: marker.versionId! });
          }
          return page;
        },
      }));
      const counts = await run({ source });
      assert.deepEqual([counts.expired, counts.removed], [0, 0]);
      assert.deepEqual(await k.keys(plain), ['overwritten']);
      assert.deepEqual(await k.versions(id), [
        `retagged@${retagged.versionId}*`,
        `undeleted@${undeleted.versionId}*`,
      ]);
    });

    it('that are taken back between the look and the commit do nothing', async () => {
      const k = kit();
      const id = await k.bucket();
      await k.put(id, 'k');
      await subject().age(3 * DAY_MS);
      await setRules(id, { expiration: { days: 1 } });
      const source = withSource((real) => ({
        lifecyclePage: async (turn, query) => {
          const page = await real.lifecyclePage(turn, query);
          mustBeDone(await subject().catalog.setBucketSetting(id, 'lifecycle', null));
          return page;
        },
      }));
      assert.equal((await run({ source })).expired, 0);
      assert.deepEqual(await k.keys(id), ['k']);
    });

    it('are applied to the end by others, whenever who applies them is killed', async () => {
      const k = kit();
      const id = await k.bucket();
      const keys = Array.from({ length: 14 }, (_, i) => `k${String(i).padStart(2, '0')}`);
      for (const key of keys) await k.put(id, key, { size: key.endsWith('3') ? 10 : 1_000 });
      await subject().age(2 * DAY_MS);
      await setRules(id, { filter: { sizeGreaterThan: 100 }, expiration: { days: 1 } });
      let expired = 0;
      for (let calls = 1, ended = false; !ended; calls += 1) {
        let left = calls;
        const killed = () => {
          left -= 1;
          if (left < 0) throw new CatalogUnavailable('killed');
        };
        // Killed before a call, or after it had its effect: nothing is said to anybody afterwards, the lease neither.
        const source = withSource((real) => ({
          lifecyclePage: async (...given) => {
            killed();
            return real.lifecyclePage(...given);
          },
          applyLifecycle: async (...given) => {
            const results = await real.applyLifecycle(...given);
            expired += results?.filter((result) => result === 'done').length ?? 0;
            killed();
            return results;
          },
          saveLifecycle: async (...given) => {
            killed();
            return real.saveLifecycle(...given);
          },
        }));
        ended = await run({ source, owner: `g${calls}` }).then(
          () => true,
          () => false,
        );
        assert.ok(calls < 20);
        // As long as a lease, and the day's end does not come.
        if (!ended) await subject().age(31_000);
      }
      assert.deepEqual(await k.keys(id), ['k03', 'k13']);
      assert.equal(expired, 12, 'each of them once');
    });

    it('are applied by one gateway at a time', async () => {
      const k = kit();
      const ids = [await k.bucket(), await k.bucket(), await k.bucket()];
      for (const id of ids) for (let i = 0; i < 7; i += 1) await k.put(id, `k${i}`);
      await subject().age(2 * DAY_MS);
      for (const id of ids) await setRules(id, { expiration: { days: 1 } });
      const counts = await Promise.all(['g1', 'g2', 'g3'].map((owner) => run({ owner })));
      assert.equal(
        counts.reduce((sum, { expired }) => sum + expired, 0),
        21,
      );
      assert.equal(
        counts.reduce((sum, { scanned }) => sum + scanned, 0),
        21,
        'nothing is looked at twice',
      );
      for (const id of ids) assert.deepEqual(await k.keys(id), []);
    });
  });
}
