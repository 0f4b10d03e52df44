/**
 * XML out, by template and escape. S3 answers are XML 1.0, which cannot carry most control characters, not even as
 * references. As AWS does, such a character is still written as a numeric reference: a strict parser then refuses the
 * document, where a replacement character would give it a wrong key in silence. `encoding-type=url`, which SDKs ask for
 * by themselves, carries every key.
 */
const NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/';
export const XML_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n';

const SPECIAL = /[&<>"\x00-\x08\x0b-\x1f\ufffe\uffff]/;
const SPECIAL_ALL = new RegExp(SPECIAL, 'g');
const NAMED: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

export function escapeXml(text: string): string {
  if (!SPECIAL.test(text)) return text;
  return text.replace(SPECIAL_ALL, (c) => NAMED[c] ?? `&#x${c.charCodeAt(0).toString(16)};`);
}

/** One element with text; '' when the value is undefined, so that optional elements need no condition. */
export function tag(name: string, value: string | number | boolean | undefined): string {
  if (value === undefined) return '';
  return `<${name}>${typeof value === 'string' ? escapeXml(value) : value}</${name}>`;
}

/** An element around markup that is ready. */
export const wrap = (name: string, inner: string): string => `<${name}>${inner}</${name}>`;

/** A whole document in S3's namespace. */
export function xmlDocument(root: string, inner: string): string {
  const open = `${XML_DECLARATION}<${root} xmlns="${NAMESPACE}"`;
  return inner === '' ? `${open}/>` : `${open}>${inner}</${root}>`;
}

/** `2026-01-31T12:34:56.000Z`: S3 shows whole seconds with three zeros in listings. */
export const xmlDate = (date: Date): string => `${date.toISOString().slice(0, 19)}.000Z`;

/** An ETag as it stands in XML and in headers. */
export const quoted = (etag: string): string => `"${etag}"`;

/**
 * The encoding of `encoding-type=url`: the UTF-8 bytes, with A–Z a–z 0–9 - . _ * / left as they are. A space is `%20`;
 * AWS writes `+` there, which only decoders of forms understand, whereas every decoder understands `%20`.
 */
export function urlEncode(text: string): string {
  return encodeURIComponent(text).replace(/%2F|[!'()~]/g, (c) =>
    c === '%2F' ? '/' : `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
