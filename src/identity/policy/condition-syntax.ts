/**
 * The Condition element: operators with their sets and IfExists, keys, and values of the right form.
 * Source: "IAM JSON policy elements: Condition operators", AWS IAM User Guide.
 */
import { readBlock, readTime } from './condition-values.ts';
import { PolicyError } from './errors.ts';
import { isConditionKey } from './s3-actions.ts';
import { CONDITION_OPERATORS, type Condition, type ConditionOperator } from './types.ts';

const OPERATORS: ReadonlyMap<string, ConditionOperator> = new Map(
  CONDITION_OPERATORS.map((name) => [name.toLowerCase(), name]),
);
const SETS: ReadonlyMap<string, 'any' | 'all'> = new Map([
  ['foranyvalue', 'any'],
  ['forallvalues', 'all'],
]);
/** Pairs of key and values in one statement. */
const CONDITIONS_MAX = 1000;

/** @throws {PolicyError} */
export function readConditions(value: unknown): Condition[] {
  if (value === undefined) return [];
  const conditions: Condition[] = [];
  for (const [operator, block] of entriesOf(value))
    for (const [key, values] of entriesOf(block)) conditions.push(readOne(operator, key, values));
  if (conditions.length > CONDITIONS_MAX) throw new PolicyError('Too many conditions in policy');
  return conditions;
}

function entriesOf(value: unknown): [string, unknown][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new PolicyError('Invalid Condition in policy');
  return Object.entries(value);
}

function readOne(text: string, key: string, value: unknown): Condition {
  const { operator, set, ifExists } = readOperator(text);
  const name = key.toLowerCase();
  if (!isConditionKey(name)) throw new PolicyError('Policy has an invalid condition key');
  const list: unknown[] = Array.isArray(value) ? value : [value];
  if (list.length === 0) throw new PolicyError('Invalid Condition in policy');
  const values = list.map((item) => {
    if (typeof item !== 'string' && typeof item !== 'boolean' && typeof item !== 'number')
      throw new PolicyError('Invalid Condition in policy');
    return String(item);
  });
  for (const item of values) requireForm(operator, item);
  return { operator, set, ifExists, key: name, values };
}

function readOperator(text: string): Pick<Condition, 'operator' | 'set' | 'ifExists'> {
  const invalid = new PolicyError(`Invalid Condition type : ${text.slice(0, 128)}`);
  const lower = text.toLowerCase();
  const colon = lower.indexOf(':');
  const set = colon < 0 ? null : SETS.get(lower.slice(0, colon));
  if (set === undefined) throw invalid;
  const rest = lower.slice(colon + 1);
  const plain = OPERATORS.get(rest);
  if (plain !== undefined) return { operator: plain, set, ifExists: false };
  const operator = rest.endsWith('ifexists') ? OPERATORS.get(rest.slice(0, -'ifexists'.length)) : undefined;
  if (operator === undefined || operator === 'Null') throw invalid;
  return { operator, set, ifExists: true };
}

/** Values that could never match are mistakes; texts and ARNs may hold variables and are not looked at. */
function requireForm(operator: ConditionOperator, value: string): void {
  const wrong = (what: string): PolicyError =>
    new PolicyError(`Invalid ${what} in policy: ${value.slice(0, 128)}`);
  if (operator.startsWith('Numeric') && (value.trim() === '' || !Number.isFinite(Number(value))))
    throw wrong('number');
  if (operator.startsWith('Date') && readTime(value) === null) throw wrong('date');
  if ((operator === 'Bool' || operator === 'Null') && !/^(?:true|false)$/i.test(value))
    throw wrong('boolean');
  if (operator.endsWith('IpAddress') && readBlock(value) === null) throw wrong('IP address');
  if (
    operator === 'BinaryEquals' &&
    !/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(value)
  )
    throw wrong('base64 value');
}
