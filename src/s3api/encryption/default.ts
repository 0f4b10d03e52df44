/**
 * A bucket's default encryption, and what it forbids: the bucket's setting `encryption`, and its XML.
 * Source: "PutBucketEncryption", Amazon S3 API Reference.
 */
import type { Bucket } from '../../ddm/catalog.ts';
import { S3Error } from '../errors.ts';
import { tag, wrap, xmlDocument } from '../xml.ts';
import {
  childText,
  malformedXml,
  onlyChild,
  parseDocument,
  requireChildren,
  type XmlElement,
} from '../xml-reader.ts';

/** The bucket's setting that holds it. */
export const ENCRYPTION = 'encryption';

export interface BucketEncryption {
  /** Absent: what is written without a word about encryption is not encrypted. */
  readonly byDefault?: { readonly algorithm: 'AES256' | 'aws:kms'; readonly keyId?: string };
  readonly bucketKey?: boolean;
  /** What writes may not ask for. */
  readonly blocked?: readonly 'SSE-C'[];
}

/** The bucket's own, or the store's where the bucket has none; null: neither. */
export function encryptionOf(
  bucket: Pick<Bucket, 'settings'>,
  ofStore: BucketEncryption | undefined,
): BucketEncryption | null {
  const own = bucket.settings[ENCRYPTION] as BucketEncryption | undefined;
  return own ?? ofStore ?? null;
}

/** @throws {S3Error} MalformedXML, InvalidArgument, NotImplemented */
export function readBucketEncryption(text: string): BucketEncryption {
  const root = parseDocument(text, 'ServerSideEncryptionConfiguration', ['Rule']);
  const [rule, ...more] = root.children;
  if (rule === undefined || more.length > 0) throw malformedXml();
  requireChildren(rule, ['ApplyServerSideEncryptionByDefault', 'BucketKeyEnabled', 'BlockedEncryptionTypes']);
  const apply = onlyChild(rule, 'ApplyServerSideEncryptionByDefault');
  const bucketKey = childText(rule, 'BucketKeyEnabled')?.trim().toLowerCase();
  if (bucketKey !== undefined && bucketKey !== 'true' && bucketKey !== 'false') throw malformedXml();
  const blocked = blockedOf(onlyChild(rule, 'BlockedEncryptionTypes'));
  if (apply === undefined && blocked === undefined) throw malformedXml();
  return {
    ...(apply === undefined ? {} : { byDefault: defaultOf(apply) }),
    ...(bucketKey === undefined ? {} : { bucketKey: bucketKey === 'true' }),
    ...(blocked === undefined || blocked.length === 0 ? {} : { blocked }),
  };
}

function defaultOf(apply: XmlElement): NonNullable<BucketEncryption['byDefault']> {
  requireChildren(apply, ['SSEAlgorithm', 'KMSMasterKeyID']);
  const algorithm = childText(apply, 'SSEAlgorithm')?.trim();
  const keyId = childText(apply, 'KMSMasterKeyID')?.trim();
  if (algorithm === 'aws:kms:dsse')
    throw new S3Error('NotImplemented', {
      message: 'Dual-layer server-side encryption (aws:kms:dsse) is not implemented.',
    });
  if (algorithm !== 'AES256' && algorithm !== 'aws:kms') throw malformedXml();
  if (keyId === undefined || keyId === '') return { algorithm };
  if (algorithm === 'AES256')
    throw new S3Error('InvalidArgument', {
      message:
        'a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse',
      fields: { ArgumentName: 'ApplyServerSideEncryptionByDefault' },
    });
  return { algorithm, keyId };
}

/** NONE stands for nothing blocked. */
function blockedOf(element: XmlElement | undefined): readonly 'SSE-C'[] | undefined {
  if (element === undefined) return undefined;
  requireChildren(element, ['EncryptionType']);
  const types = element.children.map((child) => child.text.trim());
  if (types.length === 0 || types.some((type) => type !== 'NONE' && type !== 'SSE-C')) throw malformedXml();
  if (types.includes('NONE') && types.includes('SSE-C')) throw malformedXml();
  return types.includes('SSE-C') ? ['SSE-C'] : [];
}

export function bucketEncryptionXml({ byDefault, bucketKey, blocked }: BucketEncryption): string {
  const apply =
    byDefault === undefined
      ? ''
      : wrap(
          'ApplyServerSideEncryptionByDefault',
          tag('SSEAlgorithm', byDefault.algorithm) + tag('KMSMasterKeyID', byDefault.keyId),
        );
  const types = blocked?.map((type) => tag('EncryptionType', type)).join('') ?? '';
  return xmlDocument(
    'ServerSideEncryptionConfiguration',
    wrap(
      'Rule',
      apply +
        tag('BucketKeyEnabled', bucketKey ?? false) +
        (types === '' ? '' : wrap('BlockedEncryptionTypes', types)),
    ),
  );
}
