/** What the tests of ACLs and ownership share: a front with accounts, short ways to ask it, documents. */
import assert from 'node:assert/strict';
import type { AccountId } from '../../../src/base/ids.ts';
import { type FrontRequest, type S3Front, startS3Front } from '../../model/s3-front.ts';

let front: S3Front;
let made = 0;

/** Alice and Bob send requests; the others can be named. */
export async function startAclFront(): Promise<S3Front> {
  front = await startS3Front();
  for (const [id, email] of [
    ['carol', 'carol@example.com'],
    ['dan', 'both@example.com'],
    ['eve', 'Both@example.com'],
  ] as const)
    await front.catalog.createAccount({
      ...{ id: id as AccountId, displayName: id.toUpperCase(), email, isRoot: false },
    });
  return front;
}

/** `200`, or `404 NoSuchBucket`. */
export async function ask(method: string, path: string, init?: FrontRequest): Promise<string> {
  const { status, text } = await front.request(method, path, init);
  const code = /<Code>([^<]*)/.exec(text)?.[1];
  return code === undefined ? String(status) : `${status} ${code}`;
}
export const withAcl = (acl: string) => ({ headers: { 'x-amz-acl': acl } });
export const controls = (ownership: string) =>
  `<OwnershipControls><Rule><ObjectOwnership>${ownership}</ObjectOwnership></Rule></OwnershipControls>`;

/** A bucket of Alice's where ACLs count, unless told. */
export async function bucket(ownership = 'ObjectWriter', acl = 'private'): Promise<string> {
  const name = `acl-${++made}`;
  const headers = { 'x-amz-object-ownership': ownership, 'x-amz-acl': acl };
  assert.equal(await ask('PUT', `/${name}`, { headers }), '200');
  return `/${name}`;
}

/** `owner: grantee PERMISSION, …` */
export async function aclOf(path: string, account?: string): Promise<string> {
  const { status, text } = await front.request('GET', `${path}?acl`, account ? { account } : {});
  assert.equal(status, 200, text);
  const grants = [...text.matchAll(/<Grant>(.*?)<\/Grant>/g)].map(([, grant = '']) => {
    const named = /<ID>(.*?)<\/ID>/.exec(grant)?.[1] ?? /<URI>.*\/(.*?)<\/URI>/.exec(grant)?.[1];
    const type = /xsi:type="(.*?)"/.exec(grant)?.[1];
    assert.equal(type, grant.includes('<URI>') ? 'Group' : 'CanonicalUser');
    return `${named} ${/<Permission>(.*?)</.exec(grant)?.[1]}`;
  });
  return `${/<Owner><ID>(.*?)</.exec(text)?.[1]}: ${grants.join(', ')}`;
}

export type Grant = readonly [type: string, named: string, permission: string];
const NAMES: Readonly<Record<string, string>> = {
  CanonicalUser: 'ID',
  Group: 'URI',
  AmazonCustomerByEmail: 'EmailAddress',
};
export const document = (grants: readonly Grant[], owner = 'alice') => {
  const list = grants.map(
    ([type, named, permission]) =>
      `<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="${type}"><${NAMES[type] ?? 'ID'}>${named}</${NAMES[type] ?? 'ID'}></Grantee><Permission>${permission}</Permission></Grant>`,
  );
  return `<AccessControlPolicy xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Owner><ID>${owner}</ID><DisplayName>x</DisplayName></Owner><AccessControlList>${list.join('')}</AccessControlList></AccessControlPolicy>`;
};
export const ALL = 'http://acs.amazonaws.com/groups/global/AllUsers';
