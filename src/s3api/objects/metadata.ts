/**
 * What a request says about the object that it makes: system and user metadata, tags, storage class.
 * Values are kept as the bytes of the header (as the latin1 text that node gives), so that what came in goes out
 * again byte for byte, whether a client sent raw UTF-8 or RFC 2047 words. Source: "Working with object metadata",
 * Amazon S3 User Guide.
 */
import { LIMITS } from '../../base/limits.ts';
import type { ObjectAttributes, SystemMetadata } from '../../ddm/catalog.ts';
import { storedContentEncoding } from '../body/request-body.ts';
import { S3Error } from '../errors.ts';
import { validTags } from '../tags.ts';

type Headers = Readonly<Record<string, string | undefined>>;

const USER_PREFIX = 'x-amz-meta-';
export const DEFAULT_CONTENT_TYPE = 'binary/octet-stream';

/** Which storage classes exist is checked for every request alike (meaning.ts). @throws {S3Error} MetadataTooLarge, InvalidTag … */
export function objectAttributes(headers: Headers): ObjectAttributes {
  return {
    system: systemMetadata(headers),
    user: userMetadata(headers),
    tags: taggingHeader(headers),
    storageClass: headers['x-amz-storage-class'] || 'STANDARD',
  };
}

export function systemMetadata(headers: Headers): SystemMetadata {
  const encoding = storedContentEncoding(headers['content-encoding']);
  const redirect = headers['x-amz-website-redirect-location'];
  if (redirect !== undefined && !/^(?:\/|https?:\/\/)/.test(redirect))
    throw new S3Error('InvalidArgument', {
      message: "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.",
      fields: { ArgumentName: 'x-amz-website-redirect-location', ArgumentValue: redirect },
    });
  const given = {
    contentType: headers['content-type'] || undefined,
    cacheControl: headers['cache-control'],
    contentDisposition: headers['content-disposition'],
    contentEncoding: encoding,
    contentLanguage: headers['content-language'],
    expires: headers.expires,
    websiteRedirectLocation: redirect,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

export function userMetadata(headers: Headers): Readonly<Record<string, string>> {
  const user: [string, string][] = [];
  let bytes = 0;
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || !name.startsWith(USER_PREFIX) || name === USER_PREFIX) continue;
    const shortName = name.slice(USER_PREFIX.length);
    bytes += shortName.length + value.length; // latin1 text: one character is one byte
    user.push([shortName, value]);
  }
  if (bytes > LIMITS.userMetadataBytesMax)
    throw new S3Error('MetadataTooLarge', {
      fields: { Size: String(bytes), MaxSizeAllowed: String(LIMITS.userMetadataBytesMax) },
    });
  return Object.fromEntries(user);
}

/** The x-amz-tagging header: `a=1&b=2`, URL-encoded. @throws {S3Error} InvalidTag, InvalidArgument, BadRequest */
export function taggingHeader(headers: Headers): Readonly<Record<string, string>> {
  const header = headers['x-amz-tagging'];
  if (header === undefined || header === '') return {};
  return validTags(
    header.split('&').map((pair) => {
      const at = pair.indexOf('=');
      return at < 0
        ? [formDecode(pair), '']
        : [formDecode(pair.slice(0, at)), formDecode(pair.slice(at + 1))];
    }),
  );
}

function formDecode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw new S3Error('InvalidArgument', {
      message:
        "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.",
      fields: { ArgumentName: 'x-amz-tagging' },
    });
  }
}
