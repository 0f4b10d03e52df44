import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { request } from 'undici';
import type { AccountId } from '../../../src/base/ids.ts';
import { CatalogUnavailable } from '../../../src/ddm/catalog.ts';
import { openSecret, sealSecret } from '../../../src/identity/secret-box.ts';
import { ROOT, startAdmin } from './admin-harness.ts';

const CERTIFICATES = resolve(import.meta.dirname, '../../fixtures/tls');

type Admin = Awaited<ReturnType<typeof startAdmin>>;
let admin: Admin;
before(async () => {
  admin = await startAdmin();
});
after(() => admin.close());

const newUser = async (id: string) => {
  assert.equal((await admin.send('POST', '/users', { body: { id } })).status, 201);
  return id;
};

describe('who may ask', () => {
  it('shows health and metrics to anybody', async () => {
    for (const [path, pattern] of [
      ['/-/live', /^live/],
      ['/-/ready', /^ready/],
      ['/metrics', /antipode_pairs_degraded 0/],
    ] as const) {
      const answer = await request(`http://${admin.host}${path}`);
      assert.equal(answer.statusCode, 200);
      assert.match(await answer.body.text(), pattern);
    }
  });

  it('refuses users of the root account, and keeps their policies', async () => {
    const account = (await admin.catalog.findAccount('root' as AccountId))!;
    const user = { kind: 'user', id: 'AIDAOPS', account, name: 'ops', path: '/', tags: {} } as const;
    await admin.catalog.createEntity(user, 10);
    const credentials = { accessKeyId: 'OPSKEY', secretAccessKey: 'ops-secret-ops-secret' };
    const sealedSecret = sealSecret(admin.master, credentials.secretAccessKey, credentials.accessKeyId);
    const key = { accessKeyId: 'OPSKEY', account: account.id, sealedSecret, user: { id: user.id, max: 2 } };
    await admin.catalog.createAccessKey(key);
    const { status, json } = await admin.send('GET', '/users', { credentials });
    assert.deepEqual([status, json.code], [403, 'Unauthorized']);
    const { keys } = (await admin.send('GET', '/keys', { query: { user: 'root' } })).json;
    assert.equal(keys.find((k: { accessKeyId: string }) => k.accessKeyId === 'OPSKEY').iamUser, 'ops');
    const policy = { account: 'root', kind: 'user', name: 'ops', policy: 'p' };
    const put = (document: string) => admin.send('POST', '/policies', { body: { ...policy, document } });
    assert.equal((await put('{}')).status, 400);
    const statement = { Effect: 'Allow', Action: 's3:*', Resource: '*' };
    const document = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
    assert.equal((await put(document)).status, 204);
    const { entities } = (await admin.send('GET', '/policies', { query: { account: 'root' } })).json;
    assert.deepEqual(
      [entities[0].arn, entities[0].policies],
      ['arn:aws:iam::root:user/ops', { p: document }],
    );
    assert.equal((await admin.send('DELETE', '/policies', { query: policy })).status, 204);
    assert.equal((await admin.send('DELETE', '/policies', { query: policy })).status, 404);
    await admin.catalog.deleteAccessKey('OPSKEY');
    await admin.catalog.deleteEntity({ account: account.id, kind: 'user', name: 'ops' });
  });

  it('refuses requests that are not signed', async () => {
    const { status, json } = await admin.send('GET', '/users', { credentials: null });
    assert.equal(status, 403);
    assert.deepEqual(json, { code: 'Unauthorized', message: 'the request is not signed' });
  });

  it('refuses a wrong secret and an unknown key', async () => {
    for (const credentials of [
      { ...ROOT, secretAccessKey: 'another-secret' },
      { ...ROOT, accessKeyId: 'NOBODY0000000000' },
    ]) {
      assert.equal((await admin.send('GET', '/users', { credentials })).status, 403);
    }
  });

  it('refuses a body that is not the one that was signed', async () => {
    const { status, json } = await admin.send('POST', '/users', {
      body: { id: 'good' },
      forged: '{"id":"evil"}',
    });
    assert.equal(status, 403);
    assert.match(json.message, /not the one that was signed/);
    assert.equal(await admin.catalog.findAccount('evil' as AccountId), null);
  });

  it('refuses accounts that are not root', async () => {
    const user = await newUser('plain');
    const key = (await admin.send('POST', '/keys', { body: { user } })).json;
    const { status, json } = await admin.send('GET', '/users', { credentials: key });
    assert.equal(status, 403);
    assert.match(json.message, /only the root account/);
  });

  it('refuses bodies that are too long before it reads them whole', async () => {
    const { status, json } = await admin.send('POST', '/users', { body: { id: 'x'.repeat(100_000) } });
    assert.equal(status, 413);
    assert.equal(json.code, 'TooLarge');
  });

  it('answers JSON for what does not exist', async () => {
    assert.equal((await admin.send('GET', '/nothing')).json.code, 'NotFound');
    assert.equal((await request(`http://${admin.host}/nothing`)).statusCode, 404);
  });
});

