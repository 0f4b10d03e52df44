/**
 * A deployment whose directory is Postgres 15 under Patroni (Debian's packages), the pair and a third: leaders are killed, stopped
 * and robbed of their Patroni while clients write and read through two gateways. No acknowledged write is lost, no read goes
 * back, and the store follows the new leader by itself; it follows none that is not in strict synchronous mode.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import type { StatusReport } from '../../src/admin/api.ts';
import { Deployment, DIRECTORIES, GATEWAYS, NODES } from '../harness/deployment.ts';
import {
  APP_PASSWORD,
  OWNER_PASSWORD,
  PatroniCluster,
  patroniMissing,
  REST_PORT,
  SQL_PORT,
} from '../harness/patroni.ts';

/** With one out, strict mode lets commits go on only where there is a third. */
const SERVERS = [...DIRECTORIES, 'directory-c6'] as const;
const Bucket = 'bucket';
const WRITERS = 4;
/** The least that Patroni allows. */
const TTL_S = 20;
const STRICT = { synchronous_mode: true, synchronous_mode_strict: true };
const DCS = {
  ...{ ttl: TTL_S, loop_wait: 2, retry_timeout: 3, ...STRICT },
  postgresql: {
    use_pg_rewind: true,
    parameters: { synchronous_commit: 'remote_apply', wal_keep_size: '128MB' },
  },
};
const missing = patroniMissing();

/** One key: values rise by one with each write, so that a value that goes back is seen. */
interface Register {
  readonly key: string;
  written: number;
  acknowledged: number;
  seen: number;
}

