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

  /**
   * `reusableBytes` are free inside a file that exists, for writes that go there; half of them count, because they may
   * lie in pieces. @throws {StoreError} full
   */
  async reserve(size: number, reusableBytes: () => number = () => 0): Promise<Reservation> {
    const free = Math.max(0, (await this.freeBytes()) - this.#reserveBytes) - this.#promisedBytes;
    if (free < size && free + reusableBytes() / 2 < size) {
      throw new StoreError('full', `no room for ${size} bytes`);
    }
    let left = size;
    this.#promisedBytes += size;
    const giveBack = (bytes: number): void => {
      const back = Math.min(bytes, left);
      left -= back;
      this.#promisedBytes -= back;
    };
    return {
      used: (bytes) => {
        giveBack(bytes);
        this.#freeBytes -= bytes; // until the file system is asked again
      },
      release: () => giveBack(left),
    };
  }
}
