/**
 * The records of names in a node's index (names-protocol.ts says what they are). Of two of one id the one with the higher change
 * stays, and of two with the same the one with the higher digest, so that twins that got the same records in any order have
 * the same. A record is [change, 8 bytes][deleted, 1 byte][SHA-256 of change, deleted and body, 32 bytes][body], under the
 * id's 16 bytes; one that does not verify is as if it were not there, and is counted.
 * Invariants: durable when put() resolves; the digests are those of what is stored (writes take turns).
 */
import { hash } from 'node:crypto';
import type { BlobId } from '../../base/ids.ts';
import type { TrimOrder } from '../names-codec.ts';
import { NAMES_BYTES_MAX, type NameKey, type NameRecord, type NamesPage } from '../names-protocol.ts';
import type { RangeDigest } from '../protocol.ts';
import { RangeDigests } from '../range-digests.ts';
import type { Table } from './notes.ts';

const DELETED_AT = 8;
const DIGEST_AT = 9;
const BODY_AT = DIGEST_AT + 32;
/** So that a step fits into the slack of a full disk. */
const REMOVED_PER_STEP = 10;
const PIECE = 500;
const OVERHEAD_BYTES = 16 * 1024;

export interface NameCommits {
  /** Room for what comes, or StoreError `full`; `used` when it is on disk. */
  reserve(bytes: number): Promise<{ used(bytes: number): void; release(): void }>;
  /** In one transaction, durable when it resolves. */
  write(bytes: number, apply: () => void): Promise<void>;
  /** The same for what makes room: so many keys. */
  remove(keys: number, apply: () => void): Promise<void>;
}
export interface NamesStatus {
  readonly count: number;
  /** The highest change number of all. */
  readonly highest: number;
  readonly damaged: number;
}

function encode({ change, isDeleted, body }: NameRecord): Buffer {
  const text = Buffer.from(body, 'utf8');
  const value = Buffer.alloc(BODY_AT + text.length);
  value.writeDoubleBE(change, 0);
  value.writeUInt8(isDeleted ? 1 : 0, DELETED_AT);
  value.set(text, BODY_AT);
  value.set(digestOf(value), DIGEST_AT);
  return value;
}
const digestOf = (value: Buffer): Buffer =>
  hash('sha256', Buffer.concat([value.subarray(0, DIGEST_AT), value.subarray(BODY_AT)]), 'buffer');
const isSound = (value: Buffer): boolean =>
  value.length >= BODY_AT && digestOf(value).equals(value.subarray(DIGEST_AT, BODY_AT));
const changeOf = (value: Buffer): number => value.readDoubleBE(0);
const isTombstone = (value: Buffer): boolean => value.readUInt8(DELETED_AT) === 1;
const summed = (id: string, value: Buffer) => ({
  id: id as BlobId,
  size: changeOf(value),
  root: value.subarray(DIGEST_AT, BODY_AT),
});
/** Whether `next` takes the place of `known`. */
function isYounger(next: Buffer, known: Buffer): boolean {
  if (!isSound(known)) return true;
  const by = changeOf(next) - changeOf(known);
  if (by !== 0) return by > 0;
  return next.compare(known, DIGEST_AT, BODY_AT, DIGEST_AT, BODY_AT) > 0;
}

