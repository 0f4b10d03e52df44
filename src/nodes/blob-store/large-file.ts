/**
 * A large blob as a file: [bytes][chunk digests of every page][page list]. The digests lie behind the bytes, so that a
 * write is one pass and a read finds them by the size alone. Nothing here verifies: the writer's caller has verified,
 * and the reader's peer will.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { LIMITS } from '../../base/limits.ts';
import { chunkCount, chunksInPage, DIGEST_BYTES, type DigestTreeBuilder, pageCount } from '../digest-tree.ts';
import type { BlobSource } from './blob-store.ts';

export const trailerBytes = (size: number): number => (chunkCount(size) + pageCount(size)) * DIGEST_BYTES;

/** The file ends before the blob does. */
class TruncatedBlob extends Error {
  override readonly name = 'TruncatedBlob';
}

/** The disk says that the bytes are not there: too short a file, or EIO. Other errors say nothing about them. */
export const isUnreadable = (error: unknown): boolean =>
  error instanceof TruncatedBlob || (error as NodeJS.ErrnoException).code === 'EIO';

async function readFully(file: FileHandle, into: Buffer, position: number): Promise<void> {
  let done = 0;
  while (done < into.length) {
    const { bytesRead } = await file.read(into, done, into.length - done, position + done);
    if (bytesRead === 0) throw new TruncatedBlob('the file of a blob is too short');
    done += bytesRead;
  }
}

async function writeFully(file: FileHandle, parts: readonly Buffer[], position: number): Promise<void> {
  let left = parts;
  let at = position;
  while (left.length > 0) {
    const { bytesWritten } = await file.writev(left, at);
    at += bytesWritten;
    left = dropBytes(left, bytesWritten);
  }
}

/** What is left of `parts` after `bytes`: writev may write less than it was given. */
function dropBytes(parts: readonly Buffer[], bytes: number): readonly Buffer[] {
  let skip = bytes;
  for (let i = 0; i < parts.length; i += 1) {
    const part = parts[i]!;
    if (skip < part.length) return [part.subarray(skip), ...parts.slice(i + 1)];
    skip -= part.length;
  }
  return [];
}

/** Dirty bytes are flushed in the background this often, so that the fsync at the end is short. */
const FLUSH_BYTES = 32 * 1024 * 1024;

/** Bounds the flushes at work: each holds a thread that reads could need. */
export type RunSync = <T>(step: () => Promise<T>) => Promise<T>;

export class LargeFileWriter {
  readonly #file: FileHandle;
  readonly #runSync: RunSync;
  #position = 0;
  #flushedTo = 0;
  #flushing: Promise<void> = Promise.resolve();

  constructor(file: FileHandle, runSync: RunSync) {
    this.#file = file;
    this.#runSync = runSync;
  }

  static async create(path: string, runSync: RunSync): Promise<LargeFileWriter> {
    return new LargeFileWriter(await open(path, 'wx', 0o600), runSync);
  }

  async append(parts: readonly Buffer[], bytes: number): Promise<void> {
    await writeFully(this.#file, parts, this.#position);
    this.#position += bytes;
    if (this.#position - this.#flushedTo >= FLUSH_BYTES) await this.#flushBehind();
  }

  /** Waits for the previous flush and starts the next: at most two windows of dirty bytes per blob. */
  async #flushBehind(): Promise<void> {
    await this.#flushing;
    this.#flushedTo = this.#position;
    this.#flushing = this.#runSync(() => this.#file.datasync());
    this.#flushing.catch(() => {}); // seen by whoever awaits it next
  }

  /** Appends the digests and makes everything durable. */
  async finish(tree: DigestTreeBuilder): Promise<void> {
    await writeFully(this.#file, [...tree.pages(), tree.pageList()], this.#position);
    await this.#flushing;
    await this.#runSync(() => this.#file.datasync());
  }

  async close(): Promise<void> {
    await this.#flushing.catch(() => {});
    await this.#file.close();
  }
}

export class LargeFileReader implements BlobSource {
  readonly pageList: Buffer;
  readonly #file: FileHandle;
  readonly #size: number;

  private constructor(file: FileHandle, size: number, pageList: Buffer) {
    this.#file = file;
    this.#size = size;
    this.pageList = pageList;
  }

  static async open(path: string, size: number): Promise<LargeFileReader> {
    const file = await open(path, 'r');
    try {
      const pageList = Buffer.allocUnsafe(pageCount(size) * DIGEST_BYTES);
      await readFully(file, pageList, size + chunkCount(size) * DIGEST_BYTES);
      return new LargeFileReader(file, size, pageList);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async page(index: number): Promise<Buffer> {
    const page = Buffer.allocUnsafe(chunksInPage(this.#size, index) * DIGEST_BYTES);
    await readFully(this.#file, page, this.#size + index * LIMITS.chunksPerPage * DIGEST_BYTES);
    return page;
  }

  async chunk(index: number, into: Buffer): Promise<void> {
    await readFully(this.#file, into, index * LIMITS.chunkBytes);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}
