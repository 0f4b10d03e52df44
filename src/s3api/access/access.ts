/**
 * The questions of one request, asked of authorize(): with the bucket looked up, what the request says to conditions made
 * once, and refusals told to the log. What a refused client is told says nothing about why.
 */
import type { Logger } from 'pino';
import type { Bucket } from '../../ddm/catalog.ts';
import type { Principal } from '../../identity/types.ts';
import { type AccessQuestion, authorize } from '../authorize.ts';
import { requireBucketName } from '../bucket-names.ts';
import { S3Error } from '../errors.ts';
import type { AuthorizeMore, Services } from '../operation.ts';
import { principalArn, type RequestFacts, requestContext } from './request-context.ts';

export interface AccessOptions {
  readonly services: Services;
  readonly log: Logger;
  readonly principal: Principal;
  readonly facts: RequestFacts;
}

export interface Asked {
  readonly action: string;
  readonly bucket: Bucket | null;
  readonly bucketName: string;
  readonly key: string;
  readonly more?: AuthorizeMore;
}

export class Access {
  readonly #o: AccessOptions;
  constructor(o: AccessOptions) {
    this.#o = o;
  }

  /** @throws {S3Error} AccessDenied */
  async require(asked: Asked): Promise<void> {
    if (!(await this.allows(asked))) throw new S3Error('AccessDenied');
  }

  async allows(asked: Asked): Promise<boolean> {
    const { log } = this.#o;
    const question = this.#questionOf(asked);
    const { decision, why } = await authorize(question);
    if (decision === 'allow') return true;
    const { action, bucketName, key, versionId } = question;
    log.debug(
      { action, bucket: bucketName, key, versionId, principal: principalArn(question.principal), why },
      'refused',
    );
    return false;
  }

  #questionOf({ action, bucket, bucketName, key, more = {} }: Asked): AccessQuestion {
    const { services, facts } = this.#o;
    const principal = more.principal ?? this.#o.principal;
    const versionId = more.versionId;
    return {
      principal,
      action,
      bucket,
      bucketName,
      key,
      ...(versionId !== undefined && { versionId }),
      context: once(() => requestContext(mergedFacts(facts, more), principal, bucket)),
      findObject: once(async () =>
        bucket === null || key === '' ? null : services.catalog.findVersion(bucket.id, key, versionId),
      ),
    };
  }
}

function mergedFacts(facts: RequestFacts, more: AuthorizeMore): RequestFacts {
  const { headers, form, body, tags } = more;
  return {
    ...facts,
    ...(headers !== undefined && { headers: { ...facts.headers, ...headers } }),
    ...(form !== undefined && { form: true, authenticated: { presigned: false, ...form } }),
    ...(body !== undefined && { body }),
    ...(tags !== undefined && { tags }),
  };
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

/** @throws {S3Error} NoSuchBucket, InvalidBucketName */
export async function findBucket(services: Services, name: string): Promise<Bucket> {
  requireBucketName(name);
  const bucket = await services.catalog.findBucket(name);
  if (!bucket) throw new S3Error('NoSuchBucket', { fields: { BucketName: name } });
  return bucket;
}
