/**
 * Writing answers: results, error documents, streamed bodies with backpressure, and the slow bodies of Complete and Copy.
 * A body that cannot be sent whole never ends cleanly: its socket is destroyed.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { S3Error, type S3ErrorCode } from './errors.ts';
import type { OperationResult } from './operation.ts';
import { tag, XML_DECLARATION } from './xml.ts';

export interface Answer {
  readonly requestId: string;
  readonly hostId: string;
  /** The path of the request, for error documents. */
  readonly resource: string;
  readonly method: string;
  /** Milliseconds until a slow body starts, and between its white space. */
  readonly slowBodyMs: number;
}

const XML_TYPE = 'application/xml';

/** The client went away, or the body's source failed after headers were sent. Nothing more can be said to the client. */
export class ResponseBroken extends Error {
  override readonly name = 'ResponseBroken';
}

/** A slow body failed after its 200 had gone out: the error document follows under that status. */
export class SlowBodyFailed extends Error {
  override readonly name = 'SlowBodyFailed';
}

/** What XML cannot carry: an error must be one that every parser reads, and here a text only tells what was wrong. */
const UNREADABLE = /[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g;
const readable = (text: string): string => text.replace(UNREADABLE, '\ufffd');

export function errorXml(error: S3Error, answer: Answer): string {
  const fields = Object.entries(error.fields).map(([name, value]) => tag(name, readable(value)));
  const inner = [
    tag('Code', error.code),
    tag('Message', readable(error.message)),
    ...fields,
    tag('Resource', readable(answer.resource)),
    tag('RequestId', answer.requestId),
    tag('HostId', answer.hostId),
  ];
  return `${XML_DECLARATION}<Error>${inner.join('')}</Error>`;
}

/** Answers without a body: HEAD, and 304, which keeps the headers that the error carries (ETag and the like). */
export function sendError(res: ServerResponse, error: S3Error, answer: Answer): void {
  for (const [name, value] of Object.entries(error.headers)) res.setHeader(name, value);
  if (answer.method === 'HEAD' || error.status === 304) {
    if (error.status !== 304) res.setHeader('content-type', XML_TYPE);
    res.writeHead(error.status);
    return;
  }
  const body = Buffer.from(errorXml(error, answer));
  res.writeHead(error.status, { 'content-type': XML_TYPE, 'content-length': body.length });
  res.write(body);
}

/**
 * Writes everything but the end (the pipeline ends the response, once it has dealt with an unread request body).
 * @returns bytes of the body
 * @throws {ResponseBroken} when the body could not be sent whole @throws {SlowBodyFailed}
 */
export async function sendResult(
  res: ServerResponse,
  result: OperationResult,
  answer: Answer,
): Promise<number> {
  if (result.slowBody) return sendSlow(res, result, result.slowBody, answer);
  const headers = definedHeaders(result.headers);
  if (typeof result.body === 'string') return sendText(res, result.status, headers, result.body, answer);
  if (result.body === undefined) {
    if (result.status !== 204 && result.status !== 304) headers['content-length'] ??= 0;
    res.writeHead(result.status, headers);
    return 0;
  }
  const length = Number(headers['content-length']);
  if (!Number.isSafeInteger(length) || length < 0)
    throw new Error('a streamed body needs headers["content-length"]');
  res.writeHead(result.status, headers);
  return sendStream(res, result.body, length);
}

function definedHeaders(headers: OperationResult['headers']): Record<string, string | number> {
  const defined: Record<string, string | number> = {};
  for (const [name, value] of Object.entries(headers ?? {})) if (value !== undefined) defined[name] = value;
  return defined;
}

function sendText(
  res: ServerResponse,
  status: number,
  headers: Record<string, string | number>,
  text: string,
  answer: Answer,
): number {
  const body = Buffer.from(text);
  res.writeHead(status, { 'content-type': XML_TYPE, ...headers, 'content-length': body.length });
  if (answer.method === 'HEAD') return 0;
  res.write(body);
  return body.length;
}

async function sendStream(
  res: ServerResponse,
  source: AsyncIterable<Buffer>,
  length: number,
): Promise<number> {
  let sent = 0;
  try {
    for await (const chunk of source) {
      sent += chunk.length;
      if (sent > length) throw new Error(`the body is longer than its ${length} bytes`);
      if (!res.write(chunk)) await drained(res);
      if (res.destroyed) throw new Error('the client went away');
    }
    if (sent !== length) throw new Error(`the body ended after ${sent} of ${length} bytes`);
  } catch (error) {
    res.destroy();
    throw new ResponseBroken('the body could not be sent whole', { cause: error });
  }
  return sent;
}

function drained(res: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      res.off('drain', done);
      res.off('close', done);
      resolve();
    };
    res.on('drain', done);
    res.on('close', done);
  });
}

/**
 * As AWS does for CompleteMultipartUpload: when the result takes long, 200 and the XML declaration go out first, then white
 * space; what fails after that is an error document under status 200, which SDKs look for.
 */
async function sendSlow(
  res: ServerResponse,
  result: OperationResult,
  slow: Promise<string>,
  answer: Answer,
): Promise<number> {
  const headers = definedHeaders(result.headers);
  let started = false;
  const timer = setInterval(() => {
    if (!started) {
      started = true;
      res.writeHead(result.status, { 'content-type': XML_TYPE, ...headers });
      res.write(XML_DECLARATION);
    }
    if (res.writableLength === 0) res.write(' ');
  }, answer.slowBodyMs);
  try {
    const text = await slow;
    if (!started) return sendText(res, result.status, headers, text, answer);
    res.write(text.startsWith(XML_DECLARATION) ? text.slice(XML_DECLARATION.length) : text);
    return Buffer.byteLength(text);
  } catch (error) {
    throw started ? new SlowBodyFailed('failed after the status was sent', { cause: error }) : error;
  } finally {
    clearInterval(timer);
  }
}

/** The whole answer to a request that node's parser refused: there is no request to answer, only a socket. */
export function connectionErrorResponse(code: string | undefined): string {
  const error = new S3Error(connectionErrorCode(code));
  const inner = tag('Code', error.code) + tag('Message', error.message);
  const body = `${XML_DECLARATION}<Error>${inner}</Error>`;
  return (
    `HTTP/1.1 ${error.status} Bad Request\r\nContent-Type: ${XML_TYPE}\r\n` +
    `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`
  );
}

function connectionErrorCode(code: string | undefined): S3ErrorCode {
  if (code === 'HPE_HEADER_OVERFLOW') return 'RequestHeaderSectionTooLarge';
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 'RequestTimeout' : 'BadRequest';
}

export interface DrainLimits {
  readonly bytesMax: number;
  readonly idleMs: number;
}

/**
 * Reads and drops what is left of a request's body, so that a client that still sends sees the answer and not a reset
 * connection. Ends at the body's end, after `bytesMax`, or when nothing comes for `idleMs`.
 */
export function drainRequest(req: IncomingMessage, limits: DrainLimits): Promise<void> {
  return new Promise((resolve) => {
    let left = limits.bytesMax;
    const done = (): void => {
      clearTimeout(timer);
      req.off('data', onData);
      for (const event of ['end', 'close', 'error']) req.off(event, done);
      resolve();
    };
    const timer = setTimeout(done, limits.idleMs);
    const onData = (chunk: Buffer): void => {
      left -= chunk.length;
      timer.refresh();
      if (left < 0) done();
    };
    if (req.complete || req.destroyed) return done();
    for (const event of ['end', 'close', 'error']) req.on(event, done);
    req.on('data', onData);
    req.resume();
  });
}
