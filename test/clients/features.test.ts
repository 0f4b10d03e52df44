/** One feature after the other, through the clients that people use, against one store. Each stands in a file of its own. */
import { after, before, describe } from 'node:test';
import { type FeatureStore, missingClients, startFeatureStore } from './feature-store.ts';
import { forms } from './features/forms.ts';
import { iam } from './features/iam.ts';
import { policies } from './features/policies.ts';

/** Of the store's configuration file; what several features need stands here once. */
const SETTINGS = {} as const;

const missing = missingClients();
describe('features, through clients', missing === null ? {} : { skip: missing }, () => {
  let started: Awaited<ReturnType<typeof startFeatureStore>> | undefined;
  before(async () => {
    started = await startFeatureStore(SETTINGS);
  });
  after(() => started?.stop());
  const store = (): FeatureStore => started!;

  forms(store);
  iam(store);
  policies(store);
});
