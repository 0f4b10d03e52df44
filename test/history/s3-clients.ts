/**
 * Clients of S3 that write down what they asked and what they were told: puts (plain, If-None-Match, If-Match), gets,
 * deletes and listings of one bucket with a few keys, each client through one endpoint. What ends without a clear answer
 * may have happened or not. Bytes are checked at once: a body that is not the one its ETag names is an error.
 */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { pick, seededRandom, whole } from '../world/seeded-random.ts';
import { linearize, type Recorded } from './linearize.ts';
import { type Condition, linesOf, REGISTERS, type RegisterEvent } from './register.ts';

export const HISTORY_KEYS = ['a', 'b', 'c'];
/** A large body now and then, so that a fault meets it in the middle. */
const LARGE_BYTES = 600_000;
const LISTED_MAX = 100;

export class HistoryOfBucket {
  readonly bucket: string;
  readonly events: Recorded<RegisterEvent>[] = [];
  readonly counts: Record<string, number> = {};
  readonly #bodies = new Map<string, Buffer>();
  #now = 0;
  #puts = 0;

  constructor(bucket: string) {
    this.bucket = bucket;
  }

  begin(): number {
    this.#now += 1;
    return this.#now;
  }

  ended(event: RegisterEvent, begin: number): void {
    const isUnknown = 'answer' in event && event.answer === 'unknown';
    this.#now += 1;
    this.events.push({ event, begin, end: isUnknown ? Number.POSITIVE_INFINITY : this.#now });
    this.count(`${event.op} ${'answer' in event ? event.answer : 'read'}`);
  }

  count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }

  /** Bytes that no other put has, and the ETag that they will have. */
  body(isLarge: boolean): { bytes: Buffer; value: string } {
    this.#puts += 1;
    const text = `${this.bucket} ${this.#puts} `;
    const bytes = Buffer.from(isLarge ? text.repeat(Math.ceil(LARGE_BYTES / text.length)) : text);
    const value = createHash('md5').update(bytes).digest('hex');
    this.#bodies.set(value, bytes);
    return { bytes, value };
  }

  checkBytes(value: string, bytes: Buffer): void {
    const expected = this.#bodies.get(value);
    if (!expected?.equals(bytes)) throw new Error(`${value}: other bytes than were written, or nobody's`);
  }

  get values(): string[] {
    return [...this.#bodies.keys()];
  }

  /**
   * Each key by itself, with what listings showed of it, and then all keys at once. With many unknown outcomes that last
   * search may grow beyond its bound: then the keys' own orders are what has been shown (counted as `judged by keys`).
   * @throws {Error} when no order of the calls explains every answer
   */
  judge(): number {
    let tried = 0;
    for (const key of HISTORY_KEYS) tried += this.#judge(ofKey(this.events, key));
    try {
      return tried + this.#judge(this.events);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.count('judged by keys');
      return tried;
    }
  }

  #judge(events: readonly Recorded<RegisterEvent>[]): number {
    const result = linearize(REGISTERS, {}, events);
    if (result.holds) return result.tried;
    throw new Error(
      [
        `no order of these calls explains every answer (bucket ${this.bucket})`,
        'place in the longest order found | begin–end | call',
        ...linesOf(events, result.placed),
        `state there: ${JSON.stringify(result.state)}`,
      ].join('\n'),
    );
  }
}

/** What is said of one key; a listing shows it or does not. */
function ofKey(events: readonly Recorded<RegisterEvent>[], key: string): readonly Recorded<RegisterEvent>[] {
  return events.flatMap((one): Recorded<RegisterEvent>[] => {
    const { event } = one;
    if (event.op === 'list') return [{ ...one, event: { op: 'get', key, shown: event.shown[key] ?? null } }];
    return event.key === key ? [one] : [];
  });
}

/** The answers that leave nothing open; everything else may have happened. */
const statusOf = (error: unknown): number =>
  (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode ?? 0;

/** Runs until the moment is over (performance.now()). */
export async function runClient(
  history: HistoryOfBucket,
  s3: S3Client,
  o: { seed: number; until: number; pauseMs?: number },
): Promise<void> {
  const random = seededRandom(o.seed);
  const seen: string[] = [];
  while (performance.now() < o.until) {
    const Bucket = history.bucket;
    const Key = pick(random, HISTORY_KEYS);
    const draw = random();
    if (draw < 0.4) await put(history, s3, Key, conditionOf(random, seen), random() < 0.1);
    else if (draw < 0.5) await remove(history, s3, Key);
    else if (draw < 0.62) await list(history, s3);
    else {
      const value = await get(history, s3, Bucket, Key);
      if (value) seen.push(value);
    }
    await sleep(whole(random, 0, o.pauseMs ?? 40));
  }
}

function conditionOf(random: () => number, seen: readonly string[]): Condition | undefined {
  const draw = random();
  if (draw < 0.25) return { ifNoneMatch: '*' };
  const last = seen.at(-1);
  return draw < 0.55 && last !== undefined ? { ifMatch: last } : undefined;
}

async function put(
  history: HistoryOfBucket,
  s3: S3Client,
  key: string,
  condition: Condition | undefined,
  isLarge: boolean,
): Promise<void> {
  const { bytes, value } = history.body(isLarge);
  const event = { op: 'put', key, value, ...(condition ? { condition } : {}) } as const;
  const given =
    condition && ('ifMatch' in condition ? { IfMatch: `"${condition.ifMatch}"` } : { IfNoneMatch: '*' });
  const begin = history.begin();
  try {
    await s3.send(new PutObjectCommand({ Bucket: history.bucket, Key: key, Body: bytes, ...given }));
    history.ended({ ...event, answer: 'done' }, begin);
  } catch (error) {
    const isRefused = statusOf(error) === 412 || (statusOf(error) === 404 && condition !== undefined);
    history.ended({ ...event, answer: isRefused ? 'refused' : 'unknown' }, begin);
  }
}

async function remove(history: HistoryOfBucket, s3: S3Client, key: string): Promise<void> {
  const begin = history.begin();
  try {
    await s3.send(new DeleteObjectCommand({ Bucket: history.bucket, Key: key }));
    history.ended({ op: 'delete', key, answer: 'done' }, begin);
  } catch {
    history.ended({ op: 'delete', key, answer: 'unknown' }, begin);
  }
}

/** Answers the ETag that it saw. */
async function get(
  history: HistoryOfBucket,
  s3: S3Client,
  Bucket: string,
  key: string,
): Promise<string | null> {
  const begin = history.begin();
  let value: string;
  let bytes: Buffer;
  try {
    const got = await s3.send(new GetObjectCommand({ Bucket, Key: key }));
    value = got.ETag!.replaceAll('"', '');
    bytes = Buffer.from(await got.Body!.transformToByteArray());
  } catch (error) {
    if (statusOf(error) === 404) history.ended({ op: 'get', key, shown: null }, begin);
    else history.count('get without an answer');
    return null;
  }
  history.checkBytes(value, bytes);
  history.ended({ op: 'get', key, shown: value }, begin);
  return value;
}

async function list(history: HistoryOfBucket, s3: S3Client): Promise<void> {
  const begin = history.begin();
  try {
    const page = await s3.send(new ListObjectsV2Command({ Bucket: history.bucket, MaxKeys: LISTED_MAX }));
    const shown = Object.fromEntries(
      (page.Contents ?? []).map(({ Key, ETag }) => [Key!, ETag!.replaceAll('"', '')]),
    );
    history.ended({ op: 'list', shown }, begin);
  } catch {
    history.count('list without an answer');
  }
}
