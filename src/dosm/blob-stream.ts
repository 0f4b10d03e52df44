/**
 * The wanted bytes of one blob, verified, in order, whatever becomes of its replicas on the way: when one fails,
 * the next goes on at the chunk where the last one stopped. One chunk is fetched ahead; a deadline of a node
 * runs only while such a fetch is pending, so a slow client is never taken for a slow node.
 *
 * A replica that failed within the read is asked again only when no other is left and its failure was of the line
 * (unreachable, or a stall after it had delivered), at most DosmTuning.replicaAttemptsMax times per blob.
 */
import type { Clock } from '../base/clock.ts';
import type { MemberId, PairId } from '../base/ids.ts';
import { LIMITS } from '../base/limits.ts';
import { chunkBytes } from '../nodes/digest-tree.ts';
import { type BlobReader, type NodeClient, NodeError } from '../nodes/protocol.ts';
import type { Member, Pair } from '../twin/topology.ts';
import { BytesUnavailable, type ReadRequest } from './dosm.ts';
import { firstAnswer } from './hedge.ts';
import type { HedgeBudget } from './hedge-budget.ts';
import type { NodeHealth } from './node-health.ts';
import { rankReplicas } from './rank-replicas.ts';
import type { DosmTuning } from './tuning.ts';

export interface ReadDeps {
  readonly pairs: ReadonlyMap<PairId, Pair>;
  readonly members: ReadonlyMap<MemberId, Member>;
  readonly clients: ReadonlyMap<MemberId, NodeClient>;
  readonly center: string | null;
  readonly health: NodeHealth;
  readonly clock: Clock;
  readonly tuning: DosmTuning;
  readonly hedges: HedgeBudget;
}
export type Segment = ReadRequest['segments'][number];

/** What the blobs of one read share: who failed in it, and whether it is still wanted. */
export interface ReadContext {
  readonly failed: Set<MemberId>;
  readonly signal: AbortSignal;
}

interface Open {
  readonly member: MemberId;
  readonly reader: BlobReader;
  readonly chunk: Buffer;
}

export class BlobStream {
  readonly #deps: ReadDeps;
  readonly #segment: Segment;
  readonly #context: ReadContext;
  readonly #lastChunk: number;
  readonly #attempts = new Map<MemberId, { count: number; isFinal: boolean }>();
  readonly #failures: string[] = [];
  #index: number;
  #open: Open | null = null;
  #ahead: Promise<Buffer> | null = null;
  #isClosed = false;

  constructor(deps: ReadDeps, segment: Segment, context: ReadContext) {
    const { blob, from, to } = segment;
    if (
      !(Number.isSafeInteger(from) && Number.isSafeInteger(to) && 0 <= from && from <= to && to < blob.size)
    ) {
      throw new RangeError(`bytes ${from} to ${to} are not in a blob of ${blob.size}`);
    }
    this.#deps = deps;
    this.#segment = segment;
    this.#context = context;
    this.#index = Math.floor(from / LIMITS.chunkBytes);
    this.#lastChunk = Math.floor(to / LIMITS.chunkBytes);
  }

  get chunksLeft(): number {
    return this.#lastChunk - this.#index + 1;
  }

  /** Resolves when the first chunk has been verified. @throws {BytesUnavailable} */
  async start(): Promise<void> {
    this.#fetchAhead();
    await this.#ahead;
  }

