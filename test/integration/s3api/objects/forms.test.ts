/** PostObject: what becomes of a form's file, and which forms are none. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { GetObjectCommand, GetObjectTaggingCommand, HeadObjectCommand } from '@aws-sdk/client-s3';
import { type FormPart, fieldsOf, multipart } from '../../../harness/post-form.ts';
import { Bucket, type FormFront, file, type Posted, signed, startFormFront } from './form-kit.ts';

let front: FormFront;
before(async () => {
  front = await startFormFront();
});
after(() => front.close());
const send = (body: Buffer, type?: string | null) => front.send(body, type);
const post = (parts: readonly FormPart[], content?: FormPart) => front.post(parts, content);
const read = (key: string) => front.read(key);
/** What a form says where the file's name is to stand. */
const NAME = ['$', '{filename}'].join('');

describe('a signed form', () => {
  it('stores its file, and answers 204 with where it is', async () => {
    const answer = await post(signed({ key: 'a/plain.txt' }));
    assert.equal(answer.outcome, '204');
    assert.equal(answer.headers.get('etag'), `"${createHash('md5').update('meow').digest('hex')}"`);
    assert.equal(answer.headers.get('location'), `${front.url}/${Bucket}/a%2Fplain.txt`);
    assert.equal(answer.text, '');
    assert.equal(await read('a/plain.txt'), 'meow');
  });

  it('keeps what its fields say of the object', async () => {
    const fields = {
      key: 'kept',
      'Content-Type': 'text/x-cat',
      'content-disposition': 'inline',
      'Cache-Control': 'max-age=3',
      'x-amz-meta-Name': 'Müller 日本',
      'x-amz-website-redirect-location': '/other',
      'x-amz-storage-class': 'STANDARD',
      tagging: '<Tagging><TagSet><Tag><Key>a b</Key><Value>1+2</Value></Tag></TagSet></Tagging>',
      'x-ignore-me': 'anything',
      acl: 'private',
    };
    assert.equal((await post(signed(fields))).outcome, '204');
    const head = await front.s3.send(new HeadObjectCommand({ Bucket, Key: 'kept' }));
    assert.deepEqual(
      [head.ContentType, head.ContentDisposition, head.CacheControl, head.WebsiteRedirectLocation],
      ['text/x-cat', 'inline', 'max-age=3', '/other'],
    );
    assert.deepEqual(head.Metadata, { name: Buffer.from('Müller 日本').toString('latin1') });
    const { TagSet } = await front.s3.send(new GetObjectTaggingCommand({ Bucket, Key: 'kept' }));
    assert.deepEqual(TagSet, [{ Key: 'a b', Value: '1+2' }]);
  });

  it('names its object after the file, without folders', async () => {
    const cases = [
      ['C:\\\\pictures\\\\kätzchen.txt', 'up/kätzchen.txt'],
      ['/home/x/$&.txt', 'up/$&.txt'],
    ] as const;
    for (const [filename, key] of cases) {
      const answer = await post(signed({ key: `up/${NAME}` }), file('x', filename));
      assert.equal(answer.outcome, '204');
      assert.equal(await read(key), 'x');
    }
  });

  it('ignores what follows the file, and takes fields that have file names', async () => {
    const parts = signed({ key: 'first' }).map((part) => ({ ...part, filename: part.name }));
    const behind = fieldsOf({ key: 'second', submit: 'Upload', acl: 'public-read' });
    const answer = await send(multipart([...parts, file('one'), ...behind, file('two')]));
    assert.equal(answer.outcome, '204');
    assert.equal(await read('first'), 'one');
  });

  it('takes a file without a file name, and an empty one', async () => {
    assert.equal((await post(signed({ key: 'text' }), { name: 'file', value: 'tést' })).outcome, '204');
    assert.equal(await read('text'), 'tést');
    const binary = Buffer.from([0xff, 0xfe, 0x00]);
    const refused = await post(signed({ key: 'binary' }), { name: 'file', value: binary });
    assert.match(refused.outcome, /^400 MalformedPOSTRequest: .*must have a file name/);
    assert.equal((await post(signed({ key: 'empty' }), file(''))).outcome, '204');
    assert.equal(await read('empty'), '');
  });

  it('of several MiB arrives whole, whatever follows it, and leaves nothing else behind', async () => {
    const large = randomBytes(9 * 1024 * 1024 + 12_345);
    const known = front.dosm.blobs.size;
    for (const [index, behind] of [[], fieldsOf({ submit: 'x'.repeat(5000) })].entries()) {
      const parts = [...signed({ key: `large-${index}` }), file(large), ...behind];
      const answer = await send(multipart(parts, index === 0 ? '' : '\r\n'));
      assert.equal(answer.outcome, '204');
      const { Body, ContentLength } = await front.s3.send(
        new GetObjectCommand({ Bucket, Key: `large-${index}` }),
      );
      assert.equal(ContentLength, large.length);
      assert.ok(large.equals(await Body!.transformToByteArray()), 'the same bytes');
    }
    assert.equal(front.dosm.blobs.size, known + 2);
    assert.ok([...front.dosm.blobs.values()].slice(known).every(({ state }) => state === 'confirmed'));
  });

  it('checks the checksum that it brings', async () => {
    const sha = createHash('sha256').update('meow').digest('base64');
    assert.equal((await post(signed({ key: 'sum', 'x-amz-checksum-sha256': sha }))).outcome, '204');
    const wrong = createHash('sha256').update('woof').digest('base64');
    const refused = await post(signed({ key: 'sum', 'x-amz-checksum-sha256': wrong }, []));
    assert.match(refused.outcome, /^400 BadDigest/);
    const md5 = createHash('md5').update('woof').digest('base64');
    assert.match((await post(signed({ key: 'sum', 'content-md5': md5 }))).outcome, /^400 BadDigest/);
  });
});

