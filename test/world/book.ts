/**
 * What the clients of a world were told, and what must therefore be so. Every check throws a Violation that says which
 * promise is broken; the checks of single events are here, those of a world at rest are in at-rest.ts.
 */
import type { BlobId, BucketId, MemberId, WriteId } from '../../src/base/ids.ts';
import type { BlobRef, Durability, NewBlobContent } from '../../src/ddm/catalog.ts';

export class Violation extends Error {
  override readonly name = 'Violation';
}

export interface Written {
  readonly key: string;
  readonly etag: string;
  readonly bytes: Buffer;
  readonly durability: Durability;
}
/** One effective commit of a key: an object (its ETag), or null where it was deleted. */
interface Step {
  readonly etag: string | null;
  readonly writeId: WriteId;
}

const nameOf = (bucketId: BucketId, key: string): string => `${bucketId}/${key}`;

export class Book {
  readonly #written = new Map<BlobId, Written>();
  readonly #steps = new Map<string, Step[]>();
  /** The last step of a key that somebody was told of: reads that begin later show this or a later one. */
  readonly #floor = new Map<string, number>();
  /** Which disks have ever had a blob durably, by blob. */
  readonly #held = new Map<BlobId, Set<MemberId>>();

  // ------------------------------------------------------------------------------------------ what happens

  wrote(blob: BlobRef, written: Written): void {
    this.#written.set(blob.id, written);
  }

  held(member: MemberId, id: BlobId): void {
    const members = this.#held.get(id);
    if (members) members.add(member);
    else this.#held.set(id, new Set([member]));
  }

  wasHeld(member: MemberId, id: BlobId): boolean {
    return this.#held.get(id)?.has(member) ?? false;
  }

  bytesOf(id: BlobId): Buffer | undefined {
    return this.#written.get(id)?.bytes;
  }

  /** A commit took effect in the catalog, told or not. */
  committed(bucketId: BucketId, key: string, step: Step): void {
    const name = nameOf(bucketId, key);
    const steps = this.#steps.get(name);
    if (steps) steps.push(step);
    else this.#steps.set(name, [step]);
  }

  /** The client has its answer. */
  told(bucketId: BucketId, key: string, writeId: WriteId): void {
    const name = nameOf(bucketId, key);
    const at = (this.#steps.get(name) ?? []).findIndex((step) => step.writeId === writeId);
    if (at < 0) throw new Violation(`a client was told of a write of ${name} that never took effect`);
    this.#floor.set(name, Math.max(at, this.#floor.get(name) ?? -1));
  }

  floor(bucketId: BucketId, key: string): number {
    return this.#floor.get(nameOf(bucketId, key)) ?? -1;
  }

  // ---------------------------------------------------------------------------------------------- checks

  /** Strong consistency: a row (or none) that a read found which began when `floor` was known. */
  checkRow(bucketId: BucketId, key: string, floor: number, etag: string | null): void {
    const name = nameOf(bucketId, key);
    const steps = this.#steps.get(name) ?? [];
    if (floor < 0 && etag === null) return;
    for (let at = Math.max(0, floor); at < steps.length; at += 1) if (steps[at]!.etag === etag) return;
    throw new Violation(
      `a read of ${name} shows ${etag ?? 'nothing'}, older than what was told (step ${floor})`,
    );
  }

  /** Kept twice: what a commit counts on has been durable, on members that the record has serving. */
  checkCopies(content: NewBlobContent, pair: readonly MemberId[], isServing: (m: MemberId) => boolean): void {
    const { blob, lagging = [] } = content;
    const offMap = blob.offMap ?? [];
    const absent = blob.absent ?? [];
    const durability = this.#written.get(blob.id)?.durability ?? 'two-copies';
    if (offMap.some((member) => pair.includes(member)))
      throw new Violation(`${blob.id}: a handoff stands on a member of its own pair`);
    if (new Set(offMap).size !== absent.length || absent.some((member) => !pair.includes(member)))
      throw new Violation(`${blob.id}: ${absent.length} are absent, ${offMap.length} stand for them`);
    if (durability === 'both-centers' && absent.length > 0)
      throw new Violation(`${blob.id}: a handoff in a bucket of two centers`);
    if (durability !== 'one' && lagging.length > 0)
      throw new Violation(`${blob.id}: acknowledged after one copy, in a bucket of ${durability}`);
    const home = pair.filter((member) => !absent.includes(member) && !lagging.includes(member));
    const counted = [...home, ...offMap];
    const needed = durability === 'one' ? 1 : 2;
    if (counted.length < needed) throw new Violation(`${blob.id}: only ${counted.length} copies are counted`);
    for (const member of counted) {
      if (!this.wasHeld(member, blob.id)) throw new Violation(`${blob.id} never was durable on ${member}`);
      if (home.includes(member) && !isServing(member))
        throw new Violation(`${blob.id} was committed as a replica of ${member}, which is in failover`);
    }
  }
}
