/**
 * `CORSConfiguration` in and out. What AWS refuses is refused in its words. Source: PutBucketCors, Amazon S3 API Reference;
 * "Elements of a CORS configuration", S3 User Guide.
 */
import { LIMITS } from '../../base/limits.ts';
import { S3Error } from '../errors.ts';
import { tag, wrap, xmlDocument } from '../xml.ts';
import {
  childText,
  integerOf,
  leafText,
  malformedXml,
  parseDocument,
  requireChildren,
  type XmlElement,
} from '../xml-reader.ts';
import { CORS_METHODS, type CorsRule } from './rules.ts';

const CHILDREN = ['ID', 'AllowedHeader', 'AllowedMethod', 'AllowedOrigin', 'ExposeHeader', 'MaxAgeSeconds'];
const ID_CHARS_MAX = 255;
const MAX_AGE_MAX = 2 ** 31 - 1;
/** What a header of the answer can carry. */
const PRINTABLE = /^[\x21-\x7e]+$/;
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/i;

/** @throws {S3Error} MalformedXML, InvalidRequest */
export function readCorsConfiguration(text: string): readonly CorsRule[] {
  if (Buffer.byteLength(text) > LIMITS.corsBytesMax) throw malformedXml();
  const root = parseDocument(text, 'CORSConfiguration', ['CORSRule']);
  if (root.children.length === 0) throw malformedXml();
  if (root.children.length > LIMITS.corsRulesMax)
    throw invalid(
      `The number of CORS rules should not exceed allowed limit of ${LIMITS.corsRulesMax} rules.`,
    );
  const rules = root.children.map(readRule);
  const ids = rules.flatMap(({ id }) => (id === undefined ? [] : [id]));
  if (new Set(ids).size < ids.length)
    throw invalid('Rule ID must be unique. Found same ID for more than one rule.');
  return rules;
}

function readRule(element: XmlElement): CorsRule {
  requireChildren(element, CHILDREN);
  const texts = (name: string) =>
    element.children.filter((child) => child.name === name).map((child) => leafText(child).trim());
  const id = childText(element, 'ID')?.trim();
  const maxAge = childText(element, 'MaxAgeSeconds');
  const rule: CorsRule = {
    ...(id !== undefined && id !== '' && { id }),
    allowedOrigins: texts('AllowedOrigin'),
    allowedMethods: texts('AllowedMethod'),
    allowedHeaders: texts('AllowedHeader'),
    exposeHeaders: texts('ExposeHeader'),
    ...(maxAge !== undefined && { maxAgeSeconds: integerOf(maxAge, MAX_AGE_MAX) }),
  };
  if ([...(id ?? '')].length > ID_CHARS_MAX)
    throw invalid(`Rule ID is longer than ${ID_CHARS_MAX} characters.`);
  if (rule.allowedOrigins.length === 0 || rule.allowedMethods.length === 0) throw malformedXml();
  checkRule(rule);
  return rule;
}

function checkRule({ allowedMethods, allowedOrigins, allowedHeaders, exposeHeaders }: CorsRule): void {
  for (const method of allowedMethods)
    if (!(CORS_METHODS as readonly string[]).includes(method))
      throw invalid(`Found unsupported HTTP method in CORS config. Unsupported method is ${method}`);
  for (const [name, patterns] of [
    ['AllowedOrigin', allowedOrigins],
    ['AllowedHeader', allowedHeaders],
  ] as const)
    for (const pattern of patterns) {
      if (pattern.split('*').length > 2)
        throw invalid(`${name} "${pattern}" can not have more than one wildcard.`);
      if (!PRINTABLE.test(pattern)) throw invalid(`${name} "${pattern}" is not valid.`);
    }
  for (const name of exposeHeaders) {
    if (name.includes('*'))
      throw invalid(
        `ExposeHeader "${name}" contains wildcard. We currently do not support wildcard for ExposeHeader.`,
      );
    if (!HEADER_NAME.test(name)) throw invalid(`ExposeHeader "${name}" is not valid.`);
  }
}

const invalid = (message: string): S3Error => new S3Error('InvalidRequest', { message });

export function corsXml(rules: readonly CorsRule[]): string {
  const all = (name: string, texts: readonly string[]) => texts.map((text) => tag(name, text)).join('');
  const shown = rules.map((rule) =>
    wrap(
      'CORSRule',
      tag('ID', rule.id) +
        all('AllowedMethod', rule.allowedMethods) +
        all('AllowedOrigin', rule.allowedOrigins) +
        all('AllowedHeader', rule.allowedHeaders) +
        all('ExposeHeader', rule.exposeHeaders) +
        tag('MaxAgeSeconds', rule.maxAgeSeconds),
    ),
  );
  return xmlDocument('CORSConfiguration', shown.join(''));
}
