/**
 * The standby directory killed or stopped while commits run: they go on after the decision, and none is acknowledged
 * between the moment when the standby could no longer take it and the decision's record.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Decision } from '../../../src/launcher/decisions.ts';
import { processesIn } from '../../../src/launcher/postgres-processes.ts';
import { type Store, startStore } from '../../harness/store.ts';

const TWIN = 'directory-b5';
/** An acknowledgement that was on its way when the signal was sent. */
const ON_ITS_WAY_MS = 150;

let store: Store;
before(async () => {
  store = await startStore({ nodesPerCenter: 1, settings: { directoryDeadlineMs: 3_000 } });
  const client = await connect();
  await client.query('CREATE TABLE public.probe (id int PRIMARY KEY)');
  await client.end();
});
after(() => store.stop());

async function connect(): Promise<pg.Client> {
  const client = new pg.Client({
    host: `127.1.${store.subnets.octet}.5`,
    port: 7432,
    user: 'postgres',
    database: 'antipode',
    password: readFileSync(join(store.dataDir, 'secrets', 'postgres-superuser.password'), 'utf8').trim(),
  });
  client.on('error', () => {});
  await client.connect();
  return client;
}

const decisions = (): Decision[] => {
  try {
    return readFileSync(join(store.dataDir, 'decisions.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Decision);
  } catch {
    return [];
  }
};

async function until(what: string, condition: () => boolean | Promise<boolean>, ms = 30_000): Promise<void> {
  const end = performance.now() + ms;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within ${ms} ms: ${what}\n${store.stderr()}`);
    await sleep(20);
  }
}

/** Commits one row after the other until told to stop; an error is a reason to connect anew, never an acknowledgement. */
class Writer {
  readonly acknowledged: { id: number; at: number }[] = [];
  #stop = false;
  readonly done: Promise<void>;

  constructor(firstId: number) {
    this.done = this.#run(firstId);
  }
  async #run(firstId: number): Promise<void> {
    let client: pg.Client | null = null;
    for (let id = firstId; !this.#stop; id++) {
      try {
        client ??= await connect();
        await client.query('INSERT INTO public.probe VALUES ($1)', [id]);
        this.acknowledged.push({ id, at: Date.now() });
      } catch {
        await client?.end().catch(() => {});
        client = null;
        await sleep(50);
      }
    }
    await client?.end().catch(() => {});
  }
  stop(): Promise<void> {
    this.#stop = true;
    return this.done;
  }
  since(at: number): number {
    return this.acknowledged.filter((row) => row.at > at).length;
  }
}

async function breakTwin(break_: () => void, firstId: number): Promise<void> {
  const made = decisions().length;
  const writer = new Writer(firstId);
  await until('commits', () => writer.acknowledged.length > 50);
  const brokenAt = Date.now();
  break_();
  await until('the decision', () => decisions().length > made);
  const out = decisions()[made]!;
  assert.equal(out.what, 'left-out');
  assert.equal(out.member, TWIN);
  const decidedAt = Date.parse(out.at);
  await until('commits after the decision', () => writer.since(decidedAt) > 50);
  const unreplicated = writer.acknowledged.filter(
    (row) => row.at > brokenAt + ON_ITS_WAY_MS && row.at < decidedAt,
  );
  assert.deepEqual(unreplicated, [], 'acknowledged although the twin could not have it');
  await until('the return', () => decisions().length > made + 1);
  assert.equal(decisions()[made + 1]!.what, 'returned');
  await until('commits after the return', () => writer.since(Date.parse(decisions()[made + 1]!.at)) > 50);
  await writer.stop();
  const client = await connect();
  const ids = writer.acknowledged.map((row) => row.id);
  const { rows } = await client.query('SELECT count(*)::int AS n FROM public.probe WHERE id = ANY($1)', [
    ids,
  ]);
  assert.equal(rows[0].n, ids.length);
  await until('synchronous again', async () => {
    const sync = await client.query(
      'SELECT sync_state FROM pg_stat_replication WHERE application_name = $1',
      [TWIN],
    );
    return sync.rows[0]?.sync_state === 'sync';
  });
  await client.end();
}

describe('the standby directory', () => {
  it('killed while commits run: they go on after the decision', async () => {
    await breakTwin(() => store.signal(TWIN, 'SIGKILL'), 1);
  });

  it('stopped while commits run: it is ended by force, and they go on after the decision', async () => {
    await breakTwin(() => {
      for (const pid of processesIn(join(store.dataDir, TWIN, 'pg'))) process.kill(pid, 'SIGSTOP');
    }, 1_000_000);
  });
});