describe('a directory under Patroni', { skip: missing ?? false }, () => {
  let deployment: Deployment;
  let patroni: PatroniCluster;
  const clients = new Map<string, S3Client>();
  const registers: Register[] = Array.from({ length: WRITERS }, (_, n) => ({
    ...{ key: `register-${n}`, written: 0, acknowledged: 0, seen: 0 },
  }));
  const wrong: string[] = [];
  const counts = { puts: 0, refusedPuts: 0, gets: 0, refusedGets: 0 };
  let lastPutAt = 0;
  let over = false;
  let work: Promise<unknown> = Promise.resolve();

  before(async () => {
    deployment = await Deployment.make(
      { commitDeadlineMs: 5_000 },
      {
        directories: (made) => ({
          'directory/5': {
            decider: 'patroni',
            app: { user: 'antipode_app', passwordEnv: 'TEST_APP_PASSWORD' },
            owner: { user: 'antipode_owner', passwordEnv: 'TEST_OWNER_PASSWORD' },
            members: Object.fromEntries(
              SERVERS.map((id) => {
                const host = made.address(id);
                return [id, { host, port: SQL_PORT, patroni: `http://${host}:${REST_PORT}` }];
              }),
            ),
          },
        }),
      },
    );
    process.env.TEST_APP_PASSWORD = APP_PASSWORD;
    process.env.TEST_OWNER_PASSWORD = OWNER_PASSWORD;
    const members = Object.fromEntries(SERVERS.map((id) => [id, deployment.address(id)]));
    patroni = new PatroniCluster({ folder: deployment.folder, members, dcs: DCS });
    await patroni.start();
    deployment.start(...NODES, ...GATEWAYS);
    for (const gateway of GATEWAYS) {
      const endpoint = deployment.endpoint(gateway);
      const { credentials } = deployment;
      const s3 = new S3Client({
        ...{ endpoint, credentials, region: 'us-east-1', forcePathStyle: true, maxAttempts: 1 },
      });
      clients.set(gateway, s3);
      await deployment.ready(gateway);
    }
    await clients.get('gateway-a')!.send(new CreateBucketCommand({ Bucket }));
    work = Promise.all(
      registers.flatMap((register) => [write(register), ...GATEWAYS.map((g) => read(g, register))]),
    );
  });
  after(async () => {
    over = true;
    await work;
    for (const client of clients.values()) client.destroy();
    await patroni?.stop();
    await deployment?.stop();
  });

  async function write(register: Register): Promise<void> {
    for (let n = 1; !over; n++) {
      const client = clients.get(GATEWAYS[n % 2]!)!;
      register.written = n;
      const Body = String(n);
      // What was not acknowledged may show or not; the next value goes over it.
      const done = await client.send(new PutObjectCommand({ Bucket, Key: register.key, Body })).then(
        () => true,
        () => false,
      );
      if (done) {
        register.acknowledged = n;
        counts.puts++;
        lastPutAt = performance.now();
        await client.send(new PutObjectCommand({ Bucket, Key: `${register.key}/${n}`, Body })).then(
          () => kept.push(`${register.key}/${n}`),
          () => {},
        );
      } else counts.refusedPuts++;
      await sleep(20);
    }
  }
  /** Keys of their own that were acknowledged. */
  const kept: string[] = [];

  async function read(gateway: string, register: Register): Promise<void> {
    while (!over) {
      const least = Math.max(register.acknowledged, register.seen);
      const value = await get(gateway, register.key);
      if (typeof value === 'number') {
        counts.gets++;
        if (value < least) wrong.push(`${register.key} was ${least}, ${gateway} answers ${value}`);
        register.seen = Math.max(register.seen, value);
      } else if (value === 'gone' && least > 0)
        wrong.push(`${register.key} was ${least}, ${gateway} answers 404`);
      else counts.refusedGets++;
      await sleep(20);
    }
  }
  async function get(gateway: string, Key: string): Promise<number | 'gone' | 'unavailable'> {
    try {
      const answer = await clients.get(gateway)!.send(new GetObjectCommand({ Bucket, Key }));
      return Number(await answer.Body!.transformToString());
    } catch (error) {
      const { $metadata } = error as { $metadata?: { httpStatusCode?: number } };
      return $metadata?.httpStatusCode === 404 ? 'gone' : 'unavailable';
    }
  }
  const status = async () => {
    const { stdout } = await deployment.command('gateway-a', 'status', '--json');
    return JSON.parse(stdout) as StatusReport;
  };
  /** All three run, and commits wait for one that streams. */
  const untilWhole = () =>
    patroni.until(
      'all three run',
      async () => (await patroni.replicas()) === 2 && (await patroni.standby()) !== null,
    );
  const untilPut = (after: number) =>
    deployment.until('a write is acknowledged', () => lastPutAt > after, 120_000);

  it('comes up, and shows the leader as primary and its synchronous standby as serving', async () => {
    await untilWhole();
    const leader = await patroni.leader();
    const standby = await patroni.standby();
    await deployment.until('status says so', async () => {
      const { members } = await status();
      const of = (id: string | null) => members.find((m) => m.id === id);
      return (
        of(leader)?.primary === true && (of(standby) === undefined || of(standby)?.condition === 'serving')
      );
    });
    await untilPut(performance.now());
  });

  const failures: readonly [string, 'all' | 'patroni' | 'postgres', NodeJS.Signals][] = [
    ['is killed, Patroni and Postgres', 'all', 'SIGKILL'],
    ['is stopped, Patroni and Postgres', 'all', 'SIGSTOP'],
    ['loses its Patroni, and its Postgres goes on', 'patroni', 'SIGKILL'],
    ['has a Patroni that stands still, and its Postgres goes on', 'patroni', 'SIGSTOP'],
    ['is killed again', 'all', 'SIGKILL'],
  ];
  for (const [what, which, signal] of failures)
    it(`goes on with the standby when the leader ${what}`, async (t: TestContext) => {
      await untilWhole();
      const old = (await patroni.leader())!;
      const start = { ...counts };
      patroni.signal(old, signal, which);
      const at = performance.now();
      await patroni.until('another one leads', async () => {
        const now = await patroni.leader();
        return now !== null && now !== old;
      });
      const ledMs = performance.now() - at;
      await untilPut(performance.now());
      const ms = lastPutAt - at;
      const refused = counts.refusedPuts - start.refusedPuts + counts.refusedGets - start.refusedGets;
      t.diagnostic(
        `${what}: another leads after ${(ledMs / 1_000).toFixed(1)} s, next good PUT after ${(ms / 1_000).toFixed(1)} s, ${refused} requests refused`,
      );
      if (signal === 'SIGSTOP') patroni.signal(old, 'SIGCONT', which);
      else {
        patroni.signal(old, 'SIGKILL');
        await patroni.until('the old one has ended', async () => patroni.pids(old).length <= 1, 30_000);
        patroni.startMember(old);
      }
      await untilWhole();
      assert.deepEqual(wrong, []);
    });

  it('has every acknowledged write, and no read went back', async (t: TestContext) => {
    over = true;
    await work;
    assert.deepEqual(wrong, []);
    for (const register of registers)
      for (const gateway of GATEWAYS) {
        const value = await get(gateway, register.key);
        assert.ok(typeof value === 'number' && value >= register.acknowledged, `${register.key}: ${value}`);
      }
    for (const key of kept) assert.equal(await get('gateway-b', key), Number(key.split('/')[1]), key);
    t.diagnostic(`${JSON.stringify(counts)}, ${kept.length} keys read again`);
  });

  it('tells in the history who became the primary, with its timeline', async () => {
    const { stdout } = await deployment.command('gateway-b', 'failover', 'history', '--json');
    const told = stdout.split('\n').filter((line) => line.includes('Patroni names it as the leader'));
    assert.ok(told.length > 0, stdout);
  });

  it('follows nobody once the mode is not strict any more, says why, and goes on when it is', async () => {
    await patroni.configure({ synchronous_mode_strict: false });
    await deployment.until('it says so', () =>
      deployment.log('gateway-a').includes('Patroni is not in strict synchronous mode'),
    );
    await deployment.until(
      'reads are refused',
      async () => (await get('gateway-a', registers[0]!.key)) === 'unavailable',
    );
    await patroni.configure({ synchronous_mode_strict: true });
    await deployment.until(
      'reads are answered',
      async () => typeof (await get('gateway-a', registers[0]!.key)) === 'number',
    );
  });
});
