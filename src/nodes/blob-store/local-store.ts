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
import type { Damage, InventoryEntry, RangeDigest, WriteIntent } from '../protocol.ts';
import type { BlobSink, BlobStore, InventoryQuery, NewBlob, Reservation, StoreTotals } from './blob-store.ts';
import { StoreError } from './blob-store.ts';
import { DataFolder, DataFolderError } from './data-folder.ts';
import { onDisk } from './disk-errors.ts';
import { IndexDb } from './index-db.ts';
import { KeyedLock, Slots } from './keyed-lock.ts';
import { LargeFileReader, LargeFileWriter, type RunSync } from './large-file.ts';
import { Arrivals, LargeSink } from './large-sink.ts';
import type { Names } from './names.ts';
import type { Notes } from './notes.ts';
import { summaryOfEntry } from './records.ts';
import { Room } from './room.ts';
import { type SweepResult, sweepFolder } from './sweep.ts';
import { Tally } from './tally.ts';

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
  readonly names: Names;
  readonly #locks = new KeyedLock<BlobId>();
  readonly #removing = new Set<BlobId>();
  readonly #arrivals = new Arrivals();
  readonly #tally = new Tally();
  readonly #clock: Clock;
  readonly #runSync: RunSync;
  readonly #openedAt: number;
  #stopped = false;
  #closed = false;

  private constructor(folder: DataFolder, index: IndexDb, options: LocalStoreOptions) {
    this.#folder = folder;
    this.#index = index;
    this.#room = new Room(folder.path, options.reserveBytes, options.clock);
    this.names = index.openNames((bytes) => this.#room.reserve(bytes, () => index.reusableBytes()));
    this.#runSync = new Slots(options.syncsMax).run;
    this.#clock = options.clock;
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
      for (const blob of index.summaries()) store.#tally.add(blob);
      return store;
    } catch (error) {
      await index?.close();
      folder.unlock();
      throw error;
    }
  }

  get storeId(): string {
    return this.#folder.storeId;
  }

  get notes(): Notes {
    return this.#index.notes;
  }

  #assertOpen(): void {
    if (this.#stopped) throw new StoreError('closed', 'the store is closed');
  }

  async reserve(size: number): Promise<Reservation> {
    this.#assertOpen();
    if (size > LIMITS.smallBlobBytesMax) return this.#room.reserve(size);
    return this.#room.reserve(size + SMALL_OVERHEAD_BYTES, () => this.#index.reusableBytes());
  }

  /** What is here under the id, with these bytes; null when nothing is. @throws {StoreError} conflict */
  #existing({ id, size }: NewBlob, root: Buffer): InventoryEntry | null {
    const existing = this.#index.get(id);
    if (existing && (existing.size !== size || !existing.root.equals(root))) {
      throw new StoreError('conflict', 'the blob exists with other bytes');
    }
    return existing;
  }

  #isWhole(existing: InventoryEntry | null, { replace }: NewBlob): boolean {
    return existing !== null && !replace && !this.#tally.isMissing(existing.id);
  }

  async putSmall(blob: NewBlob, root: Buffer, frame: Buffer, reservation: Reservation): Promise<void> {
    await this.#locks.run(blob.id, async () => {
      this.#assertOpen();
      const existing = this.#existing(blob, root);
      if (this.#isWhole(existing, blob)) return;
      if (existing) await this.#index.restore(blob.id, frame);
      else await this.#index.insert({ ...blob, root, state: blob.state ?? 'pending' }, frame);
      reservation.used(blob.size + SMALL_OVERHEAD_BYTES);
      await this.#account(blob, root, existing);
    });
  }

  /** The bytes of a blob are durable now, and its record is. */
  async #account(blob: NewBlob, root: Buffer, existing: InventoryEntry | null): Promise<void> {
    if (!existing) {
      this.#tally.add(summaryOfEntry({ ...blob, root }));
      return;
    }
    this.#tally.find(summaryOfEntry(existing));
    await this.notes.forgetDamage([blob.id]);
  }

  async createLarge(blob: NewBlob, reservation: Reservation): Promise<BlobSink> {
    this.#assertOpen();
    const temporary = join(this.#folder.temporary, `${blob.id}.${randomBytes(6).toString('hex')}`);
    const writer = await onDisk(this.#folder.path, () => LargeFileWriter.create(temporary, this.#runSync));
    const arrival = this.#arrivals.enter(blob.id);
    return new LargeSink(writer, this.#folder.path, temporary, reservation, {
      publish: (root) =>
        this.#locks.run(blob.id, async () => {
          if (arrival.isRemoved) throw new StoreError('conflict', 'the blob was removed while it arrived');
          await this.#publish(blob, root, temporary);
        }),
      ended: () => this.#arrivals.leave(blob.id, arrival),
    });
  }

  /** Under the id's lock: gives the finished file its name, then the index its record. */
  async #publish(blob: NewBlob, root: Buffer, temporary: string): Promise<void> {
    this.#assertOpen();
    const existing = this.#existing(blob, root);
    if (this.#isWhole(existing, blob)) return rm(temporary, { force: true });
    const file = this.#folder.blobFile(blob.id);
    await onDisk(this.#folder.path, () => rename(temporary, file));
    try {
      await onDisk(this.#folder.path, () =>
        this.#runSync(() => this.#syncFolder(this.#folder.blobFolder(blob.id))),
      );
      if (!existing) await this.#index.insert({ ...blob, root, state: blob.state ?? 'pending' }, null);
    } catch (error) {
      if (!existing) await unlink(file).catch(() => {});
      throw error;
    }
    await this.#account(blob, root, existing);
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
    return this.#tally.isMissing(id) ? null : this.#index.get(id);
  }

  isNamed(id: BlobId): boolean {
    return this.#index.get(id) !== null;
  }

  readSmall(id: BlobId): Buffer | null {
    return this.#index.getSmall(id);
  }

  async openLarge(entry: InventoryEntry): Promise<LargeFileReader | null> {
    try {
      return await LargeFileReader.open(this.#folder.blobFile(entry.id), entry.size);
    } catch (error) {
      if (!isGone(error)) throw error;
      await this.report(entry.id, 'missing');
      return null;
    }
  }

  async report(id: BlobId, kind: Damage['kind']): Promise<void> {
    await this.#locks.run(id, async () => {
      const entry = this.#index.get(id);
      if (!entry || this.#stopped) return;
      if (kind === 'missing') {
        if (!this.#isGone(entry)) return; // written again meanwhile
        this.#tally.lose(summaryOfEntry(entry));
      }
      await this.notes.addDamage([{ id, kind, foundAt: this.#clock.now() }]);
    });
  }

  #isGone({ id, size }: InventoryEntry): boolean {
    if (size <= LIMITS.smallBlobBytesMax) return this.#index.getSmall(id) === null;
    return !existsSync(this.#folder.blobFile(id));
  }

  async settle(id: BlobId, state: InventoryEntry['state'], intent: WriteIntent): Promise<void> {
    await this.#locks.run(id, async () => {
      this.#assertOpen();
      const entry = this.#index.get(id);
      if (!entry) return;
      const isSettled = entry.state === 'confirmed' || state === 'pending';
      if (isSettled && intent.handoffFor === entry.intent.handoffFor) return;
      await this.#index.settle({ ...entry, state, intent });
      this.#tally.relabel(summaryOfEntry(entry), intent.handoffFor !== undefined);
    });
  }

  /** Ids that are being removed are passed over: a record moved meanwhile would come back to life. */
  async confirm(ids: readonly BlobId[]): Promise<void> {
    this.#assertOpen();
    await this.#index.confirm(ids.filter((id) => !this.#removing.has(id)));
  }

  async release(ids: readonly BlobId[], intentAt: number): Promise<void> {
    this.#assertOpen();
    const there = ids.filter((id) => !this.#removing.has(id));
    await this.#index.unconfirm(there, intentAt);
  }

  async remove(ids: readonly BlobId[]): Promise<void> {
    this.#assertOpen();
    await Promise.all([...new Set(ids)].map((id) => this.#locks.run(id, () => this.#removeOne(id))));
  }

  /** Also what is on its way in: who discards a blob need not know whether the node has finished it by now. */
  async #removeOne(id: BlobId): Promise<void> {
    this.#arrivals.remove(id);
    const entry = this.#index.get(id);
    if (!entry) return;
    this.#removing.add(id);
    try {
      await this.#index.remove(id);
      this.#tally.remove(summaryOfEntry(entry));
      if (entry.size > LIMITS.smallBlobBytesMax) await rm(this.#folder.blobFile(id), { force: true });
    } finally {
      this.#removing.delete(id);
    }
  }

  pending(query: { before: number; after?: BlobId; max: number }): readonly InventoryEntry[] {
    const found: InventoryEntry[] = [];
    if (query.max < 1) return found;
    for (const entry of this.#index.pendingAfter(query.after)) {
      if (entry.intent.intentAt >= query.before || this.#tally.isMissing(entry.id)) continue;
      if (found.push(entry) === query.max) break;
    }
    return found;
  }

  inventory({ max, scope, ...span }: InventoryQuery): readonly InventoryEntry[] {
    const found: InventoryEntry[] = [];
    if (max < 1) return found;
    const entries = scope === 'handoff' ? this.#index.handoffs(span) : this.#index.inventory(span, scope);
    for (const entry of entries) {
      if (this.#tally.isMissing(entry.id)) continue;
      if (found.push(entry) === max) break;
    }
    return found;
  }

  digests(prefix?: string): readonly RangeDigest[] {
    return this.#tally.digests.ranges(prefix);
  }

  async totals(): Promise<StoreTotals> {
    const { blobs, storedBytes, missingBlobs } = this.#tally;
    return { blobs, storedBytes, freeBytes: await this.#room.freeBytes(), missingBlobs };
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
      for (const id of found.missing) await this.report(id, 'missing');
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
