/**
 * Policy documents from their JSON text, whole and checked: nothing unknown is passed over, and a bucket's policy speaks of
 * its bucket alone. Source: "Grammar of the IAM JSON policy language", AWS IAM User Guide; the messages are those of S3, and
 * of IAM for policies of identities.
 */
import { readConditions } from './condition-syntax.ts';
import { PolicyError } from './errors.ts';
import { canBegin, fillIn, like, matchesPieces, variablesOf } from './pattern.ts';
import { readPrincipals } from './principals.ts';
import { BUCKET_ACTIONS, OBJECT_ACTIONS, SERVICE_ACTIONS } from './s3-actions.ts';
import type { Condition, PolicyDocument, PolicyKind, Statement } from './types.ts';

export { PolicyError } from './errors.ts';

/** Bytes of the text. Source: "Policies and permissions in Amazon S3"; "IAM and AWS STS quotas". */
const BYTES_MAX: Readonly<Record<PolicyKind, number>> = {
  bucket: 20_480,
  identity: 10_240,
  session: 2_048,
  trust: 4_096,
};
const VERSIONS: readonly PolicyDocument['version'][] = ['2012-10-17', '2008-10-17'];
const DOCUMENT_FIELDS: ReadonlySet<string> = new Set(['Version', 'Id', 'Statement']);
const STATEMENT_FIELDS: ReadonlySet<string> = new Set(
  'Sid Effect Principal NotPrincipal Action NotAction Resource NotResource Condition'.split(' '),
);
/** The beginning of a bucket's ARN; the account, which S3 leaves out, may be a wildcard. */
const S3_ARN = /^arn:(?:aws|\*):s3:\*?:\*?:/;

type Fields = Readonly<Record<string, unknown>>;

/**
 * @param bucket of a bucket's policy: every resource must be the bucket or lie in it
 * @throws {PolicyError}
 */
export function parsePolicy(text: string, kind: PolicyKind, bucket?: string): PolicyDocument {
  if (Buffer.byteLength(text) > BYTES_MAX[kind])
    throw new PolicyError(
      `Normalized policy document exceeds the maximum allowed size of ${BYTES_MAX[kind]} bytes.`,
    );
  const fields = readJson(text);
  refuseUnknown(fields, DOCUMENT_FIELDS);
  const version = VERSIONS.find((known) => known === (fields.Version ?? '2008-10-17'));
  if (version === undefined) throw new PolicyError('The policy must contain a valid version string');
  if (fields.Id !== undefined && typeof fields.Id !== 'string') throw new PolicyError('Invalid Id in policy');
  if (fields.Statement === undefined) throw new PolicyError('Missing required field Statement');
  const list = Array.isArray(fields.Statement) ? fields.Statement : [fields.Statement];
  if (list.length === 0) throw new PolicyError('Missing required field Statement');
  const statements = list.map((statement) => readStatement(statement, kind, bucket));
  const sids = statements.flatMap(({ sid }) => (sid === undefined ? [] : [sid]));
  if (new Set(sids).size < sids.length)
    throw new PolicyError('Statement IDs (SID) in a single policy must be unique.');
  return { kind, version, statements, keys: keysOf(statements) };
}

function readJson(text: string): Fields {
  const malformed = "Policies must be valid JSON and the first byte must be '{'";
  if (!text.startsWith('{')) throw new PolicyError(malformed);
  try {
    return JSON.parse(text) as Fields;
  } catch (cause) {
    throw new PolicyError(malformed, { cause });
  }
}

function refuseUnknown(fields: Fields, known: ReadonlySet<string>): void {
  for (const name of Object.keys(fields))
    if (!known.has(name)) throw new PolicyError(`Unknown field ${name.slice(0, 128)}`);
}

function readStatement(value: unknown, kind: PolicyKind, bucket: string | undefined): Statement {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new PolicyError('Invalid statement in policy');
  const fields = value as Fields;
  refuseUnknown(fields, STATEMENT_FIELDS);
  const { Sid: sid, Effect: effect } = fields;
  if (sid !== undefined && typeof sid !== 'string') throw new PolicyError('Invalid Sid in policy');
  if (effect === undefined) throw new PolicyError('Missing required field Effect');
  if (effect !== 'Allow' && effect !== 'Deny')
    throw new PolicyError(`Invalid effect: ${String(effect).slice(0, 128)}`);
  const statement: Statement = {
    ...(sid !== undefined && sid !== '' && { sid }),
    effect,
    ...principalOf(fields, kind, effect),
    action: actionOf(fields, kind),
    ...resourceOf(fields, kind, bucket),
    conditions: readConditions(fields.Condition),
  };
  if (kind === 'bucket') requireFit(statement, bucket);
  return statement;
}

function principalOf(fields: Fields, kind: PolicyKind, effect: string): Pick<Statement, 'principal'> {
  const named = either(fields, 'Principal');
  if (kind === 'identity' || kind === 'session') {
    if (named !== null) throw new PolicyError('Policy document should not specify a principal.');
    return {};
  }
  if (named === null) throw new PolicyError('Missing required field Principal');
  if (named.not && effect === 'Allow') throw new PolicyError('Allow with NotPrincipal is not allowed');
  return { principal: { not: named.not, entries: readPrincipals(named.value) } };
}

