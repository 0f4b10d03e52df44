/** Bucket policies and the public access block through S3: who is let in, by which action, and what the refused are told. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type FrontRequest, type S3Front, startS3Front } from '../../model/s3-front.ts';

let front: S3Front;
before(async () => {
  front = await startS3Front();
});
after(() => front.close());

async function ask(method: string, path: string, init: FrontRequest = {}): Promise<string> {
  const { status, text } = await front.request(method, path, init);
  const code = /<Code>(\w+)<\/Code>/.exec(text)?.[1];
  return code === undefined ? `${status}` : `${status} ${code}`;
}
let bucket = '';
let count = 0;
const bob = { account: 'bob' } as const;
const nobody = { account: null } as const;

type Json = Readonly<Record<string, unknown>>;
const objects = (): string => `arn:aws:s3:::${bucket}/*`;
const whole = (): string => `arn:aws:s3:::${bucket}`;
const toBob = (Action: string | string[], changes: Json = {}): Json => ({
  Effect: 'Allow',
  Principal: { AWS: 'arn:aws:iam::bob:root' },
  Action,
  Resource: objects(),
  ...changes,
});
async function setPolicy(...Statement: Json[]): Promise<void> {
  const body = JSON.stringify({ Version: '2012-10-17', Statement });
  assert.equal(await ask('PUT', `/${bucket}?policy`, { body }), '204');
}
const block = (...names: string[]): Promise<string> =>
  ask('PUT', `/${bucket}?publicAccessBlock`, {
    body: `<PublicAccessBlockConfiguration>${names.map((name) => `<${name}>TRUE</${name}>`).join('')}</PublicAccessBlockConfiguration>`,
  });

beforeEach(async () => {
  bucket = `policies-${++count}`;
  await front.request('PUT', `/${bucket}`);
  for (const key of ['a', 'b/c']) await front.request('PUT', `/${bucket}/${key}`, { body: 'hello' });
});

describe('a policy', () => {
  it('is given back as it came, and goes', async () => {
    const body = `{"Version":"2012-10-17","Statement":[  ${JSON.stringify(toBob('s3:GetObject'))}]}`;
    assert.equal(await ask('GET', `/${bucket}?policy`), '404 NoSuchBucketPolicy');
    assert.equal(await ask('PUT', `/${bucket}?policy`, { body }), '204');
    const got = await front.request('GET', `/${bucket}?policy`);
    assert.equal(got.text, body);
    assert.equal(got.headers.get('content-type'), 'application/json');
    assert.equal(await ask('DELETE', `/${bucket}?policy`), '204');
    assert.equal(await ask('DELETE', `/${bucket}?policy`), '204');
    assert.equal(await ask('GET', `/${bucket}/a`, bob), '403 AccessDenied');
  });

  it('that is malformed changes nothing', async () => {
    await setPolicy(toBob('s3:GetObject'));
    for (const body of ['', '{}', '[]', '<xml/>', '{"Statement":"x"}'])
      assert.equal(await ask('PUT', `/${bucket}?policy`, { body }), '400 MalformedPolicy', body);
    const { text } = await front.request('PUT', `/${bucket}?policy`, { body: '{"Version":"1"}' });
    assert.match(text, /<Message>The policy must contain a valid version string<\/Message>/);
    assert.equal(await ask('GET', `/${bucket}/a`, bob), '200');
  });

  it('lets in whom it names, for what it names', async () => {
    await setPolicy(toBob('s3:GetObject', { Resource: `${whole()}/b/*` }));
    assert.equal(await ask('GET', `/${bucket}/b/c`, bob), '200');
    assert.equal(await ask('HEAD', `/${bucket}/b/c`, bob), '200');
    assert.equal(await ask('GET', `/${bucket}/a`, bob), '403 AccessDenied');
    assert.equal(await ask('GET', `/${bucket}/b/c`, nobody), '403 AccessDenied');
    assert.equal(await ask('GET', `/${bucket}/b/c?tagging`, bob), '403 AccessDenied');
    assert.equal(
      await ask('GET', `/${bucket}/b/c?attributes`, {
        ...bob,
        headers: { 'x-amz-object-attributes': 'ETag' },
      }),
      '403 AccessDenied',
    );
    assert.equal(await ask('PUT', `/${bucket}/b/c`, { ...bob, body: 'x' }), '403 AccessDenied');
    assert.equal(await ask('GET', `/${bucket}`, bob), '403 AccessDenied');
  });

  it('makes a bucket readable by everybody', async () => {
    await setPolicy({
      Effect: 'Allow',
      Principal: '*',
      Action: ['s3:GetObject', 's3:ListBucket'],
      Resource: [whole(), objects()],
    });
    assert.equal(await ask('GET', `/${bucket}/a`, nobody), '200');
    assert.equal(await ask('GET', `/${bucket}?list-type=2`, nobody), '200');
    assert.equal(await ask('DELETE', `/${bucket}/a`, nobody), '403 AccessDenied');
    assert.equal(await ask('GET', '/', nobody), '403 AccessDenied');
    assert.match((await front.request('GET', `/${bucket}?policyStatus`)).text, /<IsPublic>true<\/IsPublic>/);
  });

  it('denies its own account, but for the policy itself', async () => {
    await setPolicy({ Effect: 'Deny', Principal: '*', Action: 's3:*', Resource: [whole(), objects()] });
    assert.equal(await ask('GET', `/${bucket}/a`), '403 AccessDenied');
    assert.equal(await ask('GET', `/${bucket}?policy`), '200');
    assert.equal(await ask('GET', `/${bucket}/a`, { account: 'root' }), '200');
    assert.equal(await ask('DELETE', `/${bucket}?policy`), '204');
    assert.equal(await ask('GET', `/${bucket}/a`), '200');
  });

  it('is for no other account to read or change, whatever it allows', async () => {
    await setPolicy({ ...toBob('s3:*BucketPolicy*'), Principal: '*', Resource: whole() });
    for (const method of ['GET', 'PUT', 'DELETE'])
      for (const who of [bob, nobody])
        assert.equal(await ask(method, `/${bucket}?policy`, who), '405 MethodNotAllowed');
    assert.equal(await ask('GET', `/${bucket}?policyStatus`, bob), '200');
  });

  it('asks about a version by an action of its own', async () => {
    await setPolicy(toBob('s3:GetObjectVersion'));
    assert.equal(await ask('GET', `/${bucket}/a`, bob), '403 AccessDenied');
    assert.equal(await ask('GET', `/${bucket}/a?versionId=null`, bob), '200');
  });

  it('asks about each key that is deleted', async () => {
    await setPolicy(toBob('s3:DeleteObject', { Resource: `${whole()}/b/*` }));
    const entries = ['a', 'b/c', 'b/none'].map((key) => `<Object><Key>${key}</Key></Object>`).join('');
    const body = `<Delete>${entries}</Delete>`;
    const md5 = (await import('node:crypto')).createHash('md5').update(body).digest('base64');
    const { status, text } = await front.request('POST', `/${bucket}?delete`, {
      ...bob,
      body,
      headers: { 'content-md5': md5 },
    });
    assert.equal(status, 200);
    assert.match(text, /<Error><Key>a<\/Key><Code>AccessDenied<\/Code>/);
    assert.match(text, /<Deleted><Key>b\/c<\/Key><\/Deleted><Deleted><Key>b\/none<\/Key>/);
    assert.equal(await ask('GET', `/${bucket}/a`), '200');
    assert.equal(await ask('GET', `/${bucket}/b/c`), '404 NoSuchKey');
  });

  it('asks about the source of a copy, its tags, and where it goes', async () => {
    await front.request('PUT', `/${bucket}/tagged`, { body: 'x', headers: { 'x-amz-tagging': 'k=v' } });
    const copy = (key: string, headers: Record<string, string> = {}) =>
      ask('PUT', `/${bucket}/copy`, {
        ...bob,
        headers: { 'x-amz-copy-source': `${bucket}/${key}`, ...headers },
      });
    await setPolicy(toBob('s3:PutObject'));
    assert.equal(await copy('a'), '403 AccessDenied');
    await setPolicy(toBob(['s3:PutObject', 's3:GetObject']));
    assert.equal(await copy('a'), '200');
    assert.equal(await copy('none'), '403 AccessDenied');
    assert.equal(await copy('tagged'), '403 AccessDenied');
    assert.equal(await copy('tagged', { 'x-amz-tagging-directive': 'REPLACE' }), '200');
    await setPolicy(toBob(['s3:PutObject', 's3:GetObject', 's3:GetObjectTagging', 's3:PutObjectTagging']));
    assert.equal(await copy('tagged'), '200');
    await setPolicy(
      toBob('s3:GetObject'),
      toBob('s3:PutObject', { Condition: { StringLike: { 's3:x-amz-copy-source': `${bucket}/b/*` } } }),
    );
    assert.equal(await copy('b/c'), '200');
    assert.equal(await copy('a'), '403 AccessDenied');
  });

  it('asks about tags that a write brings, in its head or its body', async () => {
    const red = { Condition: { StringEquals: { 's3:RequestObjectTag/colour': 'red' } } };
    await setPolicy(toBob(['s3:PutObject', 's3:PutObjectTagging'], red));
    const put = (tags: string) =>
      ask('PUT', `/${bucket}/t`, { ...bob, body: 'x', headers: { 'x-amz-tagging': tags } });
    assert.equal(await put('colour=red'), '200');
    assert.equal(await put('colour=blue'), '403 AccessDenied');
    const tag = (colour: string) =>
      ask('PUT', `/${bucket}/t?tagging`, {
        ...bob,
        body: `<Tagging><TagSet><Tag><Key>colour</Key><Value>${colour}</Value></Tag></TagSet></Tagging>`,
      });
    assert.equal(await tag('red'), '200');
    assert.equal(await tag('blue'), '403 AccessDenied');
    assert.equal(await ask('PUT', `/${bucket}/t?tagging`, { ...bob, body: '<x/>' }), '403 AccessDenied');
  });

  it('asks about tags that an object has', async () => {
    await front.request('PUT', `/${bucket}/red`, { body: 'x', headers: { 'x-amz-tagging': 'colour=red' } });
    await setPolicy(
      toBob('s3:GetObject', { Condition: { StringEquals: { 's3:ExistingObjectTag/colour': 'red' } } }),
    );
    assert.equal(await ask('GET', `/${bucket}/red`, bob), '200');
    assert.equal(await ask('GET', `/${bucket}/a`, bob), '403 AccessDenied');
    assert.equal(await ask('GET', `/${bucket}/none`, bob), '403 AccessDenied');
  });

  it('asks about what the request says', async () => {
    const list = (Condition: Json) => toBob('s3:ListBucket', { Resource: whole(), Condition });
    const cases: [Json, string, Record<string, string>, string][] = [
      [{ StringEquals: { 's3:prefix': 'b/' } }, '?prefix=b/', {}, '200'],
      [{ StringEquals: { 's3:prefix': 'b/' } }, '?prefix=', {}, '403 AccessDenied'],
      [{ NumericLessThanEquals: { 's3:max-keys': 10 } }, '?max-keys=10', {}, '200'],
      [{ NumericLessThanEquals: { 's3:max-keys': 10 } }, '', {}, '403 AccessDenied'],
      [{ IpAddress: { 'aws:SourceIp': '127.0.0.0/8' } }, '', {}, '200'],
      [{ NotIpAddress: { 'aws:SourceIp': '127.0.0.0/8' } }, '', {}, '403 AccessDenied'],
      [{ Bool: { 'aws:SecureTransport': 'true' } }, '', {}, '403 AccessDenied'],
      [
        { StringLike: { 'aws:Referer': 'http://example.com/*' } },
        '',
        { referer: 'http://example.com/x' },
        '200',
      ],
      [{ StringEquals: { 'aws:UserAgent': 'me' } }, '', { 'user-agent': 'me' }, '200'],
      [{ DateGreaterThan: { 'aws:CurrentTime': '2020-01-01T00:00:00Z' } }, '', {}, '200'],
      [
        { StringEquals: { 'aws:PrincipalArn': 'arn:aws:iam::bob:root', 'aws:PrincipalType': 'Account' } },
        '',
        {},
        '200',
      ],
    ];
    for (const [condition, query, headers, outcome] of cases) {
      await setPolicy(list(condition));
      assert.equal(
        await ask('GET', `/${bucket}${query}`, { ...bob, headers }),
        outcome,
        JSON.stringify(condition),
      );
    }
  });
});

describe('what is not there', () => {
  it('is 404 for those who may list, and 403 for others', async () => {
    await setPolicy(toBob('s3:GetObject'));
    for (const method of ['GET', 'HEAD']) assert.match(await ask(method, `/${bucket}/none`, bob), /^403/);
    await setPolicy(
      toBob('s3:ListBucket', { Resource: whole(), Condition: { StringLike: { 's3:prefix': 'open/*' } } }),
    );
    assert.equal(await ask('GET', `/${bucket}/open/none`, bob), '404 NoSuchKey');
    assert.equal(await ask('GET', `/${bucket}/shut/none`, bob), '403 AccessDenied');
    assert.equal(await ask('GET', `/${bucket}/a`, bob), '403 AccessDenied');
    assert.equal(await ask('GET', `/${bucket}/none`, nobody), '403 AccessDenied');
    assert.equal(await ask('GET', `/${bucket}/none`), '404 NoSuchKey');
  });
});

describe('where lists count', () => {
  let open = '';
  const policyOfOpen = (...Statement: Json[]) =>
    ask('PUT', `/${open}?policy`, { body: JSON.stringify({ Version: '2012-10-17', Statement }) });
  beforeEach(async () => {
    open = `lists-${++count}`;
    const headers = { 'x-amz-object-ownership': 'ObjectWriter', 'x-amz-acl': 'public-read-write' };
    assert.equal(await ask('PUT', `/${open}`, { headers }), '200');
  });

  it("a bucket's policy gives away its owner's objects alone, and denies for all", async () => {
    await front.request('PUT', `/${open}/alices`, { body: 'a' });
    await front.request('PUT', `/${open}/bobs`, { ...bob, body: 'b' });
    const everybody = { Principal: '*', Action: 's3:GetObject', Resource: `arn:aws:s3:::${open}/*` };
    await policyOfOpen({ ...everybody, Effect: 'Allow' });
    assert.equal(await ask('GET', `/${open}/alices`, nobody), '200');
    assert.equal(await ask('GET', `/${open}/bobs`, nobody), '403 AccessDenied');
    assert.equal(await ask('GET', `/${open}/bobs`, bob), '200');
    await policyOfOpen({ ...everybody, Effect: 'Deny' });
    assert.equal(await ask('GET', `/${open}/bobs`, bob), '403 AccessDenied');
  });

  it('whoever may write may not lock what it writes, unless a policy says so', async () => {
    const name = `locks-${++count}`;
    const headers = {
      'x-amz-object-ownership': 'ObjectWriter',
      'x-amz-acl': 'public-read-write',
      'x-amz-bucket-object-lock-enabled': 'true',
    };
    assert.equal(await ask('PUT', `/${name}`, { headers }), '200');
    const put = (who: object, hold: boolean) =>
      ask('PUT', `/${name}/k`, {
        ...who,
        body: 'x',
        headers: {
          'content-md5': 'ndTkYSaMgDT1yFZOFVxnpg==',
          ...(hold && { 'x-amz-object-lock-legal-hold': 'ON' }),
        },
      });
    for (const who of [bob, nobody]) assert.equal(await put(who, false), '200');
    for (const who of [bob, nobody]) assert.equal(await put(who, true), '403 AccessDenied');
    assert.equal(await put({}, true), '200');
    const allow = { ...toBob('s3:PutObjectLegalHold'), Resource: `arn:aws:s3:::${name}/*` };
    await ask('PUT', `/${name}?policy`, {
      body: JSON.stringify({ Version: '2012-10-17', Statement: allow }),
    });
    assert.equal(await put(bob, true), '200');
    assert.equal(await put(nobody, true), '403 AccessDenied');
  });

  it('whoever may write may say what the list and the tags of the new object are', async () => {
    const headers = { 'x-amz-acl': 'public-read', 'x-amz-tagging': 'a=b' };
    assert.equal(await ask('PUT', `/${open}/n`, { ...nobody, body: 'x', headers }), '200');
    assert.equal(await ask('GET', `/${open}/n`, nobody), '200');
    assert.equal(
      await ask('PUT', `/${open}/n?tagging`, { ...nobody, body: '<Tagging><TagSet/></Tagging>' }),
      '403 AccessDenied',
    );
    assert.equal(
      await ask('PUT', `/${open}/n?acl`, { ...nobody, headers: { 'x-amz-acl': 'private' } }),
      '403 AccessDenied',
    );
    await ask('PUT', `/${open}?acl`, { headers: { 'x-amz-acl': 'public-read' } });
    assert.equal(await ask('PUT', `/${open}/m`, { ...nobody, body: 'x', headers }), '403 AccessDenied');
  });
});

describe('a public access block', () => {
  it('is kept as it was put', async () => {
    assert.equal(await block('BlockPublicAcls', 'RestrictPublicBuckets'), '200');
    assert.match(
      (await front.request('GET', `/${bucket}?publicAccessBlock`)).text,
      /<BlockPublicAcls>true<\/BlockPublicAcls><IgnorePublicAcls>false<\/IgnorePublicAcls><BlockPublicPolicy>false<\/BlockPublicPolicy><RestrictPublicBuckets>true</,
    );
    assert.equal(await ask('DELETE', `/${bucket}?publicAccessBlock`), '204');
    assert.equal(
      await ask('GET', `/${bucket}?publicAccessBlock`),
      '404 NoSuchPublicAccessBlockConfiguration',
    );
    const wrong =
      '<PublicAccessBlockConfiguration><BlockPublicAcls>yes</BlockPublicAcls></PublicAccessBlockConfiguration>';
    assert.equal(await ask('PUT', `/${bucket}?publicAccessBlock`, { body: wrong }), '400 MalformedXML');
  });

  it('refuses public policies, and shuts those that are there', async () => {
    const open = { Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: objects() };
    await setPolicy(open);
    assert.equal(await ask('GET', `/${bucket}/a`, nobody), '200');
    await block('RestrictPublicBuckets');
    assert.equal(await ask('GET', `/${bucket}/a`, nobody), '403 AccessDenied');
    assert.equal(await ask('GET', `/${bucket}/a`, bob), '403 AccessDenied');
    assert.equal(await ask('GET', `/${bucket}/a`), '200');
    await block('BlockPublicPolicy');
    const body = JSON.stringify({ Statement: open });
    assert.equal(await ask('PUT', `/${bucket}?policy`, { body }), '403 AccessDenied');
    await setPolicy(toBob('s3:GetObject'));
  });
});

describe('the log', () => {
  it('says why somebody was refused, and the answer does not', async () => {
    await setPolicy({ ...toBob('s3:GetObject'), Sid: 'no-bob', Effect: 'Deny' });
    const answer = await front.request('GET', `/${bucket}/a`, bob);
    assert.ok(!answer.text.includes('no-bob'));
    const id = answer.headers.get('x-amz-request-id')!;
    const line = front
      .logged()
      .split('\n')
      .filter((one) => one.includes(id))
      .map((one) => JSON.parse(one))
      .find(({ msg }) => msg === 'refused');
    assert.deepEqual(
      [line.action, line.key, line.principal, line.why],
      ['s3:GetObject', 'a', 'arn:aws:iam::bob:root', "the bucket's policy denies it, no-bob"],
    );
  });
});
