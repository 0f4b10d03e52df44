/**
 * References to blobs and manifests, as the catalog counts them. A blob or manifest without references is dying:
 * nobody may take a new reference, and the blob's row is kept until the bytes are gone from the nodes.
 */
import type { BlobId } from '../../src/base/ids.ts';
import type { BlobRef, ManifestPart, VersionContent } from '../../src/ddm/catalog.ts';

interface BlobRow {
  readonly ref: BlobRef;
  references: number;
  /** When the last reference went away, ms; null while there is one. */
  dyingSince: number | null;
}
interface ManifestRow {
  readonly parts: readonly ManifestPart[];
  references: number;
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
  addBlob(ref: BlobRef): void {
    this.#blobs.set(ref.id, { ref, references: 1, dyingSince: null });
  }

  /** A manifest takes over the references that its parts hold; the caller holds the manifest's first reference. */
  addManifest(parts: readonly ManifestPart[]): number {
    this.#manifests.set(++this.#lastManifest, { parts, references: 1 });
    return this.#lastManifest;
  }

  manifest(id: number): readonly ManifestPart[] | null {
    return this.#manifests.get(id)?.parts ?? null;
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
    if (--row.references === 0) row.dyingSince = this.#now();
  }

  known(ids: readonly BlobId[]): Set<BlobId> {
    return new Set(ids.filter((id) => this.#blobs.has(id)));
  }

  dying(max: number, graceMs: number): BlobRef[] {
    return [...this.#blobs.values()]
      .filter((row) => row.dyingSince !== null && row.dyingSince + graceMs < this.#now())
      .slice(0, max)
      .map((row) => row.ref);
  }

  forget(ids: readonly BlobId[]): void {
    for (const id of ids) if (this.#blobs.get(id)?.references === 0) this.#blobs.delete(id);
  }

  /** For tests: how many references a blob has; undefined when no row names it. */
  references(id: BlobId): number | undefined {
    return this.#blobs.get(id)?.references;
  }
}
