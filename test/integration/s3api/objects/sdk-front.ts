/**
 * The S3 front with real signatures and verified bodies over the model catalog and the model DOSM, and an
 * @aws-sdk/client-s3 with its default settings that talks to it over HTTP.
 */
import assert from 'node:assert/strict';
import { S3Client, type S3ClientConfig, type S3ServiceException } from '@aws-sdk/client-s3';
import { pino } from 'pino';
import { systemClock } from '../../../../src/base/clock.ts';
import type { AccountId } from '../../../../src/base/ids.ts';
import { createRequestReaders } from '../../../../src/s3api/body/readers.ts';
import type { Services } from '../../../../src/s3api/operation.ts';
import type { RequestReaders } from '../../../../src/s3api/run-request.ts';
import { createS3Server } from '../../../../src/s3api/server.ts';
import { ModelCatalog } from '../../../model/model-catalog.ts';
import { ModelDosm } from '../../../model/model-dosm.ts';

const REGION = 'us-east-1';
const ACCESS_KEY = 'AKIDOBJECTS';
const SECRET_KEY = 'a secret of the tests';

export const CREDENTIALS = { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY } as const;

export interface SdkFront {
  readonly url: string;
  readonly catalog: ModelCatalog;
  readonly dosm: ModelDosm;
  readonly s3: S3Client;
  client(config: S3ClientConfig): S3Client;
  close(): Promise<void>;
}

export type SdkFrontOptions = Pick<Services, 'encryption'> & { readonly formSignatureV2?: boolean };

export async function startSdkFront(options: SdkFrontOptions = {}): Promise<SdkFront> {
  const catalog = new ModelCatalog();
  const dosm = new ModelDosm();
  const account = { id: 'owner' as AccountId, displayName: 'Owner', isRoot: false };
  await catalog.createAccount(account);
  await catalog.createAccessKey({
    accessKeyId: ACCESS_KEY,
    account: account.id,
    sealedSecret: Buffer.from(SECRET_KEY),
  });
  const server = await createS3Server({
    services: {
      ...{ catalog, dosm, clock: systemClock, region: REGION },
      ...(options.encryption && { encryption: options.encryption }),
    },
    readers: signedReaders(catalog, options),
    listen: { host: '127.0.0.1', port: 0 },
    log: pino({ level: 'silent' }),
  });
  const url = `http://127.0.0.1:${server.port}`;
  const clients: S3Client[] = [];
  const client = (config: S3ClientConfig) => {
    const made = new S3Client({
      endpoint: url,
      region: REGION,
      forcePathStyle: true,
      credentials: { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY },
      maxAttempts: 1,
      ...config,
    });
    clients.push(made);
    return made;
  };
  return {
    url,
    catalog,
    dosm,
    s3: client({}),
    client,
    close: async () => {
      for (const made of clients) made.destroy();
      await server.close();
    },
  };
}

function signedReaders(
  catalog: ModelCatalog,
  options: { readonly formSignatureV2?: boolean },
): RequestReaders {
  return createRequestReaders({
    ...options,
    findAccessKey: (id) => catalog.findAccessKey(id),
    openSecret: (key) => key.sealedSecret.toString(),
    clock: systemClock,
    region: REGION,
    service: 's3',
  });
}

/** The error that S3 answers with, which must have this status and code. */
export async function fails(
  work: Promise<unknown>,
  status: number,
  name: string,
): Promise<S3ServiceException> {
  const error = await work.then(
    () => assert.fail('it did not fail'),
    (reason: unknown) => reason as S3ServiceException,
  );
  assert.deepEqual([error.$metadata?.httpStatusCode, error.name], [status, name], String(error));
  return error;
}
