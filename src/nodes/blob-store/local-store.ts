/**
 * The blob store on a local disk: small blobs in LMDB, large ones as files.
 * Order of a large write: bytes and digests in tmp/ → fsync → rename → fsync of the folder → index record, durable.
 * Order of a removal: index record, durable → unlink. So the index never names a file that was not whole, and what a
 * crash leaves behind is a file without a record, which the sweep removes.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { open, readdir, rename, rm, statfs, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import type { BlobId, MemberId } from '../../base/ids.ts';
import { LIMITS } from '../../base/limits.ts';
import { DigestTreeBuilder } from '../digest-tree.ts';
import type { InventoryEntry } from '../protocol.ts';
import type { BlobSink, BlobStore, NewBlob, Reservation, StoreTotals } from './blob-store.ts';
import { StoreError } from './blob-store.ts';
import { DataFolder, DataFolderError } from './data-folder.ts';
import { onDisk } from './disk-errors.ts';
import { IndexDb } from './index-db.ts';
import { KeyedLock, Slots } from './keyed-lock.ts';
import { LargeFileReader, LargeFileWriter, type RunSync } from './large-file.ts';
import { Room } from './room.ts';
import { type SweepResult, sweepFolder } from './sweep.ts';

export interface LocalStoreOptions {
  readonly path: string;
  readonly member: MemberId;
  readonly clock: Clock;
  /** Kept free for the index and for deletes. */
  readonly reserveBytes: number;
  /** Flushes at work at once. Each holds a thread of libuv's pool, which reads need too. */
  readonly syncsMax: number;
}

/** Pages that a small write touches beside its own bytes: rounding, its record, two or three levels of two trees. */
const SMALL_OVERHEAD_BYTES = 16 * 1024;
const INDEX_BYTES_MIN = 1024 * 1024;

const isGone = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';

/** LMDB does not survive a full disk while it makes its file (see index-room.ts). */
async function assertRoomForIndex(folder: DataFolder): Promise<void> {
  const { bavail, bsize } = await statfs(folder.path);
  if (bavail * bsize >= INDEX_BYTES_MIN || existsSync(join(folder.index, 'data.mdb'))) return;
  throw new DataFolderError(
    `${folder.path} has no room: a node needs ${INDEX_BYTES_MIN} bytes to begin with`,
  );
}

export class LocalStore implements BlobStore {
  readonly #folder: DataFolder;
  readonly #index: IndexDb;
  readonly #room: Room;
  readonly #locks = new KeyedLock<BlobId>();
  readonly #removing = new Set<BlobId>();
  /** Large blobs on their way in, and whether their id was removed meanwhile. */
  readonly #arriving = new Map<BlobId, { isRemoved: boolean }[]>();
  readonly #missing = new Set<BlobId>();
  readonly #runSync: RunSync;
  readonly #openedAt: number;
  #blobs = 0;
  #storedBytes = 0;
  #stopped = false;
  #closed = false;

  private constructor(folder: DataFolder, index: IndexDb, options: LocalStoreOptions) {
    this.#folder = folder;
    this.#index = index;
    this.#room = new Room(folder.path, options.reserveBytes, options.clock);
    this.#runSync = new Slots(options.syncsMax).run;
    this.#openedAt = options.clock.now();
  }

  /** @throws {DataFolderError} when the folder is another node's, of a newer format or in use */
  static async open(options: LocalStoreOptions): Promise<LocalStore> {
    const folder = new DataFolder(options.path, options.member);
    let index: IndexDb | null = null;
    try {
      const left = await readdir(folder.temporary);
      for (const name of left) await rm(join(folder.temporary, name), { force: true });
      await assertRoomForIndex(folder);
      index = new IndexDb(folder.index);
      const store = new LocalStore(folder, index, options);
      store.#countAll();
      return store;
    } catch (error) {
      await index?.close();
      folder.unlock();
      throw error;
    }
  }

