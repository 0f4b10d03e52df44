/** The AWS command line (version 1 or 2) with its default settings. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { request } from 'undici';
import { type Client, describeClient, type RunOptions } from './client-harness.ts';
import { hashTree, makeTree, md5, seededBytes, sha256, sha256File, writeFile } from './trees.ts';

const MIB = 2 ** 20;

/** Version 1 presigns with signature version 2 unless told otherwise, which this store does not speak. */
function configFile(client: Client): string {
  const settings = '[default]\ns3 =\n    signature_version = s3v4\n';
  return writeFile(join(client.home, 'aws-config'), Buffer.from(settings));
}

const env = (client: Client) => ({
  AWS_CONFIG_FILE: configFile(client),
  AWS_ACCESS_KEY_ID: client.accessKeyId,
  AWS_SECRET_ACCESS_KEY: client.secretAccessKey,
  AWS_DEFAULT_REGION: client.region,
  AWS_EC2_METADATA_DISABLED: 'true',
  AWS_PAGER: '',
});

describeClient('aws', { probe: ['aws', '--version'], env }, (client) => {
  const aws = (args: readonly string[], options?: RunOptions) =>
    client().run('aws', ['--endpoint-url', client().endpoint, ...args], options);
  const api = async (...args: string[]) => {
    const { stdout } = await aws(['s3api', ...args, '--output', 'json']);
    return stdout.trim() === '' ? {} : JSON.parse(stdout);
  };
  const makeBucket = async () => {
    const bucket = client().bucketName();
    await aws(['s3', 'mb', `s3://${bucket}`]);
    return bucket;
  };

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

  it('s3api locks versions, by a default and one by one, and lifts what may be lifted', async () => {
    const bucket = client().bucketName();
    const refused = async (...args: string[]) => {
      const { code, stderr } = await aws(['s3api', ...args], { code: null });
      assert.notEqual(code, 0);
      return /\((\w+)\)/.exec(stderr)?.[1];
    };
    await api('create-bucket', '--bucket', bucket, '--object-lock-enabled-for-bucket');
    const rule = { DefaultRetention: { Mode: 'GOVERNANCE', Days: 1 } };
    const configuration = { ObjectLockEnabled: 'Enabled', Rule: rule };
    const setRule = ['--object-lock-configuration', JSON.stringify(configuration)];
    await api('put-object-lock-configuration', '--bucket', bucket, ...setRule);
    const shown = await api('get-object-lock-configuration', '--bucket', bucket);
    assert.deepEqual(shown.ObjectLockConfiguration, configuration);
    const body = writeFile(join(client().home, 'locked'), Buffer.from('locked'));
    const { VersionId } = await api('put-object', '--bucket', bucket, '--key', 'k', '--body', body);
    const version = ['--bucket', bucket, '--key', 'k', '--version-id', VersionId];
    assert.equal((await api('head-object', ...version)).ObjectLockMode, 'GOVERNANCE');
    assert.equal(await refused('delete-object', ...version), 'AccessDenied');
    await api('put-object-legal-hold', ...version, '--legal-hold', 'Status=ON');
    assert.equal(await refused('delete-object', ...version, '--bypass-governance-retention'), 'AccessDenied');
    assert.equal((await api('get-object-legal-hold', ...version)).LegalHold.Status, 'ON');
    await api('put-object-legal-hold', ...version, '--legal-hold', 'Status=OFF');
    const retention = ['--retention', '{"Mode":"GOVERNANCE","RetainUntilDate":"2040-01-01T00:00:00Z"}'];
    await api('put-object-retention', ...version, ...retention);
    const retained = await api('get-object-retention', ...version);
    assert.match(retained.Retention.RetainUntilDate, /^2040-01-01T00:00:00/);
    assert.equal(await refused('put-object-retention', ...version, '--retention', '{}'), 'AccessDenied');
    await api('put-object-retention', ...version, '--retention', '{}', '--bypass-governance-retention');
    await api('delete-object', ...version);
    await api('put-bucket-tagging', '--bucket', bucket, '--tagging', 'TagSet=[{Key=a,Value=b}]');
    const { TagSet } = await api('get-bucket-tagging', '--bucket', bucket);
    assert.deepEqual(TagSet, [{ Key: 'a', Value: 'b' }]);
    await api('delete-bucket', '--bucket', bucket);
  });

  it('s3api keeps versions, lists them, reads, copies and restores old ones', async () => {
    const bucket = await makeBucket();
    const at = ['--bucket', bucket];
    const target = [...at, '--key', 'kept'];
    const out = join(client().home, 'version-out');
    const put = async (text: string) => {
      const body = writeFile(join(client().home, 'version'), Buffer.from(text));
      return (await api('put-object', ...target, '--body', body)).VersionId as string | undefined;
    };
    const read = async (...more: string[]) => {
      await api('get-object', ...target, ...more, out);
      return readFileSync(out, 'utf8');
    };
    const version = (id: string | undefined) => ['--version-id', id!];
    assert.deepEqual(await api('get-bucket-versioning', ...at), {});
    assert.equal(await put('before'), undefined);
    await api('put-bucket-versioning', ...at, '--versioning-configuration', 'Status=Enabled');
    assert.deepEqual(await api('get-bucket-versioning', ...at), { Status: 'Enabled' });
    const first = await put('first');
    const second = await put('second');
    const marker = await api('delete-object', ...target);
    assert.equal(marker.DeleteMarker, true);
    assert.match((await aws(['s3api', 'get-object', ...target, out], { code: null })).stderr, /NoSuchKey/);
    const onMarker = await aws(['s3api', 'get-object', ...target, ...version(marker.VersionId), out], {
      code: null,
    });
    assert.match(onMarker.stderr, /MethodNotAllowed/);

    // One a page: the command line follows the markers by itself.
    const listed = await api('list-object-versions', ...at, '--page-size', '1');
    const ids = (rows: { VersionId: string; IsLatest: boolean }[]) =>
      rows.map((row) => `${row.VersionId}${row.IsLatest ? '*' : ''}`);
    assert.deepEqual(ids(listed.Versions), [second, first, 'null']);
    assert.deepEqual(ids(listed.DeleteMarkers), [`${marker.VersionId}*`]);
    assert.equal(await read(...version(first)), 'first');
    assert.equal(await read(...version('null')), 'before');

    const removed = await api('delete-object', ...target, ...version(marker.VersionId));
    assert.deepEqual(removed, { DeleteMarker: true, VersionId: marker.VersionId });
    assert.equal(await read(), 'second');
    const source = `${bucket}/kept?versionId=${first}`;
    const copied = await api('copy-object', ...target, '--copy-source', source);
    assert.equal(copied.CopySourceVersionId, first);
    assert.equal(await read(), 'first');
    await api('delete-object', ...target, ...version(first));
    assert.equal(await read(...version(copied.VersionId)), 'first');
    const gone = await aws(['s3api', 'head-object', ...target, ...version(first)], { code: null });
    assert.match(gone.stderr, /404/);

    await api('put-bucket-versioning', ...at, '--versioning-configuration', 'Status=Suspended');
    await put('after');
    assert.equal(await read(...version('null')), 'after');
    const left = await api('list-object-versions', ...at);
    const objects = left.Versions.map(({ VersionId }: { VersionId: string }) => ({ Key: 'kept', VersionId }));
    assert.deepEqual(ids(left.Versions), ['null*', copied.VersionId, second]);
    const full = await aws(['s3api', 'delete-bucket', ...at], { code: null });
    assert.match(full.stderr, /BucketNotEmpty/);
    const many = await api('delete-objects', ...at, '--delete', JSON.stringify({ Objects: objects }));
    assert.equal(many.Deleted.length, 3);
    await api('delete-bucket', ...at);
  });
});
