/**
 * What this gateway knows of the nodes at this moment: where they stand on the map, what the record says of them, and
 * whom it suspects itself. Asked anew for each decision: pairs join and conditions change while requests run.
 */
import type { Clock } from '../base/clock.ts';
import type { Epoch, MemberId, PairId } from '../base/ids.ts';
import { type NodeClient, type NodeEndpoint, NodeError } from '../nodes/protocol.ts';
import type { ConditionView, RecordedState } from '../twin/condition.ts';
import type { Pair, Topology } from '../twin/topology.ts';
import type { NodeHealth } from './node-health.ts';

export interface NodeViewOptions {
  readonly topology: Pick<Topology, 'members' | 'pairs'>;
  readonly clients: ReadonlyMap<MemberId, NodeClient>;
  readonly conditions: ConditionView;
  readonly health: Pick<NodeHealth, 'isSuspect'>;
  readonly clock: Clock;
  /** A refusal as `fenced` makes the record be read again, at most once in so many ms. */
  readonly reloadMs: number;
}

export class NodeView {
  readonly conditions: ConditionView;
  readonly #options: NodeViewOptions;
  /** Remembered, and proved at each use. */
  readonly #pairIds = new Map<MemberId, PairId>();
  #reloading: { readonly since: number; readonly ended: Promise<unknown> } | null = null;

  constructor(options: NodeViewOptions) {
    this.#options = options;
    this.conditions = options.conditions;
  }

  pairs(): readonly Pair[] {
    return [...this.#options.topology.pairs.values()].filter((pair) => pair.kind === 'node');
  }

  pair(id: PairId): Pair | undefined {
    return this.#options.topology.pairs.get(id);
  }

  pairOf(member: MemberId): Pair | undefined {
    const { pairs } = this.#options.topology;
    const known = pairs.get(this.#pairIds.get(member) ?? ('' as PairId));
    if (known?.members.includes(member)) return known;
    for (const pair of pairs.values()) {
      if (!pair.members.includes(member)) continue;
      this.#pairIds.set(member, pair.id);
      return pair;
    }
    return undefined;
  }

  centerOf(member: MemberId): string | null {
    return this.#options.topology.members.get(member)?.center ?? null;
  }

  stateOf(member: MemberId): RecordedState {
    return this.conditions.stateOf(member);
  }

  isServing(member: MemberId): boolean {
    return this.stateOf(member) === 'serving';
  }

  isSuspect(member: MemberId): boolean {
    return this.#options.health.isSuspect(member);
  }

  epochOf(pair: PairId): Epoch {
    return this.conditions.epochOf(pair);
  }

  /** What a data request to this member says: its own pair's epoch. */
  epochFor(member: MemberId): { epoch: Epoch } | Record<never, never> {
    const pair = this.pairOf(member);
    return pair ? { epoch: this.epochOf(pair.id) } : {};
  }

  /** @throws {NodeError} for a member that nobody can reach */
  client(member: MemberId): NodeClient {
    const client = this.#options.clients.get(member);
    if (!client) throw new NodeError('unreachable', member, 'no client for this member');
    return client;
  }

  /** @throws {NodeError} for a member that is not in the topology */
  endpoint(member: MemberId): NodeEndpoint {
    const known = this.#options.topology.members.get(member);
    if (!known) throw new NodeError('unreachable', member, 'not in the topology');
    return { member, address: known.address, port: known.port };
  }

  /** Somebody knows a later epoch: resolves when this gateway knows it too, or cannot. */
  async reload(atLeast?: Epoch): Promise<void> {
    await this.conditions.reload(atLeast);
  }

  /** Somebody is not what the record as we know it says. Resolves as reload() does. */
  reloadSoon(): Promise<unknown> {
    const now = this.#options.clock.monotonic();
    if (!this.#reloading || now - this.#reloading.since >= this.#options.reloadMs)
      this.#reloading = { since: now, ended: this.conditions.reload() };
    return this.#reloading.ended;
  }
}
