/**
 * Directories as connection settings, on a real pair of servers with TLS: what is verified and refused at the connection,
 * what is checked of the settings, and who is trusted when the standby is promoted.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../../src/base/clock.ts';
import type { MemberId, PairId } from '../../../src/base/ids.ts';
import { migrate } from '../../../src/ddm/migrate.ts';
import { openCatalog } from '../../../src/ddm/postgres-catalog.ts';
import type { ExternalPair } from '../../../src/external-directories.ts';
import { recordTimeline } from '../../../src/launcher/external-history.ts';
import { ExternalWatch } from '../../../src/launcher/external-watch.ts';
import { ServerEye } from '../../../src/launcher/server-eye.ts';
import { serverProblem } from '../../../src/launcher/server-state.ts';
import { Kit } from '../../contract/contract-kit.ts';
import { quiet } from '../../harness/catalog.ts';
import { Deployment } from '../../harness/deployment.ts';
import { copyAsStandby, initCluster, startServer, type TestServer } from '../../harness/postgres.ts';
import { runCommand } from '../../harness/store.ts';

const A = 'directory-a5' as MemberId;
const B = 'directory-b5' as MemberId;
const PAIR = { id: 'directory/5' as PairId, members: [A, B] as const };
const NAME = 'pg.example.test';

describe('directories as connection settings', () => {
  let folder: string;
  let primary: TestServer;
  let standby: TestServer;
  let watch: ExternalWatch | null = null;
  const refusals: string[] = [];
  const warnings: string[] = [];

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'antipode-test-tls-'));
    makeCertificates(folder);
    const dataDir = await initCluster();
    for (const file of ['server.crt', 'server.key'])
      writeFileSync(join(dataDir, file), readFileSync(join(folder, file)), { mode: 0o600 });
    const hba =
      'hostssl all all all scram-sha-256\nhost all postgres all trust\nhost replication all all trust\n';
    const first = await startServer(dataDir);
    await prepare(first);
    await first.stop('fast');
    const copy = await copyAsStandby(dataDir, first.port, 'twin');
    for (const path of [dataDir, copy]) writeFileSync(join(path, 'pg_hba.conf'), hba);
    const settings = { ssl: 'on', fsync: 'on', synchronous_standby_names: 'twin' };
    primary = await startServer(dataDir, { port: first.port, settings });
    standby = await startServer(copy, { settings });
  });
  after(async () => {
    await watch?.close();
    await standby?.stop();
    await primary?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const settingsOf = (change: Partial<ExternalPair> = {}, host = '127.0.0.1'): ExternalPair => ({
    ...{ decider: 'external', database: 'antipode', ca: readFileSync(join(folder, 'ca.crt'), 'utf8') },
    ...{
      app: { user: 'antipode_app', password: 'app' },
      owner: { user: 'antipode_owner', password: 'owner' },
    },
    ...{ patroniCa: null },
    servers: new Map([
      [A, { host, port: primary.port, serverName: NAME }],
      [B, { host, port: standby.port, serverName: NAME }],
    ]),
    ...change,
  });
  const open = async (settings = settingsOf()) => {
    await watch?.close();
    watch = new ExternalWatch({
      ...{ pair: PAIR, settings, clock: systemClock, refuse: (message) => refusals.push(message) },
      log: { info: () => {}, warn: (_, message) => warnings.push(message) },
    });
    return watch;
  };
  const until = async (what: string, condition: () => boolean) => {
    const end = performance.now() + 30_000;
    while (!condition()) {
      if (performance.now() > end) throw new Error(`not in time: ${what}; ${warnings.join('\n')}`);
      await sleep(20);
    }
  };
  /** What is said when one looks at the first server with other settings. */
  const lookAt = async (change: { tls?: object; host?: string; password?: string }) => {
    const { host, port, database, user, password, tls } = (await open()).connection(A, 'app')!;
    const given = { host, port, database, user, password, tls: { ...tls!, ...change.tls } };
    const eye = new ServerEye(
      {
        ...given,
        ...(change.host && { host: change.host }),
        ...(change.password && { password: change.password }),
      },
      systemClock,
    );
    try {
      return serverProblem(await eye.state(), { single: false });
    } finally {
      eye.close();
    }
  };

  it('verify the authority and the name of the server, or do not connect', async () => {
    assert.equal(await lookAt({}), null);
    const otherCa = readFileSync(join(folder, 'other-ca.crt'), 'utf8');
    await assert.rejects(lookAt({ tls: { ca: otherCa } }), /certificate/);
    await assert.rejects(lookAt({ tls: { serverName: 'other.example.test' } }), /does not match|altnames/);
    // Without a name of its own the certificate must be for the address.
    await assert.rejects(lookAt({ tls: { serverName: undefined } }), /does not match|altnames/);
    await assert.rejects(lookAt({ password: 'wrong' }), /password authentication failed/);
  });

  it('are migrated by the owner, and a catalog on them follows the primary', async () => {
    const watched = await open();
    await until('the primary is known', () => watched.primary() !== null);
    assert.deepEqual(watched.primary(), { member: A, timeline: 1 });
    await migrate(watched.connection(A, 'owner')!);
    const kit = new Kit(await catalogOn(watched));
    const bucketId = await kit.bucket();
    await kit.put(bucketId, 'key');
    assert.deepEqual(await kit.keys(bucketId), ['key']);
    assert.equal(watched.describe().directory?.condition, 'redundant');
    await kit.catalog.close();

    const became = { member: A, timeline: 7 };
    for (const decider of ['patroni', 'external'] as const)
      assert.equal(await recordTimeline(watched.connection(A, 'owner')!, became, decider, systemClock), true);
    const { rows } = await primary.admin('SELECT member, decided_by FROM antipode.timeline', 'antipode');
    assert.deepEqual(rows, [{ member: A, decided_by: 'patroni' }]);
  });

  it('are refused in one line when commits wait for nobody, unless one alone is what was said', async () => {
    await primary.admin("ALTER SYSTEM SET synchronous_standby_names = ''");
    // A setting of the command line goes before; so the database's own is what can be wrong here.
    await primary.admin("ALTER DATABASE antipode SET synchronous_commit = 'local'");
    const watched = await open();
    await until('it is refused', () => refusals.length > 0);
    assert.match(
      refusals[0]!,
      /^directory-a5 \(127\.0\.0\.1:\d+\): synchronous_commit is local for this login; set it/,
    );
    assert.equal(watched.primary(), null);
    assert.match(
      await refusalOfGateway(),
      /^antipode: directory-[ab]5 \(.*\): synchronous_commit is local for this login/m,
    );
    const alone = await open(
      settingsOf({ decider: 'single', servers: new Map([...settingsOf().servers].slice(0, 1)) }),
    );
    await until('one alone is trusted', () => alone.primary() !== null);
    assert.equal(alone.describe().directory?.condition, 'degraded');
    await primary.admin("ALTER DATABASE antipode SET synchronous_commit = 'remote_apply'");
  });

  it('answer for nothing once the standby was promoted, as neither can show that the other one was not', async () => {
    const watched = await open();
    await until('the primary is known', () => watched.primary() !== null);
    await standby.admin('SELECT pg_promote()');
    await until('nobody is trusted', () => watched.primary() === null);
    // The old one runs and takes connections; its commits wait for ever.
    assert.equal((await primary.admin('SELECT pg_is_in_recovery() AS r')).rows[0].r, false);
    assert.equal(watched.describe().directory?.condition, 'lost');
    for (const { condition } of watched.describe().members) assert.equal(condition, 'suspect');
  });

  /** What a gateway's process says when it ends with 2. */
  async function refusalOfGateway(): Promise<string> {
    const login = (user: string, passwordFile: string) => ({ user, passwordFile });
    writeFileSync(join(folder, 'app'), 'app');
    writeFileSync(join(folder, 'owner'), 'owner');
    const members = Object.fromEntries(settingsOf().servers);
    const deployment = await Deployment.make(
      {},
      {
        directories: () => ({
          'directory/5': {
            ...{ decider: 'external', tls: { ca: join(folder, 'ca.crt') }, members },
            app: login('antipode_app', join(folder, 'app')),
            owner: login('antipode_owner', join(folder, 'owner')),
          },
        }),
      },
    );
    try {
      const run = runCommand(['gateway', '--config', join(deployment.folder, 'gateway-a.yaml')]);
      assert.equal(await run.exited, 2, run.stderr());
      return run.stderr();
    } finally {
      await deployment.stop();
    }
  }

  async function catalogOn(watched: ExternalWatch) {
    return openCatalog({
      ...{ root: PAIR.id, log: quiet, clock: systemClock },
      locator: {
        pairs: () => [PAIR.id],
        primary: () => {
          const primaryNow = watched.primary();
          return (
            primaryNow && { ...watched.connection(primaryNow.member, 'app')!, term: primaryNow.timeline }
          );
        },
      },
    });
  }
});

/** By the file that docs/operations.md names. */
async function prepare(server: TestServer): Promise<void> {
  const text = readFileSync(join(import.meta.dirname, '../../../deploy/prepare-postgres.sql'), 'utf8');
  const sql = text
    .replaceAll(/^--.*$/gm, '')
    .replace(":'owner_password'", "'owner'")
    .replace(":'app_password'", "'app'");
  for (const statement of sql.split(';')) if (statement.trim() !== '') await server.admin(statement);
}

/** An authority, a server's certificate for NAME from it, and another authority. */
function makeCertificates(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  for (const name of ['ca', 'other-ca'])
    openssl(
      'req',
      '-x509',
      ...key,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.crt`,
      '-days',
      '30',
      '-subj',
      `/CN=${name}`,
    );
  openssl('req', ...key, '-keyout', 'server.key', '-out', 'server.csr', '-subj', '/CN=server');
  writeFileSync(join(folder, 'san'), `subjectAltName=DNS:${NAME}\n`);
  openssl(
    ...['x509', '-req', '-in', 'server.csr', '-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial'],
    ...['-out', 'server.crt', '-days', '30', '-extfile', 'san'],
  );
}