export class Names {
  readonly #table: Table;
  readonly #commits: NameCommits;
  readonly #digests = new RangeDigests();
  #highest = 0;
  #damaged = 0;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(table: Table, commits: NameCommits) {
    this.#table = table;
    this.#commits = commits;
    for (const { key, value } of table.getRange({})) {
      if (!isSound(value)) this.#damaged += 1;
      this.#add(key.toString('hex'), value);
    }
  }

  #add(id: string, value: Buffer): void {
    this.#digests.add(summed(id, value));
    this.#highest = Math.max(this.#highest, changeOf(value));
  }

  status(): NamesStatus {
    const count = (this.#table.getStats() as { entryCount: number }).entryCount;
    return { count, highest: this.#highest, damaged: this.#damaged };
  }

  digests(prefix?: string): readonly RangeDigest[] {
    return this.#digests.ranges(prefix);
  }

  /** By id, at most `max` and about NAMES_BYTES_MAX of bodies. */
  page({ after, max, prefix }: { after?: string; max: number; prefix?: string }): NamesPage {
    const records: NameRecord[] = [];
    let bytes = 0;
    const start = after ?? (prefix ?? '').padEnd(32, '0');
    const range = { start: Buffer.from(start, 'hex'), exclusiveStart: after !== undefined };
    let last = '';
    for (const { key, value } of this.#table.getRange(range)) {
      const id = key.toString('hex');
      if (prefix !== undefined && !id.startsWith(prefix)) break;
      if (records.length >= max || bytes >= NAMES_BYTES_MAX) return { records, next: last };
      last = id;
      if (!isSound(value)) continue;
      bytes += value.length;
      records.push({ ...keyOf(id, value), body: value.toString('utf8', BODY_AT) });
    }
    return { records, next: null };
  }

  /** How many were taken. @throws {StoreError} full */
  put(records: readonly NameRecord[]): Promise<number> {
    return this.#inTurn(async () => {
      const wanted = new Map<string, Buffer>();
      for (const record of records) {
        const value = encode(record);
        const known = wanted.get(record.id) ?? this.#get(record.id);
        if (!known || isYounger(value, known)) wanted.set(record.id, value);
      }
      if (wanted.size === 0) return 0;
      const bytes = [...wanted.values()].reduce((sum, { length }) => sum + length + OVERHEAD_BYTES, 0);
      const room = await this.#commits.reserve(bytes);
      try {
        const before = new Map([...wanted.keys()].map((id) => [id, this.#get(id)] as const));
        await this.#commits.write(bytes, () => {
          for (const [id, value] of wanted) this.#table.put(Buffer.from(id, 'hex'), value);
        });
        room.used(bytes);
        for (const [id, value] of wanted) {
          const old = before.get(id);
          if (old) this.#forget(id, old);
          this.#add(id, value);
        }
      } finally {
        room.release();
      }
      return wanted.size;
    });
  }

  /** Forgets what is below `below`, tombstones below `tombstonesBelow`, and `ids`. Answers how many went. */
  trim({ below = 0, tombstonesBelow = 0, ids = [] }: TrimOrder): Promise<number> {
    const goes = (value: Buffer) =>
      changeOf(value) < below || (isTombstone(value) && changeOf(value) < tombstonesBelow);
    return this.#inTurn(async () => {
      let count = await this.#remove(ids);
      if (below === 0 && tombstonesBelow === 0) return count;
      let after: Buffer | undefined;
      for (;;) {
        // In pieces, so that no reader of the index stays open over a commit.
        const range = after ? { start: after, exclusiveStart: true } : {};
        const piece = [...this.#table.getRange({ ...range, limit: PIECE })];
        const going = piece.filter(({ value }) => goes(value));
        count += await this.#remove(going.map(({ key }) => key.toString('hex')));
        if (piece.length < PIECE) return count;
        after = piece.at(-1)!.key;
      }
    });
  }

  async #remove(ids: readonly string[]): Promise<number> {
    let count = 0;
    for (let at = 0; at < ids.length; at += REMOVED_PER_STEP) {
      const step = ids.slice(at, at + REMOVED_PER_STEP).flatMap((id) => {
        const value = this.#get(id);
        return value ? [{ id, value }] : [];
      });
      if (step.length === 0) continue;
      await this.#commits.remove(step.length, () => {
        for (const { id } of step) this.#table.remove(Buffer.from(id, 'hex'));
      });
      for (const { id, value } of step) this.#forget(id, value);
      count += step.length;
    }
    return count;
  }

  #get(id: string): Buffer | undefined {
    return this.#table.getBinary(Buffer.from(id, 'hex'));
  }

  #forget(id: string, value: Buffer): void {
    this.#digests.remove(summed(id, value));
    if (!isSound(value)) this.#damaged -= 1;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }
}

const keyOf = (id: string, value: Buffer): NameKey => ({
  id,
  change: changeOf(value),
  isDeleted: isTombstone(value),
});
