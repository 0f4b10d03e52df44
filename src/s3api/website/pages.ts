/** The pages that a website answers with by itself, as S3's do. */
import { STATUS_CODES } from 'node:http';
import type { S3Error } from '../errors.ts';
import type { OperationResult } from '../operation.ts';
import { escapeXml } from '../xml.ts';
import type { Elsewhere } from './routing.ts';

const HTML = 'text/html; charset=utf-8';

export interface PageIds {
  readonly requestId: string;
  readonly hostId: string;
}

/** @param custom why the bucket's own error document could not be shown */
export function errorPage(error: S3Error, ids: PageIds, custom: S3Error | null): OperationResult {
  const title = `${error.status} ${STATUS_CODES[error.status] ?? ''}`.trim();
  const told = listed({
    Code: error.code,
    Message: error.message,
    ...error.fields,
    RequestId: ids.requestId,
    HostId: ids.hostId,
  });
  const also =
    custom === null
      ? ''
      : `<h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3>\n${listed({
          Code: custom.code,
          Message: custom.message,
          ...custom.fields,
        })}\n`;
  const body = `<html>\n<head><title>${title}</title></head>\n<body>\n<h1>${title}</h1>\n${told}\n${also}<hr/>\n</body>\n</html>\n`;
  return {
    status: error.status,
    headers: { ...error.headers, ...errorHeaders(error), 'content-type': HTML },
    body,
  };
}

/** Beside every page about an error, also the bucket's own. */
export const errorHeaders = (error: S3Error): Record<string, string> => ({
  'x-amz-error-code': error.code,
  'x-amz-error-message': error.message.replace(/[^\x20-\x7e]/g, ' '),
});

const listed = (items: Readonly<Record<string, string>>): string =>
  `<ul>\n${Object.entries(items)
    .map(([name, value]) => `<li>${escapeXml(name)}: ${escapeXml(value)}</li>`)
    .join('\n')}\n</ul>`;

export const redirected = ({ status, location }: Elsewhere): OperationResult => ({
  status,
  headers: { location },
});
