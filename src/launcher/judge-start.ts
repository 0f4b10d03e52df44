/**
 * Which role a directory takes when its process starts without a supervisor: pure, from its own record and folder and its
 * twin's word. Invariants: a new catalog is made only by the first member of the pair, and only after its twin has said
 * that it holds none; a member never becomes primary while its twin says that it is. A former primary returns as its
 * successor's standby when that one lets it.
 */
import type { AgentStatus } from './agent-protocol.ts';
import type { RoleRecord } from './agent-role.ts';

export interface StartSight {
  /** Whether it is the pair's first member, who makes the catalog. */
  readonly isFirst: boolean;
  readonly record:
    | (Pick<RoleRecord, 'role' | 'term'> & Partial<Pick<RoleRecord, 'step' | 'synchronous'>>)
    | null;
  readonly dataState: AgentStatus['dataState'];
  readonly systemId: string | null;
  readonly twinId: string;
  /** null: its agent does not answer. */
  readonly twin: Pick<
    AgentStatus,
    'role' | 'term' | 'step' | 'pid' | 'dataState' | 'systemId' | 'synchronous' | 'mayReturn' | 'why'
  > | null;
}

export type StartStep =
  | { readonly kind: 'wait'; readonly why: string }
  | { readonly kind: 'make'; readonly why: string }
  | { readonly kind: 'primary'; readonly why: string }
  | { readonly kind: 'standby'; readonly why: string; readonly term: number };

const wait = (why: string): StartStep => ({ kind: 'wait', why });

export function judgeStart(sight: StartSight): StartStep {
  const { record, dataState, systemId, twin, twinId } = sight;
  if (twin?.systemId && systemId && twin.systemId !== systemId)
    return wait(
      `it holds another catalog than ${twinId} (system ${systemId} against ${twin.systemId}): remove the folder pg and role.json of the one that is wrong`,
    );
  if (!record && dataState === 'empty') return judgeEmpty(sight);
  const role = record?.role ?? (dataState as 'primary' | 'standby');
  return role === 'primary' ? judgePrimary(sight) : judgeStandby(sight);
}

function judgeEmpty({ isFirst, twin, twinId }: StartSight): StartStep {
  if (!twin)
    return wait(`it makes no catalog before ${twinId} has said that it has none; ${twinId} does not answer`);
  if (twin.role === 'primary') return seed(twin, twinId, 'its folder is empty and its twin is the primary');
  if (twin.dataState !== 'empty')
    return wait(
      `its folder is empty and ${twinId} holds the catalog as ${twin.dataState}: put this folder back, a new catalog is not made`,
    );
  if (!isFirst) return wait(`it waits for ${twinId} to make the catalog`);
  return { kind: 'make', why: 'the first start: both folders are empty' };
}

function judgePrimary({ record, dataState, twin, twinId }: StartSight): StartStep {
  if (twin?.role === 'primary') {
    if (dataState === 'empty') return seed(twin, twinId, 'its folder is gone and its twin is the primary');
    if (record && twin.term > record.term)
      return record.synchronous === false ? split(twinId) : succeeded(twin, twinId);
    if (twin.term >= (record?.term ?? 1))
      return wait(
        `${twinId} says that it is the primary, too (term ${twin.term}): remove the folder pg and role.json here to have it seeded from there`,
      );
  }
  if (dataState === 'empty')
    return wait('it is the primary and its folder pg is gone: put it back, a new catalog is not made');
  if (record?.step?.kind === 'promoting') return { kind: 'primary', why: 'it was decided to be the primary' };
  if (dataState === 'standby')
    return wait("it is the primary and its folder pg is a standby's: put the primary's back");
  if (!record && !twin) return wait(`it takes no role before ${twinId} has said which one it has`);
  return { kind: 'primary', why: record ? 'its role' : 'its folder is of a primary' };
}

function judgeStandby({ dataState, record, twin, twinId }: StartSight): StartStep {
  const step = record?.step?.kind;
  if (step === 'gave-up') return judgeGaveUp(record!.term, twin, twinId);
  const term = record?.term ?? 1;
  if (dataState === 'primary') {
    if (record && twin?.role === 'primary' && twin.term === term)
      return seed(twin, twinId, "its role; its folder is still a primary's");
    return wait(
      `it is a standby and its folder pg is a primary's: remove the folder to have it seeded from ${twinId}`,
    );
  }
  if (dataState === 'empty')
    return twin?.role === 'primary'
      ? seed(twin, twinId, 'its role')
      : wait(`it waits for ${twinId}, to be seeded from there`);
  if (step === 'taking-over') return { kind: 'standby', term, why: 'its role, for now' };
  if (twin?.role === 'primary')
    return { kind: 'standby', term: twin.term, why: record ? 'its role' : "its folder is a standby's" };
  if (twin?.role === 'standby' && twin.step === null)
    return wait(`${twinId} is a standby, too: nobody is the primary`);
  return { kind: 'standby', term, why: 'its folder is of a standby' };
}

function judgeGaveUp(term: number, twin: StartSight['twin'], twinId: string): StartStep {
  if (!twin) return wait(`it has given up its role to ${twinId}, which does not answer`);
  if (twin.role === 'primary' && twin.term > term) return succeeded(twin, twinId);
  if (twin.role === 'standby' && twin.term === term && twin.step === null)
    return { kind: 'primary', why: `${twinId} has not taken over` };
  return wait(`it has given up its role to ${twinId}, which takes over`);
}

/** The twin has become the primary. What is here may hold more than was acknowledged, so it only returns as a standby. */
function succeeded(twin: NonNullable<StartSight['twin']>, twinId: string): StartStep {
  const why = `${twinId} has become the primary (term ${twin.term}: ${twin.why})`;
  if (twin.synchronous || twin.mayReturn) return seed(twin, twinId, why);
  return wait(`${why}; it stays out until failover leave`);
}

/** Two words of operators that contradict each other: what either of them acknowledged is kept until somebody chooses. */
const split = (twinId: string): StartStep =>
  wait(
    `it has gone on without ${twinId}, which has become the primary nevertheless: both may hold what the other lacks; keep a copy of this folder pg, then remove it and role.json to have it seeded from there`,
  );

/** Its folder is made from the primary's, which must run for that. */
function seed(twin: NonNullable<StartSight['twin']>, twinId: string, why: string): StartStep {
  if (twin.pid === null) return wait(`it waits for the primary, ${twinId}, to run`);
  return { kind: 'standby', term: twin.term, why };
}
