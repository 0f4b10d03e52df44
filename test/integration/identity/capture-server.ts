/** A plain HTTP server that authenticates and decodes whatever a client sends, and remembers what came out. */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { systemClock } from '../../../src/base/clock.ts';
import { authenticate } from '../../../src/identity/authenticate.ts';
import type { Authenticated } from '../../../src/identity/types.ts';
import type { Headers } from '../../../src/s3api/body/declared.ts';
import { openRequestBody, storedContentEncoding } from '../../../src/s3api/body/request-body.ts';
import { S3Error } from '../../../src/s3api/errors.ts';
import { depsAt } from '../../unit/identity/fixtures.ts';

export interface Captured {
  readonly method: string;
  readonly url: string;
  readonly headers: Headers;
  readonly authenticated: Authenticated;
  readonly payload: Buffer;
  readonly declaredChecksum: string | null;
  readonly md5: string;
  readonly checksums: Readonly<Record<string, string>>;
  readonly contentEncoding: string | undefined;
}

export interface CaptureServer {
  readonly port: number;
  readonly captured: Captured[];
  /** What was refused, as `code: message`. */
  readonly refused: string[];
  close(): Promise<void>;
}

export async function startCaptureServer(): Promise<CaptureServer> {
  const captured: Captured[] = [];
  const refused: string[] = [];
  const server = createServer();
  const handle = async (req: IncomingMessage): Promise<string> => {
    const headersDistinct = req.headersDistinct as Record<string, string[]>;
    const method = req.method ?? '';
    const [rawPath, rawQuery] = (req.url ?? '/').split('?') as [string, string | undefined];
    const headers: Headers = Object.fromEntries(
      Object.entries(headersDistinct).map(([name, values]) => [name, values.join(',')]),
    );
    const authenticated = await authenticate(
      { method, rawPath, rawQuery: rawQuery ?? '', headers: headersDistinct },
      { ...depsAt(0), clock: systemClock },
    );
    const withBody = method === 'PUT' || method === 'POST';
    const given = withBody ? headers : { 'content-length': '0' };
    const body = openRequestBody(req, given, authenticated, { clock: systemClock, stallMs: 5_000 });
    const slices: Buffer[] = [];
    for await (const slice of body.stream(['CRC64NVME'])) slices.push(slice);
    const { md5, checksums } = body.result();
    captured.push({
      method,
      url: req.url ?? '',
      headers,
      authenticated,
      payload: Buffer.concat(slices),
      declaredChecksum: body.declaredChecksum,
      md5,
      checksums: checksums as Record<string, string>,
      contentEncoding: storedContentEncoding(headers['content-encoding']),
    });
    return md5;
  };
  server.on('request', (req, res) => {
    handle(req).then(
      (md5) => res.writeHead(200, { etag: `"${md5}"`, 'content-length': 0 }).end(),
      (error: unknown) => {
        const known = error instanceof Error && 'code' in error && 'status' in error;
        refused.push(known ? `${error.code}: ${error.message}` : String(error));
        const status = error instanceof S3Error || known ? Number((error as S3Error).status) : 500;
        res.writeHead(status, { connection: 'close', 'content-type': 'application/xml' });
        res.end(`<Error><Code>${known ? error.code : 'InternalError'}</Code><Message>m</Message></Error>`);
      },
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    captured,
    refused,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
