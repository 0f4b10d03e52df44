/** ListObjectVersions, page by page, on the model catalog. */
import { after, before } from 'node:test';
import { versionPaging } from '../../contract/version-paging.ts';
import { type S3Front, startS3Front } from '../../model/s3-front.ts';

let front: S3Front;
before(async () => {
  front = await startS3Front();
});
after(() => front.close());

versionPaging(() => front, { runs: 40 });
