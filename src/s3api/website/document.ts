/**
 * `WebsiteConfiguration` in and out. What AWS refuses is refused in its words. Source: PutBucketWebsite, Amazon S3 API
 * Reference.
 */
import { LIMITS } from '../../base/limits.ts';
import { S3Error } from '../errors.ts';
import { tag, wrap, xmlDocument } from '../xml.ts';
import {
  childText,
  malformedXml,
  onlyChild,
  parseDocument,
  requireChildren,
  type XmlElement,
} from '../xml-reader.ts';
import type { Protocol, Redirect, RoutingRule, WebsiteConfiguration } from './routing.ts';

const CHILDREN = ['RedirectAllRequestsTo', 'IndexDocument', 'ErrorDocument', 'RoutingRules'];
const REDIRECT = ['HostName', 'HttpRedirectCode', 'Protocol', 'ReplaceKeyPrefixWith', 'ReplaceKeyWith'];
const HOST_NAME = /^[A-Za-z0-9.-]{1,253}(?::\d{1,5})?$/;

const invalidRequest = (message: string): S3Error => new S3Error('InvalidRequest', { message });
const invalidArgument = (name: string, value: string, message: string): S3Error =>
  new S3Error('InvalidArgument', {
    message,
    fields: { ArgumentName: name, ArgumentValue: value.slice(0, 256) },
  });

/** @throws {S3Error} MalformedXML, InvalidArgument, InvalidRequest */
export function readWebsiteConfiguration(text: string): WebsiteConfiguration {
  if (Buffer.byteLength(text) > LIMITS.websiteBytesMax) throw malformedXml();
  const root = parseDocument(text, 'WebsiteConfiguration', CHILDREN);
  const all = onlyChild(root, 'RedirectAllRequestsTo');
  if (all !== undefined) {
    if (root.children.length > 1)
      throw invalidRequest(
        'RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules.',
      );
    return { redirectAll: readRedirectAll(all), rules: [] };
  }
  const errorKey = leafOf(root, 'ErrorDocument', 'Key');
  const configuration = {
    indexSuffix: readIndex(root),
    ...(errorKey !== undefined && { errorKey }),
    rules: readRules(onlyChild(root, 'RoutingRules')),
  };
  if (errorKey === '' || Buffer.byteLength(errorKey ?? '') > LIMITS.keyBytesMax)
    throw invalidArgument('ErrorDocument', errorKey ?? '', 'The ErrorDocument Key is not well formed');
  return configuration;
}

function leafOf(root: XmlElement, name: string, child: string): string | undefined {
  const element = onlyChild(root, name);
  if (element === undefined) return undefined;
  requireChildren(element, [child]);
  return childText(element, child)?.trim() ?? '';
}

function readIndex(root: XmlElement): string {
  const suffix = leafOf(root, 'IndexDocument', 'Suffix');
  if (suffix === undefined)
    throw invalidArgument(
      'IndexDocument',
      'null',
      'A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty',
    );
  if (suffix === '' || suffix.includes('/') || Buffer.byteLength(suffix) > LIMITS.keyBytesMax)
    throw invalidArgument('IndexDocument', suffix, 'The IndexDocument Suffix is not well formed');
  return suffix;
}

function readRedirectAll(element: XmlElement): NonNullable<WebsiteConfiguration['redirectAll']> {
  requireChildren(element, ['HostName', 'Protocol']);
  const hostName = readHost(element);
  if (hostName === undefined)
    throw invalidArgument(
      'HostName',
      '',
      'A host name must be provided to redirect all requests (e.g. "example.com").',
    );
  return { hostName, ...readProtocol(element) };
}

function readHost(element: XmlElement): string | undefined {
  const hostName = childText(element, 'HostName')?.trim();
  if (hostName === undefined || hostName === '') return undefined;
  if (!HOST_NAME.test(hostName))
    throw invalidArgument('HostName', hostName, 'The HostName is not well formed');
  return hostName;
}

function readProtocol(element: XmlElement): { protocol?: Protocol } {
  const protocol = childText(element, 'Protocol')?.trim().toLowerCase();
  if (protocol === undefined) return {};
  if (protocol === 'http' || protocol === 'https') return { protocol };
  throw invalidRequest(
    'Invalid protocol, protocol can be http or https. If not defined the protocol will be selected automatically.',
  );
}

