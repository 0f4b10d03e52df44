/** The request that the AWS SDK makes for each of its S3 commands, caught before it is sent. */
import * as sdk from '@aws-sdk/client-s3';
import type { Target } from '../../../src/s3api/operation.ts';

export interface SdkRequest {
  /** Without `Command`: the operation's name. */
  readonly command: string;
  readonly method: string;
  readonly target: Target;
  readonly query: string;
  readonly headers: Record<string, string>;
}

/** Everything that some command requires; each takes what it knows. */
const INPUT = {
  Bucket: 'bbb',
  Key: 'kkk',
  UploadId: 'uuu',
  PartNumber: 1,
  CopySource: 'b/k',
  Id: 'iii',
  Body: 'x',
  RenameSource: '/b/k',
  RequestRoute: 'r',
  RequestToken: 't',
  Policy: '{}',
  Delete: { Objects: [{ Key: 'a' }] },
  Expression: 'x',
  ExpressionType: 'SQL',
  ObjectAttributes: ['ETag'],
  OutputSerialization: { CSV: {} },
  InputSerialization: { CSV: {} },
  VersioningConfiguration: { Status: 'Enabled' },
  AccelerateConfiguration: { Status: 'Enabled' },
  AnalyticsConfiguration: { Id: 'i', StorageClassAnalysis: {} },
  IntelligentTieringConfiguration: { Id: 'i' },
  InventoryConfiguration: { Id: 'i' },
  MetricsConfiguration: { Id: 'i' },
  BucketLoggingStatus: {},
  NotificationConfiguration: {},
  RequestPaymentConfiguration: { Payer: 'Requester' },
  WebsiteConfiguration: {},
};

class Caught extends Error {
  readonly request: {
    method: string;
    path: string;
    query: Record<string, string>;
    headers: Record<string, string>;
  };
  constructor(request: unknown) {
    super('caught');
    this.request = request as Caught['request'];
  }
}

type AnyCommand = Parameters<sdk.S3Client['send']>[0];

export async function sdkRequests(): Promise<SdkRequest[]> {
  const client = new sdk.S3Client({
    region: 'us-east-1',
    endpoint: 'http://127.0.0.1:1',
    forcePathStyle: true,
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
    maxAttempts: 1,
  });
  client.middlewareStack.add(
    () => async (args) => {
      throw new Caught(args.request);
    },
    { step: 'finalizeRequest', priority: 'low' },
  );
  const requests: SdkRequest[] = [];
  for (const [name, Command] of Object.entries(sdk)) {
    if (!name.endsWith('Command') || name === '$Command') continue;
    const Constructor = Command as unknown as new (input: unknown) => AnyCommand;
    const error: unknown = await client.send(new Constructor(INPUT)).catch((caught: unknown) => caught);
    if (!(error instanceof Caught)) throw new Error(`${name}: ${String(error)}`);
    requests.push(describeRequest(name.slice(0, -'Command'.length), error.request));
  }
  client.destroy();
  return requests;
}

function describeRequest(command: string, request: Caught['request']): SdkRequest {
  const [, bucket = '', key = ''] = request.path.split('/');
  return {
    command,
    method: request.method,
    target: bucket === '' ? 'service' : key === '' ? 'bucket' : 'object',
    query: Object.entries(request.query)
      .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
      .join('&'),
    headers: Object.fromEntries(
      Object.entries(request.headers).map(([name, value]) => [name.toLowerCase(), value]),
    ),
  };
}
