/** What browsers need: CORS, forms and websites, as clients set them and as browsers use them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { FeatureStore } from '../feature-store.ts';

export function forms(store: () => FeatureStore): void {
  describe('CORS', () => {
    it('of a new bucket is not set', async () => {
      const bucket = store().bucketName();
      await store().api(['create-bucket', '--bucket', bucket]);
      const { stderr } = await store().aws(['s3api', 'get-bucket-cors', '--bucket', bucket], { code: null });
      assert.match(stderr, /NoSuchCORSConfiguration/);
    });
  });
}
