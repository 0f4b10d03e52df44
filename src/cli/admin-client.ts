/**
 * The command's side of the admin API: signs, sends, and turns whatever goes wrong into one line.
 * Credentials: ANTIPODE_ACCESS_KEY and ANTIPODE_SECRET_KEY, else the data folder's.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { request } from 'undici';
import { z } from 'zod';
import { ADMIN_PREFIX, ADMIN_REGION, ADMIN_SERVICE } from '../admin/api.ts';
import { ConfigError, type Credentials, readClientConfig } from '../config.ts';
import { signRequest } from '../identity/sign.ts';
import { CommandError } from './command-error.ts';

export interface AdminFlags {
  /** HOST:PORT, or a URL where the admin address speaks TLS. */
  readonly admin?: string;
  readonly data?: string;
}

export interface AdminClient {
  /** Resolves with the parsed JSON (undefined for 204). @throws {CommandError} */
  send<T>(
    method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
    path: string,
    body?: unknown,
    answerMs?: number,
  ): Promise<T>;
  /** The documents of an answer that comes line by line (admin/json-lines.ts). @throws {CommandError} */
  lines<T>(method: 'GET' | 'POST', path: string, body?: unknown): AsyncGenerator<T, void>;
}

/** Until an answer begins, and between two pieces of it. */
const ANSWER_MS = 15_000;
const ROOT_CREDENTIALS = join('secrets', 'root-credentials.json');
const SUPERVISOR = join('run', 'supervisor.json');
const supervisorFile = z.object({ admin: z.url() });
const credentialsFile = z.object({ accessKeyId: z.string(), secretKey: z.string() });

export function createAdminClient(flags: AdminFlags): AdminClient {
  const { origin, credentials } = connection(flags);
  const ask = async (method: string, path: string, body?: unknown, answerMs = ANSWER_MS) => {
    const url = new URL(ADMIN_PREFIX + path, origin);
    const payload = body === undefined ? '' : JSON.stringify(body);
    const { headers } = signRequest({
      method,
      path: url.pathname,
      query: url.search.slice(1),
      headers: { host: url.host, 'content-type': 'application/json' },
      payload: Buffer.from(payload),
      credentials: { accessKeyId: credentials.accessKeyId, secretAccessKey: credentials.secretKey },
      region: ADMIN_REGION,
      service: ADMIN_SERVICE,
      nowMs: Date.now(),
    });
    const limits = { headersTimeout: answerMs, bodyTimeout: answerMs };
    return await request(url, {
      method,
      headers,
      ...(body === undefined ? {} : { body: payload }),
      ...limits,
    });
  };
  const noAnswer = (cause: unknown) =>
    new CommandError(`${origin} does not answer (${reasonOf(cause)}): is the store running?`, 1, {
      cause,
      passing: true,
    });

  return {
    async send<T>(
      method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
      path: string,
      body?: unknown,
      answerMs?: number,
    ): Promise<T> {
      let answer: { statusCode: number; text: string };
      try {
        const response = await ask(method, path, body, answerMs);
        answer = { statusCode: response.statusCode, text: await response.body.text() };
      } catch (cause) {
        throw noAnswer(cause);
      }
      if (answer.statusCode >= 300) {
        // Not supported: another call of the command cannot help.
        throw new CommandError(errorLine(answer), answer.statusCode === 501 ? 2 : 1);
      }
      return (answer.text === '' ? undefined : parseJson(answer.text, origin)) as T;
    },
    async *lines<T>(method: 'GET' | 'POST', path: string, body?: unknown) {
      try {
        const response = await ask(method, path, body);
        const { statusCode } = response;
        if (statusCode >= 300)
          throw new CommandError(errorLine({ statusCode, text: await response.body.text() }), 1, {
            passing: statusCode >= 500,
          });
        for await (const line of createInterface({ input: response.body })) {
          if (line === '') continue;
          const document = parseJson(line, origin) as T & { error?: { code: string; message: string } };
          if (document.error?.message !== undefined)
            throw new CommandError(document.error.message, 1, {
              passing: document.error.code !== 'NotFound',
            });
          yield document;
        }
      } catch (cause) {
        throw cause instanceof CommandError ? cause : noAnswer(cause);
      }
    },
  };
}

function connection(flags: AdminFlags): { origin: string; credentials: Credentials } {
  const [, scheme = 'http', address] = /^(?:(https?):\/\/)?(.*?)\/?$/.exec(flags.admin ?? '') ?? [];
  const config = readClientConfig({ data: flags.data, admin: address === '' ? undefined : address });
  const host = config.admin.host.includes(':') ? `[${config.admin.host}]` : config.admin.host;
  const origin = `${scheme}://${host}:${config.admin.port}`;
  return {
    origin: config.adminGiven ? origin : (runningStore(config.dataDir) ?? origin),
    credentials: config.credentials ?? readDataFolder(config.dataDir),
  };
}

/** Where the store that runs on this data folder answers; null when none has said so. */
function runningStore(dataDir: string): string | null {
  try {
    return supervisorFile.parse(JSON.parse(readFileSync(join(dataDir, SUPERVISOR), 'utf8'))).admin;
  } catch {
    return null;
  }
}

/** @throws {ConfigError} */
function readDataFolder(dataDir: string): Credentials {
  const path = join(dataDir, ROOT_CREDENTIALS);
  try {
    return credentialsFile.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    const problem = (error as NodeJS.ErrnoException).code ?? 'not the expected JSON';
    throw new ConfigError(
      `no root credentials: ${path} cannot be read (${problem}); set ANTIPODE_ACCESS_KEY and ANTIPODE_SECRET_KEY, or name the data folder with --data`,
    );
  }
}

function errorLine({ statusCode, text }: { statusCode: number; text: string }): string {
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    if (typeof message === 'string') return message;
  } catch {
    // Not from this API: an S3 port answers XML.
  }
  return `HTTP ${statusCode}: is --admin the admin address?`;
}

function parseJson(text: string, origin: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CommandError(`${origin} did not answer with JSON: is --admin the admin address?`, 1, { cause });
  }
}

function reasonOf(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return code ?? message ?? String(error);
}
