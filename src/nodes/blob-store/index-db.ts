/**
 * The index of a node and its small blobs, in one LMDB environment with group commit.
 *
 * Durability: `overlappingSync: false`, so that a batch is fsynced inside its commit and a write's promise resolves only
 * afterwards. With lmdb-js' default (overlapping sync) the promise resolves before the flush, `flushed` has to be awaited
 * instead, and that one never settles when a flush fails.
 * Atomicity: group-commit.ts. Pending and confirmed records are two tables, so that the reaper's scan costs what is
 * pending and not what is stored.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Database, open, type RootDatabase } from 'lmdb';
import type { BlobId } from '../../base/ids.ts';
import { DIGEST_BYTES } from '../digest-tree.ts';
import { intentToJson } from '../entry-codec.ts';
import type { InventoryEntry, WriteIntent } from '../protocol.ts';
import { syncFolder } from './data-folder.ts';
import { onDisk } from './disk-errors.ts';
import { GroupCommit } from './group-commit.ts';
import { IndexRoom, type IndexSpace, type Need } from './index-room.ts';

type Table = Database<Buffer, Buffer>;
export type BlobState = InventoryEntry['state'];

/** Virtual address space, not disk: LMDB maps a file of whatever length it has. */
const MAP_BYTES = 4 * 1024 ** 4;
const SIZE_BYTES = 8;
/** Pages that one key of one table may touch: a path from root to leaf is copied, and may split. */
const TOUCHED_BYTES = 6 * 4_096;
/** So that a step fits into the slack of a full disk (index-room.ts). */
const CONFIRMS_PER_STEP = 10;

const keyOf = (id: BlobId): Buffer => Buffer.from(id, 'hex');
const idOf = (key: Buffer): BlobId => key.toString('hex') as BlobId;

/** Record: [size, 8 bytes][root, 32 bytes][intent as JSON]. */
function encodeRecord(size: number, root: Buffer, intent: WriteIntent): Buffer {
  const json = intentToJson(intent);
  const record = Buffer.allocUnsafe(SIZE_BYTES + DIGEST_BYTES + Buffer.byteLength(json));
  record.writeDoubleBE(size, 0);
  record.set(root, SIZE_BYTES);
  record.write(json, SIZE_BYTES + DIGEST_BYTES);
  return record;
}

function decodeRecord(id: BlobId, state: BlobState, record: Buffer): InventoryEntry {
  return {
    id,
    size: record.readDoubleBE(0),
    root: Buffer.from(record.subarray(SIZE_BYTES, SIZE_BYTES + DIGEST_BYTES)),
    state,
    intent: JSON.parse(record.toString('utf8', SIZE_BYTES + DIGEST_BYTES)) as WriteIntent,
  };
}

/** Entries after `after`, in the order of their ids, lazily. */
function* scan(table: Table, state: BlobState, after: BlobId | undefined): Generator<InventoryEntry, void> {
  const options = after ? { start: keyOf(after), exclusiveStart: true } : {};
  for (const { key, value } of table.getRange(options)) yield decodeRecord(idOf(key), state, value);
}

/** Merges two scans by id. */
function* merge(a: Generator<InventoryEntry, void>, b: Generator<InventoryEntry, void>) {
  let left = a.next();
  let right = b.next();
  try {
    while (!left.done || !right.done) {
      if (right.done || (!left.done && left.value.id < right.value.id)) {
        yield left.value as InventoryEntry;
        left = a.next();
      } else {
        yield right.value;
        right = b.next();
      }
    }
  } finally {
    a.return();
    b.return();
  }
}

interface TableStats {
  readonly treeBranchPageCount: number;
  readonly treeLeafPageCount: number;
  readonly overflowPages: number;
}
interface EnvironmentStats {
  readonly pageSize: number;
  readonly lastPageNumber: number;
  readonly free: TableStats;
}
const META_PAGES = 2;
const pagesOf = ({ treeBranchPageCount, treeLeafPageCount, overflowPages }: TableStats): number =>
  treeBranchPageCount + treeLeafPageCount + overflowPages;

