/** Lifecycle configurations and storage classes over HTTP: what is taken, what is shown, what is refused and in which words. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { STORAGE_CLASSES } from '../../../src/lifecycle/classes.ts';
import type { LifecycleConfiguration } from '../../../src/lifecycle/rules.ts';
import { S3Error } from '../../../src/s3api/errors.ts';
import { lifecycleXml, readLifecycle } from '../../../src/s3api/lifecycle-documents.ts';
import { type S3Front, startS3Front } from '../../model/s3-front.ts';

const DAY_MS = 86_400_000;
const document = (...rules: readonly string[]) =>
  `<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${rules
    .map((rule) => `<Rule>${rule}</Rule>`)
    .join('')}</LifecycleConfiguration>`;
const read = (text: string) => readLifecycle(text, 'all_storage_classes_128K', STORAGE_CLASSES);

const ON = '<Status>Enabled</Status>';
const ALL = '<Filter/>';
const PREFIX = '<Filter><Prefix>test/</Prefix></Filter>';
const DAYS = '<Expiration><Days>1</Days></Expiration>';
const tagged = (key: string, value = '1') => `<Tag><Key>${key}</Key><Value>${value}</Value></Tag>`;
const move = (when: string, to: string) =>
  `<Transition>${when}<StorageClass>${to}</StorageClass></Transition>`;
const days = (n: number) => `<Days>${n}</Days>`;
const date = (text: string) => `<Date>${text}</Date>`;
const noncurrent = (n: number, more = '') =>
  `<NoncurrentVersionExpiration><NoncurrentDays>${n}</NoncurrentDays>${more}</NoncurrentVersionExpiration>`;
const abort = (n: number) =>
  `<AbortIncompleteMultipartUpload><DaysAfterInitiation>${n}</DaysAfterInitiation></AbortIncompleteMultipartUpload>`;
const MARKER = '<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>';

describe('a configuration that is not valid', () => {
  const malformed: readonly string[] = [
    document(),
    '<Other/>',
    document(ALL + DAYS),
    document(`${ALL}${DAYS}<Status>enabled</Status>`),
    document(ON + DAYS),
    document(`${ON}<Prefix/>${ALL}${DAYS}`),
    document(`${ON}${ALL}<Expiration/>`),
    document(`${ON}${ALL}<Expiration><Days>1</Days><Date>2030-01-01</Date></Expiration>`),
    document(`${ON}${ALL}<Expiration><Days>x</Days></Expiration>`),
    document(`${ON}${ALL}<Expiration><Days>3323232323232</Days></Expiration>`),
    document(`${ON}${ALL}<Expiration>${date('20200101')}</Expiration>`),
    document(`${ON}${ALL}${DAYS}<Surprise/>`),
    document(`${ON}<Filter><Prefix>a</Prefix>${tagged('a')}</Filter>${DAYS}`),
    document(`${ON}<Filter><And><Prefix>a</Prefix></And></Filter>${DAYS}`),
    document(`${ON}<Filter>${tagged('a')}${tagged('b')}</Filter>${DAYS}`),
    document(`${ON}${ALL}${move(days(1), 'STANDARD')}`),
    document(`${ON}${ALL}${move(days(1), 'COLD')}`),
    document(`${ON}${ALL}<Transition><Days>1</Days></Transition>`),
    document(`${ON}${ALL}<NoncurrentVersionExpiration/>`),
  ];
  for (const text of malformed)
    it(`is MalformedXML: ${text.slice(79, -25)}`, () =>
      assert.throws(
        () => read(text),
        (e) => e instanceof S3Error && e.code === 'MalformedXML',
      ));

  const where = "filter '(prefix=test/)'";
  const refused: readonly [string, string, string][] = [
    [
      `${ALL}<Expiration>${days(0)}</Expiration>`,
      'InvalidArgument',
      "'Days' for Expiration action must be a positive integer",
    ],
    [
      `${ALL}<Expiration>${date('2030-01-01T12:00:00Z')}</Expiration>`,
      'InvalidArgument',
      "'Date' must be at midnight GMT",
    ],
    [
      `${ALL}${move(days(-1), 'STANDARD_IA')}`,
      'InvalidArgument',
      "'Days' in Transition action must be nonnegative",
    ],
    [
      ALL + noncurrent(0),
      'InvalidArgument',
      "'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer",
    ],
    [
      ALL + noncurrent(1, '<NewerNoncurrentVersions>0</NewerNoncurrentVersions>'),
      'InvalidArgument',
      'NewerNoncurrentVersions must be a positive integer',
    ],
    [
      ALL + abort(0),
      'InvalidArgument',
      "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive integer",
    ],
    [ALL, 'InvalidRequest', 'At least one action needs to be specified in a rule'],
    [
      `<ID>${'a'.repeat(256)}</ID>${ALL}${DAYS}`,
      'InvalidArgument',
      'ID length should not exceed allowed limit of 255',
    ],
    [
      `<Filter>${tagged('a')}</Filter>${MARKER}`,
      'InvalidRequest',
      'ExpiredObjectDeleteMarker cannot be specified with Tags.',
    ],
    [
      `<Filter>${tagged('a')}</Filter>${abort(1)}`,
      'InvalidRequest',
      'AbortIncompleteMultipartUpload cannot be specified with Tags.',
    ],
    [
      `<Filter><ObjectSizeGreaterThan>1</ObjectSizeGreaterThan></Filter>${abort(1)}`,
      'InvalidRequest',
      'AbortIncompleteMultipartUpload cannot be specified with Object Size.',
    ],
    [
      `<Filter><And>${tagged('a')}${tagged('a')}</And></Filter>${DAYS}`,
      'InvalidRequest',
      'Duplicate Tag Keys are not allowed.',
    ],
    [
      `${PREFIX}${move(days(1), 'STANDARD_IA')}${move(date('2030-01-01'), 'GLACIER_IR')}`,
      'InvalidRequest',
      `Found mixed 'Date' and 'Days' based Transition actions in lifecycle rule for ${where}`,
    ],
    [
      `${PREFIX}<Expiration>${date('2030-01-01')}</Expiration>${move(days(1), 'STANDARD_IA')}`,
      'InvalidRequest',
      `Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule for ${where}`,
    ],
    [
      `${PREFIX}${move(days(1), 'STANDARD_IA')}${move(days(2), 'STANDARD_IA')}`,
      'InvalidRequest',
      `'StorageClass' must be different for 'Transition' actions in same 'Rule' with ${where}`,
    ],
    [
      `${PREFIX}<Expiration>${days(30)}</Expiration>${move(days(30), 'STANDARD_IA')}`,
      'InvalidArgument',
      `'Days' in the Expiration action for ${where} must be greater than 'Days' in the Transition action`,
    ],
    [
      `${PREFIX}${move(days(5), 'STANDARD_IA')}${move(days(5), 'GLACIER_IR')}`,
      'InvalidArgument',
      `'Days' in the Transition action for StorageClass 'GLACIER_IR' for ${where} must be greater than 'Days' in the Transition action for StorageClass 'STANDARD_IA' for ${where}`,
    ],
    [
      ALL + move(days(1), 'GLACIER'),
      'NotImplemented',
      'Objects cannot be moved to GLACIER: restoring objects is not implemented.',
    ],
  ];
  for (const [rule, code, message] of refused)
    it(`is ${code}: ${message}`, () =>
      assert.throws(
        () => read(document(ON + rule)),
        (e) => e instanceof S3Error && e.code === code && e.message === message,
      ));

  it('is refused for two rules of one id, for both forms at once, for too many rules', () => {
    const throws = (text: string, message: RegExp) => assert.throws(() => read(text), message);
    const same = `<ID>a</ID>${ON}${ALL}${DAYS}`;
    throws(document(same, same), /Rule ID must be unique/);
    throws(
      document(`${ON}<Prefix>a</Prefix>${DAYS}`, `${ON}${ALL}${DAYS}`),
      /Base level prefix cannot be used/,
    );
    const keeps = noncurrent(1, '<NewerNoncurrentVersions>3</NewerNoncurrentVersions>');
    throws(document(`${ON}<Prefix>a</Prefix>${keeps}`), /can only be used in Lifecycle V2/);
    throws(document(...Array(1001).fill(`${ON}${ALL}${DAYS}`)), /more than 1000 rules/);
    assert.equal(read(document(...Array(1000).fill(`${ON}${ALL}${DAYS}`))).rules.length, 1000);
  });
});

it('a configuration reads back as it was written, in either form', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '/', 'é', '<', '&', ' '), maxLength: 6 });
  const age = fc.integer({ min: 1, max: 5_000 });
  const filter = fc.oneof(
    text.map((prefix) => ({ form: 'filter', filter: { prefix } }) as const),
    fc.constant({ form: 'filter', filter: {} } as const),
    fc.tuple(text, fc.nat(1_000)).map(
      ([prefix, size]) =>
        ({
          form: 'and',
          filter: { prefix, tags: { a: '1', b: '' }, sizeGreaterThan: size, sizeLessThan: size + 1 },
        }) as const,
    ),
  );
  const actions = fc
    .record(
      {
        expiration: fc.oneof(
          age.map((n) => ({ days: n + 10_000 })),
          fc.nat(30_000).map((n) => ({ date: n * DAY_MS })),
        ),
        noncurrentExpiration: age.map((n) => ({ days: n + 10_000, keepNewer: 3 })),
        noncurrentTransitions: age.map((n) => [{ days: n, storageClass: 'GLACIER_IR' }]),
      },
      { requiredKeys: [] },
    )
    .filter((some) => Object.keys(some).length > 0);
  const rules = fc.array(fc.tuple(filter, actions, fc.boolean()), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(rules, (some) => {
      const configuration: LifecycleConfiguration = {
        rules: some.map(([f, a, isEnabled], i) => ({ id: `rule & ${i}`, isEnabled, ...f, ...a })),
        minimumSize: 'all_storage_classes_128K',
      };
      assert.deepEqual(read(lifecycleXml(configuration)), configuration);
    }),
    { numRuns: 300 },
  );
  const old = document(`<ID>x</ID><Prefix>a/</Prefix>${ON}${DAYS}`);
  assert.match(lifecycleXml(read(old)), /<Rule><ID>x<\/ID><Prefix>a\/<\/Prefix><Status>Enabled<\/Status>/);
});

describe('over HTTP', () => {
  let front: S3Front;
  before(async () => {
    front = await startS3Front();
    await front.request('PUT', '/b-1');
  });
  after(() => front.close());

  const md5 = async (body: string) =>
    (await import('node:crypto')).createHash('md5').update(body).digest('base64');
  const put = async (body: string, headers: Record<string, string> = {}) =>
    front.request('PUT', '/b-1?lifecycle', { body, headers: { 'content-md5': await md5(body), ...headers } });

  it('a configuration is set, shown and taken away', async () => {
    assert.match((await front.request('GET', '/b-1?lifecycle')).text, /NoSuchLifecycleConfiguration/);
    const without = await front.request('PUT', '/b-1?lifecycle', { body: document(ON + ALL + DAYS) });
    assert.match(without.text, /<Code>InvalidRequest<\/Code>/);
    const minimum = 'x-amz-transition-default-minimum-object-size';
    const set = await put(document(ON + ALL + DAYS), { [minimum]: 'varies_by_storage_class' });
    assert.deepEqual([set.status, set.headers.get(minimum)], [200, 'varies_by_storage_class']);
    assert.equal((await put(document(ON + ALL + DAYS), { [minimum]: 'x' })).status, 400);
    const shown = await front.request('GET', '/b-1?lifecycle');
    assert.equal(shown.headers.get(minimum), 'varies_by_storage_class');
    assert.match(shown.text, /<Rule><ID>[\w-]{43}<\/ID><Filter><\/Filter><Status>Enabled<\/Status>/);
    assert.equal((await front.request('GET', '/b-1?lifecycle', { account: 'bob' })).status, 403);
    for (const _ of [1, 2]) assert.equal((await front.request('DELETE', '/b-1?lifecycle')).status, 204);
    assert.equal((await front.request('GET', '/b-1?lifecycle')).status, 404);
  });

  it('objects and uploads say when they end', async () => {
    const rule = (more: string) => `<ID>a rule</ID>${ON}${PREFIX}${more}`;
    await put(document(rule(DAYS + abort(2))));
    const on = (n: number) => new Date((Math.floor(Date.now() / DAY_MS) + n) * DAY_MS).toUTCString();
    const expected = () => `expiry-date="${on(2)}", rule-id="a%20rule"`;
    const header = 'x-amz-expiration';
    const object = '/b-1/test/o';
    assert.equal((await front.request('PUT', object, { body: 'x' })).headers.get(header), expected());
    assert.equal((await front.request('HEAD', object)).headers.get(header), expected());
    assert.equal((await front.request('GET', object)).headers.get(header), expected());
    const copy = { headers: { 'x-amz-copy-source': object } };
    assert.equal((await front.request('PUT', '/b-1/test/c', copy)).headers.get(header), expected());
    assert.equal((await front.request('PUT', '/b-1/other', copy)).headers.get(header), null);
    const created = await front.request('POST', '/b-1/test/u?uploads');
    const said = (headers: Headers) => [headers.get('x-amz-abort-date'), headers.get('x-amz-abort-rule-id')];
    assert.deepEqual(said(created.headers), [on(3), 'a%20rule']);
    const id = /<UploadId>([^<]+)</.exec(created.text)![1]!;
    const listed = await front.request('GET', `/b-1/test/u?uploadId=${id}`);
    assert.deepEqual(said(listed.headers), [on(3), 'a%20rule']);
    const part = await front.request('PUT', `/b-1/test/u?uploadId=${id}&partNumber=1`, { body: 'x' });
    const parts = `<Part><PartNumber>1</PartNumber><ETag>${part.headers.get('etag')}</ETag></Part>`;
    const body = `<CompleteMultipartUpload>${parts}</CompleteMultipartUpload>`;
    const complete = () => front.request('POST', `/b-1/test/u?uploadId=${id}`, { body });
    for (const _ of [1, 2]) assert.equal((await complete()).headers.get(header), expected());
    assert.deepEqual(said((await front.request('POST', '/b-1/other?uploads')).headers), [null, null]);
  });

  it('declared classes are taken and shown, others refused', async () => {
    const as = (storageClass: string) => ({ body: 'x', headers: { 'x-amz-storage-class': storageClass } });
    for (const storageClass of STORAGE_CLASSES) {
      const key = `/b-1/class/${storageClass}`;
      assert.equal((await front.request('PUT', key, as(storageClass))).status, 200);
      const shown = (await front.request('HEAD', key)).headers.get('x-amz-storage-class');
      assert.equal(shown, storageClass === 'STANDARD' ? null : storageClass);
    }
    const { text } = await front.request('GET', '/b-1?list-type=2&prefix=class/');
    const listed = [...text.matchAll(/<StorageClass>(\w+)</g)].map((found) => found[1]!);
    assert.deepEqual(listed.sort(), [...STORAGE_CLASSES].sort());
    assert.equal((await front.request('PUT', '/b-1/x', as('GLACIER'))).status, 501);
    assert.match((await front.request('PUT', '/b-1/x', as('COLD'))).text, /InvalidStorageClass/);
    // A copy onto itself is how a client changes the class.
    const moved = { 'x-amz-copy-source': '/b-1/class/STANDARD', 'x-amz-storage-class': 'ONEZONE_IA' };
    assert.equal((await front.request('PUT', '/b-1/class/STANDARD', { headers: moved })).status, 200);
    const { headers } = await front.request('HEAD', '/b-1/class/STANDARD');
    assert.equal(headers.get('x-amz-storage-class'), 'ONEZONE_IA');
  });
});
