/**
 * From what the agents of the directories say to what a gateway knows of the directories: pure. Of a pair, the member whose
 * agent says that it is the primary answers; an agent that falls silent takes nothing from a server that may still run,
 * so the last primary that was known stays until another one, of a higher term, is.
 */
import type { MemberId } from '../base/ids.ts';
import type { Pair } from '../twin/topology.ts';
import type { AgentStatus } from './agent-protocol.ts';
import { isLevel } from './judge-pair.ts';
import type { DirectoryState, MemberState } from './messages.ts';

/** An agent's last answer, or why there is none. */
export type Heard =
  | { readonly ok: true; readonly status: AgentStatus }
  | { readonly ok: false; readonly why: string };

export interface KnownPrimary {
  readonly member: MemberId;
  readonly term: number;
}

export interface PairView {
  /** null: nobody is known to be the primary. */
  readonly directory: DirectoryState | null;
  readonly members: readonly MemberState[];
  readonly primary: KnownPrimary | null;
}

export function judgeAgents(
  pair: Pick<Pair, 'id' | 'members'>,
  heard: ReadonlyMap<MemberId, Heard>,
  known: KnownPrimary | null,
): PairView {
  const primary = choosePrimary(pair.members, heard, known);
  if (primary === 'contested')
    return {
      directory: null,
      members: pair.members.map((id) => suspect(id, 'both members say that they are the primary')),
      primary: known,
    };
  if (!primary)
    return { directory: null, members: pair.members.map((id) => memberOf(id, heard, null)), primary: known };
  const twin = pair.members.find((id) => id !== primary.member)!;
  const word = heard.get(primary.member);
  const runs = !word?.ok || word.status.pid !== null;
  const synchronous = !word?.ok || word.status.synchronous;
  const members = pair.members.map((id) => memberOf(id, heard, primary.member));
  const serving = members.filter((m) => m.condition === 'serving').length;
  const condition = !runs ? 'lost' : serving === 2 ? 'redundant' : 'degraded';
  return {
    directory: {
      pair: pair.id,
      primary: primary.member,
      twin,
      term: primary.term,
      synchronous,
      condition,
    },
    members,
    primary,
  };
}

function choosePrimary(
  members: readonly MemberId[],
  heard: ReadonlyMap<MemberId, Heard>,
  known: KnownPrimary | null,
): KnownPrimary | 'contested' | null {
  const claims = members.flatMap((member): KnownPrimary[] => {
    const word = heard.get(member);
    return word?.ok && word.status.role === 'primary' ? [{ member, term: word.status.term }] : [];
  });
  const highest = Math.max(known?.term ?? 0, ...claims.map((c) => c.term));
  const latest = claims.filter((c) => c.term === highest);
  if (latest.length > 1) return 'contested';
  return latest[0] ?? known;
}

const suspect = (id: MemberId, reason: string): MemberState => ({ id, condition: 'suspect', reason });

function memberOf(id: MemberId, heard: ReadonlyMap<MemberId, Heard>, primary: MemberId | null): MemberState {
  const word = heard.get(id);
  const isPrimary = id === primary;
  const role = primary === null ? {} : { primary: isPrimary };
  const twin = isPrimary || primary === null ? null : standbyBy(heard.get(primary), word);
  if (twin) return { id, ...role, ...(word?.ok ? { pid: word.status.pid } : {}), ...twin };
  if (!word?.ok) return { ...suspect(id, `its agent: ${word?.why ?? 'not asked yet'}`), ...role };
  const { pid, problem } = word.status;
  if (problem !== null || pid === null)
    return { id, ...role, pid, condition: 'suspect', reason: problem ?? 'no Postgres runs' };
  if (primary === null) return { id, ...role, pid, condition: 'suspect', reason: 'nobody is the primary' };
  return { id, ...role, pid, condition: 'serving' };
}

/** A standby as its primary has it: the primary knows whether it waits for it, and whether it streams. */
function standbyBy(
  primary: Heard | undefined,
  own: Heard | undefined,
): Pick<MemberState, 'condition' | 'reason'> | null {
  if (!primary?.ok) return null;
  const { synchronous, mayReturn, replication, why, since, decidedBy } = primary.status;
  const streams = replication?.state === 'streaming';
  if (synchronous) {
    // Its own note: whether it has all that was acknowledged, so that it could take over.
    if (streams && own?.ok && own.status.role === 'standby' && !own.status.synchronous)
      return { condition: 'resyncing', reason: 'it is level, and counts in a moment' };
    if (streams || primary.status.pid === null) return null;
    const said = own?.ok
      ? (own.status.problem ?? 'it does not stream')
      : `its agent: ${own?.why ?? 'not asked yet'}`;
    return {
      condition: 'suspect',
      reason: `${said}; commits wait for it until failover enter --assert-down`,
    };
  }
  const decided = `${why} (${decidedBy}, ${since})`;
  if (!mayReturn)
    return {
      condition: 'failed-over',
      reason: `commits do not wait for it: ${decided}; until failover leave`,
    };
  const behind = streams && replication.replayed !== null ? replication.flushed - replication.replayed : null;
  const how = behind === null ? 'it does not stream yet' : `${behind} bytes behind`;
  return isLevel(replication ?? NO_REPLICATION)
    ? { condition: 'resyncing', reason: 'it is level and returns' }
    : { condition: 'resyncing', reason: `it catches up: ${how}` };
}

const NO_REPLICATION = { state: null, flushed: 0, replayed: null, slot: null, synchronous: false } as const;
