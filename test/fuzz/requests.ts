/** Requests as bytes, and the texts that parsers trip over. */
import { createHash } from 'node:crypto';
import type { OperationRow } from '../../src/s3api/operation.ts';
import type { FuzzCase } from './target.ts';

export type Header = readonly [name: string, value: string];

export interface RequestParts {
  readonly method: string;
  /** With its query, as on the request line. */
  readonly path: string;
  readonly headers?: readonly Header[];
  /** latin1; sent under its own length unless a header says another one. */
  readonly body?: string;
}

export function requestBytes({ method, path, headers = [], body }: RequestParts): string {
  const all: Header[] = [['Host', 'localhost'], ['x-test-account', 'alice'], ...headers];
  const sized = all.some(([name]) => /^(content-length|transfer-encoding)$/i.test(name));
  if (body !== undefined && !sized) all.push(['Content-Length', String(body.length)]);
  return `${method} ${path} HTTP/1.1\r\n${all.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body ?? ''}`;
}

export const oneRequest = (parts: RequestParts): FuzzCase => ({
  bytes: requestBytes(parts),
  methods: [parts.method],
});

export const md5Header = (body: string): Header => [
  'Content-MD5',
  createHash('md5').update(Buffer.from(body, 'latin1')).digest('base64'),
];

/** UTF-8 as the wire has it. */
export const wire = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

/** The path that leads to an operation: its target, and the query that it is known by. */
export function pathOf(row: OperationRow, key = 'key'): string {
  const query = Object.entries(row.query ?? {}).map(([name, value]) =>
    value === true ? name : `${name}=${value}`,
  );
  const target = row.target === 'service' ? '/' : row.target === 'bucket' ? '/fuzz' : `/fuzz/${key}`;
  return query.length === 0 ? target : `${target}?${query.join('&')}`;
}

/** Broken UTF-8, overlong forms, surrogates, what XML forbids or gives a meaning, numbers that are none, and much of one thing. */
export const NASTY: readonly string[] = [
  '',
  ' ',
  '\t',
  '0',
  '-1',
  '+1',
  '1e9',
  '0x10',
  'NaN',
  'null',
  'true',
  '2147483648',
  '9007199254740993',
  '99999999999999999999999999',
  '1.5',
  '..',
  '.',
  '*',
  '%',
  '%00',
  '%zz',
  '%c0%af',
  '\\',
  '"',
  "'",
  ';',
  ',',
  '=',
  '&',
  '<',
  '>',
  ']]>',
  '--',
  '$' + '{aws:username}',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  '2026-02-30T00:00:00Z',
  '9999-12-31T23:59:59.999Z',
  '+275760-09-13T00:00:00.001Z',
  '1969-01-01',
  'Thu, 01 Jan 1970 00:00:00 GMT',
  'bytes=0-',
  'bytes=-0',
  'bytes=5-1',
  'bytes=0-0,2-3',
  'bytes=99999999999999999999-',
  'AES256',
  'aws:kms',
  'STANDARD',
  'arn:aws:s3:::fuzz/*',
  '/fuzz/key',
  'fuzz/key?versionId=null',
  wire('é'),
  wire('e\u0301'),
  wire('\u202e\u200b\ufeff'),
  wire('\u{1f4a9}'),
  '\xff\xfe',
  '\xc0\xaf',
  '\xed\xa0\x80',
  '\xf4\x90\x80\x80',
  '\x7f',
  'a'.repeat(300),
  'a'.repeat(1_025),
  '%41'.repeat(400),
];

/** In headers these end the request for node's parser; in documents and bodies they are welcome. */
export const CONTROL: readonly string[] = ['\0', '\x01', '\x08', '\r', '\n', '\r\n', '\x1f', '\x85'];

export const XML_NASTY: readonly string[] = [
  ...CONTROL,
  '&amp;',
  '&#0;',
  '&#x0;',
  '&#xD800;',
  '&#x110000;',
  '&#65;',
  '&undefined;',
  '&',
  '<!-- -- -->',
  '<!---->',
  '<![CDATA[<a>]]>',
  '<![CDATA[',
  '<?xml version="1.0"?>',
  '<?xml version="1.1" encoding="UTF-16"?>',
  '<?php x?>',
  '<!DOCTYPE a>',
  '<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;">]>',
  '<!DOCTYPE a SYSTEM "file:///etc/passwd">',
  '<!DOCTYPE a [<!ENTITY x SYSTEM "http://127.0.0.1:1/">]>',
  '<a>'.repeat(40),
  `${'<a>'.repeat(31)}${'</a>'.repeat(31)}`,
  '<a/>'.repeat(500),
  '<x:a xmlns:x="u"/>',
  '<a b="1" b="2"/>',
  `<a b="${'y'.repeat(2_000)}"/>`,
  '</a>',
  '<a',
  '['.repeat(5_000),
  '{"a":'.repeat(2_000),
  '"\\u0000\\ud800"',
  '\xef\xbb\xbf',
  '\xff\xfe<\0a\0/\0>\0',
];

