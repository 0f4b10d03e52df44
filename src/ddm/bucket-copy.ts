/**
 * Copies a bucket's rows from its directory to another one, page by page, while clients write: first all of them, then the
 * keys that have changed since. Each page takes the place of what the target has in its range, so pages may come twice and
 * in any order of their rounds; what a page missed has a change in the outbox, whose key is copied whole.
 */
import type { BucketId } from '../base/ids.ts';
import { CatalogUnavailable } from './catalog.ts';
import { certain } from './directories.ts';
import type { Directory } from './directory.ts';
import { statement } from './statements.ts';

const CHANGED_KEYS = statement('changed-keys');
const EXPORT_VERSIONS = statement('export-versions');
const IMPORT_VERSIONS = statement('import-versions');
const UPLOAD_PRINTS = statement('upload-prints');
const EXPORT_UPLOAD = statement('export-upload');
const IMPORT_UPLOAD = statement('import-upload');

const PAGE_ROWS = 500;
const PAGE_PARTS = 5_000;
const KEYS_AT_ONCE = 1_000;
const UPLOADS_AT_ONCE = 1_000;
/** Above every seq: what comes after (key, this) begins with the key's first row. */
const ABOVE = Number.MAX_SAFE_INTEGER;

/** Somebody else carries the move on, or it is over. */
export class Stale extends Error {}

/** Where a copy stands. `horizon`: changes below it are in the target; absent: nothing has been begun. */
export interface CopyProgress {
  readonly horizon?: string;
  /** The last row of the first pass; absent: that pass is over, or has not begun. */
  readonly at?: { readonly key: string; readonly seq: number };
  readonly whole?: boolean;
}

export interface CopyOptions {
  readonly source: Directory;
  readonly target: Directory;
  readonly bucketId: BucketId;
  readonly epoch: number;
  readonly turn: number;
  readonly signal: AbortSignal;
  readonly onStep?: (step: string) => void | Promise<void>;
}
type Save = (rows: number, progress: CopyProgress) => Promise<void>;

interface Page {
  readonly rows: readonly unknown[];
  readonly content: unknown;
  readonly toKey?: string;
  readonly toSeq?: number;
  readonly more: boolean;
}
interface Changes {
  readonly horizon: string;
  readonly trimmed: boolean;
  readonly keys: readonly string[];
}

export class BucketCopy {
  readonly #o: CopyOptions;

  constructor(o: CopyOptions) {
    this.#o = o;
  }

  /**
   * One round: the whole bucket the first time, else what changed since the last one. Answers how many keys had changed.
   * @throws {Stale}
   */
  async round(progress: CopyProgress, save: Save): Promise<number> {
    let { horizon, at, whole = false } = progress;
    if (horizon === undefined || (await this.#changes(horizon, '')).trimmed) {
      ({ horizon } = await this.#changes(null, ''));
      at = { key: '', seq: ABOVE };
      whole = false;
      await save(0, { horizon, at, whole });
    }
    while (!whole) {
      const page = await this.#page(at ?? { key: '', seq: ABOVE }, null);
      whole = !page.more;
      if (page.toKey !== undefined) at = { key: page.toKey, seq: page.toSeq! };
      await save(page.rows.length, { horizon, ...(at && !whole && { at }), whole });
    }
    const first = await this.#changes(horizon, '');
    let count = 0;
    for (let keys = first.keys; keys.length > 0; ) {
      for (const key of keys) {
        await save(await this.#key(key), { horizon, whole });
        count++;
      }
      if (keys.length < KEYS_AT_ONCE) break;
      ({ keys } = await this.#changes(horizon, keys.at(-1)!));
    }
    await save(0, { horizon: first.horizon, whole });
    return count;
  }

  async #changes(horizon: string | null, afterKey: string): Promise<Changes> {
    this.#o.signal.throwIfAborted();
    const values = [this.#o.bucketId, horizon, afterKey, KEYS_AT_ONCE];
    const [row] = await this.#o.source.read(CHANGED_KEYS, values);
    return row as unknown as Changes;
  }

  /** All rows of a key; answers how many. */
  async #key(key: string): Promise<number> {
    let count = 0;
    for (let seq = ABOVE; ; ) {
      const page = await this.#page({ key, seq }, key);
      count += page.rows.length;
      if (!page.more) return count;
      seq = page.toSeq!;
    }
  }

  /** Copies what comes after a row: a page of the bucket, or of one key. */
  async #page(after: { key: string; seq: number }, until: string | null): Promise<Page> {
    const { source, bucketId, epoch, turn, target, onStep, signal } = this.#o;
    signal.throwIfAborted();
    const asked = [bucketId, after.key, after.seq, until, PAGE_ROWS, PAGE_PARTS];
    const [row] = await source.read(EXPORT_VERSIONS, asked);
    const page = row!.page as Page;
    // Nothing comes after: neither in the target, up to the end of the key or of the bucket.
    const to = page.more ? [page.toKey, page.toSeq] : [until ?? LAST_KEY, -1];
    await onStep?.('page');
    const range = [after.key, after.seq, ...to];
    const values = [
      bucketId,
      epoch,
      turn,
      ...range,
      JSON.stringify(page.rows),
      JSON.stringify(page.content ?? {}),
    ];
    await this.#import(target, IMPORT_VERSIONS, values);
    return page;
  }

  async #import(target: Directory, s: typeof IMPORT_VERSIONS, values: readonly unknown[]): Promise<void> {
    const [row] = certain(await target.write(s, values)).rows;
    if (row?.answer !== true) throw new Stale();
  }

  /** Uploads, open and completed, that are not the same in both. `between` is called before each. */
  async uploads(between: () => Promise<void> = async () => {}): Promise<void> {
    const { source, target, bucketId, epoch, turn, onStep } = this.#o;
    const [there, here] = await Promise.all([this.#prints(source), this.#prints(target)]);
    const differing = [...new Set([...there.keys(), ...here.keys()])].filter(
      (id) => there.get(id) !== here.get(id),
    );
    for (const uploadId of differing) {
      await between();
      const [row] = await source.read(EXPORT_UPLOAD, [bucketId, uploadId]);
      if (!row) throw new CatalogUnavailable('an upload could not be read');
      await onStep?.('upload');
      await this.#import(target, IMPORT_UPLOAD, [bucketId, epoch, turn, uploadId, JSON.stringify(row.doc)]);
    }
  }

  async #prints(directory: Directory): Promise<Map<string, string>> {
    const prints = new Map<string, string>();
    for (let after = ''; ; ) {
      this.#o.signal.throwIfAborted();
      const rows = await directory.read(UPLOAD_PRINTS, [this.#o.bucketId, after, UPLOADS_AT_ONCE]);
      for (const row of rows) prints.set(String(row.upload_id), String(row.print));
      if (rows.length < UPLOADS_AT_ONCE) return prints;
      after = String(rows.at(-1)!.upload_id);
    }
  }
}

/** A text above every key, which has 1,024 bytes at most. */
const LAST_KEY = '\u{10ffff}'.repeat(257);
