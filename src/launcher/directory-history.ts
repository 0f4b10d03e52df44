/**
 * Copies what was decided about a directory pair into its own catalog, for people (`failover history`, SQL). Run by the
 * primary's agent as superuser, idempotent. Invariant: it never waits for the twin, about whom it may be writing.
 */
import type pg from 'pg';
import { timelineOf } from './promotion.ts';

export interface DirectoryEvent {
  /** ISO 8601. */
  readonly at: string;
  readonly pair: string;
  readonly what: 'left-out' | 'may-return' | 'returned' | 'promoted';
  readonly member: string;
  readonly why: string;
  readonly decidedBy: string;
}

/** @param events oldest first. @returns false while the schema is older than these tables */
export async function recordEvents(client: pg.Client, events: readonly DirectoryEvent[]): Promise<boolean> {
  const { rows } = await client.query<{ there: boolean }>(
    "SELECT to_regclass('antipode.directory_decision') IS NOT NULL AS there",
  );
  if (!rows[0]!.there) return false;
  const timeline = await timelineOf(client);
  await client.query('SET synchronous_commit = local');
  await client.query(
    `INSERT INTO antipode.directory_decision (pair, at, what, member, why, decided_by, timeline)
     SELECT e.pair, e.at, e.what, e.member, e.why, e."decidedBy", $2::int
       FROM jsonb_to_recordset($1::jsonb)
         AS e (pair text, at timestamptz, what text, member text, why text, "decidedBy" text)
     ON CONFLICT DO NOTHING`,
    [JSON.stringify(events), timeline],
  );
  const promoted = events.findLast((event) => event.what === 'promoted');
  if (promoted && timeline > 1)
    await client.query(
      `INSERT INTO antipode.timeline (timeline, member, at, why, decided_by)
       VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
      [timeline, promoted.member, promoted.at, promoted.why, promoted.decidedBy],
    );
  return true;
}
