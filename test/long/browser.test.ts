/**
 * A page in a real Chromium, of another origin than the store: an upload by an HTML form with a signed policy (and a submit
 * button behind the file, as pages have it), fetch() with a preflight, and what the browser keeps from a page when the
 * bucket has no rules for it. The store's front is real, with real signatures; catalog and bytes are models.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  CreateBucketCommand,
  GetObjectCommand,
  PutBucketCorsCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { problemWith } from '../clients/client-harness.ts';
import { signedPolicy } from '../harness/post-form.ts';
import { deadline } from '../harness/store.ts';
import { CREDENTIALS, type SdkFront, startSdkFront } from '../integration/s3api/objects/sdk-front.ts';

const CHROMIUM = 'chromium';
const BROWSER_MS = 120_000;
const missing = problemWith([CHROMIUM, '--version']);

/** The page's server: gives one page, and hears from it. */
class PageServer {
  readonly #server: Server;
  readonly #heard = new Map<string, (value: string) => void>();
  #page = '';
  constructor() {
    this.#server = createServer((req, res) => void this.#answer(req, res));
  }
  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }
  /** By name: another site than the store's address. */
  get origin(): string {
    return `http://localhost:${(this.#server.address() as AddressInfo).port}`;
  }
  show(page: string): void {
    this.#page = page;
  }
  /** What comes to this path: the body, or the URL where there is none. */
  hear(path: string): Promise<string> {
    return new Promise((resolve) => this.#heard.set(path, resolve));
  }
  async #answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk as Buffer);
    const url = req.url ?? '/';
    const body = Buffer.concat(chunks).toString();
    this.#heard.get(url.split('?', 1)[0]!)?.(body === '' ? url : body);
    res
      .writeHead(200, { 'content-type': 'text/html; charset=utf-8' })
      .end(url === '/' ? this.#page : 'heard');
  }
  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

/** A browser that shows a URL until it is closed. */
function browse(url: string): { close(): Promise<void> } {
  const profile = mkdtempSync(join(tmpdir(), 'antipode-chromium-'));
  const flags = [
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--no-first-run',
  ];
  const child: ChildProcess = spawn(
    CHROMIUM,
    [...flags, '--remote-debugging-port=0', `--user-data-dir=${profile}`, url],
    {
      env: { PATH: process.env.PATH ?? '', HOME: profile },
      stdio: 'ignore',
      detached: true,
    },
  );
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  return {
    close: async () => {
      // Its own process group: the browser with all of its processes.
      process.kill(-child.pid!, 'SIGKILL');
      await ended;
      rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
    },
  };
}

describe('a page in Chromium', missing === null ? {} : { skip: missing }, () => {
  let front: SdkFront;
  const pages = new PageServer();
  before(async () => {
    front = await startSdkFront();
    await pages.listen();
  });
  after(async () => {
    pages.close();
    await front?.close();
  });
  const visit = async (page: string, ...paths: string[]): Promise<string[]> => {
    pages.show(page);
    const heard = paths.map((path) => pages.hear(path));
    const browser = browse(`${pages.origin}/`);
    try {
      return await deadline(Promise.all(heard), BROWSER_MS, `the page did not report ${paths.join(', ')}`);
    } finally {
      await browser.close();
    }
  };
  const read = async (Bucket: string, Key: string): Promise<Buffer> => {
    const { Body } = await front.s3.send(new GetObjectCommand({ Bucket, Key }));
    return Buffer.from(await Body!.transformToByteArray());
  };

  it('uploads by a form, and is sent on', async () => {
    const Bucket = 'uploads';
    await front.s3.send(new CreateBucketCommand({ Bucket }));
    const size = 6 * 1024 * 1024 + 7;
    const done = `${pages.origin}/done`;
    const fields = {
      key: ['up/$', '{filename}'].join(''),
      'x-amz-meta-who': 'Zoë',
      success_action_redirect: done,
    };
    const conditions = [
      { bucket: Bucket },
      ['starts-with', '$key', 'up/'],
      ['starts-with', '$x-amz-meta-who', ''],
      { success_action_redirect: done },
      ['content-length-range', 1, size],
    ];
    const hidden = Object.entries({ ...fields, ...signedPolicy({ ...CREDENTIALS, conditions }) })
      .map(([name, value]) => `<input type="hidden" name="${name}" value="${value}">`)
      .join('\n');
    const [told] = await visit(
      `<!doctype html><meta charset="utf-8">
      <form action="${front.url}/${Bucket}" method="post" enctype="multipart/form-data">${hidden}
      <input type="file" name="file"><input type="submit" name="submit" value="Upload"></form>
      <script>
        const chosen = new DataTransfer();
        chosen.items.add(new File([new Uint8Array(${size}).map((_, i) => i % 251)], 'kätzchen 1.bin'));
        document.querySelector('[type=file]').files = chosen.files;
        document.querySelector('[type=submit]').click();
      </script>`,
      '/done',
    );
    const expected = Buffer.from(Uint8Array.from({ length: size }, (_, i) => i % 251));
    assert.ok((await read(Bucket, 'up/kätzchen 1.bin')).equals(expected));
    const etag = createHash('md5').update(expected).digest('hex');
    assert.equal(told, `/done?bucket=${Bucket}&key=up%2Fk%C3%A4tzchen%201.bin&etag=%22${etag}%22`);
  });

  it('puts and reads by fetch() where the bucket has rules for its origin, and is refused where not', async () => {
    const [open, closed] = ['open', 'closed'];
    for (const Bucket of [open, closed]) await front.s3.send(new CreateBucketCommand({ Bucket }));
    const rule = {
      AllowedOrigins: [pages.origin],
      AllowedMethods: ['PUT', 'GET'],
      AllowedHeaders: ['x-amz-*', 'content-type'],
      ExposeHeaders: ['ETag'],
    };
    await front.s3.send(new PutBucketCorsCommand({ Bucket: open, CORSConfiguration: { CORSRules: [rule] } }));
    const put = (Bucket: string) =>
      getSignedUrl(front.s3, new PutObjectCommand({ Bucket, Key: 'k', Metadata: { a: 'b' } }), {
        unhoistableHeaders: new Set(['x-amz-meta-a']),
      });
    const body = randomBytes(16).toString('hex');
    const urls = JSON.stringify([await put(open), await put(closed)]);
    const unsigned = `${front.url}/${open}/k`;
    const [told] = await visit(
      `<!doctype html><script>(async () => {
        const [open, closed] = ${urls};
        const put = (url) => fetch(url, { method: 'PUT', headers: { 'x-amz-meta-a': 'b' }, body: '${body}' })
          .then((answer) => [answer.status, answer.headers.get('etag'), answer.headers.get('x-amz-request-id')],
                (error) => error.name);
        const refused = await fetch('${unsigned}').then(async (a) => [a.status, /AccessDenied/.test(await a.text())]);
        const told = { open: await put(open), closed: await put(closed), refused };
        await fetch('/told', { method: 'POST', body: JSON.stringify(told) });
      })()</script>`,
      '/told',
    );
    const etag = `"${createHash('md5').update(body).digest('hex')}"`;
    assert.deepEqual(JSON.parse(told!), {
      open: [200, etag, null],
      closed: 'TypeError',
      refused: [403, true],
    });
    assert.equal((await read(open, 'k')).toString(), body);
  });
});
