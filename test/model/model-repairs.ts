/** Repairs, replicas off the map and listings of blobs of the model catalog: what every directory keeps. */
import type { BlobId, BucketId, MemberId, PairId } from '../../src/base/ids.ts';
import type { BlobRef, ClusterCatalog, OffMapReplica, Repair } from '../../src/ddm/catalog.ts';
import { type BlobRow, compare, type ModelBlobs, type RepairRow, refOf } from './model-blobs.ts';
import type { BucketRow } from './model-buckets.ts';
import type { ModelRecord } from './model-record.ts';

type Query<M extends keyof ClusterCatalog> = Parameters<ClusterCatalog[M]>[0];
const REPAIRS_AT_ONCE_MAX = 1_000;

export class ModelRepairs {
  readonly #blobs: ModelBlobs;
  readonly #buckets: ReadonlyMap<BucketId, BucketRow>;
  readonly #record: ModelRecord;
  readonly #now: () => number;

  constructor(o: {
    blobs: ModelBlobs;
    buckets: ReadonlyMap<BucketId, BucketRow>;
    record: ModelRecord;
    now: () => number;
  }) {
    this.#blobs = o.blobs;
    this.#buckets = o.buckets;
    this.#record = o.record;
    this.#now = o.now;
  }

  add(repairs: Query<'addRepairs'>): void {
    if (repairs.length > REPAIRS_AT_ONCE_MAX)
      throw new RangeError(`at most ${REPAIRS_AT_ONCE_MAX} repairs at once`);
    for (const { blobId, member, reason } of repairs) {
      const row = this.#blobs.live(blobId);
      if (row) this.#blobs.addRepair(row, member, reason);
    }
  }

