/** The commands as a script runs them: exit codes, one line of error, JSON on stdout and nothing else. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { AccountId, MemberId, PairId } from '../../../src/base/ids.ts';
import type { NodeClient, NodeStatus } from '../../../src/nodes/protocol.ts';
import { QUIET_NODE } from '../../harness/node-status.ts';
import { ROOT, startAdmin } from '../admin/admin-harness.ts';

const CLI = resolve(import.meta.dirname, '../../../src/cli.ts');
const RUN_MS = 30_000;

let admin: Awaited<ReturnType<typeof startAdmin>>;
let data: string;
before(async () => {
  admin = await startAdmin();
  data = mkdtempSync(join(tmpdir(), 'antipode-cli-'));
  mkdirSync(join(data, 'secrets'));
  const credentials = { accessKeyId: ROOT.accessKeyId, secretKey: ROOT.secretAccessKey };
  writeFileSync(join(data, 'secrets', 'root-credentials.json'), JSON.stringify(credentials));
});
after(async () => {
  await admin.close();
  rmSync(data, { recursive: true, force: true });
});

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function antipode(
  args: readonly string[],
  o: { env?: Record<string, string>; host?: string | null } = {},
): Promise<Ended> {
  const where = o.host === null ? [] : ['--admin', o.host ?? admin.host];
  const env = {
    PATH: process.env.PATH ?? '',
    NODE_COMPILE_CACHE: join(tmpdir(), 'antipode-cli-cache'),
    ...o.env,
  };
  const child = spawn(process.execPath, [CLI, ...args, ...where], { cwd: data, env, timeout: RUN_MS });
  const out = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => {
    out.stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    out.stderr += chunk;
  });
  return new Promise((done) => child.once('close', (code) => done({ code, ...out })));
}

/** @returns what the command printed, parsed */
async function json(...args: string[]) {
  const { code, stdout, stderr } = await antipode([...args, '--json', '--data', data]);
  assert.equal(code, 0, stderr);
  assert.equal(stderr, '');
  return JSON.parse(stdout);
}

async function fails(
  args: readonly string[],
  code: number,
  message: RegExp,
  o?: Parameters<typeof antipode>[1],
) {
  const ended = await antipode(args, o);
  assert.equal(ended.code, code, ended.stderr);
  assert.match(ended.stderr, message);
  assert.equal(ended.stderr.trimEnd().split('\n').length, 1, ended.stderr);
  assert.equal(ended.stdout, '');
}

const POLICY = {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: 's3:GetObject', Resource: 'arn:aws:s3:::b/*' }],
};

describe('antipode policy', () => {
  it('puts, shows and deletes policies of users', async () => {
    const account = (await admin.catalog.findAccount('root' as AccountId))!;
    const ci = { kind: 'user', id: 'AIDACI', account, name: 'ci', path: '/', tags: {} } as const;
    await admin.catalog.createEntity(ci, 10);
    const file = join(data, 'policy.json');
    writeFileSync(file, JSON.stringify(POLICY));
    await json('policy', 'put', 'reads', file, '--user', 'ci');
    const shown = await antipode(['policy', 'show', 'reads', '--user', 'ci', '--data', data]);
    assert.deepEqual(JSON.parse(shown.stdout), POLICY);
    assert.deepEqual(await json('policy', 'delete', 'reads', '--user', 'ci'), { deleted: 'reads' });
  });
});

