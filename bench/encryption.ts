/**
 * `node bench/encryption.ts --endpoint URL --gateway PID [--sizes 1MiB,64MiB] [--seconds 6] [--rounds 3]`: what encryption costs.
 * Two buckets, one with default encryption (AES256), take turns within each round, so that the machine's load falls on both: CPU
 * time of the gateway for a request, from /proc/PID/stat, and the ratio of the two.
 */
import { readFileSync } from 'node:fs';
import { signRequest } from '../src/identity/sign.ts';
import { createContent } from './content.ts';
import { type BenchOptions, readOptions } from './options.ts';
import { createS3, type S3 } from './s3.ts';

const ENCRYPTION =
  '<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>';
const TICK_MS = 10;
const KEYS = 4;

const flagOf = (name: string, otherwise: string): string => {
  const at = process.argv.indexOf(name);
  return at < 0 ? otherwise : process.argv[at + 1]!;
};
const gateway = Number(flagOf('--gateway', ''));
const seconds = Number(flagOf('--seconds', '6'));
const rounds = Number(flagOf('--rounds', '3'));
const common = [
  '--endpoint',
  flagOf('--endpoint', 'http://127.0.0.1:9000'),
  '--sizes',
  flagOf('--sizes', '1MiB,64MiB'),
];

/** User and system time of the gateway so far. */
function cpuMs(): number {
  const fields = readFileSync(`/proc/${gateway}/stat`, 'latin1').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

async function encryptByDefault({
  endpoint,
  bucket,
  region,
  accessKeyId,
  secretKey,
}: BenchOptions): Promise<void> {
  const { headers } = signRequest({
    ...{ method: 'PUT', path: `/${bucket}`, query: 'encryption=', headers: { host: endpoint.host } },
    payload: { hash: 'UNSIGNED-PAYLOAD' },
    credentials: { accessKeyId, secretAccessKey: secretKey },
    ...{ region, service: 's3', nowMs: Date.now() },
  });
  const { host: _, ...sent } = headers;
  const url = `${endpoint.origin}/${bucket}?encryption=`;
  const answer = await fetch(url, { method: 'PUT', headers: sent, body: ENCRYPTION });
  if (!answer.ok) throw new Error(`PutBucketEncryption: ${answer.status} ${await answer.text()}`);
}

/** CPU of the gateway for one request, while one is under way at a time. */
async function measure(work: (index: number) => Promise<unknown>): Promise<number> {
  const until = Date.now() + seconds * 1_000;
  const before = cpuMs();
  let requests = 0;
  do {
    await work(requests % KEYS);
    requests += 1;
  } while (Date.now() < until);
  return (cpuMs() - before) / requests;
}

const optionsOf = (bucket: string) => readOptions([...common, '--bucket', bucket], process.env);
const [plain, encrypted] = [optionsOf('antipode-bench-plain'), optionsOf('antipode-bench-encrypted')];
const ways: readonly (readonly [string, S3])[] = [
  ['plain', createS3(plain, 1)],
  ['AES256', createS3(encrypted, 1)],
];
for (const [, s3] of ways) await s3.createBucket();
await encryptByDefault(encrypted);
for (const size of plain.sizes) {
  const content = createContent(size);
  const sums = new Map<string, number>();
  for (let round = 0; round < rounds; round += 1)
    for (const [way, s3] of round % 2 === 0 ? ways : ways.toReversed()) {
      const add = (name: string, ms: number) =>
        sums.set(`${name} ${way}`, (sums.get(`${name} ${way}`) ?? 0) + ms / rounds);
      add('put', await measure((index) => s3.put(`k${index}`, content, index)));
      for (let index = 0; index < KEYS; index += 1) await s3.put(`k${index}`, content, index);
      add('get', await measure((index) => s3.get(`k${index}`, content, index, { absentIsFine: false })));
    }
  for (const name of ['put', 'get']) {
    const [without, under] = ways.map(([way]) => sums.get(`${name} ${way}`)!);
    const ratio = (under! / without!).toFixed(2);
    console.log(
      `${name} ${size} bytes: plain ${without!.toFixed(1)} ms, AES256 ${under!.toFixed(1)} ms of the gateway's CPU: × ${ratio}`,
    );
  }
}
for (const [, s3] of ways) {
  for (let index = 0; index < KEYS; index += 1) await s3.delete(`k${index}`);
  await s3.deleteBucket();
  await s3.close();
}
