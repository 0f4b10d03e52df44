/**
 * Moves of buckets between directory pairs, as operators and jobs see them. Order and record are in the root pair; any
 * gateway carries an open move on under a lease, and takes up where another one stopped (bucket-mover.ts).
 */
import type { BucketId, PairId } from '../base/ids.ts';
import { moveBucket } from './bucket-mover.ts';
import { CatalogUnavailable, type KnownPair, type Outcome } from './catalog.ts';
import { certain, type Directories } from './directories.ts';
import type { Row } from './link.ts';
import { isStorable } from './mapping.ts';
import type { CatalogOptions } from './options.ts';
import type { Shares } from './shares.ts';
import { statement } from './statements.ts';

const KNOWN_DIRECTORIES = statement('known-directories');
const START_BUCKET_MOVE = statement('start-bucket-move');
const CANCEL_BUCKET_MOVE = statement('cancel-bucket-move');
const OPEN_BUCKET_MOVES = statement('open-bucket-moves');
const LIST_BUCKET_MOVES = statement('list-bucket-moves');

export const MOVE_PHASES = ['copying', 'frozen', 'switched', 'done', 'cancelling', 'cancelled'] as const;
/**
 * copying: rows are copied while clients write; frozen: writes wait while the last ones are; switched: the target has the
 * bucket and the source cleans up; cancelling: the target cleans up.
 */
export type MovePhase = (typeof MOVE_PHASES)[number];

export interface BucketMove {
  readonly bucketId: BucketId;
  readonly epoch: number;
  readonly name: string;
  readonly source: PairId;
  readonly target: PairId;
  readonly phase: MovePhase;
  readonly startedAt: Date;
  readonly updatedAt: Date;
  readonly decidedBy: string;
  /** Rows copied so far, those that were copied again included. */
  readonly versions: number;
  /** How often writes were stopped, and for how long in all. */
  readonly freezes: number;
  readonly frozenMs: number;
  readonly lastError?: string;
}

export interface BucketMoves {
  /** Pairs of directories that any gateway has registered, by id: those that were added since this one began too. */
  knownDirectories(): Promise<readonly KnownPair[]>;
  /** The same move again is the move that is under way. */
  startBucketMove(order: {
    name: string;
    to: PairId;
    decidedBy: string;
  }): Promise<Outcome<BucketMove, 'no-such-bucket' | 'no-such-pair' | 'there-already' | 'moving'>>;
  /** Until writes have been stopped for the last time. */
  cancelBucketMove(name: string): Promise<Outcome<null, 'no-move' | 'too-late'>>;
  /** Newest first. */
  listBucketMoves(query: { name?: string; max: number }): Promise<readonly BucketMove[]>;
  /**
   * Carries on every open move that nobody else has in hand, as far as it comes; what fails stays for the next call.
   * `onStep`: for tests, told before each step; what it throws breaks off there.
   */
  carryOnBucketMoves(o: {
    owner: string;
    signal: AbortSignal;
    leaseMs?: number;
    onStep?: (step: string) => void | Promise<void>;
  }): Promise<void>;
}

const moveOf = (row: Row): BucketMove => ({
  bucketId: Number(row.bucket_id) as BucketId,
  epoch: Number(row.epoch),
  name: String(row.name),
  source: String(row.source) as PairId,
  target: String(row.target) as PairId,
  phase: row.phase as MovePhase,
  startedAt: new Date(row.started_at as string | Date),
  updatedAt: new Date(row.updated_at as string | Date),
  decidedBy: String(row.decided_by),
  versions: Number(row.versions),
  freezes: Number(row.freezes),
  frozenMs: Number(row.frozen_ms),
  ...(row.last_error === null || row.last_error === undefined ? {} : { lastError: String(row.last_error) }),
});

export function openBucketMoves(directories: Directories, o: CatalogOptions, shares: Shares): BucketMoves {
  return {
    async knownDirectories() {
      const rows = await directories.root.read(KNOWN_DIRECTORIES, []);
      return rows.map((row) => ({
        id: String(row.id) as PairId,
        weight: Number(row.weight),
        members: row.members as KnownPair['members'],
      }));
    },

    async startBucketMove({ name, to, decidedBy }) {
      if (!isStorable(name)) return { outcome: 'refused', reason: 'no-such-bucket' };
      if (!directories.pairs().includes(to)) return { outcome: 'refused', reason: 'no-such-pair' };
      await directories.settle(to);
      const answer = await directories.root.write(START_BUCKET_MOVE, [name, to, decidedBy]);
      if (answer === 'unknown') return { outcome: 'unknown' };
      const { reason, detail, move } = answer.rows[0]!.answer as {
        reason?: 'no-such-bucket' | 'there-already' | 'moving';
        detail?: string;
        move: Row;
      };
      if (reason === undefined) return { outcome: 'done', value: moveOf(move) };
      return { outcome: 'refused', reason, ...(detail === undefined ? {} : { detail }) };
    },

    async cancelBucketMove(name) {
      const [row] = certain(await directories.root.write(CANCEL_BUCKET_MOVE, [name])).rows;
      const said = row?.answer as 'done' | 'no-move' | 'too-late';
      return said === 'done' ? { outcome: 'done', value: null } : { outcome: 'refused', reason: said };
    },

    async listBucketMoves({ name, max }) {
      return (await directories.root.read(LIST_BUCKET_MOVES, [name ?? null, max])).map(moveOf);
    },

    async carryOnBucketMoves({ signal, ...how }) {
      if (directories.isAlone) return;
      let failure: unknown = null;
      for (const row of await directories.root.read(OPEN_BUCKET_MOVES, [])) {
        signal.throwIfAborted();
        const { bucketId, epoch, source, target } = moveOf(row);
        if (!directories.pairs().includes(source) || !directories.pairs().includes(target)) continue;
        try {
          await moveBucket({
            directories,
            shares,
            clock: o.clock,
            log: o.log,
            signal,
            bucketId,
            epoch,
            ...how,
          });
        } catch (error) {
          // Another bucket's move need not wait for this one.
          if (!(error instanceof CatalogUnavailable)) throw error;
          failure = error;
        }
      }
      if (failure !== null) throw failure;
    },
  };
}
