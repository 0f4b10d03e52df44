/**
 * From what is known of the servers of a pair that others run to who is trusted to be its primary: pure. At most one is,
 * only while its claim lasts, and never one of an earlier timeline than a primary that was known before: that one has
 * been replaced, whatever it says.
 */
import type { MemberId } from '../base/ids.ts';
import type { Pair } from '../twin/topology.ts';
import type { DirectoryState, MemberState } from './messages.ts';

/** It says, or is said, to be the primary. */
export interface Claim {
  readonly timeline: number;
  /** Our monotonic clock, ms. */
  readonly until: number;
}
/** The latest about one server. */
export interface ServerWord {
  readonly claim: Claim | null;
  /** It answered as the standby that commits wait for. */
  readonly follows: boolean;
  /** Why it is not what it should be, in one line. */
  readonly problem: string | null;
  readonly pid?: number;
}
export interface KnownServer {
  readonly member: MemberId;
  readonly timeline: number;
}
export type Chosen =
  | { readonly primary: KnownServer; readonly until: number }
  | { readonly primary: null; readonly why: string };

export type Words = ReadonlyMap<MemberId, ServerWord>;

export function choosePrimary(
  members: readonly MemberId[],
  words: Words,
  known: KnownServer | null,
  now: number,
): Chosen {
  const claims = members.flatMap((member) => {
    const claim = words.get(member)?.claim;
    return claim && claim.until > now ? [{ member, ...claim }] : [];
  });
  const highest = Math.max(0, ...claims.map((c) => c.timeline));
  const [first, second] = claims.filter((c) => c.timeline === highest);
  if (!first) return { primary: null, why: 'no server is trusted to be the primary' };
  if (second)
    return { primary: null, why: `both servers say that they are the primary of timeline ${highest}` };
  if (known && first.timeline < known.timeline)
    return {
      primary: null,
      why: `${first.member} says that it is the primary of timeline ${first.timeline}; ${known.member} was of ${known.timeline}`,
    };
  if (known && first.timeline === known.timeline && first.member !== known.member)
    return {
      primary: null,
      why: `${first.member} says that it is the primary of timeline ${first.timeline}, which is ${known.member}'s`,
    };
  return { primary: { member: first.member, timeline: first.timeline }, until: first.until };
}

/**
 * What `status` shows. `single`: the other member of the pair is a place that is kept free. Servers beside the pair may be
 * known, too.
 */
export function describeServers(
  pair: Pick<Pair, 'id' | 'members'>,
  words: Words,
  chosen: Chosen,
  known: KnownServer | null,
  single: boolean,
): { readonly directory: DirectoryState | null; readonly members: readonly MemberState[] } {
  const primary = chosen.primary?.member ?? null;
  const ids = [...new Set([...pair.members, ...words.keys()])];
  const members = ids.map((id): MemberState => {
    const word = words.get(id);
    const role = primary === null ? {} : { primary: id === primary };
    if (single && !words.has(id))
      return {
        id,
        ...role,
        condition: 'failed-over',
        reason: 'there is no server here (decider: single): the catalog is kept once',
      };
    if (id === primary) return { id, ...role, condition: 'serving' };
    if (primary !== null && word?.follows) return { id, ...role, condition: 'serving' };
    const fallback = primary === null && !chosen.primary ? chosen.why : 'it is not the synchronous standby';
    return { id, ...role, condition: 'suspect', reason: word?.problem ?? fallback };
  });
  const shown = primary ?? known?.member ?? null;
  if (shown === null) return { directory: null, members };
  const serve = (id: MemberId) => members.some((m) => m.id === id && m.condition === 'serving');
  const condition = primary === null ? 'lost' : pair.members.every(serve) ? 'redundant' : 'degraded';
  const twin = pair.members.find((id) => id !== shown)!;
  const term = chosen.primary?.timeline ?? known?.timeline ?? 0;
  return {
    directory: { pair: pair.id, primary: shown, twin, term, synchronous: !single, condition },
    members,
  };
}
