/** s3cmd, a client of the old school: Content-MD5, no checksums of today, many questions about what is not set. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { type Client, describeClient, type RunOptions } from './client-harness.ts';
import { hashTree, makeTree, md5, seededBytes, sha256, sha256File, writeFile } from './trees.ts';

const MIB = 2 ** 20;

function configFile(client: Client): string {
  const path = join(client.home, 's3cfg');
  const lines = [
    '[default]',
    `access_key = ${client.accessKeyId}`,
    `secret_key = ${client.secretAccessKey}`,
    `host_base = ${client.host}`,
    `host_bucket = ${client.host}`,
    `bucket_location = ${client.region}`,
    'use_https = False',
  ];
  writeFileSync(path, `${lines.join('\n')}\n`);
  return path;
}

describeClient('s3cmd', { probe: ['s3cmd', '--version'] }, (client) => {
  const s3cmd = (args: readonly string[], options?: RunOptions) =>
    client().run('s3cmd', ['-c', configFile(client()), '--no-progress', ...args], options);
  const makeBucket = async () => {
    const bucket = `s3://${client().bucketName()}`;
    await s3cmd(['mb', bucket]);
    return bucket;
  };

  it('sync carries a tree there and back and then finds nothing to do', async () => {
    const bucket = await makeBucket();
    const [here, back] = [join(client().home, 'tree'), join(client().home, 'back')];
    const hashes = makeTree(here);
    await s3cmd(['sync', `${here}/`, `${bucket}/tree/`]);
    const listing = (await s3cmd(['ls', '-r', `${bucket}/`])).stdout.trim().split('\n');
    assert.equal(listing.length, hashes.size);
    await s3cmd(['sync', `${bucket}/tree/`, `${back}/`]);
    assert.deepEqual(hashTree(back), hashes);
    assert.doesNotMatch((await s3cmd(['sync', `${here}/`, `${bucket}/tree/`])).stdout, /upload:/);
    await s3cmd(['del', '--recursive', '--force', `${bucket}/`]);
    assert.equal((await s3cmd(['ls', '-r', `${bucket}/`])).stdout, '');
    await s3cmd(['rb', bucket]);
  });

  it('put, get, cp, mv and del carry a large file in parts', async () => {
    const bucket = await makeBucket();
    const bytes = seededBytes(60, 23 * MIB + 5);
    const file = writeFile(join(client().home, 'large'), bytes);
    await s3cmd(['put', '--multipart-chunk-size-mb=5', file, `${bucket}/large`]);
    await s3cmd(['cp', `${bucket}/large`, `${bucket}/copy`]);
    await s3cmd(['mv', `${bucket}/copy`, `${bucket}/moved`]);
    const back = join(client().home, 'large-back');
    await s3cmd(['get', `${bucket}/moved`, back]);
    assert.equal(sha256File(back), sha256(bytes));
    await s3cmd(['del', `${bucket}/moved`]);
    assert.match((await s3cmd(['ls', `${bucket}/`])).stdout, /large$/m);
    assert.doesNotMatch((await s3cmd(['ls', `${bucket}/`])).stdout, /moved|copy/);
  });

  it('info shows an object and a bucket that has nothing set', async () => {
    const bucket = await makeBucket();
    const bytes = Buffer.from('<p>hello</p>\n');
    const file = writeFile(join(client().home, 'page.html'), bytes);
    await s3cmd([
      'put',
      '--mime-type=text/html',
      '--add-header=x-amz-meta-colour:blue',
      file,
      `${bucket}/page.html`,
    ]);
    const object = (await s3cmd(['info', `${bucket}/page.html`])).stdout;
    assert.match(object, /File size: +13\b/);
    assert.match(object, /MIME type: +text\/html/);
    assert.match(object, new RegExp(`MD5 sum: +${md5(bytes)}`));
    assert.match(object, /x-amz-meta-colour: +blue/);
    const whole = (await s3cmd(['info', bucket])).stdout;
    assert.match(whole, /Location: +us-east-1/);
    assert.match(whole, /Policy: +none/i);
    assert.match(whole, /CORS: +none/i);
  });

  it('du adds up, modify changes headers and nothing else', async () => {
    const bucket = await makeBucket();
    const file = writeFile(join(client().home, 'f'), seededBytes(61, 4321));
    await s3cmd(['put', file, `${bucket}/f`]);
    assert.match((await s3cmd(['du', `${bucket}/`])).stdout, /^\s*4321\b/);
    await s3cmd(['modify', '--add-header=x-amz-meta-colour:red', `${bucket}/f`]);
    assert.match((await s3cmd(['info', `${bucket}/f`])).stdout, /x-amz-meta-colour: +red/);
    const back = join(client().home, 'f-back');
    await s3cmd(['get', `${bucket}/f`, back]);
    assert.equal(sha256File(back), sha256File(file));
  });
});
