/** The AWS command line (version 1 or 2) with its default settings, as tests of it call it. */
import { join } from 'node:path';
import { type Client, describeClient, type RunOptions } from './client-harness.ts';
import { writeFile } from './trees.ts';

/** Version 1 presigns with signature version 2 unless told otherwise, which this store does not speak. */
function configFile(client: Client): string {
  const settings = '[default]\ns3 =\n    signature_version = s3v4\n';
  return writeFile(join(client.home, 'aws-config'), Buffer.from(settings));
}

const env = (client: Client) => ({
  AWS_CONFIG_FILE: configFile(client),
  AWS_ACCESS_KEY_ID: client.accessKeyId,
  AWS_SECRET_ACCESS_KEY: client.secretAccessKey,
  AWS_DEFAULT_REGION: client.region,
  AWS_EC2_METADATA_DISABLED: 'true',
  AWS_PAGER: '',
});

export interface Aws {
  readonly client: () => Client;
  aws(args: readonly string[], options?: RunOptions): ReturnType<Client['run']>;
  /** `aws s3api …`, and what it printed as JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: as the command line prints it
  api(...args: string[]): Promise<any>;
  makeBucket(): Promise<string>;
}

export const describeAws = (tests: (aws: Aws) => void): void =>
  describeClient('aws', { probe: ['aws', '--version'], env }, (client) => {
    const aws = (args: readonly string[], options?: RunOptions) =>
      client().run('aws', ['--endpoint-url', client().endpoint, ...args], options);
    const api = async (...args: string[]) => {
      const { stdout } = await aws(['s3api', ...args, '--output', 'json']);
      return stdout.trim() === '' ? {} : JSON.parse(stdout);
    };
    const makeBucket = async () => {
      const bucket = client().bucketName();
      await aws(['s3', 'mb', `s3://${bucket}`]);
      return bucket;
    };
    tests({ client, aws, api, makeBucket });
  });
