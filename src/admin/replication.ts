/**
 * What operators see of replicas on their way home, and the two orders that they can give: look for members to bring back
 * now, and scrub now (or faster). Facts: the record, the catalog's rows, and the nodes themselves, each asked at most for
 * its deadline. The work itself is the jobs' and goes on whoever watches.
 */
import type { Clock } from '../base/clock.ts';
import type { BlobId, MemberId } from '../base/ids.ts';
import { within } from '../base/within.ts';
import type { ClusterCatalog, ResyncState } from '../ddm/cluster-catalog.ts';
import type { NodeClient, NodeControl, ScrubStatus } from '../nodes/protocol.ts';
import type { ConditionView } from '../twin/condition.ts';
import { AdminError } from './admin-error.ts';
import type {
  MemberResyncReport,
  NodeScrubReport,
  RepairsPage,
  RepairsQuery,
  ResyncsReport,
  ScrubOrder,
  ScrubsReport,
} from './replication-api.ts';
import type { ReplicationFigures } from './replication-metrics.ts';

export interface ReplicationSources {
  readonly catalog: Pick<ClusterCatalog, 'listResyncs' | 'listRepairs'>;
  readonly clients: ReadonlyMap<MemberId, NodeClient & NodeControl>;
  readonly conditions: ConditionView;
  /** Tries at once to bring back what waits for its next try. */
  readonly hurry: () => void;
  readonly figures?: () => ReplicationFigures;
  readonly clock: Clock;
}
export interface ReplicationService {
  /** For metrics. */
  figures(): ReplicationFigures | null;
  resyncs(): Promise<ResyncsReport>;
  resyncNow(): Promise<ResyncsReport>;
  scrubs(): Promise<ScrubsReport>;
  scrub(order: ScrubOrder): Promise<ScrubsReport>;
  repairs(query: RepairsQuery): Promise<RepairsPage>;
}

const NODE_MS = 3_000;

export function createReplicationService(sources: ReplicationSources): ReplicationService {
  const { catalog, clients, conditions, clock } = sources;
  const answered = async <T>(question: Promise<T>): Promise<{ value: T } | { reason: string }> => {
    try {
      return { value: await within(clock, NODE_MS, question) };
    } catch (error) {
      return { reason: error instanceof Error ? error.message : String(error) };
    }
  };

  const resyncs = async (): Promise<ResyncsReport> => {
    const [record, states] = await Promise.all([conditions.reload(), catalog.listResyncs()]);
    const byMember = new Map(states.map((state) => [state.member, state]));
    const members = await Promise.all(
      [...clients].map(async ([member, client]): Promise<MemberResyncReport | null> => {
        const { state: condition, mayReturn, why } = record.members.get(member) ?? SERVES;
        const resync = byMember.get(member);
        if (condition === 'serving' && !resync) return null;
        const answers = condition === 'serving' || 'value' in (await answered(client.status()));
        return { member, condition, answers, mayReturn, why, resync: resync ? resyncReport(resync) : null };
      }),
    );
    return { members: members.filter((report) => report !== null) };
  };

  const scrubAll = async (order: Omit<ScrubOrder, 'member'> | null, only?: string): Promise<ScrubsReport> => {
    const asked = [...clients].filter(([member]) => only === undefined || member === only);
    if (asked.length === 0) throw new AdminError('NoSuchMember', `there is no node ${only}`);
    const nodes = await Promise.all(
      asked.map(async ([member, client]): Promise<NodeScrubReport> => {
        const answer = await answered(scrubOne(client, order));
        if ('reason' in answer) return { member, answers: false, reason: answer.reason };
        const { scrub, storedBytes, damaged } = answer.value;
        return { member, answers: true, storedBytes, damaged, ...scrubReport(scrub) };
      }),
    );
    return { nodes };
  };

  return {
    figures: () => sources.figures?.() ?? null,
    resyncs,
    resyncNow: () => {
      sources.hurry();
      return resyncs();
    },
    scrubs: () => scrubAll(null),
    scrub: ({ member, ...order }) => scrubAll(order, member),
    async repairs({ member, afterMember, afterBlob, max }) {
      const found = await catalog.listRepairs({
        max: max + 1,
        ...(member === undefined ? {} : { member: member as MemberId }),
        ...(afterMember === undefined
          ? {}
          : { after: { member: afterMember as MemberId, blobId: afterBlob as BlobId } }),
      });
      const repairs = found
        .slice(0, max)
        .map(({ blob, member: home, since, reason, attempts, lastError }) => ({
          ...{ blob: blob.id, pair: blob.pair, size: blob.size, member: home, reason },
          ...{ since: since.toISOString(), attempts, ...(lastError === undefined ? {} : { lastError }) },
        }));
      return { repairs, truncated: found.length > max };
    },
  };
}

const SERVES = { state: 'serving', mayReturn: true, why: '' } as const;

async function scrubOne(client: NodeClient & NodeControl, order: Omit<ScrubOrder, 'member'> | null) {
  const { start, bytesPerSecondMax } = order ?? {};
  const scrub = order
    ? await client.scrub({
        ...(start ? { start } : {}),
        ...(bytesPerSecondMax === undefined ? {} : { bytesPerSecondMax }),
      })
    : undefined;
  const { storedBytes, damaged = 0, ...status } = await client.status();
  return { storedBytes, damaged, scrub: scrub ?? status.scrub };
}

const isoOf = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

const scrubReport = (scrub: ScrubStatus | undefined): Partial<NodeScrubReport> =>
  scrub === undefined
    ? {}
    : {
        ...scrub,
        roundStartedAt: isoOf(scrub.roundStartedAt),
        lastRoundEndedAt: isoOf(scrub.lastRoundEndedAt),
      };

function resyncReport({
  member: _,
  epoch: __,
  startedAt,
  updatedAt,
  ...state
}: ResyncState): NonNullable<MemberResyncReport['resync']> {
  return { ...state, startedAt: startedAt.toISOString(), updatedAt: updatedAt.toISOString() };
}
