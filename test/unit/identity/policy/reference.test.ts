/** The evaluator against a naive one (regular expressions, no short cuts), over policies and requests made by chance. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { find } from '../../../../src/identity/policy/evaluate.ts';
import { parsePolicy } from '../../../../src/identity/policy/parse.ts';
import { canBegin, fillIn, like, matchesPieces } from '../../../../src/identity/policy/pattern.ts';
import type { Principal } from '../../../../src/identity/types.ts';
import { ANYBODY, account, identity } from './kit.ts';

type Context = Readonly<Record<string, readonly string[]>>;
interface NaiveStatement {
  Effect: 'Allow' | 'Deny';
  Principal?: string;
  NotPrincipal?: string;
  Action?: string[];
  NotAction?: string[];
  Resource?: string[];
  NotResource?: string[];
  Condition?: Record<string, Record<string, string[]>>;
}

const quote = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');

/** The pattern as a regular expression; null when a variable has no one value. */
function naivePattern(pattern: string, context: Context, flags = ''): RegExp | null {
  let source = '';
  let rest = pattern;
  while (rest !== '') {
    const variable = /^\$\{([^{}]*)\}/.exec(rest);
    if (variable) {
      const name = variable[1]!;
      const values = ['*', '?', '$'].includes(name) ? [name] : context[name];
      if (values?.length !== 1) return null;
      source += quote(values[0]!);
      rest = rest.slice(variable[0].length);
      continue;
    }
    const char = String.fromCodePoint(rest.codePointAt(0)!);
    source += char === '*' ? '.*' : char === '?' ? '.' : quote(char);
    rest = rest.slice(char.length);
  }
  return new RegExp(`^(?:${source})$`, `su${flags}`);
}

function naiveCondition(operator: string, key: string, wanted: readonly string[], context: Context): boolean {
  const [, set, name, ifExists] = /^(ForAnyValue:|ForAllValues:)?(\w+?)(IfExists)?$/.exec(operator)!;
  const actual = context[key];
  if (name === 'Null') return wanted.includes(actual === undefined ? 'true' : 'false');
  const negated = name!.includes('Not');
  if (actual === undefined) {
    if (ifExists) return true;
    if (set === 'ForAllValues:') return true;
    if (set === 'ForAnyValue:') return false;
    return negated;
  }
  const one = (value: string): boolean => {
    const hit = wanted.some((text) => {
      if (name!.endsWith('Like')) return naivePattern(text, context)?.test(value) ?? false;
      if (name!.startsWith('Numeric')) return Number(text) === Number(value);
      return text === value;
    });
    return negated ? !hit : hit;
  };
  if (set === 'ForAnyValue:') return actual.some(one);
  // Without a set: a negated operator wants every value to differ, any other one value that matches.
  return set === 'ForAllValues:' || negated ? actual.every(one) : actual.some(one);
}

function naiveApplies(
  s: NaiveStatement,
  who: Principal,
  action: string,
  resource: string,
  context: Context,
): boolean {
  const isNamed = (name: string) => name === '*' || (who.kind === 'account' && name === who.account.id);
  if (s.Principal !== undefined && !isNamed(s.Principal)) return false;
  if (s.NotPrincipal !== undefined && isNamed(s.NotPrincipal)) return false;
  const acts = (patterns: string[]) =>
    patterns.some((pattern) => naivePattern(pattern, {}, 'i')!.test(action));
  if (s.Action && !acts(s.Action)) return false;
  if (s.NotAction && acts(s.NotAction)) return false;
  const hits = (patterns: string[]) =>
    patterns.some((pattern) => naivePattern(pattern, context)?.test(resource) ?? false);
  if (s.Resource && !hits(s.Resource)) return false;
  if (s.NotResource && hits(s.NotResource)) return false;
  return Object.entries(s.Condition ?? {}).every(([operator, block]) =>
    Object.entries(block).every(([key, wanted]) => naiveCondition(operator, key, wanted, context)),
  );
}

const word = fc.string({ unit: fc.constantFrom('a', 'b', '/', '😀', '.'), maxLength: 4 });
const pattern = fc
  .array(fc.oneof(word, fc.constantFrom('*', '?', `\${aws:username}`, `\${s3:prefix}`, `\${*}`, `\${$}`)), {
    maxLength: 4,
  })
  .map((parts) => parts.join(''));
const KEYS = ['aws:username', 's3:prefix', 's3:max-keys', 's3:requestobjecttagkeys'] as const;
const value = fc.oneof(word, fc.constantFrom('1', '2'));
const context: fc.Arbitrary<Context> = fc.dictionary(
  fc.constantFrom(...KEYS),
  fc.array(value, { minLength: 1, maxLength: 3 }),
  {
    noNullPrototype: true,
  },
);
const texts = fc
  .tuple(
    fc.constantFrom('', 'ForAnyValue:', 'ForAllValues:'),
    fc.constantFrom('StringEquals', 'StringNotEquals', 'StringLike', 'StringNotLike'),
    fc.constantFrom('', 'IfExists'),
  )
  .map((parts) => parts.join(''));
const condition = fc.oneof(
  fc.tuple(
    fc.constantFrom('StringEquals', 'StringNotEquals'),
    fc.array(word, { minLength: 1, maxLength: 2 }),
  ),
  fc.tuple(
    texts.filter((name) => name.includes('Like')),
    fc.array(pattern, { minLength: 1, maxLength: 2 }),
  ),
  fc.tuple(
    texts.filter((name) => name.includes('Equals')),
    fc.array(word, { minLength: 1, maxLength: 2 }),
  ),
  fc.tuple(
    fc.constantFrom('NumericEquals', 'NumericNotEquals'),
    fc.array(fc.constantFrom('1', '2', '3'), { minLength: 1 }),
  ),
  fc.tuple(fc.constant('Null'), fc.constantFrom(['true'], ['false'])),
);
const block = fc
  .array(fc.tuple(condition, fc.constantFrom(...KEYS)), { maxLength: 2 })
  .map(
    (list): Record<string, Record<string, string[]>> =>
      Object.fromEntries(list.map(([[operator, wanted], key]) => [operator, { [key]: [...wanted] }])),
  );
