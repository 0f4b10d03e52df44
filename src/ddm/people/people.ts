/**
 * SQL of people over all pairs of directories, one after the other, the root first: the rows of each as they come, then how it
 * went there. A pair that did not answer, or whose primary became another one meanwhile, is a line of its own: an answer is
 * never shorter in silence.
 */
import pg from 'pg';
import type { Clock } from '../../base/clock.ts';
import type { PairId } from '../../base/ids.ts';
import { CatalogUnavailable } from '../catalog.ts';
import { withDeadline } from '../deadline.ts';
import type { PostgresConnection } from '../locator.ts';
import { fateOf } from '../sqlstate.ts';
import { connectAs } from './connect.ts';
import { type LoginSources, type Logins, openLogins } from './logins.ts';
import { runStatement, type StatementLine, type StatementOrder } from './run-statement.ts';

export interface SqlOrder extends StatementOrder {
  readonly timeoutMs: number;
}
export interface SqlFailure {
  readonly type: 'failed';
  /**
   * `refused`: it had no effect there. `unavailable`: nor was it heard of. `unknown`: whether it took effect is not known.
   * `not-run`: another pair's failure came first.
   */
  readonly outcome: 'refused' | 'unavailable' | 'unknown' | 'not-run';
  readonly message: string;
  /** SQLSTATE, and what else Postgres said. */
  readonly code?: string;
  readonly detail?: string;
  readonly hint?: string;
  /** Where in the statement, from 1. */
  readonly position?: number;
}
export type SqlLine = (StatementLine | SqlFailure) & { readonly directory: PairId };

export interface PeopleSql {
  run(order: SqlOrder, signal: AbortSignal): AsyncGenerator<SqlLine>;
  readonly logins: Logins;
}

/** What a statement's own deadline leaves for the way there and back, and a commit for its twin. */
const SLACK_MS = 10_000;

export function openPeopleSql(sources: LoginSources): PeopleSql {
  return {
    logins: openLogins(sources),
    async *run(order, signal) {
      const pairs = sources.pairs();
      const sessions = new Map<PairId, Session | SqlFailure>();
      try {
        // A change begins nowhere unless it can begin everywhere.
        if (order.write) for (const pair of pairs) sessions.set(pair, await begin(sources, pair, order));
        let over = [...sessions.values()].some(isFailure);
        for (const pair of pairs) {
          signal.throwIfAborted();
          if (over) {
            const known = sessions.get(pair);
            yield { directory: pair, ...(known && isFailure(known) ? known : NOT_RUN) };
            continue;
          }
          const session = sessions.get(pair) ?? (await begin(sources, pair, order));
          sessions.set(pair, session);
          for await (const line of isFailure(session)
            ? [session]
            : run(session, order, sources.clock, signal)) {
            yield { directory: pair, ...line };
            // What one server refuses the next would too; of a change that failed nobody knows how to go on.
            if (line.type === 'failed' && (order.write || line.outcome === 'refused')) over = true;
          }
        }
      } finally {
        for (const session of sessions.values()) if (!isFailure(session)) session.destroy();
      }
    },
  };
}

interface Session {
  readonly client: pg.Client;
  /** Whether the server that was asked is still the one that answers for its pair. */
  readonly isCurrent: () => boolean;
  readonly destroy: () => void;
}
const isFailure = (session: Session | SqlFailure): session is SqlFailure => 'type' in session;
const NOT_RUN: SqlFailure = { type: 'failed', outcome: 'not-run', message: 'not run' };
const unavailable = (message: string): SqlFailure => ({ type: 'failed', outcome: 'unavailable', message });

async function begin(
  { owner, clock }: LoginSources,
  pair: PairId,
  o: SqlOrder,
): Promise<Session | SqlFailure> {
  const connection = owner(pair);
  if (!connection) return unavailable(`nobody is known to answer for ${pair}`);
  try {
    const client = await connectAs(o.write ? 'writer' : 'reader', connection, clock, o);
    const stream = (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream;
    const isCurrent = () => sameServer(owner(pair), connection);
    return { client, isCurrent, destroy: () => stream.destroy() };
  } catch (error) {
    if (error instanceof CatalogUnavailable) return unavailable(error.message);
    return failureOf(error, o);
  }
}

const sameServer = (now: PostgresConnection | null, then: PostgresConnection): boolean =>
  now !== null && now.host === then.host && now.port === then.port && now.term === then.term;

async function* run(
  session: Session,
  order: SqlOrder,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<StatementLine | SqlFailure> {
  const { client, destroy, isCurrent } = session;
  signal.addEventListener('abort', destroy);
  const lines = runStatement(client, order);
  try {
    for (;;) {
      // The statement has its own deadline in the server; this one is for a server that says nothing at all.
      const { value, done } = await withDeadline(clock, order.timeoutMs + SLACK_MS, lines.next(), destroy);
      if (done) return;
      for (const line of value) {
        if (line.type === 'done' && !isCurrent()) {
          const message = 'another server became the primary while it ran';
          yield { type: 'failed', outcome: order.write ? 'unknown' : 'unavailable', message };
          return;
        }
        yield line;
      }
    }
  } catch (error) {
    yield failureOf(error, order);
  } finally {
    signal.removeEventListener('abort', destroy);
    destroy();
  }
}

function failureOf(error: unknown, { write }: SqlOrder): SqlFailure {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof pg.DatabaseError) || fateOf(error) === 'unknown')
    return { type: 'failed', outcome: write ? 'unknown' : 'unavailable', message };
  const { code, detail, hint, position } = error;
  return {
    ...{ type: 'failed', outcome: 'refused', message },
    ...(code && { code }),
    ...(detail && { detail }),
    ...(hint && { hint }),
    ...(position && { position: Number(position) }),
  };
}
