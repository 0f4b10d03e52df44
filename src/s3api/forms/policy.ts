/**
 * The policy document of a POST form: what its signer allows a form to say. Pure. Every field must be named by a condition
 * and meet it, apart from those that carry the signature itself. Names and operators in any case, values exactly.
 * Source: "Creating a POST policy", Amazon S3 API Reference; messages as AWS S3 answers.
 */
import { S3Error } from '../errors.ts';

export interface PostPolicy {
  /** Ms since the epoch. */
  readonly expiresAt: number;
  readonly conditions: readonly Condition[];
}

export type Condition =
  | {
      readonly kind: 'eq' | 'starts-with';
      /** Lower case, without `$`. */
      readonly field: string;
      readonly value: string;
      /** As AWS shows it when it fails. */
      readonly shown: string;
    }
  | { readonly kind: 'content-length-range'; readonly min: number; readonly max: number };

export interface LengthRange {
  readonly min: number;
  readonly max: number;
}

const POLICY_CHARS_MAX = 64 * 1024;
const CONDITIONS_MAX = 1_000;
const EXPIRATION = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?Z$/;
/** They carry the signature; nobody can sign them. */
const UNSIGNED: ReadonlySet<string> = new Set([
  'policy',
  'file',
  'x-amz-signature',
  'signature',
  'awsaccesskeyid',
]);

const invalid = (detail: string): S3Error =>
  new S3Error('InvalidPolicyDocument', { message: `Invalid Policy: ${detail}` });
const violated = (detail: string): S3Error =>
  new S3Error('AccessDenied', { message: `Invalid according to Policy: ${detail}` });

/** @param text base64, as the form has it @throws {S3Error} InvalidPolicyDocument */
export function readPostPolicy(text: string): PostPolicy {
  const document = jsonOf(text);
  const { expiration, conditions } = document;
  if (expiration === undefined) throw invalid('Policy missing expiration.');
  const expiresAt =
    typeof expiration === 'string' && EXPIRATION.test(expiration) ? Date.parse(expiration) : NaN;
  if (Number.isNaN(expiresAt))
    throw invalid(`Invalid 'expiration' value: '${String(expiration).slice(0, 64)}'`);
  if (conditions === undefined) throw invalid('Policy missing conditions.');
  if (!Array.isArray(conditions) || conditions.length > CONDITIONS_MAX)
    throw invalid("Invalid 'conditions' value: must be a list.");
  return { expiresAt, conditions: conditions.map(readCondition) };
}

function jsonOf(text: string): Record<string, unknown> {
  const base64 = text.replace(/\s/g, '');
  if (base64.length > POLICY_CHARS_MAX || !/^[A-Za-z0-9+/]*={0,2}$/.test(base64))
    throw invalid('Invalid JSON.');
  let document: unknown;
  try {
    const bytes = Buffer.from(base64, 'base64');
    document = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw invalid('Invalid JSON.');
  }
  if (typeof document !== 'object' || document === null || Array.isArray(document))
    throw invalid('Invalid JSON.');
  return document as Record<string, unknown>;
}

function readCondition(condition: unknown): Condition {
  if (Array.isArray(condition)) return readTriple(condition);
  if (typeof condition !== 'object' || condition === null)
    throw invalid('Invalid Condition: a condition is an object or a list.');
  const [first, ...rest] = Object.entries(condition);
  if (first === undefined || rest.length > 0)
    throw invalid('Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.');
  const [name, value] = first;
  return comparison('eq', `$${name}`, scalar(value));
}

function readTriple(triple: readonly unknown[]): Condition {
  const [operator, field, value] = triple;
  const kind = typeof operator === 'string' ? operator.toLowerCase() : '';
  if (triple.length !== 3) throw invalid(`Invalid Condition: '${kind.slice(0, 64)}' needs two arguments.`);
  if (kind === 'content-length-range') return { kind, min: bytesOf(field), max: bytesOf(value) };
  if (kind !== 'eq' && kind !== 'starts-with')
    throw invalid(`Invalid Condition: unknown operation '${kind.slice(0, 64)}'.`);
  if (typeof field !== 'string' || !field.startsWith('$'))
    throw invalid(`Invalid Condition: '${kind}' names a field as $name.`);
  return comparison(kind, field, scalar(value));
}

function comparison(kind: 'eq' | 'starts-with', field: string, value: string): Condition {
  const shown = `[${[kind, field, value].map((part) => JSON.stringify(part)).join(', ')}]`;
  return { kind, field: field.slice(1).toLowerCase(), value, shown };
}

function scalar(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw invalid('Invalid Condition: a value is a text.');
}

function bytesOf(value: unknown): number {
  const bytes = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value;
  if (typeof bytes !== 'number' || !Number.isSafeInteger(bytes) || bytes < 0)
    throw invalid("Invalid 'content-length-range': both ends are whole numbers of bytes.");
  return bytes;
}

/**
 * @param fields by names in lower case, with the bucket that the request goes to
 * @throws {S3Error} AccessDenied
 */
export function checkPostPolicy(policy: PostPolicy, fields: ReadonlyMap<string, string>, now: number): void {
  if (policy.expiresAt <= now) throw violated('Policy expired.');
  const named = new Set<string>();
  for (const condition of policy.conditions) {
    if (condition.kind === 'content-length-range') continue;
    named.add(condition.field);
    if (!meets(condition, fields.get(condition.field)))
      throw violated(`Policy Condition failed: ${condition.shown}`);
  }
  for (const name of fields.keys()) {
    // A checksum says nothing but which bytes are meant.
    const free = UNSIGNED.has(name) || name.startsWith('x-ignore-') || name.startsWith('x-amz-checksum-');
    if (!free && !named.has(name)) throw violated(`Extra input fields: ${name.slice(0, 256)}`);
  }
}

function meets(
  condition: Exclude<Condition, { kind: 'content-length-range' }>,
  given: string | undefined,
): boolean {
  if (given === undefined) return false;
  if (condition.kind === 'eq') return given === condition.value;
  // A list of types is allowed when each of them is.
  const parts = condition.field === 'content-type' ? given.split(',').map((part) => part.trim()) : [given];
  return parts.every((part) => part.startsWith(condition.value));
}

/** What all ranges of the policy allow together. */
export function lengthRange(policy: PostPolicy | null): LengthRange {
  const range = { min: 0, max: Number.POSITIVE_INFINITY };
  for (const condition of policy?.conditions ?? []) {
    if (condition.kind !== 'content-length-range') continue;
    range.min = Math.max(range.min, condition.min);
    range.max = Math.min(range.max, condition.max);
  }
  return range;
}
