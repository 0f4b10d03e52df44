/**
 * Readers of the documents of object lock. Source: PutObjectLockConfiguration, PutObjectRetention and PutObjectLegalHold,
 * Amazon S3 API Reference; the longest default periods: "Object Lock considerations", S3 User Guide.
 */
import { LIMITS } from '../base/limits.ts';
import type { DefaultRetention, Retention } from '../ddm/catalog.ts';
import { S3Error } from './errors.ts';
import { isMode, retentionDate } from './objects/locks.ts';
import {
  childText,
  malformedXml,
  onlyChild,
  parseDocument,
  requireChildren,
  type XmlElement,
} from './xml-reader.ts';

/** `ObjectLockConfiguration`: the default retention, null without a rule. @throws {S3Error} MalformedXML, InvalidRetentionPeriod */
export function readObjectLockConfiguration(text: string): DefaultRetention | null {
  const root = parseDocument(text, 'ObjectLockConfiguration', ['ObjectLockEnabled', 'Rule']);
  if (childText(root, 'ObjectLockEnabled')?.trim() !== 'Enabled') throw malformedXml();
  const rule = onlyChild(root, 'Rule');
  if (rule === undefined) return null;
  requireChildren(rule, ['DefaultRetention']);
  const retention = onlyChild(rule, 'DefaultRetention');
  if (retention === undefined) throw malformedXml();
  requireChildren(retention, ['Mode', 'Days', 'Years']);
  const mode = childText(retention, 'Mode')?.trim();
  if (!isMode(mode)) throw malformedXml();
  const days = periodOf(retention, 'Days', LIMITS.defaultRetentionDaysMax);
  const years = periodOf(retention, 'Years', LIMITS.defaultRetentionYearsMax);
  if (days !== undefined && years === undefined) return { mode, days };
  if (years !== undefined && days === undefined) return { mode, years };
  throw malformedXml();
}

function periodOf(retention: XmlElement, name: 'Days' | 'Years', max: number): number | undefined {
  const text = childText(retention, name)?.trim();
  if (text === undefined) return undefined;
  if (!/^-?\d{1,15}$/.test(text)) throw malformedXml();
  const period = Number(text);
  if (period < 1)
    throw new S3Error('InvalidRetentionPeriod', {
      message: 'Default retention period must be a positive integer value.',
    });
  if (period > max)
    throw new S3Error('InvalidRetentionPeriod', {
      message: `Default retention period is too large: at most ${max} ${name.toLowerCase()}.`,
    });
  return period;
}

/** `Retention`; an empty one (null) takes a retention away. Whether the date lies ahead is not checked here. */
export function readRetention(text: string): Retention | null {
  const root = parseDocument(text, 'Retention', ['Mode', 'RetainUntilDate']);
  if (root.children.length === 0) return null;
  const mode = childText(root, 'Mode')?.trim();
  const until = retentionDate(childText(root, 'RetainUntilDate')?.trim() ?? '');
  if (!isMode(mode) || until === null) throw malformedXml();
  return { mode, until };
}

/** `LegalHold`: whether it is on. */
export function readLegalHold(text: string): boolean {
  const status = childText(parseDocument(text, 'LegalHold', ['Status']), 'Status')?.trim();
  if (status !== 'ON' && status !== 'OFF') throw malformedXml();
  return status === 'ON';
}