describe('antipode user and key', () => {
  it('make an identity with a given id, access key and secret, as conformance suites need it', async () => {
    const secret = 'tenant-secret-tenant-secret-tenant-secret';
    const key = ['--access-key', 'S3TESTTENANT00000000', '--secret-key', secret];
    const who = ['--display-name', 'S3 Test Tenant', '--email', 'tenant@example.test', '--tenant', 'testx'];
    const made = await json('user', 'create', 'testx$s3testtenant', ...who, ...key);
    assert.equal(made.id, 'testx$s3testtenant');
    assert.equal(made.displayName, 'S3 Test Tenant');
    assert.equal(made.tenant, 'testx');
    assert.equal(made.key.accessKeyId, 'S3TESTTENANT00000000');
    const users = await json('user', 'list');
    assert.ok(users.some((user: { id: string }) => user.id === 'testx$s3testtenant'));
    const keys = await json('key', 'list', '--user', 'testx$s3testtenant');
    assert.deepEqual([keys.length, keys[0].status, keys[0].secretAccessKey], [1, 'active', undefined]);
  });

  it('work with credentials from the environment, too', async () => {
    const env = { ANTIPODE_ACCESS_KEY: ROOT.accessKeyId, ANTIPODE_SECRET_KEY: ROOT.secretAccessKey };
    const { code, stdout } = await antipode(['user', 'create', '--id', 'from-env'], { env });
    assert.equal(code, 0);
    assert.equal(stdout, 'created user from-env\n');
  });

  it('generate, disable, enable and delete keys, then the user', async () => {
    await json('user', 'create', 'life');
    const made = await json('key', 'create', '--user', 'life');
    assert.match(made.secretAccessKey, /^\S{40}$/);
    const id = made.accessKeyId;
    assert.equal((await json('key', 'disable', id)).status, 'inactive');
    assert.equal((await json('key', 'enable', id)).status, 'active');
    await fails(['user', 'delete', 'life', '--data', data], 1, /has access keys/);
    assert.deepEqual(await json('key', 'delete', id), { deleted: id });
    assert.deepEqual(await json('user', 'delete', 'life'), { deleted: 'life' });
  });

  it('print the secret of a new key for people, once', async () => {
    await json('user', 'create', 'reader');
    const { stdout } = await antipode(['key', 'create', '--user', 'reader', '--data', data]);
    assert.match(stdout, /^access key \S+\nsecret key \S+\n$/);
  });

  it('say in one line what is wrong, with 1 for refusals and 2 for usage', async () => {
    const known = ['--data', data];
    await fails(['user', 'delete', 'nobody', ...known], 1, /there is no user nobody/);
    await fails(['key', 'create', '--user', 'nobody', ...known], 1, /there is no user nobody/);
    await fails(['key', 'create', ...known], 2, /--user/);
    await fails(['user', 'create', ...known], 2, /give the id/);
    await fails(['user', 'create', 'x', '--access-key', 'abc', ...known], 2, /belong together/);
    await fails(['user', 'list', '--data', join(data, 'nowhere')], 2, /no root credentials/);
    await fails(['user', 'list', '--nonsense', ...known], 2, /nonsense/);
    await fails(['locate', 'not-a-url', ...known], 2, /is not s3:/);
  });

  it('find the store that runs on the data folder', async () => {
    mkdirSync(join(data, 'run'));
    writeFileSync(
      join(data, 'run', 'supervisor.json'),
      JSON.stringify({ pid: 1, admin: `http://${admin.host}` }),
    );
    const { code, stdout, stderr } = await antipode(['user', 'list', '--data', data], { host: null });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^ID +NAME/);
  });

  it('say when nobody answers, or somebody else does', async () => {
    await fails(['user', 'list', '--data', data], 1, /does not answer .*is the store running/, {
      host: '127.0.0.1:1',
    });
    const env = { ANTIPODE_ACCESS_KEY: ROOT.accessKeyId, ANTIPODE_SECRET_KEY: 'another-secret' };
    await fails(['user', 'list'], 1, /SignatureDoesNotMatch/, { env });
  });
});

describe('antipode bucket list', () => {
  it('shows the buckets of all accounts, also when they are more than a page', async () => {
    const other = { id: 'many' as AccountId, displayName: 'many', isRoot: false };
    await admin.catalog.createAccount(other);
    for (let i = 0; i < 1005; i++) {
      // More than one account may have.
      const owner = i < 600 ? other.id : ('root' as AccountId);
      const name = `many-${String(i).padStart(4, '0')}`;
      await admin.catalog.createBucket({ name, owner, region: 'us-east-1', objectLock: false });
    }
    const buckets = await json('bucket', 'list', '--prefix', 'many-');
    assert.equal(buckets.length, 1005);
    assert.equal(buckets[1004].name, 'many-1004');
    const { stdout } = await antipode(['bucket', 'list', '--prefix', 'many-000', '--data', data]);
    assert.match(stdout, /^BUCKET +OWNER/);
    assert.equal(stdout.trimEnd().split('\n').length, 11);
  });
});

describe('antipode bucket set', () => {
  it('sets when a write is acknowledged', async () => {
    const owner = 'careful' as AccountId;
    await admin.catalog.createAccount({ id: owner, displayName: 'C', isRoot: false });
    await admin.catalog.createBucket({ name: 'ledger', owner, region: 'us-east-1', objectLock: false });
    const durability = 'both-centers';
    assert.deepEqual(await json('bucket', 'set', 'ledger', '--durability', durability), {
      name: 'ledger',
      durability,
    });
    const known = ['--data', data];
    const shown = await antipode(['bucket', 'set', 'ledger', '--durability', 'one', ...known]);
    assert.equal(shown.stdout, 'ledger: durability one\n');
    await fails(['bucket', 'set', 'ledger', ...known], 2, /give --durability/);
    await fails(['bucket', 'set', 'ledger', '--durability', 'much', ...known], 1, /durability/);
    await fails(
      ['bucket', 'set', 'nowhere', '--durability', 'one', ...known],
      1,
      /there is no bucket nowhere/,
    );
    const [listed] = await json('bucket', 'list', '--prefix', 'ledger');
    assert.equal(listed.durability, 'one');
  });
});

