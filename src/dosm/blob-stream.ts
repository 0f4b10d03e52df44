/**
 * The wanted bytes of one blob, verified, in order, whatever becomes of its replicas on the way: when one fails,
 * the next goes on at the chunk where the last one stopped. One chunk is fetched ahead; a deadline of a node
 * runs only while such a fetch is pending, so a slow client is never taken for a slow node.
 *
 * Asked in this order: those that serve and should have it (rank-replicas.ts), those whom a search finds, and at the
 * very end members that are coming back. A replica that failed within the read is asked again only when no other is
 * left and its failure was of the line (unreachable, or a stall after it had delivered), at most
 * DosmTuning.replicaAttemptsMax times per blob.
 */
import type { Clock } from '../base/clock.ts';
import type { MemberId } from '../base/ids.ts';
import { LIMITS } from '../base/limits.ts';
import type { BlobRef } from '../ddm/catalog.ts';
import { chunkBytes } from '../nodes/digest-tree.ts';
import { type BlobReader, NodeError } from '../nodes/protocol.ts';
import { BytesUnavailable, type ReadRequest } from './dosm.ts';
import type { BlobDamage, BlobFinder, FoundBlob } from './finder.ts';
import { firstAnswer } from './hedge.ts';
import type { HedgeBudget } from './hedge-budget.ts';
import type { NodeHealth } from './node-health.ts';
import type { NodeView } from './node-view.ts';
import { rankReplicas } from './rank-replicas.ts';
import { replicasOf, shouldHave } from './replicas.ts';
import type { DosmTuning } from './tuning.ts';

export interface ReadDeps {
  readonly view: NodeView;
  readonly center: string | null;
  readonly health: NodeHealth;
  readonly clock: Clock;
  readonly tuning: DosmTuning;
  readonly hedges: HedgeBudget;
  readonly finder?: BlobFinder | undefined;
  readonly onDamage: (damage: BlobDamage) => void;
  readonly onFoundOffMap: (blob: BlobRef, member: MemberId) => void;
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

/** Whom an opening turns to, one after the other. */
const STAGES = ['map', 'reloaded', 'search', 'last-resort'] as const;
type Stage = (typeof STAGES)[number];

/** The stage has nobody left to ask. */
class Exhausted extends Error {}

export class BlobStream {
  readonly #deps: ReadDeps;
  readonly #segment: Segment;
  readonly #context: ReadContext;
  readonly #lastChunk: number;
  readonly #attempts = new Map<MemberId, { count: number; isFinal: boolean }>();
  readonly #failures: string[] = [];
  readonly #found = new Set<MemberId>();
  #reloading: Promise<unknown> | null = null;
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
    this.#deps.hedges.earn();
    const { blob } = this.#segment;
    let search: FoundBlob['outcome'] = 'unknown';
    for (const stage of STAGES) {
      if (stage === 'search') search = await this.#search();
      else if (stage === 'reloaded') await this.#reloading;
      try {
        const open = await this.#firstOf(stage, index);
        if (this.#found.has(open.member) && !this.#isKnown(open.member))
          this.#deps.onFoundOffMap(blob, open.member);
        return open;
      } catch (error) {
        if (!(error instanceof Exhausted)) throw error;
      }
    }
    if (search === 'nowhere') {
      const homes = this.#deps.view.pair(blob.pair)?.members ?? [];
      for (const member of homes) this.#deps.onDamage({ blob, member, kind: 'lost' });
    }
    const reasons = this.#failures.join('; ') || 'nobody who may be asked has it';
    throw new BytesUnavailable(`no replica of ${blob.id}: ${reasons}`);
  }

