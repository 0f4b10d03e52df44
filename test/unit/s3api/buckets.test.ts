/** Bucket operations, settings that are not set, and headers that would change a meaning, on the model catalog. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { isNewBucketName } from '../../../src/s3api/bucket-names.ts';
import { type FrontRequest, type S3Front, startS3Front } from '../../model/s3-front.ts';

let front: S3Front;
before(async () => {
  front = await startS3Front();
  await front.request('PUT', '/mine');
  await front.request('PUT', '/mine/k', { body: 'hello' });
});
after(() => front.close());

/** `200`, or `404 NoSuchBucket`. */
async function ask(method: string, path: string, init?: FrontRequest): Promise<string> {
  const { status, text } = await front.request(method, path, init);
  const code = /<Code>([^<]*)/.exec(text)?.[1];
  return code === undefined ? String(status) : `${status} ${code}`;
}

describe('bucket names', () => {
  it('follow the rules of general purpose buckets', () => {
    for (const name of ['abc', 'a.b.c', '1-2', 'a'.repeat(63), 'my.bucket-1', '1.2.3', '1.2.3.4.5'])
      assert.ok(isNewBucketName(name), name);
    const bad = `a aa ${'a'.repeat(64)} Abc a_b -ab ab- .ab ab. a..b a.-b a-.b 192.168.5.4 xn--a1 sthree-a amzn-s3-demo-x
      b-s3alias b--ol-s3 b.mrap b--x-s3 b--table-s3 ä-b a/b`;
    for (const name of bad.split(/\s+/)) assert.ok(!isNewBucketName(name), name);
  });

  it('are refused with InvalidBucketName', async () => {
    for (const name of ['aa', 'Abc', 'a_b', '192.168.5.4', 'foo-', 'a%20b'])
      assert.equal(await ask('PUT', `/${name}`), '400 InvalidBucketName', name);
    assert.equal(await ask('GET', '/a'), '400 InvalidBucketName');
    assert.equal(await ask('GET', '/Old_Style'), '404 NoSuchBucket');
  });
});

describe('CreateBucket', () => {
  it('makes a bucket once; its owner may repeat that in us-east-1, nobody else', async () => {
    const made = await front.request('PUT', '/new-one');
    assert.deepEqual([made.status, made.headers.get('location')], [200, '/new-one']);
    assert.equal(await ask('PUT', '/new-one'), '200');
    assert.equal(await ask('PUT', '/new-one', { account: 'bob' }), '409 BucketAlreadyExists');
    assert.equal(await ask('PUT', '/new-two', { account: null }), '403 AccessDenied');
  });

  it('reads the location constraint as AWS does', async () => {
    const body = (region: string) =>
      `<CreateBucketConfiguration><LocationConstraint>${region}</LocationConstraint></CreateBucketConfiguration>`;
    assert.equal(await ask('PUT', '/placed', { body: body('us-east-1') }), '400 InvalidLocationConstraint');
    assert.equal(await ask('PUT', '/placed', { body: '<nonsense' }), '400 MalformedXML');
    assert.equal(await ask('PUT', '/placed', { body: body('') }), '200');
    const { catalog } = front;
    const { systemClock: clock } = await import('../../../src/base/clock.ts');
    const services = { catalog, dosm: front.dosm, clock, region: 'eu-west-1' };
    const elsewhere = await startS3Front({ services });
    try {
      const there = async (name: string, text: string) =>
        (await elsewhere.request('PUT', name, { body: text })).text;
      assert.match(await there('/in-eu', ''), /IllegalLocationConstraintException.*unspecified/);
      assert.match(await there('/in-eu', body('us-west-2')), /us-west-2 location constraint is incompatible/);
      assert.equal(await there('/in-eu', body('eu-west-1')), '');
      assert.match(await there('/in-eu', body('eu-west-1')), /BucketAlreadyOwnedByYou/);
      const location = await elsewhere.request('GET', '/in-eu?location');
      assert.match(location.text, />eu-west-1<\/LocationConstraint>/);
    } finally {
      await elsewhere.close();
    }
  });

  it('is as us-east-1 is where any region will do, and its own region may be named', async () => {
    const body = (region: string) =>
      `<CreateBucketConfiguration><LocationConstraint>${region}</LocationConstraint></CreateBucketConfiguration>`;
    const { catalog, dosm } = front;
    const { systemClock: clock } = await import('../../../src/base/clock.ts');
    const anywhere = await startS3Front({
      services: { catalog, dosm, clock, region: 'home', anyRegion: true },
    });
    try {
      const make = async (text: string) => (await anywhere.request('PUT', '/anywhere', { body: text })).text;
      assert.equal(await make(''), '');
      assert.equal(await make(''), '');
      assert.equal((await anywhere.request('PUT', '/named', { body: body('home') })).status, 200);
      assert.match(await make(body('us-west-2')), /InvalidLocationConstraint/);
      const location = await anywhere.request('GET', '/anywhere?location');
      assert.match(location.text, />home<\/LocationConstraint>/);
    } finally {
      await anywhere.close();
    }
  });

  it('accepts headers that name the default and refuses the others', async () => {
    const make = (name: string, value: string) => ask('PUT', '/headed', { headers: { [name]: value } });
    assert.equal(await make('x-amz-acl', 'private'), '200');
    assert.equal(await make('x-amz-acl', 'public-read'), '400 InvalidBucketAclWithObjectOwnership');
    assert.equal(await make('x-amz-acl', 'nonsense'), '400 InvalidArgument');
    assert.equal(await make('x-amz-bucket-object-lock-enabled', 'false'), '200');
    assert.equal(await make('x-amz-bucket-object-lock-enabled', 'yes'), '400 InvalidArgument');
    assert.equal(await make('x-amz-bucket-object-lock-enabled', 'true'), '409 BucketAlreadyOwnedByYou');
    assert.equal(await make('x-amz-object-ownership', 'BucketOwnerEnforced'), '200');
    assert.equal(await make('x-amz-object-ownership', 'ObjectWriter'), '409 BucketAlreadyOwnedByYou');
    assert.equal(await make('x-amz-object-ownership', 'Mine'), '400 InvalidArgument');
    assert.equal(await make('x-amz-grant-read', 'id=x'), '400 InvalidArgument');
  });
});

