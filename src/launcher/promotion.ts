/**
 * A standby becomes the primary, and what it must have then. Every step may be repeated: broken off anywhere, the next
 * start of the folder in the role of a primary goes on from where it was. Who may be promoted, and that the old primary
 * answers nobody any more, is the decider's business; here it is taken as given.
 */
import type pg from 'pg';
import type { Clock } from '../base/clock.ts';
import { preparePrimary } from './directory-roles.ts';
import type { PostgresPasswords } from './secrets.ts';

/** A standby that has the WAL on its disk replays it at the speed of the disk. */
const REPLAY_MS = 120_000;
const PROMOTE_S = 60;
const OUT_OF_RECOVERY_MS = 60_000;
const POLL_MS = 10;
/** Behind which step of a promotion a test breaks off. */
export type PromotionStep = 'replayed' | 'promoted' | 'prepared';

export interface PromotionOptions {
  /** As superuser, to the server that is to be the primary. */
  readonly client: pg.Client;
  readonly passwords: PostgresPasswords;
  readonly clock: Clock;
  /** For tests. */
  readonly after?: (step: PromotionStep) => Promise<void> | void;
}

/**
 * Resolves when the server takes writes; commits must not wait for anybody by then (the caller has written the
 * synchronous set). On a server that is a primary already it only prepares.
 */
export async function becomePrimary({ client, passwords, clock, after }: PromotionOptions): Promise<void> {
  if (await isInRecovery(client)) {
    await replayReceived(client, clock);
    await after?.('replayed');
    const promote = { text: `SELECT pg_promote(true, ${PROMOTE_S})`, query_timeout: PROMOTE_S * 2_000 };
    await client.query(promote);
    const until = clock.monotonic() + OUT_OF_RECOVERY_MS;
    while (await isInRecovery(client)) {
      if (clock.monotonic() > until) throw new Error(`not promoted after ${PROMOTE_S} s`);
      await clock.sleep(POLL_MS);
    }
    await after?.('promoted');
  }
  await preparePrimary(client, passwords);
  await after?.('prepared');
}

/** All that has been received is replayed; the promotion itself replays what lies on the disk besides. */
async function replayReceived(client: pg.Client, clock: Clock): Promise<void> {
  const until = clock.monotonic() + REPLAY_MS;
  for (;;) {
    const { rows } = await client.query<{ level: boolean }>(
      'SELECT coalesce(pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn(), true) AS level',
    );
    if (rows[0]!.level) return;
    if (clock.monotonic() > until) throw new Error(`received WAL is not replayed after ${REPLAY_MS} ms`);
    await clock.sleep(POLL_MS);
  }
}

export async function isInRecovery(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ standby: boolean }>('SELECT pg_is_in_recovery() AS standby');
  return rows[0]!.standby;
}

/** Of a primary; pg_control tells it only after the next checkpoint. */
export async function timelineOf(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ file: string }>(
    'SELECT pg_walfile_name(pg_current_wal_lsn()) AS file',
  );
  return Number.parseInt(rows[0]!.file.slice(0, 8), 16);
}