describe('users', () => {
  it('are created with everything given, ids with $ too, listed and deleted', async () => {
    const body = { id: 'testx$tenant', displayName: 'Tenant', email: 't@example.test', tenant: 'testx' };
    const made = await admin.send('POST', '/users', { body });
    assert.equal(made.status, 201);
    assert.deepEqual(made.json, { ...body, isRoot: false });
    const { users } = (await admin.send('GET', '/users')).json;
    assert.ok(users.some((user: { id: string }) => user.id === 'testx$tenant'));
    assert.equal((await admin.send('DELETE', `/users/${encodeURIComponent('testx$tenant')}`)).status, 204);
    assert.equal((await admin.send('DELETE', `/users/${encodeURIComponent('testx$tenant')}`)).status, 404);
  });

  it('are named by their id unless told otherwise', async () => {
    const { json } = await admin.send('POST', '/users', { body: { id: 'anna' } });
    assert.equal(json.displayName, 'anna');
  });

  it('exist once', async () => {
    const id = await newUser('once');
    const { status, json } = await admin.send('POST', '/users', { body: { id } });
    assert.equal(status, 409);
    assert.equal(json.code, 'UserExists');
  });

  it('are refused when the request is not what the schema says, naming the field', async () => {
    for (const [body, pattern] of [
      [{}, /id/],
      [{ id: 'with space' }, /id: 1 to 128/],
      [{ id: 'a', isRoot: true }, /isRoot/],
      ['text', /expected object/i],
    ] as const) {
      const { status, json } = await admin.send('POST', '/users', { body });
      assert.equal(status, 400);
      assert.match(json.message, pattern);
    }
  });

  it('are kept while they have keys or buckets; root is kept for ever', async () => {
    const user = await newUser('owner');
    const key = (await admin.send('POST', '/keys', { body: { user } })).json;
    assert.equal((await admin.send('DELETE', `/users/${user}`)).json.code, 'UserHasKeys');
    await admin.send('DELETE', `/keys/${key.accessKeyId}`);
    const owner = user as AccountId;
    await admin.catalog.createBucket({ name: 'owned', owner, region: 'us-east-1', objectLock: false });
    assert.equal((await admin.send('DELETE', `/users/${user}`)).json.code, 'UserHasBuckets');
    assert.equal((await admin.send('DELETE', '/users/root')).json.code, 'RootIsKept');
  });
});

describe('access keys', () => {
  it('are generated, shown once, and sealed in the catalog', async () => {
    const user = await newUser('generated');
    const { status, json } = await admin.send('POST', '/keys', { body: { user } });
    assert.equal(status, 201);
    assert.match(json.accessKeyId, /^[A-Z0-9]{20}$/);
    assert.match(json.secretAccessKey, /^[\x21-\x7e]{40}$/);
    const listed = await admin.send('GET', '/keys', { query: { user } });
    assert.equal(listed.json.keys.length, 1);
    assert.ok(!listed.text.includes(json.secretAccessKey));
    const row = (await admin.catalog.findAccessKey(json.accessKeyId))!;
    assert.ok(!row.sealedSecret.includes(json.secretAccessKey));
    assert.equal(
      openSecret(admin.master, row.sealedSecret, row.accessKeyId).toString(),
      json.secretAccessKey,
    );
  });

  it('may be given, both parts or none', async () => {
    const user = await newUser('given');
    const given = {
      accessKeyId: 'S3TESTMAIN0000000000',
      secretAccessKey: 'main-secret-main-secret-main-secret-main1',
    };
    assert.equal((await admin.send('POST', '/keys', { body: { user, ...given } })).status, 201);
    assert.equal((await admin.send('POST', '/keys', { body: { user, ...given } })).json.code, 'KeyExists');
    const half = await admin.send('POST', '/keys', { body: { user, accessKeyId: 'HALF' } });
    assert.equal(half.status, 400);
    assert.match(half.json.message, /both, or neither/);
  });

  it('need a user', async () => {
    assert.equal((await admin.send('POST', '/keys', { body: { user: 'nobody' } })).json.code, 'NoSuchUser');
    assert.equal((await admin.send('GET', '/keys', { query: { user: 'nobody' } })).json.code, 'NoSuchUser');
  });

  it('are disabled and enabled', async () => {
    const user = await newUser('switched');
    const { accessKeyId } = (await admin.send('POST', '/keys', { body: { user } })).json;
    for (const status of ['inactive', 'active']) {
      const { json } = await admin.send('PATCH', `/keys/${accessKeyId}`, { body: { status } });
      assert.equal(json.status, status);
      assert.equal((await admin.catalog.findAccessKey(accessKeyId))?.status, status);
    }
    assert.equal(
      (await admin.send('PATCH', '/keys/NOPE', { body: { status: 'active' } })).json.code,
      'NoSuchKey',
    );
    assert.equal(
      (await admin.send('PATCH', `/keys/${accessKeyId}`, { body: { status: 'odd' } })).status,
      400,
    );
  });

  it('cannot lock out the one who asks', async () => {
    const path = `/keys/${ROOT.accessKeyId}`;
    assert.equal((await admin.send('DELETE', path)).json.code, 'RootIsKept');
    assert.equal((await admin.send('PATCH', path, { body: { status: 'inactive' } })).json.code, 'RootIsKept');
    assert.equal((await admin.send('GET', '/users')).status, 200);
  });
});