function readRules(element: XmlElement | undefined): readonly RoutingRule[] {
  if (element === undefined) return [];
  requireChildren(element, ['RoutingRule']);
  const count = element.children.length;
  if (count > LIMITS.websiteRulesMax)
    throw invalidRequest(
      `${count} routing rules provided, the number of routing rules in a website configuration is limited to ${LIMITS.websiteRulesMax}.`,
    );
  return element.children.map((rule) => {
    requireChildren(rule, ['Condition', 'Redirect']);
    const redirect = onlyChild(rule, 'Redirect');
    if (redirect === undefined) throw malformedXml();
    const condition = onlyChild(rule, 'Condition');
    return {
      ...(condition !== undefined && { condition: readCondition(condition) }),
      redirect: readRedirect(redirect),
    };
  });
}

function readCondition(element: XmlElement): NonNullable<RoutingRule['condition']> {
  requireChildren(element, ['KeyPrefixEquals', 'HttpErrorCodeReturnedEquals']);
  const keyPrefix = childText(element, 'KeyPrefixEquals');
  const code = childText(element, 'HttpErrorCodeReturnedEquals')?.trim();
  if (keyPrefix === undefined && code === undefined)
    throw invalidRequest(
      "Condition cannot be empty. To redirect all requests without a condition, the condition element shouldn't be present.",
    );
  if (code !== undefined && !/^[45]\d\d$/.test(code))
    throw invalidRequest(`The provided HTTP error code (${code}) is not valid. Valid codes are 4XX or 5XX.`);
  return {
    ...(keyPrefix !== undefined && { keyPrefix }),
    ...(code !== undefined && { errorCode: Number(code) }),
  };
}

function readRedirect(element: XmlElement): Redirect {
  requireChildren(element, REDIRECT);
  if (element.children.length === 0) throw malformedXml();
  const hostName = readHost(element);
  const code = childText(element, 'HttpRedirectCode')?.trim();
  const replaceKey = childText(element, 'ReplaceKeyWith');
  const replaceKeyPrefix = childText(element, 'ReplaceKeyPrefixWith');
  if (replaceKey !== undefined && replaceKeyPrefix !== undefined)
    throw invalidRequest('You can only define ReplaceKeyPrefix or ReplaceKey but not both.');
  if (code !== undefined && !/^3(?!00)\d\d$/.test(code))
    throw invalidRequest(
      `The provided HTTP redirect code (${code}) is not valid. Valid codes are 3XX except 300.`,
    );
  return {
    ...readProtocol(element),
    ...(hostName !== undefined && { hostName }),
    ...(replaceKey !== undefined && { replaceKey }),
    ...(replaceKeyPrefix !== undefined && { replaceKeyPrefix }),
    ...(code !== undefined && { code: Number(code) }),
  };
}

export function websiteXml({ redirectAll, indexSuffix, errorKey, rules }: WebsiteConfiguration): string {
  const element = (name: string, inner: string) => (inner === '' ? '' : wrap(name, inner));
  return xmlDocument(
    'WebsiteConfiguration',
    element(
      'RedirectAllRequestsTo',
      tag('HostName', redirectAll?.hostName) + tag('Protocol', redirectAll?.protocol),
    ) +
      element('IndexDocument', tag('Suffix', indexSuffix)) +
      element('ErrorDocument', tag('Key', errorKey)) +
      element('RoutingRules', rules.map(ruleXml).join('')),
  );
}

function ruleXml({ condition, redirect }: RoutingRule): string {
  const shown =
    tag('KeyPrefixEquals', condition?.keyPrefix) + tag('HttpErrorCodeReturnedEquals', condition?.errorCode);
  return wrap(
    'RoutingRule',
    (condition === undefined ? '' : wrap('Condition', shown)) +
      wrap(
        'Redirect',
        tag('Protocol', redirect.protocol) +
          tag('HostName', redirect.hostName) +
          tag('ReplaceKeyPrefixWith', redirect.replaceKeyPrefix) +
          tag('ReplaceKeyWith', redirect.replaceKey) +
          tag('HttpRedirectCode', redirect.code),
      ),
  );
}
