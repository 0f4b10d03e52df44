/**
 * Access keys of users and, without a user's name, of whoever asks. The secret leaves the store once, in the answer that
 * makes the key. Source: CreateAccessKey and its neighbours, IAM API Reference.
 */
import { LIMITS } from '../../base/limits.ts';
import type { AccessKey, Entity } from '../../ddm/catalog.ts';
import { accountArn, entityArn } from '../../identity/arns.ts';
import { generateAccessKey } from '../../identity/secret-box.ts';
import { tag, wrap } from '../xml.ts';
import { entityNamed, iamAction, type QueryAction, type QueryContext } from './action.ts';
import { keyXml, listXml, PAGE_PARAMETERS, pageOf, pageOfNames } from './documents.ts';
import { ownName } from './entities.ts';
import { noSuch, QueryError, settled } from './errors.ts';

/** The user who is named, or who asks; null for the account itself. */
async function keyOwner(ctx: QueryContext): Promise<Entity | null> {
  const name = ctx.parameters.optional('UserName', 'entityName') ?? ownName(ctx);
  if (name !== null) return entityNamed(ctx, 'user', name);
  ctx.authorize(accountArn(ctx.account));
  return null;
}

const keysOf = async (ctx: QueryContext, owner: Entity | null): Promise<AccessKey[]> =>
  (await ctx.catalog.listAccessKeys(ctx.account.id)).filter((key) => key.user?.id === owner?.id);

const noSuchKey = (accessKeyId: string): QueryError =>
  new QueryError('NoSuchEntity', `The Access Key with id ${accessKeyId} cannot be found.`);

const tooMany = (max: number) => (): QueryError =>
  new QueryError('LimitExceeded', `Cannot exceed quota for AccessKeysPerUser: ${max}`);

async function createKey(ctx: QueryContext): Promise<string> {
  const owner = await keyOwner(ctx);
  const { accessKeyId, secretAccessKey } = generateAccessKey();
  if (!owner && (await keysOf(ctx, null)).length >= LIMITS.accessKeysPerAccountMax)
    throw tooMany(LIMITS.accessKeysPerAccountMax)();
  const outcome = await ctx.catalog.createAccessKey({
    ...{ accessKeyId, account: ctx.account.id },
    sealedSecret: ctx.sealSecret(secretAccessKey, accessKeyId),
    ...(owner && { user: { id: owner.id, max: LIMITS.accessKeysPerUserMax } }),
  });
  const gone = () => noSuch('user', owner?.name ?? '');
  const key = settled(outcome, {
    exists: () => new QueryError('ServiceFailure', 'An access key id was given out twice.'),
    'no-such-account': gone,
    'no-such-user': gone,
    'too-many': tooMany(LIMITS.accessKeysPerUserMax),
  });
  return wrap('AccessKey', keyXml(key, secretAccessKey));
}

async function listKeys(ctx: QueryContext): Promise<string> {
  const page = pageOf(ctx.parameters);
  const owner = await keyOwner(ctx);
  const keys = new Map((await keysOf(ctx, owner)).map((key) => [key.accessKeyId, key]));
  const { names, last } = pageOfNames(keys.keys(), page);
  const members = names.map((id) => wrap('member', keyXml(keys.get(id)!)));
  return tag('UserName', owner?.name) + listXml('AccessKeyMetadata', members, last);
}

/** A key of the owner. The key of the store's root account that signs a request stays: nobody could give it back. */
async function ownedKey(ctx: QueryContext, o: { readonly takesAway: boolean }): Promise<AccessKey> {
  const accessKeyId = ctx.parameters.required('AccessKeyId', 'accessKeyId');
  const owner = await keyOwner(ctx);
  const key = (await keysOf(ctx, owner)).find((each) => each.accessKeyId === accessKeyId);
  if (!key) throw noSuchKey(accessKeyId);
  const isOwnRoot = key.account.isRoot && !owner && accessKeyId === ctx.principal.accessKeyId;
  if (o.takesAway && isOwnRoot)
    throw new QueryError(
      'UnmodifiableEntity',
      'A request cannot take away the key of the root account that signs it.',
    );
  return key;
}

async function updateKey(ctx: QueryContext): Promise<null> {
  const status = ctx.parameters.oneOf('Status', ['Active', 'Inactive']) === 'Active' ? 'active' : 'inactive';
  const { accessKeyId } = await ownedKey(ctx, { takesAway: status === 'inactive' });
  return settled(await ctx.catalog.setAccessKeyStatus(accessKeyId, status), {
    'no-such-key': () => noSuchKey(accessKeyId),
  });
}

async function deleteKey(ctx: QueryContext): Promise<null> {
  const { accessKeyId } = await ownedKey(ctx, { takesAway: true });
  return settled(await ctx.catalog.deleteAccessKey(accessKeyId), {
    'no-such-key': () => noSuchKey(accessKeyId),
  });
}

/** When a key was last used is not recorded; the answer is AWS's for a key that has not been used since that is. */
async function lastUsed(ctx: QueryContext): Promise<string> {
  const accessKeyId = ctx.parameters.required('AccessKeyId', 'accessKeyId');
  const key = (await ctx.catalog.listAccessKeys(ctx.account.id)).find((k) => k.accessKeyId === accessKeyId);
  ctx.authorize(key?.user ? entityArn(key.user) : accountArn(ctx.account));
  if (!key) throw noSuchKey(accessKeyId);
  const unknown = tag('ServiceName', 'N/A') + tag('Region', 'N/A');
  return tag('UserName', key.user?.name) + wrap('AccessKeyLastUsed', unknown);
}

export const KEY_ACTIONS: readonly QueryAction[] = [
  iamAction('CreateAccessKey', ['UserName'], createKey),
  iamAction('ListAccessKeys', ['UserName', ...PAGE_PARAMETERS], listKeys),
  iamAction('UpdateAccessKey', ['UserName', 'AccessKeyId', 'Status'], updateKey),
  iamAction('DeleteAccessKey', ['UserName', 'AccessKeyId'], deleteKey),
  iamAction('GetAccessKeyLastUsed', ['AccessKeyId'], lastUsed),
];
