/** Forms sent to the S3 front with real signatures, and what came of them. */
import { CreateBucketCommand, GetObjectCommand } from '@aws-sdk/client-s3';
import { FORM_TYPE, type FormPart, fieldsOf, multipart, signedPolicy } from '../../../harness/post-form.ts';
import { CREDENTIALS, type SdkFront, startSdkFront } from './sdk-front.ts';

export const Bucket = 'forms';
export const BASE = [{ bucket: Bucket }, ['starts-with', '$key', '']] as const;

export interface Posted {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** `204`, or `403 AccessDenied: Invalid according …` */
  readonly outcome: string;
}

export interface FormFront extends SdkFront {
  send(body: Buffer, type?: string | null): Promise<Posted>;
  post(parts: readonly FormPart[], content?: FormPart): Promise<Posted>;
  read(key: string): Promise<string>;
}

export async function startFormFront(options?: Parameters<typeof startSdkFront>[0]): Promise<FormFront> {
  const front = await startSdkFront(options);
  await front.s3.send(new CreateBucketCommand({ Bucket }));
  const send = (body: Buffer, type: string | null = FORM_TYPE) =>
    posted(`${front.url}/${Bucket}`, body, type);
  return {
    ...front,
    send,
    post: (parts, content = file('meow')) => send(multipart([...parts, content])),
    read: async (Key) => {
      const { Body } = await front.s3.send(new GetObjectCommand({ Bucket, Key }));
      return Body!.transformToString();
    },
  };
}

async function posted(url: string, body: Buffer, type: string | null): Promise<Posted> {
  const response = await fetch(url, {
    method: 'POST',
    redirect: 'manual',
    headers: { ...(type !== null && { 'content-type': type }) },
    body: new Uint8Array(body),
  });
  const text = await response.text();
  const { status, headers } = response;
  const [, code, message] = /<Code>(\w+)<\/Code><Message>([^<]*)/.exec(text) ?? [];
  const said = code === undefined ? '' : ` ${code}: ${message!.replaceAll('&quot;', '"')}`;
  return { status, headers, text, outcome: `${status}${said}` };
}

export const file = (value: string | Buffer, filename = 'cat.txt'): FormPart => ({
  name: 'file',
  value,
  filename,
});

/** A form whose policy allows what it says, or what `conditions` say. */
export function signed(
  fields: Readonly<Record<string, string>>,
  conditions: readonly unknown[] = Object.entries(fields)
    .filter(([name]) => name !== 'key')
    .map(([name, value]) => ({ [name]: value })),
  more: Partial<Parameters<typeof signedPolicy>[0]> = {},
): FormPart[] {
  const policy = signedPolicy({ ...CREDENTIALS, conditions: [...BASE, ...conditions], ...more });
  return fieldsOf({ ...fields, ...policy });
}