const actions = fc.array(fc.constantFrom('s3:*', 's3:Get*', 's3:getobject', 's3:Put?bject', '*'), {
  minLength: 1,
  maxLength: 2,
});
const resources = fc.array(
  pattern.map((text) => `arn:aws:s3:::b/${text}`),
  { minLength: 1, maxLength: 2 },
);
const either = <T>(name: string, list: fc.Arbitrary<T>) =>
  fc.tuple(fc.boolean(), list).map(([not, items]) => ({ [not ? `Not${name}` : name]: items }));
const statement: fc.Arbitrary<NaiveStatement> = fc
  .tuple(
    fc.constantFrom<'Allow' | 'Deny'>('Allow', 'Deny'),
    fc.constantFrom('*', 'acme', 'bob'),
    fc.boolean(),
    either('Action', actions),
    either('Resource', resources),
    block,
  )
  .map(([Effect, name, not, action, resource, Condition]) => ({
    Effect,
    [not && Effect === 'Deny' ? 'NotPrincipal' : 'Principal']: name === '*' ? '*' : { AWS: name },
    naive: name,
    ...action,
    ...resource,
    Condition,
  }))
  .map((made) => made as unknown as NaiveStatement);
const who = fc.constantFrom<Principal>(
  ANYBODY,
  account('acme'),
  account('bob'),
  identity('acme', 'arn:aws:iam::acme:user/ann'),
);

describe('policies made by chance', () => {
  it('are evaluated as a naive evaluator does', () => {
    const seen = { allow: 0, deny: 0, none: 0 };
    fc.assert(
      fc.property(
        fc.array(statement, { minLength: 1, maxLength: 3 }),
        who,
        fc.constantFrom('s3:GetObject', 's3:PutObject', 's3:DeleteObject'),
        word,
        context,
        (statements, principal, action, key, facts) => {
          const resource = `arn:aws:s3:::b/${key}`;
          const json = statements.map((made) => {
            const { naive: _, ...rest } = made as NaiveStatement & { naive: string };
            return rest;
          });
          const document = parsePolicy(JSON.stringify({ Version: '2012-10-17', Statement: json }), 'bucket');
          const { effect } = find([document], {
            principal,
            action,
            resource,
            context: new Map(Object.entries(facts)),
          });
          const applying = statements
            .map((made) => {
              const { naive } = made as NaiveStatement & { naive: string };
              return {
                ...made,
                ...(made.Principal !== undefined ? { Principal: naive } : { NotPrincipal: naive }),
              };
            })
            .filter((made) => naiveApplies(made, principal, action, resource, facts));
          const expected = applying.some(({ Effect }) => Effect === 'Deny')
            ? 'deny'
            : applying.length > 0
              ? 'allow'
              : 'none';
          seen[expected]++;
          assert.equal(effect, expected);
        },
      ),
      { numRuns: 1500 },
    );
    for (const [effect, count] of Object.entries(seen)) assert.ok(count > 50, `${effect}: ${count}`);
  });

  it('have patterns that match what their regular expressions match', () => {
    fc.assert(
      fc.property(pattern, word, word, (text, a, b) => {
        const facts = { 'aws:username': [b] };
        const pieces = fillIn(text, new Map(Object.entries(facts)), true);
        const naive = naivePattern(text, facts);
        assert.equal(pieces === null, naive === null);
        if (pieces === null || naive === null) return;
        for (const tried of [a, b, a + b, a + b + a])
          assert.equal(matchesPieces(pieces, tried), naive.test(tried), tried);
      }),
      { numRuns: 1500 },
    );
  });

  it('say rightly which texts their patterns can begin', () => {
    const plain = pattern.filter((text) => !text.includes('$'));
    fc.assert(
      fc.property(plain, word, word, (text, start, rest) => {
        if (like(text, start + rest)) assert.ok(canBegin(text, start));
      }),
    );
    assert.ok(!canBegin('arn:aws:s3:::b/*', 'arn:aws:s3:::bb/'));
    assert.ok(canBegin('arn:aws:s3:::b*', 'arn:aws:s3:::bb/'));
  });

  it('are either understood or complained about, whatever they are', () => {
    const field = fc.constantFrom(
      'Version',
      'Statement',
      'Effect',
      'Principal',
      'Action',
      'Resource',
      'Condition',
      'AWS',
      'Bool',
      'x',
    );
    const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom('*', 'Allow', '2012-10-17', 's3:GetObject', 'arn:aws:s3:::b/*', '${', 'true'),
        fc.jsonValue({ maxDepth: 1 }),
        fc.array(tie('tree'), { maxLength: 3 }),
        fc.dictionary(field, tie('tree'), { maxKeys: 5 }),
      ),
    }));
    fc.assert(
      fc.property(tree, fc.constantFrom('bucket', 'identity', 'session', 'trust'), (made, kind) => {
        try {
          parsePolicy(JSON.stringify(made) ?? '', kind, 'b');
        } catch (error) {
          assert.equal((error as Error).name, 'PolicyError');
        }
      }),
      { numRuns: 500 },
    );
  });

  it('cost little, however their patterns are made', () => {
    const stars = '*a'.repeat(2_000);
    assert.equal(like(`${stars}b`, 'a'.repeat(3_000)), false);
    assert.equal(like(`*${'a'.repeat(2_000)}b`, 'a'.repeat(8_000)), false);
  });
});
