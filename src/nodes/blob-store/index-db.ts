/**
 * The index of a node and its small blobs, in one LMDB environment with group commit.
 *
 * Durability: `overlappingSync: false`, so that a batch is fsynced inside its commit and a write's promise resolves only
 * afterwards. With lmdb-js' default (overlapping sync) the promise resolves before the flush, `flushed` has to be awaited
 * instead, and that one never settles when a flush fails.
 * Atomicity: group-commit.ts. Pending and confirmed records are two tables, so that the reaper's scan costs what is
 * pending and not what is stored. A third one names the handoffs, which are few and asked for alone.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import type { BlobId } from '../../base/ids.ts';
import type { InventoryEntry, WriteIntent } from '../protocol.ts';
import { syncFolder } from './data-folder.ts';
import { onDisk } from './disk-errors.ts';
import { GroupCommit } from './group-commit.ts';
import { IndexRoom, type IndexSpace, type Need } from './index-room.ts';
import { type NameCommits, Names } from './names.ts';
import { Notes, type Table } from './notes.ts';
import {
  type BlobState,
  type BlobSummary,
  decodeRecord,
  encodeRecord,
  idOf,
  isHandoff,
  keyOf,
  sizeOf,
  summaryOf,
} from './records.ts';

/** Virtual address space, not disk: LMDB maps a file of whatever length it has. */
const MAP_BYTES = 4 * 1024 ** 4;
/** Pages that one key of one table may touch: a path from root to leaf is copied, and may split. */
const TOUCHED_BYTES = 6 * 4_096;
/** So that a step fits into the slack of a full disk (index-room.ts). */
const CONFIRMS_PER_STEP = 10;

/** Being in the table is all that it says. */
const PRESENT = Buffer.of(1);

/** Of an inventory. `prefix`: 2 or 4 hex digits. */
export interface Span {
  readonly after?: BlobId;
  readonly prefix?: string;
}

interface KeyRange {
  start?: Buffer;
  end?: Buffer;
  exclusiveStart?: boolean;
}
function keyRange({ after, prefix }: Span): KeyRange {
  const range: KeyRange = {};
  if (prefix !== undefined) {
    range.start = Buffer.from(prefix, 'hex');
    const next = Number.parseInt(prefix, 16) + 1;
    if (next < 16 ** prefix.length) {
      range.end = Buffer.from(next.toString(16).padStart(prefix.length, '0'), 'hex');
    }
  }
  if (after !== undefined && (prefix === undefined || after > prefix)) {
    range.start = keyOf(after);
    range.exclusiveStart = true;
  }
  return range;
}

