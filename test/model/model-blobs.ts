/**
 * References to blobs and manifests, as the catalog counts them. A blob or manifest without references is dying:
 * nobody may take a new reference, and the blob's row is kept until the bytes are gone from the nodes. A blob's row says
 * where its replicas are: its pair, and who holds one off the map.
 */
import type { BlobId, MemberId, PairId } from '../../src/base/ids.ts';
import type { BlobRef, ManifestPart, RepairReason, VersionContent } from '../../src/ddm/catalog.ts';

export interface OffMapRow {
  readonly member: MemberId;
  home: MemberId | null;
  surplus: boolean;
}
export interface RepairRow {
  readonly blobId: BlobId;
  readonly member: MemberId;
  reason: RepairReason;
  readonly since: number;
  attempts: number;
  nextAt: number;
  lastError?: string;
}
export interface BlobRow {
  readonly ref: Pick<BlobRef, 'id' | 'size' | 'root'>;
  pair: PairId;
  offMap: OffMapRow[];
  readonly repairs: Map<MemberId, RepairRow>;
  references: number;
  /** When the last reference went away, ms; null while there is one. */
  dyingSince: number | null;
}
interface ManifestRow {
  readonly parts: readonly ManifestPart[];
  references: number;
}

/** Holders that stand for somebody come first, as in the directory. */
const order = (a: OffMapRow, b: OffMapRow) =>
  (a.home === null ? 1 : 0) - (b.home === null ? 1 : 0) ||
  compare(a.home ?? '', b.home ?? '') ||
  compare(a.member, b.member);
export const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** What a row says of its blob; a dying one also names those whose replica is surplus. */
export function refOf(row: BlobRow): BlobRef {
  const shown = row.offMap.filter((r) => !r.surplus || row.references === 0).sort(order);
  const absent = shown.flatMap((r) => r.home ?? []);
  return {
    ...row.ref,
    pair: row.pair,
    ...(shown.length > 0 && { offMap: shown.map((r) => r.member) }),
    ...(absent.length > 0 && { absent }),
  };
}

export class ModelBlobs {
  readonly #blobs = new Map<BlobId, BlobRow>();
  readonly #manifests = new Map<number, ManifestRow>();
  #lastManifest = 0;
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** A blob that was just written; the caller holds its first reference. */
  addBlob(
    { id, size, root, pair, offMap = [], absent = [] }: BlobRef,
    lagging: readonly MemberId[] = [],
  ): void {
    const row: BlobRow = {
      ...{ ref: { id, size, root }, pair, repairs: new Map(), references: 1, dyingSince: null },
      offMap: offMap.map((member, i) => ({ member, home: absent[i] ?? null, surplus: false })),
    };
    this.#blobs.set(id, row);
    for (const member of absent) this.addRepair(row, member, 'handoff');
    for (const member of lagging) this.addRepair(row, member, 'lag');
  }

  /** Queues a repair, or lets a reason that overrules take the place of the one that is there. */
  addRepair(row: BlobRow, member: MemberId, reason: RepairReason): void {
    const queued = row.repairs.get(member);
    if (queued && (reason === 'lost' || reason === 'corrupt')) queued.reason = reason;
    if (queued) return;
    const now = this.#now();
    row.repairs.set(member, { blobId: row.ref.id, member, reason, since: now, attempts: 0, nextAt: now });
  }

  /** A manifest takes over the references that its parts hold; the caller holds the manifest's first reference. */
  addManifest(parts: readonly ManifestPart[]): number {
    this.#manifests.set(++this.#lastManifest, { parts, references: 1 });
    return this.#lastManifest;
  }

  manifest(id: number): readonly ManifestPart[] | null {
    return this.#manifests.get(id)?.parts ?? null;
  }

  /** With what is known of the blob by now. */
  refNow(ref: BlobRef): BlobRef {
    const row = this.#blobs.get(ref.id);
    return row ? refOf(row) : ref;
  }
  contentNow(content: VersionContent): VersionContent {
    return content.kind === 'blob' ? { kind: 'blob', blob: this.refNow(content.blob) } : content;
  }
  partNow<P extends { readonly blob: BlobRef | null }>(part: P): P {
    return part.blob === null ? part : { ...part, blob: this.refNow(part.blob) };
  }

  /** Takes one more reference to bytes that exist; false when they are dying. */
  take(content: VersionContent): boolean {
    if (content.kind === 'empty') return true;
    const row =
      content.kind === 'blob' ? this.#blobs.get(content.blob.id) : this.#manifests.get(content.manifestId);
    if (row === undefined || row.references === 0) return false;
    row.references++;
    return true;
  }

  drop(content: VersionContent): void {
    if (content.kind === 'blob') this.#dropBlob(content.blob);
    if (content.kind !== 'manifest') return;
    const manifest = this.#manifests.get(content.manifestId)!;
    if (--manifest.references > 0) return;
    this.#manifests.delete(content.manifestId);
    for (const part of manifest.parts) if (part.blob !== null) this.#dropBlob(part.blob);
  }

  #dropBlob(ref: BlobRef): void {
    const row = this.#blobs.get(ref.id)!;
    if (--row.references > 0) return;
    row.dyingSince = this.#now();
    row.repairs.clear();
  }

  known(ids: readonly BlobId[]): Set<BlobId> {
    return new Set(ids.filter((id) => this.#blobs.has(id)));
  }

  dying(max: number, graceMs: number): BlobRef[] {
    return [...this.#blobs.values()]
      .filter((row) => row.dyingSince !== null && row.dyingSince + graceMs < this.#now())
      .slice(0, max)
      .map(refOf);
  }

  forget(ids: readonly BlobId[]): void {
    for (const id of ids) if (this.#blobs.get(id)?.references === 0) this.#blobs.delete(id);
  }

  /** By id; the live ones, or the dying ones. */
  rows(state: 'live' | 'dying'): BlobRow[] {
    return [...this.#blobs.values()]
      .filter((row) => (row.references === 0) === (state === 'dying'))
      .sort((a, b) => compare(a.ref.id, b.ref.id));
  }
  live(id: BlobId): BlobRow | undefined {
    const row = this.#blobs.get(id);
    return row && row.references > 0 ? row : undefined;
  }
  /** Whether it lives or is dying. */
  row(id: BlobId): BlobRow | undefined {
    return this.#blobs.get(id);
  }

  /** For tests: how many references a blob has; undefined when no row names it. */
  references(id: BlobId): number | undefined {
    return this.#blobs.get(id)?.references;
  }
}
