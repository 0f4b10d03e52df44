/** The model catalog with what the lifecycle job asks for. Leases and places are kept in memory; so a "crash" keeps them. */
import type { BucketId, PairId } from '../../src/base/ids.ts';
import type { Outcome } from '../../src/ddm/catalog.ts';
import type {
  LifecycleCommit,
  LifecycleCounts,
  LifecyclePage,
  LifecyclePosition,
  LifecycleResult,
  LifecycleSave,
  LifecycleSource,
  LifecycleTurn,
  LifecycleVersion,
} from '../../src/ddm/lifecycle-source.ts';
import { LIFECYCLE_SETTING } from '../../src/lifecycle/rules.ts';
import type { Row } from './model-buckets.ts';
import { ModelCatalog } from './model-catalog.ts';
import { compareKeys } from './model-listing.ts';
import { isLocked } from './model-locks.ts';

const PAIR = 'directory/5' as PairId;

interface Run {
  rules: string;
  turn: number;
  leasedUntil: number;
  touchedAt: number;
  position: LifecyclePosition | null;
  isUnderWay: boolean;
  startedAt: number;
  nextAt: number;
  counts: LifecycleCounts;
}

export class ModelLifecycle extends ModelCatalog implements LifecycleSource {
  readonly runs = new Map<BucketId, Run>();

  lifecyclePairs = () => [PAIR];

  async takeLifecycle(_pair: PairId, _owner: string, leaseMs: number): Promise<LifecycleTurn | null> {
    const now = this.now();
    for (const { bucket } of this.buckets.values()) {
      if (!(LIFECYCLE_SETTING in bucket.settings)) this.runs.delete(bucket.id);
      else if (!this.runs.has(bucket.id)) this.runs.set(bucket.id, newRun());
    }
    const due = [...this.runs].filter(
      ([id, run]) => run.leasedUntil <= now && (run.nextAt <= now || run.rules !== this.#rulesOf(id)),
    );
    const [taken] = due.sort(([, a], [, b]) => a.touchedAt - b.touchedAt);
    if (!taken) return null;
    const [bucketId, run] = taken;
    const { bucket } = this.buckets.get(bucketId)!;
    const rules = this.#rulesOf(bucketId)!;
    if (run.rules !== rules || !run.isUnderWay) Object.assign(run, { position: null, startedAt: now });
    Object.assign(run, { rules, turn: run.turn + 1, leasedUntil: now + leaseMs, touchedAt: now });
    run.isUnderWay = true;
    return {
      ...{ pair: PAIR, bucketId, bucket: bucket.name, owner: bucket.owner, versioning: bucket.versioning },
      ...{ configuration: bucket.settings[LIFECYCLE_SETTING], rules, position: run.position },
      ...{ turn: run.turn, startedAt: run.startedAt, now },
    };
  }

  async saveLifecycle(
    { bucketId, turn }: LifecycleTurn,
    leaseMs: number,
    save: LifecycleSave,
  ): Promise<boolean> {
    const run = this.runs.get(bucketId);
    if (run?.turn !== turn) return false;
    const now = this.now();
    const next = save.endedAndNextAtMs;
    Object.assign(run, { leasedUntil: now + leaseMs, touchedAt: now, isUnderWay: next === undefined });
    run.position = next === undefined ? save.position : null;
    run.nextAt = next ?? run.nextAt;
    for (const [name, value] of Object.entries(save.counts))
      run.counts[name as keyof LifecycleCounts] += value;
    return true;
  }

  async lifecyclePage(
    { bucketId }: LifecycleTurn,
    q: { prefix: string; key: string; seq: number; max: number; keep: number },
  ): Promise<LifecyclePage> {
    const keys = [...(this.buckets.get(bucketId)?.keys ?? [])].sort(([a], [b]) => compareKeys(a, b));
    const after = keys.flatMap(([key, rows]) => {
      const order = compareKeys(key, q.key);
      if (!key.startsWith(q.prefix) || order < 0) return [];
      return rows.flatMap((row, i) =>
        order > 0 || row.sequence < q.seq ? [this.#described(rows, i, q.keep)] : [],
      );
    });
    return { versions: after.slice(0, q.max), now: this.now() };
  }

  async applyLifecycle(
    { bucketId, rules, owner }: LifecycleTurn,
    commits: readonly LifecycleCommit[],
  ): Promise<readonly LifecycleResult[] | null> {
    if (this.#rulesOf(bucketId) !== rules) return null;
    const results: LifecycleResult[] = commits.map(() => 'changed');
    const oldestFirst = [...commits.entries()].sort(([, a], [, b]) => a.seen.seq - b.seen.seq);
    // Every call of the model is carried out before its promise is handed out.
    const said = oldestFirst.map(([i, commit]) => {
      const bucket = this.buckets.get(bucketId);
      if (!bucket || !this.#holds(bucketId, commit)) return null;
      const { seen, writeId, does, cause } = commit;
      const { key, versionId } = seen;
      const change = { writeId, bucketId, key, cause };
      const outcome: Promise<Outcome<unknown, string>> =
        does.kind === 'set-class'
          ? this.amendVersion({ ...change, versionId, storageClass: does.storageClass })
          : this.deleteVersion({ ...change, owner, ...(does.kind === 'delete-version' && { versionId }) });
      return outcome.then((o) => {
        if (o.outcome === 'done') results[i] = 'done';
        if (o.outcome === 'refused' && o.reason === 'locked') results[i] = 'locked';
      });
    });
    await Promise.all(said);
    return results;
  }

  #rulesOf(id: BucketId): string | undefined {
    return JSON.stringify(this.buckets.get(id)?.bucket.settings[LIFECYCLE_SETTING]);
  }

  #holds(bucketId: BucketId, { seen, keepNewer, alone }: LifecycleCommit): boolean {
    const rows = this.buckets.get(bucketId)?.keys.get(seen.key) ?? [];
    const at = rows.findIndex((row) => row.sequence === seen.seq);
    if (at < 0) return false;
    const now = this.#described(rows, at, keepNewer ?? 0);
    if (now.mark !== seen.mark || (alone && rows.length > 1)) return false;
    return keepNewer === undefined || now.newerNoncurrent >= keepNewer;
  }

  #described(rows: readonly Row[], i: number, keep: number): LifecycleVersion {
    const row = rows[i]!;
    const successor = rows[i - 1];
    const newer = rows.slice(1, i).filter((other) => !other.isDeleteMarker).length;
    const { key, versionId, isDeleteMarker, size, storageClass, tags } = row;
    return {
      ...{ key, versionId, isDeleteMarker, size, storageClass, tags, seq: row.sequence, isLatest: i === 0 },
      lastModified: row.lastModified.getTime(),
      isLocked: isLocked(row, this.now(), false),
      isAlone: rows.length === 1,
      successorAt: successor?.lastModified.getTime() ?? null,
      newerNoncurrent: Math.min(newer, keep),
      mark: JSON.stringify([row.sequence, row.etag, storageClass, tags, i === 0, successor?.sequence]),
    };
  }
}

const newRun = (): Run => ({
  ...{
    rules: '',
    turn: 0,
    leasedUntil: 0,
    touchedAt: 0,
    position: null,
    isUnderWay: false,
    startedAt: 0,
    nextAt: 0,
  },
  counts: { scanned: 0, expired: 0, removed: 0, transitioned: 0, aborted: 0, kept: 0 },
});