describe('antipode bucket quota, user quota and usage', () => {
  it('set, show and remove quotas, and show what is in use', async () => {
    const owner = 'thrifty' as AccountId;
    await admin.catalog.createAccount({ id: owner, displayName: 'T', isRoot: false });
    assert.deepEqual((await json('user', 'quota', owner)).quota, { bytes: null, objects: null });
    await admin.catalog.createBucket({ name: 'savings', owner, region: 'us-east-1', objectLock: false });
    const set = await json('bucket', 'quota', 'savings', '--bytes', '1.5 KiB', '--objects', '3');
    assert.deepEqual(set.quota, { bytes: 1536, objects: 3 });
    assert.deepEqual((await json('bucket', 'quota', 'savings', '--objects', 'none')).quota, {
      bytes: 1536,
      objects: null,
    });
    assert.deepEqual((await json('user', 'quota', owner, '--bytes', '1GiB')).quota.bytes, 2 ** 30);
    const known = ['--data', data];
    const { stdout } = await antipode(['usage', '--user', owner, ...known]);
    assert.match(
      stdout,
      /^USER +BUCKETS .*\nthrifty +1 +0 +- +0 B +0 B +1\.0 GiB\n\nBUCKET .*\nsavings +thrifty +0 +-/,
    );
    assert.deepEqual(await json('usage', '--bucket', 'savings'), {
      users: [],
      buckets: [
        {
          ...{ bucket: 'savings', owner, objects: 0, bytes: 0, uploadBytes: 0 },
          quota: { bytes: 1536, objects: null },
        },
      ],
    });
    assert.ok((await json('usage')).users.length > 0);
    const shown = await antipode(['bucket', 'quota', 'savings', ...known]);
    assert.equal(shown.stdout, 'savings: 0 B of 1.5 KiB, 0 objects (no quota)\n');
    await fails(['bucket', 'quota', 'savings', '--bytes', 'much', ...known], 2, /much is no size/);
    await fails(['bucket', 'quota', 'nowhere', '--bytes', '1', ...known], 1, /there is no bucket nowhere/);
    await fails(['user', 'quota', 'nobody', '--objects', '1', ...known], 1, /there is no user nobody/);
    await fails(['user', 'quota', 'nobody', ...known], 1, /there is no user nobody/);
    await fails(['usage', '--user', owner, '--bucket', 'savings', ...known], 2, /not both/);
  });
});

describe('antipode status', () => {
  const [a, b] = ['node-a11' as MemberId, 'node-b11' as MemberId];
  const member = (id: MemberId, center: string, twin: MemberId) =>
    [id, { id, kind: 'node', center, address: '127.1.0.11', port: 7100, twin } as const] as const;
  const topology = {
    centers: [{ name: 'a', subnets: ['127.1.0.0/24'] }],
    members: new Map([member(a, 'a', b), member(b, 'b', a)]),
    pairs: new Map([
      ['node/11' as PairId, { id: 'node/11' as PairId, kind: 'node', members: [a, b], weight: 1 } as const],
    ]),
  };
  const figures = {
    ...QUIET_NODE,
    requests: 1,
    controlRequests: 2,
    blobs: 0,
    storedBytes: 2048,
    freeBytes: 1,
    pid: 77,
  };

  it('exits with 0 while everything stands twice, with 1 and the reason when it does not', async () => {
    let down = false;
    const client = (id: MemberId) => {
      const status = async (): Promise<NodeStatus> => {
        if (down && id === b) throw new Error('connection refused');
        return { ...figures, member: id };
      };
      return [id, { member: id, status } as NodeClient] as const;
    };
    const own = await startAdmin({ topology, clients: new Map([client(a), client(b)]) });
    try {
      const args = ['status', '--data', data];
      const good = await antipode(args, { host: own.host });
      assert.equal(good.code, 0, good.stderr);
      assert.match(good.stdout, /node-a11 +a +127\.1\.0\.11:7100 +node-b11 +serving +77 +1 +2 +2\.0 KiB/);
      assert.match(good.stdout, /every pair of twins is complete\n$/);
      down = true;
      const bad = await antipode(args, { host: own.host });
      assert.equal(bad.code, 1);
      assert.match(bad.stdout, /redundancy is lost: node\/11 degraded\n$/);
      const document = JSON.parse((await antipode([...args, '--json'], { host: own.host })).stdout);
      assert.equal(document.members[1].reason, 'connection refused');
      assert.deepEqual(document.repairs, { queued: 0 });
    } finally {
      await own.close();
    }
  });
});
