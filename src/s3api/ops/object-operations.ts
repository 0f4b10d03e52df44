/** The rows of the object and multipart operations. */
import type { OperationRow } from '../operation.ts';

/** Rows whose operation is not built yet; 501 until then. */
const pending = (
  name: string,
  method: OperationRow['method'],
  target: OperationRow['target'],
  query: OperationRow['query'] = {},
  headers: readonly string[] = [],
): OperationRow => ({
  name,
  method,
  target,
  query,
  headers,
  permission: `s3:${name}`,
  body: 'none',
  status: 'unsupported',
});

export const OBJECT_OPERATIONS: readonly OperationRow[] = [
  pending('PutObject', 'PUT', 'object'),
  pending('CopyObject', 'PUT', 'object', {}, ['x-amz-copy-source']),
  pending('GetObject', 'GET', 'object'),
  pending('HeadObject', 'HEAD', 'object'),
  pending('DeleteObject', 'DELETE', 'object'),
  pending('DeleteObjects', 'POST', 'bucket', { delete: true }),
  pending('GetObjectAttributes', 'GET', 'object', { attributes: true }),
  pending('CreateMultipartUpload', 'POST', 'object', { uploads: true }),
  pending('UploadPart', 'PUT', 'object', { uploadId: true, partNumber: true }),
  pending('UploadPartCopy', 'PUT', 'object', { uploadId: true, partNumber: true }, ['x-amz-copy-source']),
  pending('CompleteMultipartUpload', 'POST', 'object', { uploadId: true }),
  pending('AbortMultipartUpload', 'DELETE', 'object', { uploadId: true }),
  pending('ListParts', 'GET', 'object', { uploadId: true }),
];