describe('other bucket operations', () => {
  it('HeadBucket tells the region, and its errors have no body', async () => {
    const head = await front.request('HEAD', '/mine');
    assert.deepEqual([head.status, head.headers.get('x-amz-bucket-region')], [200, 'us-east-1']);
    const missing = await front.request('HEAD', '/none-such');
    assert.deepEqual([missing.status, missing.text], [404, '']);
    assert.equal((await front.request('HEAD', '/mine', { account: 'bob' })).status, 403);
  });

  it('DeleteBucket wants an empty bucket', async () => {
    await front.request('PUT', '/to-delete');
    await front.request('PUT', '/to-delete/k', { body: 'x' });
    assert.equal(await ask('DELETE', '/to-delete'), '409 BucketNotEmpty');
    await front.request('DELETE', '/to-delete/k');
    assert.equal(await ask('DELETE', '/to-delete'), '204');
    assert.equal(await ask('DELETE', '/to-delete'), '404 NoSuchBucket');
  });

  it('versioning is off, then on, then suspended; MFA delete is not supported', async () => {
    const put = (inner: string) =>
      ask('PUT', '/versioned?versioning', {
        body: `<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${inner}</VersioningConfiguration>`,
      });
    const get = async () => (await front.request('GET', '/versioned?versioning')).text.split('\n')[1]!;
    await front.request('PUT', '/versioned');
    assert.match(await get(), /^<VersioningConfiguration xmlns="[^"]*"\/>$/);
    assert.equal(await put('<Status>Enabled</Status>'), '200');
    assert.match(await get(), /<Status>Enabled<\/Status>/);
    assert.equal(await put('<Status>Suspended</Status>'), '200');
    assert.match(await get(), /<Status>Suspended<\/Status>/);
    assert.equal(await put('<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>'), '501 NotImplemented');
    assert.equal(await put(''), '400 MalformedXML');
  });
});

describe('a commit whose outcome nobody knows, and a catalog out of reach', () => {
  it('are 503 with Retry-After, never a success and never a refusal', async () => {
    const commits: [string, string, string, string?][] = [
      ['createBucket', 'PUT', '/unknown-1'],
      ['deleteBucket', 'DELETE', '/unknown-2'],
      ['setVersioning', 'PUT', '/unknown-2?versioning', 'Enabled'],
      ['setTags', 'DELETE', '/mine/k?tagging'],
    ];
    await front.request('PUT', '/unknown-2');
    for (const fault of ['unknown-lost', 'unavailable'] as const)
      for (const [commit, method, path, status] of commits) {
        front.catalog.fault = (name) => (name === commit ? fault : undefined);
        const xml = `<VersioningConfiguration><Status>${status}</Status></VersioningConfiguration>`;
        const answer = await front.request(method, path, status === undefined ? {} : { body: xml });
        assert.equal(answer.status, 503, `${commit} ${fault}: ${answer.text}`);
        assert.match(answer.text, /<Code>ServiceUnavailable<\/Code>/);
        assert.ok(answer.headers.get('retry-after'));
      }
    front.catalog.fault = () => undefined;
    assert.equal(await ask('DELETE', '/unknown-2'), '204');
  });
});

