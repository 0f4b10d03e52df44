/**
 * What a client of S3 asks of one gateway, without HTTP: a write and its commit, a read by its row, a delete, as the
 * S3 rooms do them. Answers in S3's terms; everything that was promised is checked against the book on the way.
 */
import type { Random } from '../../src/base/clock.ts';
import type { AccountId, BlobId, BucketId, WriteId } from '../../src/base/ids.ts';
import type { BlobRef, Catalog, Durability, PutVersion } from '../../src/ddm/catalog.ts';
import { CatalogUnavailable } from '../../src/ddm/catalog.ts';
import { BytesUnavailable, type Dosm, StorageFull, type WrittenBlob } from '../../src/dosm/dosm.ts';
import { type Book, Violation } from './book.ts';
import { hexOf, whole } from './seeded-random.ts';
import { piecesOf } from './world.ts';

export const OWNER = 'owner' as AccountId;
const ATTRIBUTES = { system: {}, user: {}, tags: {}, storageClass: 'STANDARD' };
/** As often as the S3 rooms repeat a commit that came with an old epoch. */
const COMMITS_MAX = 4;

export interface FrontBucket {
  readonly id: BucketId;
  readonly name: string;
  readonly durability: Durability;
}
export type Answer =
  | { readonly status: 200; readonly blob?: BlobRef }
  | { readonly status: 404 | 412 }
  /** `blob`: the row was found, and its bytes were not. */
  | { readonly status: 503; readonly why: string; readonly blob?: BlobRef; readonly isUnknown?: boolean };

export class Front {
  readonly #catalog: Catalog;
  readonly #dosm: Dosm;
  readonly #book: Book;
  readonly #random: Random;

  constructor(o: { catalog: Catalog; dosm: Dosm; book: Book; random: Random }) {
    this.#catalog = o.catalog;
    this.#dosm = o.dosm;
    this.#book = o.book;
    this.#random = o.random;
  }

  async put(
    bucket: FrontBucket,
    key: string,
    bytes: Buffer,
    options: {
      condition?: PutVersion['condition'];
      source?: AsyncIterable<Buffer>;
      signal?: AbortSignal;
    } = {},
  ): Promise<Answer> {
    const writeId = hexOf(this.#random, 32) as WriteId;
    const etag = hexOf(this.#random, 32);
    const { durability } = bucket;
    return await answered(async () => {
      let written = await this.#dosm.write({
        size: bytes.length,
        source: options.source ?? piecesOf(bytes, whole(this.#random, 10_000, 400_000)),
        placement: { kind: 'object', bucket: bucket.name, key },
        intent: { bucket: bucket.name, key },
        writeId,
        durability,
        ...(options.signal ? { signal: options.signal } : {}),
      });
      this.#book.wrote(written.blob, { key, etag, bytes, durability });
      for (let commits = 1; ; commits += 1) {
        const outcome = await this.#catalog.putVersion({
          ...{ writeId, bucketId: bucket.id, key, owner: OWNER, size: bytes.length, etag },
          attributes: ATTRIBUTES,
          content: { kind: 'blob', ...written },
          ...(options.condition ? { condition: options.condition } : {}),
        });
        if (outcome.outcome === 'done') {
          this.#dosm.confirm([written.blob]);
          this.#book.told(bucket.id, key, writeId);
          return { status: 200 };
        }
        if (outcome.outcome === 'unknown') return { status: 503, why: 'unknown', isUnknown: true };
        if (outcome.reason === 'stale-epoch' && commits < COMMITS_MAX) {
          written = await this.#reaffirmed(written, durability);
          continue;
        }
        this.#dosm.discard([written.blob]);
        if (outcome.reason === 'precondition-failed') return { status: 412 };
        if (outcome.reason === 'no-such-key') return { status: 404 };
        return { status: 503, why: outcome.reason };
      }
    });
  }

  async #reaffirmed(written: WrittenBlob, durability: Durability): Promise<WrittenBlob> {
    try {
      return await this.#dosm.reaffirm!(written, durability);
    } catch (error) {
      this.#dosm.discard([written.blob]);
      throw error;
    }
  }

  async get(bucket: FrontBucket, key: string): Promise<Answer> {
    const floor = this.#book.floor(bucket.id, key);
    return await answered(async () => {
      const row = await this.#catalog.findVersion(bucket.id, key);
      this.#book.checkRow(bucket.id, key, floor, row?.etag ?? null);
      if (row === null || row.content.kind !== 'blob') return { status: 404 };
      return await this.read(row.content.blob);
    });
  }

  /** The bytes of a row, wherever it was learned of: all of them and right, or 503. */
  async read(blob: BlobRef): Promise<Answer> {
    const expected = this.#book.bytesOf(blob.id);
    if (!expected) throw new Violation(`a row names ${blob.id}, which nobody wrote`);
    const from = this.#random() < 0.6 ? 0 : whole(this.#random, 0, blob.size - 1);
    const to = this.#random() < 0.6 ? blob.size - 1 : whole(this.#random, from, blob.size - 1);
    let at = from;
    try {
      const source = await this.#dosm.read({ segments: [{ blob, from, to }] });
      for await (const piece of source) {
        if (!piece.equals(expected.subarray(at, at + piece.length)))
          throw new Violation(`wrong bytes of ${blob.id} at ${at}`);
        at += piece.length;
      }
    } catch (error) {
      if (!(error instanceof BytesUnavailable)) throw error;
      return { status: 503, why: error.message, blob };
    }
    if (at !== to + 1) throw new Violation(`a read of ${blob.id} ended at ${at}, before ${to + 1}`);
    return { status: 200, blob };
  }

  async delete(bucket: FrontBucket, key: string): Promise<Answer> {
    const writeId = hexOf(this.#random, 32) as WriteId;
    return await answered(async () => {
      const outcome = await this.#catalog.deleteVersion({ writeId, bucketId: bucket.id, key, owner: OWNER });
      if (outcome.outcome === 'unknown') return { status: 503, why: 'unknown', isUnknown: true };
      if (outcome.outcome === 'refused') return { status: 503, why: outcome.reason };
      if (outcome.value.existed) this.#book.told(bucket.id, key, writeId);
      return { status: 200 };
    });
  }
}

/** The errors that the S3 rooms turn into 503; everything else is a fault of the product, and ends the schedule. */
async function answered(run: () => Promise<Answer>): Promise<Answer> {
  try {
    return await run();
  } catch (error) {
    const isExpected =
      error instanceof BytesUnavailable ||
      error instanceof StorageFull ||
      error instanceof CatalogUnavailable ||
      error instanceof GaveUp;
    if (!isExpected) throw error;
    return { status: 503, why: `${error.name}: ${error.message}` };
  }
}

/** The client went away, or its body broke off. */
export class GaveUp extends Error {
  override readonly name = 'GaveUp';
}

export const blobIdFrom = (random: Random): BlobId => hexOf(random, 32) as BlobId;
