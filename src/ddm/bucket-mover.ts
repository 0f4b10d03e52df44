/**
 * Carries one move of a bucket on, from wherever it stands (docs/adr/0007, migrations/0017_bucket_moves.sql):
 *
 *   copying   all rows are copied page by page; then, again and again, the keys that the source's outbox shows changed
 *   frozen    the source refuses writes; the last changes are copied; the target compares counts and takes the bucket's
 *             row (ready); the source gives it up (gone); the root pair's list is switched
 *   switched  the bucket arrives in the target; the source removes what is left
 *
 * Every step may be repeated and may come from a gateway that was thought dead: the directories know the move's epoch and
 * its owner's turn. A freeze ends within FREEZE_MS, by a switch or by a thaw and more copying; after FREEZES_MAX of them the
 * move is cancelled, unless something was away.
 */
import type { Logger } from 'pino';
import type { Clock } from '../base/clock.ts';
import type { AccountId, BucketId, PairId } from '../base/ids.ts';
import { BucketCopy, type CopyProgress, Stale } from './bucket-copy.ts';
import { CatalogUnavailable } from './catalog.ts';
import { certain, type Directories } from './directories.ts';
import type { Directory } from './directory.ts';
import type { Row } from './link.ts';
import type { Shares } from './shares.ts';
import { type Statement, statement } from './statements.ts';

const LEASE_BUCKET_MOVE = statement('lease-bucket-move');
const SWITCH_BUCKET = statement('switch-bucket');
const BEGIN_MOVE = statement('begin-move');
const FREEZE_BUCKET = statement('freeze-bucket');
const THAW_BUCKET = statement('thaw-bucket');
const LEAVE_BUCKET = statement('leave-bucket');
const SEAL_BUCKET = statement('seal-bucket');
const UNSEAL_BUCKET = statement('unseal-bucket');
const ARRIVE_BUCKET = statement('arrive-bucket');
const PURGE_BUCKET = statement('purge-bucket');
const KEEP_BUCKET = statement('keep-bucket');
const FIND_BUCKET = statement('find-bucket');

/** Without a sign of life another gateway takes over. */
const LEASE_MS = 8_000;
/** Writes wait no longer than this for one freeze, and requests no longer than the catalog's waitMs. */
const FREEZE_MS = 6_000;
const FREEZES_MAX = 10;
/** Between two signs of life with the progress. */
const SAVE_MS = 500;
/** The source is frozen when what changed since the last look is this little, or after so many looks. */
const FEW_KEYS = 200;
const ROUNDS_MAX = 30;
const PURGE_ROWS = 1_000;

export interface MoveOptions {
  readonly directories: Directories;
  readonly shares: Shares;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly bucketId: BucketId;
  readonly epoch: number;
  /** One run of one gateway. */
  readonly owner: string;
  readonly signal: AbortSignal;
  readonly leaseMs?: number;
  readonly onStep?: (step: string) => void | Promise<void>;
}

interface Frozen {
  readonly state: 'frozen' | 'gone' | 'ended';
  readonly reason?: 'stale' | 'no-such-bucket';
}

/** Ends when the move has ended, or somebody else has it. @throws {CatalogUnavailable} when somebody is away: again later */
export async function moveBucket(o: MoveOptions): Promise<void> {
  try {
    await new BucketMover(o).run();
  } catch (error) {
    if (!(error instanceof Stale)) throw error;
    o.log.info({ bucket: o.bucketId }, 'another gateway carries the move of the bucket on');
  }
}

class BucketMover {
  readonly #o: MoveOptions;
  #turn = 0;

  constructor(o: MoveOptions) {
    this.#o = o;
  }

