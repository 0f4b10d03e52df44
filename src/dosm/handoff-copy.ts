/**
 * A handoff made after the fact: the bytes are durable on a survivor, and another node of its side pulls them from
 * there, node to node, verified against the root. Bounded: a few candidates, each with a deadline by size.
 */
import type { Clock } from '../base/clock.ts';
import type { BlobId, MemberId } from '../base/ids.ts';
import { NodeError, type WriteIntent } from '../nodes/protocol.ts';
import type { Pair } from '../twin/topology.ts';
import { OVER } from './guard.ts';
import { handoffNodes, rankHandoffs } from './handoff.ts';
import type { NodeHealth } from './node-health.ts';
import type { NodeView } from './node-view.ts';
import type { DosmTuning } from './tuning.ts';

export interface CopyDeps {
  readonly view: NodeView;
  readonly health: NodeHealth;
  readonly clock: Clock;
  readonly tuning: DosmTuning;
  /** A candidate failed when it may have had everything. */
  readonly discard: (id: BlobId, members: readonly MemberId[]) => void;
}
export interface HandoffCopy {
  readonly blob: { readonly id: BlobId; readonly size: number; readonly root: Buffer };
  readonly pair: Pair;
  readonly intent: WriteIntent;
  /** The member of the pair that the handoff stands for. */
  readonly absent: MemberId;
  /** Members that have it, durably. */
  readonly survivors: readonly MemberId[];
  /** Nodes that are not asked: tried in vain, or holding a replica already. */
  readonly except: ReadonlySet<MemberId>;
  readonly signal: AbortSignal;
}

/** Nodes that could hold the handoff, in the order in which they are asked. */
export function handoffCandidates(
  view: NodeView,
  copy: Pick<HandoffCopy, 'pair' | 'survivors' | 'except'> & { readonly blob: { readonly id: BlobId } },
): readonly MemberId[] {
  const pairs = view.pairs();
  const nodes = copy.survivors.flatMap((survivor) => handoffNodes(pairs, copy.pair, survivor, view));
  const ranked = rankHandoffs(nodes, copy.blob.id).map(({ member }) => member);
  return [...new Set(ranked)].filter((node) => !copy.except.has(node) && !copy.survivors.includes(node));
}

/** The node that holds it now. @throws {NodeError} the last candidate's, when none could */
export async function copyToHandoff(deps: CopyDeps, copy: HandoffCopy): Promise<MemberId> {
  const { view, health, tuning } = deps;
  const candidates = handoffCandidates(view, copy).slice(0, tuning.handoffAttemptsMax);
  let failure = new NodeError('unreachable', copy.absent, 'no node can hold a handoff for it');
  for (const node of candidates) {
    try {
      await pullOnto(deps, copy, node);
      health.good(node);
      return node;
    } catch (error) {
      if (copy.signal.aborted) throw copy.signal.reason;
      if (!(error instanceof NodeError)) throw error;
      failure = error;
      health.failed(error);
      deps.discard(copy.blob.id, [node]);
    }
  }
  throw failure;
}

async function pullOnto(deps: CopyDeps, copy: HandoffCopy, node: MemberId): Promise<void> {
  const { view, clock, tuning } = deps;
  const { id, size, root } = copy.blob;
  const client = view.client(node);
  const sources = copy.survivors.map((survivor) => view.endpoint(survivor));
  const intent = { ...copy.intent, handoffFor: copy.absent };
  const ended = new AbortController();
  const signal = AbortSignal.any([copy.signal, ended.signal]);
  const deadline = clock.sleep(tuning.copyMs + size / tuning.copyBytesPerMs, signal).then(() => {
    throw new NodeError('timeout', node, 'the handoff took too long');
  });
  try {
    const blobs = [{ id, size, root, state: 'pending' as const, intent }];
    const [result] = await Promise.race([client.pull({ sources, blobs }, signal), deadline]);
    if (result?.outcome === 'pulled' || result?.outcome === 'had') return;
    throw new NodeError(result?.kind ?? 'protocol', node, `no handoff: ${result?.error ?? 'no result'}`);
  } finally {
    deadline.catch(() => {});
    ended.abort(OVER);
  }
}
