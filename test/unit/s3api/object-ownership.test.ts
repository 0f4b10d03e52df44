/** Object ownership, over the model catalog: whose is what others write, and where ACLs are refused. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type S3Front, startS3Front } from '../../model/s3-front.ts';
import { aclOf, ask, bucket, controls, document, startAclFront, withAcl } from './acl-kit.ts';

let front: S3Front;
before(async () => {
  front = await startAclFront();
});
after(() => front.close());

describe('object ownership', () => {
  const owners = async (path: string): Promise<Record<string, string>> => {
    const { text } = await front.request('GET', path);
    const all = [...text.matchAll(/<Key>(.*?)<\/Key>.*?<Owner><ID>(.*?)<\/ID>/g)];
    return Object.fromEntries(all.map(([, key, owner]) => [key, owner]));
  };
  /** Bob writes into Alice's bucket in every way; whose is it then? */
  async function ownersOfWrites(path: string, acl?: string): Promise<string[]> {
    const headers: Record<string, string> = acl === undefined ? {} : { 'x-amz-acl': acl };
    const account = 'bob';
    assert.equal(await ask('PUT', `${path}/put`, { account, headers, body: 'x' }), '200');
    const copied = { ...headers, 'x-amz-copy-source': `${path}/source` };
    assert.equal(await ask('PUT', `${path}/copy`, { account, headers: copied }), '200');
    const upload = await front.request('POST', `${path}/multi?uploads`, { account, headers });
    const id = /<UploadId>(.*?)</.exec(upload.text)?.[1];
    const part = await front.request('PUT', `${path}/multi?partNumber=1&uploadId=${id}`, {
      account,
      body: 'x',
    });
    const parts = await front.request('GET', `${path}/multi?uploadId=${id}`, { account });
    const uploads = await front.request('GET', `${path}?uploads`);
    const shown = [parts, uploads].map(({ text }) => /<Owner><ID>(.*?)</.exec(text)?.[1] ?? '');
    const body = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${part.headers.get('etag')}</ETag></Part></CompleteMultipartUpload>`;
    assert.equal(await ask('POST', `${path}/multi?uploadId=${id}`, { account, body }), '200');
    const listed = await owners(path);
    const listed2 = await owners(`${path}?list-type=2&fetch-owner=true`);
    const versions = await owners(`${path}?versions`);
    assert.deepEqual([listed2, versions], [listed, listed]);
    const { put = '', copy = '', multi = '' } = listed;
    return [...new Set([put, copy, multi, ...shown])];
  }
  async function sharedBucket(ownership: string): Promise<string> {
    const path = await bucket(
      ownership === 'BucketOwnerEnforced' ? 'ObjectWriter' : ownership,
      'public-read-write',
    );
    await front.request('PUT', `${path}/source`, { body: 'x', ...withAcl('public-read') });
    return path;
  }

  it('ObjectWriter: the writer owns, and decides who may read', async () => {
    const path = await sharedBucket('ObjectWriter');
    assert.deepEqual(await ownersOfWrites(path), ['bob']);
    assert.deepEqual(await ownersOfWrites(path, 'bucket-owner-full-control'), ['bob']);
    assert.equal(await ask('PUT', `${path}/put`, { account: 'bob', body: 'x' }), '200');
    assert.equal(await ask('GET', `${path}/put`), '403 AccessDenied');
    assert.equal(await ask('GET', `${path}/put?acl`), '403 AccessDenied');
    assert.equal(await ask('DELETE', `${path}/put`), '204');
  });

  it('BucketOwnerPreferred: the bucket owner owns what is given to it', async () => {
    const path = await sharedBucket('BucketOwnerPreferred');
    assert.deepEqual(await ownersOfWrites(path), ['bob']);
    assert.deepEqual(await ownersOfWrites(path, 'private'), ['bob']);
    assert.deepEqual(await ownersOfWrites(path, 'bucket-owner-full-control'), ['alice']);
    assert.equal(await aclOf(`${path}/put`), 'alice: alice FULL_CONTROL');
  });

  it('BucketOwnerEnforced: everything is the bucket owner’s, and ACLs are refused', async () => {
    const path = await sharedBucket('ObjectWriter');
    await ownersOfWrites(path);
    const put = (ownership: string) => ask('PUT', `${path}?ownershipControls`, { body: controls(ownership) });
    assert.equal(await put('BucketOwnerEnforced'), '400 InvalidBucketAclWithObjectOwnership');
    assert.equal(await ask('PUT', `${path}?acl`, withAcl('private')), '200');
    assert.equal(await put('BucketOwnerEnforced'), '200');
    // What Bob wrote before is Alice's now, and shown so.
    assert.deepEqual(new Set(Object.values(await owners(path))), new Set(['alice']));
    assert.equal(await aclOf(`${path}/put`), 'alice: alice FULL_CONTROL');
    assert.equal(await ask('GET', `${path}/put`), '200');
    assert.equal(await ask('GET', `${path}/put`, { account: 'bob' }), '403 AccessDenied');
    assert.equal(await ask('GET', `${path}/source`, { account: 'bob' }), '403 AccessDenied');
    const refused = '400 AccessControlListNotSupported';
    for (const acl of ['private', 'public-read', 'bucket-owner-read']) {
      assert.equal(await ask('PUT', `${path}/new`, { body: '', ...withAcl(acl) }), refused);
      assert.equal(await ask('POST', `${path}/new?uploads`, withAcl(acl)), refused);
      const copy = { 'x-amz-copy-source': `${path}/put`, 'x-amz-acl': acl };
      assert.equal(await ask('PUT', `${path}/new`, { headers: copy }), refused);
      assert.equal(await ask('PUT', `${path}/put?acl`, withAcl(acl)), refused);
      assert.equal(await ask('PUT', `${path}?acl`, withAcl(acl)), refused);
    }
    const given = withAcl('bucket-owner-full-control');
    assert.equal(await ask('PUT', `${path}/new`, { body: '', ...given }), '200');
    const same = { 'x-amz-grant-full-control': 'id=alice' };
    assert.equal(await ask('PUT', `${path}/new`, { body: '', headers: same }), '200');
    const other = { 'x-amz-grant-read': 'id=bob' };
    assert.equal(await ask('PUT', `${path}/new`, { body: '', headers: other }), refused);
    // As tools copy an object with the list that they read.
    const read = (await front.request('GET', `${path}/put?acl`)).text;
    assert.equal(await ask('PUT', `${path}/put?acl`, { body: read }), '200');
    assert.equal(await ask('PUT', `${path}?acl`, { body: read }), '200');
    const more = document([['CanonicalUser', 'bob', 'READ']]);
    assert.equal(await ask('PUT', `${path}/put?acl`, { body: more }), refused);
    // Lists that were there before count again.
    assert.equal(await put('ObjectWriter'), '200');
    assert.equal(await ask('GET', `${path}/source`, { account: 'bob' }), '200');
  });

  it('is BucketOwnerEnforced where nobody says anything, and nothing once it is deleted', async () => {
    await front.request('PUT', '/plain');
    const shown = async () => {
      const { status, text } = await front.request('GET', '/plain?ownershipControls');
      return `${status} ${/<(?:ObjectOwnership|Code)>(.*?)</.exec(text)?.[1]}`;
    };
    assert.equal(await shown(), '200 BucketOwnerEnforced');
    // What names the default does no harm there, as tools send it.
    assert.equal(await ask('PUT', '/plain/k', { body: '', ...withAcl('private') }), '200');
    assert.equal(await ask('PUT', '/plain?acl', withAcl('private')), '200');
    assert.equal(
      await ask('PUT', '/plain/k?acl', withAcl('public-read')),
      '400 AccessControlListNotSupported',
    );
    assert.equal(await ask('DELETE', '/plain?ownershipControls'), '204');
    assert.equal(await shown(), '404 OwnershipControlsNotFoundError');
    assert.equal(await ask('PUT', '/plain/k?acl', withAcl('public-read')), '200');
    for (const bad of [
      controls('Mine'),
      '<OwnershipControls/>',
      controls('ObjectWriter').replace(/<Rule>.*<\/Rule>/, '$&$&'),
    ])
      assert.equal(await ask('PUT', '/plain?ownershipControls', { body: bad }), '400 MalformedXML');
    assert.equal(
      await ask('PUT', '/plain?ownershipControls', { body: controls('BucketOwnerPreferred') }),
      '200',
    );
    assert.equal(await shown(), '200 BucketOwnerPreferred');
  });

  it('of new buckets may be another by configuration', async () => {
    const { systemClock: clock } = await import('../../../src/base/clock.ts');
    const { catalog, dosm } = front;
    const services = { catalog, dosm, clock, region: 'us-east-1', objectOwnership: 'ObjectWriter' } as const;
    const other = await startS3Front({ services });
    try {
      const make = await other.request('PUT', '/old-style', withAcl('public-read'));
      assert.equal(make.status, 200);
      assert.match(
        (await other.request('GET', '/old-style?ownershipControls')).text,
        /OwnershipControlsNotFound/,
      );
      assert.equal((await other.request('GET', '/old-style', { account: null })).status, 200);
      const headers = { 'x-amz-object-ownership': 'BucketOwnerEnforced', 'x-amz-acl': 'public-read' };
      assert.match(
        (await other.request('PUT', '/strict', { headers })).text,
        /InvalidBucketAclWithObjectOwnership/,
      );
    } finally {
      await other.close();
    }
  });

  it('made again in us-east-1, a bucket has the ACL of that request', async () => {
    const path = await bucket('ObjectWriter', 'public-read');
    assert.equal(await ask('PUT', path), '200');
    assert.equal(await aclOf(path), 'alice: alice FULL_CONTROL');
    const again = { 'x-amz-acl': 'public-read', 'x-amz-object-ownership': 'ObjectWriter' };
    assert.equal(await ask('PUT', path, { headers: again }), '200');
    assert.equal(await aclOf(path), 'alice: AllUsers READ, alice FULL_CONTROL');
    const enforced = { 'x-amz-object-ownership': 'BucketOwnerEnforced' };
    assert.equal(await ask('PUT', path, { headers: enforced }), '409 BucketAlreadyOwnedByYou');
  });
});
