/**
 * What an agent tells about its server as long as that runs and answers; silence says the rest. Beside that, the primary's
 * copies into its own catalog what was decided (directory-history.ts).
 */
import { statfs } from 'node:fs/promises';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Logger } from 'pino';
import { type DirectoryEvent, recordEvents } from './directory-history.ts';
import { DATABASE, ensureSlot, REPLICATION_SQL } from './directory-roles.ts';
import type { DirectoryRole, FromMember, Replication } from './messages.ts';

const REPORT_MS = 250;
/** A new connection, so that a stopped postmaster shows although its backends go on. */
const KNOCK_EVERY_MS = 1_000;
const ANSWER_MS = 1_000;
const RECORD_EVERY_MS = 1_000;
/** Two segments of WAL: with less, Postgres is about to stop. */
const ROOM_BYTES_MIN = 32 * 1024 * 1024;

export interface ReportOptions {
  readonly role: DirectoryRole;
  readonly host: string;
  readonly port: number;
  readonly dataDir: string;
  readonly log: Logger;
  readonly isOver: () => boolean;
  readonly connect: (database: string) => Promise<pg.Client>;
  readonly send: (message: FromMember) => void;
  /** Whether commits are known to wait, when the server's settings say that they do. */
  readonly isConfirmed: () => boolean;
  /** What is still to be copied; null: nothing. */
  readonly events: () => readonly DirectoryEvent[] | null;
  readonly recorded: (events: readonly DirectoryEvent[]) => void;
}

export async function report(o: ReportOptions): Promise<void> {
  const { role, log } = o;
  let client: pg.Client | null = null;
  let knockedAt = 0;
  let recordedAt = 0;
  while (!o.isOver()) {
    try {
      if (performance.now() - knockedAt >= KNOCK_EVERY_MS) {
        await knock(o.host, o.port);
        knockedAt = performance.now();
      }
      const diskFull = await isFull(o.dataDir);
      if (role.kind === 'primary') {
        client ??= await o.connect('postgres');
        const seen = await replication(client, role.twin);
        const synchronous = seen.synchronous && o.isConfirmed();
        o.send({ type: 'replication', replication: { ...seen, synchronous }, diskFull });
        // Whoever heard of it seeds the twin anew, which then needs a slot that keeps something.
        if (seen.slot === 'lost') await ensureSlot(client);
        if (o.events() !== null && performance.now() - recordedAt >= RECORD_EVERY_MS) {
          recordedAt = performance.now();
          void record(o);
        }
      } else o.send({ type: 'alive', diskFull });
    } catch (error) {
      log.warn({ err: error }, 'Postgres does not answer');
      void client?.end().catch(() => {});
      client = null;
      knockedAt = 0;
    }
    await sleep(REPORT_MS);
  }
  void client?.end().catch(() => {});
}

/** Beside the reports, which must not wait for it; tried again until it is done. */
async function record({ connect, events, recorded, log }: ReportOptions): Promise<void> {
  const given = events();
  if (given === null) return;
  try {
    const client = await connect(DATABASE);
    try {
      if (await recordEvents(client, given)) recorded(given);
    } finally {
      await client.end();
    }
  } catch (error) {
    log.debug({ err: error }, 'what was decided is not in the catalog yet');
  }
}

async function isFull(dataDir: string): Promise<boolean> {
  const { bavail, bsize } = await statfs(dataDir);
  return bavail * bsize < ROOM_BYTES_MIN;
}

async function replication(client: pg.Client, twin: string): Promise<Replication> {
  const query = { text: REPLICATION_SQL, values: [twin], query_timeout: ANSWER_MS };
  const { rows } = await client.query<{
    state: string | null;
    slot: string | null;
    flushed: string;
    replayed: string | null;
    synchronous: boolean;
  }>(query);
  const row = rows[0]!;
  return {
    ...row,
    flushed: Number(row.flushed),
    replayed: row.replayed === null ? null : Number(row.replayed),
  };
}

/** Asks the server whether it speaks TLS: it forks and answers one byte, without a login. */
function knock(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error(`no answer within ${ANSWER_MS} ms`)));
    socket.once('connect', () => socket.write(Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])));
    socket.once('data', () => {
      socket.end();
      resolve();
    });
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed without an answer')));
  });
}
