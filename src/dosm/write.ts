/**
 * One blob onto both nodes of one pair. Resolves only when both have it fsynced and verified against the root.
 *
 * A pair that cannot take it is passed over in rendezvous order (pairs with a suspect member last); the blob says
 * which pair it went to. That can be done while every byte pulled so far is kept (DosmTuning.replayBytes), so a
 * small blob survives a failure at any time; after that a failure is BytesUnavailable. Each attempt has a
 * blob id of its own, so that the leavings of one can never be taken for the other.
 */
import type { Clock } from '../base/clock.ts';
import type { BlobId, MemberId, PairId } from '../base/ids.ts';
import { LIMITS } from '../base/limits.ts';
import { DigestTreeBuilder } from '../nodes/digest-tree.ts';
import { type BlobWriter, type NodeClient, NodeError, type WriteIntent } from '../nodes/protocol.ts';
import type { Pair } from '../twin/topology.ts';
import { ChunkSource } from './chunk-source.ts';
import { BytesUnavailable, StorageFull, type WriteRequest, type WrittenBlob } from './dosm.ts';
import { Guard } from './guard.ts';
import type { NodeHealth } from './node-health.ts';
import { rankPairs } from './placement.ts';
import type { DosmTuning } from './tuning.ts';

export interface WriteDeps {
  readonly pairs: ReadonlyMap<PairId, Pair>;
  readonly clients: ReadonlyMap<MemberId, NodeClient>;
  readonly health: NodeHealth;
  readonly clock: Clock;
  readonly tuning: DosmTuning;
  readonly newBlobId: () => BlobId;
  /** An attempt ended when the nodes may have had everything: its leavings can go before the reaper comes. */
  readonly discard: (id: BlobId, members: readonly MemberId[]) => void;
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
  readonly #source: ChunkSource;
  readonly #guard: Guard;

  constructor(deps: WriteDeps, request: WriteRequest, intent: WriteIntent) {
    this.#deps = deps;
    this.#request = request;
    this.#intent = intent;
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
    const failures: NodeError[] = [];
    let attempts = 0;
    for (const pair of this.#candidates()) {
      if (attempts >= this.#deps.tuning.pairAttemptsMax) break;
      const attempt = new Attempt(this.#deps, this.#guard, pair);
      try {
        const root = await this.#toPair(attempt);
        const blob = { id: attempt.id, size: this.#request.size, root, pair: pair.id };
        return { blob, intentAt: this.#intent.intentAt };
      } catch (error) {
        attempt.abort(error);
        if (!(error instanceof NodeError) || this.#guard.signal.aborted) throw error;
        failures.push(error);
        if (error.kind !== 'full') attempts += 1;
        if (!this.#source.isReplayable) break;
      }
    }
    const reasons = failures.map((error) => error.message).join('; ');
    if (failures.length > 0 && failures.every((error) => error.kind === 'full'))
      throw new StorageFull(reasons);
    throw new BytesUnavailable(reasons || 'no pair takes new blobs', { cause: failures.at(-1) });
  }

  #candidates(): readonly Pair[] {
    const { pairs, health } = this.#deps;
    const nodePairs = [...pairs.values()].filter((pair) => pair.kind === 'node');
    const ranked = rankPairs(nodePairs, this.#request.placement).map((id) => pairs.get(id)!);
    const isTrusted = (pair: Pair) => !pair.members.some((member) => health.isSuspect(member));
    return [...ranked.filter(isTrusted), ...ranked.filter((pair) => !isTrusted(pair))];
  }

  /** While both nodes take one chunk, the next is pulled and digested. */
  async #toPair(attempt: Attempt): Promise<Buffer> {
    await attempt.open(this.#request.size, this.#intent);
    const tree = new DigestTreeBuilder();
    for (let index = 0; index < this.#source.chunkCount; index += 1) {
      const { bytes, digest } = await this.#fromSource(this.#source.chunk(index));
      const sent = attempt.write(bytes, digest);
      tree.push(digest);
      this.#source.prefetch(index + 1);
      await sent;
    }
    await this.#fromSource(this.#source.expectEnd());
    const root = tree.root();
    await attempt.finish(root);
    return root;
  }

  async #fromSource<T>(promise: Promise<T>): Promise<T> {
    try {
      return await this.#guard.race(promise);
    } catch (cause) {
      throw new SourceFailed('the source failed', { cause });
    }
  }
}

/** Both writers of one pair as one: a call resolves when both did, and rejects with the first failure. */
class Attempt {
  readonly id: BlobId;
  readonly #deps: WriteDeps;
  readonly #guard: Guard;
  readonly #members: readonly MemberId[];
  #writers: readonly BlobWriter[] = [];
  #isFinishing = false;

  constructor(deps: WriteDeps, guard: Guard, pair: Pair) {
    this.id = deps.newBlobId();
    this.#deps = deps;
    this.#guard = guard;
    this.#members = pair.members;
  }

  async open(size: number, intent: WriteIntent): Promise<void> {
    const { signal } = this.#guard;
    const opening = this.#members.map(async (member) => {
      const client = this.#deps.clients.get(member);
      if (!client) throw new NodeError('unreachable', member, 'no client for this member');
      return await client.write(this.id, size, intent, { signal });
    });
    try {
      this.#writers = await this.#both(opening);
    } catch (error) {
      for (const late of opening) {
        late.then(
          (writer) => writer.abort(error),
          () => {},
        );
      }
      throw error;
    }
  }

  async write(chunk: Buffer, digest: Buffer): Promise<void> {
    await this.#both(this.#writers.map((writer) => writer.write(chunk, digest)));
  }

  async finish(root: Buffer): Promise<void> {
    this.#isFinishing = true;
    await this.#both(this.#writers.map((writer) => writer.finish(root)));
    for (const member of this.#members) this.#deps.health.good(member);
  }

  abort(reason: unknown): void {
    for (const writer of this.#writers) writer.abort(reason);
    if (this.#isFinishing) this.#deps.discard(this.id, this.#members);
  }

  #both<T>(promises: readonly Promise<T>[]): Promise<T[]> {
    for (const promise of promises) {
      promise.catch((error: unknown) => {
        if (error instanceof NodeError) this.#deps.health.failed(error);
      });
    }
    return this.#guard.race(Promise.all(promises));
  }
}