function actionOf(fields: Fields, kind: PolicyKind): Statement['action'] {
  const named = either(fields, 'Action');
  const inIdentity = kind === 'identity' || kind === 'session';
  if (named === null)
    throw new PolicyError(
      inIdentity ? 'Policy statement must contain actions.' : 'Missing required field Action',
    );
  const patterns = textsOf(named.value);
  if (patterns === null) throw new PolicyError('Policy has invalid action');
  for (const pattern of patterns) {
    if (pattern === '*') continue;
    if (!/^[a-z0-9-]+:[a-z0-9*?]+$/i.test(pattern))
      throw new PolicyError(
        inIdentity
          ? 'Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.'
          : 'Policy has invalid action',
      );
    if (kind === 'bucket' && !namesOne(ALL_LOWERED, pattern))
      throw new PolicyError('Policy has invalid action');
  }
  return { not: named.not, patterns };
}

const ALL_ACTIONS = [...BUCKET_ACTIONS, ...OBJECT_ACTIONS, ...SERVICE_ACTIONS];
const lowered = (actions: readonly string[]): ReadonlySet<string> =>
  new Set(actions.map((action) => `s3:${action.toLowerCase()}`));
const ALL_LOWERED = lowered(ALL_ACTIONS);
const BUCKET_LOWERED = lowered(BUCKET_ACTIONS);
const OBJECT_LOWERED = lowered(OBJECT_ACTIONS);

function namesOne(actions: ReadonlySet<string>, pattern: string): boolean {
  const lower = pattern.toLowerCase();
  if (actions.has(lower)) return true;
  if (!/[*?]/.test(lower)) return false;
  const pieces = fillIn(lower, null, true)!;
  for (const action of actions) if (matchesPieces(pieces, action)) return true;
  return false;
}

function resourceOf(
  fields: Fields,
  kind: PolicyKind,
  bucket: string | undefined,
): Pick<Statement, 'resource'> {
  const named = either(fields, 'Resource');
  if (kind === 'trust') {
    if (named !== null) throw new PolicyError('Has prohibited field Resource');
    return {};
  }
  if (named === null)
    throw new PolicyError(
      kind === 'bucket' ? 'Missing required field Resource' : 'Policy statement must contain resources.',
    );
  const patterns = textsOf(named.value);
  if (patterns === null) throw new PolicyError('Policy has invalid resource');
  for (const pattern of patterns) {
    if (kind === 'bucket') requireInBucket(pattern, bucket);
    else if (pattern !== '*' && !/^(?:arn|\*):[^:]+:[^:]+:[^:]*:[^:]*:.+$/s.test(pattern))
      throw new PolicyError(`Resource ${pattern.slice(0, 256)} must be in ARN format or "*".`);
  }
  return { resource: { not: named.not, patterns } };
}

function requireInBucket(pattern: string, bucket: string | undefined): void {
  const invalid = new PolicyError('Policy has invalid resource');
  if (pattern === '*') return;
  if (!S3_ARN.test(pattern)) throw invalid;
  if (bucket !== undefined && !fitsBucket(pattern, bucket) && !fitsObjects(pattern, bucket)) throw invalid;
}

/** A variable may stand for anything. */
const fitsBucket = (pattern: string, bucket: string): boolean =>
  like(pattern.replace(/\$\{[^{}]*\}/g, '*'), `arn:aws:s3:::${bucket}`);
const fitsObjects = (pattern: string, bucket: string): boolean =>
  canBegin(pattern, `arn:aws:s3:::${bucket}/`);

/** Each action must be able to meet one of the resources. */
function requireFit({ action, resource }: Statement, bucket: string | undefined): void {
  if (bucket === undefined || action.not || resource === undefined || resource.not) return;
  const someBucket = resource.patterns.some((pattern) => fitsBucket(pattern, bucket));
  const someObject = resource.patterns.some((pattern) => fitsObjects(pattern, bucket));
  for (const pattern of action.patterns) {
    const fits =
      (someBucket && namesOne(BUCKET_LOWERED, pattern)) || (someObject && namesOne(OBJECT_LOWERED, pattern));
    if (!fits) throw new PolicyError('Action does not apply to any resource(s) in statement');
  }
}

/** `X` or `NotX`; null when neither is there. */
function either(fields: Fields, name: string): { not: boolean; value: unknown } | null {
  const not = `Not${name}`;
  if (fields[name] !== undefined && fields[not] !== undefined)
    throw new PolicyError(`Statement has both ${name} and ${not}`);
  if (fields[name] !== undefined) return { not: false, value: fields[name] };
  return fields[not] === undefined ? null : { not: true, value: fields[not] };
}

/** A text, or a list of texts that has one. */
function textsOf(value: unknown): string[] | null {
  const list: unknown[] = Array.isArray(value) ? value : [value];
  const texts = list.filter((item): item is string => typeof item === 'string' && item !== '');
  return texts.length === list.length && texts.length > 0 ? texts : null;
}

function keysOf(statements: readonly Statement[]): ReadonlySet<string> {
  const keys = new Set<string>();
  const addVariables = (texts: readonly string[]): void => {
    for (const text of texts) for (const name of variablesOf(text)) keys.add(name);
  };
  for (const { resource, conditions } of statements) {
    addVariables(resource?.patterns ?? []);
    for (const { key, values } of conditions as readonly Condition[]) {
      keys.add(key);
      addVariables(values);
    }
  }
  return keys;
}
