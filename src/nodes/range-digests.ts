/**
 * What a node has, in 65,536 sums: for each two-byte prefix of blob ids, how many blobs and the XOR of their digests.
 * Two nodes with equal sums have the same blobs, so that comparing them costs the difference and not what is stored.
 * Invariant: the sums are those of the set of blobs that was added and not removed, whatever the order.
 * A blob's digest = SHA-256 of (id, 16 bytes; size, 8 bytes big-endian; root, 32 bytes). A start adds what the index
 * names: 2 to 4 µs of processor time a record beside the 3 to 4 of the scan that there has to be (100,000 records, on a
 * busy machine of two cores); 2.3 MB of memory, whatever is stored.
 */
import { hash } from 'node:crypto';
import type { BlobId } from '../base/ids.ts';
import type { RangeDigest } from './protocol.ts';

const RANGES = 65_536;
const WORDS = 8;
const SIZE_AT = 16;
const ROOT_AT = 24;
const TWO_TO_32 = 2 ** 32;

export interface SummedBlob {
  readonly id: BlobId;
  readonly size: number;
  readonly root: Uint8Array;
}

export class RangeDigests {
  readonly #sums = new Int32Array(RANGES * WORDS);
  readonly #counts = new Uint32Array(RANGES);
  readonly #message = Buffer.alloc(ROOT_AT + 32);

  add(blob: SummedBlob): void {
    this.#toggle(blob, 1);
  }

  /** Of a blob that was added. */
  remove(blob: SummedBlob): void {
    this.#toggle(blob, -1);
  }

  #toggle({ id, size, root }: SummedBlob, count: 1 | -1): void {
    const message = this.#message;
    message.write(id, 0, SIZE_AT, 'hex');
    message.writeUInt32BE(Math.floor(size / TWO_TO_32), SIZE_AT);
    message.writeUInt32BE(size % TWO_TO_32, SIZE_AT + 4);
    message.set(root, ROOT_AT);
    const sum = hash('sha256', message, 'buffer');
    const range = message.readUInt16BE(0);
    for (let word = 0; word < WORDS; word += 1) {
      this.#sums[range * WORDS + word]! ^= sum.readInt32BE(word * 4);
    }
    this.#counts[range]! += count;
  }

  /** The ranges of one byte; with `prefix` (two hex digits), those of two bytes below it. Without the empty ones. */
  ranges(prefix?: string): RangeDigest[] {
    const [first, length] = prefix === undefined ? [0, 2] : [Number.parseInt(prefix, 16) * 256, 4];
    const width = length === 2 ? 256 : 1;
    const found: RangeDigest[] = [];
    for (let at = first; at < first + 256 * width; at += width) {
      const range = this.#sumOf(at, width);
      if (range.count === 0) continue;
      found.push({ prefix: (at / width).toString(16).padStart(length, '0'), ...range });
    }
    return found;
  }

  #sumOf(first: number, width: number): { count: number; sum: Buffer } {
    const words = new Int32Array(WORDS);
    let count = 0;
    for (let range = first; range < first + width; range += 1) {
      if (this.#counts[range] === 0) continue;
      count += this.#counts[range]!;
      for (let word = 0; word < WORDS; word += 1) words[word]! ^= this.#sums[range * WORDS + word]!;
    }
    const sum = Buffer.alloc(WORDS * 4);
    for (const [word, value] of words.entries()) sum.writeInt32BE(value, word * 4);
    return { count, sum };
  }
}