describe('what the browser is told', () => {
  it('is the status it asked for, of those that there are', async () => {
    for (const [asked, status] of [
      ['200', 200],
      ['201', 201],
      ['204', 204],
      ['404', 204],
    ] as const) {
      const answer = await post(signed({ key: 's &1', success_action_status: asked }));
      assert.equal(answer.status, status);
      if (status !== 201) continue;
      const etag = answer.headers.get('etag')!.replaceAll('"', '&quot;');
      const location = `${front.url}/${Bucket}/s%20%261`;
      assert.equal(
        answer.text,
        '<?xml version="1.0" encoding="UTF-8"?>\n<PostResponse>' +
          `<Location>${location}</Location><Bucket>${Bucket}</Bucket><Key>s &amp;1</Key><ETag>${etag}</ETag></PostResponse>`,
      );
    }
  });

  it('is another page, when it asked for one', async () => {
    const etag = `%22${createHash('md5').update('meow').digest('hex')}%22`;
    const cases = [
      ['http://app.test/done', `http://app.test/done?bucket=${Bucket}&key=r%2F1&etag=${etag}`],
      ['https://app.test/?a=b', `https://app.test/?a=b&bucket=${Bucket}&key=r%2F1&etag=${etag}`],
    ] as const;
    for (const [asked, told] of cases) {
      const answer = await post(
        signed({ key: 'r/1', success_action_redirect: asked, success_action_status: '201' }),
      );
      assert.deepEqual([answer.status, answer.headers.get('location')], [303, told]);
    }
    for (const asked of ['not a url', 'javascript:alert(1)'])
      assert.equal((await post(signed({ key: 'r/1', success_action_redirect: asked }))).status, 204);
  });
});

describe('the form', () => {
  const cases: [string, () => Promise<Posted>, RegExp][] = [
    [
      'of another type',
      () => send(Buffer.from('a=b'), 'application/x-www-form-urlencoded'),
      /^412 PreconditionFailed/,
    ],
    ['without a type', () => send(Buffer.from('a=b'), null), /^412 PreconditionFailed/],
    ['without a boundary', () => send(Buffer.from('x'), 'multipart/form-data'), /^400 MalformedPOSTRequest/],
    ['that is none', () => send(Buffer.from('x'.repeat(100))), /^400 MalformedPOSTRequest/],
    [
      'without a file',
      () => send(multipart(signed({ key: 'k' }))),
      /^400 InvalidArgument: POST requires exactly one file/,
    ],
    [
      'without a key',
      () => post(signed({})),
      /^400 InvalidArgument: Bucket POST must contain a field named 'key'/,
    ],
    [
      'with its key behind the file',
      () => send(multipart([...signed({}), file('x'), ...fieldsOf({ key: 'k' })])),
      /field named 'key'/,
    ],
    ['with a key that is too long', () => post(signed({ key: 'k'.repeat(1025) })), /^400 KeyTooLongError/],
    [
      'with a field twice',
      () => post([...signed({ key: 'k' }), ...fieldsOf({ key: 'l' })]),
      /^400 MalformedPOSTRequest/,
    ],
    [
      'with too long fields',
      () => post(signed({ key: 'k', 'x-amz-meta-a': 'a'.repeat(20_000) })),
      /^400 MaxPostPreDataLengthExceededError/,
    ],
    [
      'with too many fields',
      () => post(fieldsOf(Object.fromEntries(Array.from({ length: 250 }, (_, i) => [`x-ignore-${i}`, ''])))),
      /^400 MaxPostPreDataLengthExceededError/,
    ],
    [
      'that breaks off',
      () => send(multipart([...signed({ key: 'k' }), file('x')]).subarray(0, -30)),
      /^400 MalformedPOSTRequest/,
    ],
    ['with bad tags', () => post(signed({ key: 'k', tagging: '<Tagging>' })), /^400 MalformedXML/],
    ['with an unknown list', () => post(signed({ key: 'k', acl: 'nonsense' })), /^400 InvalidArgument/],
  ];
  for (const [what, sent, outcome] of cases)
    it(`${what} is refused`, async () => assert.match((await sent()).outcome, outcome));

  it('that was refused leaves nothing, and the connection as it was', async () => {
    const before = front.dosm.blobs.size;
    const large = Buffer.alloc(6 * 1024 * 1024);
    const answer = await post(signed({ key: 'k' }, [['content-length-range', 0, 5_000_000]]), file(large));
    assert.match(answer.outcome, /^400 EntityTooLarge/);
    const broken = multipart([...signed({ key: 'k' }), file(large)]).subarray(0, -10);
    assert.match((await send(broken)).outcome, /^400 MalformedPOSTRequest/);
    assert.equal(front.dosm.blobs.size, before);
    assert.equal((await post(signed({ key: 'after' }))).outcome, '204');
  });
});