describe('buckets', () => {
  it('are listed for all accounts or for one, in pages', async () => {
    const [a, b] = [(await newUser('list-a')) as AccountId, (await newUser('list-b')) as AccountId];
    for (const [name, owner] of [
      ['pages-1', a],
      ['pages-2', b],
      ['pages-3', a],
    ] as const) {
      await admin.catalog.createBucket({ name, owner, region: 'us-east-1', objectLock: false });
    }
    const names = async (query: Record<string, string>) => {
      const { json } = await admin.send('GET', '/buckets', { query: { prefix: 'pages-', ...query } });
      return [json.buckets.map((bucket: { name: string }) => bucket.name), json.truncated];
    };
    assert.deepEqual(await names({}), [['pages-1', 'pages-2', 'pages-3'], false]);
    assert.deepEqual(await names({ owner: 'list-a' }), [['pages-1', 'pages-3'], false]);
    assert.deepEqual(await names({ max: '2' }), [['pages-1', 'pages-2'], true]);
    assert.deepEqual(await names({ after: 'pages-2' }), [['pages-3'], false]);
    assert.equal((await admin.send('GET', '/buckets', { query: { max: '0' } })).status, 400);
  });
});

describe('locate', () => {
  it('says that there is no such object', async () => {
    await admin.catalog.createBucket({
      name: 'located',
      owner: 'root' as AccountId,
      region: 'us-east-1',
      objectLock: false,
    });
    for (const bucket of ['located', 'nowhere']) {
      const { status, json } = await admin.send('GET', '/locate', { query: { bucket, key: 'a/ö c' } });
      assert.equal(status, 404);
      assert.match(json.message, /a\/ö c/);
    }
    assert.equal((await admin.send('GET', '/locate', { query: { bucket: 'located' } })).status, 400);
  });
});

describe('while the directory does not answer', () => {
  it('says so with 503, is not ready, and still shows the status page of metrics', async () => {
    const own = await startAdmin();
    try {
      const down = async () => {
        throw new CatalogUnavailable('no primary');
      };
      own.catalog.listAccounts = down;
      own.catalog.status = down;
      const { status, json } = await own.send('GET', '/users');
      assert.equal(status, 503);
      assert.equal(json.code, 'CatalogUnavailable');
      assert.equal((await request(`http://${own.host}/-/ready`)).statusCode, 503);
      assert.equal((await request(`http://${own.host}/-/live`)).statusCode, 200);
      assert.equal((await request(`http://${own.host}/metrics`)).statusCode, 200);
    } finally {
      await own.close();
    }
  });

  it('never says that a change was made or not made when it is not known', async () => {
    const own = await startAdmin();
    try {
      own.catalog.createAccount = async () => ({ outcome: 'unknown' });
      const { status, json } = await own.send('POST', '/users', { body: { id: 'maybe' } });
      assert.equal(status, 503);
      assert.equal(json.code, 'OutcomeUnknown');
    } finally {
      await own.close();
    }
  });

  it('shows nothing of an unexpected error', async () => {
    const own = await startAdmin();
    try {
      own.catalog.listAccounts = async () => {
        throw new Error('password=hunter2');
      };
      const { status, text } = await own.send('GET', '/users');
      assert.equal(status, 500);
      assert.ok(!text.includes('hunter2'));
    } finally {
      await own.close();
    }
  });
});

describe('over TLS', () => {
  it('shows the certificate of the files, and takes up a new one', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'antipode-admin-tls-'));
    const files = { certFile: join(folder, 'crt'), keyFile: join(folder, 'key') };
    const install = (name: string) => {
      copyFileSync(join(CERTIFICATES, `${name}.key`), files.keyFile);
      copyFileSync(join(CERTIFICATES, `${name}.crt`), files.certFile);
    };
    install('one');
    const own = await startAdmin({ tls: files });
    try {
      const shown = () =>
        new Promise<Buffer>((resolve, reject) => {
          const [host, port] = own.host.split(':');
          const socket = connect({ host: host!, port: Number(port), rejectUnauthorized: false }, () => {
            resolve(socket.getPeerCertificate().raw);
            socket.destroy();
          });
          socket.on('error', reject);
        });
      const raw = (name: string) => new X509Certificate(readFileSync(join(CERTIFICATES, `${name}.crt`))).raw;
      assert.deepEqual(await shown(), raw('one'));
      install('two');
      const until = performance.now() + 20_000;
      while (!(await shown()).equals(raw('two'))) {
        assert.ok(performance.now() < until, 'the new certificate was not taken up');
        await sleep(200);
      }
    } finally {
      await own.close();
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
