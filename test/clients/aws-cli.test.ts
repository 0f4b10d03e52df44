/** The AWS command line (version 1 or 2) with its default settings. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { request } from 'undici';
import { describeAws } from './aws-kit.ts';
import { hashTree, makeTree, md5, seededBytes, sha256, sha256File, writeFile } from './trees.ts';

const MIB = 2 ** 20;

describeAws(({ client, aws, api, makeBucket }) => {
  it('s3 sync carries a tree there and back, then finds nothing to do, then removes what is gone', async () => {
    const bucket = await makeBucket();
    const [here, back] = [join(client().home, 'tree'), join(client().home, 'back')];
    const hashes = makeTree(here);
    await aws(['s3', 'sync', '--only-show-errors', here, `s3://${bucket}/backup`]);
    const { stdout: listing } = await aws([
      's3',
      'ls',
      '--recursive',
      '--summarize',
      `s3://${bucket}/backup/`,
    ]);
    assert.match(listing, new RegExp(`Total Objects: ${hashes.size}\\b`));
    assert.ok(listing.includes('backup/names/ümläut-日本語-🚀'));
    await aws(['s3', 'sync', '--only-show-errors', `s3://${bucket}/backup`, back]);
    assert.deepEqual(hashTree(back), hashes);
    assert.equal((await aws(['s3', 'sync', here, `s3://${bucket}/backup`])).stdout, '');

    const { stdout } = await aws([
      's3',
      'sync',
      '--delete',
      join(here, 'names'),
      `s3://${bucket}/backup/sizes`,
    ]);
    assert.match(stdout, /delete: s3:\/\/.*\/backup\/sizes\/chunk-and-one/);
    await aws(['s3', 'rm', '--recursive', '--only-show-errors', `s3://${bucket}/`]);
    assert.equal((await aws(['s3', 'ls', '--recursive', `s3://${bucket}/`], { code: null })).stdout, '');
    await aws(['s3', 'rb', `s3://${bucket}`]);
  });

  it('s3 cp sends a large file in parts, copies and moves it on the server, and streams', async () => {
    const bucket = await makeBucket();
    const bytes = seededBytes(40, 40 * MIB + 1);
    const file = writeFile(join(client().home, 'large'), bytes);
    await aws(['s3', 'cp', '--only-show-errors', file, `s3://${bucket}/large`]);
    const head = await api('head-object', '--bucket', bucket, '--key', 'large');
    assert.equal(head.ContentLength, bytes.length);
    assert.match(head.ETag, /-6"$/);

    await aws(['s3', 'cp', '--only-show-errors', `s3://${bucket}/large`, `s3://${bucket}/copy`]);
    await aws(['s3', 'mv', '--only-show-errors', `s3://${bucket}/copy`, `s3://${bucket}/moved`]);
    await aws(['s3', 'cp', '--only-show-errors', `s3://${bucket}/moved`, join(client().home, 'moved')]);
    assert.equal(sha256File(join(client().home, 'moved')), sha256(bytes));
    await aws(['s3', 'ls', `s3://${bucket}/copy`], { code: 1 });

    await aws(['s3', 'cp', '-', `s3://${bucket}/stream`], { input: bytes.subarray(0, 9 * MIB) });
    const args = ['--endpoint-url', client().endpoint, 's3', 'cp', `s3://${bucket}/stream`, '-'];
    const streamed = await client().runBytes('aws', args);
    assert.equal(sha256(streamed), sha256(bytes.subarray(0, 9 * MIB)));
  });

  it('s3 presign makes a URL that anybody can read, in part as well, and nobody can bend', async () => {
    const bucket = await makeBucket();
    const bytes = seededBytes(41, 300_000);
    await aws([
      's3',
      'cp',
      '--only-show-errors',
      writeFile(join(client().home, 'p'), bytes),
      `s3://${bucket}/a b/ü`,
    ]);
    const url = (await aws(['s3', 'presign', '--expires-in', '60', `s3://${bucket}/a b/ü`])).stdout.trim();
    const whole = await request(url);
    assert.equal(whole.statusCode, 200);
    assert.equal(sha256(Buffer.from(await whole.body.arrayBuffer())), sha256(bytes));
    const part = await request(url, { headers: { range: 'bytes=262140-262150' } });
    assert.equal(part.statusCode, 206);
    assert.deepEqual(Buffer.from(await part.body.arrayBuffer()), bytes.subarray(262_140, 262_151));
    assert.equal((await request(url.replace('a%20b', 'a%20c'))).statusCode, 403);
  });

  it('s3api uploads in parts, lists, completes and aborts', async () => {
    const bucket = await makeBucket();
    const target = ['--bucket', bucket, '--key', 'parts'];
    const parts = [seededBytes(42, 5 * MIB), seededBytes(43, 1000)];
    const { UploadId: id } = await api(
      'create-multipart-upload',
      ...target,
      '--content-type',
      'text/x-parts',
    );
    const made = [];
    for (const [i, bytes] of parts.entries()) {
      const body = writeFile(join(client().home, `part-${i}`), bytes);
      const part = ['--upload-id', id, '--part-number', String(i + 1), '--body', body];
      made.push({ PartNumber: i + 1, ETag: (await api('upload-part', ...target, ...part)).ETag });
    }
    assert.equal((await api('list-parts', ...target, '--upload-id', id)).Parts.length, 2);
    assert.equal((await api('list-multipart-uploads', '--bucket', bucket)).Uploads[0].UploadId, id);
    const list = JSON.stringify({ Parts: made });
    const done = await api(
      'complete-multipart-upload',
      ...target,
      '--upload-id',
      id,
      '--multipart-upload',
      list,
    );
    const tag = md5(Buffer.concat(parts.map((bytes) => Buffer.from(md5(bytes), 'hex'))));
    assert.equal(done.ETag, `"${tag}-2"`);

    const out = join(client().home, 'part-out');
    const got = await api('get-object', ...target, '--part-number', '2', out);
    assert.equal(got.PartsCount, 2);
    assert.equal(got.ContentType, 'text/x-parts');
    assert.equal(sha256File(out), sha256(parts[1]!));
    await api('get-object', ...target, '--range', 'bytes=5242878-5242882', out);
    const joined = Buffer.concat(parts);
    assert.deepEqual(readFileSync(out), joined.subarray(5_242_878, 5_242_883));

    const { UploadId: other } = await api('create-multipart-upload', ...target);
    await api('abort-multipart-upload', ...target, '--upload-id', other);
    assert.equal((await api('list-multipart-uploads', '--bucket', bucket)).Uploads, undefined);
    const gone = await aws(['s3api', 'list-parts', ...target, '--upload-id', other], { code: null });
    assert.match(gone.stderr, /NoSuchUpload/);
  });

  it('s3api asks for checksums and conditions and gets AWS answers', async () => {
    const bucket = await makeBucket();
    const body = writeFile(join(client().home, 'checked'), seededBytes(44, 10_000));
    const target = ['--bucket', bucket, '--key', 'checked'];
    const digest = Buffer.from(sha256File(body), 'hex').toString('base64');
    const put = await api(
      'put-object',
      ...target,
      '--body',
      body,
      '--checksum-algorithm',
      'SHA256',
      '--metadata',
      'a=b',
    );
    assert.equal(put.ChecksumSHA256, digest);
    const head = await api('head-object', ...target, '--checksum-mode', 'ENABLED');
    assert.equal(head.ChecksumSHA256, digest);
    assert.deepEqual(head.Metadata, { a: 'b' });
    const again = await aws(['s3api', 'put-object', ...target, '--body', body, '--if-none-match', '*'], {
      code: null,
    });
    assert.match(again.stderr, /PreconditionFailed/);
    const missing = await aws(['s3api', 'get-object', '--bucket', bucket, '--key', 'nothing', '/dev/null'], {
      code: null,
    });
    assert.match(missing.stderr, /NoSuchKey/);
    const nowhere = await aws(['s3', 'ls', 's3://no-such-bucket-here'], { code: null });
    assert.match(nowhere.stderr, /NoSuchBucket/);
    const wrong = await aws(['s3', 'ls'], { code: null, env: { AWS_SECRET_ACCESS_KEY: 'wrong' } });
    assert.match(wrong.stderr, /SignatureDoesNotMatch/);
  });
});
