/**
 * `NotificationConfiguration`: XML in and out, and what AWS refuses of one: destinations that do not exist, unknown events,
 * filters that are none, rules that overlap. Source: PutBucketNotificationConfiguration, Amazon S3 API Reference;
 * "Configuring event notifications using object key name filtering", User Guide.
 */
import {
  EVENT_TYPES,
  type NotificationConfiguration,
  type NotificationRule,
  typesOverlap,
} from '../ddm/notification-config.ts';
import { S3Error } from './errors.ts';
import { tag, wrap, xmlDocument } from './xml.ts';
import {
  childText,
  leafText,
  malformedXml,
  onlyChild,
  parseDocument,
  requireChildren,
  type XmlElement,
} from './xml-reader.ts';

const RULES_MAX = 100;
const ID_MAX = 255;
const FILTER_BYTES_MAX = 1024;

/** Element, the leaf that holds the ARN, and the services that the ARN may name. */
const KINDS = {
  topic: ['TopicConfiguration', 'Topic', ['sns', 'sqs']],
  queue: ['QueueConfiguration', 'Queue', ['sqs']],
  function: ['CloudFunctionConfiguration', 'CloudFunction', ['lambda', 'sqs']],
} as const;
type Kind = keyof typeof KINDS;
const KIND_OF: ReadonlyMap<string, Kind> = new Map(
  (Object.keys(KINDS) as Kind[]).map((kind) => [KINDS[kind][0], kind]),
);
const EVENT_BRIDGE = 'EventBridgeConfiguration';

export interface Destinations {
  /** Names of the webhooks that the operator has declared. */
  readonly webhooks: ReadonlySet<string>;
  readonly region: string;
  readonly newId: () => string;
}

/** @throws {S3Error} MalformedXML, InvalidArgument, NotImplemented (EventBridge) */
export function readNotificationConfiguration(text: string, to: Destinations): readonly NotificationRule[] {
  const root = parseDocument(text, 'NotificationConfiguration', [...KIND_OF.keys(), EVENT_BRIDGE]);
  if (onlyChild(root, EVENT_BRIDGE))
    throw new S3Error('NotImplemented', {
      message: 'Events cannot be sent to Amazon EventBridge. Name webhooks as queues, topics or functions.',
      fields: { Header: EVENT_BRIDGE },
    });
  const read = root.children.map((element) => readRule(element, KIND_OF.get(element.name)!));
  if (read.length > RULES_MAX)
    throw invalid(`The number of configurations exceeds the maximum of ${RULES_MAX}.`);
  const ids = read.flatMap(({ id }) => (id === undefined ? [] : [id]));
  if (new Set(ids).size < ids.length)
    throw invalid('Same ID used for multiple configurations. IDs must be unique');
  refuseOverlaps(read);
  const rules = read.map((rule) => ({ ...rule, id: rule.id ?? to.newId(), target: targetOf(rule, to) }));
  refuseUnknown(rules, to);
  return rules.map(({ target, ...rule }) => ({ ...rule, target: target! }));
}

type Read = Omit<NotificationRule, 'id' | 'target'> & { readonly id: string | undefined };

function readRule(element: XmlElement, kind: Kind): Read {
  const [, leaf] = KINDS[kind];
  requireChildren(element, ['Id', leaf, 'Event', 'Filter']);
  const arn = childText(element, leaf)?.trim();
  if (arn === undefined) throw malformedXml();
  const id = childText(element, 'Id')?.trim();
  if (id !== undefined && id.length > ID_MAX)
    throw invalid(`ID length should not exceed allowed limit of ${ID_MAX}`);
  const events = element.children
    .filter((child) => child.name === 'Event')
    .map((child) => leafText(child).trim());
  if (events.length === 0) throw malformedXml();
  for (const event of events)
    if (!EVENT_TYPES.has(event))
      throw invalid(`The event '${event}' is not supported for notifications`, 'Event', event);
  const filter = onlyChild(element, 'Filter');
  return { kind, id: id === '' ? undefined : id, arn, events: [...new Set(events)], ...readFilter(filter) };
}

