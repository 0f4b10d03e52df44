/**
 * The form-encoded parameters of a query request: read once, each value checked where it is asked for, in AWS's words.
 * Source: "Common parameters" and each action's request parameters, IAM API Reference.
 */
import { LIMITS } from '../../base/limits.ts';
import { QueryError, validation } from './errors.ts';

const PARAMETERS_MAX = 500;

interface Shape {
  readonly pattern: RegExp;
  readonly min: number;
  readonly max: number;
  /** What a value must look like, for people. */
  readonly says: string;
}

const NAME = /^[\w+=,.@-]+$/;
const NAME_SAYS = 'It must contain only alphanumeric characters and/or the following: +=,.@_-';
const DOCUMENT = /^[\t\n\r\x20-\xff]+$/;
const DOCUMENT_SAYS = 'It must contain only printable characters.';

export const SHAPES = {
  entityName: { pattern: NAME, min: 1, max: 64, says: NAME_SAYS },
  policyName: { pattern: NAME, min: 1, max: 128, says: NAME_SAYS },
  sessionName: { pattern: NAME, min: 2, max: 64, says: NAME_SAYS },
  path: {
    pattern: /^(\/|\/[\x21-\x7e]+\/)$/,
    min: 1,
    max: 512,
    says: 'It must begin and end with / and contain only alphanumeric characters and/or / characters.',
  },
  pathPrefix: {
    pattern: /^\/[\x21-\x7e]*$/,
    min: 1,
    max: 512,
    says: 'It must begin with / and contain only alphanumeric characters and/or / characters.',
  },
  accessKeyId: { pattern: /^[!-~]+$/, min: 3, max: 128, says: 'It must be an access key id.' },
  document: { pattern: DOCUMENT, min: 1, max: 131_072, says: DOCUMENT_SAYS },
  sessionPolicy: { pattern: DOCUMENT, min: 1, max: LIMITS.sessionPolicyCharactersMax, says: DOCUMENT_SAYS },
  description: {
    pattern: /^[\t\n\r\x20-\x7e\xa1-\xff]*$/,
    min: 0,
    max: 1000,
    says: 'It must contain only printable characters.',
  },
  externalId: {
    pattern: /^[\w+=,.@:/-]+$/,
    min: 2,
    max: 1224,
    says: 'It must contain only alphanumeric characters and/or the following: +=,.@:/-',
  },
  arn: { pattern: /^[\x20-\x7e\xa0-\xff]+$/, min: 20, max: 2048, says: 'It must be an ARN.' },
  marker: { pattern: /^[\x20-\xff]+$/, min: 1, max: 1024, says: 'It must be one that was answered.' },
} as const satisfies Record<string, Shape>;

export type ShapeName = keyof typeof SHAPES;

/** What every request may say beside its action's parameters, with what signs a URL. */
const COMMON = /^(Action|Version|X-Amz-[A-Za-z0-9-]+)$/;

export class Parameters {
  readonly #values: ReadonlyMap<string, string>;

  /** @param texts query strings and form bodies; the first value of a name counts */
  constructor(...texts: readonly string[]) {
    const values = new Map<string, string>();
    for (const text of texts)
      for (const [name, value] of new URLSearchParams(text)) {
        if (values.size >= PARAMETERS_MAX) throw new QueryError('MalformedInput', 'Too many parameters.');
        if (!values.has(name)) values.set(name, value);
      }
    this.#values = values;
  }

  /** What stands there, as it is. */
  raw(name: string): string | undefined {
    return this.#values.get(name);
  }

  /** @throws {QueryError} NotImplemented for a parameter that the action would have to heed and does not know */
  requireKnown(action: string, known: readonly string[]): void {
    for (const name of this.#values.keys()) {
      if (COMMON.test(name) || known.includes(name.split('.', 1)[0]!)) continue;
      throw new QueryError(
        'NotImplemented',
        `${action} with the parameter ${printable(name)} is not supported.`,
      );
    }
  }

  optional(name: string, shape: ShapeName): string | undefined {
    const value = this.#values.get(name);
    if (value === undefined) return undefined;
    const { pattern, min, max, says }: Shape = SHAPES[shape];
    const field = fieldOf(name);
    if (value.length < min)
      throw outOfBounds(field, `Member must have length greater than or equal to ${min}`);
    if (value.length > max) throw outOfBounds(field, `Member must have length less than or equal to ${max}`);
    if (!pattern.test(value)) throw validation(`The specified value for ${field} is invalid. ${says}`);
    return value;
  }

  required(name: string, shape: ShapeName): string {
    const value = this.optional(name, shape);
    if (value === undefined) throw outOfBounds(fieldOf(name), 'Member must not be null');
    return value;
  }

  integer(name: string, min: number, max: number): number | undefined {
    const text = this.#values.get(name);
    if (text === undefined) return undefined;
    if (!/^-?\d{1,9}$/.test(text)) throw new QueryError('MalformedInput', `${name} is not a number.`);
    const value = Number(text);
    const said = (constraint: string) => outOfBounds(fieldOf(name), constraint, text);
    if (value < min) throw said(`Member must have value greater than or equal to ${min}`);
    if (value > max) throw said(`Member must have value less than or equal to ${max}`);
    return value;
  }

  oneOf<T extends string>(name: string, values: readonly T[]): T {
    const text = this.#values.get(name);
    const found = values.find((value) => value === text);
    if (text === undefined) throw outOfBounds(fieldOf(name), 'Member must not be null');
    if (found === undefined)
      throw outOfBounds(fieldOf(name), `Member must satisfy enum value set: [${values.join(', ')}]`, text);
    return found;
  }

  /** `Tags.member.1.Key` …; undefined: none were given. */
  tags(): Record<string, string> | undefined {
    const tags = new Map<string, string>();
    let n = 1;
    for (; this.#values.has(`Tags.member.${n}.Key`); n++) {
      const key = this.#values.get(`Tags.member.${n}.Key`)!;
      const value = this.#values.get(`Tags.member.${n}.Value`) ?? '';
      if (
        !/^[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,128}$/u.test(key) ||
        !/^[\p{L}\p{Z}\p{N}_.:/=+\-@]{0,256}$/u.test(value)
      )
        throw new QueryError('InvalidInput', 'A tag has a key or a value that is not allowed.');
      if (tags.has(key))
        throw new QueryError(
          'InvalidInput',
          'Duplicate tag keys found. Please note that Tag keys are case insensitive.',
        );
      tags.set(key, value);
    }
    return n === 1 ? undefined : Object.fromEntries(tags);
  }

  /** `TagKeys.member.1` … */
  list(name: string): string[] {
    const values: string[] = [];
    for (let n = 1; this.#values.has(`${name}.member.${n}`); n++)
      values.push(this.#values.get(`${name}.member.${n}`)!);
    return values;
  }
}

const fieldOf = (name: string): string => name.charAt(0).toLowerCase() + name.slice(1);
const printable = (text: string): string => text.replace(/[^\x20-\x7e]/g, '?').slice(0, 64);

function outOfBounds(field: string, constraint: string, value?: string): QueryError {
  const said = value === undefined ? 'Value' : `Value '${printable(value)}'`;
  return validation(
    `1 validation error detected: ${said} at '${field}' failed to satisfy constraint: ${constraint}`,
  );
}