describe('authorization', () => {
  it('lets owners and root in, and nobody else', async () => {
    for (const [account, outcome] of [
      ['alice', '200'],
      ['root', '200'],
      ['bob', '403 AccessDenied'],
      [null, '403 AccessDenied'],
    ] as const) {
      assert.equal(await ask('GET', '/mine', { account }), outcome);
      assert.equal(
        await ask('GET', '/mine?policy', { account }),
        outcome.replace('200', '404 NoSuchBucketPolicy'),
      );
    }
    assert.equal(await ask('GET', '/', { account: null }), '403 AccessDenied');
  });

  it('compares the expected bucket owner', async () => {
    const owner = (id: string) => ask('GET', '/mine', { headers: { 'x-amz-expected-bucket-owner': id } });
    assert.equal(await owner('alice'), '200');
    assert.equal(await owner('bob'), '403 AccessDenied');
  });
});

describe('what is not set', () => {
  const missing: [string, string][] = [
    ['policy', 'NoSuchBucketPolicy'],
    ['cors', 'NoSuchCORSConfiguration'],
    ['lifecycle', 'NoSuchLifecycleConfiguration'],
    ['tagging', 'NoSuchTagSet'],
    ['website', 'NoSuchWebsiteConfiguration'],
    ['encryption', 'ServerSideEncryptionConfigurationNotFoundError'],
    ['publicAccessBlock', 'NoSuchPublicAccessBlockConfiguration'],
    ['object-lock', 'ObjectLockConfigurationNotFoundError'],
    ['replication', 'ReplicationConfigurationNotFoundError'],
    ['metrics&id=x', 'NoSuchConfiguration'],
    ['intelligent-tiering&id=x', 'NoSuchConfiguration'],
  ];
  for (const [name, code] of missing)
    it(`?${name} is 404 ${code}`, async () => assert.equal(await ask('GET', `/mine?${name}`), `404 ${code}`));

  it('a lock of an object, in a bucket without object lock, is a question that AWS refuses', async () => {
    assert.equal(await ask('GET', '/mine/k?retention'), '400 InvalidRequest');
    assert.equal(await ask('GET', '/mine/k?legal-hold'), '400 InvalidRequest');
  });

  const documents: [string, RegExp][] = [
    ['policyStatus', /<IsPublic>false<\/IsPublic>/],
    ['requestPayment', /<Payer>BucketOwner<\/Payer>/],
    ['logging', /<BucketLoggingStatus [^>]*\/>/],
    ['notification', /<NotificationConfiguration [^>]*\/>/],
    ['accelerate', /<AccelerateConfiguration [^>]*\/>/],
    ['location', /<LocationConstraint [^>]*\/>/],
    ['metrics', /<IsTruncated>false<\/IsTruncated>/],
    ['inventory', /<IsTruncated>false<\/IsTruncated>/],
  ];
  for (const [name, document] of documents)
    it(`?${name} is an empty document`, async () => {
      const { status, text } = await front.request('GET', `/mine?${name}`);
      assert.equal(status, 200);
      assert.match(text, document);
    });
});

describe('what is not supported', () => {
  it('is 501 and changes nothing', async () => {
    const puts = ['encryption', 'renameObject', 'annotation'];
    for (const name of puts) {
      assert.equal(await ask('PUT', `/mine/k?${name}`, { body: '<X/>' }), '501 NotImplemented', name);
    }
    assert.equal(await ask('POST', '/mine/k?restore', { body: '<X/>' }), '501 NotImplemented');
    assert.equal(await ask('PUT', '/mine?replication', { body: '{}' }), '501 NotImplemented');
    assert.equal((await front.request('GET', '/mine/k')).text, 'hello');
  });

  it('in a header is 501, in a value that AWS does not know 400', async () => {
    const put = (name: string, value: string) =>
      ask('PUT', '/mine/h', { headers: { [name]: value }, body: 'x' });
    const refused: [string, string, string][] = [
      ['x-amz-server-side-encryption', 'AES256', '501 NotImplemented'],
      ['x-amz-server-side-encryption', 'aws:kms:dsse', '501 NotImplemented'],
      ['x-amz-server-side-encryption', 'ROT13', '400 InvalidArgument'],
      ['x-amz-grant-full-control', 'id=x', '400 InvalidArgument'],
      ['x-amz-mfa', '1 2', '501 NotImplemented'],
      ['x-amz-write-offset-bytes', '3', '501 NotImplemented'],
      ['x-amz-acl', 'public-read', '400 AccessControlListNotSupported'],
      ['x-amz-acl', 'x', '400 InvalidArgument'],
      ['x-amz-storage-class', 'GLACIER', '501 NotImplemented'],
      ['x-amz-storage-class', 'COLD', '400 InvalidStorageClass'],
    ];
    for (const [name, value, outcome] of refused)
      assert.equal(await put(name, value), outcome, `${name}: ${value}`);
    assert.equal(await ask('GET', '/mine/h'), '404 NoSuchKey');
    for (const [name, value] of [
      ['x-amz-acl', 'private'],
      ['x-amz-acl', 'bucket-owner-full-control'],
      ['x-amz-storage-class', 'STANDARD'],
      ['x-amz-storage-class', 'STANDARD_IA'],
      ['x-amz-request-payer', 'requester'],
      ['x-amz-website-redirect-location', '/x'],
    ] as const)
      assert.equal(await put(name, value), '200', `${name}: ${value}`);
  });

  it('a version id where none belongs is refused', async () => {
    assert.equal(await ask('PUT', '/mine/k?versionId=null', { body: 'x' }), '400 InvalidArgument');
    assert.equal(await ask('GET', '/mine/k?versionId='), '400 InvalidArgument');
    assert.equal(await ask('GET', '/mine/k?versionId=null'), '200');
  });
});

