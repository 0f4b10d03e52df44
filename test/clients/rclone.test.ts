/** rclone with its default settings; Debian's is from 2022 and speaks to stores as clients did then. */
import assert from 'node:assert/strict';
import { readFileSync, rmSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { type Client, describeClient, type RunOptions } from './client-harness.ts';
import { hashTree, makeTree, md5, seededBytes, sha256, sha256File, writeFile } from './trees.ts';

const MIB = 2 ** 20;

const env = (client: Client) => ({
  RCLONE_CONFIG: join(client.home, 'rclone.conf'),
  RCLONE_CONFIG_STORE_TYPE: 's3',
  RCLONE_CONFIG_STORE_PROVIDER: 'Other',
  RCLONE_CONFIG_STORE_ENDPOINT: client.endpoint,
  RCLONE_CONFIG_STORE_REGION: client.region,
  RCLONE_CONFIG_STORE_ACCESS_KEY_ID: client.accessKeyId,
  RCLONE_CONFIG_STORE_SECRET_ACCESS_KEY: client.secretAccessKey,
});

describeClient('rclone', { probe: ['rclone', 'version'], env }, (client) => {
  const rclone = (args: readonly string[], options?: RunOptions) => client().run('rclone', args, options);
  const makeBucket = async () => {
    const bucket = client().bucketName();
    await rclone(['mkdir', `store:${bucket}`]);
    return `store:${bucket}`;
  };

  it('sync carries a tree there and back, check agrees, times are kept, and deletions follow', async () => {
    const bucket = await makeBucket();
    const [here, back] = [join(client().home, 'tree'), join(client().home, 'back')];
    const hashes = makeTree(here);
    const then = new Date('2001-02-03T04:05:06Z');
    utimesSync(join(here, 'one'), then, then);
    await rclone(['sync', here, bucket]);
    await rclone(['check', here, bucket]);
    await rclone(['check', '--download', here, bucket]);
    assert.equal(
      (await rclone(['lsf', '-R', '--files-only', bucket])).stdout.trim().split('\n').length,
      hashes.size,
    );
    assert.match((await rclone(['lsl', `${bucket}/one`])).stdout, /2001-02-03 /);
    const again = await rclone(['sync', '-v', here, bucket]);
    assert.match(again.stderr, /There was nothing to transfer/);
    await rclone(['sync', bucket, back]);
    assert.deepEqual(hashTree(back), hashes);

    rmSync(join(here, 'names'), { recursive: true });
    await rclone(['sync', here, bucket]);
    assert.equal((await rclone(['lsf', `${bucket}/names`], { code: null })).stdout, '');
    await rclone(['purge', bucket]);
    assert.ok(!(await rclone(['lsf', 'store:'])).stdout.includes(bucket.slice(6)));
  });

  it('copyto sends a large file in parts, copies it on the server, and reads ranges', async () => {
    const bucket = await makeBucket();
    const bytes = seededBytes(50, 60 * MIB + 3);
    const file = writeFile(join(client().home, 'large'), bytes);
    const parts = ['--s3-upload-cutoff', '6M', '--s3-chunk-size', '6M'];
    await rclone(['copyto', ...parts, file, `${bucket}/dir/large`]);
    await rclone(['check', '--download', '--one-way', file, `${bucket}/dir`]);
    await rclone(['copyto', '--s3-copy-cutoff', '20M', `${bucket}/dir/large`, `${bucket}/copy`]);
    await rclone(['moveto', `${bucket}/copy`, `${bucket}/moved`]);
    const back = join(client().home, 'large-back');
    await rclone(['copyto', '--multi-thread-cutoff', '10M', `${bucket}/moved`, back]);
    assert.equal(sha256File(back), sha256(bytes));
    const window = await client().runBytes('rclone', [
      'cat',
      '--offset',
      '262100',
      '--count',
      '100',
      `${bucket}/moved`,
    ]);
    assert.deepEqual(window, bytes.subarray(262_100, 262_200));
    assert.match((await rclone(['md5sum', `${bucket}/moved`])).stdout, new RegExp(`^${md5(bytes)} `));
  });

  it('rcat stores what comes from a pipe, small and large', async () => {
    const bucket = await makeBucket();
    for (const [name, size] of [
      ['nothing', 0],
      ['small', 1000],
      ['large', 17 * MIB],
    ] as const) {
      const bytes = seededBytes(51, size);
      await rclone(['rcat', `${bucket}/${name}`], { input: bytes });
      const got = await client().runBytes('rclone', ['cat', `${bucket}/${name}`]);
      assert.equal(sha256(got), sha256(bytes), name);
    }
    await rclone(['deletefile', `${bucket}/small`]);
    assert.equal((await rclone(['lsf', bucket])).stdout, 'large\nnothing\n');
  });

  it('keeps a file that changed on the way as the newer one', async () => {
    const bucket = await makeBucket();
    const file = writeFile(join(client().home, 'note'), Buffer.from('first'));
    await rclone(['copyto', file, `${bucket}/note`]);
    writeFile(file, Buffer.from('second, longer'));
    await rclone(['copyto', file, `${bucket}/note`]);
    assert.equal((await rclone(['cat', `${bucket}/note`])).stdout, readFileSync(file, 'utf8'));
  });

  it('shows old versions, the bucket as it was, and removes what is hidden', async () => {
    const bucket = await makeBucket();
    const setting = async (...state: string[]) =>
      (await rclone(['backend', 'versioning', bucket, ...state])).stdout.trim();
    const put = (text: string) => rclone(['rcat', `${bucket}/dir/note.txt`], { input: Buffer.from(text) });
    const names = async (...flags: string[]) =>
      (await rclone(['lsf', '-R', '--files-only', ...flags, bucket])).stdout.trim().split('\n');
    const secondLater = () => new Promise((resolve) => setTimeout(resolve, 1_100));
    await setting('Enabled');
    assert.match(await setting(), /Enabled/);
    await put('first');
    await secondLater();
    const then = new Date().toISOString();
    await secondLater();
    await put('second');
    await secondLater();
    await rclone(['deletefile', `${bucket}/dir/note.txt`]);
    assert.deepEqual(await names(), ['']);

    // Old versions have their time in their name.
    const old = await names('--s3-versions');
    assert.equal(old.length, 2);
    for (const name of old) assert.match(name, /^dir\/note-v\d{4}-\d\d-\d\d-\d{6}-\d{3}\.txt$/);
    const versions = join(client().home, 'versions');
    await rclone(['copy', '--s3-versions', bucket, versions]);
    const texts = old.map((name) => readFileSync(join(versions, name), 'utf8'));
    assert.deepEqual(texts.toSorted(), ['first', 'second']);
    const asItWas = ['--s3-version-at', then];
    assert.deepEqual(await names(...asItWas), ['dir/note.txt']);
    const back = join(client().home, 'as-it-was');
    await rclone(['copy', ...asItWas, bucket, back]);
    assert.equal(readFileSync(join(back, 'dir/note.txt'), 'utf8'), 'first');

    await put('third');
    await rclone(['backend', 'cleanup-hidden', bucket]);
    assert.equal((await names('--s3-versions')).length, 1);
    assert.equal((await rclone(['cat', `${bucket}/dir/note.txt`])).stdout, 'third');
  });
});
