/**
 * The index of a node and its small blobs, in one LMDB environment with group commit.
 *
 * Durability: `overlappingSync: false`, so that a batch is fsynced inside its commit and a write's promise resolves only
 * afterwards. With lmdb-js' default (overlapping sync) the promise resolves before the flush, `flushed` has to be awaited
 * instead, and that one never settles when a flush fails.
 * Atomicity: operations queued in one turn of the event loop commit in one transaction ("event turn batching"), which
 * nothing splits because no synchronous transaction is ever started. Pending and confirmed records are two tables, so
 * that the reaper's scan costs what is pending and not what is stored.
 */
import { mkdirSync } from 'node:fs';
import { type Database, open, type RootDatabase } from 'lmdb';
import type { BlobId } from '../../base/ids.ts';
import { DIGEST_BYTES } from '../digest-tree.ts';
import { intentToJson } from '../entry-codec.ts';
import type { InventoryEntry, WriteIntent } from '../protocol.ts';
import { onDisk } from './disk-errors.ts';

type Table = Database<Buffer, Buffer>;
export type BlobState = InventoryEntry['state'];

/** Virtual address space, not disk: LMDB maps a file of whatever length it has. */
const MAP_BYTES = 4 * 1024 ** 4;
const SIZE_BYTES = 8;

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

export class IndexDb {
  readonly #root: RootDatabase;
  readonly #pending: Table;
  readonly #confirmed: Table;
  readonly #small: Table;

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    this.#root = open({
      path: folder,
      noSubdir: false,
      maxDbs: 4,
      mapSize: MAP_BYTES,
      overlappingSync: false,
    });
    const table = (name: string): Table =>
      this.#root.openDB<Buffer, Buffer>({ name, encoding: 'binary', keyEncoding: 'binary' });
    this.#pending = table('pending');
    this.#confirmed = table('confirmed');
    this.#small = table('small');
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

  /** A pending record, with the bytes of a small blob. Durable when it resolves. */
  async insert(
    id: BlobId,
    size: number,
    root: Buffer,
    intent: WriteIntent,
    small: Buffer | null,
  ): Promise<void> {
    const key = keyOf(id);
    await onDisk(() =>
      Promise.all([
        small ? this.#small.put(key, small) : true,
        this.#pending.put(key, encodeRecord(size, root, intent)),
      ]),
    );
  }

  /** Durable when it resolves; passes over what is not pending. */
  async confirm(ids: readonly BlobId[]): Promise<void> {
    await onDisk(async () => {
      const writes: Promise<boolean>[] = [];
      for (const id of ids) {
        const key = keyOf(id);
        const record = this.#pending.getBinary(key);
        if (!record) continue;
        writes.push(this.#confirmed.put(key, record), this.#pending.remove(key));
      }
      await Promise.all(writes);
    });
  }

  /** Durable when it resolves; passes over what does not exist. */
  async remove(ids: readonly BlobId[]): Promise<void> {
    await onDisk(async () => {
      const tables = [this.#pending, this.#confirmed, this.#small];
      await Promise.all(ids.map(keyOf).flatMap((key) => tables.map((table) => table.remove(key))));
    });
  }

  pendingAfter(after: BlobId | undefined): Generator<InventoryEntry, void> {
    return scan(this.#pending, 'pending', after);
  }

  allAfter(after: BlobId | undefined): Generator<InventoryEntry, void> {
    return merge(scan(this.#pending, 'pending', after), scan(this.#confirmed, 'confirmed', after));
  }

  async close(): Promise<void> {
    await this.#root.close();
  }
}
