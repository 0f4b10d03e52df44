/** What a decider knows of its pair: who is what by the record, and what its agents have said since. It decides nothing. */
import type { MemberId, PairId } from '../base/ids.ts';
import type { Standing } from './decisions.ts';
import { isLevel, type PairSight, type ServerSight } from './judge-pair.ts';
import type { Condition, DirectoryState, FromMember, MemberState, Replication } from './messages.ts';

export interface Server extends ServerSight {
  readonly pid: number | null;
  /** Of the role that it was told; words about earlier ones are not heeded. */
  readonly turn: number;
}

/** A twin that fails to start this often in a row is seeded anew. */
const FAILED_STARTS_MAX = 2;

export class PairState {
  readonly pair: PairId;
  standing: Standing;
  replication: Replication | null = null;
  twinMovedAt: number;
  /** While the primary has been told to wait for a twin that is still out by the record. */
  returning: { readonly since: number; readonly from: number | null } | null = null;
  readonly #monotonic: () => number;
  readonly #servers = new Map<MemberId, Server>();
  #failedStarts = 0;
  #turn = 0;

  constructor(pair: PairId, standing: Standing, monotonic: () => number) {
    this.pair = pair;
    this.standing = standing;
    this.#monotonic = monotonic;
    this.twinMovedAt = monotonic();
    for (const id of [standing.primary, standing.twin]) this.isDown(id);
  }

  get primary(): Server {
    return this.#servers.get(this.standing.primary)!;
  }
  get twin(): Server {
    return this.#servers.get(this.standing.twin)!;
  }
  server(id: MemberId): Server {
    return this.#servers.get(id)!;
  }
  get failsToStart(): boolean {
    return this.#failedStarts >= FAILED_STARTS_MAX;
  }
  /** What the primary is to have been told. */
  get synchronous(): boolean {
    return this.standing.twinIn || this.returning !== null;
  }

  /** @returns the turn under which it is told its role */
  isStarting(id: MemberId): number {
    this.#set(id, 'starting', null, ++this.#turn);
    if (id === this.standing.primary) this.replication = null;
    return this.#turn;
  }
  isDown(id: MemberId): void {
    this.#set(id, 'down', null, ++this.#turn);
  }
  /** Its server was killed, its agent goes on. */
  isKilled(id: MemberId): void {
    this.#set(id, 'down', null, this.server(id).turn);
  }
  #set(id: MemberId, state: Server['state'], pid: number | null, turn: number): void {
    const now = this.#monotonic();
    this.#servers.set(id, { state, pid, turn, since: now, aliveAt: now });
  }

  /** @returns false for a word about an earlier turn */
  heardPostgres(id: MemberId, message: FromMember & { type: 'postgres' }): boolean {
    const before = this.server(id);
    if (message.turn !== before.turn) return false;
    const runs = message.pid !== null;
    this.#set(id, runs ? 'running' : 'down', message.pid, message.turn);
    if (runs) this.twinMovedAt = this.#monotonic();
    if (id !== this.standing.twin) return true;
    // A server that ended before it ran is one that could not start.
    if (runs) this.#failedStarts = 0;
    else if (before.state === 'starting') this.#failedStarts++;
    return true;
  }

  heardAlive(id: MemberId, diskFull: boolean): void {
    const server = this.server(id);
    if (server.state === 'running')
      this.#servers.set(id, { ...server, aliveAt: this.#monotonic(), diskFull });
  }

  heardReplication(id: MemberId, replication: Replication): void {
    if (id !== this.standing.primary || this.primary.state !== 'running') return;
    const before = this.replication;
    this.replication = replication;
    const movesOn =
      replication.state === 'streaming' && (replication.replayed ?? 0) > (before?.replayed ?? 0);
    if (isLevel(replication) || movesOn) this.twinMovedAt = this.#monotonic();
    if (this.returning?.from === null && replication.synchronous)
      this.returning = { ...this.returning, from: replication.flushed };
  }

  /** Commits wait for the twin by now, and it has all that was acknowledged before they did. */
  get hasReturned(): boolean {
    const from = this.returning?.from ?? null;
    const { replication } = this;
    if (from === null || replication?.state !== 'streaming' || !replication.synchronous) return false;
    return (replication.replayed ?? 0) >= from;
  }

  sight(deadlineMs: number): PairSight {
    return {
      now: this.#monotonic(),
      deadlineMs,
      twinIn: this.standing.twinIn,
      mayReturn: this.standing.mayReturn,
      primary: this.primary,
      twin: this.twin,
      replication: this.replication,
      twinMovedAt: this.twinMovedAt,
    };
  }

  get state(): DirectoryState {
    const { primary, twin, twinIn } = this.standing;
    const condition =
      this.primary.state !== 'running'
        ? 'lost'
        : twinIn && this.twin.state === 'running'
          ? 'redundant'
          : 'degraded';
    return { pair: this.pair, primary, twin, synchronous: twinIn, condition };
  }

  /** @param why of the last decision */
  members(why: string | null): readonly MemberState[] {
    const { primary, twin, twinIn, mayReturn } = this.standing;
    const runs = this.twin.state === 'running';
    const streams = runs && this.replication?.state === 'streaming';
    const out: Condition = streams ? 'resyncing' : 'failed-over';
    const held = mayReturn ? '' : '; until failover leave';
    return [
      {
        id: primary,
        pid: this.primary.pid,
        condition: this.primary.state === 'running' ? 'serving' : 'suspect',
        primary: true,
      },
      {
        id: twin,
        pid: this.twin.pid,
        condition: twinIn ? (runs ? 'serving' : 'suspect') : out,
        primary: false,
        ...(twinIn || why === null ? {} : { reason: `commits do not wait for it: ${why}${held}` }),
      },
    ];
  }
}