  #countAll(): void {
    for (const { size } of this.#index.sizes()) this.#count(size, 1);
  }

  #count(size: number, sign: 1 | -1): void {
    this.#blobs += sign;
    this.#storedBytes += sign * size;
  }

  #assertOpen(): void {
    if (this.#stopped) throw new StoreError('closed', 'the store is closed');
  }

  async reserve(size: number): Promise<Reservation> {
    this.#assertOpen();
    if (size > LIMITS.smallBlobBytesMax) return this.#room.reserve(size);
    return this.#room.reserve(size + SMALL_OVERHEAD_BYTES, () => this.#index.reusableBytes());
  }

  /** True when the id exists with these bytes. @throws {StoreError} conflict */
  #exists(id: BlobId, size: number, root: Buffer): boolean {
    const existing = this.#index.get(id);
    if (!existing) return false;
    if (existing.size !== size || !existing.root.equals(root)) {
      throw new StoreError('conflict', 'the blob exists with other bytes');
    }
    return !this.#missing.has(id);
  }

  async putSmall(blob: NewBlob, root: Buffer, frame: Buffer, reservation: Reservation): Promise<void> {
    await this.#locks.run(blob.id, async () => {
      this.#assertOpen();
      if (this.#exists(blob.id, blob.size, root)) return;
      await this.#index.insert(blob.id, blob.size, root, blob.intent, frame);
      reservation.used(blob.size + SMALL_OVERHEAD_BYTES);
      this.#count(blob.size, 1);
    });
  }

  async createLarge(blob: NewBlob, reservation: Reservation): Promise<BlobSink> {
    this.#assertOpen();
    const temporary = join(this.#folder.temporary, `${blob.id}.${randomBytes(6).toString('hex')}`);
    const writer = await onDisk(this.#folder.path, () => LargeFileWriter.create(temporary, this.#runSync));
    const tree = new DigestTreeBuilder();
    const arrival = { isRemoved: false };
    this.#arriving.set(blob.id, [...(this.#arriving.get(blob.id) ?? []), arrival]);
    let ended = false;
    const arrived = (): void => {
      const others = (this.#arriving.get(blob.id) ?? []).filter((other) => other !== arrival);
      if (others.length > 0) this.#arriving.set(blob.id, others);
      else this.#arriving.delete(blob.id);
    };
    const drop = async (): Promise<void> => {
      await writer.close().catch(() => {});
      await rm(temporary, { force: true }).catch(() => {});
    };
    return {
      append: async (parts, chunkDigest) => {
        let bytes = 0;
        for (const part of parts) bytes += part.length;
        await onDisk(this.#folder.path, () => writer.append(parts, bytes));
        reservation.used(bytes);
        tree.push(chunkDigest);
      },
      commit: async (root) => {
        ended = true;
        try {
          if (!tree.root().equals(root))
            throw new StoreError('corrupt', 'the root does not match the chunks');
          await onDisk(this.#folder.path, () => writer.finish(tree));
          await writer.close();
          await this.#locks.run(blob.id, async () => {
            if (arrival.isRemoved) throw new StoreError('conflict', 'the blob was removed while it arrived');
            await this.#publish(blob, root, temporary);
          });
        } catch (error) {
          await drop();
          throw error;
        } finally {
          arrived();
        }
      },
      discard: async () => {
        if (ended) return;
        ended = true;
        arrived();
        await drop();
      },
    };
  }

  /** Under the id's lock: gives the finished file its name, then the index its record. */
  async #publish(blob: NewBlob, root: Buffer, temporary: string): Promise<void> {
    this.#assertOpen();
    if (this.#exists(blob.id, blob.size, root)) return rm(temporary, { force: true });
    const restored = this.#index.get(blob.id) !== null;
    const file = this.#folder.blobFile(blob.id);
    await onDisk(this.#folder.path, () => rename(temporary, file));
    try {
      await onDisk(this.#folder.path, () =>
        this.#runSync(() => this.#syncFolder(this.#folder.blobFolder(blob.id))),
      );
      if (!restored) await this.#index.insert(blob.id, blob.size, root, blob.intent, null);
    } catch (error) {
      await unlink(file).catch(() => {});
      throw error;
    }
    if (restored) this.#missing.delete(blob.id);
    else this.#count(blob.size, 1);
  }

  async #syncFolder(path: string): Promise<void> {
    const folder = await open(path, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }

  stat(id: BlobId): InventoryEntry | null {
    return this.#missing.has(id) ? null : this.#index.get(id);
  }

  readSmall(id: BlobId): Buffer | null {
    return this.#index.getSmall(id);
  }

  async openLarge(entry: InventoryEntry): Promise<LargeFileReader | null> {
    try {
      return await LargeFileReader.open(this.#folder.blobFile(entry.id), entry.size);
    } catch (error) {
      if (!isGone(error)) throw error;
      if (this.#index.get(entry.id) && !this.#removing.has(entry.id)) this.#missing.add(entry.id);
      return null;
    }
  }

  /** Ids that are being removed are passed over: a record moved meanwhile would come back to life. */
  async confirm(ids: readonly BlobId[]): Promise<void> {
    this.#assertOpen();
    await this.#index.confirm(ids.filter((id) => !this.#removing.has(id)));
  }

  async remove(ids: readonly BlobId[]): Promise<void> {
    this.#assertOpen();
    await Promise.all([...new Set(ids)].map((id) => this.#locks.run(id, () => this.#removeOne(id))));
  }

  /** Also what is on its way in: who discards a blob need not know whether the node has finished it by now. */
  async #removeOne(id: BlobId): Promise<void> {
    for (const arrival of this.#arriving.get(id) ?? []) arrival.isRemoved = true;
    const entry = this.#index.get(id);
    if (!entry) return;
    this.#removing.add(id);
    try {
      await this.#index.remove(id);
      this.#count(entry.size, -1);
      this.#missing.delete(id);
      if (entry.size > LIMITS.smallBlobBytesMax) await rm(this.#folder.blobFile(id), { force: true });
    } finally {
      this.#removing.delete(id);
    }
  }

  pending(query: { before: number; after?: BlobId; max: number }): readonly InventoryEntry[] {
    const found: InventoryEntry[] = [];
    if (query.max < 1) return found;
    for (const entry of this.#index.pendingAfter(query.after)) {
      if (entry.intent.intentAt >= query.before || this.#missing.has(entry.id)) continue;
      if (found.push(entry) === query.max) break;
    }
    return found;
  }

  inventory(query: { after?: BlobId; max: number }): readonly InventoryEntry[] {
    const found: InventoryEntry[] = [];
    if (query.max < 1) return found;
    for (const entry of this.#index.allAfter(query.after)) {
      if (this.#missing.has(entry.id)) continue;
      if (found.push(entry) === query.max) break;
    }
    return found;
  }

  async totals(): Promise<StoreTotals> {
    return {
      blobs: this.#blobs,
      storedBytes: this.#storedBytes,
      freeBytes: await this.#room.freeBytes(),
      missingBlobs: this.#missing.size,
    };
  }

  /** Compares files and index, folder by folder; ends early when the store is closed. */
  async sweep(): Promise<SweepResult> {
    const result = { orphans: 0, missing: 0 };
    for (let i = 0; i < DataFolder.fanOutCount && !this.#stopped; i += 1) {
      const found = await sweepFolder(
        this.#folder.fanOut(i),
        i,
        this.#index,
        this.#openedAt,
        (id, removeIt) => this.#locks.run(id, removeIt),
      );
      result.orphans += found.orphans;
      for (const id of found.missing) this.#missing.add(id);
      result.missing += found.missing.length;
    }
    return result;
  }

  /** Refuses what comes from now on and ends a sweep; close() follows. */
  stop(): void {
    this.#stopped = true;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.stop();
    await this.#index.close();
    this.#folder.unlock();
  }
}