  /** The next bytes, or null when all have been given. @throws {BytesUnavailable} */
  async next(): Promise<Buffer | null> {
    if (this.#index > this.#lastChunk) return null;
    this.#fetchAhead();
    const chunk = await this.#ahead!;
    this.#ahead = null;
    const at = this.#index * LIMITS.chunkBytes;
    this.#index += 1;
    if (this.#index <= this.#lastChunk) this.#fetchAhead();
    else this.close();
    return chunk.subarray(Math.max(0, this.#segment.from - at), this.#segment.to - at + 1);
  }

  close(): void {
    this.#isClosed = true;
    this.#open?.reader.close();
    this.#open = null;
  }

  #fetchAhead(): void {
    if (this.#ahead) return;
    this.#ahead = this.#fetch(this.#index);
    this.#ahead.catch(() => {});
  }

  async #fetch(index: number): Promise<Buffer> {
    if (this.#open) {
      const { member, reader } = this.#open;
      try {
        return await this.#nextChunk(member, reader, index);
      } catch (error) {
        reader.close();
        if (this.#isClosed || this.#context.signal.aborted) throw error;
        this.#noteFailure(member, error, true);
        this.#open = null;
      }
    }
    const open = await this.#openAt(index);
    if (this.#isClosed) {
      open.reader.close();
      throw new BytesUnavailable('the read was closed');
    }
    this.#open = open;
    return open.chunk;
  }

  async #openAt(index: number): Promise<Open> {
    const { clock, tuning, health, hedges } = this.#deps;
    hedges.earn();
    const asked = new Set<MemberId>();
    return await firstAnswer<MemberId, Open>({
      clock,
      hedgeMs: tuning.hedgeMs,
      budget: hedges,
      signal: this.#context.signal,
      next: () => {
        const member = this.#candidate(asked);
        if (member !== null) asked.add(member);
        return member;
      },
      ask: (member, signal) => this.#ask(member, index, signal),
      close: ({ reader }) => reader.close(),
      onFailure: (member, error) => {
        asked.delete(member);
        this.#noteFailure(member, error, false);
      },
      onSlow: (member) => {
        this.#context.failed.add(member);
        health.slow(member);
      },
      exhausted: () =>
        new BytesUnavailable(`no replica of ${this.#segment.blob.id}: ${this.#failures.join('; ')}`),
    });
  }

  async #ask(member: MemberId, index: number, signal: AbortSignal): Promise<Open> {
    const { blob } = this.#segment;
    const attempt = this.#attempts.get(member) ?? { count: 0, isFinal: false };
    this.#attempts.set(member, { ...attempt, count: attempt.count + 1 });
    const client = this.#deps.clients.get(member);
    if (!client) throw new NodeError('not-found', member, 'no client for this member');
    const range = { firstChunk: index, lastChunk: this.#lastChunk };
    const reader = await client.read(blob.id, blob, range, { signal });
    const onAbort = () => reader.close();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      const chunk = await this.#nextChunk(member, reader, index);
      this.#deps.health.good(member);
      return { member, reader, chunk };
    } catch (error) {
      reader.close();
      throw error;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  async #nextChunk(member: MemberId, reader: BlobReader, index: number): Promise<Buffer> {
    const chunk = await reader.next();
    const expected = chunkBytes(this.#segment.blob.size, index);
    if (chunk?.length === expected) return chunk;
    const got = chunk ? `${chunk.length} bytes` : 'the end';
    throw new NodeError('protocol', member, `chunk ${index} has ${expected} bytes and ${got} came`);
  }

  #noteFailure(member: MemberId, error: unknown, hasDelivered: boolean): void {
    if (!(error instanceof NodeError)) throw error;
    this.#deps.health.failed(error);
    this.#context.failed.add(member);
    this.#failures.push(error.message);
    const isOfTheLine = error.kind === 'unreachable' || (error.kind === 'timeout' && hasDelivered);
    const count = this.#attempts.get(member)?.count ?? 1;
    this.#attempts.set(member, { count, isFinal: !isOfTheLine });
  }

  /** Untried replicas in the order of rankReplicas, then those worth another attempt. */
  #candidate(asked: ReadonlySet<MemberId>): MemberId | null {
    const { center, tuning } = this.#deps;
    const spread = Number.parseInt(this.#segment.blob.id.slice(-2), 16);
    const ranked = rankReplicas(this.#replicas(), center, spread).filter((member) => !asked.has(member));
    const attempts = (member: MemberId) => this.#attempts.get(member) ?? { count: 0, isFinal: false };
    const untried = ranked.find((member) => attempts(member).count === 0);
    if (untried) return untried;
    if (asked.size > 0) return null;
    return (
      ranked.find((member) => {
        const { count, isFinal } = attempts(member);
        return !isFinal && count < tuning.replicaAttemptsMax;
      }) ?? null
    );
  }

  #replicas() {
    const { pairs, members, health } = this.#deps;
    const { blob } = this.#segment;
    const onMap: readonly MemberId[] = pairs.get(blob.pair)?.members ?? [];
    const offMap = (blob.offMap ?? []).filter((member) => !onMap.includes(member));
    return [...onMap, ...offMap].map((member) => ({
      member,
      center: members.get(member)?.center ?? null,
      isOnMap: onMap.includes(member),
      isSuspect: health.isSuspect(member),
      hasFailed: this.#context.failed.has(member),
    }));
  }
}