/** A document that each operation takes; what is not listed gets an empty root. */
export const DOCUMENTS: Readonly<Record<string, string>> = {
  CreateBucket:
    '<CreateBucketConfiguration><LocationConstraint>us-east-1</LocationConstraint></CreateBucketConfiguration>',
  PutBucketVersioning: '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>',
  PutBucketTagging: '<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>',
  PutObjectTagging: '<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>',
  PutObjectLockConfiguration:
    '<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>',
  PutObjectRetention:
    '<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate></Retention>',
  PutObjectLegalHold: '<LegalHold><Status>ON</Status></LegalHold>',
  DeleteObjects:
    '<Delete><Quiet>false</Quiet><Object><Key>nothing</Key><VersionId>null</VersionId><ETag>x</ETag></Object></Delete>',
  CompleteMultipartUpload:
    '<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"9dd4e461268c8034f5c8564e155c67a6"</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part></CompleteMultipartUpload>',
  PutBucketCors:
    '<CORSConfiguration><CORSRule><ID>i</ID><AllowedOrigin>https://*.test</AllowedOrigin><AllowedMethod>GET</AllowedMethod><AllowedHeader>*</AllowedHeader><ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>5</MaxAgeSeconds></CORSRule></CORSConfiguration>',
  PutBucketNotificationConfiguration:
    '<NotificationConfiguration><TopicConfiguration><Id>i</Id><Topic>arn:aws:sns:us-east-1:a:t</Topic><Event>s3:ObjectCreated:*</Event><Filter><S3Key><FilterRule><Name>prefix</Name><Value>a</Value></FilterRule></S3Key></Filter></TopicConfiguration></NotificationConfiguration>',
  PutBucketEncryption:
    '<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>true</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>',
  PutPublicAccessBlock:
    '<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>false</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>false</RestrictPublicBuckets></PublicAccessBlockConfiguration>',
  PutBucketAcl: acl(),
  PutObjectAcl: acl(),
  PutBucketOwnershipControls:
    '<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>',
  PutBucketWebsite:
    '<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument><ErrorDocument><Key>e</Key></ErrorDocument><RoutingRules><RoutingRule><Condition><KeyPrefixEquals>a/</KeyPrefixEquals><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals></Condition><Redirect><HostName>h</HostName><ReplaceKeyPrefixWith>b/</ReplaceKeyPrefixWith><HttpRedirectCode>302</HttpRedirectCode></Redirect></RoutingRule></RoutingRules></WebsiteConfiguration>',
  PutBucketLifecycleConfiguration:
    '<LifecycleConfiguration><Rule><ID>i</ID><Status>Enabled</Status><Filter><And><Prefix>a</Prefix><Tag><Key>k</Key><Value>v</Value></Tag><ObjectSizeGreaterThan>1</ObjectSizeGreaterThan></And></Filter><Expiration><Days>1</Days></Expiration><NoncurrentVersionExpiration><NoncurrentDays>2</NoncurrentDays><NewerNoncurrentVersions>1</NewerNoncurrentVersions></NoncurrentVersionExpiration><AbortIncompleteMultipartUpload><DaysAfterInitiation>3</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>',
  PutBucketPolicy:
    '{"Version":"2012-10-17","Statement":[{"Sid":"s","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::bob:root"},"Action":["s3:Get*"],"Resource":"arn:aws:s3:::fuzz/*","Condition":{"StringLike":{"aws:UserAgent":["a*b?","c"]},"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}]}',
};

function acl(): string {
  const xsi = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"';
  const grant = `<Grant><Grantee ${xsi} xsi:type="CanonicalUser"><ID>bob</ID></Grantee><Permission>READ</Permission></Grant>`;
  return `<AccessControlPolicy><Owner><ID>alice</ID></Owner><AccessControlList>${grant}</AccessControlList></AccessControlPolicy>`;
}
