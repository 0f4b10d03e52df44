/**
 * The one store that the client tests of single features share (features.test.ts), and the clients as they speak to it.
 * Each feature makes buckets of its own and leaves the store's global state as it was.
 */
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { S3Client } from '@aws-sdk/client-s3';
import { runCommand, type Store, startStore } from '../harness/store.ts';
import {
  type Client,
  type ClientResult,
  createClient,
  problemWith,
  type RunOptions,
} from './client-harness.ts';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** The credentials that a client's run uses; default: the root account's. */
export interface FeatureRunOptions extends RunOptions {
  readonly as?: Credentials;
}

/** `Client`'s own fields are the root account's. */
export interface FeatureStore extends Client {
  readonly store: Store;
  /** `aws` with the endpoint; `options.code` for runs that are to fail. */
  aws(args: readonly string[], options?: FeatureRunOptions): Promise<ClientResult>;
  /** `aws s3api …`: what it answers, as JSON ({} for nothing). */
  api(args: readonly string[], options?: FeatureRunOptions): Promise<Record<string, unknown>>;
  /** `rclone`, the store being the remote `store:`. */
  rclone(args: readonly string[], options?: FeatureRunOptions): Promise<ClientResult>;
  s3cmd(args: readonly string[], options?: FeatureRunOptions): Promise<ClientResult>;
  /** Runs a Python program, given as text; `AWS_*` and `ENDPOINT` are in its environment. */
  python(program: string, options?: FeatureRunOptions): Promise<ClientResult>;
  /** An SDK client, destroyed after the tests. */
  s3(as?: Credentials): S3Client;
  /** `antipode ARGS --json`, against the store's admin address; what it answers. */
  antipode(...args: readonly string[]): Promise<unknown>;
  /** A new account with a key, e.g. `account('bob')`. */
  account(id: string): Promise<Credentials>;
}

/** Clients that must be there: a store is not started in vain. */
const PROBES: readonly (readonly [string, ...string[]])[] = [
  ['aws', '--version'],
  ['rclone', 'version'],
  ['s3cmd', '--version'],
  ['python3', '-c', 'import boto3'],
];

/** What is missing here, or null. @throws in continuous integration, where nothing may be missing */
export function missingClients(): string | null {
  const problems = PROBES.map(problemWith).filter((problem) => problem !== null);
  if (problems.length === 0) return null;
  if (process.env.CI === 'true') throw new Error(`${problems.join('; ')}; .ci/run must install it`);
  return problems.join('; ');
}

/** @param settings of the store's configuration file, for all features together */
export async function startFeatureStore(
  settings: Readonly<Record<string, unknown>>,
): Promise<FeatureStore & { stop(): Promise<void> }> {
  const store = await startStore({ settings });
  const client = createClient(store, { probe: ['true'] });
  const sdks: S3Client[] = [];
  const root: Credentials = client;
  const aws: FeatureStore['aws'] = (args, { as, ...options } = {}) =>
    client.run('aws', ['--endpoint-url', client.endpoint, ...args], withEnv(options, awsEnv(client, as)));
  const antipode: FeatureStore['antipode'] = async (...args) => {
    const to = ['--json', '--admin', store.adminEndpoint, '--data', store.dataDir];
    const run = runCommand([...args, ...to]);
    assert.equal(await run.exited, 0, `antipode ${args.join(' ')}\n${run.stderr()}`);
    return run.stdout().trim() === '' ? null : JSON.parse(run.stdout());
  };
  return {
    ...client,
    store,
    aws,
    api: async (args, options) => {
      const { stdout } = await aws(['s3api', ...args, '--output', 'json'], options);
      return stdout.trim() === '' ? {} : JSON.parse(stdout);
    },
    rclone: (args, { as, ...options } = {}) =>
      client.run('rclone', args, withEnv(options, rcloneEnv(client, as))),
    s3cmd: (args, { as, ...options } = {}) =>
      client.run('s3cmd', ['-c', s3cmdConfig(client, as ?? root), '--no-progress', ...args], options),
    python: (program, { as, ...options } = {}) =>
      client.run(
        'python3',
        ['-c', program],
        withEnv(options, { ...awsEnv(client, as), ENDPOINT: client.endpoint }),
      ),
    s3: (as = root) => {
      const { endpoint, region } = client;
      const { accessKeyId, secretAccessKey } = as;
      const credentials = { accessKeyId, secretAccessKey };
      sdks.push(new S3Client({ endpoint, region, credentials, forcePathStyle: true }));
      return sdks.at(-1)!;
    },
    antipode,
    account: async (id) => {
      const accessKeyId = `FEATURE${id.toUpperCase()}00000000`;
      const secretAccessKey = `secret-of-${id}-secret-of-${id}-secret`;
      await antipode('user', 'create', id, '--access-key', accessKeyId, '--secret-key', secretAccessKey);
      return { accessKeyId, secretAccessKey };
    },
    stop: async () => {
      for (const sdk of sdks) sdk.destroy();
      await store.stop();
      rmSync(client.home, { recursive: true, force: true });
    },
  };
}

const withEnv = (options: RunOptions, env: Readonly<Record<string, string>>): RunOptions => ({
  ...options,
  env: { ...env, ...options.env },
});

function awsEnv(client: Client, as: Credentials = client): Record<string, string> {
  const config = join(client.home, 'aws-config');
  writeFileSync(config, '[default]\ns3 =\n    signature_version = s3v4\n');
  return {
    AWS_CONFIG_FILE: config,
    AWS_ACCESS_KEY_ID: as.accessKeyId,
    AWS_SECRET_ACCESS_KEY: as.secretAccessKey,
    AWS_DEFAULT_REGION: client.region,
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_PAGER: '',
  };
}

const rcloneEnv = (client: Client, as: Credentials = client): Record<string, string> => ({
  RCLONE_CONFIG: join(client.home, 'rclone.conf'),
  RCLONE_CONFIG_STORE_TYPE: 's3',
  RCLONE_CONFIG_STORE_PROVIDER: 'Other',
  RCLONE_CONFIG_STORE_ENDPOINT: client.endpoint,
  RCLONE_CONFIG_STORE_REGION: client.region,
  RCLONE_CONFIG_STORE_ACCESS_KEY_ID: as.accessKeyId,
  RCLONE_CONFIG_STORE_SECRET_ACCESS_KEY: as.secretAccessKey,
});

function s3cmdConfig(client: Client, as: Credentials): string {
  const path = join(client.home, `s3cfg-${as.accessKeyId}`);
  const lines = [
    '[default]',
    `access_key = ${as.accessKeyId}`,
    `secret_key = ${as.secretAccessKey}`,
    `host_base = ${client.host}`,
    `host_bucket = ${client.host}`,
    `bucket_location = ${client.region}`,
    'use_https = False',
  ];
  writeFileSync(path, `${lines.join('\n')}\n`);
  return path;
}
