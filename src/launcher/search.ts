/**
 * Wires searches to a process: what a node listens to, and what a gateway asks with. Groups are those of the
 * configuration, else derived from the cluster's secret, so that every member comes to the same ones.
 */
import type { Logger } from 'pino';
import type { Clock } from '../base/clock.ts';
import type { Epoch, MemberId, PairId } from '../base/ids.ts';
import type { MemberConfig } from '../config.ts';
import { createFinder, type FinderOptions, type NodeFinder } from '../dosm/find.ts';
import type { NodeNames } from '../nodes/names-protocol.ts';
import { type NodeClient, NodeError, type NodeSearch } from '../nodes/protocol.ts';
import type { NodeSearchOptions } from '../nodes/server/search.ts';
import { type ConditionView, FIRST_EPOCH } from '../twin/condition.ts';
import type { Searcher } from '../twin/search.ts';
import { type AskMember, createSearcher, StaleAsker } from '../twin/search-asker.ts';
import { type CenterGroup, type GroupAddress, groupOf, openQuestionPort } from '../twin/search-multicast.ts';
import { SEARCH_TUNING, type SearchTuning } from '../twin/search-tuning.ts';
import { searchKey } from '../twin/search-wire.ts';
import type { MemberKind, Topology } from '../twin/topology.ts';

export type SearchingClient = NodeClient & NodeSearch & NodeNames;

function groupFor(
  { search }: Pick<MemberConfig, 'search'>,
  secret: Buffer,
  center: string,
  address: string,
): GroupAddress {
  return { address: search.groups[center] ?? groupOf(secret, center, address), port: search.port };
}

/** Where a member hears questions; undefined for one that the topology does not place. */
export function searchPlace(
  config: Pick<MemberConfig, 'search'>,
  topology: Topology,
  member: MemberId,
  secret: Buffer,
): Pick<NodeSearchOptions, 'center' | 'group'> | undefined {
  const self = topology.members.get(member);
  if (!self?.center) return undefined;
  const isListening = config.search.transport !== 'point-to-point';
  return {
    center: self.center,
    group: isListening ? groupFor(config, secret, self.center, self.address) : null,
  };
}

export interface FinderParts {
  readonly config: Pick<MemberConfig, 'search'>;
  readonly secret: Buffer;
  readonly topology: Topology;
  readonly conditions: ConditionView;
  readonly clients: ReadonlyMap<MemberId, SearchingClient>;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly onSearched?: FinderOptions['onSearched'];
  readonly tuning?: Partial<SearchTuning>;
  readonly finderTuning?: FinderOptions['tuning'];
}

/** Asks members of one kind. Opens no socket before the first search. */
export function openSearcher(
  parts: Pick<FinderParts, 'config' | 'secret' | 'topology' | 'clock' | 'log' | 'tuning'> & {
    readonly kind: MemberKind;
    readonly askMember: AskMember;
    readonly epochOf: (member: MemberId) => Epoch;
  },
): Searcher {
  const { config, secret, topology, clock, log, askMember, epochOf } = parts;
  const groups = new Map<string, CenterGroup>();
  for (const { kind, center, address } of topology.members.values()) {
    if (kind !== parts.kind || center === null || groups.has(center)) continue;
    groups.set(center, { group: groupFor(config, secret, center, address), towards: address });
  }
  const { transport, ttl, address, waitMs } = config.search;
  const onError = (error: Error): void => log.warn({ err: error }, 'searches: a socket failed');
  return createSearcher({
    mode: transport,
    key: searchKey(secret),
    clock,
    multicast:
      transport === 'point-to-point'
        ? null
        : openQuestionPort({ groups, ttl, address: address ?? null, onError }),
    askMember,
    epochOf,
    tuning: { ...patientTuning(waitMs), ...parts.tuning },
  });
}

export function openFinder(parts: FinderParts): NodeFinder {
  const { topology, conditions, clients, clock, log } = parts;
  const pairIds = new Map<MemberId, PairId>();
  const epochOf = (member: MemberId): Epoch => {
    const pair = pairIds.get(member) ?? pairIdOf(topology, member);
    if (pair === undefined) return FIRST_EPOCH;
    pairIds.set(member, pair);
    return conditions.epochOf(pair);
  };
  const searcher = openSearcher({ ...parts, kind: 'node', askMember: askClients(clients, epochOf), epochOf });
  const { onSearched, finderTuning } = parts;
  return createFinder({
    topology,
    conditions,
    searcher,
    clock,
    log,
    ...(onSearched ? { onSearched } : {}),
    ...(finderTuning ? { tuning: finderTuning } : {}),
  });
}

function askClients(
  clients: ReadonlyMap<MemberId, NodeSearch>,
  epochOf: (member: MemberId) => Epoch,
): AskMember {
  return async (member, question, signal) => {
    const client = clients.get(member);
    if (!client) throw new NodeError('unreachable', member, 'no client for this member');
    try {
      return await client.search(question, { epoch: epochOf(member), signal });
    } catch (error) {
      const isStale = error instanceof NodeError && error.kind === 'stale-epoch' && error.epoch !== undefined;
      throw isStale ? new StaleAsker(error.epoch!) : error;
    }
  };
}

/** Waiting longer for datagrams leaves the other transport the time that it has. */
function patientTuning(multicastWaitMs: number): Partial<SearchTuning> {
  const longer = Math.max(0, multicastWaitMs - SEARCH_TUNING.multicastWaitMs);
  return { multicastWaitMs, stepMs: SEARCH_TUNING.stepMs + longer };
}

/** Looked up when it is first needed: pairs may join. */
function pairIdOf(topology: Topology, member: MemberId): PairId | undefined {
  for (const { id, members } of topology.pairs.values()) if (members.includes(member)) return id;
  return undefined;
}
