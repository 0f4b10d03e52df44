/** The admin API's usage and quota routes: what they answer, and what they refuse. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { AccountId } from '../../../src/base/ids.ts';
import { startAdmin } from './admin-harness.ts';

let admin: Awaited<ReturnType<typeof startAdmin>>;
before(async () => {
  admin = await startAdmin();
  const owner = 'alice' as AccountId;
  await admin.catalog.createAccount({ id: owner, displayName: 'Alice', isRoot: false });
  for (const name of ['first', 'second', 'third'])
    await admin.catalog.createBucket({ name, owner, region: 'us-east-1', objectLock: false });
});
after(() => admin.close());

describe('quotas', () => {
  it('are changed limit by limit', async () => {
    const change = (route: string, body: unknown) => admin.send('PATCH', route, { body });
    assert.deepEqual((await change('/buckets/first/quota', { bytes: 5, objects: 6 })).json, {
      bytes: 5,
      objects: 6,
    });
    assert.deepEqual((await change('/buckets/first/quota', { bytes: null })).json, {
      bytes: null,
      objects: 6,
    });
    assert.deepEqual((await change('/users/alice/quota', { objects: 0 })).json, { bytes: null, objects: 0 });
  });

  it('must be whole numbers from 0, of what exists', async () => {
    for (const body of [{ bytes: -1 }, { bytes: 1.5 }, { bytes: '5' }, { bytes: 2 ** 60 }, { size: 1 }])
      assert.equal((await admin.send('PATCH', '/buckets/first/quota', { body })).status, 400);
    const body = { bytes: 1 };
    assert.equal((await admin.send('PATCH', '/buckets/none/quota', { body })).json.code, 'NoSuchBucket');
    assert.equal((await admin.send('PATCH', '/users/none/quota', { body })).json.code, 'NoSuchUser');
    assert.equal((await admin.send('PATCH', '/users/alice/quota', { body, credentials: null })).status, 403);
  });

  it('say that nobody knows when the directory did not say', async () => {
    admin.catalog.fault = () => 'unknown-applied';
    const { status, json } = await admin.send('PATCH', '/buckets/second/quota', { body: { bytes: 1 } });
    admin.catalog.fault = () => undefined;
    assert.deepEqual([status, json.code], [503, 'OutcomeUnknown']);
  });
});

describe('usage', () => {
  it('is given for all, for one user and for one bucket, in pages', async () => {
    const get = async (query: Record<string, string>) => (await admin.send('GET', '/usage', { query })).json;
    const page = await get({ user: 'alice', max: '2' });
    assert.equal(page.users[0].buckets, 3);
    assert.equal(page.truncated, true);
    const rest = await get({ user: 'alice', after: page.buckets[1].bucket });
    assert.deepEqual(
      [...page.buckets, ...rest.buckets].map(({ bucket }: { bucket: string }) => bucket),
      ['first', 'second', 'third'],
    );
    assert.deepEqual((await get({ bucket: 'third' })).buckets, [
      {
        ...{ bucket: 'third', owner: 'alice', objects: 0, bytes: 0, uploadBytes: 0 },
        quota: { bytes: null, objects: null },
      },
    ]);
    assert.equal((await get({ user: 'root' })).users[0].bytes, 0);
    assert.equal((await get({})).buckets.length, 3);
    assert.equal((await get({ bucket: 'none' })).code, 'NoSuchBucket');
    assert.equal((await get({ user: 'none' })).code, 'NoSuchUser');
    assert.equal((await get({ user: 'alice', bucket: 'first' })).code, 'InvalidRequest');
  });
});

describe('durability', () => {
  it('is one of three, of a bucket that exists, and shows in the listing', async () => {
    const change = (bucket: string, body: unknown) =>
      admin.send('PATCH', `/buckets/${bucket}/durability`, { body });
    for (const durability of ['both-centers', 'one', 'two-copies'])
      assert.deepEqual((await change('first', { durability })).json, { durability });
    for (const body of [{ durability: 'none' }, { durability: null }, {}, { durability: 'one', more: 1 }])
      assert.equal((await change('first', body)).status, 400);
    assert.equal((await change('none', { durability: 'one' })).json.code, 'NoSuchBucket');
    await change('second', { durability: 'both-centers' });
    const { buckets } = (await admin.send('GET', '/buckets')).json;
    assert.deepEqual(
      buckets.map((bucket: { name: string; durability: string }) => [bucket.name, bucket.durability]),
      [
        ['first', 'two-copies'],
        ['second', 'both-centers'],
        ['third', 'two-copies'],
      ],
    );
    admin.catalog.fault = () => 'unknown-applied';
    const unknown = await change('third', { durability: 'one' });
    admin.catalog.fault = () => undefined;
    assert.deepEqual([unknown.status, unknown.json.code], [503, 'OutcomeUnknown']);
  });
});
