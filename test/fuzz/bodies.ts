/** Bodies that carry a form of their own: aws-chunked, with trailers and signatures, and uploads by HTML forms. */
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { encodeAwsChunked } from '../../src/identity/aws-chunked.ts';
import { CONTROL, type Header, NASTY, requestBytes, wire } from './requests.ts';
import { CHUNK_SEED, type FuzzCase } from './target.ts';

const anyOf = <T>(values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);

interface Edit {
  readonly at: number;
  readonly drop: number;
  readonly with: string;
}
const FRAME_NASTY = [
  '\r\n',
  '\n',
  '0\r\n',
  '0\r\n\r\n',
  'ffffffff\r\n',
  ';',
  ';chunk-signature=',
  'x-amz-checksum-crc32:AAAAAA==\r\n',
  '5;a=b\r\nhello\r\n',
];
const edits = fc.array(
  fc.record({
    at: fc.nat(40_000),
    drop: fc.nat(4),
    with: fc.oneof(anyOf(CONTROL), anyOf(FRAME_NASTY), anyOf(NASTY)),
  }),
  { maxLength: 2 },
);
const edited = (text: string, all: readonly Edit[]): string =>
  all.reduce((t, { at, drop, with: w }) => {
    // Mostly near the start or the end, where the frames of a small body are.
    const i =
      at % 3 === 0
        ? at % (t.length + 1)
        : at % 3 === 1
          ? at % Math.min(120, t.length + 1)
          : Math.max(0, t.length - (at % 160));
    return t.slice(0, i) + w + t.slice(i + drop);
  }, text);

const checksum = (payload: Buffer): string => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(payload));
  return bytes.toString('base64');
};

let chunkedBodies = 0;
/** With a checksum of the payload in its trailer: what is kept after all must be the payload. */
export const chunked: fc.Arbitrary<FuzzCase> = fc
  .record({
    payload: fc.oneof(
      fc.string({ maxLength: 40 }).map(wire),
      fc.nat(30_000).map((n) => 'x'.repeat(n)),
    ),
    signed: fc.boolean(),
    edits,
    declared: fc.oneof({ arbitrary: fc.constant(0), weight: 6 }, anyOf([-1, 1, 8_192])),
    encoding: anyOf(['aws-chunked', 'aws-chunked', 'gzip,aws-chunked', '', 'AWS-CHUNKED']),
    trailer: anyOf([
      'x-amz-checksum-crc32',
      'x-amz-checksum-crc32',
      'X-Amz-Checksum-Crc32',
      'x-amz-checksum-sha256',
      'x-other',
      '',
    ]),
    http: fc.boolean(),
  })
  .map(({ payload, signed, edits: all, declared, encoding, trailer, http }): FuzzCase => {
    const bytes = Buffer.from(payload, 'latin1');
    const frames = encodeAwsChunked([bytes], {
      chunkBytes: 8_192,
      trailers: () => ({ 'x-amz-checksum-crc32': checksum(bytes) }),
      ...(signed && { seed: CHUNK_SEED }),
    });
    const framed = edited(Buffer.concat([...frames]).toString('latin1'), all);
    const hash = signed ? 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER' : 'STREAMING-UNSIGNED-PAYLOAD-TRAILER';
    const headers: Header[] = [
      ['x-amz-content-sha256', hash],
      ['x-amz-decoded-content-length', String(bytes.length + declared)],
      ...(encoding === '' ? [] : [['Content-Encoding', encoding] as const]),
      ...(trailer === '' ? [] : [['x-amz-trailer', trailer] as const]),
    ];
    const path = `/kept/chunked-${chunkedBodies++}`;
    const kept = /^x-amz-checksum-crc32$/i.test(trailer) ? { kept: { path, body: payload } } : {};
    if (!http || framed === '')
      return {
        bytes: requestBytes({ method: 'PUT', path, headers, body: framed }),
        methods: ['PUT'],
        ...kept,
      };
    const body = `${framed.length.toString(16)}\r\n${framed}\r\n0\r\n\r\n`;
    const parts = {
      method: 'PUT',
      path,
      headers: [...headers, ['Transfer-Encoding', 'chunked'] as const],
      body,
    };
    return { bytes: requestBytes(parts), methods: ['PUT'], ...kept };
  });

const BOUNDARY = 'fuzz-boundary';
const POLICY = {
  expiration: '2099-01-01T00:00:00Z',
  conditions: [
    { bucket: 'fuzz' },
    ['starts-with', '$key', ''],
    ['content-length-range', 0, 100],
    { acl: 'private' },
  ],
};
const FIELD_NAMES = [
  'key',
  'acl',
  'Content-Type',
  'success_action_status',
  'success_action_redirect',
  'policy',
  'tagging',
  'x-amz-meta-a',
  'x-amz-signature',
  'x-amz-credential',
  'x-amz-date',
  'x-amz-algorithm',
  'AWSAccessKeyId',
  'signature',
  'x-amz-checksum-crc32',
  'x-ignore-a',
  'bucket',
  'file',
  '',
  '__proto__',
  'x-amz-server-side-encryption',
];
const fieldText = fc.oneof(anyOf(NASTY), anyOf(CONTROL), fc.string({ maxLength: 10 }).map(wire));
const policyText = fc
  .record({
    expiration: fc.oneof(fc.constant(POLICY.expiration), fc.jsonValue()),
    extra: fc.array(fc.jsonValue(), { maxLength: 3 }),
    edits,
  })
  .map(({ expiration, extra, edits: all }) =>
    edited(
      Buffer.from(
        edited(JSON.stringify({ expiration, conditions: [...POLICY.conditions, ...extra] }), all),
        'latin1',
      ).toString('base64'),
      all.slice(1),
    ),
  );
const field = fc.oneof(fc.tuple(anyOf(FIELD_NAMES), fieldText), fc.tuple(fc.constant('policy'), policyText));

const part = (disposition: string, value: string): string =>
  `--${BOUNDARY}\r\nContent-Disposition: form-data; ${disposition}\r\n\r\n${value}\r\n`;

export const forms: fc.Arbitrary<FuzzCase> = fc
  .record({
    fields: fc.array(field, { maxLength: 8 }),
    file: anyOf([
      'name="file"; filename="a.txt"',
      'name="file"',
      `name="file"; filename="../../x\\"y"`,
      'name=file',
      'filename="x"',
    ]),
    edits,
    type: anyOf([
      `multipart/form-data; boundary=${BOUNDARY}`,
      `multipart/form-data; boundary=${BOUNDARY}`,
      'multipart/form-data',
      'multipart/form-data; boundary=',
      `multipart/form-data; boundary="${'b'.repeat(300)}"`,
    ]),
    cut: fc.oneof({ arbitrary: fc.constant(0), weight: 5 }, fc.nat(200)),
  })
  .map(({ fields, file, edits: all, type, cut }): FuzzCase => {
    const whole = [
      ...fields.map(([name, value]) => part(`name="${name}"`, value)),
      part(file, 'content'),
      `--${BOUNDARY}--\r\n`,
    ].join('');
    const text = edited(whole, all);
    const body = text.slice(0, text.length - cut);
    return {
      bytes: requestBytes({ method: 'POST', path: '/fuzz', headers: [['Content-Type', type]], body }),
      methods: ['POST'],
    };
  });