/** Entries in the order of their ids, lazily. */
function* scan(
  table: Table,
  state: BlobState,
  span: Span,
  wanted?: (record: Buffer) => boolean,
): Generator<InventoryEntry, void> {
  for (const { key, value } of table.getRange(keyRange(span))) {
    if (!wanted || wanted(value)) yield decodeRecord(idOf(key), state, value);
  }
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

export interface NewRecord {
  readonly id: BlobId;
  readonly size: number;
  readonly root: Buffer;
  readonly intent: WriteIntent;
  readonly state: BlobState;
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
  readonly #handoffs: Table;
  readonly #tables: readonly Table[];
  readonly notes: Notes;
  readonly #names: Table;

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    this.#folder = folder;
    this.#root = open({
      path: folder,
      noSubdir: false,
      maxDbs: 16,
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
    this.#handoffs = table('handoffs');
    const documents = table('documents');
    const damage = table('damage');
    this.#names = table('names');
    this.#tables = [
      this.#pending,
      this.#confirmed,
      this.#small,
      this.#handoffs,
      documents,
      damage,
      this.#names,
    ];
    this.notes = new Notes(documents, damage, (keys, apply) =>
      this.#commit({ bytes: keys * TOUCHED_BYTES, essential: true }, apply),
    );
    syncFolder(folder); // LMDB syncs its files and not their names
  }

  openNames(reserve: NameCommits['reserve']): Names {
    return new Names(this.#names, {
      reserve,
      write: (bytes, apply) => this.#commit({ bytes, essential: false }, apply),
      remove: (keys, apply) => this.#commit({ bytes: keys * TOUCHED_BYTES, essential: true }, apply),
    });
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

  /** A record of a new blob, with the bytes of a small one. Durable when it resolves. */
  insert({ id, size, root, intent, state }: NewRecord, small: Buffer | null): Promise<void> {
    const key = keyOf(id);
    const record = encodeRecord(size, root, intent);
    const table = state === 'pending' ? this.#pending : this.#confirmed;
    const bytes = (small?.length ?? 0) + record.length + 3 * TOUCHED_BYTES;
    return this.#commit({ bytes, essential: false }, () => {
      if (small) this.#small.put(key, small);
      table.put(key, record);
      if (intent.handoffFor !== undefined) this.#handoffs.put(key, PRESENT);
    });
  }

  /** The bytes of a small blob whose record is there. */
  restore(id: BlobId, small: Buffer): Promise<void> {
    const key = keyOf(id);
    const bytes = small.length + TOUCHED_BYTES;
    return this.#commit({ bytes, essential: false }, () => void this.#small.put(key, small));
  }

  /** Another intent and, with `confirmed`, that state; what is confirmed stays so. Passes over what does not exist. */
  settle({ id, size, root, intent, state }: NewRecord): Promise<void> {
    const key = keyOf(id);
    const record = encodeRecord(size, root, intent);
    const bytes = record.length + 3 * TOUCHED_BYTES;
    return this.#commit({ bytes, essential: false }, () => {
      const isPending = this.#pending.getBinary(key) !== undefined;
      if (!isPending && this.#confirmed.getBinary(key) === undefined) return;
      if (isPending && state === 'confirmed') this.#pending.remove(key);
      (isPending && state === 'pending' ? this.#pending : this.#confirmed).put(key, record);
      if (intent.handoffFor === undefined) this.#handoffs.remove(key);
      else this.#handoffs.put(key, PRESENT);
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

  /** What is confirmed becomes pending, with another time; passes over the rest. */
  async unconfirm(ids: readonly BlobId[], intentAt: number): Promise<void> {
    const steps: Promise<void>[] = [];
    for (let at = 0; at < ids.length; at += CONFIRMS_PER_STEP) {
      const some = ids.slice(at, at + CONFIRMS_PER_STEP);
      const need = { bytes: some.length * 2 * TOUCHED_BYTES, essential: true };
      steps.push(this.#commit(need, () => this.#moveToPending(some, intentAt)));
    }
    await Promise.all(steps);
  }

  #moveToPending(ids: readonly BlobId[], intentAt: number): void {
    for (const id of ids) {
      const key = keyOf(id);
      const record = this.#confirmed.getBinary(key);
      if (!record) continue;
      const { size, root, intent } = decodeRecord(id, 'confirmed', record);
      this.#pending.put(key, encodeRecord(size, root, { ...intent, intentAt }));
      this.#confirmed.remove(key);
    }
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
    return this.#commit({ bytes: 5 * TOUCHED_BYTES, essential: true }, () => {
      for (const table of [this.#pending, this.#confirmed, this.#small, this.#handoffs]) table.remove(key);
      this.notes.dropWithin(key);
    });
  }

  pendingAfter(after: BlobId | undefined): Generator<InventoryEntry, void> {
    return scan(this.#pending, 'pending', after === undefined ? {} : { after });
  }

  /** `home`: without handoffs. */
  inventory(span: Span, scope?: 'home'): Generator<InventoryEntry, void> {
    const wanted = scope === 'home' ? (record: Buffer) => !isHandoff(record) : undefined;
    return merge(
      scan(this.#pending, 'pending', span, wanted),
      scan(this.#confirmed, 'confirmed', span, wanted),
    );
  }

  *handoffs(span: Span): Generator<InventoryEntry, void> {
    for (const { key } of this.#handoffs.getRange(keyRange(span))) {
      const entry = this.get(idOf(key));
      if (entry) yield entry;
    }
  }

  /** Of every blob, in no order. */
  *summaries(): Generator<BlobSummary, void> {
    for (const table of [this.#pending, this.#confirmed]) {
      for (const { key, value } of table.getRange({})) yield summaryOf(key, value);
    }
  }

  /** Id and size of every blob whose id begins with `firstByte`; in no order. Parses nothing else. */
  *sizes(firstByte: number): Generator<{ id: BlobId; size: number }, void> {
    const range = keyRange({ prefix: firstByte.toString(16).padStart(2, '0') });
    for (const table of [this.#pending, this.#confirmed]) {
      for (const { key, value } of table.getRange(range)) yield { id: idOf(key), size: sizeOf(value) };
    }
  }

  #space(): IndexSpace {
    const root = this.#root.getStats() as TableStats & EnvironmentStats;
    const tables = this.#tables.map((table) => table.getStats() as TableStats);
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
