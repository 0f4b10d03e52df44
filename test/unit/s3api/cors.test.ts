/** CORS: which rules a bucket takes, what a preflight is told, and what every other answer carries. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { request } from 'undici';
import { systemClock } from '../../../src/base/clock.ts';
import type { AccountId } from '../../../src/base/ids.ts';
import { createRequestReaders } from '../../../src/s3api/body/readers.ts';
import { type CorsRule, matchCors } from '../../../src/s3api/cors/rules.ts';
import { type S3Front, startS3Front } from '../../model/s3-front.ts';

let front: S3Front;
before(async () => {
  front = await startS3Front();
  await front.request('PUT', '/plain');
});
after(() => front.close());

let buckets = 0;
const put = (bucket: string, xml: string) =>
  front.request('PUT', `/${bucket}?cors`, {
    body: xml,
    headers: { 'content-md5': createHash('md5').update(xml).digest('base64') },
  });
const doc = (...rules: string[]) =>
  `<CORSConfiguration>${rules.map((rule) => `<CORSRule>${rule}</CORSRule>`).join('')}</CORSConfiguration>`;
const GET_ALL = '<AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin>';
async function bucketWith(...rules: string[]): Promise<string> {
  const bucket = `cors-${++buckets}`;
  await front.request('PUT', `/${bucket}`);
  const answer = await put(bucket, doc(...rules));
  assert.equal(answer.status, 200, answer.text);
  return bucket;
}
const codeOf = (text: string) => /<Code>(\w+)<\/Code>/.exec(text)?.[1];

describe('the configuration', () => {
  it('comes back as it was set, and is gone when deleted', async () => {
    const rule =
      '<ID>one</ID><AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod>' +
      '<AllowedOrigin>https://*.example.org</AllowedOrigin><AllowedHeader>x-amz-*</AllowedHeader>' +
      '<ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>3000</MaxAgeSeconds>';
    const bucket = await bucketWith(rule, GET_ALL);
    const got = await front.request('GET', `/${bucket}?cors`);
    assert.ok(got.text.includes(`<CORSRule>${rule}</CORSRule><CORSRule>${GET_ALL}</CORSRule>`), got.text);
    assert.equal((await front.request('DELETE', `/${bucket}?cors`)).status, 204);
    const gone = await front.request('GET', `/${bucket}?cors`);
    assert.deepEqual([gone.status, codeOf(gone.text)], [404, 'NoSuchCORSConfiguration']);
  });

  const origin = '<AllowedOrigin>*</AllowedOrigin>';
  const cases: [string, string, string, RegExp][] = [
    ['no rule', doc(), 'MalformedXML', /./],
    ['no origin', doc('<AllowedMethod>GET</AllowedMethod>'), 'MalformedXML', /./],
    ['no method', doc(origin), 'MalformedXML', /./],
    ['an unknown element', doc(`${GET_ALL}<Foo/>`), 'MalformedXML', /./],
    ['a negative age', doc(`${GET_ALL}<MaxAgeSeconds>-1</MaxAgeSeconds>`), 'MalformedXML', /./],
    [
      'an unknown method',
      doc(`<AllowedMethod>PATCH</AllowedMethod>${origin}`),
      'InvalidRequest',
      /Found unsupported HTTP method in CORS config\. Unsupported method is PATCH/,
    ],
    [
      'two wildcards',
      doc('<AllowedMethod>GET</AllowedMethod><AllowedOrigin>*a*</AllowedOrigin>'),
      'InvalidRequest',
      /AllowedOrigin &quot;\*a\*&quot; can not have more than one wildcard/,
    ],
    [
      'two wildcards in a header',
      doc(`${GET_ALL}<AllowedHeader>*-*</AllowedHeader>`),
      'InvalidRequest',
      /AllowedHeader &quot;\*-\*&quot; can not have more/,
    ],
    [
      'a wildcard shown',
      doc(`${GET_ALL}<ExposeHeader>*</ExposeHeader>`),
      'InvalidRequest',
      /contains wildcard/,
    ],
    [
      'a line break in a header',
      doc(`${GET_ALL}<ExposeHeader>a&#10;b</ExposeHeader>`),
      'InvalidRequest',
      /is not valid/,
    ],
    ['101 rules', doc(...Array(101).fill(GET_ALL)), 'InvalidRequest', /limit of 100 rules/],
    ['an id twice', doc(`<ID>a</ID>${GET_ALL}`, `<ID>a</ID>${GET_ALL}`), 'InvalidRequest', /unique/],
    ['64 KiB', doc(`${GET_ALL}<ID>${' '.repeat(65536)}</ID>`), 'MalformedXML', /./],
  ];
  for (const [what, xml, code, message] of cases)
    it(`with ${what} is ${code}`, async () => {
      const answer = await put('plain', xml);
      assert.deepEqual([answer.status, codeOf(answer.text)], [400, code]);
      assert.match(answer.text, message);
    });

  it('is for those who may set it', async () => {
    const answer = await front.request('PUT', '/plain?cors', { account: 'bob', body: doc(GET_ALL) });
    assert.equal(answer.status, 403);
  });
});

describe('a preflight', () => {
  const ask = (path: string, headers: Record<string, string>) =>
    front.request('OPTIONS', path, { account: null, headers });
  const asks = (origin: string, method: string, names?: string) => ({
    origin,
    'access-control-request-method': method,
    ...(names !== undefined && { 'access-control-request-headers': names }),
  });

  it('is told what the rule allows', async () => {
    const bucket = await bucketWith(
      '<AllowedMethod>PUT</AllowedMethod><AllowedMethod>GET</AllowedMethod><AllowedOrigin>http://a.test</AllowedOrigin>' +
        '<AllowedHeader>X-Amz-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader><ExposeHeader>x-b</ExposeHeader>' +
        '<MaxAgeSeconds>60</MaxAgeSeconds>',
    );
    for (const path of [
      `/${bucket}/a/key`,
      `/${bucket}`,
      `/${bucket}/k?partNumber=1&uploadId=u`,
      `/${bucket}?uploads`,
    ]) {
      const answer = await ask(path, asks('http://a.test', 'PUT', 'X-Amz-Date, x-amz-meta-a'));
      assert.equal(answer.status, 200, answer.text);
      const shown = Object.fromEntries(
        [...answer.headers].filter(([name]) => /^access-control|^vary/.test(name)),
      );
      assert.deepEqual(shown, {
        'access-control-allow-origin': 'http://a.test',
        'access-control-allow-methods': 'PUT, GET',
        'access-control-allow-headers': 'x-amz-date, x-amz-meta-a',
        'access-control-expose-headers': 'ETag, x-b',
        'access-control-max-age': '60',
        'access-control-allow-credentials': 'true',
        vary: 'Origin, Access-Control-Request-Headers, Access-Control-Request-Method',
      });
      assert.equal(answer.text, '');
    }
    const refused = await ask(`/${bucket}/k`, asks('http://a.test', 'PUT', 'content-type'));
    assert.deepEqual([refused.status, codeOf(refused.text)], [403, 'AccessForbidden']);
    assert.match(refused.text, /This CORS request is not allowed.*<Method>PUT<.*<ResourceType>OBJECT</);
    assert.equal(refused.headers.get('access-control-allow-origin'), null);
  });

  it('goes by host style too', async () => {
    const bucket = await bucketWith(GET_ALL);
    const answer = await request(`${front.url}/key`, {
      method: 'OPTIONS',
      headers: { host: `${bucket}.localhost`, ...asks('http://x', 'GET') },
    });
    assert.equal(answer.statusCode, 200, await answer.body.text());
    assert.equal(answer.headers['access-control-allow-origin'], '*');
    assert.equal(answer.headers['access-control-allow-credentials'], undefined);
  });

  it('without origin or method is 400, without rules 403', async () => {
    const bucket = await bucketWith(GET_ALL);
    const cases: [string, Record<string, string>, number, RegExp][] = [
      [`/${bucket}`, {}, 400, /Insufficient information\. Origin request header needed\./],
      [`/${bucket}`, { origin: 'http://x' }, 400, /Invalid Access-Control-Request-Method: null/],
      [`/${bucket}`, asks('http://x', 'TRACE'), 400, /Invalid Access-Control-Request-Method: TRACE/],
      ['/plain', asks('http://x', 'GET'), 403, /CORS is not enabled for this bucket/],
      [`/${bucket}`, asks('http://x', 'PUT'), 403, /<ResourceType>BUCKET</],
      ['/no-such-bucket', asks('http://x', 'GET'), 404, /NoSuchBucket/],
    ];
    for (const [path, headers, status, text] of cases) {
      const answer = await ask(path, headers);
      assert.equal(answer.status, status, answer.text);
      assert.match(answer.text, text);
    }
  });
});

describe('an ordinary answer', () => {
  const RULE =
    '<AllowedMethod>GET</AllowedMethod><AllowedOrigin>http://a.test</AllowedOrigin><ExposeHeader>ETag</ExposeHeader>';
  const from = (origin: string, more: Record<string, string> = {}) => ({ headers: { origin, ...more } });

  it('says who may read it, whether it went well or not', async () => {
    const bucket = await bucketWith(RULE);
    await front.request('PUT', `/${bucket}/k`, { body: 'x' });
    for (const [path, account, status] of [
      [`/${bucket}/k`, 'alice', 200],
      [`/${bucket}/none`, 'alice', 404],
      [`/${bucket}/k`, null, 403],
      [`/${bucket}?uploadId&acl`, 'alice', 400],
    ] as const) {
      const answer = await front.request('GET', path, { account, ...from('http://a.test') });
      assert.equal(answer.status, status);
      assert.equal(answer.headers.get('access-control-allow-origin'), 'http://a.test');
      assert.equal(answer.headers.get('access-control-expose-headers'), 'ETag');
      assert.match(answer.headers.get('vary')!, /Origin/);
    }
  });

  it('says so to a request whose signature cannot be read', async () => {
    const deps = {
      findAccessKey: async () => null,
      openSecret: () => '',
      clock: systemClock,
      region: 'us-east-1',
    };
    const strict = await startS3Front({ readers: createRequestReaders({ ...deps, service: 's3' }) });
    try {
      const cors: CorsRule[] = [
        { allowedOrigins: ['*'], allowedMethods: ['GET'], allowedHeaders: [], exposeHeaders: [] },
      ];
      const bucket = { name: 'mine', owner: 'alice' as AccountId, region: 'us-east-1', objectLock: false };
      await strict.catalog.createBucket({ ...bucket, settings: { cors } });
      const answer = await strict.request(
        'GET',
        '/mine/k',
        from('http://x', { authorization: 'AWS4-HMAC-SHA256 x' }),
      );
      assert.equal(codeOf(answer.text), 'AuthorizationHeaderMalformed');
      assert.equal(answer.headers.get('access-control-allow-origin'), '*');
    } finally {
      await strict.close();
    }
  });

  it('of another origin, or of none, says nothing, but that it would say other things to others', async () => {
    const bucket = await bucketWith(RULE);
    for (const init of [from('http://b.test'), {}, from('')]) {
      const answer = await front.request('GET', `/${bucket}`, init);
      assert.equal(answer.headers.get('access-control-allow-origin'), null);
      assert.equal(answer.headers.get('vary'), 'Origin');
    }
    assert.equal((await front.request('GET', '/plain', from('http://a.test'))).headers.get('vary'), null);
  });

  it('is judged by the method asked for, where one is', async () => {
    const bucket = await bucketWith(RULE);
    const put = (more: Record<string, string>) =>
      front.request('PUT', `/${bucket}/k`, { body: '', ...from('http://a.test', more) });
    assert.equal((await put({})).headers.get('access-control-allow-origin'), null);
    const asked = await put({ 'access-control-request-method': 'GET' });
    assert.equal(asked.headers.get('access-control-allow-origin'), 'http://a.test');
  });
});

describe('origins', () => {
  const rule = (origin: string): CorsRule[] => [
    { allowedOrigins: [origin], allowedMethods: ['GET'], allowedHeaders: [], exposeHeaders: [] },
  ];
  const cases: [string, string, boolean][] = [
    ['*suffix', 'foo.suffix', true],
    ['*suffix', 'foo.suffix.get', false],
    ['start*end', 'startend', true],
    ['start*end', 'start12end', true],
    ['start*end', '0start12end', false],
    ['aba*aba', 'aba', false],
    ['prefix*', 'prefix.suffix', true],
    ['prefix*', 'bla.prefix', false],
    ['http://a', 'http://A', false],
    ['*', 'null', true],
  ];
  for (const [pattern, origin, met] of cases)
    it(`${pattern} ${met ? 'takes' : 'refuses'} ${origin}`, () => {
      const match = matchCors(rule(pattern), { origin, method: 'GET', headers: [] });
      assert.equal(match !== null, met);
    });
});
