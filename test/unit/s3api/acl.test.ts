/** ACLs, over the model catalog: what may be set, what is shown, and what it grants to whom. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { S3Front } from '../../model/s3-front.ts';
import { ALL, aclOf, ask, bucket, document, type Grant, startAclFront, withAcl } from './acl-kit.ts';

let front: S3Front;
before(async () => {
  front = await startAclFront();
});
after(() => front.close());

describe('canned ACLs', () => {
  const SHOWN: readonly [acl: string, ofBucket: string, ofObject: string][] = [
    ['private', 'alice FULL_CONTROL', 'alice FULL_CONTROL'],
    ['public-read', 'AllUsers READ, alice FULL_CONTROL', 'AllUsers READ, alice FULL_CONTROL'],
    [
      'public-read-write',
      'AllUsers READ, AllUsers WRITE, alice FULL_CONTROL',
      'AllUsers READ, AllUsers WRITE, alice FULL_CONTROL',
    ],
    [
      'authenticated-read',
      'AuthenticatedUsers READ, alice FULL_CONTROL',
      'AuthenticatedUsers READ, alice FULL_CONTROL',
    ],
    ['bucket-owner-read', 'alice FULL_CONTROL', 'alice FULL_CONTROL'],
    ['bucket-owner-full-control', 'alice FULL_CONTROL', 'alice FULL_CONTROL'],
  ];
  for (const [acl, ofBucket, ofObject] of SHOWN)
    it(`${acl} is what it says, on a bucket and on an object`, async () => {
      const path = await bucket('ObjectWriter', acl);
      assert.equal(await aclOf(path), `alice: ${ofBucket}`);
      assert.equal(await ask('PUT', `${path}?acl`, withAcl('private')), '200');
      assert.equal(await ask('PUT', `${path}?acl`, withAcl(acl)), '200');
      assert.equal(await aclOf(path), `alice: ${ofBucket}`);
      assert.equal(await ask('PUT', `${path}/k`, { body: 'x', ...withAcl(acl) }), '200');
      assert.equal(await aclOf(`${path}/k`), `alice: ${ofObject}`);
      assert.equal(await ask('PUT', `${path}/k?acl`, withAcl('private')), '200');
      assert.equal(await ask('PUT', `${path}/k?acl`, withAcl(acl)), '200');
      assert.equal(await aclOf(`${path}/k`), `alice: ${ofObject}`);
    });

  it('of logs is for buckets, of images for both; others are refused', async () => {
    const path = await bucket('ObjectWriter', 'log-delivery-write');
    assert.equal(await aclOf(path), 'alice: LogDelivery WRITE, LogDelivery READ_ACP, alice FULL_CONTROL');
    assert.equal(
      await ask('PUT', `${path}/k`, { body: '', ...withAcl('log-delivery-write') }),
      '400 InvalidArgument',
    );
    assert.equal(await ask('PUT', `${path}/k`, { body: '', ...withAcl('aws-exec-read') }), '200');
    assert.match(await aclOf(`${path}/k`), /^alice: alice FULL_CONTROL, 6aa5a366[0-9a-f]* READ$/);
    assert.equal(await ask('PUT', `${path}?acl`, withAcl('toString')), '400 InvalidArgument');
  });

  it('of the bucket owner give it what another account writes', async () => {
    const path = await bucket('ObjectWriter', 'public-read-write');
    const put = (key: string, acl: string) =>
      ask('PUT', `${path}/${key}`, { account: 'bob', body: 'x', ...withAcl(acl) });
    assert.equal(await put('r', 'bucket-owner-read'), '200');
    assert.equal(await aclOf(`${path}/r`, 'bob'), 'bob: bob FULL_CONTROL, alice READ');
    assert.equal(await put('f', 'bucket-owner-full-control'), '200');
    assert.equal(await aclOf(`${path}/f`, 'alice'), 'bob: bob FULL_CONTROL, alice FULL_CONTROL');
  });
});

describe('grants', () => {
  it('in headers name accounts by id and e-mail, and groups by URI', async () => {
    const path = await bucket();
    const headers = {
      'x-amz-grant-full-control': `id="alice", emailAddress=carol@example.com`,
      'x-amz-grant-read': `uri="${ALL}", id=bob`,
      'x-amz-grant-write-acp': 'id="bob"',
    };
    assert.equal(await ask('PUT', `${path}/k`, { body: 'x', headers }), '200');
    const shown = 'AllUsers READ, bob READ, bob WRITE_ACP, alice FULL_CONTROL, carol FULL_CONTROL';
    assert.equal(await aclOf(`${path}/k`), `alice: ${shown}`);
    assert.equal(await ask('PUT', `${path}?acl`, { headers }), '200');
    assert.equal(await aclOf(path), `alice: ${shown}`);
  });

  it('in headers are refused as AWS does', async () => {
    const path = await bucket();
    const put = (headers: Record<string, string>, body = '') =>
      ask('PUT', `${path}?acl`, { headers, ...(body && { body }) });
    const invalid = '400 InvalidArgument';
    assert.equal(await put({ 'x-amz-grant-read': 'id="nobody"' }), invalid);
    assert.equal(await put({ 'x-amz-grant-read': 'bob' }), invalid);
    assert.equal(await put({ 'x-amz-grant-read': 'name="bob"' }), invalid);
    assert.equal(await put({ 'x-amz-grant-read': 'uri="http://example.com/All"' }), invalid);
    assert.equal(
      await put({ 'x-amz-grant-read': 'emailAddress="x@y"' }),
      '400 UnresolvableGrantByEmailAddress',
    );
    assert.equal(
      await put({ 'x-amz-grant-read': 'emailAddress="both@example.com"' }),
      '400 AmbiguousGrantByEmailAddress',
    );
    assert.equal(await put({ 'x-amz-grant-read': 'id=bob', 'x-amz-acl': 'private' }), '400 InvalidRequest');
    assert.equal(await put({ 'x-amz-acl': 'private' }, document([])), '400 UnexpectedContent');
    assert.equal(await put({}), '400 MissingSecurityHeader');
    const many = Array.from({ length: 101 }, () => 'id=bob').join(',');
    assert.equal(await put({ 'x-amz-grant-read': many }), '400 MalformedACLError');
    assert.equal(await aclOf(path), 'alice: alice FULL_CONTROL');
  });

  it('in a document take the place of all', async () => {
    const path = await bucket();
    const put = (grants: readonly Grant[], owner?: string) =>
      ask('PUT', `${path}?acl`, { body: document(grants, owner) });
    const grants: Grant[] = [
      ['CanonicalUser', 'alice', 'FULL_CONTROL'],
      ['CanonicalUser', 'bob', 'READ'],
      ['CanonicalUser', 'bob', 'READ'],
      ['AmazonCustomerByEmail', 'Carol@example.com', 'WRITE'],
      ['Group', ALL, 'READ_ACP'],
    ];
    assert.equal(await put(grants), '200');
    const shown = 'AllUsers READ_ACP, alice FULL_CONTROL, bob READ, carol WRITE';
    assert.equal(await aclOf(path), `alice: ${shown}`);
    assert.equal(await put(grants, 'bob'), '403 AccessDenied');
    assert.equal(await put([['CanonicalUser', '_foo', 'READ']]), '400 InvalidArgument');
    assert.equal(await put([['Group', 'AllUsers', 'READ']]), '400 InvalidArgument');
    for (const bad of [
      document([['CanonicalUser', 'bob', 'DELETE']]),
      document([['User', 'bob', 'READ']]),
      document([['CanonicalUser', 'bob', 'READ']]).replace(/ xsi:type="[^"]*"/, ''),
      document([['CanonicalUser', 'bob', 'READ']]).replace(/<Owner>.*<\/Owner>/, ''),
      document(Array.from({ length: 101 }, (): Grant => ['CanonicalUser', 'bob', 'READ'])),
      '<AccessControlPolicy/>',
      'text',
    ])
      assert.equal(
        await ask('PUT', `${path}?acl`, { body: bad }),
        '400 MalformedACLError',
        bad.slice(0, 300),
      );
    assert.equal(await aclOf(path), `alice: ${shown}`);
    // Nobody has anything any more, but the owner may always change that.
    assert.equal(await put([]), '200');
    assert.equal(await aclOf(path), 'alice: ');
    assert.equal(await ask('PUT', `${path}?acl`, withAcl('private')), '200');
  });

  it('are of a version: another one has its own', async () => {
    const path = await bucket();
    const versioning = '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>';
    assert.equal(await ask('PUT', `${path}?versioning`, { body: versioning }), '200');
    const first = await front.request('PUT', `${path}/k`, { body: '1' });
    const id = first.headers.get('x-amz-version-id');
    await front.request('PUT', `${path}/k`, { body: '2', ...withAcl('public-read') });
    assert.equal(await aclOf(`${path}/k`), 'alice: AllUsers READ, alice FULL_CONTROL');
    const old = await front.request('GET', `${path}/k?acl&versionId=${id}`);
    assert.doesNotMatch(old.text, /AllUsers/);
    assert.equal(await ask('PUT', `${path}/k?acl&versionId=${id}`, withAcl('authenticated-read')), '200');
    assert.match((await front.request('GET', `${path}/k?acl&versionId=${id}`)).text, /AuthenticatedUsers/);
    assert.equal(await ask('GET', `${path}/k?versionId=${id}`, { account: 'bob' }), '200');
    assert.equal(await ask('GET', `${path}/k?versionId=${id}`, { account: null }), '403 AccessDenied');
    assert.equal(await ask('PUT', `${path}/k?acl&versionId=nope`, withAcl('private')), '404 NoSuchVersion');
    await front.request('DELETE', `${path}/k`);
    assert.equal(await ask('GET', `${path}/k?acl`), '404 NoSuchKey');
  });
});

describe('what ACLs grant', () => {
  const list = (path: string, account: string | null) => ask('GET', path, { account });

  it('to everybody: reading, listing, writing', async () => {
    const path = await bucket('ObjectWriter', 'public-read');
    await front.request('PUT', `${path}/open`, { body: 'open', ...withAcl('public-read') });
    await front.request('PUT', `${path}/closed`, { body: 'closed' });
    for (const account of ['bob', null]) {
      assert.equal(await list(path, account), '200');
      assert.equal((await front.request('GET', `${path}/open`, { account })).text, 'open');
      assert.equal(await ask('GET', `${path}/closed`, { account }), '403 AccessDenied');
      assert.equal(await ask('GET', `${path}/nothing`, { account }), '404 NoSuchKey');
      assert.equal(await ask('PUT', `${path}/new`, { account, body: 'x' }), '403 AccessDenied');
      assert.equal(await ask('DELETE', `${path}/open`, { account }), '403 AccessDenied');
      assert.equal(await ask('GET', `${path}?acl`, { account }), '403 AccessDenied');
      assert.equal(await ask('GET', `${path}/open?acl`, { account }), '403 AccessDenied');
      assert.equal(await ask('GET', `${path}/open?tagging`, { account }), '403 AccessDenied');
    }
    await front.request('PUT', `${path}?acl`, withAcl('public-read-write'));
    for (const account of ['bob', null]) {
      assert.equal(await ask('PUT', `${path}/new`, { account, body: 'x' }), '200');
      assert.equal(await ask('DELETE', `${path}/new`, { account }), '204');
      const put = { account, body: 'x', headers: { 'x-amz-acl': 'public-read', 'x-amz-tagging': 'a=b' } };
      assert.equal(await ask('PUT', `${path}/new`, put), '200');
      assert.equal(await ask('GET', `${path}/new`, { account: 'bob' }), '200');
      assert.equal(
        await ask('PUT', `${path}/open?acl`, { account, ...withAcl('private') }),
        '403 AccessDenied',
      );
      assert.equal(await ask('PUT', `${path}?acl`, { account, ...withAcl('private') }), '403 AccessDenied');
    }
    await front.request('PUT', `${path}?acl`, withAcl('private'));
    assert.equal(await list(path, 'bob'), '403 AccessDenied');
    assert.equal(await ask('GET', `${path}/nothing`, { account: 'bob' }), '403 AccessDenied');
    assert.equal(await ask('GET', `${path}/open`, { account: 'bob' }), '200');
  });

  it('to everybody with an account', async () => {
    const path = await bucket('ObjectWriter', 'authenticated-read');
    assert.deepEqual([await list(path, 'bob'), await list(path, null)], ['200', '403 AccessDenied']);
  });

  for (const [permission, may] of Object.entries({
    READ: ['list'],
    WRITE: ['put'],
    READ_ACP: ['read-acl'],
    WRITE_ACP: ['write-acl'],
    FULL_CONTROL: ['list', 'put', 'read-acl', 'write-acl'],
  }))
    it(`to an account: ${permission} of a bucket`, async () => {
      const path = await bucket();
      const granted: Grant[] = [['CanonicalUser', 'bob', permission]];
      assert.equal(await ask('PUT', `${path}?acl`, { body: document(granted) }), '200');
      const account = 'bob';
      const answers = {
        list: await list(path, account),
        put: await ask('PUT', `${path}/x`, { account, body: 'x' }),
        'read-acl': await ask('GET', `${path}?acl`, { account }),
        'write-acl': await ask('PUT', `${path}?acl`, { account, ...withAcl('public-read') }),
      };
      for (const [what, answer] of Object.entries(answers))
        assert.equal(answer, may.includes(what) ? '200' : '403 AccessDenied', what);
    });

  for (const [permission, may] of Object.entries({
    READ: ['get'],
    WRITE: [],
    READ_ACP: ['read-acl'],
    WRITE_ACP: ['write-acl'],
    FULL_CONTROL: ['get', 'read-acl', 'write-acl'],
  }) as [string, string[]][])
    it(`to an account: ${permission} of an object`, async () => {
      const path = `${await bucket()}/k`;
      await front.request('PUT', path, { body: 'x' });
      const granted: Grant[] = [['CanonicalUser', 'bob', permission]];
      assert.equal(await ask('PUT', `${path}?acl`, { body: document(granted) }), '200');
      const account = 'bob';
      const answers = {
        get: await ask('GET', path, { account }),
        put: await ask('PUT', path, { account, body: 'y' }),
        'read-acl': await ask('GET', `${path}?acl`, { account }),
        // Of whom it is stays as it was.
        'write-acl': await ask('PUT', `${path}?acl`, { account, body: document([]) }),
      };
      for (const [what, answer] of Object.entries(answers))
        assert.equal(answer, may.includes(what) ? '200' : '403 AccessDenied', what);
      if (may.includes('write-acl')) assert.equal(await aclOf(path), 'alice: ');
    });

  it('nothing where a public access block ignores it, and none is taken where it blocks', async () => {
    const path = await bucket('ObjectWriter', 'public-read');
    await front.request('PUT', `${path}/k`, { body: 'x', ...withAcl('public-read') });
    const block = (name: string) =>
      ask('PUT', `${path}?publicAccessBlock`, {
        body: `<PublicAccessBlockConfiguration><${name}>true</${name}></PublicAccessBlockConfiguration>`,
      });
    assert.equal(await block('IgnorePublicAcls'), '200');
    assert.equal(await list(path, 'bob'), '403 AccessDenied');
    assert.equal(await ask('GET', `${path}/k`, { account: null }), '403 AccessDenied');
    assert.equal(await ask('PUT', `${path}?acl`, withAcl('public-read')), '200');
    assert.equal(await block('BlockPublicAcls'), '200');
    assert.equal(await list(path, 'bob'), '200');
    for (const acl of ['public-read', 'public-read-write', 'authenticated-read']) {
      assert.equal(await ask('PUT', `${path}?acl`, withAcl(acl)), '403 AccessDenied');
      assert.equal(await ask('PUT', `${path}/k?acl`, withAcl(acl)), '403 AccessDenied');
      assert.equal(await ask('PUT', `${path}/new`, { body: '', ...withAcl(acl) }), '403 AccessDenied');
      assert.equal(await ask('POST', `${path}/new?uploads`, withAcl(acl)), '403 AccessDenied');
      const copy = { 'x-amz-copy-source': `${path}/k`, 'x-amz-acl': acl };
      assert.equal(await ask('PUT', `${path}/new`, { headers: copy }), '403 AccessDenied');
    }
    assert.equal(await ask('PUT', `${path}/new`, { body: '', ...withAcl('private') }), '200');
  });
});
