/**
 * Entering and leaving failover by an operator's word, and what the record says happened. The record decides; what was
 * decided is told to the members before the answer goes out, so that a member that answers has ceased by then.
 */
import type { Logger } from 'pino';
import type { MemberId } from '../base/ids.ts';
import type { ClusterCatalog, ConditionChange, ConditionRefusal } from '../ddm/cluster-catalog.ts';
import type { Conditions, ConditionView } from '../twin/condition.ts';
import type { Topology } from '../twin/topology.ts';
import { AdminError, type AdminErrorCode } from './admin-error.ts';
import type { FailoverReport, HistoryReport } from './api.ts';
import { type HistorySources, readHistory } from './history.ts';

export interface FailoverSources {
  readonly catalog: Pick<ClusterCatalog, 'changeCondition' | 'allowReturn'> & HistorySources;
  readonly topology: Topology;
  /** With `take`: the record as a change has left it. */
  readonly conditions: ConditionView & { take(conditions: Conditions): void };
  /** The id of the data folder that the member has said to have; null when it has not been heard. */
  readonly storeIdOf: (member: MemberId) => string | null;
  /** Tells members what the record says of them now. Bounded by itself. */
  readonly tell: (members: readonly MemberId[]) => Promise<void>;
  /** Absent: somebody else decides about directories. */
  readonly directories?: DirectoryFailover | null;
  readonly log: Pick<Logger, 'warn'>;
}

export interface EnterOrder {
  readonly subject: string;
  readonly reason?: string | undefined;
  readonly force: boolean;
  /** Directories: the operator's word that it answers nobody. */
  readonly assertDown?: boolean;
}

export type DirectoryWord = FailoverReport['members'][number];

/** The standby of a directory pair: whether commits wait for it. Needs no catalog. @throws {AdminError} */
export interface DirectoryFailover {
  enter(
    member: MemberId,
    order: Pick<EnterOrder, 'reason' | 'force' | 'assertDown'>,
    who: string,
  ): Promise<DirectoryWord>;
  leave(member: MemberId, who: string): Promise<DirectoryWord>;
}

export interface LeaveOrder {
  readonly subject: string;
  /** It serves at once, with what it has: only where its twin does not serve, so that nobody could fill it. */
  readonly force: boolean;
}

export interface Failover {
  enter(order: EnterOrder, who: string): Promise<FailoverReport>;
  leave(order: LeaveOrder, who: string): Promise<FailoverReport>;
  history(query: { max: number; before?: string | undefined }): Promise<HistoryReport>;
}

type Subject = ConditionChange['subject'];

const REFUSALS: Readonly<Record<ConditionRefusal, AdminErrorCode>> = {
  'twin-not-serving': 'TwinNotServing',
  'no-such-subject': 'NoSuchMember',
  'not-allowed': 'NotAllowed',
  // An order carries no epoch.
  'stale-epoch': 'Internal',
};

