/**
 * Bytes that are kept for a while, as the slices they came in. A client may send a byte at a time, and a Buffer of one
 * byte costs a hundred: small slices are joined, so that what is kept costs about what it holds.
 */
const SMALL_BYTES = 4096;
const SMALL_MAX = 256;

export class SliceList {
  #slices: Buffer[] = [];
  #small: Buffer[] = [];

  add(slice: Buffer): void {
    if (slice.length >= SMALL_BYTES) {
      this.#join();
      this.#slices.push(slice);
      return;
    }
    this.#small.push(slice);
    if (this.#small.length === SMALL_MAX) this.#join();
  }

  /** All of it in order; the list is empty then. */
  take(): Buffer[] {
    this.#join();
    const slices = this.#slices;
    this.#slices = [];
    return slices;
  }

  #join(): void {
    if (this.#small.length === 0) return;
    this.#slices.push(this.#small.length === 1 ? this.#small[0]! : Buffer.concat(this.#small));
    this.#small = [];
  }
}
