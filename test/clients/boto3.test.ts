/** boto3 with its default settings; the steps are in boto3-client.py. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { it } from 'node:test';
import { type Client, describeClient } from './client-harness.ts';

const env = (client: Client) => ({
  AWS_ACCESS_KEY_ID: client.accessKeyId,
  AWS_SECRET_ACCESS_KEY: client.secretAccessKey,
  AWS_EC2_METADATA_DISABLED: 'true',
});

describeClient('boto3', { probe: ['python3', '-c', 'import boto3'], env }, (client) => {
  it('keeps, lists, copies, checks and deletes objects of every size', async () => {
    const { endpoint, region, home } = client();
    const script = join(import.meta.dirname, 'boto3-client.py');
    const { stdout } = await client().run('python3', [script, endpoint, region, client().bucketName(), home]);
    assert.equal(stdout.trim().split('\n').at(-1), 'all good');
  });
});
