/** What `npm run bench` can be told; every figure is bounded, so that a run ends. */
import { parseArgs } from 'node:util';

export const OPERATIONS = ['put', 'get', 'head', 'list', 'delete'] as const;
export type Operation = (typeof OPERATIONS)[number];
/** `mixed` runs all of them at once, by weight. */
export type PhaseName = Operation | 'mixed';
export type Weights = Readonly<Record<Operation, number>>;

export interface BenchOptions {
  readonly endpoint: URL;
  readonly accessKeyId: string;
  readonly secretKey: string;
  readonly region: string;
  readonly bucket: string;
  readonly sizes: readonly number[];
  readonly concurrencies: readonly number[];
  readonly phases: readonly PhaseName[];
  readonly weights: Weights;
  /** A phase ends at the first of the two. */
  readonly durationMs: number;
  readonly count: number;
  /** Keys that a phase works on, for each size. */
  readonly objects: number;
  readonly processes: number;
  readonly verify: boolean;
  readonly signPayload: boolean;
  readonly keep: boolean;
  readonly json: string | null;
}

export const USAGE = `npm run bench -- [flags]      measures any S3 endpoint; the bucket is made and emptied again
  --endpoint URL        http://127.0.0.1:9000
  --access-key ID       default: ANTIPODE_ACCESS_KEY
  --secret-key SECRET   default: ANTIPODE_SECRET_KEY
  --region NAME         us-east-1
  --bucket NAME         antipode-bench
  --sizes LIST          object sizes: 4KiB,1MiB,64MiB           (default 4KiB,1MiB)
  --concurrency LIST    requests at once, over all processes    (default 1,16)
  --operations LIST     of put,get,head,list,delete,mixed       (default all but mixed)
  --weights LIST        of mixed: get=55,put=20,head=15,list=5,delete=5
  --duration SECONDS    of one phase at most                    (default 5, at most 3600)
  --count N             requests of one phase at most           (default 100000)
  --objects N           keys for each size, at most 1 GiB of them (default 1000)
  --processes N         client processes                        (default 1)
  --no-verify           do not compare what GET returns with what PUT sent
  --sign-payload        send the payload's SHA-256 signed (default: UNSIGNED-PAYLOAD)
  --keep                leave objects and bucket
  --json FILE           write the results as JSON, too`;

const SET_BYTES_MAX = 2 ** 30;
const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
};

export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** @throws {UsageError} */
export function readOptions(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): BenchOptions {
  const text = (fallback: string) => ({ type: 'string', default: fallback }) as const;
  const flag = { type: 'boolean', default: false } as const;
  let values: ReturnType<typeof parse>;
  const parse = () =>
    parseArgs({
      args: [...argv],
      options: {
        endpoint: text('http://127.0.0.1:9000'),
        'access-key': text(env.ANTIPODE_ACCESS_KEY ?? ''),
        'secret-key': text(env.ANTIPODE_SECRET_KEY ?? ''),
        region: text('us-east-1'),
        bucket: text('antipode-bench'),
        sizes: text('4KiB,1MiB'),
        concurrency: text('1,16'),
        operations: text('put,get,head,list,delete'),
        weights: text('get=55,put=20,head=15,list=5,delete=5'),
        duration: text('5'),
        count: text('100000'),
        objects: text('1000'),
        processes: text('1'),
        json: text(''),
        'no-verify': flag,
        'sign-payload': flag,
        keep: flag,
      },
    }).values;
  try {
    values = parse();
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  if (!values['access-key'] || !values['secret-key']) {
    throw new UsageError(
      'give --access-key and --secret-key, or set ANTIPODE_ACCESS_KEY and ANTIPODE_SECRET_KEY',
    );
  }
  if (!URL.canParse(values.endpoint)) throw new UsageError(`--endpoint: "${values.endpoint}" is not a URL`);
  return {
    endpoint: new URL(values.endpoint),
    accessKeyId: values['access-key'],
    secretKey: values['secret-key'],
    region: values.region,
    bucket: values.bucket,
    sizes: values.sizes.split(',').map(size),
    concurrencies: values.concurrency.split(',').map((c) => whole('--concurrency', c, 1, 4096)),
    phases: values.operations.split(',').map(phase),
    weights: weights(values.weights),
    durationMs: whole('--duration', values.duration, 1, 3600) * 1000,
    count: whole('--count', values.count, 1, 10_000_000),
    objects: whole('--objects', values.objects, 1, 1_000_000),
    processes: whole('--processes', values.processes, 1, 64),
    verify: !values['no-verify'],
    signPayload: values['sign-payload'],
    keep: values.keep,
    json: values.json === '' ? null : values.json,
  };
}

/** Keys for one size: at least one for each request at once, and no more bytes than a small disk bears. */
export function objectsFor(options: BenchOptions, size: number, concurrency: number): number {
  return Math.max(
    1,
    Math.min(options.objects, Math.max(concurrency, Math.floor(SET_BYTES_MAX / Math.max(1, size)))),
  );
}

function size(text: string): number {
  const match = /^(\d+)\s*([a-z]*)$/i.exec(text.trim());
  const unit = UNITS[match?.[2]?.toLowerCase() ?? '?'];
  const bytes = Number(match?.[1]) * (unit ?? Number.NaN);
  if (!(bytes >= 0 && bytes <= 5 * 2 ** 30))
    throw new UsageError(`--sizes: "${text}" is not a size such as 64KiB`);
  return bytes;
}

function phase(text: string): PhaseName {
  const known = [...OPERATIONS, 'mixed' as const].find((name) => name === text.trim());
  if (!known) throw new UsageError(`--operations: there is no "${text}"`);
  return known;
}

function weights(text: string): Weights {
  const all = { put: 0, get: 0, head: 0, list: 0, delete: 0 };
  for (const part of text.split(',')) {
    const [name, value = ''] = part.split('=');
    const operation = OPERATIONS.find((known) => known === name?.trim());
    if (!operation) throw new UsageError(`--weights: there is no "${name}"`);
    all[operation] = whole('--weights', value, 0, 1_000_000);
  }
  if (Object.values(all).every((weight) => weight === 0)) throw new UsageError('--weights: all are 0');
  return all;
}

function whole(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text.trim()) || value < min || value > max) {
    throw new UsageError(`${name}: "${text}" is not a whole number from ${min} to ${max}`);
  }
  return value;
}