  async run(): Promise<void> {
    let row = await this.#lease({});
    if (!row) return;
    for (;;) {
      this.#o.signal.throwIfAborted();
      this.#turn = Number(row.turn);
      const source = this.#o.directories.of(row.source as PairId);
      const target = this.#o.directories.of(row.target as PairId);
      const next: Row | null =
        row.phase === 'copying'
          ? await this.#copy(row, source, target)
          : row.phase === 'frozen'
            ? await this.#change(row, source, target)
            : row.phase === 'switched'
              ? await this.#arrive(source, target)
              : await this.#cancel(row, source, target);
      if (!next) return;
      row = next;
    }
  }

  /** null: it is over, or another gateway has it. */
  async #lease(what: Readonly<Record<string, unknown>>): Promise<Row | null> {
    const { bucketId, epoch, owner, leaseMs = LEASE_MS } = this.#o;
    const values = [bucketId, epoch, owner, leaseMs, JSON.stringify(what)];
    return certain(await this.#o.directories.root.write(LEASE_BUCKET_MOVE, values)).rows[0] ?? null;
  }
  /** @throws {Stale} */
  async #progress(what: Readonly<Record<string, unknown>>): Promise<Row> {
    const row = await this.#lease(what);
    if (!row) throw new Stale();
    return row;
  }

  /** One step at one directory. @throws {Stale} */
  async #at<T = unknown>(directory: Directory, s: Statement, ...values: readonly unknown[]): Promise<T> {
    const { bucketId, epoch, onStep, signal } = this.#o;
    signal.throwIfAborted();
    await onStep?.(`${s.name} ${directory.pair}`);
    const all = [bucketId, epoch, this.#turn, ...values];
    const answer = certain(await directory.write(s, all)).rows[0]?.answer;
    if (answer === 'stale' || answer === null) throw new Stale();
    return answer as T;
  }

  #copyOf(source: Directory, target: Directory): BucketCopy {
    const { bucketId, epoch, signal, onStep } = this.#o;
    return new BucketCopy({
      source,
      target,
      bucketId,
      epoch,
      turn: this.#turn,
      signal,
      ...(onStep && { onStep }),
    });
  }

  async #begin(source: Directory, target: Directory): Promise<boolean> {
    await this.#at(target, BEGIN_MOVE, 'target', source.pair);
    const began = await this.#at(source, BEGIN_MOVE, 'source', target.pair);
    if (began === 'no-such-bucket') return false;
    // The account's share is there before the bucket counts in the target.
    const [bucket] = await source.read(FIND_BUCKET, [this.#o.bucketId]);
    if (bucket) await this.#o.shares.prepare(bucket.owner as AccountId, target);
    return true;
  }

  async #copy(row: Row, source: Directory, target: Directory): Promise<Row | null> {
    if (!(await this.#begin(source, target)))
      return await this.#progress({
        phase: 'cancelling',
        from: 'copying',
        lastError: 'the bucket was deleted',
      });
    const copy = this.#copyOf(source, target);
    let versions = Number(row.versions);
    let progress = row.progress as CopyProgress;
    let savedAt = Number.NEGATIVE_INFINITY;
    const save = async (rows: number, next: CopyProgress) => {
      versions += rows;
      progress = next;
      if (this.#o.clock.monotonic() - savedAt < SAVE_MS) return;
      const saved = await this.#progress({ versions, progress });
      if (saved.phase !== 'copying') throw new Stale();
      savedAt = this.#o.clock.monotonic();
    };
    // A thaw may have left the target sealed.
    await this.#at(target, UNSEAL_BUCKET);
    for (let round = 1; ; round++) {
      const keys = await copy.round(progress, save);
      await copy.uploads();
      if (keys <= FEW_KEYS || round >= ROUNDS_MAX) break;
    }
    const freezes = Number(row.freezes) + 1;
    if (freezes > FREEZES_MAX)
      return await this.#progress({
        ...{ phase: 'cancelling', from: 'copying' },
        lastError: `it could not be finished within ${FREEZE_MS} ms in ${FREEZES_MAX} attempts`,
      });
    await this.#o.onStep?.('phase frozen');
    return await this.#progress({ phase: 'frozen', from: 'copying', freezes, versions, progress });
  }

  /** The last changes, and the switch. */
  async #change(row: Row, source: Directory, target: Directory): Promise<Row | null> {
    const { clock, directories, bucketId, epoch, owner, onStep } = this.#o;
    await this.#begin(source, target);
    const frozenAt = clock.monotonic();
    const frozen = await this.#at<Frozen>(source, FREEZE_BUCKET);
    if (frozen.reason === 'stale') throw new Stale();
    if (frozen.reason === 'no-such-bucket')
      return await this.#progress({
        phase: 'cancelling',
        from: 'frozen',
        lastError: 'the bucket was deleted',
      });
    if (frozen.state === 'frozen') {
      const problem = await this.#finish(row, source, target, frozen, frozenAt + FREEZE_MS);
      if (problem !== null) return await this.#thaw(source, target, problem, clock.monotonic() - frozenAt);
      await this.#at(source, LEAVE_BUCKET);
    }
    const frozenMs = Math.round(clock.monotonic() - frozenAt);
    await onStep?.('switch');
    const [switched] = certain(await directories.root.write(SWITCH_BUCKET, [bucketId, epoch, owner])).rows;
    if (switched?.answer !== true) throw new Stale();
    return await this.#progress({ frozenMs });
  }

  /** Why it is not to be switched now; null: the target is ready. */
  async #finish(
    row: Row,
    source: Directory,
    target: Directory,
    frozen: Frozen,
    until: number,
  ): Promise<string | null> {
    const { clock } = this.#o;
    const isLate = () => clock.monotonic() >= until;
    const copy = this.#copyOf(source, target);
    try {
      const late = async () => {
        if (isLate()) throw new CatalogUnavailable('the last changes took too long');
      };
      await copy.round(row.progress as CopyProgress, late);
      await copy.uploads(late);
      const sealed = await this.#at(target, SEAL_BUCKET, JSON.stringify(frozen));
      if (sealed === 'differs') return 'the copy differs from the bucket: it is begun anew';
      return isLate() ? 'the last changes took too long' : null;
    } catch (error) {
      if (error instanceof CatalogUnavailable) return error.message;
      throw error;
    }
  }

  async #thaw(source: Directory, target: Directory, problem: string, forMs: number): Promise<Row | null> {
    this.#o.log.warn({ bucket: this.#o.bucketId, problem }, 'the move of a bucket goes back to copying');
    await this.#at(source, THAW_BUCKET);
    const isAnew = problem.includes('anew');
    const back = { phase: 'copying', from: 'frozen', frozenMs: Math.round(forMs), lastError: problem };
    const row = await this.#progress({ ...back, ...(isAnew && { progress: {} }) });
    await this.#at(target, UNSEAL_BUCKET);
    return row;
  }

  async #arrive(source: Directory, target: Directory): Promise<Row | null> {
    await this.#at(target, ARRIVE_BUCKET);
    await this.#purge(source);
    await this.#o.onStep?.('phase done');
    await this.#progress({ phase: 'done', from: 'switched', progress: {}, lastError: null });
    return null;
  }

  async #purge(directory: Directory): Promise<void> {
    while ((await this.#at(directory, PURGE_BUCKET, PURGE_ROWS)) === 'more') await this.#progress({});
  }

  /** Before anything was switched: the source keeps the bucket. */
  async #cancel(row: Row, source: Directory, target: Directory): Promise<Row | null> {
    await this.#at(target, BEGIN_MOVE, 'target', source.pair);
    await this.#at(source, BEGIN_MOVE, 'source', target.pair);
    await this.#at(source, THAW_BUCKET);
    await this.#at(target, UNSEAL_BUCKET);
    await this.#purge(target);
    await this.#at(source, KEEP_BUCKET);
    await this.#o.onStep?.('phase cancelled');
    await this.#progress({ phase: 'cancelled', from: 'cancelling', lastError: row.last_error });
    return null;
  }
}
