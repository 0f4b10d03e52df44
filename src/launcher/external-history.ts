/**
 * Writes down, in the catalog of a pair that others run, which server became the primary with which timeline: the epochs of
 * the pair, for people (`failover history`, SQL). Every gateway does so; the first one's row stays. It waits for no standby.
 */
import pg from 'pg';
import type { Clock } from '../base/clock.ts';
import { within } from '../base/within.ts';
import type { PostgresConnection } from '../ddm/locator.ts';
import { tlsOptions } from '../ddm/tls-options.ts';
import type { ExternalPair } from '../external-directories.ts';
import type { KnownServer } from './judge-servers.ts';

const WRITE_MS = 5_000;
const WHY: Readonly<Record<ExternalPair['decider'], string>> = {
  patroni: 'Patroni names it as the leader',
  external: 'it was promoted',
  single: 'it was restored',
};

/** @param owner may write there. @returns false while the schema is older than this table */
export async function recordTimeline(
  owner: PostgresConnection,
  { member, timeline }: KnownServer,
  decider: ExternalPair['decider'],
  clock: Clock,
): Promise<boolean> {
  const { host, port, database, user, password } = owner;
  const client = new pg.Client({
    ...{ host, port, database, user, password, ...tlsOptions(owner) },
    connectionTimeoutMillis: WRITE_MS,
    application_name: 'antipode-history',
  });
  client.on('error', () => {});
  const write = async (): Promise<boolean> => {
    await client.connect();
    const { rows } = await client.query<{ there: boolean }>(
      "SELECT to_regclass('antipode.timeline') IS NOT NULL AS there",
    );
    if (!rows[0]!.there) return false;
    await client.query('SET synchronous_commit = local');
    await client.query(
      `INSERT INTO antipode.timeline (timeline, member, at, why, decided_by)
       VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
      [timeline, member, new Date(clock.now()), WHY[decider], decider],
    );
    return true;
  };
  try {
    return await within(clock, WRITE_MS, write());
  } finally {
    client.end().catch(() => {});
  }
}
