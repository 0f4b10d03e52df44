/** Requests whose length is in doubt, that follow each other without a pause, or that are hardly requests. */
import fc from 'fast-check';
import { CONTROL, NASTY, requestBytes, wire } from './requests.ts';
import type { FuzzCase } from './target.ts';

const anyOf = <T>(values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
const nasty = anyOf(NASTY);

const lineEnd = fc.oneof(
  { arbitrary: fc.constant('\r\n'), weight: 12 },
  anyOf(['\n', '\r', '\r\r\n', '\n\r\n']),
);
const LENGTH_LINES = [
  ...[
    'Content-Length: 5',
    'Content-Length: 0',
    'Content-Length: 6',
    'Content-Length: 500',
    'Content-Length: +5',
    'Content-Length: 5 5',
  ],
  ...[
    'Content-Length: 0x5',
    'Content-Length: 5, 5',
    'Content-Length: -1',
    'Content-Length:',
    'Content-Length : 5',
    'Content_Length: 5',
  ],
  ...[
    'Content-Length: 99999999999999999999',
    'content-length: 05',
    'Transfer-Encoding: chunked',
    'Transfer-Encoding: identity',
  ],
  ...[
    'Transfer-Encoding: chunked, identity',
    'Transfer-Encoding: identity, chunked',
    'Transfer-Encoding:\x0bchunked',
  ],
  ...[
    'Transfer-Encoding: xchunked',
    'Transfer-Encoding: gzip, chunked',
    'Transfer-Encoding : chunked',
    'transfer-encoding: CHUNKED',
  ],
  ...[
    'X: y\r\n Transfer-Encoding: chunked',
    'X: y\n\tContent-Length: 5',
    ' Content-Length: 5',
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: x',
  ],
  ...[
    'Expect: 100-continue',
    'Expect: 200-ok',
    'Connection: close',
    'Connection: Content-Length',
    'Connection: upgrade\r\nUpgrade: h2c',
    'Trailer: Host',
  ],
];
const FRAMED_BODIES = [
  'hello',
  '5\r\nhello\r\n0\r\n\r\n',
  '5;a=b\r\nhello\r\n0;c\r\nx: y\r\n\r\n',
  '5\nhello\n0\n\n',
  '0005\r\nhello\r\n0\r\n\r\n',
  'ffffffffffffffff1\r\nhello\r\n0\r\n\r\n',
  '-5\r\nhello\r\n0\r\n\r\n',
  '5 \r\nhello\r\n0\r\n\r\n',
  '5\r\nhelloX\r\n0\r\n\r\n',
  '0\r\n\r\n',
  '',
];
let smuggled = 0;
/** A request whose length is in doubt, and after it bytes that are a request only for who takes the wrong length. */
export const framing: fc.Arbitrary<FuzzCase> = fc
  .record({
    lines: fc.array(anyOf(LENGTH_LINES), { minLength: 1, maxLength: 3 }),
    end: lineEnd,
    body: anyOf(FRAMED_BODIES),
    version: anyOf(['HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/0.9', 'HTTP/2.0', 'http/1.1', '']),
    after: fc.boolean(),
  })
  .map(({ lines, end, body, version, after }): FuzzCase => {
    const never = `smuggled-${smuggled++}`;
    const head = [`PUT /fuzz/framed ${version}`, 'Host: localhost', 'x-test-account: alice', ...lines].join(
      end,
    );
    const second = after ? `GET /fuzz/${never} HTTP/1.1\r\nHost: localhost\r\n\r\n` : '';
    const isPlain = end === '\r\n' && /^HTTP\/1\.[01]$/.test(version) && !isDoubtful(lines, body);
    return { bytes: `${head}${end}${end}${body}${second}`, methods: [], ...(isPlain ? {} : { never }) };
  });

/** Whether the length is not the body's, or said in more than one way: no second request may be seen behind it. */
function isDoubtful(lines: readonly string[], body: string): boolean {
  const lengths = lines.filter(
    (line) => /content-length|transfer-encoding/i.test(line) && !/^Connection/.test(line),
  );
  if (lengths.length !== 1) return lengths.length > 1;
  const [line] = lengths as [string];
  if (line === 'Content-Length: 0') return false;
  if (line === 'Content-Length: 5' || line === 'content-length: 05') return false;
  // Whatever else was done to the body, it ends where its chunks do.
  if (/^transfer-encoding: (\w+, )?chunked$/i.test(line))
    return !/^(0|5|0005)[;\r]/.test(body) || body.includes('X');
  return true;
}

export const pipelined: fc.Arbitrary<FuzzCase> = fc
  .array(
    fc.record({
      method: anyOf(['GET', 'HEAD', 'PUT', 'DELETE']),
      key: fc.nat(5),
      body: fc.string({ maxLength: 5 }).map(wire),
    }),
    { minLength: 1, maxLength: 12 },
  )
  .map(
    (list): FuzzCase => ({
      bytes: list
        .map(({ method, key, body }) =>
          requestBytes({ method, path: `/fuzz/p${key}`, ...(method === 'PUT' ? { body } : {}) }),
        )
        .join(''),
      methods: list.map(({ method }) => method),
    }),
  );

export const wild: fc.Arbitrary<FuzzCase> = fc
  .record({
    base: anyOf([
      'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n',
      requestBytes({ method: 'PUT', path: '/fuzz/wild', body: 'hello' }),
    ]),
    at: fc.nat(200),
    with: fc.oneof(
      anyOf(CONTROL),
      nasty,
      anyOf(['x'.repeat(20_000), 'a: b\r\n'.repeat(3_000), '\x16\x03\x01\x02\x00\x01\x00']),
    ),
    drop: fc.nat(5),
  })
  .map(({ base, at, with: text, drop }): FuzzCase => {
    const i = at % base.length;
    return { bytes: base.slice(0, i) + text + base.slice(i + drop), methods: [] };
  });
