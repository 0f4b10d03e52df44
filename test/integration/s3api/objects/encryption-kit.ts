/** What the tests of encryption share: ways, keys, bytes, and a front that has the keys. */
import { createHash, randomBytes } from 'node:crypto';
import {
  CreateBucketCommand,
  GetObjectCommand,
  type GetObjectCommandInput,
  type GetObjectCommandOutput,
  PutObjectCommand,
  type PutObjectCommandOutput,
  type S3Client,
} from '@aws-sdk/client-s3';
import type { Envelope, Keyring } from '../../../../src/identity/envelope.ts';
import { createMasterKey } from '../../../../src/identity/secret-box.ts';
import type { ModelBlob } from '../../../model/model-dosm.ts';
import { type SdkFront, startSdkFront } from './sdk-front.ts';

export const MIB = 1024 * 1024;
export const Bucket = 'bucket';
export const ARN = 'arn:aws:kms:us-east-1:111122223333:key/key-2';
const master = createMasterKey(randomBytes(32));
const keyring = {
  ...{ master, masters: [master] },
  kms: new Map(['key-1', 'key-2'].map((id) => [id, createMasterKey(randomBytes(32))])),
};
export const md5 = (bytes: Buffer, encoding: 'hex' | 'base64' = 'hex') =>
  createHash('md5').update(bytes).digest(encoding);
export const customer = (key: Buffer) => ({
  SSECustomerAlgorithm: 'AES256',
  SSECustomerKey: key.toString('base64'),
  SSECustomerKeyMD5: md5(key, 'base64'),
});
export const sourceCustomer = (key: Buffer) => ({
  CopySourceSSECustomerAlgorithm: 'AES256',
  CopySourceSSECustomerKey: key.toString('base64'),
  CopySourceSSECustomerKeyMD5: md5(key, 'base64'),
});
export const KEY_A = randomBytes(32);
export const KEY_B = randomBytes(32);
/** Several chunks, and nothing in it that could stand in ciphertext by chance. */
export const BODY = Buffer.concat([Buffer.from('the plain text of an object'), randomBytes(300_000)]);

export const WAYS = {
  plain: {},
  s3: { ServerSideEncryption: 'AES256' },
  kms: { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: 'key-1' },
  c: customer(KEY_A),
} as const;
export type Way = keyof typeof WAYS;
export const readArgs = (way: Way) => (way === 'c' ? WAYS.c : {});

export interface Kit {
  readonly front: SdkFront;
  readonly keyring: Keyring;
  readonly s3: S3Client;
  put(key: string, more?: object, body?: Buffer | string): Promise<PutObjectCommandOutput>;
  get(
    key: string,
    more?: Partial<GetObjectCommandInput>,
  ): Promise<{ got: GetObjectCommandOutput; bytes: Buffer }>;
  envelopeIn(key: string): Promise<Envelope | undefined>;
  blobsOf(key: string): Promise<ModelBlob[]>;
}

/** A front with keys, and a bucket. */
export async function startKit(): Promise<Kit> {
  const front = await startSdkFront({ encryption: { keyring } });
  const { s3 } = front;
  await s3.send(new CreateBucketCommand({ Bucket }));
  const versionOf = async (key: string) => {
    const bucket = (await front.catalog.findBucket(Bucket))!;
    return (await front.catalog.findVersion(bucket.id, key))!;
  };
  return {
    ...{ front, keyring, s3 },
    put: (Key, more = {}, Body = BODY) => s3.send(new PutObjectCommand({ Bucket, Key, Body, ...more })),
    get: async (Key, more = {}) => {
      const got = await s3.send(new GetObjectCommand({ Bucket, Key, ...more }));
      return { got, bytes: Buffer.from(await got.Body!.transformToByteArray()) };
    },
    envelopeIn: async (key) => (await versionOf(key)).encryption as Envelope | undefined,
    blobsOf: async (key) => {
      const { bucketId, content } = await versionOf(key);
      if (content.kind === 'blob') return [front.dosm.blobs.get(content.blob.id)!];
      if (content.kind === 'empty') return [];
      const parts = await front.catalog.readManifest(bucketId, content.manifestId);
      return parts.map((part) => front.dosm.blobs.get(part.blob!.id)!);
    },
  };
}