function readFilter(filter: XmlElement | undefined): { prefix: string; suffix: string } {
  const found: Partial<Record<'prefix' | 'suffix', string>> = {};
  if (filter) {
    requireChildren(filter, ['S3Key']);
    const s3Key = onlyChild(filter, 'S3Key');
    if (s3Key) requireChildren(s3Key, ['FilterRule']);
    for (const rule of s3Key?.children ?? []) {
      requireChildren(rule, ['Name', 'Value']);
      const name = childText(rule, 'Name')?.trim().toLowerCase();
      if (name !== 'prefix' && name !== 'suffix')
        throw invalid('filter rule name must be either prefix or suffix', 'FilterRule.Name', name ?? '');
      if (found[name] !== undefined) throw invalid(`Cannot specify more than one ${name} rule in a filter.`);
      const value = childText(rule, 'Value') ?? '';
      if (Buffer.byteLength(value) > FILTER_BYTES_MAX)
        throw invalid(
          `Size of filter rule value cannot exceed ${FILTER_BYTES_MAX} bytes in UTF-8 representation`,
        );
      found[name] = value;
    }
  }
  return { prefix: found.prefix ?? '', suffix: found.suffix ?? '' };
}

/** No event may be wanted by two rules. */
function refuseOverlaps(rules: readonly Read[]): void {
  for (const [i, a] of rules.entries())
    for (const b of rules.slice(i + 1)) {
      if (!a.events.some((event) => b.events.some((other) => typesOverlap(event, other)))) continue;
      const isInBoth =
        (a.prefix.startsWith(b.prefix) || b.prefix.startsWith(a.prefix)) &&
        (a.suffix.endsWith(b.suffix) || b.suffix.endsWith(a.suffix));
      if (!isInBoth) continue;
      const hasFilters = [a, b].every(({ prefix, suffix }) => prefix !== '' || suffix !== '');
      throw invalid(
        hasFilters
          ? 'Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are overlapping for the same event type.'
          : 'Configurations overlap. Configurations on the same bucket cannot share a common event type.',
      );
    }
}

const ARN = /^arn:(?:antipode|minio|aws):(sqs|sns|lambda):([a-z0-9-]*):([^:\s]+):webhook$/;

/** The webhook that an ARN names; null: none that is declared. */
function targetOf(rule: Read, { webhooks, region }: Destinations): string | null {
  if (!/^arn:[^:\s]+:[^:\s]*:[^:\s]*:[^:\s]*:\S+$/.test(rule.arn))
    throw invalid('The ARN is not well formed', 'Arn', rule.arn);
  const [, service, at, name] = ARN.exec(rule.arn) ?? [];
  const services: readonly string[] = KINDS[rule.kind][2];
  if (service === undefined || name === undefined || !services.includes(service)) return null;
  return webhooks.has(name) && (at === '' || at === region) ? name : null;
}

function refuseUnknown(
  rules: readonly { readonly arn: string; readonly target: string | null }[],
  { webhooks }: Destinations,
): void {
  const unknown = [...new Set(rules.filter(({ target }) => target === null).map(({ arn }) => arn))];
  if (unknown.length === 0) return;
  const why =
    webhooks.size === 0
      ? 'This store has no webhooks to send notifications to'
      : 'The destination does not exist; name a webhook of this store as arn:antipode:sqs::NAME:webhook';
  const fields = unknown.flatMap((arn, i) => [
    [`ArgumentName${i + 1}`, `${arn}, null`],
    [`ArgumentValue${i + 1}`, why],
  ]);
  throw new S3Error('InvalidArgument', {
    message: 'Unable to validate the following destination configurations',
    fields: Object.fromEntries(fields) as Record<string, string>,
  });
}

const invalid = (message: string, name?: string, value?: string): S3Error =>
  new S3Error('InvalidArgument', {
    message,
    ...(name !== undefined && { fields: { ArgumentName: name, ArgumentValue: value ?? '' } }),
  });

export function notificationXml(configuration: NotificationConfiguration | undefined): string {
  const rules = (configuration?.rules ?? []).map((rule) => {
    const [element, leaf] = KINDS[rule.kind];
    const filters = (['prefix', 'suffix'] as const).flatMap((name) =>
      rule[name] === '' ? [] : [wrap('FilterRule', tag('Name', name) + tag('Value', rule[name]))],
    );
    return wrap(
      element,
      tag('Id', rule.id) +
        tag(leaf, rule.arn) +
        rule.events.map((event) => tag('Event', event)).join('') +
        (filters.length > 0 ? wrap('Filter', wrap('S3Key', filters.join(''))) : ''),
    );
  });
  return xmlDocument('NotificationConfiguration', rules.join(''));
}
