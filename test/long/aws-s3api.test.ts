/** `aws s3api` about versions and locks: many processes, each a second of work. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { describeAws } from '../clients/aws-kit.ts';
import { writeFile } from '../clients/trees.ts';

describeAws(({ client, aws, api, makeBucket }) => {
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
