/** Websites: which configurations a bucket takes, and what visitors are shown. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { request } from 'undici';
import { routeOf } from '../../../src/s3api/website/routing.ts';
import { type S3Front, startS3Front } from '../../model/s3-front.ts';

let front: S3Front;
before(async () => {
  front = await startS3Front({ websiteDomains: ['website.test'] });
});
after(() => front.close());

const put = (bucket: string, inner: string) =>
  front.request('PUT', `/${bucket}?website`, {
    body: `<WebsiteConfiguration>${inner}</WebsiteConfiguration>`,
  });
const INDEX = '<IndexDocument><Suffix>index.html</Suffix></IndexDocument>';
const rules = (...all: string[]) =>
  `<RoutingRules>${all.map((rule) => `<RoutingRule>${rule}</RoutingRule>`).join('')}</RoutingRules>`;

interface Page {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}
async function visit(bucket: string, path: string, init: Parameters<typeof request>[1] = {}): Promise<Page> {
  const headers = { ...(init?.headers as Record<string, string>), host: `${bucket}.website.test` };
  const answer = await request(front.url + path, { ...init, headers });
  return { status: answer.statusCode, headers: answer.headers, text: await answer.body.text() };
}

/** A bucket that everybody may read (and list, unless told otherwise). */
async function makeSite(bucket: string, inner: string, { list = true } = {}): Promise<void> {
  assert.equal((await front.request('PUT', `/${bucket}`)).status, 200);
  const action = list ? ['s3:GetObject', 's3:ListBucket'] : ['s3:GetObject'];
  const resource = [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`];
  const statement = { Effect: 'Allow', Principal: '*', Action: action, Resource: resource };
  const policy = {
    Version: '2012-10-17',
    Statement: list ? [statement] : [{ ...statement, Resource: resource[1] }],
  };
  const set = await front.request('PUT', `/${bucket}?policy`, { body: JSON.stringify(policy) });
  assert.equal(set.status, 204, set.text);
  const answer = await put(bucket, inner);
  assert.equal(answer.status, 200, answer.text);
}
const store = (path: string, body: string, headers: Record<string, string> = {}) =>
  front.request('PUT', path, { body, headers });

describe('the configuration', () => {
  before(() => front.request('PUT', '/conf'));

  it('comes back as it was set, and is gone when deleted', async () => {
    const inner =
      `${INDEX}<ErrorDocument><Key>error.html</Key></ErrorDocument>` +
      rules(
        '<Condition><KeyPrefixEquals>docs/</KeyPrefixEquals><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals></Condition>' +
          '<Redirect><Protocol>https</Protocol><HostName>a.test</HostName><ReplaceKeyPrefixWith>d/</ReplaceKeyPrefixWith>' +
          '<HttpRedirectCode>302</HttpRedirectCode></Redirect>',
      );
    assert.equal((await put('conf', inner)).status, 200);
    assert.ok((await front.request('GET', '/conf?website')).text.includes(`${inner}</WebsiteConfiguration>`));
    const all =
      '<RedirectAllRequestsTo><HostName>b.test</HostName><Protocol>http</Protocol></RedirectAllRequestsTo>';
    assert.equal((await put('conf', all)).status, 200);
    assert.ok((await front.request('GET', '/conf?website')).text.includes(`>${all}</WebsiteConfiguration>`));
    assert.equal((await front.request('DELETE', '/conf?website')).status, 204);
    assert.match((await front.request('GET', '/conf?website')).text, /<Code>NoSuchWebsiteConfiguration</);
  });

  const redirect = (inner: string) => INDEX + rules(`<Redirect>${inner}</Redirect>`);
  const condition = (inner: string) =>
    INDEX + rules(`<Condition>${inner}</Condition><Redirect><HostName>a.test</HostName></Redirect>`);
  const cases: [string, string, RegExp][] = [
    ['no index', '', /InvalidArgument.*IndexDocument Suffix must be provided/],
    [
      'an empty suffix',
      '<IndexDocument><Suffix></Suffix></IndexDocument>',
      /InvalidArgument.*not well formed/,
    ],
    ['a suffix with a slash', '<IndexDocument><Suffix>a/b</Suffix></IndexDocument>', /InvalidArgument/],
    [
      'an empty error key',
      `${INDEX}<ErrorDocument><Key/></ErrorDocument>`,
      /ErrorDocument Key is not well formed/,
    ],
    ['an unknown element', `${INDEX}<Foo/>`, /MalformedXML/],
    [
      'all and an index',
      `<RedirectAllRequestsTo><HostName>a</HostName></RedirectAllRequestsTo>${INDEX}`,
      /InvalidRequest.*in conjunction/,
    ],
    ['all to nowhere', '<RedirectAllRequestsTo/>', /InvalidArgument.*host name must be provided/],
    [
      'a host with a path',
      '<RedirectAllRequestsTo><HostName>a/b</HostName></RedirectAllRequestsTo>',
      /InvalidArgument/,
    ],
    ['another protocol', redirect('<Protocol>ftp</Protocol>'), /InvalidRequest.*Invalid protocol/],
    ['an empty redirect', redirect(''), /MalformedXML/],
    [
      'two replacements',
      redirect('<ReplaceKeyWith>a</ReplaceKeyWith><ReplaceKeyPrefixWith>b</ReplaceKeyPrefixWith>'),
      /not both/,
    ],
    ['code 300', redirect('<HttpRedirectCode>300</HttpRedirectCode>'), /\(300\) is not valid/],
    ['an empty condition', condition(''), /Condition cannot be empty/],
    [
      'error code 200',
      condition('<HttpErrorCodeReturnedEquals>200</HttpErrorCodeReturnedEquals>'),
      /4XX or 5XX/,
    ],
    [
      '51 rules',
      INDEX + rules(...Array(51).fill('<Redirect><HostName>a</HostName></Redirect>')),
      /51 routing rules provided/,
    ],
  ];
  for (const [what, inner, message] of cases)
    it(`with ${what} is refused`, async () => {
      const answer = await put('conf', inner);
      assert.equal(answer.status, 400);
      assert.match(answer.text, message);
    });
});

describe('a website', () => {
  before(async () => {
    await makeSite('site', `${INDEX}<ErrorDocument><Key>oops.html</Key></ErrorDocument>`);
    await store('/site/index.html', '<h1>home</h1>', { 'content-type': 'text/html' });
    await store('/site/docs/index.html', 'docs');
    await store('/site/oops.html', 'sorry', { 'content-type': 'text/html' });
    await store('/site/away', '', { 'x-amz-website-redirect-location': '/docs/' });
  });

  it('shows index documents, of the root and of folders', async () => {
    const home = await visit('site', '/');
    assert.deepEqual(
      [home.status, home.text, home.headers['content-type']],
      [200, '<h1>home</h1>', 'text/html'],
    );
    assert.equal((await visit('site', '/docs/?a=b')).text, 'docs');
    const folder = await visit('site', '/docs');
    assert.deepEqual([folder.status, folder.headers.location], [302, '/docs/']);
  });

  it('goes where objects point', async () => {
    const answer = await visit('site', '/away');
    assert.deepEqual([answer.status, answer.headers.location, answer.text], [301, '/docs/', '']);
  });

  it('answers HEAD, ranges and conditions', async () => {
    const head = await visit('site', '/', { method: 'HEAD' });
    assert.deepEqual([head.status, head.headers['content-length'], head.text], [200, '13', '']);
    const part = await visit('site', '/', { headers: { range: 'bytes=4-7' } });
    assert.deepEqual([part.status, part.text], [206, 'home']);
    const known = await visit('site', '/', { headers: { 'if-none-match': String(head.headers.etag) } });
    assert.deepEqual([known.status, known.text], [304, '']);
  });

  it('shows its error document under the status of the error', async () => {
    const answer = await visit('site', '/none', { headers: { range: 'bytes=0-0' } });
    assert.deepEqual(
      [answer.status, answer.text, answer.headers['content-type']],
      [404, 'sorry', 'text/html'],
    );
    assert.equal(answer.headers['x-amz-error-code'], 'NoSuchKey');
    assert.equal(answer.headers.etag, undefined);
    assert.deepEqual([(await visit('site', '/none', { method: 'HEAD' })).status], [404]);
  });

  it('takes no other methods', async () => {
    for (const method of ['PUT', 'POST', 'DELETE', 'OPTIONS'] as const) {
      const answer = await visit('site', '/index.html', { method });
      assert.equal(answer.status, 405);
      assert.equal(answer.headers.allow, 'GET, HEAD');
      assert.match(answer.text, /<h1>405 Method Not Allowed<\/h1>/);
    }
  });

  it('answers nobody by what he signed', async () => {
    const answer = await visit('site', '/', { headers: { authorization: 'AWS4-HMAC-SHA256 nonsense' } });
    assert.equal(answer.status, 200);
  });

  it('has health pages of its own, not the store’s', async () => {
    assert.equal((await visit('site', '/-/live')).status, 404);
  });
});

describe('a website with nothing of its own to show', () => {
  before(async () => {
    await makeSite('bare', `${INDEX}<ErrorDocument><Key>gone.html</Key></ErrorDocument>`, { list: false });
    await front.request('PUT', '/private');
    await put('private', INDEX);
    await front.request('PUT', '/nosite');
  });

  it('shows a page about the error, escaped', async () => {
    const answer = await visit('bare', '/%3Cscript%3E');
    assert.equal(answer.status, 403, 'what may not be listed is not said to be missing');
    assert.equal(answer.headers['content-type'], 'text/html; charset=utf-8');
    assert.match(answer.text, /<title>403 Forbidden<\/title>[\s\S]*<li>Code: AccessDenied<\/li>/);
    assert.match(answer.text, /An Error Occurred While Attempting to Retrieve a Custom Error Document/);
    assert.ok(!answer.text.includes('<script>'));
    const missing = await visit('site', '/%3Cscript%3E/');
    assert.ok(!missing.text.includes('<script>'));
  });

  it('is a page for buckets that are not there, not public, or no website', async () => {
    for (const [bucket, status, code] of [
      ['nobucket', 404, 'NoSuchBucket'],
      ['private', 403, 'AccessDenied'],
      ['nosite', 404, 'NoSuchWebsiteConfiguration'],
      ['x', 400, 'InvalidBucketName'],
    ] as const) {
      const answer = await visit(bucket, '/');
      assert.equal(answer.status, status);
      assert.match(answer.text, new RegExp(`<li>Code: ${code}</li>`));
    }
    assert.match((await visit('site', '/%zz')).text, /<li>Code: InvalidURI<\/li>/);
  });
});

describe('routing', () => {
  const go = (key: string, error: number | null, all: Parameters<typeof routeOf>[0]) =>
    routeOf(all, { key, secure: false, host: 's.test:81' }, error);

  it('follows the first rule that applies', () => {
    const all = [
      { condition: { keyPrefix: 'a/', errorCode: 404 }, redirect: { replaceKeyPrefix: 'b/?p=', code: 307 } },
      { condition: { errorCode: 404 }, redirect: { hostName: 'o.test', protocol: 'https' } },
      { condition: { keyPrefix: 'old/' }, redirect: { replaceKeyPrefix: 'new/' } },
      { condition: { keyPrefix: 'one' }, redirect: { replaceKey: 'só.html', code: 302 } },
    ] as const;
    assert.equal(go('a/x', null, all), null);
    assert.deepEqual(go('a/x y', 404, all), { status: 307, location: 'http://s.test:81/b/?p=x%20y' });
    assert.deepEqual(go('z', 404, all), { status: 301, location: 'https://o.test/z' });
    assert.equal(go('z', 403, all), null);
    assert.deepEqual(go('old/ü', null, all), { status: 301, location: 'http://s.test:81/new/%C3%BC' });
    assert.deepEqual(go('one', null, all), { status: 302, location: 'http://s.test:81/s%C3%B3.html' });
  });

  it('is done before an object is looked up, or when there is none', async () => {
    const rule = (inner: string, to: string) =>
      `<Condition>${inner}</Condition><Redirect><ReplaceKeyWith>${to}</ReplaceKeyWith></Redirect>`;
    await makeSite(
      'routed',
      INDEX +
        rules(
          rule('<KeyPrefixEquals>moved</KeyPrefixEquals>', 'here'),
          rule('<HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals>', 'lost'),
        ),
    );
    await store('/routed/moved-1', 'x');
    for (const [path, to] of [
      ['/moved-1', 'here'],
      ['/none', 'lost'],
    ] as const) {
      const answer = await visit('routed', path);
      assert.deepEqual([answer.status, answer.headers.location], [301, `http://routed.website.test/${to}`]);
    }
  });

  it('sends everybody elsewhere, with path and query', async () => {
    await makeSite(
      'all',
      '<RedirectAllRequestsTo><HostName>new.test</HostName><Protocol>https</Protocol></RedirectAllRequestsTo>',
    );
    const answer = await visit('all', '/a%20b?c=d');
    assert.deepEqual([answer.status, answer.headers.location], [301, 'https://new.test/a%20b?c=d']);
  });
});
