/**
 * Whether there is room, asked before a byte is accepted. Invariant: what is promised to writers and not yet on disk,
 * plus the reserve, never exceeds what the file system says is free (as of at most STATFS_AGE_MS ago).
 */
import { statfs } from 'node:fs/promises';
import type { Clock } from '../../base/clock.ts';
import { type Reservation, StoreError } from './blob-store.ts';

const STATFS_AGE_MS = 200;

export class Room {
  readonly #path: string;
  readonly #reserveBytes: number;
  readonly #clock: Clock;
  #freeBytes = 0;
  #asOf = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> | null = null;
  #promisedBytes = 0;

  constructor(path: string, reserveBytes: number, clock: Clock) {
    this.#path = path;
    this.#reserveBytes = reserveBytes;
    this.#clock = clock;
  }

  async freeBytes(): Promise<number> {
    if (this.#clock.monotonic() - this.#asOf > STATFS_AGE_MS) {
      this.#asking ??= this.#ask().finally(() => {
        this.#asking = null;
      });
      await this.#asking;
    }
    return this.#freeBytes;
  }

  async #ask(): Promise<void> {
    const { bavail, bsize } = await statfs(this.#path);
    this.#freeBytes = bavail * bsize;
    this.#asOf = this.#clock.monotonic();
  }

  /** @throws {StoreError} full */
  async reserve(size: number): Promise<Reservation> {
    const free = await this.freeBytes();
    if (free - this.#promisedBytes - this.#reserveBytes < size) {
      throw new StoreError('full', `no room for ${size} bytes`);
    }
    let left = size;
    this.#promisedBytes += size;
    const give = (bytes: number): void => {
      const back = Math.min(bytes, left);
      left -= back;
      this.#promisedBytes -= back;
    };
    return { used: give, release: () => give(left) };
  }
}