export class IndexDb {
  readonly #folder: string;
  readonly #root: RootDatabase;
  readonly #commits: GroupCommit;
  readonly #pending: Table;
  readonly #confirmed: Table;
  readonly #small: Table;

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    this.#folder = folder;
    this.#root = open({
      path: folder,
      noSubdir: false,
      maxDbs: 4,
      mapSize: MAP_BYTES,
      overlappingSync: false,
      eventTurnBatching: false,
    });
    const room = new IndexRoom(join(folder, 'data.mdb'), () => this.#space());
    this.#commits = new GroupCommit(this.#root, (need) => room.ensure(need));
    const table = (name: string): Table =>
      this.#root.openDB<Buffer, Buffer>({ name, encoding: 'binary', keyEncoding: 'binary' });
    this.#pending = table('pending');
    this.#confirmed = table('confirmed');
    this.#small = table('small');
    syncFolder(folder); // LMDB syncs its files and not their names
  }

  get(id: BlobId): InventoryEntry | null {
    const key = keyOf(id);
    const confirmed = this.#confirmed.getBinary(key);
    if (confirmed) return decodeRecord(id, 'confirmed', confirmed);
    const pending = this.#pending.getBinary(key);
    return pending ? decodeRecord(id, 'pending', pending) : null;
  }

  getSmall(id: BlobId): Buffer | null {
    return this.#small.getBinary(keyOf(id)) ?? null;
  }

  #commit(need: Need, apply: () => void): Promise<void> {
    return onDisk(this.#folder, () => this.#commits.run(apply, need));
  }

  /** A pending record, with the bytes of a small blob. Durable when it resolves. */
  insert(id: BlobId, size: number, root: Buffer, intent: WriteIntent, small: Buffer | null): Promise<void> {
    const key = keyOf(id);
    const record = encodeRecord(size, root, intent);
    const bytes = (small?.length ?? 0) + record.length + 2 * TOUCHED_BYTES;
    return this.#commit({ bytes, essential: false }, () => {
      if (small) this.#small.put(key, small);
      this.#pending.put(key, record);
    });
  }

  /** Durable when it resolves; passes over what is not pending when its turn comes. */
  async confirm(ids: readonly BlobId[]): Promise<void> {
    const keys = ids.map(keyOf);
    const steps: Promise<void>[] = [];
    for (let at = 0; at < keys.length; at += CONFIRMS_PER_STEP) {
      const some = keys.slice(at, at + CONFIRMS_PER_STEP);
      const need = { bytes: some.length * 2 * TOUCHED_BYTES, essential: true };
      steps.push(this.#commit(need, () => this.#moveToConfirmed(some)));
    }
    await Promise.all(steps);
  }

  #moveToConfirmed(keys: readonly Buffer[]): void {
    for (const key of keys) {
      const record = this.#pending.getBinary(key);
      if (!record) continue;
      this.#confirmed.put(key, record);
      this.#pending.remove(key);
    }
  }

  /** Durable when it resolves; passes over what does not exist. */
  remove(id: BlobId): Promise<void> {
    const key = keyOf(id);
    return this.#commit({ bytes: 3 * TOUCHED_BYTES, essential: true }, () => {
      for (const table of [this.#pending, this.#confirmed, this.#small]) table.remove(key);
    });
  }

  pendingAfter(after: BlobId | undefined): Generator<InventoryEntry, void> {
    return scan(this.#pending, 'pending', after);
  }

  allAfter(after: BlobId | undefined): Generator<InventoryEntry, void> {
    return merge(scan(this.#pending, 'pending', after), scan(this.#confirmed, 'confirmed', after));
  }

  /** Id and size of every blob, or of those whose id begins with `firstByte`; in no order. Parses nothing else. */
  *sizes(firstByte?: number): Generator<{ id: BlobId; size: number }, void> {
    const range =
      firstByte === undefined
        ? {}
        : { start: Buffer.from([firstByte]), ...(firstByte < 255 && { end: Buffer.from([firstByte + 1]) }) };
    for (const table of [this.#pending, this.#confirmed]) {
      for (const { key, value } of table.getRange(range))
        yield { id: idOf(key), size: value.readDoubleBE(0) };
    }
  }

  #space(): IndexSpace {
    const root = this.#root.getStats() as TableStats & EnvironmentStats;
    const tables = [this.#pending, this.#confirmed, this.#small].map(
      (table) => table.getStats() as TableStats,
    );
    const used = [...tables, root, root.free].reduce((sum, table) => sum + pagesOf(table), META_PAGES);
    const pages = root.lastPageNumber + 1;
    return { endBytes: pages * root.pageSize, reusableBytes: Math.max(0, pages - used) * root.pageSize };
  }

  /** Bytes of pages in LMDB's file that hold nothing: the file never shrinks, what is deleted is used again. */
  reusableBytes(): number {
    return this.#space().reusableBytes;
  }

  async close(): Promise<void> {
    await this.#commits.idle();
    await this.#root.close();
  }
}
