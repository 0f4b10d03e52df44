/**
 * Asks a Patroni over its REST API. `GET /leader` tells role, timeline and, by its status, whether this one holds the
 * leader lock; `GET /config` tells the cluster's settings. `GET /cluster` is not asked: answering it moves dcs_last_seen, by
 * which the age of a leader's word is told (patroni-word.ts). Every answer is bounded, in size and in time, and judged.
 */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { z } from 'zod';
import type { Clock } from '../base/clock.ts';
import type { PatroniAnswer, PatroniConfig } from './patroni-word.ts';

export interface PatroniClientOptions {
  /** http://HOST:PORT or https://HOST:PORT. */
  readonly url: string;
  /** PEM; for https. */
  readonly ca: string | null;
  readonly clock: Clock;
  readonly deadlineMs?: number;
}

export interface PatroniClient {
  /** @throws {Error} that says in one line why there is no answer that can be used */
  ask(): Promise<{ readonly answer: PatroniAnswer; readonly config: PatroniConfig }>;
}

const DEADLINE_MS = 2_000;
const ANSWER_BYTES_MAX = 256 * 1024;

const seconds = z.number().finite().min(0);
const status = z.object({
  state: z.string().max(100),
  role: z.string().max(100),
  timeline: z.int().min(1).max(0xffff_ffff).nullish(),
  dcs_last_seen: seconds.nullish(),
  cluster_unlocked: z.boolean().nullish(),
  sync_standby: z.boolean().nullish(),
});
const configuration = z.object({
  ttl: seconds.max(86_400).nullish(),
  loop_wait: seconds.max(86_400).nullish(),
  synchronous_mode: z.unknown().optional(),
  synchronous_mode_strict: z.unknown().optional(),
});

/** Patroni's own defaults. */
const TTL_S = 30;
const LOOP_WAIT_S = 10;

export function createPatroniClient(o: PatroniClientOptions): PatroniClient {
  const deadlineMs = o.deadlineMs ?? DEADLINE_MS;
  return {
    async ask() {
      const askedAt = o.clock.monotonic();
      const [leader, config] = await Promise.all([
        get(o, '/leader', deadlineMs),
        get(o, '/config', deadlineMs),
      ]);
      if (config.status !== 200) throw new Error(`GET /config was answered with ${config.status}`);
      return { answer: readStatus(leader, askedAt), config: readConfig(config) };
    },
  };
}

interface Got {
  readonly status: number;
  /** By the server's own clock. */
  readonly date: string;
  readonly text: string;
}

function readStatus(got: Got, askedAt: number): PatroniAnswer {
  if (got.status !== 200 && got.status !== 503)
    throw new Error(`GET /leader was answered with ${got.status}`);
  const said = parse(got, '/leader', status);
  const dateS = Date.parse(got.date) / 1_000;
  if (!Number.isFinite(dateS)) throw new Error('GET /leader: the answer has no date');
  return {
    askedAt,
    lock: got.status === 200,
    // Patroni 4 says primary where earlier ones say master.
    primary: said.role === 'master' || said.role === 'primary',
    running: said.state === 'running',
    unlocked: said.cluster_unlocked === true,
    syncStandby: said.sync_standby === true,
    timeline: said.timeline ?? null,
    seenS: said.dcs_last_seen ?? 0,
    dateS,
  };
}

function readConfig(got: Got): PatroniConfig {
  const said = parse(got, '/config', configuration);
  return {
    ttlS: said.ttl ?? TTL_S,
    loopWaitS: said.loop_wait ?? LOOP_WAIT_S,
    synchronous: isOn(said.synchronous_mode),
    strict: isOn(said.synchronous_mode_strict),
  };
}

/** As Patroni reads them; anything else, `quorum` too, is not what is needed here. */
const isOn = (value: unknown): boolean =>
  value === true || (typeof value === 'string' && /^(?:on|true|yes|1)$/i.test(value)) || value === 1;

function parse<T>(got: Got, path: string, schema: z.ZodType<T>): T {
  let json: unknown;
  try {
    json = JSON.parse(got.text);
  } catch {
    throw new Error(`GET ${path}: the answer is no JSON`);
  }
  const read = schema.safeParse(json);
  if (read.success) return read.data;
  throw new Error(
    `GET ${path}: ${read.error.issues[0]!.path.join('.') || 'the answer'} is not as Patroni says it`,
  );
}

function get(o: PatroniClientOptions, path: string, deadlineMs: number): Promise<Got> {
  const url = new URL(path, o.url);
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(deadlineMs);
    const fail = (error: Error) =>
      reject(signal.aborted ? new Error(`no answer within ${deadlineMs} ms`) : error);
    const options = { method: 'GET', agent: false, signal } as const;
    const req =
      url.protocol === 'https:'
        ? httpsRequest(url, { ...options, ...(o.ca !== null && { ca: o.ca }) })
        : httpRequest(url, options);
    req.once('error', fail);
    req.once('response', (res) => {
      const parts: Buffer[] = [];
      let length = 0;
      res.on('data', (part: Buffer) => {
        length += part.length;
        if (length > ANSWER_BYTES_MAX) req.destroy(new Error(`GET ${path}: the answer is too long`));
        else parts.push(part);
      });
      res.once('error', fail);
      res.once('aborted', () => fail(new Error(`GET ${path}: the answer ended early`)));
      res.once('end', () =>
        resolve({
          status: res.statusCode ?? 0,
          date: res.headers.date ?? '',
          text: Buffer.concat(parts).toString(),
        }),
      );
    });
    req.end();
  });
}
