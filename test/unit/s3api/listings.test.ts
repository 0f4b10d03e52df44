/** The listing operations over HTTP, on the model catalog. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { childText, parseXml, type XmlElement } from '../../../src/s3api/xml-reader.ts';
import { type S3Front, startS3Front } from '../../model/s3-front.ts';

let front: S3Front;
before(async () => {
  front = await startS3Front();
});
after(() => front.close());

let buckets = 0;
async function bucketWith(keys: readonly string[]): Promise<string> {
  const name = `listed-${++buckets}`;
  assert.equal((await front.request('PUT', `/${name}`)).status, 200);
  for (const key of keys) {
    const put = await front.request('PUT', `/${name}/${encodeURIComponent(key)}`, { body: key });
    assert.equal(put.status, 200, put.text);
  }
  return name;
}

interface Listing {
  readonly root: XmlElement;
  readonly keys: string[];
  readonly prefixes: string[];
  readonly text: (name: string) => string | undefined;
}
async function list(bucket: string, parameters: Record<string, string>, account = 'alice'): Promise<Listing> {
  const answer = await front.request('GET', `/${bucket}?${new URLSearchParams(parameters)}`, { account });
  assert.equal(answer.status, 200, answer.text);
  const root = parseXml(answer.text);
  const named = (name: string, child: string) =>
    root.children.filter((c) => c.name === name).map((c) => childText(c, child)!);
  return {
    root,
    keys: named('Contents', 'Key'),
    prefixes: named('CommonPrefixes', 'Prefix'),
    text: (name) => childText(root, name),
  };
}
async function refusal(bucket: string, query: string): Promise<Record<string, string | undefined>> {
  const answer = await front.request('GET', `/${bucket}?${query}`);
  const root = parseXml(answer.text);
  return {
    status: String(answer.status),
    code: childText(root, 'Code'),
    name: childText(root, 'ArgumentName'),
    value: childText(root, 'ArgumentValue'),
  };
}

describe('ListObjects', () => {
  it('pages with markers; NextMarker is given only with a delimiter', async () => {
    const bucket = await bucketWith(['asdf', 'boo/bar', 'boo/baz/xyzzy', 'cquux/bla', 'cquux/thud']);
    const first = await list(bucket, { delimiter: '/', 'max-keys': '1' });
    assert.deepEqual([first.keys, first.prefixes], [['asdf'], []]);
    assert.equal(first.text('IsTruncated'), 'true');
    assert.equal(first.text('NextMarker'), 'asdf');
    const second = await list(bucket, { delimiter: '/', 'max-keys': '1', marker: 'asdf' });
    assert.deepEqual([second.keys, second.prefixes], [[], ['boo/']]);
    assert.equal(second.text('NextMarker'), 'boo/');
    const third = await list(bucket, { delimiter: '/', 'max-keys': '1', marker: 'boo/' });
    assert.deepEqual([third.prefixes, third.text('IsTruncated')], [['cquux/'], 'false']);
    assert.equal(third.text('NextMarker'), undefined);
    const flat = await list(bucket, { 'max-keys': '2' });
    assert.deepEqual([flat.keys, flat.text('NextMarker')], [['asdf', 'boo/bar'], undefined]);
  });

  it('echoes its parameters and leaves out an empty delimiter', async () => {
    const bucket = await bucketWith(['bar']);
    const all = await list(bucket, { delimiter: '', marker: '\n' });
    assert.equal(all.text('Delimiter'), undefined);
    assert.equal(all.text('Marker'), '\n');
    assert.equal(all.text('Prefix'), '');
    assert.equal(all.text('MaxKeys'), '1000');
    assert.equal(all.text('Name'), bucket);
    assert.equal((await list(bucket, {})).text('Marker'), '');
  });

  it('says who owns an object, how long it is and which checksum it has', async () => {
    const bucket = await bucketWith(['bar']);
    const [entry] = (await list(bucket, {})).root.children.filter((c) => c.name === 'Contents');
    assert.equal(childText(entry!, 'Size'), '3');
    assert.equal(childText(entry!, 'ETag'), '"37b51d194a7513e45b56f6524f2d51f2"');
    assert.equal(childText(entry!, 'StorageClass'), 'STANDARD');
    assert.match(childText(entry!, 'LastModified')!, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z$/);
    const owner = entry!.children.find((c) => c.name === 'Owner')!;
    assert.deepEqual([childText(owner, 'ID'), childText(owner, 'DisplayName')], ['alice', 'Alice A']);
  });

  it('takes max-keys from 0 to any number, and clamps it to 1,000', async () => {
    const bucket = await bucketWith(['a', 'b']);
    const none = await list(bucket, { 'max-keys': '0' });
    assert.deepEqual([none.keys, none.text('IsTruncated'), none.text('MaxKeys')], [[], 'false', '0']);
    assert.equal((await list(bucket, { 'max-keys': '2147483647' })).text('MaxKeys'), '1000');
    assert.equal((await list(bucket, { 'max-keys': '' })).text('MaxKeys'), '1000');
    for (const value of ['blah', '-1', '2147483648', '1.5', '99999999999999999999'])
      assert.deepEqual(await refusal(bucket, `max-keys=${value}`), {
        status: '400',
        code: 'InvalidArgument',
        name: 'max-keys',
        value,
      });
  });

  it('encodes keys, prefixes and markers when it is asked to', async () => {
    const bucket = await bucketWith(['foo+1/bar', 'foo/bar/xyzzy', 'quux ab/thud', 'asdf+b', '\x01']);
    const encoded = await list(bucket, { delimiter: '/', 'encoding-type': 'url', marker: ' ' });
    assert.deepEqual(encoded.keys, ['asdf%2Bb']);
    assert.deepEqual(encoded.prefixes, ['foo%2B1/', 'foo/', 'quux%20ab/']);
    assert.deepEqual(
      [encoded.text('EncodingType'), encoded.text('Delimiter'), encoded.text('Marker')],
      ['url', '/', '%20'],
    );
    const prefixed = await list(bucket, { 'encoding-type': 'url', prefix: 'quux a' });
    assert.deepEqual([prefixed.keys, prefixed.text('Prefix')], [['quux%20ab/thud'], 'quux a']);
    const control = await list(bucket, { 'encoding-type': 'url', 'max-keys': '1' });
    assert.deepEqual(control.keys, ['%01']);
    assert.equal((await refusal(bucket, 'encoding-type=base64')).code, 'InvalidArgument');
  });

  it('takes any text for a delimiter', async () => {
    const bucket = await bucketWith(['bar', 'baz', 'cab', 'foo', 'b%r', 'x\ny']);
    assert.deepEqual((await list(bucket, { delimiter: 'a' })).prefixes, ['ba', 'ca']);
    assert.deepEqual((await list(bucket, { delimiter: '%' })).prefixes, ['b%']);
    assert.deepEqual((await list(bucket, { delimiter: '\n' })).prefixes, ['x\n']);
    assert.deepEqual((await list(bucket, { delimiter: 'az' })).prefixes, ['baz']);
  });
});

describe('ListObjectsV2', () => {
  it('pages with opaque tokens, whatever the page size, and misses nothing', async () => {
    const keys = ['a/1', 'a/2', 'b', 'b c+%', 'é', '한글/x', '\u{1f600}', '\u{ffff}x'];
    const bucket = await bucketWith(keys);
    const inOrder = [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    for (const size of ['1', '2', '3', '1000']) {
      const seen: string[] = [];
      let token: string | undefined;
      do {
        const page = await list(bucket, {
          'list-type': '2',
          'encoding-type': 'url',
          'max-keys': size,
          ...(token !== undefined && { 'continuation-token': token }),
        });
        assert.equal(page.text('ContinuationToken'), token);
        assert.equal(page.text('KeyCount'), String(page.keys.length));
        seen.push(...page.keys.map(decodeURIComponent));
        token = page.text('NextContinuationToken');
        assert.equal(token !== undefined, page.text('IsTruncated') === 'true');
      } while (token !== undefined);
      assert.deepEqual(seen, inOrder);
    }
  });

  it('counts common prefixes as keys', async () => {
    const bucket = await bucketWith(['a/1', 'a/2', 'b', 'c/1']);
    const first = await list(bucket, { 'list-type': '2', delimiter: '/', 'max-keys': '2' });
    assert.deepEqual([first.prefixes, first.keys, first.text('KeyCount')], [['a/'], ['b'], '2']);
    const token = first.text('NextContinuationToken')!;
    const rest = await list(bucket, { 'list-type': '2', delimiter: '/', 'continuation-token': token });
    assert.deepEqual([rest.prefixes, rest.keys, rest.text('KeyCount')], [['c/'], [], '1']);
  });

  it('starts after a key; the token wins over it; both are echoed', async () => {
    const bucket = await bucketWith(['bar', 'baz', 'foo', 'quxx']);
    const first = await list(bucket, { 'list-type': '2', 'start-after': 'bar', 'max-keys': '1' });
    assert.deepEqual([first.keys, first.text('StartAfter')], [['baz'], 'bar']);
    const token = first.text('NextContinuationToken')!;
    const rest = await list(bucket, { 'list-type': '2', 'start-after': 'bar', 'continuation-token': token });
    assert.deepEqual(rest.keys, ['foo', 'quxx']);
    assert.deepEqual([rest.text('ContinuationToken'), rest.text('StartAfter')], [token, 'bar']);
  });

  it('takes an empty token for the start and refuses a made-up one', async () => {
    const bucket = await bucketWith(['a', 'b']);
    const empty = await list(bucket, { 'list-type': '2', 'continuation-token': '' });
    assert.deepEqual([empty.keys, empty.text('ContinuationToken')], [['a', 'b'], '']);
    const token = (await list(bucket, { 'list-type': '2', 'max-keys': '1' })).text('NextContinuationToken')!;
    const flipped = (token.startsWith('A') ? 'B' : 'A') + token.slice(1);
    for (const bad of ['x', 'a', `${token}A`, token.slice(1), flipped])
      assert.deepEqual(await refusal(bucket, `list-type=2&continuation-token=${bad}`), {
        status: '400',
        code: 'InvalidArgument',
        name: 'continuation-token',
        value: bad,
      });
  });

  it('names owners only when they are asked for', async () => {
    const bucket = await bucketWith(['a']);
    const owners = async (parameters: Record<string, string>) =>
      (await list(bucket, { 'list-type': '2', ...parameters })).root.children
        .flatMap((c) => c.children)
        .filter((c) => c.name === 'Owner').length;
    assert.equal(await owners({}), 0);
    assert.equal(await owners({ 'fetch-owner': 'true' }), 1);
    assert.equal(await owners({ 'fetch-owner': 'false' }), 0);
  });

  it('agrees with a plain filter, for any keys, prefix and delimiter', async () => {
    const bucket = await bucketWith([]);
    const unit = fc.constantFrom('a', 'b', '/', '-');
    const name = fc.string({ unit, minLength: 1, maxLength: 6 });
    const stored = new Set<string>();
    await fc.assert(
      fc.asyncProperty(name, fc.string({ unit, maxLength: 3 }), async (key, prefix) => {
        await front.request('PUT', `/${bucket}/${encodeURIComponent(key)}`, { body: 'x' });
        stored.add(key);
        const page = await list(bucket, { 'list-type': '2', prefix, delimiter: '/' });
        const below = [...stored].filter((k) => k.startsWith(prefix)).sort();
        const cut = (k: string) => k.indexOf('/', prefix.length);
        assert.deepEqual(
          page.keys,
          below.filter((k) => cut(k) < 0),
        );
        const rolled = below.filter((k) => cut(k) >= 0).map((k) => k.slice(0, cut(k) + 1));
        assert.deepEqual(page.prefixes, [...new Set(rolled)]);
      }),
      { numRuns: 60 },
    );
  });
});

describe('ListObjectVersions', () => {
  async function versioned(): Promise<string> {
    const bucket = await bucketWith(['a']);
    const enabled = '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>';
    assert.equal((await front.request('PUT', `/${bucket}?versioning`, { body: enabled })).status, 200);
    await front.request('PUT', `/${bucket}/a`, { body: 'second' });
    await front.request('DELETE', `/${bucket}/a`);
    await front.request('PUT', `/${bucket}/b/c`, { body: 'third' });
    return bucket;
  }
  const rows = (root: XmlElement) =>
    root.children
      .filter((c) => c.name === 'Version' || c.name === 'DeleteMarker')
      .map((c) => `${c.name} ${childText(c, 'Key')} ${childText(c, 'IsLatest')}`);

  it('lists versions and delete markers, the newest first, the null version as null', async () => {
    const bucket = await versioned();
    const { root } = await list(bucket, { versions: '' });
    assert.deepEqual(rows(root), [
      'DeleteMarker a true',
      'Version a false',
      'Version a false',
      'Version b/c true',
    ]);
    assert.equal(childText(root.children.filter((c) => c.name === 'Version')[1]!, 'VersionId'), 'null');
  });

  it('pages by key and version id, to the same rows', async () => {
    const bucket = await versioned();
    const all = rows((await list(bucket, { versions: '' })).root);
    const seen: string[] = [];
    let markers: Record<string, string> = {};
    for (let page = 0; page < 4; page++) {
      const { root, text } = await list(bucket, { versions: '', 'max-keys': '1', ...markers });
      seen.push(...rows(root));
      assert.equal(text('IsTruncated'), String(page < 3));
      markers = {
        'key-marker': text('NextKeyMarker') ?? '',
        'version-id-marker': text('NextVersionIdMarker') ?? '',
      };
    }
    assert.deepEqual(seen, all);
    assert.deepEqual((await list(bucket, { versions: '', delimiter: '/' })).prefixes, ['b/']);
  });

  it('refuses a version marker without a key, and an empty one', async () => {
    const bucket = await bucketWith([]);
    assert.equal((await refusal(bucket, 'versions&version-id-marker=x')).code, 'InvalidArgument');
    assert.equal((await refusal(bucket, 'versions&key-marker=a&version-id-marker=')).code, 'InvalidArgument');
  });
});

describe('ListMultipartUploads', () => {
  it('lists uploads by key, pages and rolls up', async () => {
    const bucket = await bucketWith([]);
    for (const key of ['x/1', 'k', 'k', 'x/2']) await front.request('POST', `/${bucket}/${key}?uploads`);
    const uploads = (root: XmlElement) =>
      root.children.filter((c) => c.name === 'Upload').map((c) => childText(c, 'Key'));
    assert.deepEqual(uploads((await list(bucket, { uploads: '' })).root), ['k', 'k', 'x/1', 'x/2']);
    const first = await list(bucket, { uploads: '', 'max-uploads': '1' });
    assert.deepEqual([uploads(first.root), first.text('IsTruncated')], [['k'], 'true']);
    const next = await list(bucket, {
      uploads: '',
      'key-marker': first.text('NextKeyMarker')!,
      'upload-id-marker': first.text('NextUploadIdMarker')!,
    });
    assert.deepEqual(uploads(next.root), ['k', 'x/1', 'x/2']);
    const rolled = await list(bucket, { uploads: '', delimiter: '/' });
    assert.deepEqual([uploads(rolled.root), rolled.prefixes], [['k', 'k'], ['x/']]);
  });
});

describe('ListBuckets', () => {
  it('lists the own buckets, and pages through them with tokens', async () => {
    const names = ['bobs-a', 'bobs-b', 'bobs-c', 'other'];
    for (const name of names) await front.request('PUT', `/${name}`, { account: 'bob' });
    const namesOf = (text: string) => [...text.matchAll(/<Name>([^<]*)/g)].map((match) => match[1]);
    const ask = async (query: string) => (await front.request('GET', `/?${query}`, { account: 'bob' })).text;
    const all = await ask('');
    assert.deepEqual(namesOf(all), names);
    assert.match(all, /<Owner><ID>bob<\/ID><DisplayName>Bob B<\/DisplayName><\/Owner>/);
    assert.doesNotMatch(all, /BucketRegion|ContinuationToken/);
    const first = await ask('max-buckets=2&prefix=bobs');
    assert.deepEqual(namesOf(first), ['bobs-a', 'bobs-b']);
    assert.match(first, /<BucketRegion>us-east-1<\/BucketRegion>/);
    const token = /<ContinuationToken>([^<]+)/.exec(first)![1]!;
    const rest = await ask(`max-buckets=2&prefix=bobs&continuation-token=${token}`);
    assert.deepEqual(namesOf(rest), ['bobs-c']);
    assert.doesNotMatch(rest, /ContinuationToken/);
    assert.deepEqual(namesOf(await ask('bucket-region=eu-west-1')), []);
    for (const bad of ['max-buckets=0', 'max-buckets=10001', 'max-buckets=x', 'continuation-token=AAAA'])
      assert.match(await ask(bad), /<Code>InvalidArgument<\/Code>/, bad);
  });
});
