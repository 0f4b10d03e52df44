/**
 * Whether a condition holds. Of several values in the policy one is enough; where the request has several, an operator
 * without a set asks for one that matches, a negated one for none that does. A key that is not there fails, except for
 * negated operators, IfExists and ForAllValues.
 * Source: "Condition operators" and "Single-valued vs. multivalued context keys", AWS IAM User Guide.
 */
import { isInBlock, readAddress, readBlock, readTime } from './condition-values.ts';
import { fillIn, matchesPieces, plainText } from './pattern.ts';
import type { Condition, ConditionOperator, PolicyContext } from './types.ts';

const NEGATED: Readonly<Partial<Record<ConditionOperator, ConditionOperator>>> = {
  StringNotEquals: 'StringEquals',
  StringNotEqualsIgnoreCase: 'StringEqualsIgnoreCase',
  StringNotLike: 'StringLike',
  NumericNotEquals: 'NumericEquals',
  DateNotEquals: 'DateEquals',
  NotIpAddress: 'IpAddress',
  ArnNotEquals: 'ArnLike',
  ArnNotLike: 'ArnLike',
};

/** @param variables whether the policy's version knows them */
export function holds(condition: Condition, context: PolicyContext, variables: boolean): boolean {
  const { operator, set, ifExists, key, values } = condition;
  const actual = context.get(key) ?? [];
  if (operator === 'Null')
    return values.some((value) => (value.toLowerCase() === 'true') === (actual.length === 0));
  const positive = NEGATED[operator];
  const negated = positive !== undefined;
  if (actual.length === 0) return ifExists || set === 'all' || (set === null && negated);
  const filled = variables ? context : null;
  const matches = (value: string): boolean =>
    values.some((wanted) => compare(positive ?? operator, value, wanted, filled));
  switch (set) {
    case 'all':
      return actual.every((value) => matches(value) !== negated);
    case 'any':
      return actual.some((value) => matches(value) !== negated);
    case null:
      return negated ? !actual.some(matches) : actual.some(matches);
  }
}

function compare(
  operator: ConditionOperator,
  actual: string,
  wanted: string,
  context: PolicyContext | null,
): boolean {
  if (operator.startsWith('String')) return compareText(operator, actual, wanted, context);
  if (operator.startsWith('Arn')) return likeArn(actual, wanted, context);
  if (operator.startsWith('Numeric')) return ordered(operator.slice(7), toNumber(actual), toNumber(wanted));
  if (operator.startsWith('Date')) return ordered(operator.slice(4), readTime(actual), readTime(wanted));
  switch (operator) {
    case 'Bool':
      return actual.toLowerCase() === wanted.toLowerCase();
    case 'BinaryEquals':
      return Buffer.from(actual, 'base64').equals(Buffer.from(wanted, 'base64'));
    case 'IpAddress': {
      const address = readAddress(actual);
      const block = readBlock(wanted);
      return address !== null && block !== null && isInBlock(address, block);
    }
    default:
      return false;
  }
}

function compareText(
  operator: ConditionOperator,
  actual: string,
  wanted: string,
  context: PolicyContext | null,
): boolean {
  const pieces = fillIn(wanted, context, operator === 'StringLike');
  if (pieces === null) return false;
  if (operator === 'StringLike') return matchesPieces(pieces, actual);
  const text = plainText(pieces);
  return operator === 'StringEquals' ? text === actual : text.toLowerCase() === actual.toLowerCase();
}

/** The six components of an ARN are compared one by one: a wildcard does not reach over a colon. */
function likeArn(actual: string, wanted: string, context: PolicyContext | null): boolean {
  const values = componentsOf(actual, false);
  const patterns = componentsOf(wanted, true);
  if (values === null || patterns === null) return false;
  return patterns.every((pattern, i) => {
    const pieces = fillIn(pattern, context, true);
    return pieces !== null && matchesPieces(pieces, values[i]!);
  });
}

/** Colons of variables' names separate nothing. */
function componentsOf(arn: string, variables: boolean): string[] | null {
  const parts = variables ? (arn.match(/(?:\$\{[^{}]*\}|[^:])+|:/g) ?? []) : arn.split(/(:)/);
  const components = [''];
  for (const part of parts) {
    if (part === ':' && components.length < 6) components.push('');
    else components[components.length - 1] += part;
  }
  return components.length === 6 && components[0] !== '' ? components : null;
}

function toNumber(text: string): number | null {
  const number = text.trim() === '' ? Number.NaN : Number(text);
  return Number.isNaN(number) ? null : number;
}

function ordered(relation: string, actual: number | null, wanted: number | null): boolean {
  if (actual === null || wanted === null) return false;
  switch (relation) {
    case 'Equals':
      return actual === wanted;
    case 'LessThan':
      return actual < wanted;
    case 'LessThanEquals':
      return actual <= wanted;
    case 'GreaterThan':
      return actual > wanted;
    case 'GreaterThanEquals':
      return actual >= wanted;
    default:
      return false;
  }
}
