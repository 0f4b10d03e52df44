/**
 * Turns a source of buffers of any size into chunks of LIMITS.chunkBytes with their digests. Keeps the first
 * `replayBytes` so that another pair can be tried from the start, until the source is pulled beyond them.
 * Invariant: yields exactly `size` bytes or throws; each chunk is digested once.
 */
import { LIMITS } from '../base/limits.ts';
import { chunkBytes, digest } from '../nodes/digest-tree.ts';

export interface DigestedChunk {
  readonly bytes: Buffer;
  readonly digest: Buffer;
}

/** The source yielded more or fewer bytes than it promised. */
export class SizeMismatch extends Error {
  override readonly name = 'SizeMismatch';
}

export class ChunkSource {
  readonly #iterator: AsyncIterator<Buffer>;
  readonly #size: number;
  readonly #keptMax: number;
  #kept: DigestedChunk[] = [];
  #pulled = 0;
  #rest: Buffer = Buffer.alloc(0);
  #ahead: { index: number; chunk: Promise<DigestedChunk | null> } | null = null;

  constructor(source: AsyncIterable<Buffer>, size: number, replayBytes: number) {
    this.#iterator = source[Symbol.asyncIterator]();
    this.#size = size;
    this.#keptMax = Math.max(1, Math.floor(replayBytes / LIMITS.chunkBytes));
  }

  get chunkCount(): number {
    return Math.ceil(this.#size / LIMITS.chunkBytes);
  }

  /** Whether chunk 0 can still be asked for. */
  get isReplayable(): boolean {
    return this.#pulled <= this.#keptMax;
  }

  /** Reads what can be kept, so that opening a pair costs nothing that cannot be repeated. */
  async fill(): Promise<void> {
    for (let index = 0; index < Math.min(this.#keptMax, this.chunkCount); index += 1) await this.chunk(index);
    if (this.chunkCount <= this.#keptMax) await this.expectEnd();
  }

  /** Chunk `index`: a kept one, or the next of the source. */
  async chunk(index: number): Promise<DigestedChunk> {
    const kept = this.#kept[index];
    if (kept) return kept;
    if (this.#ahead?.index !== index) this.prefetch(index);
    const chunk = await this.#ahead!.chunk;
    if (this.#ahead?.index === index) this.#ahead = null;
    if (!chunk) throw new SizeMismatch(`the source ended before its ${this.#size} bytes`);
    return chunk;
  }

  /** Starts pulling and digesting chunk `index` (kept, or the next of the source). An error shows in chunk(). */
  prefetch(index: number): void {
    if (index >= this.chunkCount || index < this.#kept.length || this.#ahead?.index === index) return;
    if (index !== this.#pulled) throw new RangeError(`chunk ${index} was passed or is not next`);
    const chunk = this.#pull();
    chunk.catch(() => {});
    this.#ahead = { index, chunk };
  }

  /** @throws {SizeMismatch} when the source has more. */
  async expectEnd(): Promise<void> {
    if (this.#rest.length === 0) {
      for (let step = await this.#iterator.next(); !step.done; step = await this.#iterator.next()) {
        if (step.value.length > 0) {
          this.#rest = step.value;
          break;
        }
      }
    }
    if (this.#rest.length > 0) throw new SizeMismatch(`the source has more than its ${this.#size} bytes`);
  }

  /** Lets the source clean up. Not waited for: a source in the middle of a pull answers when it can. */
  close(): void {
    this.#kept = [];
    this.#rest = Buffer.alloc(0);
    Promise.resolve(this.#iterator.return?.()).catch(() => {});
  }

  async #pull(): Promise<DigestedChunk | null> {
    const index = this.#pulled;
    this.#pulled += 1;
    if (index === this.#keptMax) this.#kept = [];
    const bytes = await this.#take(chunkBytes(this.#size, index));
    if (!bytes) return null;
    const chunk = { bytes, digest: digest(bytes) };
    if (index < this.#keptMax) this.#kept.push(chunk);
    return chunk;
  }

  /** The next `length` bytes: a view where the source gave them in one piece, else one copy. */
  async #take(length: number): Promise<Buffer | null> {
    let target: Buffer | null = null;
    let filled = 0;
    for (;;) {
      if (this.#rest.length > 0) {
        if (!target && this.#rest.length >= length) {
          const whole = this.#rest.subarray(0, length);
          this.#rest = this.#rest.subarray(length);
          return whole;
        }
        target ??= Buffer.allocUnsafeSlow(length);
        const copied = this.#rest.copy(target, filled);
        this.#rest = this.#rest.subarray(copied);
        filled += copied;
        if (filled === length) return target;
      }
      const step = await this.#iterator.next();
      if (step.done) return null;
      this.#rest = step.value;
    }
  }
}
