/**
 * Sees to it that LMDB never meets a full disk: its file is extended with zeros, by us, before a commit that might need
 * more than it has. Invariant: when a commit starts, the file reaches beyond the last page in use by at least what the
 * commit can take. Why: lmdb-js formats ENOSPC into a buffer that is too short (mdb.c, "Attempting to write page"),
 * which corrupts the heap and ends the process; and a delete has to get through on a full disk.
 */
import { open, stat } from 'node:fs/promises';

export interface IndexSpace {
  /** Behind the last page in use. */
  readonly endBytes: number;
  /** In pages within that hold nothing. */
  readonly reusableBytes: number;
}

export interface Need {
  readonly bytes: number;
  /** Deletes and confirms may use the slack. */
  readonly essential: boolean;
}

/** Kept for deletes and confirms behind what writes may use. */
const SLACK_BYTES = 1024 * 1024;
/** Extended by this much more than is needed, while there is room. */
const SPARE_BYTES = 4 * 1024 * 1024;
/** Pages that any commit touches: free list, roots. */
const COMMIT_BYTES = 256 * 1024;

export class IndexRoom {
  readonly #path: string;
  readonly #space: () => IndexSpace;
  #fileBytes: number | null = null;

  constructor(path: string, space: () => IndexSpace) {
    this.#path = path;
    this.#space = space;
  }

  /** Call between commits only. @throws ENOSPC and its like */
  async ensure({ bytes, essential }: Need): Promise<void> {
    this.#fileBytes ??= (await stat(this.#path)).size;
    const { endBytes, reusableBytes } = this.#space();
    const hard = endBytes + bytes + COMMIT_BYTES;
    // Free pages may lie in pieces: half of them count, and what does not fit goes into the slack.
    const soft = hard + SLACK_BYTES - reusableBytes / 2;
    if (this.#fileBytes >= hard && (essential || this.#fileBytes >= soft)) return;
    const target = hard + SLACK_BYTES;
    try {
      await this.#extend(target + SPARE_BYTES);
    } catch (error) {
      if (this.#fileBytes < (essential ? hard : target)) throw error;
    }
  }

  async #extend(target: number): Promise<void> {
    const zeros = Buffer.alloc(1024 * 1024);
    const file = await open(this.#path, 'r+');
    try {
      // Asked again: were a commit ever to take more than it was thought to, its pages must not be overwritten.
      this.#fileBytes = Math.max((await file.stat()).size, this.#space().endBytes);
      while (this.#fileBytes! < target) {
        const length = Math.min(zeros.length, target - this.#fileBytes!);
        const { bytesWritten } = await file.write(zeros, 0, length, this.#fileBytes!);
        this.#fileBytes! += bytesWritten;
      }
    } finally {
      await file.datasync().finally(() => file.close());
    }
  }
}
