/**
 * XML in: a small tree from saxes, bounded in bytes, depth and elements, with DTDs (and so entities) refused. Anything
 * that is not what the reader expects is MalformedXML, also an element that it does not know: a misspelt setting must not
 * be dropped in silence. Elements may stand in any namespace or none.
 */
import { SaxesParser } from 'saxes';
import { LIMITS } from '../base/limits.ts';
import { S3Error } from './errors.ts';

export interface XmlElement {
  readonly name: string;
  readonly children: readonly XmlElement[];
  /** Character data directly inside, exactly as written (not trimmed). */
  readonly text: string;
  /** `xsi:type`, the one attribute that means something in S3's documents. */
  readonly type?: string;
}

interface OpenElement {
  name: string;
  children: XmlElement[];
  text: string;
  type?: string;
}

export const malformedXml = (cause?: unknown): S3Error => new S3Error('MalformedXML', { cause });

/** @throws {S3Error} MalformedXML */
export function parseXml(text: string): XmlElement {
  if (text.length > LIMITS.xmlBytesMax) throw malformedXml();
  const stack: OpenElement[] = [];
  let root: XmlElement | null = null;
  let elements = 0;
  const fail = (why: string): never => {
    throw new Error(why);
  };
  const parser = new SaxesParser({ xmlns: false, position: false });
  parser.on('error', (error) => {
    throw error;
  });
  parser.on('doctype', () => fail('a document type is not allowed'));
  parser.on('opentag', (opened) => {
    if (++elements > LIMITS.xmlElementsMax) fail('too many elements');
    if (stack.length >= LIMITS.xmlDepthMax) fail('too deep');
    const type = Object.entries(opened.attributes).find(([name]) => TYPE.test(name))?.[1];
    const element: OpenElement = { name: localName(opened.name), children: [], text: '' };
    if (type !== undefined) element.type = type;
    stack.push(element);
  });
  const addText = (data: string): void => {
    const top = stack.at(-1);
    if (top) top.text += data;
  };
  parser.on('text', addText);
  parser.on('cdata', addText);
  parser.on('closetag', () => {
    const element = stack.pop()!;
    const parent = stack.at(-1);
    if (parent) parent.children.push(element);
    else root = element;
  });
  try {
    parser.write(text).close();
  } catch (error) {
    throw malformedXml(error);
  }
  if (root === null) throw malformedXml();
  return root;
}

/** Whatever the prefix stands for. */
const TYPE = /^[^:]+:type$/;
const localName = (name: string): string => name.slice(name.indexOf(':') + 1);

/** The document's root, which must have this name and hold only the named children. */
export function parseDocument(text: string, root: string, children: readonly string[]): XmlElement {
  const element = parseXml(text);
  if (element.name !== root) throw malformedXml();
  requireChildren(element, children);
  return element;
}

/** An element that holds elements only, all of them known. */
export function requireChildren(element: XmlElement, known: readonly string[]): void {
  if (element.text.trim() !== '') throw malformedXml();
  for (const child of element.children) if (!known.includes(child.name)) throw malformedXml();
}

/** Text of a leaf, exactly as written. */
export function leafText(element: XmlElement): string {
  if (element.children.length > 0) throw malformedXml();
  return element.text;
}

/** Text of the one child of this name; undefined when there is none. */
export function childText(element: XmlElement, name: string): string | undefined {
  const child = onlyChild(element, name);
  return child && leafText(child);
}

export function onlyChild(element: XmlElement, name: string): XmlElement | undefined {
  const found = element.children.filter((child) => child.name === name);
  if (found.length > 1) throw malformedXml();
  return found[0];
}

/** @throws {S3Error} MalformedXML unless the text is a plain decimal number up to `max` */
export function integerOf(text: string | undefined, max: number): number {
  const digits = text?.trim() ?? '';
  const value = /^\d{1,15}$/.test(digits) ? Number(digits) : Number.NaN;
  if (!(value <= max)) throw malformedXml();
  return value;
}
