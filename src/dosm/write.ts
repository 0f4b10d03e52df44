/**
 * One blob, kept as its bucket's durability asks. Resolves only when that many replicas are fsynced and verified
 * against the root, wherever the twins were meanwhile (attempt.ts).
 *
 * Pairs are tried in rendezvous order, those that count on a suspect last. A pair that is not whole keeps its objects
 * with a handoff; it is passed over when it is full, when no node can stand in, or when both of its members fail, and
 * the row says where the blob went. Passing over is possible while every byte pulled so far is kept
 * (DosmTuning.replayBytes). Each attempt has a blob id of its own, so that the leavings of one can never be taken for
 * the other.
 */
import type { BlobId, PairId } from '../base/ids.ts';
import { LIMITS } from '../base/limits.ts';
import type { Durability } from '../ddm/catalog.ts';
import { DigestTreeBuilder } from '../nodes/digest-tree.ts';
import { NodeError, type WriteIntent } from '../nodes/protocol.ts';
import { Attempt } from './attempt.ts';
import { ChunkSource } from './chunk-source.ts';
import { BytesUnavailable, StorageFull, type WriteRequest, type WrittenBlob } from './dosm.ts';
import { Guard } from './guard.ts';
import type { CopyDeps } from './handoff-copy.ts';
import { rankPairs } from './placement.ts';
import { planWrite, type WritePlan } from './write-plan.ts';

export interface WriteDeps extends CopyDeps {
  readonly newBlobId: () => BlobId;
}

/** Carries what the source threw past the handlers of node errors; never leaves this file. */
class SourceFailed extends Error {}

export async function writeBlob(deps: WriteDeps, request: WriteRequest): Promise<WrittenBlob> {
  const { size, intent, writeId } = request;
  if (!Number.isSafeInteger(size) || size < 1 || size > LIMITS.blobBytesMax) {
    throw new RangeError(`a blob has 1 to ${LIMITS.blobBytesMax} bytes, not ${size}`);
  }
  const write = new Write(deps, request, { ...intent, writeId, intentAt: deps.clock.now() });
  return await write.run();
}

class Write {
  readonly #deps: WriteDeps;
  readonly #request: WriteRequest;
  readonly #intent: WriteIntent;
  readonly #durability: Durability;
  readonly #source: ChunkSource;
  readonly #guard: Guard;

  constructor(deps: WriteDeps, request: WriteRequest, intent: WriteIntent) {
    this.#deps = deps;
    this.#request = request;
    this.#intent = intent;
    this.#durability = request.durability ?? 'two-copies';
    this.#source = new ChunkSource(request.source, request.size, deps.tuning.replayBytes);
    this.#guard = new Guard({
      clock: deps.clock,
      deadlineMs: deps.tuning.writeMsMax,
      late: () => new BytesUnavailable('the write took too long'),
      signal: request.signal,
    });
  }

  async run(): Promise<WrittenBlob> {
    try {
      await this.#fromSource(this.#source.fill());
      return await this.#toSomePair();
    } catch (error) {
      if (this.#guard.signal.aborted) throw this.#guard.signal.reason;
      throw error instanceof SourceFailed ? error.cause : error;
    } finally {
      this.#guard.close();
      this.#source.close();
    }
  }

  async #toSomePair(): Promise<WrittenBlob> {
    const { tuning, view } = this.#deps;
    const failures: NodeError[] = [];
    const passed = new Set<PairId>();
    let attempts = 0;
    let replans = 0;
    for (;;) {
      const id = this.#deps.newBlobId();
      const plan = this.#plan(id, passed);
      if (plan === null || attempts >= tuning.pairAttemptsMax) break;
      const attempt = this.#attempt(plan, id);
      try {
        return await this.#carryOut(attempt);
      } catch (error) {
        attempt.abort(error);
        if (!(error instanceof NodeError) || this.#guard.signal.aborted) throw error;
        failures.push(error);
        if (!this.#source.isReplayable) {
          passed.add(plan.pair.id);
          break;
        }
        if (error.kind === 'stale-epoch' && replans < tuning.replansMax) {
          replans += 1;
          await this.#guard.race(view.reload(error.epoch));
          continue;
        }
        passed.add(plan.pair.id);
        if (error.kind !== 'full') attempts += 1;
      }
    }
    const reasons = failures.map((error) => error.message).join('; ');
    const isAllFull = failures.length > 0 && failures.every((error) => error.kind === 'full');
    if (isAllFull && this.#plan(this.#deps.newBlobId(), passed) === null) throw new StorageFull(reasons);
    throw new BytesUnavailable(reasons || 'no pair takes new blobs', { cause: failures.at(-1) });
  }

  /** The first pair in order that can take it now; null when all were passed over. */
  #plan(blob: BlobId, passed: ReadonlySet<PairId>): WritePlan | null {
    const { view } = this.#deps;
    const pairs = view.pairs();
    const order = rankPairs(pairs, this.#request.placement);
    let doubtful: WritePlan | null = null;
    for (const id of order) {
      if (passed.has(id)) continue;
      const plan = planWrite(view.pair(id)!, { pairs, facts: view, durability: this.#durability, blob });
      if (plan && !plan.isDoubtful) return plan;
      doubtful ??= plan;
    }
    return doubtful;
  }

  #attempt(plan: WritePlan, id: BlobId): Attempt {
    return new Attempt(this.#deps, this.#guard, {
      ...{ plan, id, size: this.#request.size, intent: this.#intent, durability: this.#durability },
      epoch: this.#deps.view.epochOf(plan.pair.id),
      canReplay: () => this.#source.isReplayable,
    });
  }

  /** While the nodes take one chunk, the next is pulled and digested. */
  async #carryOut(attempt: Attempt): Promise<WrittenBlob> {
    await attempt.open();
    const tree = new DigestTreeBuilder();
    for (let index = 0; index < this.#source.chunkCount; index += 1) {
      const { bytes, digest } = await this.#fromSource(this.#source.chunk(index));
      const sent = attempt.write(bytes, digest);
      tree.push(digest);
      this.#source.prefetch(index + 1);
      await sent;
    }
    await this.#fromSource(this.#source.expectEnd());
    return await attempt.finish(tree.root());
  }

  async #fromSource<T>(promise: Promise<T>): Promise<T> {
    try {
      return await this.#guard.race(promise);
    } catch (cause) {
      throw new SourceFailed('the source failed', { cause });
    }
  }
}
