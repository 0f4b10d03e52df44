/**
 * Copies blobs from node to node in batches that are bounded in count and bytes, no faster than the pace of the moment:
 * the pace is asked before every batch, so that the copying yields to clients within about a second. The bytes go from
 * node to node and are verified there against the root; here only the results pass.
 */
import type { Clock } from '../../base/clock.ts';
import type { MemberId } from '../../base/ids.ts';
import type { NodeControl, NodeEndpoint, PullRequest, PullResult } from '../../nodes/protocol.ts';
import type { Topology } from '../../twin/topology.ts';

export type WantedBlob = PullRequest['blobs'][number];

/** Bytes a second that may be copied at this moment. */
export type Pace = () => number;

export interface PaceOptions {
  readonly bytesPerSecondMax: number;
  /** What is left of it while clients' requests are under way. */
  readonly busyShare: number;
  readonly isBusy: () => boolean;
}
export const paceOf =
  ({ bytesPerSecondMax, busyShare, isBusy }: PaceOptions): Pace =>
  () =>
    Math.max(1, Math.floor(bytesPerSecondMax * (isBusy() ? busyShare : 1)));

export interface PullDeps {
  readonly clock: Clock;
  readonly pace: Pace;
  readonly topology: Pick<Topology, 'members'>;
}

/** Blobs and bytes of one request; what is larger goes alone. Small blobs cost round trips and flushes, not bytes: so several at once. */
const BATCH_BLOBS_MAX = 64;
const BATCH_BYTES_MAX = 8 * 1024 * 1024;
const BATCHES_AT_ONCE = 4;

/**
 * One result for each blob, in order. `onBatch` is told of each batch when it is durable; batches overlap. When it
 * rejects nothing is under way any more. @throws {NodeError} of the node that pulls, what `onBatch` threw, and the signal's reason
 */
export async function pullBlobs(
  deps: PullDeps,
  target: NodeControl,
  sources: readonly MemberId[],
  wanted: readonly WantedBlob[],
  signal: AbortSignal,
  onBatch: (results: readonly PullResult[], bytes: number) => Promise<void> | void = () => {},
): Promise<readonly PullResult[]> {
  const { clock, pace } = deps;
  const endpoints = sources.map((member) => endpointOf(deps.topology, member));
  const batches = [...batchesOf(wanted, Math.min(BATCH_BYTES_MAX, pace() / BATCHES_AT_ONCE))];
  const lanes = Math.min(BATCHES_AT_ONCE, batches.length);
  const broken = new AbortController();
  const either = AbortSignal.any([signal, broken.signal]);
  const results: (readonly PullResult[])[] = [];
  let next = 0;
  const pullNext = async (blobs: readonly WantedBlob[], at: number) => {
    either.throwIfAborted();
    const rate = Math.max(1, Math.floor(pace() / lanes));
    const startedAt = clock.monotonic();
    const pulled = await target.pull({ sources: endpoints, blobs, bytesPerSecondMax: rate }, either);
    const bytes = pulled.reduce((sum, r, n) => sum + (r.outcome === 'pulled' ? blobs[n]!.size : 0), 0);
    results[at] = pulled;
    await onBatch(pulled, bytes);
    // A node starts each request with a full allowance: batches in a row would go above the rate.
    const restMs = (bytes / rate) * 1_000 - (clock.monotonic() - startedAt);
    if (restMs > 0) await clock.sleep(restMs, either);
  };
  const lane = async () => {
    try {
      for (let at = next++; at < batches.length; at = next++) await pullNext(batches[at]!, at);
    } catch (error) {
      broken.abort(error);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  // The first failure: the others are its echo.
  if (broken.signal.aborted) throw broken.signal.reason;
  return results.flat();
}

export function* batchesOf<T extends { readonly size: number }>(
  items: readonly T[],
  bytesMax: number,
): Generator<T[]> {
  let batch: T[] = [];
  let bytes = 0;
  for (const item of items) {
    if (batch.length > 0 && (batch.length >= BATCH_BLOBS_MAX || bytes + item.size > bytesMax)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(item);
    bytes += item.size;
  }
  if (batch.length > 0) yield batch;
}

function endpointOf(topology: Pick<Topology, 'members'>, member: MemberId): NodeEndpoint {
  const found = topology.members.get(member);
  if (!found) throw new Error(`${member} is not in the topology`);
  return { member, address: found.address, port: found.port };
}