  /** Whom a search finds joins those who are asked, with a clean slate. */
  async #search(): Promise<FoundBlob['outcome']> {
    const { finder } = this.#deps;
    if (!finder) return 'unknown';
    const { outcome, members } = await finder.find(this.#segment.blob, this.#context.signal);
    if (this.#context.signal.aborted) throw this.#context.signal.reason;
    for (const member of members) {
      this.#found.add(member);
      this.#attempts.delete(member);
    }
    return outcome;
  }

  #isKnown(member: MemberId): boolean {
    const { blob } = this.#segment;
    const onMap: readonly MemberId[] = this.#deps.view.pair(blob.pair)?.members ?? [];
    return onMap.includes(member) || (blob.offMap ?? []).includes(member);
  }

  /** @throws {Exhausted} */
  async #firstOf(stage: Stage, index: number): Promise<Open> {
    const { clock, tuning, health, hedges } = this.#deps;
    const lastResort = stage === 'last-resort';
    const asked = new Set<MemberId>();
    return await firstAnswer<MemberId, Open>({
      clock,
      hedgeMs: tuning.hedgeMs,
      budget: hedges,
      signal: this.#context.signal,
      next: () => {
        const member = this.#candidate(asked, lastResort);
        if (member !== null) asked.add(member);
        return member;
      },
      ask: (member, signal) => this.#ask(member, index, { signal, lastResort }),
      close: ({ reader }) => reader.close(),
      onFailure: (member, error) => {
        asked.delete(member);
        this.#noteFailure(member, error, false);
      },
      onSlow: (member) => {
        this.#context.failed.add(member);
        health.slow(member);
      },
      exhausted: () => new Exhausted(),
    });
  }

  async #ask(
    member: MemberId,
    index: number,
    how: { signal: AbortSignal; lastResort: boolean },
  ): Promise<Open> {
    const { signal } = how;
    const attempt = this.#attempts.get(member) ?? { count: 0, isFinal: false };
    this.#attempts.set(member, { ...attempt, count: attempt.count + 1 });
    const reader = await this.#openReader(member, index, how);
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

  /** A later epoch is learned and the request repeated; a member that does not serve under it is given up. */
  async #openReader(
    member: MemberId,
    index: number,
    { signal, lastResort }: { signal: AbortSignal; lastResort: boolean },
  ): Promise<BlobReader> {
    const { view, tuning } = this.#deps;
    const { blob } = this.#segment;
    const range = { firstChunk: index, lastChunk: this.#lastChunk };
    for (let replans = 0; ; replans += 1) {
      const options = { signal, ...view.epochFor(member), ...(lastResort && { lastResort }) };
      try {
        return await view.client(member).read(blob.id, blob, range, options);
      } catch (error) {
        const isStale = error instanceof NodeError && error.kind === 'stale-epoch';
        if (!isStale || replans >= tuning.replansMax) throw error;
        await view.reload(error.epoch);
        if (signal.aborted || view.stateOf(member) !== (lastResort ? 'resyncing' : 'serving')) throw error;
      }
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
    this.#report(member, error);
    const isOfTheLine = error.kind === 'unreachable' || (error.kind === 'timeout' && hasDelivered);
    const count = this.#attempts.get(member)?.count ?? 1;
    this.#attempts.set(member, { count, isFinal: !isOfTheLine });
  }

  #report(member: MemberId, { kind }: NodeError): void {
    const { view, onDamage } = this.#deps;
    const { blob } = this.#segment;
    if (kind === 'fenced') this.#reloading = view.reloadSoon();
    if (kind !== 'not-found' && kind !== 'corrupt') return;
    if (!shouldHave(view, blob, member)) return;
    onDamage({ blob, member, kind: kind === 'corrupt' ? 'corrupt' : 'missing' });
  }

  /** Untried replicas in the order of rankReplicas, then those worth another attempt. */
  #candidate(asked: ReadonlySet<MemberId>, lastResort: boolean): MemberId | null {
    const { center, tuning, view } = this.#deps;
    const { blob } = this.#segment;
    const spread = Number.parseInt(blob.id.slice(-2), 16);
    const { failed } = this.#context;
    const replicas = replicasOf(view, { blob, found: this.#found, failed, lastResort });
    const ranked = rankReplicas(replicas, center, spread).filter((member) => !asked.has(member));
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
}
