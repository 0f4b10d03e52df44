/**
 * The questions of one request, asked of authorize(): with the bucket looked up, what the request says to conditions made
 * once, and refusals told to the log. What a refused client is told says nothing about why.
 */
import type { Logger } from 'pino';
import type { Bucket } from '../../ddm/catalog.ts';
import type { Principal } from '../../identity/types.ts';
import { type AccessQuestion, authorize, type Verdict } from '../authorize.ts';
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

  /**
   * As {@link require}, for reads of an object: who may list the bucket is told that the object is not there, also where it
   * could not be read.
   * @throws {S3Error} AccessDenied, NoSuchKey
   */
  async requireReading(asked: Asked): Promise<void> {
    const question = this.#questionOf(asked);
    const verdict = await this.#ask(question);
    if (verdict.decision === 'allow') return;
    const { bucket, bucketName, key, versionId } = question;
    const listing = {
      action: 's3:ListBucket',
      bucket,
      bucketName,
      key: '',
      more: { body: { 's3:prefix': key } },
    };
    if (!verdict.denied && versionId === undefined && (await this.allows(listing))) {
      const version = await question.findObject();
      if (version === null || version.isDeleteMarker)
        throw new S3Error('NoSuchKey', { fields: { Key: key } });
    }
    throw new S3Error('AccessDenied');
  }

  async allows(asked: Asked): Promise<boolean> {
    return (await this.#ask(this.#questionOf(asked))).decision === 'allow';
  }

  async #ask(question: AccessQuestion): Promise<Verdict> {
    const { log } = this.#o;
    const verdict = await authorize(question);
    const { decision, why } = verdict;
    if (decision === 'allow') return verdict;
    const { action, bucketName, key, versionId } = question;
    log.debug(
      { action, bucket: bucketName, key, versionId, principal: principalArn(question.principal), why },
      'refused',
    );
    return verdict;
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
      operation: facts.operation,
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