  /** By member, then by blob. */
  #queued(): { repair: RepairRow; blob: BlobRow }[] {
    return this.#blobs
      .rows('live')
      .flatMap((blob) => [...blob.repairs.values()].map((repair) => ({ repair, blob })))
      .sort((a, b) => compare(a.repair.member, b.repair.member));
  }

  take({ max, leaseMs, member, except = [] }: Query<'takeRepairs'>): Repair[] {
    const now = this.#now();
    const due = this.#queued()
      .filter(({ repair }) => repair.nextAt <= now)
      .filter(({ repair }) =>
        member === undefined ? !except.includes(repair.member) : repair.member === member,
      )
      .sort((a, b) => a.repair.nextAt - b.repair.nextAt)
      .slice(0, max);
    for (const { repair } of due) {
      repair.attempts += 1;
      repair.nextAt = now + leaseMs;
    }
    return due.map(shown);
  }

  finish(done: readonly OffMapReplica[]): OffMapReplica[] {
    for (const { blobId, member } of done) {
      const row = this.#blobs.row(blobId);
      row?.repairs.delete(member);
      for (const replica of row?.offMap ?? []) if (replica.home === member) replica.home = null;
    }
    const blobIds = [...new Set(done.map(({ blobId }) => blobId))].sort(compare);
    for (const id of blobIds) {
      const row = this.#blobs.live(id);
      if (row?.repairs.size === 0) for (const replica of row.offMap) replica.surplus = true;
    }
    return blobIds.flatMap((blobId) => this.#surplusOf(blobId));
  }

  #surplusOf(blobId: BlobId): OffMapReplica[] {
    return (this.#blobs.row(blobId)?.offMap ?? [])
      .filter((replica) => replica.surplus)
      .map(({ member }) => ({ blobId, member }))
      .sort((a, b) => compare(a.member, b.member));
  }
  surplus(max: number): OffMapReplica[] {
    return [...this.#blobs.rows('live'), ...this.#blobs.rows('dying')]
      .sort((a, b) => compare(a.ref.id, b.ref.id))
      .flatMap((row) => this.#surplusOf(row.ref.id))
      .slice(0, max);
  }
  forgetOffMap(dropped: readonly OffMapReplica[]): void {
    for (const { blobId, member } of dropped) {
      const row = this.#blobs.row(blobId);
      if (row) row.offMap = row.offMap.filter((replica) => !replica.surplus || replica.member !== member);
    }
  }

  postpone(failed: Query<'postponeRepairs'>): void {
    for (const { blobId, member, error, retryMs, reason } of failed) {
      const repair = this.#blobs.live(blobId)?.repairs.get(member);
      if (!repair) continue;
      repair.nextAt = this.#now() + retryMs;
      repair.lastError = error;
      if (reason !== undefined) repair.reason = reason;
    }
  }

  list({ member, after, max }: Query<'listRepairs'>): Repair[] {
    return this.#queued()
      .filter(({ repair }) => member === undefined || repair.member === member)
      .filter(
        ({ repair, blob }) =>
          after === undefined ||
          (compare(repair.member, after.member) || compare(blob.ref.id, after.blobId)) > 0,
      )
      .slice(0, max)
      .map(shown);
  }

  count(): { queued: number; byMember: Map<MemberId, number> } {
    const byMember = new Map<MemberId, number>();
    const all = this.#queued();
    for (const { repair } of all) byMember.set(repair.member, (byMember.get(repair.member) ?? 0) + 1);
    return { queued: all.length, byMember };
  }

  recordOffMap(blobId: BlobId, member: MemberId): void {
    const row = this.#blobs.live(blobId);
    const members = row ? this.#record.membersOf(row.pair) : [];
    if (!row || members.includes(member)) return;
    const known = row.offMap.find((replica) => replica.member === member);
    if (known) known.surplus = false;
    else row.offMap.push({ member, home: null, surplus: false });
    for (const lacking of members) this.#blobs.addRepair(row, lacking, 'missing');
  }

  // --- blobs
  listBlobs({ after = '' as BlobId, max, pair, bucketId }: Query<'listBlobs'>): BlobRef[] {
    const named = bucketId === undefined ? null : this.#namedBy(bucketId);
    return this.#blobs
      .rows('live')
      .filter(({ ref }) => ref.id > after && (named === null || named.has(ref.id)))
      .filter((row) => pair === undefined || row.pair === pair)
      .slice(0, Math.max(0, max))
      .map(refOf);
  }

  #namedBy(bucketId: BucketId): Set<BlobId> {
    const named = new Set<BlobId>();
    const bucket = this.#buckets.get(bucketId);
    const parts = [...(bucket?.uploads.values() ?? [])].flatMap((upload) => [...upload.parts.values()]);
    for (const { content } of [...(bucket?.keys.values() ?? [])].flat())
      if (content.kind === 'blob') named.add(content.blob.id);
      else if (content.kind === 'manifest')
        for (const { blob } of this.#blobs.manifest(content.manifestId) ?? []) if (blob) named.add(blob.id);
    for (const { blob } of parts) if (blob) named.add(blob.id);
    return named;
  }

  find(ids: readonly BlobId[]): BlobRef[] {
    return [...new Set(ids)].sort(compare).flatMap((id) => {
      const row = this.#blobs.live(id);
      return row ? [refOf(row)] : [];
    });
  }

  dying({ pair, after = '' as BlobId, max }: Query<'listDying'>): BlobId[] {
    return this.#blobs
      .rows('dying')
      .filter((row) => row.pair === pair && row.ref.id > after)
      .slice(0, max)
      .map((row) => row.ref.id);
  }

  countObjects(bucketId?: BucketId): number {
    const buckets = bucketId === undefined ? [...this.#buckets.values()] : [this.#buckets.get(bucketId)];
    return buckets
      .flatMap((bucket) => [...(bucket?.keys.values() ?? [])].flat())
      .filter((row) => !row.isDeleteMarker).length;
  }

  move(moves: Query<'moveBlobs'>): BlobId[] {
    return moves
      .filter(({ blobId, from, to, toEpoch }) => {
        const row = this.#blobs.live(blobId);
        if (row?.pair !== from || this.#record.epochOf(to) > toEpoch) return false;
        this.#moveTo(row, to);
        return true;
      })
      .map(({ blobId }) => blobId);
  }

  #moveTo(row: BlobRow, to: PairId): void {
    row.pair = to;
    row.repairs.clear();
    const members = this.#record.membersOf(to);
    row.offMap = row.offMap
      .filter(({ member }) => !members.includes(member))
      .map(({ member }) => ({ member, home: null, surplus: true }));
  }
}

const shown = ({ repair, blob }: { repair: RepairRow; blob: BlobRow }): Repair => ({
  ...{ blob: refOf(blob), member: repair.member, reason: repair.reason },
  ...{ since: new Date(repair.since), attempts: repair.attempts },
  ...(repair.lastError !== undefined && { lastError: repair.lastError }),
});