export function createFailover(sources: FailoverSources): Failover {
  const { catalog, topology, conditions, tell, log, directories } = sources;
  /** null: the subject is no directory, or directories are somebody else's. */
  const asDirectory = (subject: string): { member: MemberId; failover: DirectoryFailover } | null => {
    const member = topology.members.get(subject as MemberId);
    return member?.kind === 'directory' && directories ? { member: member.id, failover: directories } : null;
  };
  const wordReport = (word: DirectoryWord): FailoverReport => ({
    subject: word.member,
    epoch: conditions.current().epoch,
    members: [word],
  });
  const change = async (wanted: ConditionChange): Promise<Conditions> => {
    const outcome = await catalog.changeCondition(wanted);
    if (outcome.outcome === 'unknown') throw unknown();
    if (outcome.outcome === 'refused') throw refusal(outcome.reason, nameOf(wanted.subject), outcome.detail);
    conditions.take(outcome.value);
    return outcome.value;
  };
  const membersOf = (subject: Subject): readonly MemberId[] =>
    [...topology.members.values()]
      .filter((m) =>
        subject.kind === 'member'
          ? m.id === subject.member
          : m.kind === 'node' && m.center === subject.center,
      )
      .map((m) => m.id);
  const withTwins = (members: readonly MemberId[]): readonly MemberId[] =>
    members.flatMap((id) => [id, topology.members.get(id)?.twin ?? id]);
  const report = (subject: Subject, record: Conditions): FailoverReport => ({
    subject: nameOf(subject),
    epoch: record.epoch,
    members: membersOf(subject).flatMap((id) => {
      const found = record.members.get(id);
      if (!found) return [];
      const { member, state, since, why, decidedBy, mayReturn } = found;
      return [{ member, condition: state, since: since.toISOString(), why, decidedBy, mayReturn }];
    }),
  });

  return {
    async enter(order, who) {
      const { subject: text, reason, force } = order;
      const directory = asDirectory(text);
      if (directory) {
        const word = await directory.failover.enter(directory.member, order, who);
        log.warn({ ...word, who }, 'failover entered');
        return wordReport(word);
      }
      const subject = parseSubject(topology, text);
      if (subject.kind === 'center' && topology.centers.length === 1) {
        throw new AdminError(
          'OnlyCenter',
          `${subject.center} is the only center: its twins are in it, and nobody could take over; name a member`,
        );
      }
      const why = reason ?? 'entered by an operator';
      const record = await change({
        ...{ subject, to: 'failed-over', why, decidedBy: who, mayReturn: false, force },
      });
      log.warn({ subject: nameOf(subject), who, why, force, epoch: record.epoch }, 'failover entered');
      await tell(withTwins(membersOf(subject)));
      return report(subject, record);
    },

    async leave({ subject: text, force }, who) {
      const directory = asDirectory(text);
      if (directory) {
        const word = await directory.failover.leave(directory.member, who);
        log.warn({ ...word, who }, 'failover may be left');
        return wordReport(word);
      }
      const subject = parseSubject(topology, text);
      if (force) {
        await conditions.reload();
        assertNobodyFillsIt(sources, subject);
      }
      const outcome = await catalog.allowReturn(subject, who);
      if (outcome.outcome === 'unknown') throw unknown();
      if (outcome.outcome === 'refused') throw refusal(outcome.reason, nameOf(subject), outcome.detail);
      log.warn({ subject: nameOf(subject), who, force }, 'failover may be left');
      conditions.take(outcome.value);
      if (!force || subject.kind !== 'member') return report(subject, outcome.value);
      const facts = { subject, why: 'put back by an operator as it is', decidedBy: who };
      const storeId = sources.storeIdOf(subject.member);
      await change({ ...facts, to: 'resyncing' });
      const record = await change({ ...facts, to: 'serving', ...(storeId === null ? {} : { storeId }) });
      await tell(withTwins(membersOf(subject)));
      return report(subject, record);
    },

    history: (query) => readHistory(catalog, query),
  };
}

/** @throws {AdminError} unless it is one member, out of service, whose twin does not serve either */
function assertNobodyFillsIt({ topology, conditions }: FailoverSources, subject: Subject): void {
  if (subject.kind === 'center')
    throw new AdminError('InvalidRequest', 'by force one node is put back at a time: name it');
  const { member } = subject;
  const twin = topology.members.get(member)?.twin;
  const state = conditions.stateOf(member);
  if (state === 'serving') throw new AdminError('NotAllowed', `${member} serves`);
  if (twin && conditions.stateOf(twin) === 'serving')
    throw new AdminError(
      'NotAllowed',
      `${member} is filled by ${twin}, which serves; --force is for members whose twin does not`,
    );
}

/** @throws {AdminError} for what cannot enter failover by command */
function parseSubject(topology: Topology, text: string): Subject {
  const member = topology.members.get(text as MemberId);
  if (member?.kind === 'node') return { kind: 'member', member: member.id };
  if (member?.kind === 'directory') {
    throw new AdminError(
      'NotSupported',
      `${text} is a directory: antipode start, which runs its pair, decides about it by itself`,
    );
  }
  if (member) throw new AdminError('InvalidRequest', `${text} is a gateway: it has no twin to fail over to`);
  const name = /^center[ /](.+)$/.exec(text)?.[1] ?? text;
  if (topology.centers.some((center) => center.name === name)) return { kind: 'center', center: name };
  const known = topology.centers.map((center) => `center ${center.name}`).join(', ');
  throw new AdminError(
    'NoSuchMember',
    `there is no node and no center ${text}; there is ${known}, and antipode status lists the nodes`,
  );
}

const nameOf = (subject: Subject): string =>
  subject.kind === 'member' ? subject.member : `center ${subject.center}`;

function refusal(reason: ConditionRefusal, subject: string, detail: string | undefined): AdminError {
  const because = detail ?? reason;
  const hint =
    reason === 'twin-not-serving' ? '; --force overrides, and its bytes are then out of reach' : '';
  return new AdminError(REFUSALS[reason], `${subject} stays as it is: ${because}${hint}`);
}

const unknown = (): AdminError =>
  new AdminError('OutcomeUnknown', 'the root pair did not say whether it was done: look at antipode status');
