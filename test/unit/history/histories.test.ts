/**
 * The judge of histories, on the model catalog under a seeded timing: what the model answers is explained, and what a
 * spoilt model answers is not. Postgres is judged by the same programs in test/integration/ddm/histories.test.ts.
 * Replay: HISTORY_SEED=123 node --test test/unit/history/histories.test.ts
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Catalog, CatalogUnavailable, type ObjectVersion } from '../../../src/ddm/catalog.ts';
import { HistoryRefused } from '../../history/check.ts';
import { seedsFrom, sweep } from '../../history/sweep.ts';
import type { Fault } from '../../model/model-buckets.ts';
import { ModelCatalog } from '../../model/model-catalog.ts';
import { seededRandom, whole } from '../../world/seeded-random.ts';

const single = process.env.HISTORY_SEED;
const replay = (seed: number) => `HISTORY_SEED=${seed} node --test test/unit/history/histories.test.ts`;

/** Each call takes effect at some moment between its begin and its end; a seed decides when. */
function slowed(catalog: Catalog, seed: number): Catalog {
  const random = seededRandom(seed);
  const pause = async () => {
    for (let turns = whole(random, 0, 12); turns > 0; turns--) await null;
  };
  return new Proxy(catalog, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name);
      if (typeof method !== 'function') return method;
      return async (...args: unknown[]) => {
        await pause();
        const answer: unknown = await Reflect.apply(method, target, args);
        await pause();
        return answer;
      };
    },
  });
}

/** Every program on a catalog of its own, so that a seed is the whole history. */
async function sweepModels(seeds: Iterable<number>, make: () => ModelCatalog, faultsPer100 = 0) {
  const total = { programs: 0, calls: 0, tried: 0, outcomes: new Map<string, number>() };
  for (const seed of seeds) {
    const model = make();
    const random = seededRandom(seed + 7);
    const kinds: readonly Fault[] = ['unknown-applied', 'unknown-lost', 'unavailable'];
    let isRunning = false;
    model.fault = () => (isRunning && random() * 100 < faultsPer100 ? kinds[whole(random, 0, 2)] : undefined);
    const trouble = () => {
      isRunning = true;
    };
    const swept = await sweep({ seeds: [seed], catalogs: [slowed(model, seed)], replay, trouble });
    total.programs += 1;
    total.calls += swept.calls;
    total.tried += swept.tried;
    for (const [what, times] of Object.entries(swept.outcomes))
      total.outcomes.set(what, (total.outcomes.get(what) ?? 0) + times);
  }
  return total;
}

const seeds = (count: number) => (single === undefined ? seedsFrom(1, count) : [Number(single)]);

describe('histories of the model', () => {
  it('are explained', async (t) => {
    const { programs, calls, tried, outcomes } = await sweepModels(seeds(150), () => new ModelCatalog());
    t.diagnostic(`${programs} programs, ${calls} calls, ${tried} orders tried`);
    if (single !== undefined) return;
    // Programs in which nothing is refused would prove little.
    for (const what of ['put precondition-failed', 'copy blob-dying', 'tag no-such-version', 'complete done'])
      assert.ok((outcomes.get(what) ?? 0) > 0, `${what}: ${JSON.stringify([...outcomes])}`);
  });

  it('are explained when outcomes are unknown', async (t) => {
    const { programs, calls, outcomes } = await sweepModels(seeds(150), () => new ModelCatalog(), 5);
    t.diagnostic(`${programs} programs, ${calls} calls`);
    if (single === undefined) assert.ok((outcomes.get('put unknown') ?? 0) > 10);
  });
});

/** Ways to be wrong, each of which some program must show. */
const SPOILT: Readonly<Record<string, () => ModelCatalog>> = {
  'a read that shows what was there before': () => {
    const seen = new Map<string, ObjectVersion | null>();
    let reads = 0;
    return new (class extends ModelCatalog {
      override async findVersion(...[bucketId, key, versionId]: Parameters<Catalog['findVersion']>) {
        const name = `${bucketId}/${key}/${versionId}`;
        const before = seen.get(name);
        const now = await super.findVersion(bucketId, key, versionId);
        seen.set(name, now);
        return before !== undefined && ++reads % 3 === 0 ? before : now;
      }
    })();
  },
  'a condition that nobody looks at': () =>
    new (class extends ModelCatalog {
      override putVersion({ condition: _, ...put }: Parameters<Catalog['putVersion']>[0]) {
        return super.putVersion(put);
      }
    })(),
  'a write that is acknowledged and lost': () => {
    let puts = 0;
    return new (class extends ModelCatalog {
      override async putVersion(put: Parameters<Catalog['putVersion']>[0]) {
        if (++puts % 15 > 0 || put.condition) return super.putVersion(put);
        return { outcome: 'done', value: { versionId: 'null', lastModified: new Date() } } as const;
      }
    })();
  },
  'a delete that comes back': () => {
    let deletes = 0;
    return new (class extends ModelCatalog {
      override async deleteVersion(del: Parameters<Catalog['deleteVersion']>[0]) {
        const row = await this.findVersion(del.bucketId, del.key, del.versionId);
        const answer = await super.deleteVersion(del);
        if (row && !row.isDeleteMarker && ++deletes % 5 === 0)
          await super.putVersion({
            ...del,
            ...{ size: row.size, etag: row.etag, attributes: row, content: { kind: 'empty' } },
          });
        return answer;
      }
    })();
  },
  'a listing that leaves one out': () => {
    let lists = 0;
    return new (class extends ModelCatalog {
      override async listVersions(query: Parameters<Catalog['listVersions']>[0]) {
        const page = await super.listVersions(query);
        return ++lists % 3 === 0 ? { ...page, entries: page.entries.slice(1) } : page;
      }
    })();
  },
  'a failure that took effect': () => {
    let tags = 0;
    return new (class extends ModelCatalog {
      override async setTags(t: Parameters<Catalog['setTags']>[0]) {
        const answer = await super.setTags(t);
        if (answer.outcome === 'done' && ++tags % 2 === 0) throw new CatalogUnavailable('after the fact');
        return answer;
      }
    })();
  },
};

describe('histories of a model that is wrong', {
  skip: single !== undefined && 'one seed is replayed',
}, () => {
  for (const [what, make] of Object.entries(SPOILT))
    it(`are refused: ${what}`, async () => {
      await assert.rejects(sweepModels(seedsFrom(1, 200), make), HistoryRefused);
    });
});
