/**
 * A running store with a certificate: keys made, disabled and deleted by the command line take effect on the S3 port
 * within seconds, accounts do not see each other's buckets, and a replaced certificate is served without a restart.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { copyFileSync, readFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connect } from 'node:tls';
import { CreateBucketCommand, ListBucketsCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { until } from '../fault/store/store-kit.ts';
import { deadline, makeFolder, runCommand, type Store, startStore } from '../harness/store.ts';

const FIXTURES = join(import.meta.dirname, '..', 'fixtures', 'tls');
const SECRET = 'a-secret-of-forty-characters-1234567890';

describe('identities and certificates of a running store', () => {
  const folder = makeFolder();
  const certFile = join(folder, 'server.crt');
  const keyFile = join(folder, 'server.key');
  const clients: S3Client[] = [];
  let store: Store;

  before(async () => {
    install('one');
    store = await startStore({ nodesPerCenter: 1, args: ['--tls-cert', certFile, '--tls-key', keyFile] });
  });
  after(async () => {
    for (const client of clients) client.destroy();
    await store.stop();
  });

  const install = (name: 'one' | 'two') => {
    copyFileSync(join(FIXTURES, `${name}.crt`), certFile);
    copyFileSync(join(FIXTURES, `${name}.key`), keyFile);
  };
  const antipode = async (...args: string[]): Promise<number | null> => {
    const run = runCommand([...args, '--admin', store.adminEndpoint, '--data', store.dataDir], {
      env: { NODE_EXTRA_CA_CERTS: certFile },
    });
    const code = await deadline(run.exited, 30_000, 'the command did not end');
    assert.doesNotMatch(run.stdout() + run.stderr(), new RegExp(SECRET));
    return code;
  };
  const as = (accessKeyId: string, secretAccessKey = SECRET): S3Client => {
    const client = new S3Client({
      endpoint: store.endpoint,
      region: store.region,
      forcePathStyle: true,
      maxAttempts: 1,
      credentials: { accessKeyId, secretAccessKey },
      requestHandler: {
        httpsAgent: new Agent({ ca: readFileSync(certFile), checkServerIdentity: () => undefined }),
      },
    });
    clients.push(client);
    return client;
  };
  const answer = (client: S3Client): Promise<string> =>
    client.send(new ListBucketsCommand({})).then(
      () => 'ok',
      (error: Error) => error.name,
    );

  it('makes a user with a given key, and keeps it out of other accounts', async () => {
    assert.equal(
      await antipode(
        'user',
        'create',
        '--id',
        'ann',
        '--display-name',
        'Ann',
        '--access-key',
        'ANNKEY0000000001',
        '--secret-key',
        SECRET,
      ),
      0,
    );
    const { accessKeyId, secretAccessKey } = store.credentials;
    await as(accessKeyId, secretAccessKey).send(new CreateBucketCommand({ Bucket: 'of-root' }));
    const ann = as('ANNKEY0000000001');
    const { Buckets, Owner } = await ann.send(new ListBucketsCommand({}));
    assert.deepEqual([Buckets ?? [], Owner], [[], { DisplayName: 'Ann', ID: 'ann' }]);
    await assert.rejects(ann.send(new ListObjectsV2Command({ Bucket: 'of-root' })), { name: 'AccessDenied' });
  });

  it('refuses a disabled key within seconds, and takes it again when it is enabled', async () => {
    const ann = as('ANNKEY0000000001');
    assert.equal(await antipode('key', 'disable', 'ANNKEY0000000001'), 0);
    await until(async () => (await answer(ann)) === 'InvalidAccessKeyId', 'the key is refused', 5_000);
    assert.equal(await antipode('key', 'enable', 'ANNKEY0000000001'), 0);
    await until(async () => (await answer(ann)) === 'ok', 'the key is taken again', 5_000);
  });

  it('refuses a deleted key within seconds', async () => {
    const ann = as('ANNKEY0000000001');
    assert.equal(await answer(ann), 'ok');
    assert.equal(await antipode('key', 'delete', 'ANNKEY0000000001'), 0);
    await until(async () => (await answer(ann)) === 'InvalidAccessKeyId', 'the key is refused', 5_000);
  });

  it('serves a replaced certificate without a restart', async () => {
    const served = () =>
      new Promise<string>((done, fail) => {
        const { hostname, port } = new URL(store.endpoint);
        const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false }, () => {
          done(socket.getPeerX509Certificate()!.fingerprint256);
          socket.destroy();
        });
        socket.once('error', fail);
      });
    const fingerprint = (name: string) =>
      new X509Certificate(readFileSync(join(FIXTURES, `${name}.crt`))).fingerprint256;
    assert.equal(await served(), fingerprint('one'));
    install('two');
    await until(async () => (await served()) === fingerprint('two'), 'the new certificate is served', 20_000);
  });
});
