/** A sorted listing read page by page, one entry in hand. A page that cannot be read ends it, and says why. */
import type { BlobId } from '../../base/ids.ts';

export class Cursor<T extends { readonly id: BlobId }> {
  readonly #page: (after: BlobId | undefined) => Promise<readonly T[]>;
  #entries: readonly T[] = [];
  #at = 0;
  #after: BlobId | undefined;
  #ended = false;
  failure: Error | null = null;

  /** `page` gives entries strictly after an id, ascending; none means the end. */
  constructor(page: (after: BlobId | undefined) => Promise<readonly T[]>) {
    this.#page = page;
  }

  /** The entry in hand, or null at the end (or after a failure). */
  async peek(): Promise<T | null> {
    if (this.#at < this.#entries.length) return this.#entries[this.#at]!;
    if (this.#ended) return null;
    try {
      this.#entries = await this.#page(this.#after);
    } catch (error) {
      this.failure = error as Error;
      this.#entries = [];
    }
    this.#at = 0;
    this.#after = this.#entries.at(-1)?.id;
    if (this.#entries.length === 0) this.#ended = true;
    return this.#entries[0] ?? null;
  }

  /** The entry in hand when it has this id, which is then left behind. */
  async take(id: BlobId): Promise<T | null> {
    const entry = await this.peek();
    if (entry?.id !== id) return null;
    this.#at += 1;
    return entry;
  }
}