describe('ACLs', () => {
  it('show the owner alone', async () => {
    for (const path of ['/mine?acl', '/mine/k?acl']) {
      const { text } = await front.request('GET', path);
      assert.match(text, /<Owner><ID>alice<\/ID><DisplayName>Alice A<\/DisplayName><\/Owner>/);
      assert.match(text, /xsi:type="CanonicalUser"><ID>alice<.*<Permission>FULL_CONTROL<\/Permission>/);
      assert.equal(text.match(/<Grant>/g)?.length, 1);
    }
    assert.equal(await ask('GET', '/mine/nothing?acl'), '404 NoSuchKey');
  });

  it('can be set to what they are', async () => {
    const set = (path: string, acl: string) => ask('PUT', path, { headers: { 'x-amz-acl': acl } });
    assert.equal(await set('/mine?acl', 'private'), '200');
    assert.equal(await set('/mine/k?acl', 'private'), '200');
    assert.equal(await set('/mine/k?acl', 'public-read'), '400 AccessControlListNotSupported');
    assert.equal(await set('/mine?acl', 'public-ready'), '400 InvalidArgument');
    assert.equal(await set('/mine/nothing?acl', 'private'), '404 NoSuchKey');
    assert.equal(await ask('PUT', '/mine?acl', { body: '<AccessControlPolicy/>' }), '400 MalformedACLError');
  });
});

describe('object tagging', () => {
  const tagging = (tags: Record<string, string>) =>
    `<Tagging><TagSet>${Object.entries(tags)
      .map(([key, value]) => `<Tag><Key>${key}</Key><Value>${value}</Value></Tag>`)
      .join('')}</TagSet></Tagging>`;
  const put = (tags: Record<string, string>) => ask('PUT', '/mine/k?tagging', { body: tagging(tags) });
  const get = async () =>
    /<TagSet>(.*)<\/TagSet>/.exec((await front.request('GET', '/mine/k?tagging')).text)?.[1];

  it('sets, reads and removes the tags of a version', async () => {
    assert.equal(await get(), '');
    assert.equal(await put({ b: '', a: '1' }), '200');
    assert.equal(
      await get(),
      '<Tag><Key>a</Key><Value>1</Value></Tag><Tag><Key>b</Key><Value></Value></Tag>',
    );
    assert.equal(await ask('DELETE', '/mine/k?tagging'), '204');
    assert.equal(await get(), '');
    assert.equal((await front.request('GET', '/mine/k')).text, 'hello');
    assert.equal(await ask('GET', '/mine/nothing?tagging'), '404 NoSuchKey');
    assert.equal(await ask('GET', '/mine/k?tagging&versionId=nope'), '404 NoSuchVersion');
  });

  it('refuses tags that are not valid', async () => {
    assert.equal(await put({ ['k'.repeat(129)]: 'v' }), '400 InvalidTag');
    assert.equal(await put({ k: 'v'.repeat(257) }), '400 InvalidTag');
    assert.equal(await put({ '': 'v' }), '400 InvalidTag');
    assert.equal(await put({ 'a#': 'v' }), '400 InvalidTag');
    const eleven = Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`k${i}`, 'v']));
    assert.equal(await put(eleven), '400 BadRequest');
    assert.equal(await put({ ['k'.repeat(128)]: 'v'.repeat(256) }), '200');
  });
});
